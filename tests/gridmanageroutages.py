"""
One gridmanager double's life with rvgahp_client's front, its streams and their channels, in
memory, while the network between the client and the site breaks and comes back.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rvgahp import frames, frontlimits, limits
from rvgahp.clientlink import SiteLink
from rvgahp.frames import Frame
from rvgahp.gahplines import LineSplitter
from tests.channelends import Ends, User, Way
from tests.gridmanagerlife import OWED, REQUESTS, SURVIVED, WatchedGAHP
from tests.gridmanagermemory import Memory
from tests.gridmanagerrequests import Requests
from tests.rubbishgahp import RubbishGAHP
from tests.steppedloop import SteppedLoop

#: Lengths of outages in seconds: hardly one, not noticed, just noticed, and beyond the
#: gridmanager's timers; the lease ends in the last of them.
LENGTHS = (0.0, 0.05, 1.0, 5.0, 11.0, 11.0, 13.0, 13.0, 16.0, 16.0, 30.0, 100.0, 280.0, 400.0)
LONGER = (1000.0, 49 * 60.0, 3700.0)

#: What is asked beside what jobs need: the fields of the result, and the words after the id.
ASKED: dict[bytes, tuple[Any, ...]] = {
    b"BLAH_JOB_SUBMIT": (4, b"[ad]"),
    b"BLAH_JOB_STATUS": (5, b"rubbish/1/1"),
    b"BLAH_JOB_CANCEL": (3, b"rubbish/1/1"),
    b"BLAH_JOB_REFRESH_PROXY": (3, b"rubbish/1/1", b"/tmp/x509"),
    b"BLAH_JOB_HOLD": (3, b"rubbish/1/1"),
    b"BLAH_PING": (3, b"rubbish"),
    b"DOWNLOAD_SANDBOX": (3, b"box", b"[ad]"),
    b"UPLOAD_SANDBOX": (2, b"box", b"[ad]"),
    b"DESTROY_SANDBOX": (2, b"box", b"[ad]"),
}
TRANSFERS = {b"DOWNLOAD_SANDBOX", b"UPLOAD_SANDBOX", b"DESTROY_SANDBOX"}

#: Seconds that a GAHP takes for a request.
DELAYS = (0.0, 0.0, 0.5, 5.0, 40.0)

#: Seconds in which bytes that are on their way may arrive: then both ends have dropped the
#: channel.
ON_ITS_WAY = limits.SILENCE_LIMIT + limits.PING_INTERVAL

#: Seconds of the session's lease; in which all comes right again; and of one life.
LEASE = 3000.0
WELL = 400.0
LIFE = 5000.0


class SlowGAHP(RubbishGAHP):
    """
    A GAHP that does nothing wrong, and takes its time.
    """

    def __init__(self, chance: random.Random, name: str) -> None:
        self._chance = chance
        self._now = 0.0
        self._later: list[tuple[float, bytes]] = []
        super().__init__(chance.getrandbits(32), 0.0, (), name)

    def obey(self, words: list[bytes]) -> None:
        """
        Let results come later.
        """
        before = len(self.results)
        super().obey(words)
        for line in self.results[before:]:
            self._later.append((self._now + self._chance.choice(DELAYS), line))
        if words[0].upper() != b"RESULTS":
            del self.results[before:]

    def elapse(self, now: float) -> None:
        """
        Finish what is done.
        """
        self._now = now
        self.results += [line for due, line in self._later if due <= now]
        self._later = [one for one in self._later if one[0] > now]
        super().elapse(now)

    def deadline(self) -> float | None:
        """
        @return: when the next request is done.
        """
        return min((due for due, _ in self._later), default=None)


class Network:
    """
    What lies between the clients and the site.

    @ivar isUp: whether it carries anything.
    @ivar counts: what was done to it.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.isUp = True
        self.counts: Counter[str] = Counter()
        self.sites: list[LinkedGAHP] = []

    def down(self) -> None:
        """
        From now on it swallows what comes, one way or both.
        """
        self.isUp = False
        which = self.chance.choice((1, 2, 3, 3))
        self.counts["outages one way" if which < 3 else "outages both ways"] += 1
        for site in self.sites:
            for number, way in enumerate(site.ways, 1):
                if which & number and way.fileno() in site.loop.readers:
                    way.hold()

    def up(self) -> None:
        """
        It carries again; what was in it arrives, or its connections are no more.
        """
        self.isUp = True
        survives = self.chance.random() < 0.5
        for site in self.sites:
            for way in site.ways:
                if not survives:
                    way.end()
                elif way.fileno() >= 0 and way.fileno() not in site.loop.readers:
                    way.resume()
            site.dial()

    def cut(self) -> None:
        """
        Connections are cut, in the midst of what they carry next.
        """
        for site in self.sites:
            self.counts["cuts"] += len(site.ways) > 0
            for way in site.ways:
                way.cutAt = way.carried + self.chance.randrange(500)


