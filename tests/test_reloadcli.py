"""
Tests of L{rvgahp.reloadcli}: the words of C{rvgahp reload}; C{tests.test_whole_reload} has what
comes of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.programs import program, runProgram


class PidFileTests(SynchronousTestCase):
    """
    C{--pidfile}.
    """

    def refused(self, content: str | None) -> str:
        """
        @param content: of the pid file; L{None}: there is none.
        @return: the sentence.
        """
        path = Path(self.mktemp()).absolute()
        if content is not None:
            path.write_text(content)
        run = runProgram([program("rvgahp"), "reload", "--pidfile", str(path)])
        self.assertEqual((run.status, run.output), (1, b""), run)
        self.assertEqual(run.errors.count("\n"), 1, run)
        self.assertIn(str(path), run.errors)
        return run.errors

    def test_none(self) -> None:
        """
        Without a process nothing is sent.
        """
        for content in (None, "", "x\n", "4194305\n", "-1\n"):
            self.assertIn("no CE runs with the pid file", self.refused(content))

    def test_another(self) -> None:
        """
        A process that is no CE is left alone: the pid may be another's by now.
        """
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.assertIn("is no rvgahp-ce", self.refused(f"{sleeper.pid}\n"))
        sleeper.communicate(b"\n", timeout=10)
        self.assertEqual(sleeper.returncode, 0)

    def test_CE(self) -> None:
        """
        A CE gets SIGHUP.
        """
        code = (
            "import signal, sys; signal.signal(1, lambda *_: sys.exit(7));"
            " print(flush=True); signal.pause()"
        )
        words = [sys.executable, "-c", code, "rvgahp-ce"]
        ce = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert ce.stdout is not None
        ce.stdout.readline()
        path = Path(self.mktemp()).absolute()
        path.write_text(f"{ce.pid}\n")
        run = runProgram([program("rvgahp"), "reload", "--pidfile", str(path)])
        self.assertEqual(run.status, 0, run)
        self.assertIn(str(ce.pid).encode(), run.output)
        ce.communicate(timeout=10)
        self.assertEqual(ce.returncode, 7)

    def test_both(self) -> None:
        """
        The proxy or a CE, not both.
        """
        words = ["reload", "--pidfile", "x", "--socket", "y"]
        run = runProgram([program("rvgahp"), *words])
        self.assertEqual(run.status, 2, run)
