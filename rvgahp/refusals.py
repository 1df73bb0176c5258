# -*- test-case-name: tests.test_refusals -*-
"""
Says why somebody was refused, and not more often than a log can bear.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rvgahp import tunnellimits

#: Reasons that are told apart within one period; others are counted with the last.
_REASONS = 16

#: What those are of whom warnings tell.
_NAMES = ("address", "user", "rule")

R = TypeVar("R")


class Refusals(Generic[R]):
    """
    The first refusal for a reason is told at once, those that follow within a period by
    their number.
    """

    def __init__(
        self,
        clock: IReactorTime,
        say: Callable[[R, int], object],
        period: float = tunnellimits.REFUSALS_PERIOD,
        others: R | None = None,
    ) -> None:
        """
        @param say: told the reason and how many were refused for it.
        @param period: seconds.
        @param others: what stands for all reasons beyond the first; by default the last
            of these.
        """
        self._clock = clock
        self._say = say
        self._period = period
        self._others = others
        self._more: Counter[R] = Counter()
        self._timer: Any = None

    def refused(self, reason: R) -> None:
        """
        One more.
        """
        if reason not in self._more and len(self._more) >= _REASONS:
            reason = next(reversed(self._more)) if self._others is None else self._others
        if reason in self._more:
            self._more[reason] += 1
            return
        self._more[reason] = 0
        self._say(reason, 1)
        if self._timer is None:
            self._timer = self._clock.callLater(self._period, self._tell)

    def close(self) -> None:
        """
        Tell what has not been told.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        more, self._more = self._more, Counter()
        for reason, count in more.items():
            if count:
                self._say(reason, count)


class Warnings:
    """
    Warnings that strangers can cause, as many as they like: the first of its kind is in the
    log at once, those that follow within a period have one line, and beyond some kinds all
    others have one together.
    """

    _OTHERS = ("Connections and calls of others: {what}", "", "various problems")

    def __init__(self, clock: IReactorTime, log: Logger, period: float) -> None:
        """
        @param log: where they go.
        @param period: seconds.
        """
        self._log = log
        self._period = period
        self._refusals: Refusals[tuple[str, str, str]] = Refusals(
            clock, self._say, period, self._OTHERS
        )

    def warn(self, form: str, who: str, what: str) -> None:
        """
        @param form: the line, with C{{what}} in it, and one of C{{address}}, C{{user}} and
            C{{rule}} for C{who}.
        """
        self._refusals.refused((form, who, what))

    def close(self) -> None:
        """
        Tell what has not been told.
        """
        self._refusals.close()

    def _say(self, key: tuple[str, str, str], count: int) -> None:
        form, who, what = key
        more = f" ({count} more within {self._period:g} s)"
        whose = {name: who for name in _NAMES if f"{{{name}}}" in form}
        self._log.warn(form + ("{more}" if count > 1 else ""), what=what, more=more, **whose)
