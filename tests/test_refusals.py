"""
Tests of L{rvgahp.refusals}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.refusals import Refusals, Warnings


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
        self.refusals: Refusals[str] = Refusals(self.clock, lambda *words: self.told.append(words))

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

    def test_others(self) -> None:
        """
        Reasons beyond the first can be counted under a name of their own.
        """
        refusals = Refusals(self.clock, lambda *words: self.told.append(words), 10.0, "others")
        for number in range(100):
            refusals.refused(str(number))
        self.clock.advance(9.9)
        self.assertEqual(self.told[-1], ("others", 1))
        self.clock.advance(0.2)
        self.assertEqual(self.told[-1], ("others", 83))


class WarningsTests(SynchronousTestCase):
    """
    Lines that strangers cause.
    """

    def test_lines(self) -> None:
        """
        A line for each kind at once, one for those that follow within a period, and one for
        all beyond some.
        """
        clock = Clock()
        warnings = Warnings(clock, Logger(), 10.0)
        with capturedLogs() as logs:
            for number in range(1000):
                warnings.warn("From {address}: {what}", f"192.0.2.{number % 4}", "nothing")
            for number in range(1000):
                warnings.warn("From {address}: {what}", "192.0.2.9", f"nonsense {number}")
            clock.advance(10)
        lines = [formatEvent(event) for event in logs]
        self.assertEqual(lines[0], "From 192.0.2.0: nothing")
        self.assertIn("From 192.0.2.3: nothing (249 more within 10 s)", lines)
        others = "Connections and calls of others: various problems"
        self.assertEqual(lines[16], others)
        self.assertEqual(lines[-1], f"{others} (987 more within 10 s)")
        self.assertEqual(len(lines), 22)
        warnings.close()
        self.assertEqual(clock.getDelayedCalls(), [])
