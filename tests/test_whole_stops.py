"""
Real processes: one that stands still, or a proxy that goes and comes again, harms no
session of others.
"""

from __future__ import annotations

import os
import signal
import subprocess

from rvgahp import limits
from tests.procfs import PATIENCE, isStopped, waitFor
from tests.programs import SOAK, gahp
from tests.wholecase import PlaygroundTestCase


class StopTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat", "slow": gahp("slow"), "torrent": gahp("torrent")}

    def _stop(self, pid: int) -> None:
        """
        Stop a process until the test's end.
        """
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self._continue, pid)
        waitFor(lambda: isStopped(pid), f"process {pid} to stop")

    def _continue(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def _session(self, site: str = "sandbox") -> subprocess.Popen[bytes]:
        """
        @return: a client that echoes lines, well under way.
        """
        client = self.playground.client("slow", site=site)
        self._echo(client)
        return client

    def _echo(self, client: subprocess.Popen[bytes]) -> int:
        """
        A line goes there and back.

        @return: the GAHP's process.
        """
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        words = client.stdout.readline().split()
        self.assertEqual(words[2:], [b"line"])
        return int(words[0])

    def _end(self, client: subprocess.Popen[bytes]) -> None:
        """
        End a session in good order.
        """
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output, errors), (0, b"", b""))


class StopTests(StopTestCase):
    """
    SIGSTOP.
    """

    proxySettings = "RVGAHP_START_TIMEOUT = 0.5\n"
    ceSettings = "RVGAHP_KILL_GRACE = 0.5\n"

    def test_client(self) -> None:
        """
        A stopped client, with or without a torrent for it, harms nobody, and goes on when
        it may.
        """
        neighbour, stopped = self._session(), self._session()
        flooded = self.playground.client("torrent")
        assert flooded.stdout is not None
        flooded.stdout.read(8)
        for client in (stopped, flooded):
            self._stop(client.pid)
        self._echo(neighbour)
        self.assertServes()
        self._end(neighbour)
        for client in (stopped, flooded):
            self._continue(client.pid)
        self._echo(stopped)
        self._end(stopped)
        self.assertEqual(len(flooded.stdout.read(32 << 20)), 32 << 20)

    def test_gahp(self) -> None:
        """
        A stopped GAHP harms nobody, and goes on when it may; one whose client is killed is
        ended all the same.
        """
        neighbour, stopped, killed = self._session(), self._session(), self._session()
        pid, lost = self._echo(stopped), self._echo(killed)
        self._stop(pid)
        self._stop(lost)
        killed.kill()
        self._echo(neighbour)
        self.assertServes()
        self._end(neighbour)
        self._continue(pid)
        self._echo(stopped)
        self._end(stopped)
        self.assertGone(lost)

    def test_proxy(self) -> None:
        """
        A stopped proxy harms no running session: they go on and end; a client that comes
        meanwhile is served when the proxy goes on.
        """
        running, ending = self._session(), self._session()
        self._stop(self.playground.proxyPid)
        self._echo(running)
        self._end(ending)
        late = self.playground.client("cat")
        self._echo(running)
        self._continue(self.playground.proxyPid)
        output, errors = late.communicate(b"late\n", timeout=PATIENCE)
        self.assertEqual((late.returncode, output, errors), (0, b"late\n", b""))
        self._echo(running)
        self._end(running)

    def test_ce(self) -> None:
        """
        A stopped CE harms only its own sessions: other sites go on, a start at its site is
        refused after a while, and when it goes on so do its sessions, and no GAHP is left
        of the start that was refused.
        """
        other = self.playground.addCE("elsewhere", {"slow": gahp("slow")})
        other.start()
        here, there = self._session(), self._session("elsewhere")
        self._stop(self.playground.cePid)
        self._echo(there)
        run = self.playground.run("slow")
        self.assertRefused(run, "site sandbox gave no answer within 0.5 s")
        self._end(self._session("elsewhere"))
        if SOAK:  # long enough for the control connection to be given up
            self.playground.awaitLog(
                "proxy", "Site sandbox: disconnected", self.before("proxy"), seconds=60
            )
        self._continue(self.playground.cePid)
        self._echo(here)
        waitFor(lambda: len(self.playground.gahpPids()) == 1, "the end of the refused start")
        self._echo(there)
        self._end(here)
        self._end(there)
        waitFor(lambda: self.playground.run("cat").status == 0, "a start at the site")


class ProxyLifeTests(StopTestCase):
    """
    A proxy that goes and comes again.
    """

    def _awaitBack(self) -> None:
        """
        Start the proxy again and wait until it has its site.
        """
        start = len(self.playground.log("proxy"))
        self.playground.sandbox.startProxy()
        self.playground.awaitLog(
            "proxy", "Site sandbox: connected", start, limits.REDIAL_LONGEST + PATIENCE
        )
        self.assertServes()

    def test_killed(self) -> None:
        """
        A proxy that is killed interrupts no running GAHP: they run on and end well, with
        their statuses; new starts are refused with a sentence.  Started again on the same port
        and socket, the CE finds it and new starts work, beside the old sessions.
        """
        running, ending = self._session(), self._session()
        os.kill(self.playground.proxyPid, signal.SIGKILL)
        self._echo(running)
        self._end(ending)
        run = self.playground.run("cat")
        self.assertRefused(run, "no proxy listens on", "Connection refused")
        self._echo(running)
        self._awaitBack()
        self._echo(running)
        self._end(running)
        self.playground.awaitNoGAHP()

    def test_stopped(self) -> None:
        """
        A proxy that is stopped in order takes its socket away, interrupts no running
        GAHP, and can be started again.
        """
        running = self._session()
        proxy = self.playground.sandbox.proxy.process
        assert proxy is not None
        proxy.terminate()
        proxy.wait(PATIENCE)
        self.assertFalse(os.path.exists(self.playground.sandbox.socket))
        self._echo(running)
        run = self.playground.run("cat")
        self.assertRefused(run, "no proxy listens on", "No such file")
        self._awaitBack()
        self._echo(running)
        self._end(running)

    def test_sessionOfFormerProxy(self) -> None:
        """
        A session that a former proxy made and its client has claimed still ends with it: by
        kill and by SIGTERM.
        """
        start = len(self.playground.log("proxy"))
        first, second = self._session(), self._session()
        pids = [self._echo(first), self._echo(second)]
        os.kill(self.playground.proxyPid, signal.SIGKILL)
        self._awaitBack()
        waitFor(
            lambda: self.playground.log("proxy")[start:].count("has claimed it") >= 2,
            "the claims",
        )
        first.kill()
        second.terminate()
        for pid in pids:
            self.assertGone(pid)
        self.assertEqual(second.wait(PATIENCE), 0)
