"""
Tests of L{rvgahp.counts}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import watchlimits
from rvgahp.counts import Counts, Distribution


class DistributionTests(SynchronousTestCase):
    """
    Buckets.
    """

    def test_buckets(self) -> None:
        """
        A value at a bound belongs to the bucket below it, one above all bounds to the last.
        """
        values = Distribution((1.0, 2.0))
        for value in (0.5, 1.0, 1.5, 2.0, 2.5):
            values.add(value)
        self.assertEqual((values.counts, values.total), ([2, 2, 1], 7.5))


class CountsTests(SynchronousTestCase):
    """
    What is counted.
    """

    def news(self, **changes: Any) -> dict[str, Any]:
        """
        @return: what a CE tells of a session.
        """
        news: dict[str, Any] = dict.fromkeys(("received", "sent"), 10)
        news |= dict.fromkeys(("tunnelsReceived", "tunnelsSent"), 0)
        return {**news, "stalled": 0, "channels": 1, **changes}

    def test_started(self) -> None:
        """
        Starts, by GAHP, and how long they took.
        """
        counts = Counts()
        for gahp, seconds in (("a", 0.2), ("b", 99.0), ("a", 0.2)):
            counts.started(gahp, seconds)
        self.assertEqual(counts.starts, {"a": 2, "b": 1})
        self.assertEqual((sum(counts.startSeconds.counts), counts.startSeconds.counts[-1]), (3, 1))

    def test_manyNames(self) -> None:
        """
        So many GAHPs are counted by name; whose names come later are counted together.
        """
        counts = Counts()
        for number in range(3 * watchlimits.COUNTED_GAHPS):
            counts.started(f"g{number}", 0.1)
        counts.started("g0", 0.1)
        self.assertEqual(len(counts.starts), watchlimits.COUNTED_GAHPS + 1)
        self.assertEqual(counts.starts["g0"], 2)
        self.assertEqual(counts.starts["other"], 2 * watchlimits.COUNTED_GAHPS)

    def test_carried(self) -> None:
        """
        Bytes are counted once, from the first that was told; what goes back, as that of a CE
        that lies, counts as nothing.
        """
        counts = Counts()
        first = self.news()
        counts.told({}, first)
        second = self.news(received=15, tunnelsSent=7)
        counts.told(first, second)
        counts.told(second, self.news(received=1))
        expected = {"received": 15, "sent": 10, "tunnelsReceived": 0, "tunnelsSent": 7}
        self.assertEqual(counts.carried, expected)

    def test_stalls(self) -> None:
        """
        A stall is counted when it begins, a resumption when there is another channel; the
        first channel is none.
        """
        counts = Counts()
        former: dict[str, Any] = {}
        for changes in (
            {"channels": 0},
            {"channels": 1},
            {"stalled": 5},
            {"stalled": 10},
            {"channels": 2},
            {"channels": 4},
        ):
            news = self.news(**changes)
            counts.told(former, news)
            former = news
        self.assertEqual((counts.stalls, counts.resumptions), (1, 3))
        counts.told({}, self.news(channels=3, stalled=1))
        self.assertEqual((counts.stalls, counts.resumptions), (2, 5))
