"""
Tests of L{rvgahp.bootclock}.
"""

from __future__ import annotations

import time

from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.bootclock import bootSeconds, useBootClock


class BootClockTests(SynchronousTestCase):
    """
    A reactor's clock.
    """

    def setUp(self) -> None:
        """
        A reactor of our own.
        """
        self.reactor = SelectReactor()
        self.addCleanup(self.reactor.disconnectAll)
        self.called: list[str] = []

    def test_dayChanges(self) -> None:
        """
        When the time of day is set forward by an hour, no call comes early.
        """
        useBootClock(self.reactor)
        call = self.reactor.callLater(60, self.called.append, "early")
        now = time.time
        self.patch(time, "time", lambda: now() + 3600)
        self.reactor.runUntilCurrent()
        self.assertEqual(self.called, [])
        self.assertLess(abs(call.getTime() - bootSeconds() - 60), 5)

    def test_earlierCalls(self) -> None:
        """
        Calls that were made before come when they would have come.
        """
        soon = self.reactor.callLater(0, self.called.append, "soon")
        late = self.reactor.callLater(60, self.called.append, "late")
        useBootClock(self.reactor)
        self.assertLess(abs(late.getTime() - bootSeconds() - 60), 5)
        while soon.active():
            self.reactor.runUntilCurrent()
        self.assertEqual(self.called, ["soon"])
        self.assertLessEqual(self.reactor.timeout() or 0, 60)
