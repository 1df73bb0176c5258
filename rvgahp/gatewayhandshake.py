# -*- test-case-name: tests.test_gatewayhandshake -*-
"""
Has a gateway connect us: a L{Negotiation} over a connected socket.

Layer 1: driven by any reactor-like loop.  What a gateway says is looked at (MSG_PEEK) before it
is read, and not a byte more than its answers is read: the rest is for whoever gets the socket.
"""

from __future__ import annotations

import os
import socket

from rvgahp import waylimits
from rvgahp.descriptor import Descriptor
from rvgahp.negotiation import GatewayRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.descriptor import Loop
    from rvgahp.negotiation import Negotiation

__all__ = ["GatewayHandshake"]


class GatewayHandshake(Descriptor):
    """
    One negotiation.  L{close} gives it up.  It has no limit of time of its own.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        negotiation: Negotiation,
        connected: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> None:
        """
        @param connection: to the gateway, non-blocking; ours until C{connected} is called.
        @param connected: called with it when we are connected.
        @param failed: called with a clause for people.  Neither is called from in here.
        """
        super().__init__(loop, connection.fileno(), connection)
        self._connection = connection
        self._negotiation = negotiation
        self._connected = connected
        self._report = failed
        self.write([negotiation.begin()])
        self.resumeReading()

    def doRead(self) -> None:
        try:
            seen = self._connection.recv(waylimits.GATEWAY_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError as e:
            self._refused(f"the connection broke ({e.strerror})")
            return
        if not seen:
            self.readEnded("")
            return
        try:
            taken, answer = self._negotiation.take(seen)
        except GatewayRefused as e:
            self._refused(str(e))
            return
        while taken:
            taken -= len(self._connection.recv(taken))
        if answer:
            self.write([answer])
        if self._negotiation.isDone:
            self._done()

    def readEnded(self, problem: str) -> None:
        self._refused(
            f"the connection broke ({problem})" if problem else "it closed the connection"
        )

    def writeFailed(self, problem: str) -> None:
        self._refused(f"the connection broke ({problem})")

    def connectionLost(self, reason: object) -> None:
        self._reading = self._writing = False
        problem = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.readEnded(os.strerror(problem) if problem else "")

    def _done(self) -> None:
        if self.unsent:
            self._refused("it answered before it was asked")
            return
        self.pauseReading()
        if self._writing:
            self._writing = False
            self._loop.removeWriter(self)
        self.isClosed = True  # the socket is the caller's now
        self._connected(self._connection)

    def _refused(self, problem: str) -> None:
        if not self.isClosed:
            self.close()
            self._report(problem)
