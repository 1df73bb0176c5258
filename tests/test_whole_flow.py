"""
Real processes: who does not read stops the far source and nothing else, and nobody
grows beyond what its streams may hold.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time

from rvgahp.budget import ASSURED_BYTES
from tests.procfs import PATIENCE, isAlive, residentBytes, waitFor
from tests.programs import gahp
from tests.wholecase import PlaygroundTestCase

_MIB = 1 << 20

#: What a process may hold beside what is assured to its streams: the kernel's buffers
#: are not its own, but bytes on their way are held twice or thrice for a moment.
_GROWTH = 32 * _MIB


class FlowTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    def _grownBy(self, pid: int, before: int) -> int:
        return residentBytes(pid) - before

    def _awaitStill(self, pid: int) -> None:
        """
        Wait until a process uses no processor any more: all is full.
        """
        seen = [-1.0] * 20

        def still() -> bool:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            seen.append(float(fields[11]) + float(fields[12]))
            seen.pop(0)
            return seen[0] == seen[-1]

        waitFor(still, "a client that has nothing to do")


class FlowTests(FlowTestCase):
    """
    GAHPs and clients that do not read.
    """

    gahps = {"cat": "/bin/cat", "deaf": gahp("deaf"), "torrent": gahp("torrent")}

    def _throughput(self) -> float:
        """
        @return: bytes per second of a neighbour, both ways at once through C{cat}.
        """
        sent = bytes(24 * _MIB)
        run = self.playground.run("cat", sent)
        self.assertEqual((run.status, run.errors), (0, ""))
        self.assertEqual(len(run.output), len(sent))
        return len(sent) / run.seconds

    def _assertUnharmed(self, alone: float) -> float:
        """
        A neighbour is about as fast as it was alone.  It is measured up to three times:
        others use this machine too.

        @return: by what factor.
        """
        for _ in range(3):
            beside = self._throughput() / alone
            if beside > 0.25:
                return beside
        raise self.failureException(f"the neighbour has {beside:.0%} of its throughput")

    def _fill(self, client: subprocess.Popen[bytes]) -> int:
        """
        Write to a client until it takes nothing more.

        @return: the bytes it took.
        """
        assert client.stdin is not None
        fd, block, total = client.stdin.fileno(), bytes(_MIB), 0
        os.set_blocking(fd, False)
        end = time.monotonic() + PATIENCE
        while select.select([], [fd], [], 0.7)[1]:
            self.assertLess(time.monotonic(), end, f"it still reads after {total} bytes")
            total += os.write(fd, block)
        return total

    def test_deafGAHP(self) -> None:
        """
        A GAHP that never reads stops its client's stdin once there is what is assured to
        each stream; neither CE nor client holds more, and its neighbour runs on.
        """
        alone = self._throughput()
        ce = residentBytes(self.playground.cePid)
        client = self.playground.client("deaf")
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        grown = residentBytes(client.pid)
        total = self._fill(client)
        print(f"\na deaf GAHP's client took {total / _MIB:.1f} MiB", end="")
        self.assertGreaterEqual(total, ASSURED_BYTES)
        self.assertLess(total, ASSURED_BYTES + 4 * _MIB)
        self.assertLess(self._grownBy(client.pid, grown), _GROWTH)
        self.assertLess(self._grownBy(self.playground.cePid, ce), _GROWTH)
        beside = self._assertUnharmed(alone)
        print(f"; its neighbour has {beside:.0%} of the throughput it had alone")
        self.assertTrue(isAlive(pid))

    def test_readerThatDoesNotRead(self) -> None:
        """
        A client whose stdout is not read stops its GAHP; CE and client hold no more than
        the window, the neighbour runs on, when it is read again all runs on, and when it
        is not it can be ended.
        """
        alone = self._throughput()
        ce = residentBytes(self.playground.cePid)
        others = self.playground.gahpPids()  # about to end, of the test before
        client = self.playground.client("torrent")
        assert client.stdout is not None
        self.assertEqual(client.stdout.read(8), b"torrent ")
        grown = residentBytes(client.pid)
        beside = self._assertUnharmed(alone)
        print(f"\nbeside an unread client: {beside:.0%} of the throughput alone")
        self._awaitStill(client.pid)
        self.assertLess(self._grownBy(client.pid, grown), _GROWTH)
        self.assertLess(self._grownBy(self.playground.cePid, ce), _GROWTH)
        more = 64 * _MIB
        while more > 0:
            part = client.stdout.read(_MIB)
            self.assertEqual(part, b"torrent " * (_MIB // 8))
            more -= len(part)
        self._terminateUnread(client, others)

    def _terminateUnread(self, client: subprocess.Popen[bytes], others: list[int]) -> None:
        """
        A client whose stdout nobody reads is ended by a second SIGTERM at the latest, and
        its GAHP by the first.

        @param others: GAHPs that are none of this client's.
        """
        (pid,) = set(self.playground.gahpPids()) - set(others)
        client.terminate()
        self.assertGone(pid)
        client.terminate()
        self.assertIn(client.wait(PATIENCE), (143, -15))


class TotalTests(FlowTestCase):
    """
    What all streams of a CE hold together.
    """

    gahps = {
        "cat": "/bin/cat",
        "torrent": gahp("torrent"),
        "eater": "/bin/sh -c 'echo ready; exec cat > /dev/null'",
    }
    ceSettings = "RVGAHP_REPLAY_LIMIT = 16 MiB\nRVGAHP_REPLAY_TOTAL = 16 MiB\n"

    _MANY = 8

    #: What the CE may hold for that many streams, with what is on its way to and fro.
    _MOST = 16 * _MIB + _MANY * ASSURED_BYTES + _GROWTH

    def test_manyUnread(self) -> None:
        """
        Clients that read fast, and then all at once not at all, leave the CE near the sum
        that all streams of a process may hold, and each still has its share.
        """
        ce = residentBytes(self.playground.cePid)
        clients = [self.playground.client("torrent") for _ in range(self._MANY)]
        for _ in range(20):
            for client in clients:
                self._read(client, _MIB)
        for client in clients:
            self._awaitStill(client.pid)
        grown = self._grownBy(self.playground.cePid, ce)
        print(f"\n{self._MANY} clients are read no more: the CE grew by {grown / _MIB:.0f} MiB")
        self.assertLess(grown, self._MOST)
        for client in clients:
            self._read(client, 2 * _MIB)
            client.terminate()
        self.playground.endClients()
        self.assertServes()

    def _read(self, client: subprocess.Popen[bytes], size: int) -> None:
        assert client.stdout is not None
        self.assertEqual(len(client.stdout.read(size)), size)

    def test_manyThatReadNoMore(self) -> None:
        """
        GAHPs that read fast, and then all at once not at all, when each of their clients
        might send much: the CE holds no more than its streams may, and a neighbour runs.
        """
        ce = residentBytes(self.playground.cePid)
        others = self.playground.gahpPids()  # about to end, of the test before
        clients = [self.playground.client("eater") for _ in range(self._MANY)]
        for client in clients:
            self._read(client, len("ready\n"))
        pids = set(self.playground.gahpPids()) - set(others)
        self.assertEqual(len(pids), self._MANY)
        try:
            self._feed(clients, 20 * _MIB)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            self._feed(clients)
            grown = self._grownBy(self.playground.cePid, ce)
            print(f"\n{self._MANY} GAHPs read no more: the CE grew by {grown / _MIB:.0f} MiB")
            self.assertLess(grown, self._MOST)
            self.assertEqual(self.playground.run("cat", bytes(_MIB)).output, bytes(_MIB))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    def _feed(self, clients: list[subprocess.Popen[bytes]], size: int = 1 << 40) -> None:
        """
        Write to all in turn, until each has got C{size} bytes or none takes more.
        """
        left = {client.stdin.fileno(): size for client in clients if client.stdin}
        block = bytes(_MIB)
        end = time.monotonic() + PATIENCE
        for fd in left:
            os.set_blocking(fd, False)
        while left:
            ready = select.select([], list(left), [], 0.7)[1]
            if not ready:
                self.assertGreater(size, 1 << 30, "a client takes nothing")
                return
            self.assertLess(time.monotonic(), end, f"not done: {left}")
            for fd in ready:
                left[fd] -= os.write(fd, block)
                if left[fd] <= 0:
                    del left[fd]
