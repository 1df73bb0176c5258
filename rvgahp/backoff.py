# -*- test-case-name: tests.test_backoff -*-
"""
How long to wait before dialling again.

Layer 3.  No clock: it only counts.
"""

from __future__ import annotations

from random import Random

from rvgahp import limits


class Backoff:
    """
    The first wait is short, for most breaks are over at once; later ones grow, with
    jitter, so that a restarted proxy is not met by all its sites in one moment.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def succeeded(self) -> None:
        """
        The peer has B{answered}; that a connection was made proves nothing.
        """
        self._failures = 0

    def delay(self) -> float:
        """
        One more failure.

        @return: seconds to wait.
        """
        failures, self._failures = self._failures, self._failures + 1
        if failures == 0:
            return limits.REDIAL_FIRST
        grown = limits.REDIAL_FIRST * limits.REDIAL_FACTOR ** min(failures, 32)
        return min(grown, limits.REDIAL_LONGEST) * self._random.uniform(0.5, 1.0)
