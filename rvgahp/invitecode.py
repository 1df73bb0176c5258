# -*- test-case-name: tests.test_invitecode -*-
"""
The code of an invitation, C{HOST:PORT/SECRET-FINGERPRINT}, as people copy it from one
window to another: where the proxy is, the secret that lets one in, and by what the proxy
is known.  Layer 0: pure.

After the slash come 48 letters and digits of Crockford's base32, whose alphabet has no
I, L, O and U: 100 bits of the secret, 120 bits of the SHA-256 of the SubjectPublicKeyInfo
of the proxy's host key, and 20 bits of a checksum over all the rest.  Capitals and small
letters are the same, O is read as 0, I and L as 1; hyphens and blanks do not count.
"""

from __future__ import annotations

import hashlib

from rvgahp.errors import ConfigurationError

__all__ = ["FINGERPRINT_BYTES", "SECRET_BYTES", "InviteCode", "fingerprintOf"]

SECRET_BYTES = 13
"""Bytes of a secret: 100 random bits, the last four of it are 0."""

FINGERPRINT_BYTES = 15
"""Bytes of a fingerprint: nobody finds another key with the same 120 bits."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MEANT = {"O": "0", "I": "1", "L": "1"}
_VALUE = {letter: number for number, letter in enumerate(_ALPHABET)}
_VALUE.update({letter: _VALUE[digit] for letter, digit in _MEANT.items()})

_SECRET_LETTERS = 20
_FINGERPRINT_LETTERS = 24
_CHECK_LETTERS = 4
_LETTERS = _SECRET_LETTERS + _FINGERPRINT_LETTERS + _CHECK_LETTERS
_GROUP = 6
_SPARE_BITS = SECRET_BYTES * 8 - _SECRET_LETTERS * 5

_IN_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:%")
_LONGEST_HOST = 253
_LAST_PORT = 65535


def fingerprintOf(publicKey: bytes) -> bytes:
    """
    @param publicKey: a key's SubjectPublicKeyInfo in DER.
    @return: its fingerprint.
    """
    return hashlib.sha256(publicKey).digest()[:FINGERPRINT_BYTES]


class InviteCode:
    """
    One code.

    @ivar host: the proxy's name or address, in small letters, without brackets.
    @ivar port: its port.
    @ivar secret: what lets one in.  B{Secret}.
    @ivar fingerprint: of the proxy's host key.
    """

    def __init__(self, host: str, port: int, secret: bytes, fingerprint: bytes) -> None:
        """
        @param secret: L{SECRET_BYTES} bytes, of which the last four bits are not kept.
        @param fingerprint: L{FINGERPRINT_BYTES} bytes.
        """
        assert (len(secret), len(fingerprint)) == (SECRET_BYTES, FINGERPRINT_BYTES)
        self.host = host.lower()
        self.port = port
        self.secret = secret[:-1] + bytes([secret[-1] >> _SPARE_BITS << _SPARE_BITS])
        self.fingerprint = fingerprint

    @property
    def place(self) -> str:
        """
        C{HOST:PORT}, an IPv6 address in brackets.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def encode(self) -> str:
        """
        @return: the code as it is given to people.  B{Secret}.
        """
        secret = int.from_bytes(self.secret, "big") >> _SPARE_BITS
        letters = _written(secret, _SECRET_LETTERS)
        letters += _written(int.from_bytes(self.fingerprint, "big"), _FINGERPRINT_LETTERS)
        letters += _checksum(self.place, letters)
        groups = [letters[n : n + _GROUP] for n in range(0, _LETTERS, _GROUP)]
        return f"{self.place}/{'-'.join(groups)}"

    @classmethod
    def decode(cls, text: str) -> InviteCode:
        """
        @param text: what people have copied or typed.
        @raise ConfigurationError: it is no code, or one with a typing error.  The sentence
            does not repeat it.
        """
        text = "".join(text.split())
        place, slash, rest = text.rpartition("/")
        host, _, port = place.rpartition(":")
        if not slash:
            raise _malformed("it has no slash")
        number = _portOf(port)
        host = _hostOf(host)
        letters = "".join(_MEANT.get(one, one) for one in rest.upper() if one != "-")
        odd = [one for one in letters if one not in _VALUE]
        if odd:
            raise _malformed(f"{odd[0]!a} is never in one")
        if len(letters) != _LETTERS:
            raise _malformed(f"it has {len(letters)} letters and digits after the slash, not 48")
        body = letters[:-_CHECK_LETTERS]
        secret = _read(body[:_SECRET_LETTERS]) << _SPARE_BITS
        fingerprint = _read(body[_SECRET_LETTERS:])
        code = cls(
            host,
            number,
            secret.to_bytes(SECRET_BYTES, "big"),
            fingerprint.to_bytes(FINGERPRINT_BYTES, "big"),
        )
        if letters[-_CHECK_LETTERS:] != _checksum(code.place, body):
            raise _malformed("its checksum is wrong")
        return code


def _malformed(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"This is not a code of rvgahp invite: {problem}; copy it again, whole, with the host and"
        " the port before the slash."
    )


def _portOf(text: str) -> int:
    isNumber = text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_PORT))
    if not isNumber or not 0 < int(text) <= _LAST_PORT:
        raise _malformed("it has no port before the slash")
    return int(text)


def _hostOf(text: str) -> str:
    host = text.lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        isPossible = ":" in host
    else:
        isPossible = ":" not in host
    if not (isPossible and 0 < len(host) <= _LONGEST_HOST and _IN_HOST.issuperset(host)):
        raise _malformed("it has no host before the port")
    return host


def _written(number: int, letters: int) -> str:
    return "".join(_ALPHABET[number >> 5 * n & 31] for n in reversed(range(letters)))


def _read(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number << 5 | _VALUE[letter]
    return number


def _checksum(place: str, letters: str) -> str:
    digest = hashlib.sha256(f"{place}/{letters}".encode()).digest()
    return _written(int.from_bytes(digest[:3], "big") >> 4, _CHECK_LETTERS)
