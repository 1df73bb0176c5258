# -*- test-case-name: tests.test_lastday -*-
"""
What was counted in the last day, piece by piece: for a plot.

Layer 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from rvgahp.counts import Counts

__all__ = ["COLUMNS", "STEP", "LastDay"]

STEP = 600
"""Seconds of one piece."""

_PIECES = 86400 // STEP

COLUMNS = ("starts", "failures", "stalls", "toSite", "fromSite")
"""What is counted; the last two in bytes."""


class LastDay:
    """
    Of one proxy, while it is looked at often enough: what is new since the last look belongs to
    the piece of time in which it is seen.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._former = _totals(counts)
        self._pieces: deque[dict[str, int]] = deque(maxlen=_PIECES)

    def look(self, now: float) -> None:
        """
        See what is new.

        @param now: seconds since 1970.
        """
        time = int(now) // STEP * STEP
        # A clock that was put back a little begins no piece, so that there is none twice.
        if self._pieces and time < self._pieces[-1]["time"] - STEP:
            self._wasAhead(time)
        elif not self._pieces or time > self._pieces[-1]["time"]:
            self._pieces.append({"time": time, **dict.fromkeys(COLUMNS, 0)})
        totals = _totals(self._counts)
        piece = self._pieces[-1]
        for name in COLUMNS:
            piece[name] += totals[name] - self._former[name]
        self._former = totals

    def _wasAhead(self, time: int) -> None:
        """
        The clock was put right: what was counted while it was ahead belongs to the present
        piece, or nothing would be seen until that time has come.
        """
        piece = {"time": time, **dict.fromkeys(COLUMNS, 0)}
        while self._pieces and self._pieces[-1]["time"] >= time:
            ahead = self._pieces.pop()
            for name in COLUMNS:
                piece[name] += ahead[name]
        self._pieces.append(piece)

    def pieces(self) -> list[dict[str, int]]:
        """
        @return: the pieces, the newest last: C{time}, when one begins, in seconds since 1970,
            and the numbers of L{COLUMNS}.
        """
        newest = self._pieces[-1]["time"] if self._pieces else 0
        return [dict(one) for one in self._pieces if one["time"] > newest - 86400]


def _totals(counts: Counts) -> Mapping[str, int]:
    carried = counts.carried
    return {
        "starts": counts.starts.total(),
        "failures": counts.failures.total(),
        "stalls": counts.stalls,
        "toSite": carried["received"] + carried["tunnelsReceived"],
        "fromSite": carried["sent"] + carried["tunnelsSent"],
    }
