"""
Real processes: a gridmanager, as strict as HTCondor's, whose REMOTE_GAHP is our client.
Whatever ends at the site, it lives and its jobs come to their ends.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from functools import partial
from typing import Any

from rvgahp.sandbox import SITE
from tests import rubbishgahp
from tests.gridmanager import Gridmanager
from tests.gridmanagercase import DoubleTestCase
from tests.gridmanagerjobs import Job
from tests.gridmanagerlines import CommandRefused, JobHeld, ResourceDown, Times
from tests.gridmanagerqueue import COMPLETED, IDLE, REMOVED, RUNNING
from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.programs import SOAK, program
from tests.wholecase import PlaygroundTestCase

#: Only what would be long to wait for is shorter than the real one's.
TIMES = Times(jobPoll=0.1, second=0.01, probeDelay=0.1, probeInterval=0.5)

#: Programs that speak a GAHP's protocol, do nothing else, and say rubbish this often.
SCRIPT = f"""#!/bin/sh
exec {shlex.join([sys.executable, "-I", "-S", rubbishgahp.__file__])} $$ %s %s
"""


#: Seconds of rubbish.
SECONDS = 60.0 if SOAK else 4.0


class GridmanagerCase(PlaygroundTestCase, DoubleTestCase):
    """
    The gridmanager double, the client, the proxy and the CE.
    """

    def setUp(self) -> None:
        """
        Both.
        """
        DoubleTestCase.setUp(self)
        PlaygroundTestCase.setUp(self)

    def makePlayground(self) -> Playground:
        """
        @return: one whose C{condor_ft-gahp} is ours.
        """
        return Playground(ceSettings=self.settings())

    def settings(self) -> str:
        """
        @return: further lines of a CE's configuration.
        """
        return self.played("FT_GAHP", "condor_ft-gahp", "0")

    def played(self, setting: str, name: str, rate: str) -> str:
        """
        @return: the line of a CE's configuration that names a L{SCRIPT}.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "x") as file:
            file.write(SCRIPT % (rate, name))
        os.chmod(path, 0o700)
        return f"{setting} = {path}\n"

    def gridmanager(self, site: str = SITE, **options: Any) -> Gridmanager:
        """
        @return: one whose REMOTE_GAHP is the client.
        """
        words = ["--socket", self.playground.sandbox.socket, site]
        options = {"times": TIMES, "tolerate": (ResourceDown,), **options}
        return self.start([program("rvgahp_client")], words, **options)

    def waiting(self, double: Gridmanager, count: int) -> list[Job]:
        """
        @return: jobs that run until L{letGo}.
        """
        ad = self.forkAd("echo $$ > pid; while [ ! -e go ]; do sleep 0.1; done; exit 7")
        jobs = [double.brain.addJob(ad) for _ in range(count)]
        double.run(lambda: all(job.remote == RUNNING for job in jobs))
        return jobs

    def letGo(self) -> None:
        """
        Let the jobs go on.
        """
        with open(os.path.join(self.directory, "go"), "x"):
            pass

    def untilLost(self, double: Gridmanager) -> None:
        """
        Let both clients notice that their GAHP is over.
        """
        word = b"it is started again"
        double.run(lambda: all(wire.errors.count(word) >= 1 for wire in double.wires))

    def assertLives(self, double: Gridmanager, jobs: list[Job]) -> None:
        """
        The jobs are completed, and the clients are those of the beginning.
        """
        double.run(lambda: all(job.isDone for job in jobs))
        for job in jobs:
            self.assertEqual((job.status, job.holdReason), (COMPLETED, ""))
            self.assertIn(b"ExitCode = 7", job.ad)
        self.assertEqual([wire.status for wire in double.wires], [None, None])

    def killed(self) -> None:
        """
        Kill all GAHPs at the site.
        """
        pids = self.playground.gahpPids()
        self.assertEqual(len(pids), 2)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def isLater(until: float) -> bool:
        """
        @return: whether that time has come.
        """
        return time.monotonic() >= until


