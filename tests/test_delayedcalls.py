"""
Tests of L{rvgahp.delayedcalls}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.delayedcalls import DelayedCalls


class DelayedCallsTests(SynchronousTestCase):
    """
    Tests of L{DelayedCalls}.
    """

    def setUp(self) -> None:
        """
        Begin with none.
        """
        self.clock = Clock()
        self.calls = DelayedCalls(self.clock)
        self.called: list[object] = []

    def test_called(self) -> None:
        """
        Each is called when it is due, with its arguments.
        """
        self.calls.later(2, self.called.append, "second")
        self.calls.later(1, self.called.append, "first")
        self.clock.advance(1)
        self.assertEqual(self.called, ["first"])
        self.clock.advance(1)
        self.assertEqual(self.called, ["first", "second"])

    def test_cancelled(self) -> None:
        """
        Those that are still to come are called off together; that may be said again, also
        when nothing is left.
        """
        for seconds in (1, 2, 3):
            self.calls.later(seconds, self.called.append, seconds)
        self.clock.advance(1)
        for _ in range(2):
            self.calls.cancel()
            self.clock.advance(10)
            self.assertEqual((self.called, self.clock.getDelayedCalls()), ([1], []))

    def test_cancelledInOne(self) -> None:
        """
        One of them may call off the others.
        """
        self.calls.later(1, self.calls.cancel)
        self.calls.later(1, self.called.append, "not any more")
        self.clock.advance(1)
        self.assertEqual(self.called, [])

    def test_again(self) -> None:
        """
        One may ask for the next, for ever, and the old ones are not kept.
        """

        def again() -> None:
            self.called.append(None)
            self.calls.later(1, again)

        again()
        for _ in range(1000):
            self.clock.advance(1)
        self.assertEqual(len(self.called), 1001)
        self.assertLess(len(self.calls._calls), 3)
