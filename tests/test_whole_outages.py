"""
Real processes: a gridmanager, as strict as HTCondor's, whose network swallows everything for
a while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

from tests.gridmanager import Gridmanager
from tests.gridmanagerlines import ResourceDown
from tests.gridmanagerqueue import RUNNING
from tests.playground import Playground
from tests.procfs import isAlive
from tests.programs import SOAK
from tests.relay import Relay
from tests.test_whole_gridmanager import GridmanagerCase

#: Seconds of the outage: longer than it takes to notice it.
OUTAGE = 180.0 if SOAK else 25.0

#: Seconds after it in which all must be well.
WELL = 60.0

Answer = list[list[bytes] | int]


class OutageTests(GridmanagerCase):
    """
    A relay that swallows.
    """

    def makePlayground(self) -> Playground:
        return Playground(ceSettings=self.settings(), relay=Relay())

    def passed(self, double: Gridmanager, seconds: float, often: Callable[[], None]) -> None:
        """
        Be a gridmanager for so long, and do something every second.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            often()
            until = min(end, time.monotonic() + 1.0)
            double.run(partial(self.isLater, until))

    def ask(self, double: Gridmanager, jobId: bytes) -> list[Answer]:
        """
        @return: where the results of one request of each kind will be.
        """
        batch, transfers = double.brain.batch, double.brain.transfers
        assert transfers is not None
        ad = self.forkAd("echo ran >> runs")(b"/")
        ask = double.brain.request
        return [
            ask(batch, 4, b"BLAH_JOB_SUBMIT", ad),
            ask(batch, 5, b"BLAH_JOB_STATUS", jobId),
            ask(batch, 3, b"BLAH_JOB_CANCEL", b"fork/x/1"),
            ask(transfers, 3, b"DOWNLOAD_SANDBOX", b"box", b"[ad]", timeout=3600.0),
            ask(transfers, 2, b"DESTROY_SANDBOX", b"box", b"[ad]", timeout=3600.0),
        ]

    def runs(self) -> int:
        """
        @return: how many of the submitted jobs have run.
        """
        try:
            with open(os.path.join(self.directory, "runs")) as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def test_blackhole(self) -> None:
        """
        With requests of all kinds going on it lives, each request has one result, and each
        submit that succeeded has run once, and no other; the GAHPs are those of the beginning.
        """
        double = self.gridmanager(tolerate=(ResourceDown,))
        [job] = self.waiting(double, 1)
        pids = self.playground.gahpPids()
        answers: list[Answer] = []

        def ask() -> None:
            answers.extend(self.ask(double, job.jobId))

        self.passed(double, 3.0, ask)
        self.playground.relay.hold()
        self.passed(double, OUTAGE, ask)
        self.playground.relay.hold(False, False)
        self.passed(double, 3.0, ask)
        double.run(lambda: all(answers), WELL)
        self.assertEqual(job.remote, RUNNING)
        self.assertEqual(self.playground.gahpPids(), pids)
        submits = [answer[0] for answer in answers[::5]]
        good = sum(isinstance(one, list) and one[1] == b"0" for one in submits)
        double.run(lambda: self.runs() >= good, WELL)
        self.letGo()
        self.assertLives(double, [job])
        self.assertEqual(self.runs(), good)
        for dialogue in (double.brain.batch, double.brain.transfers):
            assert dialogue is not None
            self.assertEqual(dialogue.counts["answered"], dialogue.counts["issued"])
            self.assertEqual((dialogue.counts["late"], dialogue.givenUp), (0, set()))
        for wire in double.wires:
            self.assertNotIn(b"started again", wire.errors)
        print(f"{len(answers)} requests in an outage of {OUTAGE:g} s; {good} submits ran once")

    def test_gone(self) -> None:
        """
        The gridmanager goes while a cancel cannot be delivered: the client stays, delivers it
        when the outage is over, and goes.
        """
        double = self.gridmanager()
        [job] = self.waiting(double, 1)
        with open(os.path.join(self.directory, "pid")) as file:
            pid = int(file.read())
        self.playground.relay.hold()
        self.passed(double, OUTAGE / 2, lambda: None)
        job.remove()
        double.run(lambda: job.state == "CANCEL")
        clients = [wire.process for wire in double.wires]
        for wire in double.wires:
            wire.close()
        time.sleep(1.0)
        self.assertIsNone(clients[0].poll())
        self.assertTrue(isAlive(pid))
        self.playground.relay.hold(False, False)
        self.assertGone(pid)
        for client in clients:
            client.wait(WELL)
