# -*- test-case-name: tests.test_frontsent -*-
"""
What was sent to a GAHP: lines until the CE has confirmed them, and requests until their
results have come.

Layer 0: L{rvgahp.frontlimits} and the front's own modules below it; time is passed in.
"""

from __future__ import annotations

from collections import deque

from rvgahp import frontlimits
from rvgahp.frontqueue import RUNNING, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rvgahp.frontrules import Timers

    #: What a line stands for: a command, or what takes the reply to a line of the front's own.
    Sent = Command | Callable[[list[bytes]], None]

_EVER = float("inf")


class Lines:
    """
    Lines in the order they were sent, until they are confirmed.
    """

    def __init__(self) -> None:
        self._lines: deque[tuple[bytes, Sent]] = deque()

    def add(self, line: bytes, sent: Sent) -> None:
        """
        A line is sent, without its end.  It may be B{secret}.
        """
        self._lines.append((line, sent))

    def confirmed(self, count: int) -> list[Sent]:
        """
        @return: what the next C{count} lines stand for, which are with the GAHP.
        """
        return [self._lines.popleft()[1] for _ in range(min(count, len(self._lines)))]

    def takeBack(self, count: int) -> list[tuple[bytes, Sent]]:
        """
        @return: the last C{count} lines, the last of them first.
        """
        return [self._lines.pop() for _ in range(min(count, len(self._lines)))]


class Requests:
    """
    By id, the requests that were sent and whose results have not come.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._requests: dict[bytes, Command] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Command]:
        return iter(self._requests.values())

    def __contains__(self, requestId: bytes) -> bool:
        return requestId in self._requests

    def get(self, requestId: bytes) -> Command | None:
        """
        @return: the request, or L{None} if it is not here.
        """
        return self._requests.get(requestId)

    def add(self, command: Command, now: float) -> Command | None:
        """
        A request is sent.

        @return: the one that must be forgotten for its sake, if any.
        """
        forgotten = None
        if len(self._requests) >= frontlimits.FORGOTTEN:
            forgotten = next((one for one in self if not self._isBusy(one, now)), None)
            if forgotten is not None:
                self.remove(forgotten)
        self._requests[command.requestId] = command
        return forgotten

    def remove(self, command: Command) -> None:
        """
        Nothing more is to come for it, if it is here.
        """
        if self._requests.get(command.requestId) is command:
            del self._requests[command.requestId]

    def running(self) -> int:
        """
        @return: how many the GAHP has acknowledged.
        """
        return sum([command.state == RUNNING for command in self])

    def hasRoom(self, window: int, now: float) -> bool:
        """
        @return: whether the GAHP has fewer at work than C{window}; those for which the
            gridmanager does not wait any more do not count.
        """
        if len(self._requests) < window:
            return True
        return sum([self._isBusy(command, now) for command in self]) < window

    def _isBusy(self, command: Command, now: float) -> bool:
        """
        @return: whether the gridmanager still waits for it.
        """
        patience = self._timers.seconds[command.rule.timer]
        return not command.isAnswered and now < command.came + patience

    # -- what is owed -------------------------------------------------------

    def owe(self, now: float, isLive: bool) -> bool:
        """
        @return: whether one is owed that the GAHP has not got, or may still be about.
        """
        owed = [command for command in self if command.rule.isOwed]
        return any(command.owedUntil > now or not isLive for command in owed)

    def renew(self, now: float) -> None:
        """
        The GAHP can be heard again: what is owed and delivered has its time anew.
        """
        for command in self:
            if command.rule.isOwed and command.owedUntil < _EVER:
                command.owedUntil = now + frontlimits.LAST_RESULT

    def graceEnd(self, now: float) -> float | None:
        """
        @return: when the next of what is owed and delivered has had its time.
        """
        times = [command.owedUntil for command in self if command.rule.isOwed]
        return min([time for time in times if now < time < _EVER], default=None)
