# -*- test-case-name: tests.test_sinful -*-
"""
Where the gridmanager listens: addresses as HTCondor writes them (C{sinful}), and plain
ones.

Layer 1: the standard library and L{rvgahp.errors}.  The client loads it while a
gridmanager waits, so neither C{re} nor C{ipaddress}.  What is well-formed is decided as
in C{src/condor_utils/condor_sinful.cpp} (C{split_sin}, C{parseUrlEncodedParams},
C{urlDecode}), HTCondor 25.14, or more strictly; the list C{addrs} is not looked at.
"""

from __future__ import annotations

import socket

from rvgahp.errors import ConfigurationError

__all__ = ["Sinful", "parseAddress", "parseInherit"]

_HIGHEST_PORT = 65535
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")

#: Characters of a bad value that its error shows.
_SHOWN = 80


class Sinful:
    """
    The address of a daemon of HTCondor, C{<host:port?name=value&name=value>}.

    @ivar host: a name or an address, an IPv6 one without brackets; may be empty.
    @ivar port: its TCP port; 0 if there is none, or if the shared port daemon was not
        up when the address was made.
    @ivar sharedPortId: the parameter C{sock}, whom the shared port daemon is to pass the
        connection to; empty if the port is the daemon's own.
    """

    def __init__(self, text: str) -> None:
        """
        @param text: the address.
        @raise ConfigurationError: it is not of that form.
        """
        if text[:1] != "<" or text.find(">") != len(text) - 1:
            raise _malformed("is not within < and >")
        where, _, parameters = text[1:-1].partition("?")
        self.host, port = _splitWhere(where)
        self.port = _parsePort(port)
        self.sharedPortId = _sharedPortId(parameters)

    def isDialable(self) -> bool:
        """
        @return: whether a TCP connection can be made to it without asking a name
            service: the host is an IPv4 or IPv6 address, and there is a port.
        """
        return self.port != 0 and _isNumeric(self.host)


def parseInherit(text: str) -> Sinful:
    """
    Find the gridmanager in C{CONDOR_INHERIT}, which it sets for condor_ft-gahp alone
    (C{src/condor_gridmanager/gahp-client.cpp}, C{setCondorInherit}).  Its words are the
    parent's process id, the parent's address, inherited sockets or nothing, C{0},
    command sockets or nothing, C{0} (C{Create_Process} and C{extractInheritedSocks} in
    C{src/condor_daemon_core.V6/daemon_core.cpp}); the gridmanager gives its GAHPs no
    sockets.

    No error shows the value.  The keys of security sessions are in another variable,
    C{CONDOR_PRIVATE_INHERIT}; but a socket, where there is one, is written down with the
    key of its encryption.

    @param text: the variable's value.
    @return: the parent's address.
    @raise ConfigurationError: it has none: the gridmanager did not know its own, or it
        was not HTCondor that set the variable.
    """
    words = text.split(" ", 2)
    if len(words) < 2 or not _isNumber(words[0]):
        raise ConfigurationError(
            "CONDOR_INHERIT does not begin with a process id and an address: only HTCondor"
            " can set it"
        )
    try:
        return Sinful(words[1])
    except ConfigurationError as e:
        raise ConfigurationError(
            f"CONDOR_INHERIT does not say where its setter listens: {e}"
        ) from e


def parseAddress(text: str) -> tuple[str, int]:
    """
    Read a setting of the form C{192.0.2.7:9618} or C{[2001:db8::7]:9618}.

    @param text: the setting's value.
    @return: the address, without brackets, and the port, which is not 0.
    @raise ConfigurationError: it is not of that form; names are not allowed.
    """
    where, _, port = text.rpartition(":")
    host = where[1:-1] if where[:1] == "[" and where[-1:] == "]" else where
    # Only an IPv6 address has brackets, and it always has.
    wellFormed = _isNumeric(host) and (":" in host) == (host != where)
    if not (wellFormed and _isNumber(port) and 0 < int(port) <= _HIGHEST_PORT):
        raise ConfigurationError(
            f"{text[:_SHOWN]!r} is no numeric address and port, such as 192.0.2.7:9618 or"
            " [2001:db8::7]:9618"
        )
    return host, int(port)


def _malformed(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"an address of HTCondor, <host:port?name=value&name=value>, {reason}"
    )


def _splitWhere(where: str) -> tuple[str, str]:
    """
    @return: host and port of what stands before the parameters.
    """
    if where[:1] != "[":
        host, _, port = where.partition(":")
        return host, port
    host, bracket, rest = where[1:].partition("]")
    if not bracket or rest[:1] not in ("", ":"):
        raise _malformed("has a bracket that does not enclose its host")
    return host, rest[1:]


def _parsePort(text: str) -> int:
    if not text:
        return 0
    if not _isNumber(text) or int(text) > _HIGHEST_PORT:
        raise _malformed("has a port that is no number up to 65535")
    return int(text)


def _sharedPortId(parameters: str) -> str:
    """
    @return: the last C{sock}; empty if there is none.
    """
    found = None
    for parameter in parameters.replace(";", "&").split("&"):
        name, _, value = parameter.partition("=")
        if parameter and not name:
            raise _malformed("has a parameter without a name")
        name, value = _decode(name), _decode(value)
        if name == "sock":
            found = value
    if found == "":
        # Taken for none, it would open every daemon behind the shared port.
        raise _malformed("has an empty parameter sock")
    return found or ""


def _decode(text: str) -> str:
    """
    Replace each C{%xx} by the byte that it means, as one character.
    """
    first, *others = text.split("%")
    decoded = [first]
    for other in others:
        code = other[:2]
        if len(code) < 2 or not _HEXADECIMAL.issuperset(code):
            raise _malformed("has a % without two hexadecimal digits")
        decoded.append(chr(int(code, 16)) + other[2:])
    return "".join(decoded)


def _isNumber(text: str) -> bool:
    """
    @return: whether it is a whole number, of as few digits as C{int} takes.
    """
    return text.isascii() and text.isdigit() and len(text) <= 20


def _isNumeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except (OSError, ValueError):  # ValueError: it is not even ASCII
            continue
    return False
