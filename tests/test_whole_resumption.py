"""
Real processes: streams that go on when their channels break, when the proxy is killed, and
when somebody does not answer.

With C{RVGAHP_SOAK=1} the full numbers: a gigabyte and 1000 cuts, 100 streams and 100 ends of
the proxy, and the real 15 s of silence.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import SystemRandom

from rvgahp import limits
from tests.procfs import PATIENCE, isStopped, waitFor
from tests.programs import SOAK, gahp, program
from tests.relay import Connection, Relay
from tests.wholecase import PlaygroundTestCase

#: Bytes each way, their pace in bytes per second, and how often the channel is cut.
BYTES = 1_000_000_000 if SOAK else 40_000_000
PACE = 20_000_000
CUTS = 1000 if SOAK else 40

#: Seconds from one cut to the next, in the mean: while there is no channel none is cut.
INTERVAL = 0.25 * BYTES / PACE / CUTS

#: Live streams, and how often the proxy is killed.
STREAMS = 100 if SOAK else 10
KILLS = 100 if SOAK else 2

#: Seconds that a cut may cost, in the mean.
COST = 0.15

#: Seconds without a byte that are nothing at this pace.
WINK = 0.02

#: Seconds from one line of a stream to the next.
LINES = 0.2

_BLOCK = 1 << 20


def spread(values: Sequence[float]) -> str:
    """
    @return: median, 99 % and the worst of some seconds, for people.
    """
    ordered = sorted(values)
    if not ordered:
        return "none"
    shown = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]
    return "p50 {:.0f}, p99 {:.0f}, worst {:.0f} ms".format(*(1000 * one for one in shown))


class Transfer:
    """
    Bytes at a steady pace through something that gives them back.

    @ivar arrivals: when bytes came back.
    @ivar count: how many have.
    @ivar late: what has come back is so many seconds behind its pace, at the end.
    """

    def __init__(self, process: subprocess.Popen[bytes], size: int) -> None:
        self._process = process
        self._size = size
        self._block = os.urandom(_BLOCK)
        self._sent, self._came = hashlib.sha256(), hashlib.sha256()
        self.arrivals: list[float] = []
        self.count = 0
        self.began = time.monotonic()
        self.seconds = 0.0
        self._threads = [threading.Thread(target=one) for one in (self._write, self._read)]
        for one in self._threads:
            one.start()

    def _write(self) -> None:
        assert self._process.stdin is not None
        fd, sent = self._process.stdin.fileno(), 0
        while sent < self._size:
            due = self.began + sent / PACE
            time.sleep(max(0.0, due - time.monotonic()))
            start = sent % 65536
            piece = self._block[start : start + min(65536, self._size - sent)]
            self._sent.update(piece)
            sent += len(piece)
            while piece:
                piece = piece[os.write(fd, piece) :]
        self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while True:
            piece = os.read(fd, 1 << 18)
            if not piece:
                break
            self._came.update(piece)
            self.count += len(piece)
            self.arrivals.append(time.monotonic())
        self.seconds = time.monotonic() - self.began

    def isOver(self) -> bool:
        """
        @return: whether the end has come back.
        """
        return not self._threads[1].is_alive()

    def isWhole(self) -> bool:
        """
        @return: whether all came back as it was sent.
        """
        for one in self._threads:
            one.join()
        return self.count == self._size and self._sent.digest() == self._came.digest()

    def gaps(self) -> list[float]:
        """
        @return: how long nothing came, each time that was longer than a wink.
        """
        times = self.arrivals
        gaps = [second - first for first, second in pairwise(times)]
        return [gap for gap in gaps if gap > WINK]


class Talk:
    """
    Lines through many clients, in one thread: each answered line is followed by another.

    @ivar trips: seconds of round trips.
    @ivar rounds: how many lines have come back, by client.
    """

    def __init__(self, clients: Sequence[subprocess.Popen[bytes]]) -> None:
        self._clients = {one.stdout.fileno(): one for one in clients if one.stdout is not None}
        self._waiting: dict[int, tuple[float, bytes]] = {}
        self._due = {fd: time.monotonic() for fd in self._clients}
        self._poll = select.poll()
        for fd in self._clients:
            self._poll.register(fd, select.POLLIN)
        self.trips: list[float] = []
        self.rounds = dict.fromkeys(self._clients, 0)
        self._number = 0
        self.problem = ""

    def go(self, isOver: Callable[[], object], pause: float = LINES) -> None:
        """
        Go on until C{isOver}, and until each has its answer.
        """
        while self._waiting or not isOver():
            now = time.monotonic()
            for fd, due in self._due.items():
                if due <= now and fd not in self._waiting and not isOver():
                    self._number += 1
                    line = b"line %d\n" % self._number
                    self._waiting[fd] = time.monotonic(), line
                    stdin = self._clients[fd].stdin
                    assert stdin is not None
                    os.write(stdin.fileno(), line)
            for fd, _ in self._poll.poll(5):
                self._answered(fd, pause)
            oldest = min((sent for sent, _ in self._waiting.values()), default=now)
            if now - oldest > PATIENCE:
                raise AssertionError(f"no answer for {now - oldest:.0f} s")

    def _answered(self, fd: int, pause: float) -> None:
        data = os.read(fd, 4096)
        sent, line = self._waiting.pop(fd, (0.0, b""))
        if data != line:
            raise AssertionError(f"sent {line!r}, and {data!r} came")
        self.trips.append(time.monotonic() - sent)
        self.rounds[fd] += 1
        self._due[fd] = time.monotonic() + pause * SystemRandom().uniform(0.5, 1.5)

    def begin(self) -> None:
        """
        Measure anew, from a line through each that is sent now.
        """
        self.trips = []
        self._due = dict.fromkeys(self._due, 0.0)

    def once(self) -> None:
        """
        A line through each.
        """
        goal = {fd: count + 1 for fd, count in self.rounds.items()}
        self.begin()
        self.go(lambda: all(self.rounds[fd] >= count for fd, count in goal.items()), 3600)


class ResumptionTestCase(PlaygroundTestCase):
    """
    Tests with a relay that cuts.
    """

    relayed = True
    gahps = {"cat": "/bin/cat", "slow": gahp("slow")}

    def setUp(self) -> None:
        super().setUp()
        self.relay: Relay = self.playground.relay
        self.relay.forget()
        self.relay.keeps = 0

    def channel(self) -> Connection:
        """
        @return: the data connection that there is.
        """
        live: list[Connection] = waitFor(self.relay.live, "a data connection")
        return live[-1]


class CutTests(ResumptionTestCase):
    """
    Channels that are cut.
    """

    def test_cuts(self) -> None:
        """
        What goes both ways at a steady pace arrives whole however often the channel is cut,
        and no cut costs more than it must.
        """
        client = self.playground.client("cat")
        random = SystemRandom()
        transfer = Transfer(client, BYTES)
        cuts = 0
        while cuts < CUTS and not transfer.isOver():
            time.sleep(random.expovariate(1 / INTERVAL))
            for connection in self.relay.live():
                cuts += 1
                self.relay.cut(connection, random.random() < 0.5)
        self.assertTrue(transfer.isWhole())
        self.assertEqual(client.wait(PATIENCE), 0)
        assert client.stderr is not None
        self.assertEqual(client.stderr.read(), b"")
        gaps = transfer.gaps()
        late, lost = (transfer.seconds - BYTES / PACE) / cuts, sum(gaps) / cuts
        print(
            f"\n{BYTES / 1e6:.0f} MB each way in {transfer.seconds:.1f} s through {cuts} cuts:"
            f" {1000 * late:.1f} ms later for each; nothing came back for {1000 * lost:.0f} ms"
            f" a cut, {len(gaps)} times, {spread(gaps)}"
        )
        self.assertGreater(cuts, CUTS // 4)
        if SOAK:
            self.assertLess(max(late, lost), COST)

    def test_afterExit(self) -> None:
        """
        A channel that is cut when the GAHP has ended and its client's reader has not read
        all: the rest arrives, and the exit status.
        """
        client = self.playground.client("cat")
        assert client.stdin is not None and client.stdout is not None
        data = os.urandom(300_000)
        client.stdin.write(data)
        client.stdin.close()
        client.stdin = None
        self.playground.awaitNoGAHP()
        for _ in range(3):
            self.relay.cut(self.channel(), True)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output == data, errors), (0, True, b""))


class ProxyKilledTests(ResumptionTestCase):
    """
    The proxy dies, and comes again.
    """

    def restart(self) -> None:
        """
        Kill the proxy and start it again.
        """
        daemon = self.playground.sandbox.proxy
        assert daemon.process is not None
        daemon.process.kill()
        daemon.process.wait()
        self.playground.sandbox.startProxy()

    def unrelated(self) -> None:
        """
        Start some other twistd, and kill it.
        """
        log = Path(self.mktemp())
        words = ["--nodaemon", "--pidfile=", f"--logfile={log}", "--no_save", "portforward"]
        words += ["--port=tcp:0:interface=127.0.0.1", "--host=127.0.0.1", "--dest_port=9"]
        with subprocess.Popen([program("twistd"), *words]) as process:
            waitFor(lambda: log.exists() and "Starting factory" in log.read_text(), "its start")
            process.kill()

    def repeated(self, talk: Talk, what: Callable[[], object], times: int) -> list[float]:
        """
        @return: the seconds of round trips while something is done so often.
        """
        talk.begin()
        problems: list[BaseException] = []

        def repeat() -> None:
            try:
                for _ in range(times):
                    what()
            except BaseException as e:  # for the test's own thread
                problems.append(e)

        thread = threading.Thread(target=repeat)
        thread.start()
        talk.go(lambda: not thread.is_alive())
        thread.join()
        self.assertEqual(problems, [])
        return sorted(talk.trips)

    def test_killed(self) -> None:
        """
        Streams do not stall while the proxy is killed and started again, and every channel
        that is cut afterwards resumes.
        """
        clients = [self.playground.client("cat") for _ in range(STREAMS)]
        talk = Talk(clients)
        talk.once()
        beside = self.repeated(talk, self.unrelated, KILLS)
        print(f"\n{STREAMS} streams beside {KILLS} starts of another twistd: {spread(beside)}")
        before = self.before("proxy")
        trips = self.repeated(talk, self.restart, KILLS)
        print(f"while the proxy is killed and started {KILLS} times: {spread(trips)}")
        waitFor(lambda: self._claims(before) >= STREAMS, f"{STREAMS} claims")
        began = time.monotonic()
        for connection in self.relay.live():
            self.relay.cut(connection)
        talk.once()
        print(
            f"all cut: {time.monotonic() - began:.2f} s until each had a line back;"
            f" {spread(talk.trips)}"
        )
        for client in clients:
            assert client.stdin is not None
            client.stdin.close()
            client.stdin = None
            self.assertEqual(client.wait(PATIENCE), 0)
        at = len(beside) * 99 // 100, len(trips) * 99 // 100
        if SOAK:
            self.assertLess(trips[at[1]], 3 * beside[at[0]])
            self.assertLess(trips[-1], 1.0)

    def _claims(self, start: int) -> int:
        """
        @return: how many sessions the proxy that runs now has been told are whose.
        """
        text = self.playground.log("proxy")[start:]
        return text.rpartition("Site sandbox: connected")[2].count("has claimed it")


class DeadPeerTests(ResumptionTestCase):
    """
    Somebody does not answer; or only slowly.
    """

    def talking(self, count: int) -> tuple[list[subprocess.Popen[bytes]], Talk]:
        """
        @return: clients through which lines have gone, in the order of their connections.
        """
        clients = []
        for number in range(count):
            clients.append(self.playground.client("cat"))
            Talk(clients[-1:]).once()
            waitFor(partial(self._hasLive, number + 1), "its connection")
        return clients, Talk(clients)

    def _hasLive(self, count: int) -> bool:
        return len(self.relay.live()) == count

    def test_swallowed(self) -> None:
        """
        Where either direction is swallowed, or both, that is noticed within 15 s, and the
        stream goes on.
        """
        clients, _ = self.talking(3)
        ways = ((True, True), (True, False), (False, True))
        for connection, (toProxy, toCE) in zip(self.relay.live(), ways, strict=True):
            self.relay.alter(connection, toProxy, toCE, isHeld=True)
        took: dict[int, float] = {}
        began = time.monotonic()

        def wait(number: int) -> None:
            Talk([clients[number]]).once()
            took[number] = time.monotonic() - began

        threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        print(f"\nboth, to the proxy, to the CE swallowed: a line came back after {took} s")
        self.assertEqual(len(took), 3)
        self.assertLess(max(took.values()), limits.SILENCE_LIMIT + 2.0)

    def test_stopped(self) -> None:
        """
        A client or a CE that is stopped for 20 s goes on where it was.
        """
        clients, talk = self.talking(3)
        for pid in (clients[0].pid, self.playground.cePid):
            os.kill(pid, signal.SIGSTOP)
            waitFor(partial(isStopped, pid), "the stop")
            end = time.monotonic() + 20
            if pid == clients[0].pid:
                Talk(clients[1:]).go(partial(self._isPast, end))
            time.sleep(max(0.0, end - time.monotonic()))
            os.kill(pid, signal.SIGCONT)
            began = time.monotonic()
            talk.once()
            print(f"\nafter SIGCONT lines came back in {time.monotonic() - began:.2f} s")

    @staticmethod
    def _isPast(end: float) -> bool:
        return time.monotonic() > end

    def test_trickle(self) -> None:
        """
        A channel over which a byte comes now and then is not taken for dead.
        """
        _, talk = self.talking(1)
        (connection,) = self.relay.live()
        self.relay.alter(connection, pace=0.02)
        end = time.monotonic() + 2 * limits.SILENCE_LIMIT
        talk.go(lambda: time.monotonic() > end)
        print(f"\nat 50 bytes a second: {len(talk.trips)} lines, {spread(talk.trips)}")
        self.assertTrue(connection.isOpen)
        self.assertEqual(len(self.relay.live()), 1)

    if not SOAK:
        del test_swallowed, test_stopped, test_trickle  # each waits for 15 s and more
