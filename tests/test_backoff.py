"""
Tests of L{rvgahp.backoff}.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    """
    How long is waited.
    """

    def test_grows(self) -> None:
        """
        The first wait is short and exact, later ones grow with jitter between a half and
        the whole of the doubled one, up to the longest.
        """
        backoff = Backoff(Random(7))
        self.assertEqual(backoff.delay(), limits.REDIAL_FIRST)
        whole = limits.REDIAL_FIRST
        for _ in range(1000):
            whole = min(whole * limits.REDIAL_FACTOR, limits.REDIAL_LONGEST)
            delay = backoff.delay()
            self.assertGreaterEqual(delay, whole / 2)
            self.assertLessEqual(delay, whole)

    def test_jitter(self) -> None:
        """
        Two sites that lost the proxy together do not dial it together.
        """
        first, second = Backoff(Random(1)), Backoff(Random(2))
        self.assertEqual(first.delay(), second.delay())
        for _ in range(10):
            self.assertNotEqual(first.delay(), second.delay())

    def test_success(self) -> None:
        """
        An answer makes the next wait short again.
        """
        backoff = Backoff(Random(7))
        for _ in range(20):
            backoff.delay()
        backoff.succeeded()
        self.assertEqual(backoff.delay(), limits.REDIAL_FIRST)
        self.assertGreater(backoff.delay(), limits.REDIAL_FIRST / 2)
