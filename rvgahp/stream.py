# -*- test-case-name: tests.test_stream -*-
"""
One end of a reliable stream: C{doc/protocol.rst}, step 9.

Layer 0: no I/O and no clock.  It numbers bytes, keeps what the peer has not
acknowledged, drops what came twice, and says how much may be sent.  Which channel
carries the bytes is not its business.
"""

from __future__ import annotations

from collections import deque

from rvgahp.errors import ProtocolError
from rvgahp.frames import Frame, FrameReader, encodeFrame

#: Bytes that each stream may hold whatever the others of the process do.
ASSURED_BYTES = 1024 * 1024


class Budget:
    """
    What all streams of a process hold together.

    @ivar total: bytes above which each stream has only L{ASSURED_BYTES}.
    @ivar held: bytes held now, sent and not acknowledged or received and not
        delivered.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0

    def allowance(self, wanted: int) -> int:
        """
        @return: how many of C{wanted} bytes a stream may hold now.
        """
        if self.held < self.total:
            return wanted
        return min(wanted, ASSURED_BYTES)


class Stream:
    """
    One end of a stream.  Both directions are independent.

    @ivar window: bytes that we are willing to hold in either direction.
    @ivar end: offset behind the last byte written here.
    @ivar received: offset behind the last byte received.
    """

    def __init__(self, window: int, budget: Budget) -> None:
        """
        @param window: bytes that we are willing to hold in either direction.
        """
        self.window = window
        self._budget = budget
        # sending
        self.end = 0
        self._acknowledged = 0
        self._next = 0
        self._sent = 0  # the highest _next that any channel had
        self._peerLimit = 0
        self._chunks: deque[bytes] = deque()  # from _first on
        self._first = 0
        self._unsent: deque[bytes | memoryview] = deque()  # from _next on
        # receiving
        self.received = 0
        self._delivered = 0
        self._announced = 0
        self._limit = 0  # nothing may come before limit() has been told to the peer
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
        self._budget.held += len(frame)

    def room(self) -> int:
        """
        @return: payload bytes that may be appended now; 0 means wait for an
            acknowledgement.
        """
        own = self._acknowledged + self._budget.allowance(self.window)
        return max(0, min(own, self._peerLimit) - self.end - 4)

    def backlog(self) -> int:
        """
        @return: bytes written here that no channel has taken yet.
        """
        return self.end - self._next

    def nextRecord(self) -> tuple[int, bytes | memoryview] | None:
        """
        Take the next bytes to be sent on the present channel.

        @return: their offset and the bytes, or L{None} if there are none or the
            peer's limit forbids more.
        """
        if not self._unsent:
            return None
        allowed = self._peerLimit - self._next
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

        @raise ProtocolError: it acknowledges what was never sent.  One that is
            older than another is ignored.
        """
        if position > self._sent:
            raise ProtocolError("The peer acknowledged bytes that it was never sent.")
        self._acknowledged = max(self._acknowledged, position)
        self._peerLimit = max(self._peerLimit, limit)
        while self._chunks and self._first + len(self._chunks[0]) <= self._acknowledged:
            size = len(self._chunks.popleft())
            self._first += size
            self._budget.held -= size

    def resume(self, peerReceived: int, peerLimit: int) -> None:
        """
        A new channel is confirmed: begin again where the peer's bytes end, and tell
        once more what was delivered, for the last acknowledgement may be lost.

        @raise ProtocolError: the peer claims bytes that it was never sent.
        """
        if peerReceived > self._sent:
            raise ProtocolError("The peer claims to have bytes that it was never sent.")
        self._peerLimit = max(self._peerLimit, peerLimit)
        self._announced = 0
        # It may have acknowledged more since, over the channel that is replaced.
        self._next = max(peerReceived, self._acknowledged)
        self._unsent.clear()
        offset = self._first
        for chunk in self._chunks:
            skip = self._next - offset
            if skip < len(chunk):
                self._unsent.append(memoryview(chunk)[skip:] if skip > 0 else chunk)
            offset += len(chunk)

    def isAcknowledged(self) -> bool:
        """
        @return: whether the peer has delivered all that was written here.
        """
        return self._acknowledged == self.end

    # -- receiving ----------------------------------------------------------

    def receive(self, position: int, data: bytes) -> list[Frame]:
        """
        Bytes came, from offset C{position} on.

        @return: the frames in what is new of them.
        @raise ProtocolError: bytes are missing before them, they go beyond our
            limit, or they are no frames.
        """
        if self._isClosed:
            return []
        if position > self.received:
            raise ProtocolError("Bytes of the stream are missing.")
        end = position + len(data)
        if end > self._limit:
            raise ProtocolError("The peer sent beyond the window it was given.")
        fresh = data[self.received - position :] if position < self.received else data
        if not fresh:
            return []
        self.received = end
        self._budget.held += len(fresh)
        return self._reader.read(fresh)

    def deliver(self, cost: int) -> None:
        """
        Frames that cost C{cost} have reached their sink.
        """
        if self._isClosed:
            return
        self._delivered += cost
        self._budget.held -= cost

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
        allowance = self._budget.allowance(self.window)
        self._limit = max(self._limit, self._delivered + allowance)
        return self._limit

    def close(self) -> None:
        """
        The session is over: give back what was held.  Nothing is held after this.
        """
        self._isClosed = True
        self._budget.held -= self.end - self._first + self.undelivered()
        self._chunks.clear()
        self._unsent.clear()
        self._first = self.end
        self._delivered = self.received
