# -*- test-case-name: tests.test_tunnelprobe -*-
"""
A connection to a session's tunnel port that the CE makes itself, as the GAHP would: for
whoever wants to know whether the way is open.  C{doc/protocol.rst}, step 4a.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred

from rvgahp import tunnellimits
from rvgahp.descriptor import Descriptor
from rvgahp.tcpconnect import TCPConnect


class _Connection(Descriptor):
    """
    The connection.
    """

    def __init__(self, loop: Any, connection: socket.socket, probe: TunnelProbe) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self._probe = probe
        self.resumeReading()

    def dataReceived(self, data: bytes) -> None:
        self._probe.bytesReceived(data)

    def readEnded(self, problem: str) -> None:
        self._probe.bytesEnded(problem)

    def writeFailed(self, problem: str) -> None:
        self._probe.bytesEnded(problem)


class TunnelProbe:
    """
    One connection, which ends when the tunnel does, when enough has come back, or when its
    time is over.

    @ivar done: fires with the values of L{rvgahp.commands.DialTunnel}.
    @ivar tunnel: its number, once it has one.
    """

    def __init__(self, loop: Any, port: int, request: bytes) -> None:
        """
        @param port: the tunnel's.
        @param request: what is sent.
        @raise OSError: no descriptor is left.
        """
        self._loop = loop
        self._request = request
        self._answer = b""
        self._problem = ""
        self._connection: _Connection | None = None
        self.done: Deferred[dict[str, Any]] = Deferred()
        self.tunnel = 0
        limit = tunnellimits.PROBE_TIMEOUT
        self._dialling = TCPConnect(
            loop, "127.0.0.1", port, limit, self._connected, self._notConnected
        )
        self._address = self._dialling.connection.getsockname()
        self._timer = loop.callLater(limit, self._late, limit)

    def isFrom(self, connection: socket.socket) -> bool:
        """
        @return: whether this accepted connection is ours.
        """
        try:
            return bool(connection.getpeername() == self._address)
        except OSError:
            return False

    def ended(self, reason: str) -> None:
        """
        The tunnel is over; it knows better than our end of it why.

        @param reason: a clause for people.
        """
        self._finish(reason)

    # -- the connection -----------------------------------------------------

    def _connected(self, connection: socket.socket) -> None:
        self._connection = _Connection(self._loop, connection, self)
        self._connection.write([self._request])

    def _notConnected(self, problem: str) -> None:
        self._finish(f"rvgahp-ce could not connect to its own tunnel port: {problem}")

    def bytesReceived(self, data: bytes) -> None:
        """
        Something came back.
        """
        self._answer = (self._answer + data)[: tunnellimits.PEEK_BYTES]
        if len(self._answer) == tunnellimits.PEEK_BYTES:
            self._finish("")

    def bytesEnded(self, problem: str) -> None:
        """
        Nothing more will come.
        """
        if problem:
            self._problem = problem  # the tunnel has not said yet what is behind it
        else:
            self._finish("")

    def _late(self, limit: float) -> None:
        self._finish(self._problem or f"its end did not come within {limit:g} s")

    def _finish(self, problem: str) -> None:
        if self.done.called:
            return
        if self._timer.active():
            self._timer.cancel()
        self._dialling.close()
        if self._connection is not None:
            self._connection.close()
        self.done.callback({"answer": self._answer, "problem": problem})
