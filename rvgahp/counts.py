# -*- test-case-name: tests.test_counts -*-
"""
What a daemon counts from its start on, for whoever plots it.

Layer 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rvgahp import watchlimits

__all__ = ["Counts", "Distribution"]

_START_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Seconds; the upper bounds of buckets."""

_OTHER = "other"
"""GAHPs whose names come when there are as many as L{watchlimits.COUNTED_GAHPS}."""

_STDIO = ("received", "sent")
_CARRIED = (*_STDIO, "tunnelsReceived", "tunnelsSent")


class Distribution:
    """
    How often a value fell into which bucket.

    @ivar bounds: the buckets' upper bounds; there is one more bucket, without a bound.
    @ivar counts: of the values in each.
    @ivar total: of all values.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """
        One more.
        """
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """
    Of one daemon.

    @ivar starts: GAHPs that were started, by name.
    @ivar startSeconds: how long that took.
    @ivar failures: starts that failed, by the name of the error.
    @ivar ends: sessions that have ended, by what ended them (C{doc/audit.rst}).
    @ivar outcomes: GAHPs that have ended, by how (L{rvgahp.gahpend}).
    @ivar refusals: what was refused to CEs, by what they wanted.
    @ivar stalls: times that a session had lost its channel.
    @ivar resumptions: times that one has got another.
    @ivar dials: of a CE's proxy.
    @ivar losses: dials that have failed, and connections that have ended, by the name of the error.
    @ivar carried: bytes, by the names that the answer to C{Ping} has for them.
    @ivar lag: seconds by which the event loop was late.
    """

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        self.startSeconds = Distribution(_START_BOUNDS)
        self.failures: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.stalls = self.resumptions = self.dials = 0
        self.losses: Counter[str] = Counter()
        self.carried: Counter[str] = Counter()
        self.lag = Distribution(_LAG_BOUNDS)

    def started(self, gahp: str, seconds: float) -> None:
        """
        A GAHP was started.
        """
        isKnown = gahp in self.starts or len(self.starts) < watchlimits.COUNTED_GAHPS
        self.starts[gahp if isKnown else _OTHER] += 1
        self.startSeconds.add(seconds)

    def told(self, former: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        """
        Something is otherwise with a session.

        @param former: what was told of it before; nothing, if that is the first time.
        @param news: what is told now.
        """
        self._carriedMore(former, news, _CARRIED)
        if news["stalled"] and not former.get("stalled"):
            self.stalls += 1
        self.resumptions += max(0, news["channels"] - max(1, former.get("channels", 1)))

    def ended(self, former: Mapping[str, int], last: Mapping[str, int]) -> None:
        """
        A session has ended.

        @param former: what was told before of the bytes of its stdin and stdout.
        @param last: what is told now.
        """
        self._carriedMore(former, last, _STDIO)

    def _carriedMore(
        self, former: Mapping[str, Any], news: Mapping[str, Any], names: Sequence[str]
    ) -> None:
        for name in names:
            self.carried[name] += max(0, news[name] - former.get(name, 0))
