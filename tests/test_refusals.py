"""
Tests of L{rvgahp.refusals}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.refusals import Refusals


class RefusalsTests(SynchronousTestCase):
    """
    What is told, and when.
    """

    def setUp(self) -> None:
        """
        Begin with nobody refused.
        """
        self.clock = Clock()
        self.told: list[tuple[str, int]] = []
        self.refusals = Refusals(self.clock, lambda *words: self.told.append(words))

    def test_first(self) -> None:
        """
        The first one of each reason is told at once.
        """
        self.refusals.refused("a")
        self.refusals.refused("b")
        self.assertEqual(self.told, [("a", 1), ("b", 1)])

    def test_flood(self) -> None:
        """
        A thousand in a moment are told in two lines, and the count is right; then it begins
        anew.
        """
        for _ in range(1000):
            self.refusals.refused("a")
        self.clock.advance(1)
        self.assertEqual(self.told, [("a", 1), ("a", 999)])
        self.clock.advance(10)
        self.refusals.refused("a")
        self.assertEqual(self.told[2:], [("a", 1)])

    def test_manyReasons(self) -> None:
        """
        Reasons without an end take no memory without an end, and none is forgotten.
        """
        for number in range(1000):
            self.refusals.refused(str(number))
        self.clock.advance(1)
        self.assertEqual(sum(count for _, count in self.told), 1000)
        self.assertLess(len(self.told), 20)

    def test_close(self) -> None:
        """
        At the end what was counted is told, and nothing is left to be called.
        """
        self.refusals.close()
        self.refusals.refused("a")
        self.refusals.refused("a")
        self.refusals.close()
        self.assertEqual(self.told, [("a", 1), ("a", 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
