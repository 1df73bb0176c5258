"""
A proxy and a CE to which bad things happen while short sessions run: kills, stops and
restarts, and a network that cuts, swallows, refuses, trickles and delays.

What happens is drawn from a seed; when exactly it meets whom is the machine's business.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.faultsessions import LEASE_OVER, EchoSession, Session, TunnelSession, Violation
from tests.playground import Playground
from tests.procfs import childrenOf, waitFor
from tests.programs import gahp, speaker
from tests.relay import Relay

#: Seconds of the lease, after which a GAHP ends whose client died unseen.
_LEASE = 20

#: Seconds after the end of all sessions, until nothing may be left.
_REST = 30.0

#: Seconds for which a channel may have been silent before the site was away, at the most.
_BEFORE_LOSS = 6.0

#: What a CE says with the time in front when its proxy has gone, and when it is there again.
_LOST = re.compile(r"^(\S+) .*: connection lost: ")
_FOUND = re.compile(r"^(\S+) .*Accepted by the proxy ")


def absences(log: str, now: datetime) -> list[float]:
    """
    @param log: a CE's.
    @param now: when it is read.
    @return: for how many seconds it was without the proxy, each time, the last until now.
    """
    found: list[float] = []
    since: datetime | None = None
    for line in log.splitlines():
        if lost := _LOST.match(line):
            since = since or _time(lost[1])
        elif since is not None and (there := _FOUND.match(line)):
            found.append((_time(there[1]) - since).total_seconds())
            since = None
    return found if since is None else [*found, (now - since).total_seconds()]


def _time(word: str) -> datetime:
    return datetime.strptime(word, "%Y-%m-%dT%H:%M:%S%z")


class World:
    """
    The playground, the sessions that run, and the faults.

    @ivar counts: what has happened.
    @ivar outcomes: what became of sessions.
    @ivar problems: what must not have happened.
    """

    def __init__(self, seed: int, atOnce: int) -> None:
        """
        @param atOnce: sessions at one time.
        """
        self._random = Random(seed)
        self._atOnce = atOnce
        self._directory = TemporaryDirectory(prefix="faults-")
        path = Path(self._directory.name) / "ft-gahp"
        path.write_text(speaker("Tunnels"))
        path.chmod(0o700)
        self.relay = Relay(keeps=0)
        self.playground = Playground(
            {"mirror": gahp("mirror")},
            f"SEC_DEFAULT_SESSION_LEASE = {_LEASE}\n",
            f"FT_GAHP = {path}\n",
            self.relay,
        )
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.problems: list[str] = []
        self._running: set[Session] = set()
        self._number = 0
        self._mayBeLeft = False
        self._stopping = threading.Event()
        self._restarting, self._numbering = threading.Lock(), threading.Lock()

    def start(self) -> None:
        """
        Start proxy and CE, and see what they have open.
        """
        self.playground.start()
        self._session().run()
        self.before = self.playground.quiet()

    def stop(self) -> None:
        """
        End all.
        """
        try:
            self.playground.stop()
        finally:
            self._directory.cleanup()

    # -- a history ----------------------------------------------------------

    def history(self, seconds: float, most: int) -> None:
        """
        Sessions and faults for so long or so many sessions, then peace, and a look at what
        is left.
        """
        self._stopping.clear()
        last = self._number + most
        end = time.monotonic() + seconds
        workers = [
            threading.Thread(target=self._work, args=(end, last)) for _ in range(self._atOnce)
        ]
        harmers = [
            threading.Thread(target=self._harm, args=(Random(self._random.random()), one))
            for one in (self._small, self._large)
        ]
        for one in (*workers, *harmers):
            one.start()
        while time.monotonic() < end and self._number < last and not self.problems:
            time.sleep(0.05)
        self._stopping.set()
        for one in (*harmers, *workers):
            one.join()
        self._rest()

    def _rest(self) -> None:
        before = sorted(self.playground.gahpPids())
        # A client that ended while there was no proxy leaves a session behind for the lease.
        wait = _REST + (_LEASE + 75 if self._mayBeLeft else 0)
        began = time.monotonic()
        self._mayBeLeft = False
        try:
            self.playground.awaitNoGAHP(wait)
            waitFor(self._isAtRest, "what was before", wait)
            if time.monotonic() - began > _REST:
                self.counts["(a lease that ran out)"] += 1
        except AssertionError as e:
            now = self.playground.counts()
            self.problems.append(f"left over ({before}): {e}; before {self.before}, now {now}")

    def _isAtRest(self) -> bool:
        """
        @return: whether nothing is left over.  At the beginning a descriptor of its start may
            still have been open.
        """
        now = self.playground.counts()
        return now.keys() == self.before.keys() and all(
            now[name] <= count if name.startswith("descriptors") else now[name] == count
            for name, count in self.before.items()
        )

    def _session(self) -> Session:
        with self._numbering:
            self._number += 1
            number, random = self._number, Random(self._random.random())
        kind = EchoSession if number % 4 else TunnelSession
        return kind(self.playground.words("")[:-1], Path(self._directory.name), number, random)

    def _work(self, end: float, last: int) -> None:
        while time.monotonic() < end and self._number < last and not self.problems:
            session = self._session()
            self._running.add(session)
            try:
                session.run()
                self.outcomes[session.outcome] += 1
                if session.outcome == LEASE_OVER and not self._wasAway():
                    raise Violation(f"the site was not away for the lease: {session.errors!r}")
            except Exception as e:  # else the thread would just be missing
                self.problems.append(f"session {session.number}, {session.name}: {e!r}")
            finally:
                self._running.discard(session)

    def _wasAway(self) -> bool:
        """
        @return: whether the site has ever been without the proxy for nearly the lease.
        """
        seconds = absences(self.playground.log("ce"), datetime.now(timezone.utc))
        return max(seconds, default=0.0) > _LEASE - _BEFORE_LOSS

    # -- faults -------------------------------------------------------------

    def _harm(self, random: Random, one: Callable[[Random], str]) -> None:
        while not self._stopping.is_set():
            try:
                what = one(random)
            except Exception as e:  # else the thread would just be missing
                if not self._stopping.is_set():
                    self.problems.append(f"a fault failed: {e!r}")
                return
            if what:
                self.counts[what] += 1

    def _pause(self, random: Random, mean: float) -> None:
        self._stopping.wait(random.expovariate(1 / mean))

    def _small(self, random: Random) -> str:
        """
        Something that is over soon.
        """
        self._pause(random, 0.08)
        faults = [self._cut, self._cut, self._cut, self._stopSomeone, self._hold, self._refuse]
        faults += [self._slow, self._kill, self._cutControl, self._outage, self._outage]
        return random.choice(faults)(random)

    def _large(self, random: Random) -> str:
        """
        Something that takes its time.
        """
        self._pause(random, 4.0)
        if self._stopping.is_set():
            return ""
        with self._restarting:
            return random.choice((self._restartProxy, self._restartProxy, self._restartCE))(random)

    def _cut(self, random: Random) -> str:
        live = self.relay.live()
        if not live:
            return ""
        reset = random.random() < 0.5
        self.relay.cut(random.choice(live), reset)
        return "a channel cut by RST" if reset else "a channel cut by FIN"

    def _cutControl(self, random: Random) -> str:
        live = self.relay.live(isData=False)
        if not live or random.random() < 0.7:
            return ""
        self.relay.cut(live[-1], random.random() < 0.5)
        return "the control connection cut"

    def _hold(self, random: Random) -> str:
        toProxy, toCE = random.choice(((True, True), (True, False), (False, True)))
        self.relay.hold(toProxy, toCE)
        self._stopping.wait(random.uniform(0.02, 0.8))
        self.relay.hold(False, False)
        if toProxy and toCE:
            return "both directions swallowed"
        return "one direction swallowed"

    def _outage(self, random: Random) -> str:
        """
        What is on its way is lost, with every connection.
        """
        self.relay.hold()
        self._stopping.wait(random.uniform(0.02, 0.3))
        for one in self.relay.live():
            self.relay.cut(one, random.random() < 0.5)
        self.relay.hold(False, False)
        return "all channels cut after a silence"

    def _refuse(self, random: Random) -> str:
        self.relay.refuses = True
        self._stopping.wait(random.uniform(0.02, 0.3))
        self.relay.refuses = False
        return "new connections refused"

    def _slow(self, random: Random) -> str:
        live = self.relay.live()
        if not live:
            return ""
        one = random.choice(live)
        if random.random() < 0.5:
            self.relay.alter(one, pace=0.002)
            what = "a channel that trickles byte by byte"
        else:
            self.relay.alter(one, delay=random.uniform(0.01, 0.2))
            what = "a channel delayed"
        self._stopping.wait(random.uniform(0.05, 0.5))
        self.relay.alter(one, pace=0.0, delay=0.0)
        return what

    def _stopSomeone(self, random: Random) -> str:
        who = random.choice(("proxy", "CE", "client", "GAHP"))
        session = self._someone(random)
        with self._restarting if who in ("proxy", "CE") else contextlib.nullcontext():
            if who == "proxy":
                pid = self.playground.proxyPid
            elif who == "CE":
                pid = self.playground.cePid
            elif session is None or not session.process:
                return ""
            else:
                pid = session.process.pid if who == "client" else session.gahpPid
            if not pid:
                return ""
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self._stopping.wait(random.uniform(0.02, 0.6))
                os.kill(pid, signal.SIGCONT)
        return f"the {who} stopped" if who in ("proxy", "CE") else f"a {who} stopped"

    def _someone(self, random: Random) -> Session | None:
        running = sorted(self._running, key=lambda one: one.number)
        return random.choice(running) if running else None

    def _kill(self, random: Random) -> str:
        if random.random() < 0.5:
            return ""
        kill = random.choice((self._killClient, self._killGAHP, self._killTunnelled))
        with contextlib.suppress(ProcessLookupError):
            return kill(random)
        return ""

    def _killClient(self, random: Random) -> str:
        session = self._someone(random)
        process = session.process if session is not None else None
        if session is None or process is None:
            return ""
        session.killed.add("client")
        process.kill()
        return "a client killed"

    def _killGAHP(self, random: Random) -> str:
        sessions = [one for one in list(self._running) if one.gahpPid]
        if not sessions:
            return ""
        session = random.choice(sessions)
        session.killed.add("GAHP")
        os.kill(session.gahpPid, signal.SIGKILL)
        return "a GAHP killed"

    def _killTunnelled(self, random: Random) -> str:
        pids = [pid for pid in self.playground.gahpPids() if self._isTunnelled(pid)]
        if not pids:
            return ""
        for session in list(self._running):
            if session.name == TunnelSession.name:
                session.killed.add("GAHP")  # one of them has it
        os.kill(random.choice(pids), signal.SIGKILL)
        return "a GAHP with a tunnel killed"

    @staticmethod
    def _isTunnelled(pid: int) -> bool:
        try:
            return b"ft-gahp" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def _restartProxy(self, random: Random) -> str:
        daemon = self.playground.sandbox.proxy
        assert daemon.process is not None
        number = random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        self._mayBeLeft = True
        daemon.process.send_signal(number)
        daemon.process.wait()
        self._stopping.wait(random.uniform(0, 1.0))
        self.playground.sandbox.startProxy()
        return "the proxy killed" if number == signal.SIGKILL else "the proxy terminated"

    def _restartCE(self, random: Random) -> str:
        daemon = self.playground.sandbox.ce
        assert daemon.process is not None
        number = random.choice((signal.SIGKILL, signal.SIGTERM))
        self._bereave()
        daemon.process.send_signal(number)
        daemon.process.wait()
        self._bereave()
        self._stopping.wait(random.uniform(0, 0.5))
        self.playground.sandbox.startCE()
        self.playground._launchers = childrenOf(self.playground.cePid)
        return "the CE killed" if number == signal.SIGKILL else "the CE terminated"

    def _bereave(self) -> None:
        for session in list(self._running):
            session.killed.add("CE")


def unfinished(world: World) -> str:
    """
    @return: what the logs say of sessions that have not ended at the CE.
    """
    logs = {daemon: world.playground.log(daemon).splitlines() for daemon in ("proxy", "ce")}
    started = set(_names(logs["ce"], ": starting ")) - set(_names(logs["ce"], ": over: "))
    said = [
        f"{daemon}: {line}"
        for daemon, lines in logs.items()
        for line in lines
        if any(f"Session {name}:" in line for name in started)
    ]
    return "\n".join(sorted(said, key=lambda line: line.partition(" ")[2])[-300:])


def _names(lines: list[str], words: str) -> list[str]:
    return [
        line.partition("Session ")[2].partition(words)[0]
        for line in lines
        if words in line and "tunnel" not in line.partition(words)[0]
    ]


def report(world: World, seconds: float, seed: Any) -> str:
    """
    @return: what has happened, for people.
    """
    sessions = sum(world.outcomes.values())
    lines = [f"\nseed {seed}: {sessions} sessions in {seconds:.0f} s"]
    lines += [f"{count:7d}  {what}" for what, count in sorted(world.outcomes.items())]
    lines.append(f"{sum(world.counts.values())} faults")
    lines += [f"{count:7d}  {what}" for what, count in sorted(world.counts.items())]
    return "\n".join(lines)
