"""
Tests of L{rvgahp.logrepeats}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import loglimits
from rvgahp.logrecord import LogRecord
from rvgahp.logrepeats import Repeats


def record(text: str, level: str = "warn") -> LogRecord:
    """
    @return: one that says this.
    """
    return LogRecord(0.0, level, "rvgahp.x", text, text, {"site": "a"}, (), (text,))


class RepeatsTests(SynchronousTestCase):
    """
    Messages that come often.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.written: list[LogRecord] = []
        self.repeats = Repeats(self.clock, self.written.append)

    def texts(self) -> list[str]:
        """
        @return: what has been written since the last call.
        """
        texts = [one.text for one in self.written]
        self.written.clear()
        return texts

    def test_flood(self) -> None:
        """
        The first are written, the others told by their number, less and less often, for as long
        as it goes on; then it is as at the beginning.
        """
        told = []
        for _ in range(3600):
            self.repeats.put(record("again"))
            self.clock.advance(1)
            told += self.texts()
        self.assertEqual(told[: loglimits.REPEATS], ["again"] * loglimits.REPEATS)
        numbers = told[loglimits.REPEATS :]
        self.assertEqual(numbers[0], "again (40 more within 60 s)")
        self.assertEqual(numbers[1], "again (120 more within 120 s)")
        self.assertEqual(numbers[-1], "again (600 more within 600 s)")
        self.assertLess(len(numbers), 10)
        self.clock.pump([600, 600, 600])
        self.texts()
        self.repeats.put(record("again"))
        self.assertEqual(self.texts(), ["again"])

    def test_none(self) -> None:
        """
        What is said seldom is written each time, and no timer is set for it.
        """
        for _ in range(100):
            self.repeats.put(record("now and then"))
            self.clock.advance(loglimits.REPEATS_PERIOD / (loglimits.REPEATS - 1))
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.texts(), ["now and then"] * 100)

    def test_others(self) -> None:
        """
        One message's number is not another's.
        """
        for number in range(200):
            self.repeats.put(record(f"session {number}"))
        self.assertEqual(len(self.texts()), 200)

    def test_field(self) -> None:
        """
        Programs find the number, and the other fields.
        """
        for _ in range(loglimits.REPEATS + 3):
            self.repeats.put(record("again"))
        self.clock.advance(loglimits.REPEATS_PERIOD)
        self.assertEqual(self.written[-1].fields, {"site": "a", "repeated": 3})

    def test_critical(self) -> None:
        """
        What ends a daemon is always written.
        """
        for _ in range(100):
            self.repeats.put(record("the end", "critical"))
        self.assertEqual(len(self.texts()), 100)

    def test_close(self) -> None:
        """
        At the end all is told, and nothing is left.
        """
        for _ in range(loglimits.REPEATS + 3):
            self.repeats.put(record("again"))
        self.texts()
        self.repeats.close()
        self.assertEqual(self.texts(), ["again (3 more within 60 s)"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """
        A flood of different messages takes no more memory than that; what was counted of one
        that has to go is told.
        """
        for _ in range(loglimits.REPEATS + 3):
            self.repeats.put(record("again"))
        self.texts()
        for number in range(3 * loglimits.REPEATS_KEYS):
            self.repeats.put(record(f"number {number}"))
        self.assertLessEqual(len(self.repeats._known), loglimits.REPEATS_KEYS)
        self.assertIn("again (3 more within 60 s)", self.texts())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(loglimits.REPEATS_PERIOD)
        self.repeats.put(record("later"))
        self.assertEqual(len(self.repeats._known), 1)
