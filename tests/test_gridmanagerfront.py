"""
Tests of the gridmanager double with rvgahp_client's front, in memory: what the front promises
the gridmanager.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gridmanagerfront import FrontedGAHP
from tests.gridmanagerlines import CommandRefused, JobHeld, ResourceDown
from tests.gridmanagermemory import Memory
from tests.gridmanagerqueue import COMPLETED
from tests.rubbishgahp import RubbishGAHP

#: Misdeeds that a front hides, or makes the failure of one request.
HIDDEN = ("again", "between", "empty", "failure", "fewer", "lost", "more", "notice", "stranger")


class FrontTests(SynchronousTestCase):
    """
    A front for each GAHP.
    """

    def start(self, seed: int = 1, rate: float = 0, **brain: Any) -> Memory:
        """
        @return: a gridmanager with two jobs.
        """
        self.fronts: list[FrontedGAHP] = []

        def make(name: str) -> FrontedGAHP:
            site = RubbishGAHP(seed * 1000 + len(self.fronts), rate, HIDDEN, name)
            self.fronts.append(FrontedGAHP(name, site, lambda: memory.time))
            return self.fronts[-1]

        memory = Memory(make, **brain)
        for _ in range(2):
            memory.brain.addJob()
        return memory

    def test_good(self) -> None:
        """
        The gridmanager does not notice the front.
        """
        memory = self.start()
        memory.run(lambda: memory.brain.isIdle)
        self.assertEqual([job.status for job in memory.brain.jobs], [COMPLETED] * 2)

    def test_outage(self) -> None:
        """
        An outage of a quarter of an hour, while jobs run, costs nothing but time.
        """
        memory = self.start()
        memory.run(lambda: all(job.state == "SUBMITTED" for job in memory.brain.jobs))
        for front in self.fronts:
            front.setLive(False)
        self.assertRaises(AssertionError, memory.run, lambda: memory.brain.isIdle, 900)
        for front in self.fronts:
            front.setLive(True)
        memory.run(lambda: memory.brain.isIdle)
        self.assertEqual([job.status for job in memory.brain.jobs], [COMPLETED] * 2)

    def test_rubbish(self) -> None:
        """
        What a GAHP does wrong with one result is hidden, or is that request's failure; each
        request has one result, or is given up.
        """
        for seed in range(50):
            memory = self.start(seed, 0.1, tolerate=(CommandRefused, JobHeld, ResourceDown))
            self.finish(memory, seed)
            for dialogue in (memory.brain.batch, memory.brain.transfers):
                assert dialogue is not None
                counts = dialogue.counts
                self.assertEqual(counts["answered"] + counts["timedOut"], counts["issued"])

    def finish(self, memory: Memory, seed: int) -> None:
        """
        Let all jobs come to their ends.
        """
        try:
            memory.run(lambda: memory.brain.isIdle)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
