"""
Tests of L{rvgahp.notify}, with a real socket.
"""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.notify import notify


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
        notify(READY="1", STATUS="all is\nwell = fine", X_RVGAHP_PORT="41000")

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
