# -*- test-case-name: tests.test_refusals -*-
"""
Says why somebody was refused, and not more often than a log can bear.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from rvgahp import limits

#: Reasons that are told apart within one second; others are counted with the last.
_REASONS = 16


class Refusals:
    """
    The first refusal for a reason is told at once, those that follow within a second by
    their number.
    """

    def __init__(self, clock: IReactorTime, say: Callable[[str, int], object]) -> None:
        """
        @param say: told the reason and how many were refused for it.
        """
        self._clock = clock
        self._say = say
        self._more: Counter[str] = Counter()
        self._timer: Any = None

    def refused(self, reason: str) -> None:
        """
        One more.
        """
        if reason not in self._more and len(self._more) >= _REASONS:
            reason = next(reversed(self._more))
        if reason in self._more:
            self._more[reason] += 1
            return
        self._more[reason] = 0
        self._say(reason, 1)
        if self._timer is None:
            self._timer = self._clock.callLater(limits.REFUSALS_PERIOD, self._tell)

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
