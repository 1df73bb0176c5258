"""
Tests of L{rvgahp.lastday}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.counts import Counts
from rvgahp.lastday import STEP, LastDay

#: The beginning of a piece.
THEN = 1_000_200


class LastDayTests(SynchronousTestCase):
    """
    What is counted, and when.
    """

    def setUp(self) -> None:
        self.counts = Counts()
        self.counts.started("old", 1.0)
        self.day = LastDay(self.counts)

    def test_new(self) -> None:
        """
        What was counted before counts no more; what is new belongs to the piece in which it is
        seen, each thing under its name.
        """
        self.counts.started("cat", 1.0)
        self.counts.failures["Busy"] += 2
        self.counts.stalls += 3
        self.counts.carried.update(received=10, tunnelsReceived=1, sent=200, tunnelsSent=20)
        self.day.look(THEN + 7.5)
        self.day.look(THEN + STEP - 1)
        self.counts.started("cat", 1.0)
        self.day.look(THEN + STEP)
        rest = {"failures": 0, "stalls": 0, "toSite": 0, "fromSite": 0}
        first = {"failures": 2, "stalls": 3, "toSite": 11, "fromSite": 220}
        self.assertEqual(
            self.day.pieces(),
            [{"time": THEN, "starts": 1, **first}, {"time": THEN + STEP, "starts": 1, **rest}],
        )

    def test_day(self) -> None:
        """
        Pieces of a day are kept, and none that is older, be there a gap or not.
        """
        for number in range(200):
            self.day.look(THEN + number * STEP)
        self.assertEqual(len(self.day.pieces()), 144)
        newest = THEN + 199 * STEP + 86400 - 10 * STEP
        self.day.look(newest)
        self.assertEqual(len(self.day.pieces()), 11)
        self.assertEqual(self.day.pieces()[-1]["time"], newest)

    def test_clock(self) -> None:
        """
        A clock that is put back makes no second piece of one time, and nothing is lost.
        """
        self.day.look(THEN + STEP)
        self.counts.started("cat", 1.0)
        self.day.look(THEN)
        (one,) = self.day.pieces()
        self.assertEqual((one["time"], one["starts"]), (THEN + STEP, 1))

    def test_clockAhead(self) -> None:
        """
        One that was hours or years ahead until it was put right: what was counted meanwhile is
        of now, what is new has pieces again, and what was before stays.
        """
        for ahead in (2 * STEP, 7 * 86400 * 365):
            self.setUp()
            for time in (THEN, THEN + ahead, THEN + ahead + STEP, THEN + STEP, THEN + 2 * STEP):
                self.counts.started("cat", 1.0)
                self.day.look(time + 5)
            found = [(one["time"] - THEN, one["starts"]) for one in self.day.pieces()]
            self.assertEqual(found, [(0, 1), (STEP, 3), (2 * STEP, 1)])
