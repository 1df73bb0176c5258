# -*- test-case-name: tests.test_blah_processes -*-
"""
Tests of L{rvgahp.blah.processes}, on real processes.
"""

from __future__ import annotations

import os
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.processes import ProcessIdentity, bootId, signalSession
from tests.blahdriver import PATIENCE, patiently


class ProcessTests(SynchronousTestCase):
    """
    L{ProcessIdentity} and L{signalSession}.
    """

    def spawn(self, script: str) -> subprocess.Popen[bytes]:
        """
        Run a shell script in a session of its own; it is killed at the end.
        """
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
        )

        def end() -> None:
            process.kill()
            process.communicate(timeout=PATIENCE)

        self.addCleanup(end)
        return process

    def test_alive(self) -> None:
        """
        A process is alive until it ends; as a zombie it is not.
        """
        process = self.spawn("exec sleep 1000")
        identity = ProcessIdentity.of(process.pid)
        self.assertTrue(identity.alive())
        self.assertFalse(identity.waitForEnd(0.01))
        process.kill()
        self.assertTrue(identity.waitForEnd(PATIENCE))
        # Not reaped yet, so the id still exists.
        os.kill(process.pid, 0)
        self.assertFalse(identity.alive())
        self.assertFalse(identity.signal(signal.SIGTERM))

    def test_record(self) -> None:
        """
        An identity survives being written down.
        """
        record = ProcessIdentity.of(os.getpid()).record()
        self.assertTrue(ProcessIdentity.fromRecord(record).alive())

    def test_anotherProcessOfThatId(self) -> None:
        """
        A process with the same id that began at another time, or in another
        boot, is another: it is not alive, and gets no signal.
        """
        process = self.spawn("exec sleep 1000")
        record = ProcessIdentity.of(process.pid).record()
        for changed in (
            {**record, "startTime": record["startTime"] - 1},
            {**record, "boot": bootId()[::-1]},
        ):
            other = ProcessIdentity.fromRecord(changed)
            self.assertFalse(other.alive())
            self.assertFalse(other.signal(signal.SIGKILL))
            self.assertTrue(other.waitForEnd(0))
        self.assertIdentical(process.poll(), None)

    def test_nobody(self) -> None:
        """
        A process that does not exist cannot be identified.
        """
        process = self.spawn("exit 0")
        process.wait(PATIENCE)
        self.assertRaises(OSError, ProcessIdentity.of, process.pid)

    def test_hostileName(self) -> None:
        """
        A program's name that looks like other fields does not confuse.
        """
        path = os.path.join(self.mktemp(), ") R 1 1 1 (")
        os.makedirs(os.path.dirname(path))
        os.symlink("/bin/sleep", path)
        process = subprocess.Popen([path, "1000"])
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        comm = f"/proc/{process.pid}/comm"
        for _ in patiently():
            with open(comm) as file:
                if file.read().startswith(") R"):
                    break
        self.assertTrue(ProcessIdentity.of(process.pid).alive())

    def test_session(self) -> None:
        """
        A signal reaches all processes of a session, also those in a process
        group of their own, and no others; zombies do not count.
        """
        other = self.spawn("exec sleep 1000")
        # Job control gives each child a process group.
        process = self.spawn("set -m 2>/dev/null; sleep 1000 & sleep 1000 & echo ready; wait")
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(signalSession(process.pid, 0), 3)
        self.assertEqual(signalSession(process.pid, signal.SIGKILL), 3)
        for _ in patiently():
            if signalSession(process.pid, 0) == 0:
                break
        self.assertIdentical(other.poll(), None)
