"""
What tests of the gridmanager double share: in memory, GAHPs that follow a script; with
processes, where they work and how long they take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.blahdriver import ROOT
from tests.gridmanager import Gridmanager, ProcessWire
from tests.gridmanagerjobs import Job
from tests.gridmanagerlines import Times
from tests.gridmanagermemory import Memory
from tests.gridmanagerrequests import Requests
from tests.rubbishgahp import RubbishGAHP

#: Jobs are asked for often, and no time-out comes but the double's own.
TIMES = Times(jobPoll=0.1, second=0.01)

#: Where one should come.
SHORT = Times(response=0.4, write=0.4, leave=0.4, poll=0.3, jobPoll=0.1, second=0.01)


class Scripted(RubbishGAHP):
    """
    A GAHP that gives other results than it should: for each command the fields after the id,
    none for no result at all; or a list of such.

    @ivar commandsSeen: the requests it was given.
    @ivar lastIds: of the last of each command.
    @ivar inputs: what was written to it, as it was.
    """

    def __init__(
        self,
        name: str,
        results: dict[bytes, Any],
        misdeeds: Sequence[str] = (),
        banner: bytes = b"",
        limit: int = 50,
    ) -> None:
        """
        @param results: the script.
        @param banner: instead of its own.
        @param limit: how many requests it takes at a time.
        """
        super().__init__(1, 0, misdeeds, name)
        if banner:
            self._output = [banner]
        self._limit = limit
        self.commandsSeen: list[bytes] = []
        self.lastIds: dict[bytes, bytes] = {}
        self.inputs: list[bytes] = []
        self._script = {
            command: [fields] if isinstance(fields, bytes) else fields
            for command, fields in results.items()
        }

    def received(self, data: bytes) -> None:
        """
        Keep it too.
        """
        self.inputs.append(data)
        super().received(data)

    def obey(self, words: list[bytes]) -> None:
        """
        Refuse what would be too many.
        """
        if len(self.results) < self._limit or words[0] == b"RESULTS":
            super().obey(words)
        else:
            self.say(words[0], b"F Threads\\ limit\\ reached\n")

    def makeResult(self, command: bytes, words: list[bytes], fields: bytes) -> bytes:
        """
        Follow the script; the last entry for a command goes for all that follow.
        """
        self.commandsSeen.append(command)
        self.lastIds[command] = words[1]
        script = self._script.get(command)
        if not script:
            return super().makeResult(command, words, fields)
        return script.pop(0) if len(script) > 1 else script[0]


class BrainTestCase(SynchronousTestCase):
    """
    A gridmanager with GAHPs in memory.

    @ivar memory: the last one.
    @ivar brain: its brain.
    @ivar gahps: by name, the GAHPs started last.
    """

    def start(
        self,
        results: dict[bytes, Any] | None = None,
        *misdeeds: str,
        banner: bytes = b"",
        limit: int = 50,
        **brain: Any,
    ) -> None:
        """
        @param results: see L{Scripted}; the same for both GAHPs.
        """
        self.gahps: dict[str, Scripted] = {}

        def make(name: str) -> Scripted:
            self.gahps[name] = Scripted(name, results or {}, misdeeds, banner, limit)
            return self.gahps[name]

        self.memory = Memory(make, **brain)
        self.brain = self.memory.brain

    def ping(self, count: int = 1) -> None:
        """
        Let so many pings come to their ends.
        """
        self.memory.run(lambda: self.brain.resource.pings >= count)

    def untilState(self, job: Job, state: str) -> Job:
        """
        Let a job come to that state.
        """
        self.memory.run(lambda: job.state == state)
        return job

    def untilDone(self, job: Job) -> Job:
        """
        Let a job come to its end.
        """
        self.memory.run(lambda: job.isDone)
        return job

    def untilLate(self, dialogue: Requests) -> None:
        """
        Let a late answer come.
        """
        self.memory.run(lambda: dialogue.counts["late"] == 1)

    def untilSeen(self, name: str, command: bytes) -> None:
        """
        Let a GAHP be given that command.
        """
        self.memory.run(lambda: name in self.gahps and command in self.gahps[name].commandsSeen)

    def finish(self, jobs: int = 1) -> None:
        """
        Let so many jobs come to their ends.
        """
        for _ in range(jobs):
            self.brain.addJob()
        self.memory.run(lambda: self.brain.isIdle)


class DoubleTestCase(SynchronousTestCase):
    """
    Gridmanagers with processes, and where their GAHPs work.
    """

    def setUp(self) -> None:
        """
        A directory for the batch GAHP's records and its jobs.
        """
        self.directory = os.path.abspath(self.mktemp())
        os.mkdir(self.directory)

    def start(
        self, command: Sequence[str], words: Sequence[str] = (), **options: Any
    ) -> Gridmanager:
        """
        @return: one that is ended after the test.
        """
        environment = {"RVGAHP_BLAH_DIR": self.directory, "PYTHONPATH": str(ROOT)}
        double = Gridmanager(command, words, environment, **{"times": TIMES, **options})
        self.addCleanup(double.kill)
        return double

    def forkAd(self, script: str) -> Callable[[bytes], bytes]:
        """
        @return: what makes the submit ad of a job that a shell runs.
        """
        ad = f'[gridtype="fork";Cmd="/bin/sh";Iwd="{self.directory}";Arguments="-c \'{script}\'"]'
        return lambda path: ad.encode()

    def untilKnown(self, double: Gridmanager) -> None:
        """
        Let the first ping come to its end.
        """
        double.run(lambda: double.brain.resource.isKnown)

    def untilDone(self, double: Gridmanager, job: Job) -> None:
        """
        Let a job come to its end.
        """
        double.run(lambda: job.isDone)

    def untilLines(self, double: Gridmanager, wire: ProcessWire, count: int) -> None:
        """
        Let so many lines come from a GAHP's stderr.
        """
        double.run(lambda: wire.errors.count(b"\n") >= count)
