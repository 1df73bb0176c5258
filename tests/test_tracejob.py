"""
Tests of L{rvgahp.tracejob}, with scripted GAHPs; L{tests.test_whole_trace} has a real one.
"""

from __future__ import annotations

import os
import secrets
from glob import glob
from pathlib import Path
from typing import Any

from rvgahp import tracejob
from rvgahp.errors import RvgahpError, StartFailed
from rvgahp.gahpjob import GAHPJob
from rvgahp.patience import Interrupted, TookTooLong
from rvgahp.tracejob import EchoJob
from tests.dialogues import DialogueTestCase


class EchoJobTests(DialogueTestCase):
    """
    The test job.
    """

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[str, Any]] = []
        self.directory = os.path.abspath(self.mktemp())
        os.mkdir(self.directory)
        self.patch(tracejob, "_DIRECTORY", self.directory)

    def tearDown(self) -> None:
        """
        Whatever happened, no file is left.
        """
        self.assertEqual(os.listdir(self.directory), [])

    def run_(self, way: str) -> None:
        """
        Run the job with such a GAHP.
        """

        def saw(name: str, value: Any) -> None:
            self.seen.append((name, value))

        EchoJob(GAHPJob(self.dialogue(way), self.patience, saw), "slurm", saw).run()

    def failure(self, way: str, kind: type[RvgahpError] = StartFailed) -> str:
        """
        @return: why the job fails.
        """
        return str(self.assertRaises(kind, self.run_, way))

    def test_elsewhere(self) -> None:
        """
        Where the output cannot be seen the exit code is the end, and it is said where the
        output is.
        """
        self.run_("well")
        self.assertEqual(self.seen[:3], [("job", "some/1"), ("state", "completed"), ("exit", 0)])
        name, words = self.seen[3]
        self.assertEqual(name, "output")
        self.assertIn(f"stayed at the site, in {self.directory}/rvgahp-trace-", words)

    def test_ad(self) -> None:
        """
        The submit ad names the batch system, and a word and a file that are new each time.
        """
        for _ in range(2):
            self.run_("well")
        first, second = [
            line for line in self.log.read_text().splitlines() if line.startswith("BLAH_JOB_SUBMIT")
        ]
        self.assertIn('gridtype\\ =\\ "slurm"', first)
        self.assertNotEqual(first, second)

    def test_otherOutput(self) -> None:
        """
        Output that is not the job's is a failure.
        """
        self.assertIn("is not what it said: 15 bytes", self.failure("otherOutput"))

    def test_ends(self) -> None:
        """
        Each bad end has its sentence.
        """
        for way, words in (
            ("held", "the job was held: over quota"),
            ("removed", "the job was removed: no reason was given"),
            ("exit3", "exit code 3"),
            ("signal", "signal 9"),
            ("badAd", "status ad cannot be read"),
            ("badSubmit", "no account"),
        ):
            self.assertIn(words, self.failure(way))

    def test_heldIsCancelled(self) -> None:
        """
        A held job is not left in the queue.
        """
        self.failure("held")
        self.assertEqual(self.seen[-1], ("cancelled", "some/1"))

    def test_noCode(self) -> None:
        """
        A batch system that does not tell the exit code is no failure.
        """
        self.run_("noCode")
        self.assertIn(("exit", "not told"), self.seen)

    def test_interrupted(self) -> None:
        """
        When we are to end, and when it takes too long, the job is cancelled.
        """
        self.patch(tracejob, "JOB_LIMIT", 0.1)
        self.failure("endless", TookTooLong)
        self.assertEqual(self.seen[-1], ("cancelled", "some/1"))
        os.write(self.waker, b"!")
        self.failure("endless", Interrupted)
        self.assertEqual(self.seen[-1], ("cancelled", "some/1"))

    def test_unreadable(self) -> None:
        """
        A file that may not be read is told, and is no failure; a link is not followed.
        """
        target = Path(self.mktemp())
        target.write_text("secret")
        paths = iter(["a", "b"])
        self.patch(secrets, "token_hex", lambda size: next(paths))
        link = f"{self.directory}/rvgahp-trace-b.out"
        os.symlink(os.path.abspath(target), link)
        self.run_("well")
        self.assertIn("cannot be read", dict(self.seen)["output"])
        self.assertEqual((glob(link), target.read_text()), ([], "secret"))
