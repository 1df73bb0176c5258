"""
Tests of L{rvgahp.notify}, with a real socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import watchlimits
from rvgahp.notify import Notifier


class NotifyTests(SynchronousTestCase):
    """
    What is sent, and where.
    """

    def listen(self, address: str) -> socket.socket:
        """
        @return: a socket that stands for who started us.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.settimeout(5)
        return listener

    def say(self, path: str) -> None:
        """
        Notify, with C{NOTIFY_SOCKET} set to C{path}.
        """
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": path})
        Notifier(Clock()).tell(READY="1", STATUS="all is\nwell = fine", X_RVGAHP_PORT="41000")

    def test_lines(self) -> None:
        """
        Each field is a line of its own, whatever is in it.
        """
        directory = tempfile.mkdtemp()
        path = os.path.join(directory, "ready")
        self.addCleanup(os.rmdir, directory)
        self.addCleanup(os.unlink, path)
        listener = self.listen(path)
        self.say(path)
        self.assertEqual(
            listener.recv(4096), b"READY=1\nSTATUS=all is well = fine\nX_RVGAHP_PORT=41000"
        )

    def test_abstract(self) -> None:
        """
        systemd may name a socket without a file, with @.
        """
        listener = self.listen(f"\0rvgahp-test-{os.getpid()}")
        self.say(f"@rvgahp-test-{os.getpid()}")
        self.assertIn(b"READY=1", listener.recv(4096))

    def test_nobody(self) -> None:
        """
        Where nobody asked, nothing is sent; where nobody takes it, a line is logged.
        """
        with capturedLogs() as logs:
            self.say("")
        self.assertEqual(logs, [])
        with capturedLogs() as logs:
            self.say("/nowhere/at/all")
        self.assertEqual(len(logs), 1)
        self.assertIn("No such file", logs[0]["reason"])


class FullTests(SynchronousTestCase):
    """
    A socket that has no room: nobody reads it for a while.
    """

    def setUp(self) -> None:
        address = f"\0rvgahp-full-{os.getpid()}"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(address)
        self.listener.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"OTHER=1", address)
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": f"@{address[1:]}"})
        self.clock = Clock()
        self.notifier = Notifier(self.clock)

    def said(self) -> list[bytes]:
        """
        @return: what we have said that lies in the socket, which is empty now.
        """
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.listener.recv(4096))
        return [one for one in found if one != b"OTHER=1"]

    def test_later(self) -> None:
        """
        What finds no room blocks nothing, and is sent in order when there is some; what was
        said twice meanwhile is sent once, and nothing is left to be done.
        """
        for _ in range(3):
            self.notifier.tell(READY="1")
        self.notifier.reloading()
        self.notifier.tell(READY="1")
        self.notifier.tell(WATCHDOG="1")
        self.notifier.tell(WATCHDOG="1")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(10)
        self.assertEqual(self.said(), [])  # but there is room now
        first, reloading, *rest = self.after(watchlimits.NOTIFY_RETRY)
        self.assertEqual((first, rest), (b"READY=1", [b"READY=1", b"WATCHDOG=1"]))
        self.assertIn(b"RELOADING=1", reloading)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.notifier.tell(STOPPING="1")
        self.assertEqual(self.said(), [b"STOPPING=1"])

    def after(self, seconds: float) -> list[bytes]:
        """
        @return: what is said after so long.
        """
        self.clock.advance(seconds)
        return self.said()

    def test_bound(self) -> None:
        """
        No more than so much waits, the oldest is dropped for it; and not for ever.
        """
        for number in range(watchlimits.NOTIFICATIONS + 5):
            self.notifier.tell(STATUS=str(number))
        self.assertEqual(self.said(), [])
        found = self.after(watchlimits.NOTIFY_RETRY)
        found += self.after(watchlimits.NOTIFY_RETRY)  # it takes ten or so at a time
        self.assertEqual(found[0], b"STATUS=5")
        self.assertEqual(len(found), watchlimits.NOTIFICATIONS)

    def test_givenUp(self) -> None:
        """
        Who never reads is told of in the log, and what was for him is forgotten.
        """
        self.notifier.tell(READY="1")
        with capturedLogs() as logs:
            steps = int(watchlimits.NOTIFY_TIMEOUT / watchlimits.NOTIFY_RETRY) + 1
            self.clock.pump([watchlimits.NOTIFY_RETRY] * steps)
        self.assertEqual([one["reason"] for one in logs], ["Resource temporarily unavailable"])
        self.assertEqual((self.clock.getDelayedCalls(), self.said()), ([], []))

    def test_close(self) -> None:
        """
        A daemon that has ended tries no more.
        """
        self.notifier.tell(READY="1")
        self.notifier.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
