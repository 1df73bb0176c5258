"""
Real processes: who does not read stops the far source and nothing else, and nobody
grows beyond the window.
"""

from __future__ import annotations

import os
import select
import subprocess
import time

from tests.procfs import PATIENCE, isAlive, residentBytes, waitFor
from tests.programs import gahp
from tests.wholecase import PlaygroundTestCase

_MIB = 1 << 20

#: The window of a stream, unless configured.
_WINDOW = 16 * _MIB

#: What a process may hold beside the window: the kernel's buffers are not its own, but
#: bytes on their way are held twice or thrice for a moment.
_GROWTH = 64 * _MIB


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
        A GAHP that never reads stops its client's stdin once the window is full; neither
        CE nor client holds more, and its neighbour runs on.
        """
        alone = self._throughput()
        ce = residentBytes(self.playground.cePid)
        client = self.playground.client("deaf")
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        grown = residentBytes(client.pid)
        total = self._fill(client)
        print(f"\na deaf GAHP's client took {total / _MIB:.1f} MiB", end="")
        self.assertGreaterEqual(total, _WINDOW * 9 // 10)
        self.assertLess(total, _WINDOW + 8 * _MIB)
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

    gahps = {"cat": "/bin/cat", "torrent": gahp("torrent")}
    ceSettings = "RVGAHP_REPLAY_TOTAL = 24 MiB\n"

    def test_manyUnread(self) -> None:
        """
        Clients that nobody reads leave the CE near the sum that all streams of a process
        may hold, and each still has its share.
        """
        ce = residentBytes(self.playground.cePid)
        clients = [self.playground.client("torrent") for _ in range(6)]
        for client in clients:
            assert client.stdout is not None
            self.assertEqual(client.stdout.read(8), b"torrent ")
        for client in clients:
            self._awaitStill(client.pid)
        grown = self._grownBy(self.playground.cePid, ce)
        print(f"\n6 unread clients: the CE grew by {grown / _MIB:.0f} MiB")
        self.assertLess(grown, 64 * _MIB)
        for client in clients:
            assert client.stdout is not None
            self.assertEqual(len(client.stdout.read(2 * _MIB)), 2 * _MIB)
            client.terminate()
        self.playground.endClients()
        self.assertServes()
