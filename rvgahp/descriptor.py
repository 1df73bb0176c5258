# -*- test-case-name: tests.test_descriptor -*-
"""
Descriptors whose writes go out at once, with exact knowledge of what has gone.

Layer 1: the standard library; driven by any reactor-like loop (L{rvgahp.poller}
in the client, Twisted's in the CE).  Twisted's own transports write in the
reactor's next turn and do not tell when bytes have left them, and an
acknowledgement of ours means that they have.

The loop calls C{doRead}, C{doWrite}, C{fileno}, C{logPrefix} and
C{connectionLost} as Twisted's does; none of them returns a reason to close, since
each descriptor closes itself.
"""

from __future__ import annotations

import os
from collections import deque

from rvgahp import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    class Loop(Protocol):
        """
        What is used of a reactor.
        """

        def addReader(self, reader: Any) -> Any: ...

        def removeReader(self, reader: Any) -> Any: ...

        def addWriter(self, writer: Any) -> Any: ...

        def removeWriter(self, writer: Any) -> Any: ...

        def callLater(self, delay: float, callable: Callable[..., object], *args: Any) -> Any: ...

        def seconds(self) -> float: ...


#: Pieces given to one C{writev}; the kernel takes 1024.
_PIECES = 64

#: Pieces shorter than this that have to wait are put together, up to so many bytes:
#: apart, each would take some hundred bytes more.
SMALL = 1024
GATHERED = 64 * 1024

#: Bytes of one write to a descriptor that is non-blocking, or never blocks long.
_UNLIMITED = 1 << 30


