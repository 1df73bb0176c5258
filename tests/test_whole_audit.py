"""
Real processes: what the audit logs of proxy and CE have after sessions that end in each way,
and that no secret is in them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path
from typing import Any

from rvgahp.errors import StartFailed
from rvgahp.sandbox import SITE
from tests.playground import Playground
from tests.procfs import PATIENCE, waitFor
from tests.programs import gahp, program, runProgram
from tests.relay import Relay
from tests.test_whole_secrets import traces
from tests.wholecase import PlaygroundTestCase


class AuditPlayground(Playground):
    """
    One with audit logs.

    @ivar logs: the directory that they are in.
    """

    def __init__(self) -> None:
        self.logs = Path(tempfile.mkdtemp(prefix="rvgahp-audit-"))
        settings = {
            daemon: f"RVGAHP_AUDIT_LOG = {self.logs}/{daemon}.audit\n" for daemon in ("proxy", "ce")
        }
        gahps = {"cat": "/bin/cat", "slow": gahp("slow")}
        super().__init__(gahps, settings["proxy"], settings["ce"], Relay())

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.logs)


class AuditTests(PlaygroundTestCase):
    """
    The logs of one proxy and one CE.
    """

    playground: AuditPlayground

    def makePlayground(self) -> Playground:
        return AuditPlayground()

    def setUp(self) -> None:
        super().setUp()
        self._before = {daemon: len(self._all(daemon)) for daemon in ("proxy", "ce")}

    def _all(self, daemon: str) -> list[dict[str, Any]]:
        path = self.playground.logs / f"{daemon}.audit"
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    def lines(self, daemon: str, event: str) -> list[dict[str, Any]]:
        """
        @return: what this test has caused.
        """
        lines = self._all(daemon)[self._before[daemon] :]
        return [line for line in lines if line["event"] == event]

    def awaitEnd(self, daemon: str) -> dict[str, Any]:
        """
        @return: the line of the first session that has ended.
        """
        return waitFor(lambda: self.lines(daemon, "end"), f"the end at the {daemon}")[0]

    def test_session(self) -> None:
        """
        Both logs have the start and the end of a session, with the same id, the client's and
        the GAHP's process, the exit status, and the bytes that it has read and written.
        """
        run = self.playground.run("cat", b"x" * 12_345)
        self.assertEqual(len(run.output), 12_345)
        ends = {daemon: self.awaitEnd(daemon) for daemon in ("proxy", "ce")}
        (start,) = self.lines("proxy", "start")
        (atCE,) = self.lines("ce", "start")
        self.assertEqual((start["site"], start["gahp"], start["uid"]), (SITE, "cat", os.getuid()))
        self.assertEqual(
            {one["session"] for one in (start, atCE, *ends.values())}, {start["session"]}
        )
        for end in ends.values():
            self.assertEqual((end["received"], end["sent"]), (12_345, 12_345))
            self.assertEqual(end["by"], "site")
            self.assertNotIn("reason", end)
            self.assertLess(end["seconds"], PATIENCE)
        self.assertEqual(ends["ce"]["status"], "exited with status 0")
        self.assertEqual(ends["ce"]["pid"], atCE["pid"])
        for daemon in ("proxy", "ce"):
            mode = (self.playground.logs / f"{daemon}.audit").stat().st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_killed(self) -> None:
        """
        A client that is killed: both logs say that it has ended the session, the proxy's
        with the bytes that the CE has told.
        """
        client = self.playground.client("cat")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        (start,) = self.lines("proxy", "start")
        self.assertEqual(start["pid"], client.pid)
        client.send_signal(signal.SIGKILL)
        for daemon in ("proxy", "ce"):
            end = self.awaitEnd(daemon)
            self.assertEqual((end["by"], end["reason"]), ("client", "its client is gone"))
            self.assertEqual((end["received"], end["sent"]), (5, 5))

    def test_refused(self) -> None:
        """
        A start of what there is not, in the log of who has refused it.
        """
        self.playground.run("nonesuch")
        for daemon in ("proxy", "ce"):
            (line,) = self.lines(daemon, "refused")
            self.assertEqual((line["action"], line["gahp"]), ("start", "nonesuch"))
            self.assertIn("nonesuch", line["reason"])

    def test_reload(self) -> None:
        """
        Both have a line for each reading of the files; at the proxy it is said who asked.
        """
        words = ["reload", "--socket", self.playground.sandbox.socket]
        self.assertEqual(runProgram([program("rvgahp"), *words]).status, 0)
        (line,) = self.lines("proxy", "reload")
        self.assertEqual((line["decision"], line["uid"]), ("allowed", os.getuid()))
        os.kill(self.playground.cePid, signal.SIGHUP)
        (line,) = waitFor(lambda: self.lines("ce", "reload"), "the line of a reload")
        self.assertNotIn("uid", line)

    def test_rotated(self) -> None:
        """
        A log that is moved goes on in a new one.
        """
        path = self.playground.logs / "proxy.audit"
        path.rename(path.with_suffix(".1"))
        self._before["proxy"] = 0
        self.playground.run("cat", b"text")
        self.awaitEnd("proxy")
        self.assertEqual(len(self.lines("proxy", "start")), 1)

    def test_proxyRestarted(self) -> None:
        """
        A proxy that is killed and started again records that the CE registers and the client
        claims its session, and how that ends.
        """
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        sandbox = self.playground.sandbox
        assert sandbox.proxy.process is not None
        sandbox.proxy.process.kill()
        sandbox.proxy.process.wait(PATIENCE)
        sandbox.startProxy()
        (claim,) = waitFor(lambda: self.lines("proxy", "claim"), "the claim")
        (register,) = self.lines("proxy", "register")
        self.assertEqual((register["site"], register["address"]), (SITE, "127.0.0.1"))
        (start,) = self.lines("proxy", "start")
        for name in ("session", "pid", "uid", "site", "gahp"):
            self.assertEqual(claim[name], start[name])
        client.communicate(b"", timeout=PATIENCE)
        end = self.awaitEnd("proxy")
        self.assertEqual((end["session"], end["received"]), (start["session"], 5))
        self.assertNotIn("seconds", end)

    def test_secrets(self) -> None:
        """
        No ticket that was shown, no byte of a stream and no private key is in any log.
        """
        marker = os.urandom(24).hex().encode()
        self.playground.relay.forget()
        run = self.playground.run("cat", marker)
        self.assertEqual(run.output, marker)
        for daemon in ("proxy", "ce"):
            self.awaitEnd(daemon)
        tickets = [bytes(one.toProxy.kept)[8:24] for one in self.playground.relay.data()]
        self.assertTrue(tickets)
        keys = [path.read_bytes() for path in self.playground.sandbox.directory.glob("*.key")]
        secrets = [marker, *tickets, *(key[60:100] for key in keys)]
        for path in self.playground.logs.iterdir():
            data = path.read_bytes()
            for secret in secrets:
                for trace in traces(secret):
                    self.assertNotIn(trace, data, path)


class StartTests(PlaygroundTestCase):
    """
    A log that cannot be.
    """

    gahps = {"cat": "/bin/cat"}

    def test_refusesToStart(self) -> None:
        """
        A daemon whose audit log cannot be written does not start, and says why.
        """
        settings = "RVGAHP_AUDIT_LOG = /no/such/audit.log\n"
        words = "RVGAHP_AUDIT_LOG: cannot append to /no/such/audit.log"
        daemon = self.playground.addCE("second.example", {"cat": "/bin/cat"}, settings)
        self.assertIn(words, str(self.assertRaises(StartFailed, daemon.start)))
        another = Playground(proxySettings=settings)
        self.addCleanup(another.stop)
        self.assertIn(words, str(self.assertRaises(StartFailed, another.sandbox.startProxy)))
