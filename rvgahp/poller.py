# -*- test-case-name: tests.test_poller -*-
"""
The client's loop: as much of a reactor as L{rvgahp.descriptor} uses.

Layer 1: the standard library.  C{poll}, not C{epoll}: epoll refuses files, and
C{< file} and C{< /dev/null} are stdin like any other.  Twisted's reactor alone
costs 185 ms of start, in which the gridmanager spins.
"""

from __future__ import annotations

import heapq
import select

from rvgahp.bootclock import bootSeconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class DelayedCall:
    """
    A call to come.
    """

    __slots__ = ("args", "callable", "time")

    def __init__(
        self, when: float, callable: Callable[..., object] | None, args: tuple[Any, ...]
    ) -> None:
        self.time = when
        self.callable = callable
        self.args = args

    def cancel(self) -> None:
        """
        Not to be called after all.
        """
        self.callable = None

    def active(self) -> bool:
        """
        @return: whether it is still to come.
        """
        return self.callable is not None

    def __lt__(self, other: DelayedCall) -> bool:
        return self.time < other.time


class Poller:
    """
    Watches descriptors and the clock until it is stopped.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Any] = {}
        self._writers: dict[int, Any] = {}
        self._calls: list[DelayedCall] = []
        self._running = False

    def seconds(self) -> float:
        """
        @return: seconds of a clock that goes on while the machine sleeps.
        """
        return bootSeconds()

    def addReader(self, reader: Any) -> None:
        self._readers[reader.fileno()] = reader
        self._register(reader.fileno())

    def addWriter(self, writer: Any) -> None:
        self._writers[writer.fileno()] = writer
        self._register(writer.fileno())

    def removeReader(self, reader: Any) -> None:
        if self._readers.pop(reader.fileno(), None) is not None:
            self._register(reader.fileno())

    def removeWriter(self, writer: Any) -> None:
        if self._writers.pop(writer.fileno(), None) is not None:
            self._register(writer.fileno())

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any) -> DelayedCall:
        """
        @param delay: seconds.
        """
        call = DelayedCall(self.seconds() + delay, callable, args)
        heapq.heappush(self._calls, call)
        return call

    def run(self) -> None:
        """
        Go on until L{stop}.
        """
        self._running = True
        while self._running:
            timeout = self._runCalls()
            if self._running:
                self._wait(timeout)

    def stop(self) -> None:
        """
        L{run} returns after what is being called now.
        """
        self._running = False

    def _wait(self, timeout: float | None) -> None:
        for fd, event in self._poll.poll(timeout):
            if not self._running:
                return
            self._dispatch(fd, event)

    def _register(self, fd: int) -> None:
        events = (select.POLLIN if fd in self._readers else 0) | (
            select.POLLOUT if fd in self._writers else 0
        )
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def _runCalls(self) -> float | None:
        """
        @return: milliseconds to the next call, or L{None} if there is none.
        """
        calls = self._calls
        now = self.seconds()
        while calls and self._running:
            call = calls[0]
            if call.callable is None:
                heapq.heappop(calls)
            elif call.time <= now:
                heapq.heappop(calls)
                callable, call.callable = call.callable, None
                callable(*call.args)
            else:
                return max(0.0, call.time - now) * 1000 + 1
        return None

    def _dispatch(self, fd: int, event: int) -> None:
        reader, writer = self._readers.get(fd), self._writers.get(fd)
        if reader is not None and event & ~select.POLLOUT:
            reader.doRead()
        # The reader may have closed or replaced it.
        isStillThere = self._writers.get(fd) is writer
        if writer is not None and isStillThere and event & ~select.POLLIN:
            writer.doWrite()
