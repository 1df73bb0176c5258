# -*- test-case-name: tests.test_settingkinds -*-
"""
The kinds of values that a setting can have: how its text is read and what is
allowed.  Layer 2: pure; the standard library, L{rvgahp.names}, L{rvgahp.policy}
and L{rvgahp.errors}.

A kind's C{parse} raises L{ValueError} for a bad text; whoever reads a setting
adds its name and makes it a C{ConfigurationError}.
"""

from __future__ import annotations

import ipaddress
import os.path
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rvgahp.errors import RvgahpError
from rvgahp.names import checkSite
from rvgahp.policy import Level

__all__ = [
    "ACCOUNT",
    "ADDRESS",
    "ADDRESS_PORT",
    "COMMAND",
    "GATEWAY",
    "HOST",
    "LEVEL",
    "LOOPBACK_PORT",
    "MODE",
    "SITE",
    "Kind",
    "amount",
    "integer",
    "passing",
    "path",
    "seconds",
]

_Number = TypeVar("_Number", int, float)

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_AMOUNT = re.compile(r"([0-9]{1,18})\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_HOST_CHARACTERS = 253


@dataclass(frozen=True)
class Kind:
    """
    One kind of value.

    @ivar typeName: The word for it in the manual.
    @ivar allowed: What is allowed, to follow "it must be".
    @ivar parse: From the setting's text, which is not empty and has no blanks
        around it, to its value.  Raises L{ValueError} where it means none.
    @ivar numeric: Whether a ClassAd expression such as C{2 * $(HOUR)} may stand
        for it, as HTCondor allows for its own numbers
        (C{src/condor_utils/condor_config.cpp:2135}).
    @ivar unset: The value of a setting of this kind that has no text at all.
    @ivar mayHoldSecret: Whether a password may stand in a bad text, which is not repeated then.
    """

    typeName: str
    allowed: str
    parse: Callable[[str], Any]
    numeric: bool = False
    unset: Any = None
    mayHoldSecret: bool = False


def integer(low: int, high: int) -> Kind:
    """
    A whole number, both ends of the range allowed.  Value: C{int}.
    """

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError(text)
        return _inRange(int(text), low, high)

    return Kind("integer", f"a whole number from {low} to {high}", parse, numeric=True)


def seconds(low: float, high: float, *, whole: bool = False) -> Kind:
    """
    A length of time.  Value: C{float}, in seconds, or C{int} where fractions
    are not allowed.
    """
    form = re.compile(r"[0-9]{1,18}" if whole else r"[0-9]{1,18}(\.[0-9]{1,9})?")

    def parse(text: str) -> float:
        if not form.fullmatch(text):
            raise ValueError(text)
        if whole:
            return _inRange(int(text), low, high)
        return _inRange(float(text), low, high)

    number = "a whole number" if whole else "a number"
    allowed = f"{number} of seconds from {low:g} to {high:.10g}"
    return Kind("seconds", allowed, parse, numeric=True)


def amount(low: int, high: int) -> Kind:
    """
    An amount of memory.  Value: C{int}, in bytes.  K, KB and KiB all mean 1024
    bytes, as in HTCondor's sizes of logs.
    """

    def parse(text: str) -> int:
        match = _AMOUNT.fullmatch(text)
        if match is None:
            raise ValueError(text)
        return _inRange(int(match[1]) * _UNITS[match[2].upper()], low, high)

    allowed = f"bytes from {_inUnits(low)} to {_inUnits(high)}, as a number or with KiB, MiB or GiB"
    return Kind("bytes", allowed, parse, numeric=True)


def path(longest: int = 4095) -> Kind:
    """
    The absolute path of a file or directory, which need not exist yet, of at
    most so many bytes.  Value: C{str}.
    """

    def parse(text: str) -> str:
        if not (os.path.isabs(text) and text.isprintable()) or len(os.fsencode(text)) > longest:
            raise ValueError(text)
        return text

    return Kind("path", f"an absolute path of at most {longest} bytes", parse)


def _parseAccount(text: str) -> str:
    """
    What a Linux account may be called.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", text):
        raise ValueError(text)
    return text


def _parseMode(text: str) -> int:
    """
    Up to three octal digits, with or without zeros before them.
    """
    if not re.fullmatch(r"0{0,8}[0-7]{1,3}", text):
        raise ValueError(text)
    return int(text, 8)


def _parseHost(text: str) -> str:
    """
    A name of the DNS, or an address, an IPv6 one perhaps in brackets.
    """
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        bracketed = text.startswith("[") and text.endswith("]")
        return str(ipaddress.ip_address(text[1:-1] if bracketed else text))
    labels = text.removesuffix(".").split(".")
    if len(text) > _HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(text)
    return text


def _parseHostPort(text: str) -> tuple[str, int]:
    """
    C{HOST:PORT}, an IPv6 address in brackets.
    """
    host, _, port = text.rpartition(":")
    if (":" in host) != host.startswith("["):
        raise ValueError(text)
    return _parseHost(host), integer(1, 65535).parse(port)


def _parseGateway(text: str) -> tuple[str, str, int]:
    """
    C{SCHEME://HOST:PORT}, without user and password, and without a path.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "socks5", "socks5h"):
        raise ValueError(text)
    return scheme.lower(), *_parseHostPort(rest.removesuffix("/"))


def _parseLoopbackPort(text: str) -> tuple[str, int]:
    """
    C{PORT}, or an IPv4 address of the loopback interface before it.
    """
    host, _, port = text.rpartition(":")
    address = ipaddress.IPv4Address(host or "127.0.0.1")
    if not address.is_loopback or text.startswith(":"):
        raise ValueError(text)
    return str(address), integer(0, 65535).parse(port)


def _parseAddressPort(text: str) -> str:
    """
    The same, and no name: it is dialled by a program that resolves none, not even those of
    interfaces.
    """
    host, port = _parseHostPort(text)
    if "%" in host:
        raise ValueError(text)
    address = ipaddress.ip_address(host)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _parseAddress(text: str) -> str:
    """
    An address, or C{*} for all, as in HTCondor's C{NETWORK_INTERFACE}.
    """
    return "" if text == "*" else str(ipaddress.ip_address(text))


def _parseCommand(text: str) -> list[str]:
    """
    Words, parted as a POSIX shell would part them; no shell is run.
    """
    words = shlex.split(text)
    if not words or not words[0] or not text.isprintable():
        raise ValueError(text)
    return words


def _inRange(value: _Number, low: float, high: float) -> _Number:
    """
    The value, if it lies within the range.
    """
    if not low <= value <= high:
        raise ValueError(value)
    return value


def passing(check: Callable[[str], Any], text: str) -> Any:
    """
    What a check of layer 0 gives; its refusal becomes a L{ValueError}.
    """
    try:
        return check(text)
    except RvgahpError as e:
        raise ValueError(text) from e


def _inUnits(count: int) -> str:
    """
    A number of bytes with the largest unit that divides it.
    """
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift} {unit}"
    return f"{count} bytes"


ACCOUNT = Kind(
    "account",
    "the name of an account: 1 to 32 letters, digits, dots, hyphens and underscores",
    _parseAccount,
)
"""An account of this host.  Value: C{str}."""

MODE = Kind("octal mode", "an octal mode from 0000 to 0777, such as 0600", _parseMode)
"""Permission bits.  Value: C{int}."""

HOST = Kind(
    "host",
    "a host name in ASCII (xn--... for others) or an IP address, without a port",
    _parseHost,
)
"""Whom to dial.  Value: C{str}, an IPv6 address without brackets."""

HOST_PORT = Kind(
    "host:port",
    "a host's name or address, a colon and a port from 1 to 65535; an IPv6 address in brackets",
    _parseHostPort,
)
"""Where to dial.  Value: a pair of C{str}, as of L{HOST}, and C{int}."""

GATEWAY = Kind(
    "URL",
    "http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT, without user and password, which"
    " belong in the file that RVGAHP_CONNECT_THROUGH_CREDENTIALS names",
    _parseGateway,
    mayHoldSecret=True,
)
"""An HTTP proxy or SOCKS server.  Value: its scheme, host and port."""

ADDRESS_PORT = Kind(
    "address:port",
    "an IP address, a colon and a port from 1 to 65535; an IPv6 address in brackets",
    _parseAddressPort,
)
"""Where to dial without a resolver.  Value: C{str} of the same form."""

ADDRESS = Kind(
    "address", "* for all, or the IP address of an interface of this host", _parseAddress
)
"""Where to listen.  Value: C{str}, C{""} for all interfaces."""

SITE = Kind(
    "site",
    "1 to 253 letters, digits, dots, hyphens, underscores and at most one @, with a letter or "
    "digit first and last",
    lambda text: passing(checkSite, text),
)
"""The name of a site, by L{checkSite}.  Value: C{str}."""

COMMAND = Kind(
    "command line",
    "a program and its arguments, quoted as for a shell but without its variables, redirections "
    "and pipes",
    _parseCommand,
)
"""A program and its arguments.  Value: a list of C{str}, not empty."""

LEVEL = Kind(
    "level",
    "REQUIRED, PREFERRED, OPTIONAL or NEVER",
    lambda text: passing(Level.parse, text),
)
"""How much a protection is wanted.  Value: a L{Level}."""

LOOPBACK_PORT = Kind(
    "loopback port",
    "a port from 0 (the kernel chooses) to 65535, or with an IPv4 address of the loopback "
    "interface before it, such as 127.0.0.1:9711",
    _parseLoopbackPort,
)
"""Where to listen for this host alone.  Value: a pair of C{str} and C{int}."""
