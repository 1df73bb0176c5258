"""
Tests of L{rvgahp.complaint}.
"""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.complaint import complain


class ComplainTests(SynchronousTestCase):
    """
    Tests of L{complain}, with a stderr of the test's own.
    """

    def setUp(self) -> None:
        self._stderr = os.dup(2)
        self._read, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)

    def tearDown(self) -> None:
        os.dup2(self._stderr, 2)
        os.close(self._stderr)
        os.close(self._read)

    def test_oneLine(self) -> None:
        """
        A sentence is one line with our name before it, whatever is in it; and nothing
        in it is a command to a terminal.
        """
        complain("nobody\nlistens\ton \udcff, höchstens\x1b[2J")
        expected = "rvgahp_client: nobody listens on  , höchstens [2J\n"
        self.assertEqual(os.read(self._read, 1000), expected.encode())

    def test_nobodyListens(self) -> None:
        """
        A stderr that is closed, or that takes nothing, is no reason to fail.
        """
        self.patch(limits, "CLIENT_STDERR_GRACE", 0.0)
        os.set_blocking(2, False)
        for _ in range(2000):
            complain("x" * 100)
        os.close(2)
        complain("into the void")

    def test_nobodyReads(self) -> None:
        """
        A stderr that is full and not read is not waited for for ever.
        """
        self.patch(limits, "CLIENT_STDERR_GRACE", 0.1)
        os.set_blocking(2, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(2, bytes(4096))
        os.set_blocking(2, True)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, self._late))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 5)
        complain("one more")

    def _late(self, number: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits")
