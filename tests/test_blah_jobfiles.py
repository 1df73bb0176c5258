# -*- test-case-name: tests.test_blah_jobfiles -*-
"""
Tests of L{rvgahp.blah.jobfiles}.
"""

from __future__ import annotations

import os
import resource
import stat
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.errors import NoSuchJob, StateError
from rvgahp.blah.jobfiles import JobDirectories, stateDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class JobFilesTests(SynchronousTestCase):
    """
    L{JobDirectories} and L{rvgahp.blah.jobfiles.JobDirectory}.
    """

    def setUp(self) -> None:
        """
        An empty state directory.
        """
        self.path = os.path.abspath(self.mktemp())
        self.jobs = JobDirectories(self.path)

    @contextmanager
    def fullDisk(self) -> Iterator[None]:
        """
        Let no file grow beyond 100 bytes.
        """
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)

    def test_create(self) -> None:
        """
        Each job gets an id and a directory of its own that is found by the
        id, and that nobody else can look into.
        """
        ids = set()
        for _ in range(3):
            jobId, directory = self.jobs.create()
            self.assertRegex(jobId, r"\Afork/\d{8}/[0-9a-f]{16}\Z")
            self.assertEqual(self.jobs.find(jobId).path, directory.path)
            self.assertEqual(stat.S_IMODE(os.stat(directory.path).st_mode), 0o700)
            ids.add(jobId)
        self.assertEqual(len(ids), 3)
        self.assertEqual(len(list(self.jobs.all())), 3)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.path, "fork")).st_mode), 0o700)

    def test_noWayOut(self) -> None:
        """
        No id leads to a directory outside, or to one that is no job's.
        """
        jobId, _ = self.jobs.create()
        never = ["", "\0", "/etc", "fork/", "fork/../..", "fork/20200101/0123456789abcdef"]
        almost = [jobId + "/..", jobId + "\n", jobId + "/", jobId.replace("fork/", "fork//")]
        for bad in never + almost:
            self.assertRaises(NoSuchJob, self.jobs.find, bad)

    def test_records(self) -> None:
        """
        A record is read as it was written; one that is not there is C{None}.
        """
        _, directory = self.jobs.create()
        self.assertIdentical(directory.read("start"), None)
        directory.write("start", {"a": [1, "é"]})
        self.assertEqual(directory.read("start"), {"a": [1, "é"]})
        self.assertEqual(os.listdir(directory.path), ["start"])

    def test_damaged(self) -> None:
        """
        A record that is no JSON object is reported with its path.
        """
        _, directory = self.jobs.create()
        for content in ("", "{", "[]", "\x00"):
            with open(os.path.join(directory.path, "end"), "w") as file:
                file.write(content)
            error = self.assertRaises(StateError, directory.read, "end")
            self.assertIn(directory.path, str(error))

    def test_end(self) -> None:
        """
        The end record takes the place that was set aside, also when the disk
        has become full; without that place it is refused.
        """
        _, directory = self.jobs.create()
        directory.reserveEnd()
        self.assertIdentical(directory.read("end"), None)
        _, other = self.jobs.create()
        before = os.stat(os.path.join(directory.path, "end.reserved")).st_blocks
        directory.writeEnd({"code": 0})
        self.assertEqual(directory.read("end"), {"code": 0})
        self.assertEqual(os.stat(os.path.join(directory.path, "end")).st_blocks, before)
        self.assertEqual(os.listdir(directory.path), ["end"])
        with self.fullDisk():
            self.assertRaises(OSError, other.reserveEnd)
            self.assertRaises(OSError, other.writeEnd, {"code": 0})
        self.assertIdentical(other.read("end"), None)

    def test_fullDisk(self) -> None:
        """
        A record that cannot be written leaves the earlier one as it was, and
        nothing else; C{check} tells before it comes to that.
        """
        _, directory = self.jobs.create()
        directory.write("start", {"a": 1})
        with self.fullDisk():
            self.assertRaises(OSError, directory.write, "start", {"a": "x" * 200})
            sentence = str(self.assertRaises(StateError, self.jobs.check))
        self.assertEqual(directory.read("start"), {"a": 1})
        self.assertEqual(os.listdir(directory.path), ["start"])
        self.assertIn(self.path, sentence)
        self.assertIn("RVGAHP_BLAH_DIR", sentence)

    def test_check(self) -> None:
        """
        Where all is well C{check} says nothing and leaves nothing.
        """
        self.jobs.check()
        self.assertEqual(list(self.jobs.all()), [])

    def test_notADirectory(self) -> None:
        """
        A path at which no directory can be made is reported.
        """
        with open(self.path, "w"):
            pass
        self.assertRaises(StateError, self.jobs.create)
        self.assertRaises(StateError, self.jobs.check)
        self.assertEqual(list(self.jobs.all()), [])

    def test_remove(self) -> None:
        """
        A job that is removed is unknown; its date stays while it is young and
        goes when it is old and empty.
        """
        jobId, directory = self.jobs.create()
        directory.write("start", {})
        directory.remove()
        self.assertRaises(NoSuchJob, self.jobs.find, jobId)
        date = os.path.dirname(directory.path)
        self.assertEqual(list(self.jobs.all()), [])
        self.assertTrue(os.path.isdir(date))
        os.utime(date, (0, 0))
        self.assertEqual(list(self.jobs.all()), [])
        self.assertFalse(os.path.exists(date))


class StateDirectoryTests(SynchronousTestCase):
    """
    L{stateDirectory}.
    """

    def test_setting(self) -> None:
        """
        RVGAHP_BLAH_DIR decides; without it, the home directory.
        """
        self.patch(os, "environ", {"HOME": "/home/x", "RVGAHP_BLAH_DIR": "/state"})
        self.assertEqual(stateDirectory(), "/state")
        del os.environ["RVGAHP_BLAH_DIR"]
        self.assertEqual(stateDirectory(), "/home/x/.rvgahp/blah")

    def test_relative(self) -> None:
        """
        A relative path would mean another directory at each start.
        """
        self.patch(os, "environ", {"HOME": "/home/x", "RVGAHP_BLAH_DIR": "state"})
        self.assertIn("RVGAHP_BLAH_DIR", str(self.assertRaises(StateError, stateDirectory)))