class Descriptor:
    """
    One descriptor, its queue of bytes to be written, and its place in the loop.

    Subclasses say what happens: L{dataReceived}, L{readEnded}, L{progressed},
    L{writeFailed}.

    @ivar unsent: bytes written here that the kernel has not taken.
    """

    def __init__(self, loop: Loop, fd: int, owner: socket.socket | None = None) -> None:
        """
        @param fd: the descriptor; closed by L{close}.
        @param owner: the socket object it belongs to, if any: then half-close is
            a C{shutdown}, and L{close} closes the object.
        """
        self._loop = loop
        self._fd = fd
        self._owner = owner
        self._queue: deque[memoryview | bytearray] = deque()
        self.unsent = 0
        self._reading = self._writing = self._ending = False
        self.isClosed = False
        #: bytes of one write, at the most; if this is made small, as it must be where
        #: the descriptor may block, nothing is written but when the loop says so
        self.writeBytes = _UNLIMITED

    # -- for the loop -------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self.isClosed else self._fd

    def logPrefix(self) -> str:
        return type(self).__name__

    def connectionLost(self, reason: object) -> None:
        """
        The loop found the descriptor hung up with nothing left to read.
        """
        self._reading = self._writing = False
        if self.isClosed:
            return
        if self._queue:
            self._fail("its other end is closed")
        else:
            self.readEnded("")

    def doRead(self) -> None:
        try:
            data = os.read(self._fd, limits.READ_BYTES)
        except BlockingIOError:
            return
        except OSError as e:
            self.pauseReading()
            self.readEnded(e.strerror or str(e))
            return
        if data:
            self.dataReceived(data)
        else:
            self.pauseReading()
            self.readEnded("")

    def doWrite(self) -> None:
        self._flush()
        if not self._queue and self._writing and not self.isClosed:
            self._writing = False
            self._loop.removeWriter(self)

    # -- requests -----------------------------------------------------------

    def resumeReading(self) -> None:
        """
        Read whenever there is something.
        """
        if not self._reading and not self.isClosed:
            self._reading = True
            self._loop.addReader(self)

    def pauseReading(self) -> None:
        """
        Leave what comes with the kernel.
        """
        if self._reading:
            self._reading = False
            self._loop.removeReader(self)

    def write(self, pieces: list[Any]) -> None:
        """
        Write now what the kernel takes, and the rest when it can take it.
        """
        if self.isClosed or self._ending:
            return
        count = 0
        # Not from inside doWrite, or one write would be made inside the other.
        if not self._queue and not self._writing and self.writeBytes == _UNLIMITED:
            count = self._writeNow(pieces)
        left = max(0, count)
        for piece in pieces:
            size = len(piece)
            if size > left:
                self._append(memoryview(piece)[left:])
                self.unsent += size - left
            left = max(0, left - size)
        if count < 0:
            self._flush()  # tells what is wrong
        elif count:
            self.progressed(count)
        self._watch()

    def endWriting(self) -> None:
        """
        Say end of file to the other side once all is written.
        """
        if self._ending or self.isClosed:
            return
        self._ending = True
        if not self._queue:
            self._shutdown()

    def close(self) -> None:
        """
        Close at once; what is unsent is lost.  Nothing is called afterwards.
        """
        if self.isClosed:
            return
        self.pauseReading()
        if self._writing:
            self._writing = False
            self._loop.removeWriter(self)
        self.isClosed = True
        self._queue.clear()
        self.unsent = 0
        if self._owner is not None:
            self._owner.close()
        else:
            os.close(self._fd)

    # -- to be overridden ---------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes were read.
        """

    def readEnded(self, problem: str) -> None:
        """
        There is nothing more to be read: end of file, or C{problem}.
        """

    def progressed(self, count: int) -> None:
        """
        The kernel took C{count} more bytes.
        """

    def writeFailed(self, problem: str) -> None:
        """
        Nothing more can be written; what is unsent is lost.
        """

    # -- inside -------------------------------------------------------------

    def _append(self, piece: Any) -> None:
        queue = self._queue
        if len(piece) >= SMALL or len(queue) < 2:
            queue.append(memoryview(piece))
            return
        # The last one is not the first, of which a part may be written already.
        last = queue[-1]
        if isinstance(last, bytearray) and len(last) < GATHERED:
            last += piece
        else:
            queue.append(bytearray(piece))

    def _watch(self) -> None:
        if self._queue and not self._writing and not self.isClosed:
            self._writing = True
            self._loop.addWriter(self)

    def _writeNow(self, pieces: list[Any]) -> int:
        """
        With nothing queued, most writes are taken whole, and need no queue.

        @return: bytes that the kernel took; -1 if there is a problem, which writing
            the queue will meet again.
        """
        try:
            return os.writev(self._fd, pieces)
        except BlockingIOError:
            return 0
        except OSError:
            return -1

    def _flush(self) -> None:
        while self._queue:
            try:
                count = os.writev(self._fd, self._nextPieces())
            except BlockingIOError:
                return
            except OSError as e:
                self._fail(e.strerror or str(e))
                return
            partial = count < self.unsent
            self._take(count)
            self.progressed(count)
            if self.isClosed or partial:
                break
        if self._ending and not self._queue and not self.isClosed:
            self._shutdown()

    def _nextPieces(self) -> list[memoryview | bytearray]:
        if len(self._queue) == 1 and len(self._queue[0]) <= self.writeBytes:
            return list(self._queue)
        pieces: list[memoryview | bytearray] = []
        left = self.writeBytes
        for piece in self._queue:
            pieces.append(memoryview(piece)[:left])
            left -= len(pieces[-1])
            if left <= 0 or len(pieces) == _PIECES:
                break
        return pieces

    def _take(self, count: int) -> None:
        self.unsent -= count
        while self._queue and len(self._queue[0]) <= count:
            count -= len(self._queue.popleft())
        if count:
            self._queue[0] = memoryview(self._queue[0])[count:]

    def _fail(self, problem: str) -> None:
        self._queue.clear()
        self.unsent = 0
        self._ending = True  # nothing more is taken
        # Not from inside write(): the caller is in the middle of something.
        self._loop.callLater(0, self._failed, problem)

    def _failed(self, problem: str) -> None:
        if not self.isClosed:
            self.writeFailed(problem)

    def _shutdown(self) -> None:
        if self._owner is None:
            self.close()  # a pipe has no other half
            return
        try:
            self._owner.shutdown(1)  # SHUT_WR
        except OSError:
            pass  # the other side was quicker
