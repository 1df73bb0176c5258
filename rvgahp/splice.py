# -*- test-case-name: tests.test_splice -*-
"""
One end of a tunnel: a TCP connection spliced onto its stream.  C{doc/protocol.rst},
step 13.

Layer 1: driven by any reactor-like loop.  The CE's end has the GAHP's connection, the
client's the one to the gridmanager; they differ only in the kind of frame that each
sends and in what comes before the first byte.
"""

from __future__ import annotations

import socket
import struct

from rvgahp import frames, limits, tunnellimits
from rvgahp.carrier import Carrier
from rvgahp.errors import StreamBroken
from rvgahp.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rvgahp.descriptor import Loop
    from rvgahp.frames import Frame
    from rvgahp.stream import Stream

_RESET = struct.pack("ii", 1, 0)


def breakOnClose(connection: socket.socket) -> None:
    """
    When this TCP connection is closed, its other side is to know that it was no end in
    good order.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class _Connection(Sink):
    """
    The TCP connection.
    """

    def __init__(self, loop: Loop, connection: socket.socket, splice: Splice) -> None:
        """
        @param connection: connected and non-blocking; closed by L{close}.
        """
        super().__init__(
            loop, connection.fileno(), splice.delivered, splice.connectionFailed, connection
        )
        self._connection = connection
        self._splice = splice

    def dataReceived(self, data: bytes) -> None:
        self._splice.bytesReceived(data)

    def readEnded(self, problem: str) -> None:
        self._splice.bytesEnded(problem)

    def writeFailed(self, problem: str) -> None:
        # What was held is lost: were it said to be delivered, the other end would take
        # this for an end in good order.
        self._splice.connectionFailed(problem)

    def reset(self) -> None:
        """
        Close, and not in good order.
        """
        if not self.isClosed:
            breakOnClose(self._connection)
        self.close()


class Splice:
    """
    One end of a tunnel.  It is over when both directions have ended and are acknowledged,
    or when either end has failed.

    @ivar carrier: our end of the stream.
    @ivar sent: bytes that the connection gave to the stream.
    @ivar received: bytes that the stream gave to the connection.
    """

    def __init__(
        self,
        loop: Loop,
        stream: Stream,
        isSite: bool,
        over: Callable[[Splice, str], object],
        lease: float = float("inf"),
    ) -> None:
        """
        @param isSite: whether this is the CE's end.
        @param over: called once, with this and why it is over; empty if all was carried.
        @param lease: seconds without a word from the other end after which it is over.
        """
        self._loop = loop
        self.carrier = Carrier(loop, stream, self)
        self._over = over
        self._lease = lease
        if isSite:
            self._outgoing, self._outgoingEnd = frames.STDOUT, frames.END_STDOUT
            self._incoming, self._incomingEnd = frames.STDIN, frames.END_STDIN
        else:
            self._outgoing, self._outgoingEnd = frames.STDIN, frames.END_STDIN
            self._incoming, self._incomingEnd = frames.STDOUT, frames.END_STDOUT
        self._connection: _Connection | None = None
        self._isEnded = self._peerEnded = self._isOver = False
        self._failure = ""
        self._deadline: Any = None
        self.sent = self.received = 0

    # -- requests -----------------------------------------------------------

    def splice(self, connection: socket.socket) -> None:
        """
        This is the connection.

        @param connection: connected and non-blocking; it is ours now.
        """
        self._connection = _Connection(self._loop, connection, self)
        self.roomMade()

    def fail(self, sentence: str) -> None:
        """
        This end can't go on: tell the other, which breaks its connection.
        """
        if self._isOver or self._failure:
            return
        self._failure = sentence
        if self._connection is not None:
            self._connection.reset()
        if not self.carrier.generation:
            self._finish(sentence)  # there is nobody to be told
            return
        text = sentence.encode("utf-8")[: limits.CONTROL_FRAME_BYTES]
        self.carrier.send(frames.FAILED, text)
        self._deadline = self._loop.callLater(tunnellimits.END_TIMEOUT, self._finish, sentence)

    def close(self, reason: str) -> None:
        """
        Its session is over: the connection is broken, and nobody is told.

        @param reason: why, for C{over}.
        """
        if self._connection is not None:
            self._connection.reset()
        self._finish(reason)

    # -- from the connection ------------------------------------------------

    def bytesReceived(self, data: bytes) -> None:
        """
        The connection has something for the other side.
        """
        self.sent += len(data)
        self.carrier.send(self._outgoing, data)
        if not self.carrier.room() and self._connection is not None:
            self._connection.pauseReading()

    def bytesEnded(self, problem: str) -> None:
        """
        It will have no more.
        """
        if problem:
            self.connectionFailed(problem)
        else:
            self._isEnded = True
            self.carrier.send(self._outgoingEnd)

    def connectionFailed(self, problem: str) -> None:
        """
        It is broken.
        """
        self.fail(f"the tunnelled connection broke: {problem}")

    def delivered(self, cost: int) -> None:
        """
        Frames that cost so much have reached it, or cannot any more.
        """
        if not self._isOver:
            self.carrier.deliver(cost)
            self._finishWhenDone()

    # -- from the stream ----------------------------------------------------

    def channelOpened(self) -> None:
        self.roomMade()

    def roomMade(self) -> None:
        if self._isOver:
            return
        connection = self._connection
        if connection is not None and not self._isEnded and self.carrier.room():
            connection.resumeReading()
        self._finishWhenDone()

    def framesReceived(self, received: list[Frame]) -> None:
        for frame in received:
            if self._isOver:
                return
            if frame.kind == self._incoming:
                self.received += len(frame.payload)
                self._put(frame)
            elif frame.kind == self._incomingEnd:
                self._peerEnded = True
                self._put(frame)
                self._endIncoming()
            elif frame.kind == frames.FAILED:
                self._peerFailed(frame)
            else:
                raise StreamBroken(f"a frame of kind {frame.kind} is not for a tunnel")

    def _put(self, frame: Frame) -> None:
        """
        Bytes for the connection.
        """
        if self._connection is None or self._failure:
            self.carrier.deliver(frame.cost)
        else:
            self._connection.put(frame.payload, frame.cost)

    def _endIncoming(self) -> None:
        if self._connection is not None:
            self._connection.endWriting()

    def _peerFailed(self, frame: Frame) -> None:
        sentence = bytes(frame.payload).decode("utf-8", "replace")
        # It is to be read in a log here.
        self._failure = "".join(one if one.isprintable() else " " for one in sentence)
        if self._connection is not None:
            self._connection.reset()
        self.carrier.deliver(frame.cost)
        self.carrier.acknowledge()
        self._finish(f"its other end failed: {self._failure}")

    def channelLost(self, reason: str) -> None:
        stream = self.carrier.stream
        if self._failure:
            self._finish(self._failure)  # the other end will find nobody
        elif self._hasEnded() and stream.isAcknowledged() and not stream.undelivered():
            self._finish("")
        elif self.carrier.isRefused:
            self.forgotten(reason)
        elif not self._isOver:
            self.withoutChannel(reason)

    def withoutChannel(self, reason: str) -> None:
        """
        The channel broke, or one did not come to be; another is needed.
        """
        raise NotImplementedError

    def forgotten(self, reason: str) -> None:
        """
        The tunnel is over at the other end: all was carried, or it has failed there.
        """
        if self._hasEnded() and not self.carrier.stream.undelivered():
            self._finish("")
        else:
            self.close(reason)

    def _hasEnded(self) -> bool:
        return self._isEnded and self._peerEnded

    def peerSilent(self, seconds: float) -> None:
        if seconds >= self._lease:
            self.close(f"nothing was heard for the lease of {self._lease:g} s")

    # -- the end ------------------------------------------------------------

    def _finishWhenDone(self) -> None:
        """
        Both have ended, all is delivered and acknowledged, and the kernel has our last
        word.
        """
        stream = self.carrier.stream
        if self._failure:
            if stream.isAcknowledged():
                self._finish(self._failure)
            return
        if not self._hasEnded() or stream.undelivered():
            return
        self.carrier.acknowledge()
        if stream.isAcknowledged() and self.carrier.flushed():
            self._finish("")

    def _finish(self, reason: str) -> None:
        if self._isOver:
            return
        self._isOver = True
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.carrier.close()
        if self._connection is not None:
            self._connection.close()
        self._over(self, reason)
