# -*- test-case-name: tests.test_logsinks -*-
"""
Where a log goes: a file, what our output leads to, the journal.  None of them waits.

Layer 3.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from rvgahp import loglimits
from rvgahp.appendedfile import AppendedFile

__all__ = ["JOURNAL_SOCKET", "FileSink", "JournalSink", "LogSink", "OutputSink", "journalOutput"]

JOURNAL_SOCKET = "/run/systemd/journal/socket"
"""Where the journal takes datagrams (C{https://systemd.io/JOURNAL_NATIVE_PROTOCOL})."""

_MODE = 0o666  # less the umask, as of twistd's own log


class LogSink(Protocol):
    """
    Takes the events of a log.
    """

    def put(self, data: bytes) -> None:
        """
        @param data: one event, as this sink wants it.
        @raise BlockingIOError: it cannot be taken now.
        @raise OSError: it cannot be taken.
        """


class FileSink:
    """
    A file.  When it is too large it becomes C{FILE.1}, and what that was C{FILE.2}.  Others may
    do so in our place, whenever they like (logrotate, with or without C{copytruncate}).
    """

    def __init__(self, path: str, largest: Callable[[], int], most: Callable[[], int]) -> None:
        """
        @param largest: tells how many bytes it may have; 0: any number.
        @param most: tells how many former files are kept.
        @raise OSError: it cannot be opened.
        """
        self._path = os.path.abspath(path)
        self._largest = largest
        self._most = most
        self._tried = 0  # the size at which it could not be renamed
        self._file = AppendedFile(_MODE)
        self._file.open(self._path)

    def put(self, data: bytes) -> None:
        self._follow()
        largest = self._largest()
        if largest:
            size = self._file.size()
            if size < self._tried:
                self._tried = 0  # it is another, or was truncated
            if size and size + len(data) > self._tried + largest:
                self._turn(size)
                self._follow()
        self._file.write(data)

    def _follow(self) -> None:
        """
        As long as no file of this name can be opened the former one serves, where that is.
        """
        try:
            self._file.follow(self._path)
        except OSError:
            if self._file.fd < 0:
                raise

    def _turn(self, size: int) -> None:
        """
        Let the file be a former one.  If its name is not ours to change, it just grows.
        """
        try:
            _turn(_ownName(self._path), self._most())
        except OSError:
            self._tried = size


def _ownName(path: str) -> str:
    """
    @return: the file's own name, where C{path} is a link to it.
    @raise OSError: it is a link to a link, such as C{/dev/stdout}.  Who makes these has none in
        mind that may be renamed.
    """
    if not os.path.islink(path):
        return path
    name = os.path.join(os.path.dirname(path), os.readlink(path))
    if os.path.islink(name):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return name


def _turn(name: str, most: int) -> None:
    """
    @param most: how many former files are kept.
    """
    if not most:
        os.unlink(name)
        return
    for number in range(most - 1, 0, -1):
        with suppress(FileNotFoundError):
            os.rename(f"{name}.{number}", f"{name}.{number + 1}")
    os.rename(name, f"{name}.1")


class OutputSink:
    """
    One of our own descriptors, that we may share with others: it stays a blocking one.
    """

    def __init__(self, fd: int) -> None:
        self._fd = _unblocked(fd) if os.isatty(fd) else fd
        isSocket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        self._socket = socket.socket(fileno=os.dup(fd)) if isSocket else None
        self._isTorn = False

    def put(self, data: bytes) -> None:
        data = b"\n" + data if self._isTorn else data
        left = data
        while left:
            try:
                count = self._some(left)
            except BlockingIOError:
                self._isTorn = self._isTorn or len(left) < len(data)
                raise
            left = left[count:]
        self._isTorn = False

    def _some(self, data: bytes) -> int:
        """
        @return: how many bytes have been taken.
        """
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._fd, data[: loglimits.PIPE_BYTES])


def _unblocked(fd: int) -> int:
    """
    A terminal is not like a pipe: it says that it has room when that is for one byte only, and
    then a write waits for who reads it.

    @return: the same terminal, opened anew so that none does; if that is not allowed, as after
        C{su}, the one that we have.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return fd


class JournalSink:
    """
    The journal, by its own protocol.  It may be restarted at any time.
    """

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        """
        @param path: of its socket.
        """
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def put(self, data: bytes) -> None:
        self._socket.sendto(data, socket.MSG_NOSIGNAL, self._path)


def journalOutput(environ: Mapping[str, str]) -> int | None:
    """
    @return: the one of stderr and stdout that the service manager has connected to the journal
        (C{JOURNAL_STREAM}, C{systemd.exec(5)}); L{None} if neither is.
    """
    for fd in (2, 1):
        with suppress(OSError):
            found = os.fstat(fd)
            if environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}":
                return fd
    return None
