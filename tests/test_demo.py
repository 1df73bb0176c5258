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

from rvgahp import demo
from rvgahp.demo import Dialogue, Screen
from rvgahp.errors import StartFailed
from tests.procfs import PATIENCE, withEnvironment
from tests.programs import program


class Terminal(io.StringIO):
    """
    Something that says it is a terminal.
    """

    def isatty(self) -> bool:
        return True


class ScreenTests(SynchronousTestCase):
    """
    What people see.
    """

    def shown(self, output: io.StringIO) -> str:
        """
        @return: how a step and a job's output look.
        """
        screen = Screen(output)
        screen.step("a step", "and more")
        screen.text("one\ntwo\n")
        return output.getvalue()

    def test_plain(self) -> None:
        """
        Plain text where it is no terminal, or where no colour is wanted.
        """
        for output in (io.StringIO(), Terminal()):
            if output.isatty():
                self.patch(os, "environ", {**os.environ, "NO_COLOR": ""})
            text = self.shown(output)
            self.assertNotIn("\033", text)
            self.assertRegex(text, r"^ +0\.\d\d s  a step +and more\n +\| one\n +\| two\n$")

    def test_coloured(self) -> None:
        """
        Coloured on a terminal.
        """
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.patch(os, "environ", clean)
        self.assertIn("\033[1;32ma step", self.shown(Terminal()))


class DialogueTests(SynchronousTestCase):
    """
    Clients that do not do what they should.
    """

    def dialogue(self, script: str) -> Dialogue:
        """
        @return: a conversation with a shell script in place of the client.
        """
        popen = subprocess.Popen
        self.patch(
            subprocess, "Popen", lambda words, **more: popen(["/bin/sh", "-c", script], **more)
        )
        read, self.wake = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, self.wake)
        dialogue = Dialogue("/no/such/socket", read)
        self.addCleanup(dialogue.kill)
        return dialogue

    def test_lines(self) -> None:
        """
        Lines are told apart however they come.
        """
        dialogue = self.dialogue("printf 'one a\\\\ b\\r\\ntw'; sleep 0.05; printf 'o\\nthree\\n'")
        self.assertEqual([dialogue.line() for _ in range(3)], [["one", "a b"], ["two"], ["three"]])

    def test_ends(self) -> None:
        """
        One that ends is told with its status, also when it is being spoken to.
        """
        dialogue = self.dialogue("exit 255")
        e = self.assertRaises(StartFailed, dialogue.line)
        self.assertIn("status 255", str(e))
        e = self.assertRaises(StartFailed, dialogue.ask, "COMMANDS")
        self.assertIn("status 255", str(e))

    def test_silent(self) -> None:
        """
        One that says nothing is not waited for for ever.
        """
        self.patch(demo, "_ANSWER", 0.1)
        e = self.assertRaises(StartFailed, self.dialogue("exec sleep 1000").line)
        self.assertIn("said nothing", str(e))

    def test_interrupted(self) -> None:
        """
        One that is waited for is waited for no longer when we are to end.
        """
        dialogue = self.dialogue("exec sleep 1000")
        os.write(self.wake, b"!")
        e = self.assertRaises(StartFailed, dialogue.line)
        self.assertIn("told to end", str(e))

    def test_refused(self) -> None:
        """
        A command that is refused is told with its answer.
        """
        dialogue = self.dialogue("read line; echo E bad; exec cat")
        e = self.assertRaises(StartFailed, dialogue.result, "BLAH_PING", "fork")
        self.assertIn("BLAH_PING was answered E bad", str(e))


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
            "(running)",
            "(completed)",
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
