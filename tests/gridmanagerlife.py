"""
One gridmanager double's life with rvgahp_client's front and GAHPs that talk rubbish, in memory.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from functools import partial

from rvgahp.gahplines import LineSplitter
from tests.gridmanagerfront import FrontedGAHP
from tests.gridmanagerlines import CommandRefused, JobHeld, ResourceDown
from tests.gridmanagermemory import Memory, PureGAHP
from tests.rubbishgahp import RubbishGAHP

#: What the real gridmanager survives: the rest must not be.
SURVIVED = (CommandRefused, JobHeld, ResourceDown)

#: How much of what a GAHP says is spoiled.
RATES = (0.005, 0.02, 0.05, 0.1, 0.3)

#: Seconds of the clock for one gridmanager: longer than its longest timer.
LIFE = 8000.0

#: Seconds that a GAHP which says nothing may stay: what the front gives it, and a minute until
#: it is asked something.
SILENCE = 400.0

#: The commands with a request id.
REQUESTS = re.compile(rb"((?:BLAH_[A-Z_]*|[A-Z]*LOAD_[A-Z]*|DESTROY_[A-Z]*)) (\d+)( |$)")

#: What goes to the next GAHP when one ends.
OWED = (b"BLAH_JOB_CANCEL", b"DESTROY_SANDBOX")


class WatchedGAHP(FrontedGAHP):
    """
    A client whose lines are looked at.

    @ivar requests: the names of the gridmanager's requests by id.
    @ivar results: how many results each has had.
    @ivar sent: the ids of those that any GAHP was given.
    @ivar session: the line with the security session, once a GAHP was given it.
    @ivar said: bytes that it wrote to stdout.
    @ivar complaints: lines that it wrote to stderr.
    """

    def __init__(
        self, name: str, chance: random.Random, rate: float, now: Callable[[], float]
    ) -> None:
        self.requests: dict[bytes, bytes] = {}
        self.results: Counter[bytes] = Counter()
        self.sent: set[bytes] = set()
        self.session = b""
        self._isNew = True
        self._isToldVersion = False
        self.said = 0
        self.complaints: list[str] = []
        self._muteSince: float | None = None
        self._input = LineSplitter(1 << 24)
        self._lines = LineSplitter(1 << 24, b"\n")
        self._gahps: list[RubbishGAHP] = []

        self._chance, self._rate = chance, rate

        def make() -> RubbishGAHP:
            self._gahps.append(self.makeGAHP(name))
            return self._gahps[-1]

        super().__init__(name, make, now)

    def makeGAHP(self, name: str) -> RubbishGAHP:
        """
        @return: one that starts now.
        """
        return RubbishGAHP(self._chance.getrandbits(32), self._rate, (), name)

    @property
    def wasLimited(self) -> bool:
        """
        @return: whether a GAHP has ever said that it had no thread, be it for something else.
        """
        return any(name == "limit" for gahp in self._gahps for name, _ in gahp.done)

    def received(self, data: bytes) -> None:
        """
        Note requests.
        """
        for line in self._input.feed(data):
            if line is not None and (request := REQUESTS.match(line)):
                self.requests[request[2]] = request[1]
        super().received(data)

    def elapse(self, now: float) -> None:
        """
        See that no GAHP stays that says nothing while a request waits for its answer.
        """
        super().elapse(now)
        isMute = self.site is not None and self._gahps[-1].isMute
        isWaiting = bool(set(self.requests) - set(self.results))
        if not (isMute and self.isLive and isWaiting):
            self._muteSince = None
        elif self._muteSince is None:
            self._muteSince = now
        else:
            assert now - self._muteSince < SILENCE, "silent for ever"

    def toGridmanager(self, data: bytes) -> None:
        """
        Note results.
        """
        self.said += len(data)
        for line in self._lines.feed(data):
            assert line is not None
            if line[:1].isdigit():
                self.results[line.split(b" ")[0]] += 1
        super().toGridmanager(data)

    def deliver(self, site: PureGAHP, line: bytes) -> None:
        """
        Note what arrives: no request twice, but what is owed or was refused for want of
        threads; and before all others the gridmanager's version and the security session,
        once to each GAHP.
        """
        self.note(line.rstrip(b"\r\n"))
        super().deliver(site, line)

    def note(self, line: bytes) -> None:
        """
        Look at one line.
        """
        if request := REQUESTS.match(line):
            again = request[1] in OWED or self.wasLimited
            assert request[2] not in self.sent or again, f"repeated: {line!r}"
            self.sent.add(request[2])
        if line in (b"COMMANDS", b"ASYNC_MODE_ON", b"RESULTS"):
            return
        if line.startswith(b"CONDOR_VERSION "):
            assert self._isNew and not self._isToldVersion, f"the version: {line!r}"
            self._isToldVersion = True
            return
        isSession = line.startswith(b"CREATE_CONDOR_SECURITY_SESSION ")
        if self.session:
            assert isSession == self._isNew, f"the security session: {line!r}"
        if isSession:
            self.session = line
        self._isNew = False

    def siteOver(self, sentence: str) -> None:
        """
        Note that the next one is new.
        """
        self._isNew = True
        self._isToldVersion = False
        super().siteOver(sentence)

    def complain(self, sentence: str) -> None:
        """
        Note sentences.
        """
        self.complaints.append(sentence)
        super().complain(sentence)

    def check(self) -> None:
        """
        End the GAHP: now each request has had its one result, or waits for the next GAHP.  A
        client that ended did so before the banner, with a sentence.
        """
        if self.status is None:
            self.front.siteLost("over")
        if not self.said:
            assert self.status, "it is over, and has not ended"
            assert self.complaints
            return
        assert self.status is None, "it has ended after the banner"
        while self.front._answers.results:
            super().received(b"RESULTS\r\n")
        assert set(self.results.values()) <= {1}, self.results.most_common(3)
        assert set(self.results) <= set(self.requests)
        held = {command.requestId for command in self.front._answers.site.queue}
        lost = set(self.requests) - set(self.results) - held
        assert not lost, f"no result: {[self.requests[requestId] for requestId in lost]}"


class Life:
    """
    One gridmanager with a site that talks rubbish.

    @ivar clients: its clients.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clients: list[WatchedGAHP] = []
        self.rate = self.chance.choice(RATES)
        self.memory = Memory(self.make, tolerate=SURVIVED)
        self.brain = self.memory.brain
        for _ in range(self.chance.randint(1, 3)):
            self.brain.addJob()

    def make(self, name: str) -> WatchedGAHP:
        """
        Start a client.
        """
        client = WatchedGAHP(name, self.chance, self.rate, lambda: self.memory.time)
        self.clients.append(client)
        return client

    def live(self) -> None:
        """
        Let it live, with outages, and with an owner who does this and that.
        """
        end = self.memory.time + LIFE
        while self.memory.time < end and not self.brain.isIdle:
            until = self.memory.time + self.chance.choice((0.1, 5.0, 60.0, 500.0, LIFE))
            self.memory.run(partial(self._isThere, until))
            self.meddle()
        for client in self.clients:
            client.check()

    def _isThere(self, until: float) -> bool:
        return self.brain.isIdle or self.memory.time >= until

    def meddle(self) -> None:
        """
        Do one thing.
        """
        job = self.chance.choice(self.brain.jobs)
        kind = self.chance.randrange(6)
        if kind < 3 and self.clients:
            self.chance.choice(self.clients).setLive(kind > 0, self.chance.randrange(4))
        elif kind == 3 and not job.isDone:
            job.renewProxy(b"/tmp/x509")
        elif kind == 4 and self.chance.random() < 0.5:
            job.remove()
        elif kind == 5 and len(self.brain.jobs) < 5:
            self.brain.addJob()