class GridmanagerTests(GridmanagerCase):
    """
    With C{rvgahp_blahpd} and jobs.
    """

    def test_jobs(self) -> None:
        """
        Jobs run to their ends, one is removed by its owner, nothing is said on stderr but the
        tunnel's port; and the clients go with the gridmanager.
        """
        double = self.gridmanager(tolerate=())
        removed = double.brain.addJob(self.forkAd("sleep 60"))
        jobs = [double.brain.addJob(self.forkAd("exit 7")) for _ in range(4)]
        double.run(lambda: removed.remote == RUNNING)
        removed.remove()
        self.assertLives(double, jobs)
        double.run(lambda: removed.isDone)
        self.assertEqual(removed.status, REMOVED)
        for isOrderly in (False, True):
            double.leave(isOrderly)
        said = [wire.errors for wire in double.wires]
        self.assertEqual(said[0], b"")
        self.assertRegex(said[1], rb"\AAllocated port \d+ for remote forward to \S+\n\Z")
        self.playground.awaitNoGAHP()

    def test_gahpKilled(self) -> None:
        """
        Both GAHPs are killed while jobs run: the gridmanager lives, the next GAHPs tell of the
        same jobs, and others can be submitted.
        """
        double = self.gridmanager()
        jobs = self.waiting(double, 3)
        self.killed()
        self.untilLost(double)
        self.letGo()
        jobs.append(double.brain.addJob(self.forkAd("exit 7")))
        self.assertLives(double, jobs)

    def test_cancelled(self) -> None:
        """
        A job that is removed while there is no GAHP is cancelled by the next one, although the
        gridmanager has gone meanwhile.
        """
        double = self.gridmanager()
        [job] = self.waiting(double, 1)
        self.killed()
        self.untilLost(double)
        job.remove()
        double.run(lambda: job.state == "CANCEL")
        double.leave()
        with open(os.path.join(self.directory, "pid")) as file:
            self.assertGone(int(file.read()))

    def test_ceKilled(self) -> None:
        """
        The CE is killed while jobs run, and started again: the gridmanager lives, and the jobs
        come to their ends.
        """
        double = self.gridmanager()
        jobs = self.waiting(double, 2)
        ce = self.playground.sandbox.ce
        assert ce.process is not None
        ce.process.kill()
        ce.process.wait()
        ce.start()
        self.untilLost(double)
        self.letGo()
        self.assertLives(double, jobs)

    def test_siteLater(self) -> None:
        """
        A site that is not there at first is down for the gridmanager, as the proxy's sentence
        says, and up when it is there.
        """
        ce = self.playground.addCE("later", settings=self.settings())
        double = self.gridmanager("later")
        job = double.brain.addJob(self.forkAd("exit 7"))
        double.run(lambda: double.brain.resource.isDown)
        self.assertIn("later", double.brain.resource.reason)
        self.assertEqual(job.status, IDLE)
        ce.start()
        double.run(lambda: job.isDone)
        self.assertEqual(job.status, COMPLETED)
        self.assertFalse(double.brain.resource.isDown)
        double.leave()


class RubbishTests(GridmanagerCase):
    """
    The same with a site whose GAHPs say rubbish.
    """

    def settings(self) -> str:
        return self.played("FT_GAHP", "condor_ft-gahp", "0.03") + self.played(
            "BATCH_GAHP", "blahpd", "0.03"
        )

    def test_rubbish(self) -> None:
        """
        The gridmanager lives, whatever the site says, and so do the clients that have begun.
        """
        double = self.gridmanager(tolerate=(CommandRefused, JobHeld, ResourceDown))
        end = time.monotonic() + SECONDS
        restarts = done = 0
        # A GAHP that is mute at its start may take all of that time.
        while time.monotonic() < end + (0 if done + restarts else 2 * PATIENCE):
            double.brain.addJob()
            until = time.monotonic() + SECONDS / 20
            double.run(partial(self.isLater, until))
            restarts = sum(wire.errors.count(b"it is started again") for wire in double.wires)
            done = sum(job.isDone for job in double.brain.jobs)
        print(f"\n{done} jobs of {len(double.brain.jobs)} done; {restarts} GAHPs were over")
        self.assertGreater(done + restarts, 0)
