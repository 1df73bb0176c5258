# -*- test-case-name: tests.test_appendedfile -*-
"""
A file of lines that is appended to, and that somebody else may move away, remove or
truncate.

Layer 3.
"""

from __future__ import annotations

import errno
import os

__all__ = ["AppendedFile"]

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class AppendedFile:
    """
    Each line is one write.  Whether the file still has its name is looked at before; if not,
    another is opened.

    @ivar fd: of the open file; -1 if there is none.
    """

    def __init__(self, mode: int) -> None:
        """
        @param mode: of a file that is made, less the umask.
        """
        self._mode = mode
        self._identity = (0, 0)
        self._isTorn = False
        self.fd = -1

    def open(self, path: str) -> None:
        """
        Open it, and make it if it is not there.

        @raise OSError: that cannot be.
        """
        fd = os.open(path, _FLAGS, self._mode)
        self.close()
        self.fd = fd
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != self._identity:
            self._isTorn = False
        self._identity = found.st_dev, found.st_ino

    def append(self, path: str, line: bytes) -> None:
        """
        @param line: with its end.
        @raise OSError: it was not written, or not whole.
        """
        self.follow(path)
        self.write(line)

    def follow(self, path: str) -> None:
        """
        See that the open file is the one that has this name.

        @raise OSError: there is none, and none can be made; what was open still is.
        """
        if not self._isCurrent(path):
            self.open(path)

    def write(self, line: bytes) -> None:
        """
        The same as L{append}, whatever name the open file has.
        """
        if self._isTorn:
            line = b"\n" + line  # so that only the one before is broken
        count = os.write(self.fd, line)
        self._isTorn = count < len(line)
        if self._isTorn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def size(self) -> int:
        """
        @return: bytes of the open file.
        """
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        """
        Let go of it.
        """
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _isCurrent(self, path: str) -> bool:
        """
        @return: whether the file that is open is the one that has this name.
        """
        if self.fd < 0:
            return False
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity
