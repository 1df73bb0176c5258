# -*- test-case-name: tests.test_stream -*-
"""
One end of a reliable stream: C{doc/protocol.rst}, step 9.

Layer 0: no I/O and no clock.  It numbers bytes, keeps what the peer has not
acknowledged, drops what came twice, and says how much may be sent.  Which channel
carries the bytes is not its business.
"""

from __future__ import annotations

from collections import deque

from rvgahp import budget, limits
from rvgahp.budget import Budget, Kept, Share
from rvgahp.errors import ProtocolError, StreamBroken
from rvgahp.frames import HEADER, Frame, FrameReader, encodeFrame

#: Bytes that may be free at the end of the heap before glibc gives them to the kernel.  With
#: its own 128 KiB, the pages of each record are given away, fetched and cleared again: a
#: fifth of what a transfer takes of a processor.
_HEAP_FREE_BYTES = 8 * 1024 * 1024

# glibc sets it to twice the size of the largest mapping that was allocated and freed
# (mallopt(3), M_MMAP_THRESHOLD).  Of this one no page is ever touched.
_ = bytes(_HEAP_FREE_BYTES // 2)
del _

#: Bytes of one record where larger ones do not get across.
_SMALLEST = 4096


class Stream:
    """
    One end of a stream.  Both directions are independent.

    @ivar window: bytes that we are willing to hold in either direction, at the most.
    @ivar allowance: bytes that the peer may send ahead of delivery, if the budget
        allows it: as much of the window as the present pace asks for.
    @ivar end: offset behind the last byte written here.
    @ivar received: offset behind the last byte received.
    """

    def __init__(self, window: int, total: Budget) -> None:
        """
        @param window: bytes that we are willing to hold in either direction, at the most.
        """
        self.window = window
        # sending
        self.end = 0
        self._acknowledged = 0
        self._next = 0
        self._sent = 0  # the highest _next that any channel had
        self._peerLimit = 0
        self._chunks: deque[bytes] = deque()  # from _first on
        self._first = 0
        self._unsent: deque[bytes | memoryview] = deque()  # from _next on
        self._piece = limits.RECORD_DATA_BYTES  # of one record, at the most
        self._resumedAt = -1  # _next at the last resume()
        self._kept = Kept(total)  # from _first to end
        # receiving
        self.received = 0
        self.allowance = min(window, budget.ASSURED_BYTES)
        self._delivered = 0
        self._announced = 0
        self._limit = 0  # nothing may come before limit() has been told to the peer
        self._promised = Share(total)  # from _delivered to _limit
        self._reader = FrameReader()
        self._isClosed = False

    # -- sending ------------------------------------------------------------

    def send(self, kind: int, payload: bytes = b"") -> None:
        """
        Append a frame.  Data should respect L{room}; other frames need not.

        @raise ProtocolError: the payload is longer than a frame may be.
        """
        if self._isClosed:
            return
        frame = encodeFrame(kind, payload)
        self._chunks.append(frame)
        self._unsent.append(frame)
        self.end += len(frame)
        self._kept.resize(self.end - self._first)

    def room(self) -> int:
        """
        @return: payload bytes that may be appended now; 0 means wait for an
            acknowledgement.
        """
        own = min(self._acknowledged + self.window, self._first + self._kept.most())
        return max(0, min(own, self._peerLimit) - self.end - HEADER.size)

    def backlog(self) -> int:
        """
        @return: bytes written here that no channel has taken yet.
        """
        return self.end - self._next

    def isFull(self) -> bool:
        """
        @return: whether the peer has left more unacknowledged than a window.
        """
        return self.end - self._acknowledged > self.window

    def nextRecord(self) -> tuple[int, bytes | memoryview] | None:
        """
        Take the next bytes to be sent on the present channel.

        @return: their offset and the bytes, or L{None} if there are none or the
            peer's limit forbids more.
        """
        if not self._unsent:
            return None
        allowed = min(self._peerLimit - self._next, self._piece)
        if allowed <= 0:
            return None
        chunk = self._unsent.popleft()
        if len(chunk) > allowed:
            view = memoryview(chunk)
            self._unsent.appendleft(view[allowed:])
            chunk = view[:allowed]
        offset = self._next
        self._next += len(chunk)
        self._sent = max(self._sent, self._next)
        return offset, chunk

    def acknowledged(self, position: int, limit: int) -> None:
        """
        The peer has delivered all before C{position} and takes up to C{limit}.

        @raise StreamBroken: it acknowledges what was never sent.  One that is
            older than another is ignored.
        """
        if position > self._sent:
            raise StreamBroken("The peer acknowledged bytes that it was never sent.")
        if position > self._acknowledged:
            self._acknowledged = position
            self._piece = min(2 * self._piece, limits.RECORD_DATA_BYTES)
        self._peerLimit = max(self._peerLimit, limit)
        while self._chunks and self._first + len(self._chunks[0]) <= self._acknowledged:
            self._first += len(self._chunks.popleft())
        self._kept.resize(self.end - self._first)

    def resume(self, peerReceived: int, peerLimit: int) -> None:
        """
        A new channel is confirmed: begin again where the peer's bytes end, and tell
        once more what was delivered, for the last acknowledgement may be lost.

        @raise StreamBroken: the peer claims bytes that it was never sent.
        """
        if peerReceived > self._sent:
            raise StreamBroken("The peer claims to have bytes that it was never sent.")
        self._peerLimit = max(self._peerLimit, peerLimit)
        self._announced = 0
        # It may have acknowledged more since, over the channel that is replaced.
        self._next = max(peerReceived, self._acknowledged)
        self._kept.sentAgain(self._sent - self._next)
        # A connection that never lives for long must get something whole across.
        if self._next == self._resumedAt and self._next < self._sent:
            self._piece = max(_SMALLEST, self._piece // 4)
        self._resumedAt = self._next
        self._queueFrom(self._next)

    def _queueFrom(self, position: int) -> None:
        """
        All that is kept from C{position} on is to be sent.
        """
        self._unsent.clear()
        offset = self._first
        for chunk in self._chunks:
            skip = position - offset
            if skip < len(chunk):
                self._unsent.append(memoryview(chunk)[skip:] if skip > 0 else chunk)
            offset += len(chunk)

    def progress(self) -> int:
        """
        @return: just after L{resume}, a number that is greater than at the one before if
            anything has got across meanwhile, either way.
        """
        return self.received + self._next

    def carried(self) -> int:
        """
        @return: bytes that are known to have got across so far, both ways together.
        """
        return self.received + self._acknowledged

    def position(self) -> int:
        """
        @return: offset of the first byte that the present channel has not been given; just
            after L{resume}, of the first that the peer has not got.
        """
        return self._next

    def retract(self, offset: int) -> None:
        """
        Take back what was written from C{offset} on: it is as if it had never been.

        @param offset: where a frame begins that the peer has nothing of.
        @raise ProtocolError: it is no such place.
        """
        ends = {self.end}
        end = self.end
        chunks = list(self._chunks)
        while chunks and end > offset:
            end -= len(chunks.pop())
            ends.add(end)
        if offset not in ends or offset < self._next:
            raise ProtocolError("What the peer may have cannot be taken back.")
        self._chunks = deque(chunks)
        self.end = offset
        self._sent = min(self._sent, offset)
        self._kept.resize(self.end - self._first)
        self._queueFrom(self._next)

    def isAcknowledged(self, offset: int | None = None) -> bool:
        """
        @param offset: of our side; L{None} is the end.
        @return: whether the peer has delivered all that was written here before it.
        """
        return self._acknowledged >= (self.end if offset is None else offset)

    # -- receiving ----------------------------------------------------------

    def receive(self, position: int, data: bytes) -> list[Frame]:
        """
        Bytes came, from offset C{position} on.

        @return: the frames in what is new of them.
        @raise StreamBroken: bytes are missing before them, they go beyond our
            limit, or they are no frames.
        """
        if self._isClosed:
            return []
        if position > self.received:
            raise StreamBroken("Bytes of the stream are missing.")
        end = position + len(data)
        if end > self._limit:
            raise StreamBroken("The peer sent beyond the window it was given.")
        fresh = data[self.received - position :] if position < self.received else data
        if not fresh:
            return []
        self.received = end
        return self._reader.read(fresh)

    def deliver(self, cost: int) -> None:
        """
        Frames that cost C{cost} have reached their sink.
        """
        if self._isClosed:
            return
        self._delivered += cost
        self._promised.resize(self._limit - self._delivered)

    def undelivered(self) -> int:
        """
        @return: bytes received and not yet delivered.
        """
        return self.received - self._delivered

    def owing(self) -> int:
        """
        @return: delivered bytes that no acknowledgement on this channel has told of.
        """
        return self._delivered - self._announced

    def isDue(self) -> bool:
        """
        @return: whether it is time to tell: the peer may have only half of what it was
            allowed left.
        """
        return self.owing() >= min(limits.ACK_BYTES, (self._limit - self._announced) // 2)

    def widen(self) -> None:
        """
        What is owing came in a short time.  If the sink keeps up with it, allow more;
        if it does not, more would only lie here.
        """
        if self.undelivered() <= self.allowance // 2:
            wider = self.allowance + limits.ALLOWANCE_GROWTH * self.owing()
            self.allowance = min(self.window, wider)

    def narrow(self) -> None:
        """
        What is owing came slowly: halve the allowance, down to what is assured.  What
        was promised before counts until it has been used, with an idle stream for good.
        """
        self.allowance = max(self.allowance // 2, min(self.window, budget.ASSURED_BYTES))

    def acknowledgement(self) -> tuple[int, int]:
        """
        @return: the position and limit of an acknowledgement to be sent now.
        """
        self._announced = self._delivered
        return self._announced, self.limit()

    def limit(self) -> int:
        """
        @return: the offset up to which the peer may send; it never falls.
        """
        if not self._isClosed:
            allowed = self._delivered + min(self.allowance, self._promised.most())
            self._limit = max(self._limit, allowed)
            self._promised.resize(self._limit - self._delivered)
        return self._limit

    def close(self) -> None:
        """
        The session is over: give back what was held.  Nothing is held after this.
        """
        self._isClosed = True
        self._kept.resize(0)
        self._promised.resize(0)
        self._chunks.clear()
        self._unsent.clear()
        self._first = self.end
        self._delivered = self.received
