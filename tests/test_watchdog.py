"""
Tests of L{rvgahp.watchdog}, with a real socket and a clock that is set by hand.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.notify import Notifier
from rvgahp.watchdog import Watchdog, watchdogSeconds


class SecondsTests(SynchronousTestCase):
    """
    What the environment says.
    """

    def test_wanted(self) -> None:
        """
        A period in microseconds, for us or for whoever reads it.
        """
        self.assertEqual(watchdogSeconds({"WATCHDOG_USEC": "30000000"}), 30)
        ours = {"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}
        self.assertEqual(watchdogSeconds(ours), 0.5)

    def test_notWanted(self) -> None:
        """
        No period, none that makes sense, or another process's.
        """
        for period in ("", "0", "-1", "1e6", "soon"):
            self.assertIsNone(watchdogSeconds({"WATCHDOG_USEC": period}), period)
        self.assertIsNone(watchdogSeconds({}))
        for pid in ("1", "", "x"):
            theirs = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": pid}
            self.assertIsNone(watchdogSeconds(theirs), pid)


class WatchdogTests(SynchronousTestCase):
    """
    What is said, and when.
    """

    def setUp(self) -> None:
        """
        Listen in place of systemd.
        """
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "notify")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(path)
        self.listener.setblocking(False)
        clean = {name: v for name, v in os.environ.items() if not name.startswith("WATCHDOG_")}
        self.patch(os, "environ", {**clean, "NOTIFY_SOCKET": path})
        self.clock = Clock()
        self.watchdog = Watchdog(self.clock, Notifier(self.clock))

    def said(self) -> list[bytes]:
        """
        @return: what has been said since we asked last.
        """
        found = []
        while True:
            try:
                found.append(self.listener.recv(4096))
            except BlockingIOError:
                return found

    def test_speaks(self) -> None:
        """
        At once, and then at half the period, until it is stopped; also while the daemon ends.
        """
        os.environ["WATCHDOG_USEC"] = "10000000"
        self.watchdog.start()
        self.assertEqual(self.said(), [b"WATCHDOG=1"])
        self.clock.advance(4.9)
        self.assertEqual(self.said(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.said(), [b"WATCHDOG=1"])
        self.watchdog.stopping()
        self.assertEqual(self.said(), [b"STOPPING=1"])
        self.clock.advance(5)
        self.assertEqual(self.said(), [b"WATCHDOG=1"])
        self.watchdog.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """
        Where nobody wants it, nothing is said and nothing is left to be done.
        """
        self.watchdog.start()
        self.assertEqual((self.said(), self.clock.getDelayedCalls()), ([], []))
        self.watchdog.stop()
