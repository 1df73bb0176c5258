# -*- test-case-name: tests.test_blah_proxyfile -*-
"""
Tests of L{rvgahp.blah.proxyfile}.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.errors import BatchError
from rvgahp.blah.proxyfile import renewProxy


class RenewProxyTests(SynchronousTestCase):
    """
    L{renewProxy}.
    """

    def setUp(self) -> None:
        """
        A job's proxy and a new one.
        """
        self.directory = Path(os.path.abspath(self.mktemp()))
        self.directory.mkdir()
        self.own = self.directory / "own"
        self.new = self.directory / "new"
        self.own.write_text("old")
        self.new.write_text("fresh")

    def renew(self, own: Path, new: Path) -> None:
        """
        Call it with paths.
        """
        renewProxy(os.fsencode(own), os.fsencode(new))

    def test_renewed(self) -> None:
        """
        The job's file has the new content, for its owner's eyes only, in one
        step: who had it open still reads the old one.
        """
        with self.own.open() as file:
            self.renew(self.own, self.new)
            self.assertEqual(file.read(), "old")
        self.assertEqual(self.own.read_text(), "fresh")
        self.assertEqual(stat.S_IMODE(self.own.stat().st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.directory)), ["new", "own"])

    def test_sameFile(self) -> None:
        """
        Where the job's file is the new one there is nothing to do, whatever
        it is called.
        """
        inode = self.own.stat().st_ino
        link = self.directory / "link"
        link.symlink_to(self.own)
        self.renew(self.own, link)
        self.assertEqual(self.own.stat().st_ino, inode)

    def test_ownIsGone(self) -> None:
        """
        A job whose file was removed has one again.
        """
        self.own.unlink()
        self.renew(self.own, self.new)
        self.assertEqual(self.own.read_text(), "fresh")

    def test_impossible(self) -> None:
        """
        What cannot be done leaves the job's file as it was.
        """
        for own, new in (
            (self.own, self.directory / "missing"),
            (self.own, self.directory),
            (self.own, Path("new")),
            (self.directory / "no" / "where", self.new),
        ):
            self.assertRaises(BatchError, self.renew, own, new)
        self.assertEqual(self.own.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.directory)), ["new", "own"])
