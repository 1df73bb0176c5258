"""
Tests of L{rvgahp.patience}: real descriptors, and short limits.
"""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import patience
from rvgahp.patience import Interrupted, Patience, TookTooLong


class WaitTests(SynchronousTestCase):
    """
    Waiting.
    """

    def setUp(self) -> None:
        self.wake, self.waker = self.pipe()
        self.source, self.sink = self.pipe()
        self.told: list[tuple[str, float]] = []
        self.patience = Patience(self.wake, lambda what, limit: self.told.append((what, limit)))

    def pipe(self) -> tuple[int, int]:
        """
        @return: both ends, closed at the end of the test.
        """
        ends = os.pipe2(os.O_NONBLOCK)
        for end in ends:
            self.addCleanup(os.close, end)
        return ends

    def test_readable(self) -> None:
        """
        What can be read is told at once, and nothing is said of so short a wait.
        """
        os.write(self.sink, b"x")
        other, _ = self.pipe()
        self.assertEqual(self.patience.wait("it", 10).readable(other, self.source), [self.source])
        self.assertEqual(self.told, [])

    def test_tooLong(self) -> None:
        """
        A wait has a limit from its beginning on, however it is cut, and names it.
        """
        wait = self.patience.wait("the tide", 0.2)
        wait.pause(0.1)
        began = time.monotonic()
        e = self.assertRaises(TookTooLong, wait.readable, self.source)
        self.assertLess(time.monotonic() - began, 0.15 + 2)
        self.assertEqual(str(e), "the tide did not come within 0.2 s")
        self.assertRaises(TookTooLong, wait.pause, 0.1)

    def test_pause(self) -> None:
        """
        A pause takes its time.
        """
        began = time.monotonic()
        self.patience.wait("it", 10).pause(0.05)
        self.assertGreaterEqual(time.monotonic() - began, 0.05)

    def test_told(self) -> None:
        """
        Of a wait that lasts people are told, once, with its limit.
        """
        self.patch(patience, "QUIET", 0.02)
        wait = self.patience.wait("it", 0.1)
        wait.pause(0.03)
        self.assertRaises(TookTooLong, wait.readable, self.source)
        self.assertEqual(self.told, [("it", 0.1)])

    def test_silent(self) -> None:
        """
        Nobody need be told.
        """
        self.patch(patience, "QUIET", 0.0)
        Patience(self.wake).wait("it", 10).pause(0.01)

    def test_interrupted(self) -> None:
        """
        Once we are to end each wait ends at once, until we recover from it.
        """
        os.write(self.waker, b"!!")
        os.write(self.sink, b"x")
        for _ in range(2):
            wait = self.patience.wait("it", 10)
            e = self.assertRaises(Interrupted, wait.readable, self.source)
            self.assertEqual(str(e), "told to end while waiting for it")
        self.patience.recover()
        self.assertEqual(self.patience.wait("it", 10).readable(self.source), [self.source])
        os.write(self.waker, b"!")
        self.assertRaises(Interrupted, self.patience.wait("it", 10).pause, 10)
