# -*- test-case-name: tests.test_logrepeats -*-
"""
A message that comes again and again is written some times, and then told by its number.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from rvgahp import loglimits
from rvgahp.logrecord import LogRecord

__all__ = ["Repeats"]


class _Message:
    """
    One that was written.

    @ivar left: how often it may be within this period.
    @ivar omitted: how often it was not.
    @ivar last: the last of these.
    @ivar timer: until that is told; L{None} while there is nothing to tell.
    """

    def __init__(self, now: float) -> None:
        self.period = loglimits.REPEATS_PERIOD
        self.ends = now + self.period
        self.left = loglimits.REPEATS
        self.omitted = 0
        self.last: LogRecord | None = None
        self.timer: Any = None

    def isOver(self, now: float) -> bool:
        """
        @return: whether its period is, and nothing is to be told.
        """
        return self.timer is None and self.ends <= now


class Repeats:
    """
    What a log is told goes through here.
    """

    def __init__(self, clock: IReactorTime, write: Callable[[LogRecord], object]) -> None:
        """
        @param write: called with what is to be written.
        """
        self._clock = clock
        self._write = write
        self._known: dict[tuple[Any, ...], _Message] = {}  # that of the oldest period first

    def put(self, record: LogRecord) -> None:
        """
        Write it, or count it if it has been said often of late.  What ends a daemon is always
        written.
        """
        if record.level == "critical":
            self._write(record)
            return
        now = self._clock.seconds()
        self._forget(now)
        message = self._known.get(record.key)
        if message is None or message.isOver(now):
            self._known.pop(record.key, None)
            message = self._known[record.key] = _Message(now)
        if message.left:
            message.left -= 1
            self._write(record)
            return
        message.omitted += 1
        message.last = record
        if message.timer is None:
            left = max(0.0, message.ends - now)
            message.timer = self._clock.callLater(left, self._periodOver, record.key)

    def close(self) -> None:
        """
        Tell what has not been told.
        """
        for key in list(self._known):
            self._drop(key)

    def _forget(self, now: float) -> None:
        """
        The oldest that are over, and those that are too many.
        """
        while self._known:
            key = next(iter(self._known))
            if not self._known[key].isOver(now):
                break
            del self._known[key]
        while len(self._known) >= loglimits.REPEATS_KEYS:
            self._drop(next(iter(self._known)))

    def _drop(self, key: tuple[Any, ...]) -> None:
        message = self._known.pop(key)
        if message.timer is not None:
            message.timer.cancel()
            self._tell(message)

    def _periodOver(self, key: tuple[Any, ...]) -> None:
        """
        If it was repeated it is so again, perhaps: it is told by its number at once.
        """
        message = self._known.pop(key)
        message.timer = None
        self._tell(message)
        message.period = min(2 * message.period, loglimits.REPEATS_LONGEST_PERIOD)
        message.ends = self._clock.seconds() + message.period
        self._known[key] = message

    def _tell(self, message: _Message) -> None:
        assert message.last is not None  # there is a timer, or was
        last, count, message.omitted, message.last = message.last, message.omitted, 0, None
        more = f" ({count} more within {message.period:g} s)"
        fields = {**last.fields, "repeated": count}
        self._write(last._replace(text=last.text + more, fields=fields))
