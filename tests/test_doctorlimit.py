"""
Tests of L{rvgahp.doctorlimit}.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import doctorlimit
from rvgahp.doctorlimit import limited
from rvgahp.errors import ConfigurationError
from rvgahp.findings import Finding, ok
from rvgahp.patience import Interrupted, Patience
from tests.procfs import PATIENCE


class LimitedTests(SynchronousTestCase):
    """
    Checks that end, fail, or do neither.
    """

    def setUp(self) -> None:
        wake, self.end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.addCleanup(os.close, wake)
        self.addCleanup(os.close, self.end)
        self.patience = Patience(wake)
        self.release = threading.Event()
        self.addCleanup(self.release.set)

    def hangs(self) -> Iterator[Finding]:
        """
        @return: what is found by a check that finds one thing, and then nothing.
        """
        yield ok("a", "b")
        self.release.wait(PATIENCE)

    def test_found(self) -> None:
        """
        What is found comes as it is, in order, from another thread; nothing stays open.
        """
        before = os.listdir("/proc/self/fd")
        found = [ok("a", str(number)) for number in range(9)]
        threads: list[int] = []

        def check() -> Iterator[Finding]:
            threads.append(threading.get_ident())
            yield from found

        self.assertEqual(list(limited("a", check, self.patience)), found)
        self.assertNotIn(threading.get_ident(), threads)
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_fails(self) -> None:
        """
        What it raises is raised.
        """

        def check() -> Iterator[Finding]:
            yield ok("a", "b")
            raise ConfigurationError("words")

        found = limited("a", check, self.patience)
        self.assertEqual(next(found), ok("a", "b"))
        self.assertRaises(ConfigurationError, next, found)

    def test_hangs(self) -> None:
        """
        One that hangs is given up, and that is said.
        """
        self.patch(doctorlimit, "CHECK_LIMIT", 0.05)
        found = list(limited("a", self.hangs, self.patience))
        self.assertEqual([one.level for one in found], ["ok", "wrong"])
        self.assertEqual(found[1].sentence, "nothing was found within 0.05 s")
        self.assertIn("file system", found[1].remedy)

    def test_ended(self) -> None:
        """
        Whoever wants an end gets it from one that hangs, too.
        """
        found = limited("a", self.hangs, self.patience)
        next(found)
        os.write(self.end, b"!")
        error = self.assertRaises(Interrupted, next, found)
        self.assertEqual(str(error), "told to end while waiting for the check 'a'")

    def test_endedItself(self) -> None:
        """
        One that waits for something says for what, and may clear away.
        """
        cleared = []

        def check() -> Iterator[Finding]:
            try:
                self.patience.wait("the moon", PATIENCE).pause(PATIENCE)
            finally:
                cleared.append(True)
            yield ok("a", "b")

        os.write(self.end, b"!")
        error = self.assertRaises(Interrupted, list, limited("a", check, self.patience, PATIENCE))
        self.assertEqual(str(error), "told to end while waiting for the moon")
        self.assertEqual(cleared, [True])
