# -*- test-case-name: tests.test_handedsockets -*-
"""
Sockets that systemd has opened for the proxy: C{sd_listen_fds(3)}.  They stay open while the
proxy is started again, so whoever dials meanwhile waits, and is not refused.

Layer 3; the standard library and L{rvgahp.errors}.

Descriptor 3 and those above it are ours if C{LISTEN_PID} is our pid.  C{LISTEN_FDNAMES} has
their names, with colons between them: C{FileDescriptorName=} of each socket's unit.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from rvgahp.errors import ConfigurationError

__all__ = ["CLIENTS", "PORT", "STATUS", "refuseBackground", "takeSockets"]

#: The names that sockets may have: for sites, for clients, and for C{rvgahp status}.
PORT = "port"
CLIENTS = "clients"
STATUS = "status"

_NAMES = (PORT, CLIENTS, STATUS)

_FIRST = 3

_MOST = 64

_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def _count(environ: MutableMapping[str, str]) -> int:
    """
    @return: how many sockets are meant for this process.
    @raise ConfigurationError: that cannot be said.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return 0
    number = environ.get("LISTEN_FDS", "")
    if not number.isdecimal() or len(number) > 9 or int(number) > _MOST:
        raise ConfigurationError(
            f"LISTEN_FDS is {number[:80]!a}, which is no number of sockets: 0 to {_MOST}."
        )
    return int(number)


def refuseBackground(environ: MutableMapping[str, str], isForeground: bool) -> None:
    """
    A process in the background is another one than that to which sockets were handed over.

    @raise ConfigurationError: twistd would go there, and there are sockets.
    """
    if not isForeground and _count(environ):
        raise ConfigurationError(
            "Sockets were handed over (LISTEN_FDS), and in the background they would be lost:"
            " give twistd the option --nodaemon."
        )


def takeSockets(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """
    Have the sockets that were handed over.  Neither they nor the variables are passed on to
    our own children.

    @return: by name.
    @raise ConfigurationError: one is not what its name says.
    """
    try:
        count = _count(environ)
        names = environ.get("LISTEN_FDNAMES", "").split(":")
    finally:
        for variable in _VARIABLES:
            environ.pop(variable, None)
    names += [""] * (count - len(names))
    found: dict[str, socket.socket] = {}
    try:
        for fd, name in enumerate(names[:count], _FIRST):
            _checkName(fd, name, found)
            found[name] = _take(fd, name)
    except ConfigurationError:
        for one in found.values():
            one.close()
        raise
    return found


def _checkName(fd: int, name: str, found: dict[str, socket.socket]) -> None:
    if name not in _NAMES:
        raise ConfigurationError(
            f"Descriptor {fd} was handed over as {name[:80]!a}: FileDescriptorName of a socket's"
            f" unit must be one of {', '.join(_NAMES)}."
        )
    if name in found:
        raise ConfigurationError(
            f"Two sockets were handed over as {name}: one unit, with one line ListenStream, is"
            " enough."
        )


def _take(fd: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        made = socket.socket(fileno=fd)
    except OSError as e:
        raise ConfigurationError(
            f"Descriptor {fd}, handed over as {name}, is no socket: {e.strerror}."
        ) from None
    problem = _problem(made, name)
    if problem:
        made.close()
        raise ConfigurationError(f"Descriptor {fd}, handed over as {name}, {problem}.")
    return made


def _problem(given: socket.socket, name: str) -> str:
    """
    @return: what is wrong with a socket, as a clause; empty if nothing is.
    """
    isTCP = given.family in (socket.AF_INET, socket.AF_INET6)
    if name == PORT and not isTCP:
        return "is not of TCP"
    if name != PORT and given.family != socket.AF_UNIX:
        return "is no UNIX socket"
    if given.type != socket.SOCK_STREAM:
        return "is not for streams (ListenStream)"
    if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen (Accept=no)"
    if name != PORT and not str(given.getsockname()).startswith("/"):
        return "has no path in the file system"
    return ""
