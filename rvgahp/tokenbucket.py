# -*- test-case-name: tests.test_tokenbucket -*-
"""
How often something may be done: so many times a second in the long run, and more at once.

Layer 0: no clock; the time is passed in.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["TokenBuckets"]


class TokenBuckets:
    """
    One bucket for each who does it.  What is asked for in vain costs nothing, so that asking
    again and again makes nothing worse; and rate and burst are given at each use, so that
    they may change.
    """

    def __init__(self, most: int) -> None:
        """
        @param most: buckets that are not full, at the most; who comes when there are so many
            is refused.
        """
        self._most = most
        # What has been taken and not come back yet, and when that was so.
        self._taken: dict[Hashable, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, who: Hashable, rate: float, burst: float, now: float) -> bool:
        """
        @param rate: what comes back in a second; more than 0.
        @param burst: what a full bucket has.
        @param now: seconds of a clock that does not go back.
        @return: whether there was one left.
        """
        taken, since = self._taken.get(who, (0.0, now))
        taken = max(0.0, taken - rate * (now - since))
        if taken + 1 > burst:
            return False
        if who not in self._taken and len(self._taken) >= self._most:
            self._dropFull(rate, now)
            if len(self._taken) >= self._most:
                return False
        self._taken[who] = taken + 1, now
        return True

    def _dropFull(self, rate: float, now: float) -> None:
        """
        Forget those to whom all has come back.
        """
        left = {who: one for who, one in self._taken.items() if one[0] > rate * (now - one[1])}
        self._taken = left
