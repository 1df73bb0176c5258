"""
Real processes: whoever ends, by whatever means, nothing that belongs to him stays
behind, and whoever is left is told why.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from rvgahp import limits
from tests.playground import Playground
from tests.procfs import PATIENCE, childrenOf, isAlive, waitFor
from tests.programs import SOAK, gahp
from tests.wholecase import PlaygroundTestCase

_KILL_GRACE = 0.5
_STDIN_GRACE = 0.5


class EndTests(PlaygroundTestCase):
    """
    Clients and GAHPs that end or are ended.
    """

    gahps = {
        name: gahp(name) for name in ("deaf", "stubborn", "family", "torrent", "slow", "orphan")
    } | {"cat": "/bin/cat"}
    ceSettings = f"RVGAHP_KILL_GRACE = {_KILL_GRACE}\nRVGAHP_STDIN_GRACE = {_STDIN_GRACE}\n"

    def _started(self, name: str) -> tuple[subprocess.Popen[bytes], list[int]]:
        """
        @return: a client and the processes of its GAHP, as it says.
        """
        client = self.playground.client(name)
        assert client.stdout is not None
        pids = [int(word) for word in client.stdout.readline().split()]
        for pid in pids:
            self.assertTrue(isAlive(pid))
        return client, pids

    def _close(self, client: subprocess.Popen[bytes]) -> None:
        assert client.stdin is not None
        client.stdin.close()
        client.stdin = None

    def test_clientKilled(self) -> None:
        """
        Clients that are killed leave no GAHP behind, none of its children, no descriptor
        and no session: at any moment of their start, idle, or in the middle of a torrent.
        """
        before = self.playground.quiet()
        for number in range(20):
            client = self.playground.client("deaf")
            time.sleep(number * 0.005)
            client.kill()
        busy = self.playground.client("torrent")
        assert busy.stdout is not None
        self.assertEqual(len(busy.stdout.read(1 << 20)), 1 << 20)
        started = [self._started(name) for name in ("deaf", "family", "stubborn")]
        for client in (busy, *(client for client, _ in started)):
            client.kill()
        for _, pids in started:
            for pid in pids:
                self.assertGone(pid)
        self.playground.endClients()
        self.playground.awaitNoGAHP()
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def test_terminated(self) -> None:
        """
        SIGTERM, SIGINT and SIGHUP to the client end the GAHP, and its exit status comes;
        one that ignores TERM is killed at the deadline, not earlier.
        """
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        started = [self._started("deaf") for _ in signals]
        stubborn, pids = self._started("stubborn")
        sent = time.monotonic()
        for (client, _), number in zip(started, signals, strict=True):
            client.send_signal(number)
        stubborn.terminate()
        for client, own in started:
            self.assertEqual(client.wait(PATIENCE), 128 + signal.SIGTERM)
            self.assertFalse(isAlive(own[0]))
        self.assertEqual(stubborn.wait(PATIENCE), 128 + signal.SIGKILL)
        self.assertFalse(isAlive(pids[0]))
        seconds = time.monotonic() - sent
        print(f"\na GAHP that ignores TERM was killed after {seconds:.2f} s")
        self.assertGreaterEqual(seconds, _KILL_GRACE)
        self.assertLess(seconds, limits.ORPHAN_GRACE + _KILL_GRACE + PATIENCE / 2)

    def test_terminatedGently(self) -> None:
        """
        A GAHP that ends at the end of its input is not sent a signal when its client is
        told to end.
        """
        client = self.playground.client("cat")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"!")
        client.stdin.flush()
        self.assertEqual(client.stdout.read(1), b"!")
        started = time.monotonic()
        client.terminate()
        self.assertEqual(client.wait(PATIENCE), 0)
        print(f"\ncat and its client ended {time.monotonic() - started:.2f} s after SIGTERM")

    def test_inputEnded(self) -> None:
        """
        A GAHP that does nothing after the end of its input is ended after a while, with a
        sentence on its client's stderr.
        """
        client, pids = self._started("deaf")
        self._close(client)
        _, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 128 + signal.SIGTERM)
        self.assertIn(b"gave no output for 0.5 s after its input", errors)
        self.assertFalse(isAlive(pids[0]))

    def test_gahpKilled(self) -> None:
        """
        A GAHP that somebody kills: its client exits with 128 + 9.
        """
        client, pids = self._started("deaf")
        os.kill(pids[0], signal.SIGKILL)
        self.assertEqual(client.wait(PATIENCE), 128 + signal.SIGKILL)

    def test_time(self) -> None:
        """
        An idle session lives on, beyond the interval of its pings.  So does one whose GAHP
        has no more input and is silent because nobody reads it.  And a GAHP that exits
        while a child of its own holds its output open is waited for no longer than for a
        while: its status arrives.
        """
        unread = self.playground.client("torrent")
        assert unread.stdout is not None
        self._close(unread)
        self.assertEqual(len(unread.stdout.read(1 << 20)), 1 << 20)
        orphan = self.playground.client("orphan")
        assert orphan.stdout is not None
        self.addCleanup(os.kill, int(orphan.stdout.readline()), signal.SIGKILL)
        started = time.monotonic()
        idle = self.playground.client("slow")
        assert idle.stdin is not None and idle.stdout is not None
        for number in range(2):
            idle.stdin.write(b"line\n")
            idle.stdin.flush()
            line = idle.stdout.readline().split()
            self.assertEqual(line[1:], [b"%d" % number, b"line"])
            # The time itself is what is tested.
            if not number:
                time.sleep((3 * limits.SILENCE_LIMIT if SOAK else limits.PING_INTERVAL) + 0.3)
        self._close(idle)
        self.assertEqual(idle.wait(PATIENCE), 0)
        self.assertIsNone(unread.poll())
        self.assertEqual(len(unread.stdout.read(32 << 20)), 32 << 20)
        self.assertEqual(orphan.wait(PATIENCE), 7)
        if not SOAK:
            seconds = time.monotonic() - started
            print(f"\nits output was waited for {seconds:.2f} s")
            self.assertGreater(seconds, limits.OUTPUT_GRACE - 1)


class CEEndTests(PlaygroundTestCase):
    """
    A CE that ends.  Each test has its own.
    """

    gahps = {"deaf": gahp("deaf"), "stubborn": gahp("stubborn"), "slow": gahp("slow")}

    def setUp(self) -> None:
        settings = f"RVGAHP_KILL_GRACE = {_KILL_GRACE}\n"
        self.playground = Playground(self.gahps, ceSettings=settings).start()
        self.addCleanup(self.playground.stop)

    def _terminate(self) -> None:
        """
        Stop the CE in order.
        """
        ce = self.playground.sandbox.ce.process
        assert ce is not None
        ce.terminate()
        # twistd ends by the signal that it was told to end by.
        self.assertIn(ce.wait(PATIENCE), (0, -signal.SIGTERM))

    def _said(self, client: subprocess.Popen[bytes]) -> str:
        """
        @return: what the client says when its CE is lost.
        """
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (255, b""), errors)
        self.assertEqual(errors.count(b"\n"), 1, errors)
        return errors.decode()

    def _deafAndStubborn(self) -> tuple[list[subprocess.Popen[bytes]], list[int]]:
        """
        @return: clients and their GAHPs, which do not read and of which one ignores TERM.
        """
        clients, pids = [], []
        for name in ("deaf", "stubborn"):
            clients.append(self.playground.client(name))
            output = clients[-1].stdout
            assert output is not None
            pids.append(int(output.readline()))
        return clients, pids

    def test_launcherKilled(self) -> None:
        """
        Where somebody kills the launcher, the parent of the GAHPs, these are ended, their
        clients end and say why, and the next start works.
        """
        clients, pids = self._deafAndStubborn()
        (launcher,) = childrenOf(self.playground.cePid)
        os.kill(launcher, signal.SIGKILL)
        for client in clients:
            _, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual(client.returncode, 128 + signal.SIGKILL)
            self.assertIn(b"rvgahp_client: the site's CE lost its launcher", errors)
            self.assertEqual(errors.count(b"\n"), 1)
        for pid in pids:
            self.assertGone(pid)
        self.playground.awaitLog("ce", "The launcher was lost; 2 GAHPs end with it")
        self.assertEqual(self.playground.run("slow", b"line\n").status, 0)

    def test_killed(self) -> None:
        """
        A CE that is killed: no GAHP stays, not even one that ignores TERM or is stopped.
        When it is started again its clients end with a sentence, and it serves.
        """
        clients, pids = self._deafAndStubborn()
        os.kill(pids[0], signal.SIGSTOP)
        os.kill(self.playground.cePid, signal.SIGKILL)
        for pid in pids:
            self.assertGone(pid)
        run = self.playground.run("slow")
        self.assertRefused(run, "site sandbox is not connected")
        self.playground.sandbox.ce.start()
        for client in clients:
            self.assertIn("has ended it or was restarted", self._said(client))
        self.assertEqual(self.playground.run("slow", b"line\n").status, 0)

    def test_stopped(self) -> None:
        """
        A CE that is stopped in order leaves no GAHP behind, not even one that ignores
        TERM; its clients end and say just that, and its log complains of nothing.
        """
        clients, pids = self._deafAndStubborn()
        self._terminate()
        for pid in pids:
            self.assertGone(pid)
        for client in clients:
            self.assertIn(": rvgahp-ce at the site was stopped\n", self._said(client))
        self.assertNotIn("could not be told", self.playground.log("ce"))
        self.playground.awaitLog("proxy", "Site sandbox: disconnected")
        self._stopWhileStarting()

    def _stopWhileStarting(self) -> None:
        """
        The same while clients start: none of them hangs, no GAHP stays.
        """
        self.playground.sandbox.ce.start()
        clients = [self.playground.client("deaf") for _ in range(10)]
        waitFor(self.playground.gahpPids, "a first GAHP")
        self._terminate()
        for client in clients:
            client.communicate(timeout=PATIENCE)
            self.assertEqual(client.returncode, 255)
        proxy = [self.playground.proxyPid]
        waitFor(lambda: self.playground.strays() == proxy, "the end of all GAHPs")
