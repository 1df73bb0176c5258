"""
Authorization lists again, slowly: what C{tests/test_mapdifferences.py} compares
L{rvgahp.authorizationlist} with.

Nothing of L{rvgahp} is used, nor C{ipaddress}: texts are walked through one character after
the other, and addresses are texts of bits.  The rules are HTCondor's
(C{src/condor_io/condor_ipverify.cpp}); L{Strange} is raised where doc/mapping.rst says that
a list is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.mapreference import Strange

DIGITS = "0123456789"
HEX = "0123456789abcdef"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def small(text: str) -> str:
    """
    @return: the text with ASCII letters in lower case.
    """
    found = ""
    for one in text:
        found += chr(ord(one) + 32) if "A" <= one <= "Z" else one
    return found


def bitsOf(value: int, size: int) -> str:
    return "".join("1" if value >> (size - 1 - place) & 1 else "0" for place in range(size))


def number4(text: str) -> str | None:
    """
    @return: the 32 bits of an IPv4 address.
    """
    parts = text.split(".")
    bits = ""
    for part in parts:
        if not part or any(one not in DIGITS for one in part) or len(part) > 3:
            return None
        if (part[0] == "0" and part != "0") or int(part) > 255:
            return None
        bits += bitsOf(int(part), 8)
    return bits if len(parts) == 4 else None


def number6(text: str) -> str | None:
    """
    @return: the 128 bits of an IPv6 address.
    """
    sides = text.split("::")
    if len(sides) > 2:
        return None
    found = []
    for which, side in enumerate(sides):
        bits = ""
        words = side.split(":") if side else []
        for place, word in enumerate(words):
            isLast = which == len(sides) - 1 and place == len(words) - 1
            if "." in word and isLast:
                four = number4(word)
                if four is None:
                    return None
                bits += four
            elif 0 < len(word) <= 4 and all(one in HEX for one in small(word)):
                bits += bitsOf(int(word, 16), 16)
            else:
                return None
        found.append(bits)
    missing = 128 - sum(len(bits) for bits in found)
    if (len(sides) == 1 and missing) or (len(sides) == 2 and missing < 16):
        return None
    return ("0" * missing).join(found)


def number(text: str) -> str | None:
    """
    @return: the bits of an address, those of IPv4 for one in IPv6's clothes.
    """
    text = text.split("%", maxsplit=1)[0]
    bits = number4(text) or number6(text)
    mapped = "0" * 80 + "1" * 16
    if bits is not None and len(bits) == 128 and bits.startswith(mapped):
        return bits[96:]
    return bits


def parted(text: str) -> tuple[str, str]:
    """
    @return: a net's address, and its mask; an address alone has none.
    """
    if "/" in text:
        base, mask = text.split("/", 1)
        return base, mask or "none"
    if text.endswith(".*"):
        octets = text[:-2].split(".")
        if len(octets) > 3:
            raise Strange("too many octets")
        return ".".join((octets + ["0"] * 4)[:4]), str(8 * len(octets))
    if text.endswith(":*"):
        return text[:-1] + ":", str(16 * text.count(":"))
    return text, ""


def net(text: str) -> tuple[str, int]:
    """
    @return: the first bits of a net's addresses, and how many bits an address has.
    """
    base, mask = parted(text)
    if base[:1] == "[" and base[-1:] == "]":
        base = base[1:-1]
    bits = number4(base) or number6(base)
    if bits is None:
        raise Strange("no address")
    length = len(bits)
    if mask and all(one in DIGITS for one in mask):
        length = int(mask) if len(mask) <= 3 else 999
    elif mask:
        ones = number4(mask)
        if ones is None or len(bits) != 32 or "01" in ones:
            raise Strange("no mask")
        length = ones.count("1")
    if length > len(bits):
        raise Strange("a mask that is too long")
    if len(bits) == 128 and length >= 96 and bits.startswith("0" * 80 + "1" * 16):
        raise Strange("IPv4 in IPv6's clothes")
    return bits[:length], len(bits)


def stars(pattern: str) -> None:
    """
    See that a text has no more asterisks than HTCondor understands.
    """
    first = pattern.find("*")
    last = pattern.rfind("*")
    if pattern.count("*") > 2 or (first != last and last != len(pattern) - 1):
        raise Strange("too many asterisks")


def fits(pattern: str, text: str) -> bool:
    """
    Compare one character after the other.
    """
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(fits(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and fits(pattern[1:], text[1:])


class ReferenceList:
    """
    A list.
    """

    def __init__(self, text: str) -> None:
        self.entries: list[tuple[str, str, str, tuple[str, int] | None]] = []
        word = ""
        for one in text + ",":
            if one not in ", \t\r\n\x0b\x0c":
                word += one
            elif word:
                self.add(word)
                word = ""

    def add(self, word: str) -> None:
        for one in word:
            if not " " < one <= "~":
                raise Strange("a character")
        if word[0] == "+":
            raise Strange("a netgroup")
        slashes = word.count("/")
        user, host = "*", word
        if slashes == 0 and "@" in word:
            user, host = word, "*"
        elif slashes >= 2 or (slashes == 1 and ("@" in word[: word.index("/")] or word[0] == "*")):
            user, host = word[: word.index("/")], word[word.index("/") + 1 :]
        if "@" not in user and user[:1] != "*":
            raise Strange("no user")
        stars(user)
        self.entries.append((word, small(user), small(host), self.network(host)))

    def network(self, host: str) -> tuple[str, int] | None:
        if host == "*":
            return "", 0
        if host[:1] == "{":
            raise Strange("a macro")
        if "/" in host or ":" in host or (host and all(one in DIGITS + ".*" for one in host)):
            return net(host)
        for one in small(host):
            if one not in LETTERS + DIGITS + "-_.*":
                raise Strange("no name")
        if not host or host[0] == "." or host[-1] == "." or ".." in host:
            raise Strange("no name")
        stars(host)
        return None

    def match(
        self,
        user: str,
        address: str | None,
        names: Sequence[str],
        known: Mapping[str, Sequence[str]],
    ) -> str | None:
        """
        @param known: the addresses of names.
        @return: the entry that fits.
        """
        bits = None if address is None else number(address)
        for word, pattern, host, network in self.entries:
            if not fits(pattern, small(user)):
                continue
            if network is not None:
                first, size = network
                if host == "*" or (
                    bits is not None and size == len(bits) and bits.startswith(first)
                ):
                    return word
                continue
            if any(fits(host, small(name)) for name in names):
                return word
            for name, addresses in known.items():
                isHost = small(name) == host and bits is not None
                if isHost and any(number(other) == bits for other in addresses):
                    return word
        return None
