# -*- test-case-name: tests.test_tcpconnect -*-
"""
Dials one TCP address and gives back a plain connected socket.

Layer 1: driven by any reactor-like loop.
"""

from __future__ import annotations

import errno
import os
import socket

from rvgahp.descriptor import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.descriptor import Loop

_PENDING = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class TCPConnect(Descriptor):
    """
    One address being dialled.  L{close} gives it up.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        timeout: float,
        connected: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> None:
        """
        @param host: an IPv4 or IPv6 address.
        @param timeout: seconds.
        @param connected: called with the socket, non-blocking and without Nagle's delay.
        @param failed: called with a clause for people.  Neither is called from in here.
        @raise OSError: no descriptor, or no such family on this host.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.connection = socket.socket(family, socket.SOCK_STREAM)
        self.connection.setblocking(False)
        super().__init__(loop, self.connection.fileno(), self.connection)
        self._connected = connected
        self._report = failed
        self._deadline = loop.callLater(timeout, self._failed, f"no answer within {timeout:g} s")
        problem = self.connection.connect_ex((host, port))
        if problem and problem not in _PENDING:
            loop.callLater(0, self._failed, os.strerror(problem))
        else:
            self._writing = True
            loop.addWriter(self)

    def doWrite(self) -> None:
        problem = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._failed(os.strerror(problem))
            return
        self._loop.removeWriter(self)
        self._writing = False
        self.isClosed = True  # the socket is the caller's now
        self._deadline.cancel()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connected(self.connection)

    def connectionLost(self, reason: object) -> None:
        self._writing = False
        problem = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._failed(os.strerror(problem) if problem else "the connection was refused")

    def close(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        super().close()

    def _failed(self, problem: str) -> None:
        if not self.isClosed:
            self.close()
            self._report(problem)
