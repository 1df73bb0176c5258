"""
A loop for tests: real descriptors, and a clock that goes on only when nothing else
is to be done.  So what takes minutes takes no time, and in the same order each time.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

#: Turns without an end in sight, after which a test is given up.
_TURNS = 200_000


class SteppedLoop(Clock):
    """
    As much of a reactor as L{rvgahp.descriptor.Loop} asks for.  Its delayed calls are
    Twisted's, which complain when one is cancelled too late; it treats a descriptor
    that is hung up as Twisted's epoll reactor does.  What a handler raises comes out
    of L{turn}, and so fails the test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Any] = {}
        self.writers: dict[int, Any] = {}

    def addReader(self, reader: Any) -> None:
        self.readers[reader.fileno()] = reader

    def addWriter(self, writer: Any) -> None:
        self.writers[writer.fileno()] = writer

    def removeReader(self, reader: Any) -> None:
        del self.readers[reader.fileno()]

    def removeWriter(self, writer: Any) -> None:
        del self.writers[writer.fileno()]

    def turn(self) -> bool:
        """
        Look at the descriptors once.

        @return: whether there was something to do.
        """
        self.advance(0)
        poll = select.poll()
        for fd in self.readers.keys() | self.writers.keys():
            wanted = (select.POLLIN if fd in self.readers else 0) | (
                select.POLLOUT if fd in self.writers else 0
            )
            poll.register(fd, wanted)
        events = sorted(poll.poll(0))
        for fd, event in events:
            self._dispatch(fd, event)
        return bool(events)

    def _dispatch(self, fd: int, event: int) -> None:
        assert not event & select.POLLNVAL, f"descriptor {fd} is watched and not open"
        selectable = self.readers.get(fd) or self.writers.get(fd)
        if selectable is None:
            return
        if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
            self.readers.pop(fd, None)
            self.writers.pop(fd, None)
            selectable.connectionLost(OSError("hung up"))
            return
        if event & select.POLLIN and fd in self.readers:
            self.readers[fd].doRead()
        if event & select.POLLOUT and fd in self.writers:
            self.writers[fd].doWrite()

    def settle(self) -> None:
        """
        Go on until there is nothing to do at this time.
        """
        for _ in range(_TURNS):
            if not self.turn():
                return
        raise AssertionError("it never comes to rest")

    def spend(self, seconds: float) -> None:
        """
        Go on until there is nothing to do for so long.
        """
        end = self.seconds() + seconds
        self.settle()
        while self.nextCall() <= end:
            self.advance(self.nextCall() - self.seconds())
            self.settle()
        self.advance(max(0.0, end - self.seconds()))
        self.settle()

    def until(self, isDone: Callable[[], object], seconds: float = 60.0) -> None:
        """
        Go on until C{isDone}, for so long at the most.
        """
        end = self.seconds() + seconds
        for _ in range(_TURNS):
            if isDone():
                return
            if not self.turn() and not isDone():
                if self.nextCall() > end:
                    break
                self.advance(max(0.0, self.nextCall() - self.seconds()))
        raise AssertionError(f"it was not done within {seconds} s")

    def nextCall(self) -> float:
        """
        @return: when the next delayed call is due.
        """
        return min((call.getTime() for call in self.getDelayedCalls()), default=float("inf"))


def socketPair(buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """
    @param buffer: bytes that the kernel is to hold each way; 0 for its own choice.
    @return: two connected sockets, non-blocking.
    """
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
        if buffer:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    return pair


def descriptorCount() -> int:
    """
    @return: how many descriptors this process has open.
    """
    return len(os.listdir("/proc/self/fd"))
