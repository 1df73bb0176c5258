"""
Tests of L{rvgahp.clientstdio}: what its descriptors are.  What it does with them is
tested with real clients, in C{test_clientsession} and C{test_whole_stdio}.
"""

from __future__ import annotations

import os
import pty
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.clientstdio import _isFile, _mayBlock


class DescriptorTests(SynchronousTestCase):
    """
    Which descriptors may be made non-blocking, and which take all that is written.
    """

    def kinds(self) -> dict[str, int]:
        """
        @return: descriptors of all kinds.
        """
        pipe, pair, terminal = os.pipe(), socket.socketpair(), pty.openpty()
        found = {
            "pipe": pipe[1],
            "read end": pipe[0],
            "socket": pair[0].detach(),
            "other": pair[1].detach(),
            "terminal": terminal[1],
            "master": terminal[0],
            "file": os.open(self.mktemp(), os.O_RDWR | os.O_CREAT),
            "null": os.open("/dev/null", os.O_WRONLY),
            "stderr": os.dup(2),
        }
        for fd in found.values():
            self.addCleanup(os.close, fd)
        return found

    def test_mayBlock(self) -> None:
        """
        Pipes and sockets that are not stderr too may be made non-blocking; nothing else.
        """
        may = {name for name, fd in self.kinds().items() if not _mayBlock(fd)}
        self.assertEqual(may, {"pipe", "read end", "socket", "other"})

    def test_isFile(self) -> None:
        """
        Files and /dev/null take any write; a terminal does not.
        """
        kinds = self.kinds()
        del kinds["stderr"]  # whatever the tests have
        self.assertEqual({name for name, fd in kinds.items() if _isFile(fd)}, {"file", "null"})
