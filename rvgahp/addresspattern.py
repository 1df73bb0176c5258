# -*- test-case-name: tests.test_authorizationlist -*-
"""
What an entry of an authorization list is compared with: a text with wildcards, an address,
a net, the name of a host.

Layer 0: L{rvgahp.errors}.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from rvgahp.errors import ConfigurationError

__all__ = ["Address", "HostPattern", "WildcardText", "lowered", "toAddress"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBERS = re.compile(r"[0-9.*]+")
_NAME = re.compile(r"[A-Za-z0-9_.*-]+")
_OCTETS = re.compile(r"([0-9]{1,3}\.){1,3}\*")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def lowered(text: str) -> bytes:
    """
    @return: The text with its ASCII letters, and no others, in lower case: there are
        letters whose lower case is an ASCII letter, and HTCondor compares with
        C{strcasecmp}.
    """
    return text.encode("utf-8", "surrogatepass").lower()


def toAddress(text: str) -> Address:
    """
    @param text: An IP address, with a zone or without.
    @return: The address; an IPv4 address in IPv6's clothes (C{::ffff:192.0.2.1}) is what it
        is.
    @raise ValueError: It is none.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class WildcardText:
    """
    A text in which one C{*} stands for any text, also none, and a second one may be at the
    end.
    """

    def __init__(self, text: str) -> None:
        """
        @raise ConfigurationError: It has more, a clause.
        """
        self._parts = lowered(text).split(b"*")
        if len(self._parts) > 3 or (len(self._parts) == 3 and self._parts[2]):
            raise ConfigurationError(
                f"{text!a} has more than one *, or two of which the second is not at the end"
            )

    def matches(self, text: bytes) -> bool:
        """
        @param text: In lower case.
        """
        first = self._parts[0]
        if len(self._parts) == 1:
            return text == first
        if not text.startswith(first):
            return False
        rest = text[len(first) :]
        if len(self._parts) == 2:
            return rest.endswith(self._parts[1])
        return self._parts[1] in rest


class HostPattern:
    """
    The host of an entry: C{*}, an address, a net, or a name.

    @ivar name: In lower case, the name, if it has no C{*}; else empty.
    """

    def __init__(self, text: str) -> None:
        """
        @raise ConfigurationError: It is none, a clause.
        """
        self.name = b""
        self._names: WildcardText | None = None
        self._isAny = text == "*"
        self._network: Network | None = None
        if self._isAny:
            return
        if text.startswith("{"):
            raise ConfigurationError(
                f"{text!a} is not supported, so list the addresses of this host"
            )
        if "/" in text or ":" in text or _NUMBERS.fullmatch(text):
            self._network = _network(text)
        else:
            self._names = _names(text)
            if "*" not in text:
                self.name = lowered(text)

    @property
    def isNamed(self) -> bool:
        """
        Whether it is a name, with C{*} or without.
        """
        return self._names is not None

    def matches(
        self,
        address: Address | None,
        names: Sequence[bytes],
        addresses: Mapping[bytes, AbstractSet[Address]],
    ) -> bool:
        """
        Whether a peer's host fits.

        @param address: Its address.
        @param names: Its names, in lower case.
        @param addresses: By name, addresses that names have.
        """
        if self._isAny:
            return True
        if self._network is not None:
            return address is not None and address in self._network
        assert self._names is not None
        if self.name and address in addresses.get(self.name, ()):
            return True
        return any(self._names.matches(name) for name in names)


def _names(text: str) -> WildcardText:
    """
    @raise ConfigurationError: It is no name of hosts, a clause.
    """
    if not _NAME.fullmatch(text) or ".." in text or text.startswith(".") or text.endswith("."):
        raise ConfigurationError(
            f"{text!a} is neither a host's name, in which one part may be *, nor an address"
        )
    return WildcardText(text)


def _network(text: str) -> Network:
    """
    @raise ConfigurationError: It is no net and no address, a clause.
    """
    try:
        found = _parseNetwork(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!a} is no address, and no net such as 192.0.2.*, 192.0.2.0/24,"
            " 192.0.2.0/255.255.255.0, 2001:db8:* or 2001:db8::/32"
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_MAPPED):
        raise ConfigurationError(f"{text!a} is IPv4 in IPv6's clothes, and never seen so")
    return found


def _parseNetwork(text: str) -> Network:
    """
    @raise ValueError: It is none.
    """
    if _OCTETS.fullmatch(text):
        octets = text.split(".")[:-1]
        base = ".".join([*octets, "0", "0", "0"][:4])
        return ipaddress.IPv4Network(f"{base}/{8 * len(octets)}")
    if text.endswith(":*"):
        return ipaddress.IPv6Network(f"{text[:-1]}:/{16 * text.count(':')}")
    base, slash, mask = text.partition("/")
    if base.startswith("[") and base.endswith("]"):
        base = base[1:-1]
    address = ipaddress.ip_address(base)
    if "%" in base:
        raise ValueError("a zone")
    bits = int(address.max_prefixlen)
    if slash:
        bits = _bits(mask, bits)
    return ipaddress.ip_network((address, bits), strict=False)


def _bits(mask: str, longest: int) -> int:
    """
    @param longest: 32 or 128, all bits of an address.
    @return: The mask's bits, perhaps too many.
    @raise ValueError: It is no mask.
    """
    if mask.isdecimal() and len(mask) <= 3:
        return int(mask)
    if longest != 32:
        raise ValueError("no number")
    value = int(ipaddress.IPv4Address(mask))
    bits = value.bit_count()
    if value != (1 << 32) - (1 << (32 - bits)):
        raise ValueError("holes")
    return bits
