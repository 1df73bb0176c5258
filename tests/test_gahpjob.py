"""
Tests of L{rvgahp.gahpjob}, with scripted GAHPs.
"""

from __future__ import annotations

import os
from typing import Any

from rvgahp import gahpjob
from rvgahp.errors import StartFailed
from rvgahp.gahpdialogue import Ended
from rvgahp.gahpjob import GAHPJob
from rvgahp.patience import Interrupted, TookTooLong
from tests.dialogues import DialogueTestCase

_AD = '[ Cmd = "/bin/true" ]'


class GAHPJobTests(DialogueTestCase):
    """
    A job from its submit to its end.
    """

    def job(self, way: str) -> GAHPJob:
        """
        @return: a job, not submitted yet.
        """
        self.seen: list[tuple[str, Any]] = []
        job = GAHPJob(
            self.dialogue(way), self.patience, lambda name, value: self.seen.append((name, value))
        )
        self.addCleanup(self.patience.recover)
        return job

    def submitted(self, way: str) -> GAHPJob:
        """
        @return: a job that has an id.
        """
        job = self.job(way)
        job.submit(_AD)
        self.assertEqual(self.seen, [("job", "some/1")])
        return job

    def test_completed(self) -> None:
        """
        It is followed to its end, and what ended is not cancelled.
        """
        job = self.submitted("well")
        job.follow(30)
        self.assertEqual((job.state, job.ad), ("completed", "[ ExitCode=0 ]"))
        self.assertEqual(self.seen[1:], [("state", "completed")])
        job.cancel()
        self.assertNotIn("BLAH_JOB_CANCEL", self.log.read_text())

    def test_held(self) -> None:
        """
        A held job is an end, told at once; it is still there, and is cancelled.
        """
        job = self.submitted("held")
        job.follow(30)
        self.assertEqual(self.seen[1:], [("state", "idle"), ("state", "held")])
        self.assertIn("over quota", job.ad)
        job.cancel()
        self.assertEqual(self.seen[-1], ("cancelled", "some/1"))

    def test_removed(self) -> None:
        """
        So is a removed one, which is gone.
        """
        job = self.submitted("removed")
        job.follow(30)
        job.cancel()
        self.assertEqual(self.seen[1:], [("state", "removed")])

    def test_hiccup(self) -> None:
        """
        A failed question and one without news are asked again; the failure is told.
        """
        job = self.submitted("hiccup")
        job.follow(30)
        self.assertEqual(self.seen[1:], [("trouble", "not known yet"), ("state", "completed")])

    def test_noState(self) -> None:
        """
        After five failures in a row nobody asks again, as with the gridmanager.
        """
        self.patch(gahpjob, "_LAST_POLL", 0.01)
        job = self.submitted("badStatus")
        e = self.assertRaises(StartFailed, job.follow, 30)
        self.assertIn("squeue is broken", str(e))
        self.assertEqual(self.seen[1:], 5 * [("trouble", "squeue is broken")])

    def test_endless(self) -> None:
        """
        One that does not end is not followed for ever, and is cancelled.
        """
        job = self.submitted("endless")
        e = self.assertRaises(TookTooLong, job.follow, 0.3)
        self.assertIn("the end of the job did not come within 0.3 s", str(e))
        job.cancel()
        self.assertEqual(self.seen[1:], [("state", "running"), ("cancelled", "some/1")])

    def test_badSubmit(self) -> None:
        """
        A submit that fails, or is refused, leaves nothing to cancel.
        """
        for way, words in (
            ("badSubmit", "the submit failed: sbatch: no account"),
            ("refusedSubmit", "was answered E expected 2 parameters"),
        ):
            job = self.job(way)
            self.assertIn(words, str(self.assertRaises(StartFailed, job.submit, _AD)))
            job.cancel()
            self.assertEqual(self.seen, [])

    def test_interruptedSubmit(self) -> None:
        """
        When we are to end while a submit is not answered, the answer is fetched so that the
        job can be cancelled.
        """
        job = self.job("well")
        os.write(self.waker, b"!")
        self.assertRaises(Interrupted, job.submit, _AD)
        job.cancel()
        self.assertEqual(self.seen, [("job", "some/1"), ("cancelled", "some/1")])

    def test_lateSubmit(self) -> None:
        """
        If the answer does not come, it is said that a job may be there.
        """
        self.patch(gahpjob, "SUBMIT_LIMIT", 0.1)
        self.patch(gahpjob, "_LATE_LIMIT", 0.1)
        job = self.job("lateSubmit")
        self.assertRaises(TookTooLong, job.submit, _AD)
        job.cancel()
        ((name, words),) = self.seen
        self.assertEqual(name, "left")
        self.assertIn("a job without a known id may still be at the site", words)

    def test_badSubmitInTheEnd(self) -> None:
        """
        If the late answer is that there is no job, nothing is said.
        """
        job = self.job("badSubmit")
        os.write(self.waker, b"!")
        self.assertRaises(Interrupted, job.submit, _AD)
        job.cancel()
        self.assertEqual(self.seen, [])

    def test_cancelFails(self) -> None:
        """
        A cancel that fails is told: the job may still be there.
        """
        job = self.submitted("stays")
        job.cancel()
        name, words = self.seen[-1]
        self.assertEqual(name, "left")
        self.assertIn("job some/1 may still be at the site", words)
        self.assertIn("scancel is broken", words)

    def test_gahpGone(self) -> None:
        """
        So is the end of the GAHP.
        """
        job = self.submitted("endless")
        os.kill(job._dialogue.pid, 9)
        self.assertRaises(Ended, job.follow, 30)
        job.cancel()
        self.assertIn("may still be at the site", self.seen[-1][1])

    def test_nothing(self) -> None:
        """
        A job that was never submitted needs no cancel.
        """
        self.job("well").cancel()
        self.assertEqual(self.seen, [])
