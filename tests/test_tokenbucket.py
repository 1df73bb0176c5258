"""
Tests of L{rvgahp.tokenbucket}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.tokenbucket import TokenBuckets


class BucketTests(SynchronousTestCase):
    """
    How many are let through.
    """

    def setUp(self) -> None:
        self.buckets = TokenBuckets(10)

    def taken(self, tries: int, now: float, who: str = "a") -> int:
        """
        @return: how many of so many tries succeed, with a rate of 5 and a burst of 50.
        """
        return sum(self.buckets.take(who, 5, 50, now) for _ in range(tries))

    def test_burst(self) -> None:
        """
        A full bucket has its burst, and then what the rate gives.
        """
        self.assertEqual(self.taken(100, 0.0), 50)
        self.assertEqual(self.taken(100, 0.1), 0)
        self.assertEqual(self.taken(100, 2.0), 10)
        self.assertEqual(self.taken(100, 1000.0), 50)

    def test_vain(self) -> None:
        """
        What is asked for in vain costs nothing: who asks all the time is served as often.
        """
        self.assertEqual(sum(self.taken(3, second / 100) for second in range(10_001)), 50 + 500)

    def test_others(self) -> None:
        """
        One's bucket is not another's.
        """
        self.assertEqual(self.taken(100, 0.0, "a"), 50)
        self.assertEqual(self.taken(100, 0.0, "b"), 50)

    def test_changed(self) -> None:
        """
        A rate and a burst that change count from the next try on.
        """
        self.taken(50, 0.0)
        self.assertFalse(self.buckets.take("a", 5, 50, 0.0))
        self.assertTrue(self.buckets.take("a", 5, 51, 0.0))
        self.assertFalse(self.buckets.take("a", 1, 10, 0.0))

    def test_bounded(self) -> None:
        """
        The table does not grow: those that are full again are forgotten, and if there are
        none, who is new is refused.
        """
        for number in range(10):
            self.assertTrue(self.buckets.take(number, 5, 50, 0.0))
        self.assertFalse(self.buckets.take("new", 5, 50, 0.0))
        self.assertTrue(self.buckets.take(3, 5, 50, 0.1))
        self.assertTrue(self.buckets.take("new", 5, 50, 0.3))
        self.assertEqual(len(self.buckets), 2)
        self.assertEqual(self.taken(100, 0.3, "3") + self.taken(100, 0.3, "new"), 50 + 49)

    @given(st.lists(st.floats(0, 2), max_size=200))
    def test_never(self, delays: list[float]) -> None:
        """
        Whenever they come, no more than burst and rate allow are let through in any time.
        """
        buckets, now = TokenBuckets(1), 0.0
        passed: list[float] = []
        for delay in delays:
            now += delay
            if buckets.take("", 2, 3, now):
                passed.append(now)
        for first in range(len(passed)):
            for last in range(first, len(passed)):
                allowed = 3 + 2 * (passed[last] - passed[first]) + 1e-6
                self.assertLessEqual(last - first + 1, allowed)
