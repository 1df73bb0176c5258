"""
Tests of L{rvgahp.peercred}.
"""

from __future__ import annotations

import os
import pwd
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import NotAuthorized
from rvgahp.peercred import peerOf


class PeerTests(SynchronousTestCase):
    """
    Who is there.
    """

    def setUp(self) -> None:
        """
        Two ends of a conversation with ourselves.
        """
        self.end, other = socket.socketpair()
        self.addCleanup(self.end.close)
        self.addCleanup(other.close)

    def test_ourselves(self) -> None:
        """
        The kernel says who it is, and which process.
        """
        user = peerOf(self.end)
        self.assertEqual((user.uid, user.name), (os.getuid(), pwd.getpwuid(os.getuid()).pw_name))
        self.assertEqual(user.pid, os.getpid())

    def test_noAccount(self) -> None:
        """
        A uid without an account is refused, with a sentence that has the number and whom
        to ask.
        """

        def getpwuid(uid: int) -> None:
            raise KeyError(uid)

        self.patch(pwd, "getpwuid", getpwuid)
        e = self.assertRaises(NotAuthorized, peerOf, self.end)
        self.assertIn(f"uid {os.getuid()} has no account", str(e))
        self.assertIn("administrator", str(e))
