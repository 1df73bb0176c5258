# -*- test-case-name: tests.test_clientstdio -*-
"""
The client's own stdin, stdout and stderr, left as they were found.

Layer 4: the standard library, and layers 0 and 1.
"""

from __future__ import annotations

import os
import stat
import time

from rvgahp import limits
from rvgahp.descriptor import Descriptor
from rvgahp.sink import Sink
from rvgahp.stderrqueue import StderrQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.clientface import Face
    from rvgahp.poller import Poller


def _mayBlock(fd: int) -> bool:
    """
    @return: whether C{fd} must stay as it is: it is no pipe or socket, or it is
        stderr too, and C{O_NONBLOCK} on it would lose lines of other programs.
    """
    mode = os.fstat(fd)
    if not (stat.S_ISFIFO(mode.st_mode) or stat.S_ISSOCK(mode.st_mode)):
        return True
    other = os.fstat(2)
    return (mode.st_dev, mode.st_ino) == (other.st_dev, other.st_ino)


def _isFile(fd: int) -> bool:
    """
    @return: whether C{fd} takes any write whole: a file, or /dev/null.
    """
    mode = os.fstat(fd).st_mode
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(fd))


class Standard(Descriptor):
    """
    One of the three.  Closed, it is /dev/null, so that no descriptor of ours takes its
    number.
    """

    def close(self) -> None:
        if not self.isClosed:
            super().close()
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            if null != self._fd:
                os.dup2(null, self._fd)
                os.close(null)


class Stdin(Standard):
    """
    Our stdin.  It is read only when poll(2) says so, and so need not be
    non-blocking.
    """

    def __init__(self, loop: Poller, face: Face) -> None:
        super().__init__(loop, 0)
        self._face = face

    def dataReceived(self, data: bytes) -> None:
        self._face.stdinReceived(data)

    def readEnded(self, problem: str) -> None:
        self._face.stdinEnded()


class Stderr(Standard):
    """
    Our stderr, which delays nothing.
    """

    def __init__(self, loop: Poller, emptied: Callable[[], object]) -> None:
        """
        @param emptied: called when all has been said.
        """
        super().__init__(loop, 2)
        self.writeBytes = limits.BLOCKING_WRITE_BYTES
        self._waiting = StderrQueue()
        self._emptied = emptied
        self._lastSaid = 0.0

    def put(self, data: bytes) -> None:
        """
        Say it as soon as it will be taken.
        """
        if self.isClosed:
            return
        self._waiting.put(data)
        if not self._writing:
            self._writing = True
            self._loop.addWriter(self)

    def doWrite(self) -> None:
        if not self._queue:
            self._queue.append(memoryview(self._waiting.takeLines(limits.BLOCKING_WRITE_BYTES)))
            self.unsent = len(self._queue[0])
        self._flush()
        self._lastSaid = self._loop.seconds()
        if self.isEmpty():
            self._writing = False
            self._loop.removeWriter(self)
            self._emptied()

    def isEmpty(self) -> bool:
        """
        @return: whether all has been said.
        """
        return self.isClosed or (not self._queue and not len(self._waiting))

    def linger(self) -> None:
        """
        Give our parent time to read what was said last, before we exit.
        """
        left = self._lastSaid + limits.LAST_WORDS - self._loop.seconds()
        if left > 0 and not self.isClosed:
            time.sleep(left)


class Stdout(Standard, Sink):
    """
    Our stdout.  While it is open it may be non-blocking.
    """

    def __init__(self, loop: Poller, face: Face) -> None:
        Sink.__init__(self, loop, 1, face.stdoutDelivered, lambda _: None)
        self._face = face
        self._restores = False
        if not _mayBlock(1):
            self._restores = os.get_blocking(1)
            os.set_blocking(1, False)
        elif not _isFile(1):
            self.writeBytes = limits.BLOCKING_WRITE_BYTES

    def writeFailed(self, problem: str) -> None:
        # First: what was held counts as written from now on, and we may be at our end.
        self._face.stdoutFailed(problem)
        super().writeFailed(problem)

    def close(self) -> None:
        if self._restores and not self.isClosed:
            os.set_blocking(1, True)
        super().close()