class CEUser(User):
    """
    The CE: gives the GAHP what comes, and dials when its channel is lost.
    """

    def __init__(self, client: LinkedGAHP) -> None:
        super().__init__()
        self._client = client

    def framesReceived(self, frames: list[Frame]) -> None:
        super().framesReceived(frames)
        self._client.arrived(frames)
        self.heard.clear()

    def channelLost(self, reason: str) -> None:
        loop = self._client.loop
        loop.callLater(limits.REDIAL_FIRST, self._client.dial)


class ClientUser(User):
    """
    The client: the front's, as L{rvgahp.clientfront} has it.
    """

    def __init__(self, client: LinkedGAHP) -> None:
        super().__init__()
        self._client = client

    def channelOpened(self) -> None:
        if self.opened:
            self._client.front.resumed()
        super().channelOpened()
        self.roomMade()

    def framesReceived(self, received: list[Frame]) -> None:
        super().framesReceived(received)
        self.heard.clear()
        self._client.cameBack(received)

    def roomMade(self) -> None:
        self._client.settle()

    def peerSilent(self, seconds: float) -> None:
        if seconds >= LEASE:
            self._client.lost("the site was silent for the lease")


class LinkedGAHP(WatchedGAHP):
    """
    A client whose GAHPs are at the other ends of streams.

    @ivar ways: of the present channel, to the client and to the CE.
    @ivar late: submits that arrived when the gridmanager had given them up.
    @ivar takenBack: lines.
    @ivar leftAt: when the gridmanager has gone.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        now: Callable[[], float],
        dialogue: Callable[[], Requests | None],
    ) -> None:
        """
        @param dialogue: the gridmanager's with this client.
        """
        self.network = network
        self.ways: tuple[Way, ...] = ()
        self.takenBack = self.losses = 0
        self.leftAt = float("inf")
        self.delivered: list[bytes] = []
        self._dialogue = dialogue
        self._ends: Ends | None = None
        self._link: SiteLink | None = None
        self._linkIsLive = self._isEnded = False
        network.sites.append(self)
        super().__init__(name, network.chance, 0.0, now)

    def makeGAHP(self, name: str) -> RubbishGAHP:
        return SlowGAHP(self._chance, name)

    @property
    def loop(self) -> SteppedLoop:
        """
        That of the present session.
        """
        assert self._ends is not None
        return self._ends.loop

    # -- the session --------------------------------------------------------

    def _start(self) -> None:
        self._startAt = None
        if not self.network.isUp:
            self.front.siteLost("the site is not connected")
            return
        self.site = self._make()
        self.starts += 1
        self._ends = Ends(users=(CEUser(self), ClientUser(self)))
        self._origin = self._now() - self._ends.loop.seconds()
        self._link = SiteLink(self._ends.client)
        self._arriving = LineSplitter(1 << 24)
        self._isEnded = False
        self.front.siteStarted()
        self.dial()

    def dial(self) -> None:
        """
        The CE dials, if it can and must.
        """
        if self._ends is None or not self.network.isUp or self._ends.ce.isConnected():
            return
        self._ends.ce.dropHandshakes()
        for way in self.ways:
            way.end()
        _, _, *ways = self._ends.relayed()
        self.ways = tuple(ways)
        if self.network.chance.random() < 0.1:
            self.ways[0].cutAt = self.network.chance.randrange(300)

    def lost(self, sentence: str) -> None:
        """
        The session is known to be over.
        """
        if self._ends is not None:
            self.losses += 1
            self.front.siteLost(sentence)

    def siteOver(self, sentence: str) -> None:
        super().siteOver(sentence)
        self.close()

    def finish(self, status: int | None, sentence: str) -> None:
        super().finish(status, sentence)
        self.close()

    def close(self) -> None:
        """
        Let go of the session.
        """
        if self._ends is not None:
            for way in self.ways:
                way.end()
            self._ends.close()
        self._ends = self._link = None
        self.ways = ()
        self._linkIsLive = False

    # -- toward the site ----------------------------------------------------

    def toSite(self, lines: list[bytes]) -> None:
        assert self._link is not None
        self._link.send(lines)

    def takeBack(self) -> int:
        count = self._link.takeBack() if self._link is not None else 0
        self.takenBack += count
        if count and self._hasEnded:
            self._endInput()
        return count

    def endSite(self) -> None:
        super().endSite()
        if self.status is None:
            self._endInput()

    def _endInput(self) -> None:
        assert self._ends is not None
        self._ends.client.send(frames.END_STDIN)

    def arrived(self, received: list[Frame]) -> None:
        """
        Frames came to the CE.
        """
        for frame in received:
            if frame.kind == frames.END_STDIN:
                assert not self._isEnded, "ended twice"
                self._isEnded = True
            else:
                for line in self._arriving.feed(bytes(frame.payload)):
                    assert line is not None and self.site is not None
                    self.delivered.append(line)
                    self.note(line)
                    self.site.received(line + b"\r\n")

    def note(self, line: bytes) -> None:
        super().note(line)
        request = REQUESTS.match(line)
        if request is None or request[1] in OWED:
            return
        assert self._now() < self.leftAt + ON_ITS_WAY, f"after the gridmanager: {line!r}"
        dialogue = self._dialogue()
        if request[1] == b"BLAH_JOB_SUBMIT" and dialogue is not None:
            assert int(request[2]) not in dialogue.givenUp, f"given up before: {line!r}"

    # -- from the site ------------------------------------------------------

    def cameBack(self, received: list[Frame]) -> None:
        """
        Frames came to the client.
        """
        for frame in received:
            if self._ends is None:
                return
            if frame.kind == frames.EXIT:
                self.site = None
                self.front.siteEnded(frames.decodeExit(bytes(frame.payload))[1])
            elif frame.kind == frames.STDOUT:
                self.front.siteData(bytes(frame.payload))
        self.settle()

    def settle(self) -> None:
        """
        See whether the link is live.
        """
        if self._link is None or self.status is not None:
            return
        self.front.confirmed(self._link.confirmed())
        isLive = self._link.quiet(self.loop.seconds()) < frontlimits.LIVE
        if isLive != self._linkIsLive:
            self._linkIsLive = isLive
            self.front.linkChanged(isLive)

    # -- time ---------------------------------------------------------------

    def inputEnded(self) -> None:
        self.leftAt = self._now()
        super().inputEnded()

    def elapse(self, now: float) -> None:
        if self._startAt is not None and self._startAt <= now:
            self._start()
        due = self.front.nextDeadline()
        if due is not None and due <= now:
            self.front.tick()
        for _ in range(1000):
            ends = self._ends
            if ends is None:
                return
            ends.loop.advance(max(0.0, now - self._origin - ends.loop.seconds()))
            ends.loop.settle()
            self.settle()
            if not self._siteElapsed(now):
                return
        raise AssertionError("it never comes to rest")

    def _siteElapsed(self, now: float) -> bool:
        """
        @return: whether the GAHP said something.
        """
        if self._ends is None or self.site is None:
            return False
        if self._isEnded:
            self.site.inputEnded()
        self.site.elapse(now)
        output, status = self.site.take(), self.site.status
        if output:
            self._ends.ce.send(frames.STDOUT, output)
        if status is not None:
            self._ends.ce.send(frames.EXIT, frames.encodeExit(False, status, ""))
            self.site = None
        return bool(output)

    def deadline(self) -> float | None:
        times = [self.front.nextDeadline(), self._startAt]
        if self._ends is not None:
            times.append(self._origin + self._ends.loop.nextCall())
            if self._link is not None and self._linkIsLive:
                quiet = self._link.quiet(self._ends.loop.seconds())
                times.append(self._now() + frontlimits.LIVE - quiet)
        if self.site is not None:
            times.append(self.site.deadline())
        return min([time for time in times if time is not None], default=None)


class OutageLife:
    """
    One gridmanager and its jobs, with a network that breaks.

    @ivar clients: its clients.
    @ivar network: what breaks.
    @ivar asked: for each request beside those for jobs, its result, or why there is none.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.network = Network(self.chance)
        self.clients: list[LinkedGAHP] = []
        self.asked: list[list[list[bytes] | int]] = []
        self.memory = Memory(self.make, tolerate=SURVIVED)
        self.brain = self.memory.brain
        for _ in range(self.chance.randint(1, 4)):
            self.brain.addJob()

    def close(self) -> None:
        """
        Let go of everything.
        """
        for client in self.clients:
            client.close()

    def make(self, name: str) -> LinkedGAHP:
        """
        Start a client.
        """

        def dialogue() -> Requests | None:
            return self.brain.batch if name == "blahpd" else self.brain.transfers

        self.clients.append(LinkedGAHP(name, self.network, lambda: self.memory.time, dialogue))
        return self.clients[-1]

    def live(self) -> None:
        """
        Let it live, and then go, or be idle.
        """
        end = self.memory.time + LIFE
        while self.memory.time < end and not self.brain.isIdle:
            self.spend(self.chance.choice((0.001, 0.01, 0.1, 1.0, 5.0, 20.0)))
            self.happen()
        isUp = self.chance.random() < 0.5
        if isUp and not self.network.isUp:
            self.network.up()
        if isUp:
            self.spend(WELL)
            for client in self.clients:
                if client.status is None:
                    self.checkAnswered(client)
        self.leave()

    def spend(self, seconds: float) -> None:
        """
        Let time pass.
        """
        end = self.memory.time + seconds
        self.memory.run(partial(self._isPast, end), 1e9)

    def _isPast(self, end: float) -> bool:
        return self.memory.time >= end

    def happen(self) -> None:
        """
        Something happens.
        """
        kind = self.chance.randrange(10)
        job = self.chance.choice(self.brain.jobs)
        if kind < 4:
            self.network.down()
            self.askMuch()
            self.spend(self.chance.choice(LENGTHS if self.chance.random() < 0.95 else LONGER))
            self.network.up()
        elif kind < 6:
            self.network.cut()
            self.ask()
        elif kind == 6 and not job.isDone:
            job.renewProxy(b"/tmp/x509")
        elif kind == 7 and self.chance.random() < 0.5:
            job.remove()
        elif kind == 8 and self.clients and self.chance.random() < 0.3:
            self.chance.choice(self.clients).lost("the site has been restarted")
        elif len(self.brain.jobs) < 8:
            self.brain.addJob()

    def askMuch(self) -> None:
        """
        Make requests in the first seconds of an outage, and later ones.
        """
        for _ in range(self.chance.randrange(4)):
            self.ask()
            self.spend(self.chance.choice((0.0, 1.0, 5.0, 20.0)))

    def ask(self) -> None:
        """
        Make a request beside those for the jobs.
        """
        name, (count, *words) = self.chance.choice(list(ASKED.items()))
        dialogue = self.brain.transfers if name in TRANSFERS else self.brain.batch
        if dialogue is not None and dialogue.isRunning:
            timeout = self.brain.times.transfer if name in TRANSFERS else None
            self.asked.append(self.brain.request(dialogue, count, name, *words, timeout=timeout))

    def checkAnswered(self, client: LinkedGAHP) -> None:
        """
        When all has been well for a while, each request has had its result.
        """
        commands = client.front._answers._open.values()
        late = [one.name for one in commands if one.came < self.memory.time - WELL / 2]
        assert not late, f"no result: {late}"

    def leave(self) -> None:
        """
        The gridmanager goes; the network is there again some time; each client delivers
        what it owes and ends, and each request has had its result, or nobody to want it.
        """
        if self.chance.random() < 0.5:
            self.network.down()
        self.askMuch()
        running = [client for client in self.clients if client.status is None]
        for client in running:
            assert set(client.results.values()) <= {1}, client.results.most_common(3)
        self.memory.close()
        self.afterwards(running, self.chance.choice((0.0, 20.0, 300.0, 2000.0)))
        if not self.network.isUp:
            self.network.up()
        self.afterwards(running, 2 * LEASE)
        for client in running:
            assert client.status is not None, "it is still there"
            self.checkOwed(client)

    def afterwards(self, clients: list[LinkedGAHP], seconds: float) -> None:
        """
        Let time pass for clients that have no gridmanager any more.
        """
        end = self.memory.time + seconds
        while self.memory.time < end:
            due = [end]
            for client in clients:
                if client.status is None:
                    client.elapse(self.memory.time)
                    due.append(client.deadline() or end)
            self.memory.time = max(self.memory.time + 0.001, min(due))

    def checkOwed(self, client: LinkedGAHP) -> None:
        """
        What was owed has been delivered.
        """
        for requestId, name in client.requests.items():
            if name in OWED and client.said:
                assert requestId in client.sent, f"undelivered: {name!r} {requestId!r}"
