# -*- test-case-name: tests.test_settingkinds -*-
"""
The kinds of settings that are lists.  Layer 2: pure; L{rvgahp.settingkinds},
L{rvgahp.waylimits} and L{rvgahp.names}.
"""

from __future__ import annotations

import ipaddress
import re

from rvgahp import waylimits
from rvgahp.names import checkGAHPName
from rvgahp.settingkinds import ACCOUNT, HOST_PORT, Kind, passing

__all__ = ["ACCOUNTS", "GAHP_NAMES", "HOST_PORTS", "METHODS", "NETWORKS", "PROXY_NAMES"]

_PROXY_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _parseAccounts(text: str) -> tuple[str, ...]:
    """
    Names of accounts, each once.
    """
    return tuple(dict.fromkeys(ACCOUNT.parse(word) for word in _words(text)))


def _parseHostPorts(text: str) -> tuple[tuple[str, int], ...]:
    """
    Places, each once.
    """
    places = tuple(dict.fromkeys(HOST_PORT.parse(word) for word in _words(text)))
    if len(places) > waylimits.PLACES:
        raise ValueError(text)
    return places


def _parseNetworks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """
    Networks; a single address is one too.
    """
    return tuple(map(ipaddress.ip_network, _words(text)))


def _parseGAHPNames(text: str) -> tuple[str, ...]:
    """
    Names of GAHPs.
    """
    return tuple(passing(checkGAHPName, name) for name in _words(text))


def _parseProxyNames(text: str) -> tuple[str, ...]:
    """
    Names of proxies in small letters, each once: they are parts of names of settings, where case
    does not count.
    """
    names = tuple(dict.fromkeys(word.lower() for word in _words(text)))
    if len(names) > waylimits.PROXIES or not all(map(_PROXY_NAME.fullmatch, names)):
        raise ValueError(text)
    return names


def _parseMethods(text: str) -> tuple[str, ...]:
    """
    Names in capitals, each once, those that rvgahp does not have included.
    """
    return tuple(dict.fromkeys(word.upper() for word in _words(text)))


def _words(text: str) -> list[str]:
    """
    The items of a list, which HTCondor parts by commas, blanks or both.
    """
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if not words:
        raise ValueError(text)
    return words


ACCOUNTS = Kind(
    "list of accounts", "a list of names of accounts of this host", _parseAccounts, unset=()
)
"""Accounts of this host.  Value: a tuple of C{str}."""

HOST_PORTS = Kind(
    "list of host:port",
    f"up to {waylimits.PLACES} times {HOST_PORT.allowed}",
    _parseHostPorts,
    unset=(),
)
"""Where to dial.  Value: a tuple of pairs, as of L{HOST_PORT}."""

NETWORKS = Kind(
    "list of networks",
    "a list of IP addresses and networks such as 192.0.2.7, 192.0.2.0/24, "
    "192.0.2.0/255.255.255.0 and 2001:db8::/32, with no bit set beyond the mask",
    _parseNetworks,
    unset=(),
)
"""IP networks.  Value: a tuple of C{ipaddress} networks."""

GAHP_NAMES = Kind(
    "list of names",
    "a list of names, each 1 to 64 letters, digits, dots, hyphens, underscores and plus signs "
    "with a letter or digit first",
    _parseGAHPNames,
    unset=(),
)
"""Names of GAHPs, by L{checkGAHPName}.  Value: a tuple of C{str}."""

PROXY_NAMES = Kind(
    "list of names",
    f"up to {waylimits.PROXIES} names, each 1 to 32 letters, digits and underscores with a letter "
    "first",
    _parseProxyNames,
    unset=(),
)
"""What a CE calls its proxies.  Value: a tuple of C{str}."""

METHODS = Kind(
    "list of methods",
    "a list of crypto methods with AES among them, the only one that rvgahp has",
    _parseMethods,
)
"""Crypto methods, by HTCondor's names.  Value: a tuple of C{str}."""
