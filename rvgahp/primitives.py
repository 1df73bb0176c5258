# -*- test-case-name: tests.test_primitives -*-
"""
AES-GCM, X25519, HMAC, HKDF and SHA-256, at the price of what is used of them.

Layer 0: the standard library and C{cryptography}.  C{doc/decisions/0007} has the
figures: the public modules of C{cryptography} import C{typing}, and X25519's load the
whole OpenSSL backend to ask whether it is supported.  What they then call is called
here, where it has been since version 42; if it is there no more, the public ones are.
HMAC and SHA-256 are the standard library's.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from hmac import digest as _hmac

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    _generate: Callable[[], X25519PrivateKey]
    _fromPublicBytes: Callable[[bytes], X25519PublicKey]
else:
    try:
        from cryptography.hazmat.bindings._rust import openssl as _openssl

        AESGCM = _openssl.aead.AESGCM
        _generate = _openssl.x25519.generate_key
        _fromPublicBytes = _openssl.x25519.from_public_bytes
    except (ImportError, AttributeError):
        from cryptography.hazmat.primitives.asymmetric import x25519 as _x25519
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM as _AESGCM

        class AESGCM:
            """
            Takes whatever has bytes, which releases before 40 do not.
            """

            def __init__(self, key: bytes) -> None:
                self._cipher = _AESGCM(key)

            def encrypt(self, nonce, data, associated):
                return self._cipher.encrypt(nonce, bytes(data), bytes(associated))

            def decrypt(self, nonce, data, associated):
                return self._cipher.decrypt(nonce, bytes(data), bytes(associated))

        _generate = _x25519.X25519PrivateKey.generate
        _fromPublicBytes = _x25519.X25519PublicKey.from_public_bytes

__all__ = ["AESGCM", "exchange", "generate", "hkdf", "hmac", "proves", "publicBytes", "sha256"]

_HASH = "sha256"
_HASH_BYTES = 32


def generate() -> X25519PrivateKey:
    """
    @return: a new private key.  B{Secret.}
    """
    return _generate()


def publicBytes(private: X25519PrivateKey) -> bytes:
    """
    @return: its public key, 32 bytes.
    """
    public = private.public_key()
    try:
        return public.public_bytes_raw()
    except AttributeError:  # before version 40, which a client in one file meets (doc/client.rst)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    """
    @param public: the peer's public key, 32 bytes.
    @return: the shared secret.  B{Secret.}
    @raise ValueError: the peer's key is malformed, or gives an all-zero secret.
    """
    return private.exchange(_fromPublicBytes(public))


def sha256(*parts: bytes) -> bytes:
    """
    @return: SHA-256 of all parts together, 32 bytes.
    """
    running = hashlib.sha256()
    for part in parts:
        running.update(part)
    return running.digest()


def hmac(key: bytes, data: bytes) -> bytes:
    """
    @return: HMAC-SHA256, 32 bytes.
    """
    return _hmac(key, data, _HASH)


def proves(key: bytes, data: bytes, proof: bytes) -> bool:
    """
    @return: whether C{proof} is the HMAC of C{data}; in constant time.
    """
    return compare_digest(_hmac(key, data, _HASH), proof)


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """
    HKDF-SHA256, RFC 5869.

    @param length: at most 255 times 32.
    @return: C{length} bytes.  B{Secret.}
    """
    key = _hmac(salt or bytes(_HASH_BYTES), secret, _HASH)
    block, output = b"", b""
    for number in range(1, -(-length // _HASH_BYTES) + 1):
        block = _hmac(key, block + info + bytes((number,)), _HASH)
        output += block
    return output[:length]
