"""
Tests of the gridmanager double with rvgahp_client's front, in memory: what the front promises
the gridmanager.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gridmanagerfront import FrontedGAHP
from tests.gridmanagerlines import CommandRefused, JobHeld, ResourceDown
from tests.gridmanagermemory import Memory
from tests.gridmanagerqueue import COMPLETED
from tests.rubbishgahp import RubbishGAHP
from tests.test_gridmanagerbrain import ENDS

#: Misdeeds that a front hides, or makes the failure of one request.
HIDDEN = (
    *("again", "between", "empty", "failure", "fewer"),
    *("lost", "more", "nothing", "notice", "stranger"),
)


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
            seeds = itertools.count(seed * 1000 + 100 * len(self.fronts))
            front = FrontedGAHP(
                name,
                lambda: RubbishGAHP(next(seeds), rate, HIDDEN, name),
                lambda: memory.time,
            )
            self.fronts.append(front)
            return front

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

    def test_misdeeds(self) -> None:
        """
        Each misdeed that ends the gridmanager without a front, done once by the first GAHP,
        does not with one: its jobs are done, or held with a reason.  A GAHP that says nothing
        any more is ended.
        """
        for misdeed in ENDS:
            memory = self.once(misdeed)
            try:
                memory.run(partial(getattr, memory.brain, "isIdle"), 7200.0)
            except Exception as error:
                raise AssertionError(misdeed) from error
            for job in memory.brain.jobs:
                self.assertTrue(job.status == COMPLETED or job.holdReason, misdeed)

    def once(self, misdeed: str) -> Memory:
        """
        @return: a gridmanager with a job, whose first GAHPs do that once.
        """
        misdeeds = {name: [(misdeed,)] for name in ("blahpd", "condor_ft-gahp")}

        def make(name: str) -> FrontedGAHP:
            def start() -> RubbishGAHP:
                todo = misdeeds[name].pop() if misdeeds[name] else ()
                return RubbishGAHP(1, 0, todo, name)

            return FrontedGAHP(name, start, lambda: memory.time)

        memory = Memory(make, tolerate=(CommandRefused, JobHeld, ResourceDown))
        memory.brain.addJob()
        return memory

    def finish(self, memory: Memory, seed: int) -> None:
        """
        Let all jobs come to their ends.
        """
        try:
            memory.run(lambda: memory.brain.isIdle)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
