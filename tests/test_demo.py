"""
Tests of L{rvgahp.demo}: once in earnest, and with clients that are none.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.demo import Steps
from tests.procfs import PATIENCE, withEnvironment
from tests.programs import program


class StepsTests(SynchronousTestCase):
    """
    What people see.
    """

    def test_steps(self) -> None:
        """
        A step has its time and its name; the job's output is set off, and harmless.
        """
        output = io.StringIO()
        steps = Steps(output)
        steps.step("a step", "and more")
        steps.text("one\n\033[2Jtwo\n")
        self.assertRegex(
            output.getvalue(), r"^ +0\.\d\d s  a step +and more\n +\| one\n +\|  \[2Jtwo\n$"
        )


class CommandTests(SynchronousTestCase):
    """
    C{rvgahp demo}.
    """

    def setUp(self) -> None:
        """
        Temporary files have a place of their own, in which nothing may be left.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, self.directory)
        self.process = subprocess.Popen(
            [sys.executable, program("rvgahp"), "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": self.directory},
        )

    def ended(self) -> tuple[int, str, str]:
        """
        @return: exit status and both outputs; no process may be left.
        """
        try:
            output, errors = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        self.assertEqual(withEnvironment("RVGAHP_BLAH_DIR", self.directory), [])
        return self.process.returncode, output, errors

    def test_demo(self) -> None:
        """
        It shows each step, ends with the job's output and status 0, and leaves nothing.
        """
        status, output, errors = self.ended()
        self.assertEqual((status, errors), (0, ""), output)
        for words in (
            "proxy up",
            "TLSv1.3",
            "policy encrypt (AES)",
            "GAHP banner",
            "batch system",
            "job submitted",
            "running",
            "completed",
            "| Hello from a batch job",
            "| Done.",
            "status 0",
            "all stopped",
        ):
            self.assertIn(words, output)
        self.assertNotIn("\033", output)

    def test_interrupted(self) -> None:
        """
        Ended in the middle, it leaves nothing either.
        """
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.process.send_signal(signal.SIGTERM)
        status, _, errors = self.ended()
        self.assertEqual((status, errors.count("\n")), (1, 1), errors)
        self.assertEqual(os.listdir(self.directory), [])
