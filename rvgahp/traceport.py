# -*- test-case-name: tests.test_traceport -*-
"""
A port in the place of the gridmanager's, for a trace to see what comes out of a tunnel.

Layer 6: the standard library.  What is said there is what HTCondor's clients say to its
shared port (C{sendSharedPortID} in C{src/condor_io/shared_port_client.cpp}).
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from rvgahp.tunnellimits import PEEK_BYTES

#: C{SHARED_PORT_CONNECT} (C{src/condor_includes/condor_commands.h}).
_CONNECT = 75

#: What we call ourselves in a request, and the seconds that it gives the shared port.
_NAME = b"rvgahp trace"
_DEADLINE = 30

#: Connections that we hold at one time: anybody on this host can make some.
_CONNECTIONS = 16


def makeName(what: str) -> str:
    """
    @return: a shared port id that no daemon has, and nobody guesses.
    """
    return f"rvgahp_{what}_{os.getpid()}_{secrets.token_hex(8)}"


def connectRequest(sharedPortId: str) -> bytes:
    """
    @return: the first message of a connection for this daemon, as CEDAR sends it.
    """
    body = struct.pack(">q", _CONNECT) + sharedPortId.encode("ascii") + b"\0" + _NAME + b"\0"
    body += struct.pack(">qq", _DEADLINE, 0)
    return b"\1" + struct.pack(">I", len(body)) + body


class TracePort:
    """
    A port of this host alone.  To a connection with exactly the right request it answers
    with a word that nobody else knows, and closes.

    @ivar address: where it is.
    @ivar sharedPortId: whom a right request is for.
    @ivar request: it.
    @ivar word: the answer.
    @ivar arrivals: how many connections have come.
    @ivar answered: how many of them were answered.
    """

    def __init__(self) -> None:
        """
        @raise OSError: there is none to be had.
        """
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.setblocking(False)
        self.address: tuple[str, int] = self._port.getsockname()
        self.sharedPortId = makeName("trace")
        self.request = connectRequest(self.sharedPortId)
        self.word = secrets.token_hex(16).encode("ascii")
        self.arrivals = self.answered = 0
        self._connections: dict[int, tuple[socket.socket, bytearray]] = {}

    def inherit(self) -> str:
        """
        @return: what the gridmanager would put into C{CONDOR_INHERIT} if this port were its
            own, behind a shared port (L{rvgahp.sinful.parseInherit}).
        """
        host, port = self.address
        sinful = f"<{host}:{port}?addrs={host}-{port}&noUDP&sock={self.sharedPortId}>"
        return f"{os.getpid()} {sinful} 0 0"

    def close(self) -> None:
        """
        Close all.
        """
        self._port.close()
        for connection, _ in self._connections.values():
            connection.close()
        self._connections.clear()

    def look(self) -> int:
        """
        @return: how many connections have come by now.
        """
        with suppress(BlockingIOError):
            while True:
                self._accept()
        return self.arrivals

    # -- beside a question to the proxy -------------------------------------

    def descriptors(self) -> Sequence[int]:
        """
        @return: those that are to be watched.
        """
        return [self._port.fileno(), *self._connections]

    def serve(self, ready: Sequence[int]) -> None:
        """
        Some descriptors have something to read.
        """
        if self._port.fileno() in ready:
            self.look()
        for fd in ready:
            if fd in self._connections:
                self._read(fd)

    def _accept(self) -> None:
        connection, _ = self._port.accept()
        self.arrivals += 1
        if len(self._connections) >= _CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection, bytearray()

    def _read(self, fd: int) -> None:
        connection, heard = self._connections[fd]
        try:
            data = connection.recv(PEEK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        heard += data
        if data and self.request.startswith(heard) and heard != self.request:
            return  # there is more to come
        if heard == self.request:
            with suppress(OSError):
                connection.sendall(self.word)
                self.answered += 1
        del self._connections[fd]
        connection.close()
