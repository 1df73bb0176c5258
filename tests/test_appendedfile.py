"""
Tests of L{rvgahp.appendedfile}, with real files; those of the audit log are of it, too.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.appendedfile import AppendedFile


class AppendedFileTests(SynchronousTestCase):
    """
    Tests of L{AppendedFile}.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "log"
        self.file = AppendedFile(0o640)
        self.addCleanup(self.file.close)

    def append(self, text: str) -> None:
        """
        Append a line.
        """
        self.file.append(str(self.path), text.encode() + b"\n")

    def test_made(self) -> None:
        """
        It is made with the mode that was asked for, and closed for programs that we start.
        """
        self.append("one")
        self.append("two")
        self.assertEqual(self.path.read_text(), "one\ntwo\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode) & ~0o640, 0)
        self.assertFalse(os.get_inheritable(self.file.fd))
        self.assertEqual(self.file.size(), 8)

    def test_moved(self) -> None:
        """
        If it is moved, removed or replaced the next line is in a new one of its name.
        """
        self.append("one")
        self.path.rename(self.directory / "old")
        self.append("two")
        self.assertEqual(self.path.read_text(), "two\n")
        self.path.unlink()
        self.append("three")
        self.assertEqual(self.path.read_text(), "three\n")
        other = self.directory / "other"
        other.write_text("other\n")
        other.rename(self.path)
        self.append("four")
        self.assertEqual(self.path.read_text(), "other\nfour\n")

    def test_truncated(self) -> None:
        """
        If it is truncated the next line is its first, without a hole before it.
        """
        self.append("one")
        os.truncate(self.path, 0)
        self.append("two")
        self.assertEqual(self.path.read_text(), "two\n")

    def test_directoryGone(self) -> None:
        """
        While none can be made it is an error, and what was open still is.
        """
        self.append("one")
        moved = self.directory.rename(self.mktemp())
        self.assertRaises(FileNotFoundError, self.append, "two")
        self.file.write(b"three\n")
        self.assertEqual((moved / "log").read_text(), "one\nthree\n")

    def test_torn(self) -> None:
        """
        After a line that was written in part the next begins a line of its own.
        """
        self.append("one")
        self.file._isTorn = True
        self.append("two")
        self.append("three")
        self.assertEqual(self.path.read_text(), "one\n\ntwo\nthree\n")

    def test_full(self) -> None:
        """
        A full disk is an error.
        """
        self.assertRaises(OSError, self.file.append, "/dev/full", b"one\n")
