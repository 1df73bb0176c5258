"""
Real processes: short sessions under random kills, cuts and stops.

A short time of it is among all tests, in every run with another seed.  C{make faults} runs
them for as long as C{RVGAHP_FAULTS_SECONDS} says, or until C{RVGAHP_FAULTS_SESSIONS} have
been; C{RVGAHP_FAULTS_SEED} draws the same faults again.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import SystemRandom

from twisted.trial.unittest import SynchronousTestCase

from tests.faultsessions import SILENT
from tests.faultworld import World, absences, report, unfinished
from tests.programs import SOAK
from tests.shared import stopShared

SECONDS = float(os.environ.get("RVGAHP_FAULTS_SECONDS") or (120 if SOAK else 20))
SESSIONS = int(os.environ.get("RVGAHP_FAULTS_SESSIONS") or 1 << 30)
SEED = int(os.environ.get("RVGAHP_FAULTS_SEED") or SystemRandom().randrange(1, 1 << 32))

#: Sessions between two looks at what is left.
HISTORY = 200

#: Sessions at one time; few where other tests run beside them.
AT_ONCE = int(os.environ.get("RVGAHP_FAULTS_AT_ONCE") or (8 if SOAK else 3))


class AbsenceTests(SynchronousTestCase):
    """
    For how long a site was away.
    """

    def test_log(self) -> None:
        """
        It is away from the loss of its connection until it is accepted, or until now.
        """
        log = (
            "2026-11-21T01:02:15+0000 [rvgahp.ce.CE#warn] Proxy p: connection lost: cut; dialling\n"
            "2026-11-21T01:02:16+0000 [rvgahp.ce.CE#warn] Proxy p: not connected: cut; dialling\n"
            "2026-11-21T01:02:41+0000 [rvgahp.ce.CE#info] Accepted by the proxy at p as site s\n"
        )
        now = datetime(2026, 11, 21, 1, 3, 0, tzinfo=timezone.utc)
        self.assertEqual(absences(log, now), [26])
        again = log.splitlines()[0].replace(":02:15", ":02:55")
        self.assertEqual(absences(log + again, now), [26, 5])
        self.assertEqual(absences("", now + timedelta(days=1)), [])


class FaultTests(SynchronousTestCase):
    """
    The campaign.
    """

    def test_campaign(self) -> None:
        """
        Whatever happens, what an end received is the beginning of what the other sent, and
        all of it, with end and exit status, unless an end was killed; no session has two
        GAHPs; and afterwards nothing is left.
        """
        stopShared()
        world = World(SEED, AT_ONCE)
        began = time.monotonic()
        try:
            world.start()
            while not world.problems and not self._isOver(world, began):
                left = began + SECONDS - time.monotonic()
                world.history(left, min(HISTORY, SESSIONS - sum(world.outcomes.values())))
        finally:
            print(report(world, time.monotonic() - began, SEED))
            for problem in world.problems:
                print(problem)
            if world.problems:
                print(unfinished(world))
                for daemon in ("proxy", "ce"):  # beside trial's own log
                    Path(f"{daemon}.log").write_text(world.playground.log(daemon))
            world.stop()
        self.assertEqual(world.problems, [])
        for outcome in ("whole", "tunnel, whole"):
            self.assertGreater(world.outcomes[outcome], 0, outcome)
        self.assertGreater(sum(world.counts.values()), 0)
        self.assertLessEqual(
            world.outcomes[SILENT], max(AT_ONCE, sum(world.outcomes.values()) // 50)
        )

    @staticmethod
    def _isOver(world: World, began: float) -> bool:
        isLate = time.monotonic() - began >= SECONDS
        return isLate or sum(world.outcomes.values()) >= SESSIONS
