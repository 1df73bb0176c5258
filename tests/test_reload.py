"""
Tests of L{rvgahp.reload}, with a real thread and a real signal.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rvgahp.auditlog import AuditLog
from rvgahp.errors import ConfigurationError, NotAuthorized, RvgahpError
from rvgahp.notify import Notifier
from rvgahp.peercred import LocalUser
from rvgahp.reload import Reloading
from rvgahp.viewer import Viewer
from tests.privatereactor import PATIENCE, ReactorTestCase


class ReloadingTests(ReactorTestCase):
    """
    Files that a test makes up.

    @ivar state: what is in the files.
    @ivar adopted: what has been put into force.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        super().setUp()
        self.state = "new"
        self.adopted: list[str] = []
        self.threads: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = Path(directory, "audit")
        self.audit = AuditLog(self.reactor, lambda: str(self.path))
        self.addCleanup(self.audit.close)
        self.notifier = Notifier(self.reactor)
        self.reloading = Reloading(self.reactor, self.read, self.adopt, self.audit, self.notifier)
        self.reactor.getThreadPool().start()

    def tearDown(self) -> None:
        """
        Its threads end.
        """
        self.gate.set()
        self.reloading.ignoreHangup()
        self.reactor.getThreadPool().stop()
        super().tearDown()

    def read(self) -> str:
        """
        As long as it takes.
        """
        self.threads.append(threading.get_ident())
        state = self.state
        self.gate.wait(PATIENCE)
        if state == "broken":
            raise ConfigurationError("access:3 is broken")
        return state

    def adopt(self, state: str) -> list[str]:
        """
        Put it into force.
        """
        self.adopted.append(state)
        return [f"it is {state}"]

    def result(self, asked: Deferred[list[str]]) -> list[str] | Failure:
        """
        @return: what became of it.
        """
        results: list[list[str] | Failure] = []
        asked.addBoth(results.append)
        self.until(lambda: results)
        return results[0]

    def test_good(self) -> None:
        """
        What is read in a thread is put into force, and told.
        """
        self.assertEqual(self.result(self.reloading.reload()), ["it is new"])
        self.assertEqual(self.adopted, ["new"])
        self.assertNotEqual(self.threads, [threading.get_ident()])

    def test_broken(self) -> None:
        """
        A broken file leaves everything as it was, and says so; a later try is a new one.
        """
        self.state = "broken"
        failure = self.result(self.reloading.reload())
        assert isinstance(failure, Failure)
        failure.trap(RvgahpError)
        self.assertEqual(failure.getErrorMessage(), "access:3 is broken")
        self.assertEqual(self.adopted, [])
        self.state = "mended"
        self.assertEqual(self.result(self.reloading.reload()), ["it is mended"])

    def test_meanwhile(self) -> None:
        """
        Who asks while files are read has them read once more, together with all others who
        have asked since.
        """
        self.gate.clear()
        first = self.reloading.reload()
        self.until(lambda: self.threads)
        self.state = "newer"
        others = [self.reloading.reload() for _ in range(3)]
        self.gate.set()
        self.assertEqual(self.result(first), ["it is new"])
        for other in others:
            self.assertEqual(self.result(other), ["it is newer"])
        self.assertEqual(self.adopted, ["new", "newer"])

    def test_bug(self) -> None:
        """
        A bug in it is told as one, and does not end the daemon or later tries.
        """
        reloading = Reloading(
            self.reactor, self.read, lambda state: [state[9]], self.audit, self.notifier
        )
        failure = self.result(reloading.reload())
        assert isinstance(failure, Failure)
        self.assertIn("a bug", failure.getErrorMessage())
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
        failure = self.result(reloading.reload())
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)

    def test_audit(self) -> None:
        """
        The audit log has who wanted it, as far as that is known, and what came of it; of
        several whose wish was one reading it has each.
        """
        self.result(self.reloading.reload())
        self.gate.clear()
        self.reloading.reload()
        self.until(lambda: len(self.threads) == 2)
        self.state = "broken"
        asked = [self.reloading.reload({"user": name}) for name in ("alice", "bob")]
        self.gate.set()
        for one in asked:
            self.assertIsInstance(self.result(one), Failure)
        self.reloading.refused("she may not", {"user": "carol"})
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        told = [[line.get(name) for name in ("event", "user", "reason")] for line in lines]
        self.assertEqual(
            told,
            [
                ["reload", None, None],
                ["reload", None, None],
                ["refused", "alice", "access:3 is broken"],
                ["refused", "bob", "access:3 is broken"],
                ["refused", "carol", "she may not"],
            ],
        )
        self.assertEqual(
            [(line["decision"], line.get("action")) for line in lines[1:3]],
            [("allowed", None), ("refused", "reload")],
        )

    def test_askedBy(self) -> None:
        """
        Who asks a CE over its local interface gets what is otherwise, or why nothing is; he must
        be one who may see and do all, and the audit log has him.
        """
        alice = LocalUser(7, "alice", 8)
        asked: Any = self.reloading.askedBy(Viewer(alice, True))
        self.assertEqual(self.result(asked), {"changes": ["it is new"]})
        self.state = "broken"
        asked = self.reloading.askedBy(Viewer(alice, True))
        failure = self.result(asked)
        assert isinstance(failure, Failure)
        self.assertEqual(failure.getErrorMessage(), "nothing was changed: access:3 is broken")
        self.state = "new"
        self.assertRaises(NotAuthorized, self.reloading.askedBy, Viewer(alice, False))
        self.assertEqual(self.adopted, ["new"])
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        told = [[line.get(name) for name in ("decision", "user", "uid", "pid")] for line in lines]
        self.assertEqual([decision for decision, *_ in told], ["allowed", "refused", "refused"])
        self.assertEqual([who for _, *who in told], [["alice", 7, 8]] * 3)

    def test_notified(self) -> None:
        """
        systemd is told when files are read, with the time, and when that is over: once for
        each time that they are, also when they are broken.
        """
        path = self.path.with_name("notify")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.settimeout(PATIENCE)
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": str(path)})
        for self.state in ("new", "broken"):
            before = time.monotonic_ns() // 1000
            self.result(self.reloading.reload())
            said = dict(line.split("=") for line in listener.recv(4096).decode().splitlines())
            self.assertEqual(said["RELOADING"], "1")
            now = time.monotonic_ns() // 1000
            self.assertTrue(before <= int(said["MONOTONIC_USEC"]) <= now, said)
            self.assertEqual(listener.recv(4096), b"READY=1")

    def test_hangup(self) -> None:
        """
        SIGHUP does it, a broken file then does no harm, and afterwards SIGHUP is what it was.
        """
        former = signal.getsignal(signal.SIGHUP)
        self.reloading.watchHangup()
        os.kill(os.getpid(), signal.SIGHUP)
        self.until(lambda: self.adopted)
        self.state = "broken"
        os.kill(os.getpid(), signal.SIGHUP)
        self.until(lambda: len(self.threads) == 2)
        self.state = "mended"
        os.kill(os.getpid(), signal.SIGHUP)
        self.until(lambda: self.adopted == ["new", "mended"])
        self.reloading.ignoreHangup()
        self.assertEqual(signal.getsignal(signal.SIGHUP), former)
