"""
Tests of L{rvgahp.reloadcli}: the words of C{rvgahp reload}; C{tests.test_whole_reload} has what
comes of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import RvgahpError
from rvgahp.reloadcli import _askCE, _socketOf
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


class CETests(SynchronousTestCase):
    """
    C{--ce}; C{tests.test_whole_reload} has a real one.
    """

    def test_older(self) -> None:
        """
        A CE that knows of no such request is told from one that refuses it.
        """
        for said, words in (
            ("there is no '/v1/reload'; try /v1/status", "older than this rvgahp"),
            ("nothing was changed: why", "nothing was changed: why"),
        ):

            async def ask(*_: Any, said: str = said, **__: Any) -> dict[str, Any]:
                raise RvgahpError(said)

            asked = Deferred.fromCoroutine(_askCE(Namespace(), ask, None))
            self.assertIn(words, str(self.failureResultOf(asked, RvgahpError).value))

    def test_foreign(self) -> None:
        """
        Another account's configuration is not read, for what it includes would run as us; its CE
        is looked for beside it.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        config, socket = directory / "config", str(directory / "rvgahp-ce.status")
        named = f"RVGAHP_BROKER_HOST = h\nRVGAHP_STATUS_SOCKET = {directory}/named\n"
        config.write_text(f"{named}include command : touch {directory}/ran\n")
        if not os.geteuid():
            os.chown(config, 54321, -1)  # what is root's is trusted by all
        owner = config.stat().st_uid
        for uid, path in ((owner + 1, socket), (owner, f"{directory}/named")):
            self.patch(os, "geteuid", lambda uid=uid: uid)
            self.assertEqual(_socketOf(str(config)), path)
            self.assertEqual((directory / "ran").exists(), uid == owner)

    def test_absent(self) -> None:
        """
        Without a configuration, and without a CE, a sentence says so.
        """
        run = runProgram([program("rvgahp"), "reload", "--ce=/nonexistent/file"])
        self.assertEqual((run.status, run.output), (1, b""), run)
        self.assertIn("/nonexistent/file", run.errors)
