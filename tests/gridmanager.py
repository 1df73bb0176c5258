"""
The gridmanager double: starts GAHPs as the real one does and talks to them over pipes.

    with Gridmanager([program("rvgahp_client")], ["site"], times=Times().scaled(0.1)) as double:
        job = double.brain.addJob()
        double.run(lambda: job.isDone)
        double.leave()

What it does and bears is in L{tests.gridmanagerbrain}.  It has no threads, and sleeps in
C{poll} alone.  References are to HTCondor: C{gc} is C{gahp-client.cpp} C{Startup}, C{dc}
C{daemon_core.cpp} C{Create_Process}.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from tests.gridmanagerbrain import DEFAULT_TIMES, Brain
from tests.gridmanagerdialogue import Dialogue
from tests.gridmanagerlines import READ_SIZE, GridmanagerHung, Times

#: The most that is read from stderr at once (C{gc} C{err_pipe_ready}).
ERROR_READ_SIZE = 5000

#: Seconds after which a test gives up: what is waited for should come long before.
PATIENCE = 60.0

#: The gridmanager's address, as it may stand in CONDOR_INHERIT.
SINFUL = "<127.0.0.1:9618?addrs=127.0.0.1-9618&alias=localhost&noUDP&sock=gridmanager_1_2a3b>"


class ProcessWire:
    """
    One start of a GAHP.

    @ivar pid: its process id.
    @ivar status: its exit status; C{None} while it runs.
    @ivar errors: all that it wrote to stderr.
    """

    def __init__(
        self, dialogue: Dialogue, words: Sequence[str], seconds: float, **popen: Any
    ) -> None:
        """
        @param seconds: the longest that one write may be blocked.
        """
        self.status: int | None = None
        self.errors = b""
        self._dialogue = dialogue
        self._seconds = seconds
        (stdin, ours), (output, stdout), (errors, stderr) = (os.pipe() for _ in range(3))
        try:
            self.process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                umask=0o022,
                # SIGPIPE stays ignored, as daemons have it.
                restore_signals=False,
                **popen,
            )
        except OSError:
            for fd in (ours, output, errors):
                os.close(fd)
            raise
        finally:
            for fd in (stdin, stdout, stderr):
                os.close(fd)
        self.pid = self.process.pid
        # Our ends, not the GAHP's.  L{write} blocks nevertheless, with an end to it.
        for fd in (ours, output, errors):
            os.set_blocking(fd, False)
        self._input: int | None = ours
        self._reads: dict[int, Callable[[], bool]] = {
            output: lambda: self._readOutput(output),
            errors: lambda: self._readErrors(errors),
        }
        self._end: dict[int, Callable[[], bool]] = {os.pidfd_open(self.pid): self._reap}

    def write(self, data: bytes) -> None:
        """
        Write all, and do nothing else meanwhile.

        @raise GridmanagerHung: the GAHP does not read.
        """
        view = memoryview(data)
        while view and self._input is not None:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._input, select.POLLOUT)
                if not poll.poll(self._seconds * 1000):
                    reason = f"blocked for {self._seconds:g} s writing to its stdin"
                    raise GridmanagerHung(f"{self._dialogue.name} ({self.pid}): {reason}") from None
            except BrokenPipeError:
                return

    def close(self) -> None:
        """
        Close all three pipes.
        """
        for fd in (self._input, *self._reads):
            if fd is not None:
                os.close(fd)
        self._input = None
        self._reads.clear()

    def watched(self, reading: object) -> dict[int, Callable[[], bool]]:
        """
        @param reading: the dialogue of which alone output is read; C{None}: of all.
        @return: what to wait for, and what to do when it is ready; that tells whether it will
            be ready again.
        """
        if reading is None or reading is self._dialogue:
            return {**self._reads, **self._end}
        return self._end

    def dispatch(self, fd: int) -> None:
        """
        Do what is to be done since it is ready.
        """
        for handlers in (self._reads, self._end):
            if fd in handlers and not handlers[fd]():
                del handlers[fd]
                os.close(fd)

    def waitForExit(self, seconds: float) -> int | None:
        """
        @return: the exit status; C{None}: it has not exited.
        """
        for fd in list(self._end):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if poll.poll(seconds * 1000):
                self.dispatch(fd)
        return self.status

    def kill(self) -> None:
        """
        End it outright, if it still runs, and let go of all.
        """
        if self.status is None:
            self.process.kill()
            self.waitForExit(PATIENCE)
        self.close()

    def _readOutput(self, fd: int) -> bool:
        data = os.read(fd, READ_SIZE)
        if data:
            self._dialogue.received(data)
        else:
            self._dialogue.ended()
        return bool(data)

    def _readErrors(self, fd: int) -> bool:
        data = os.read(fd, ERROR_READ_SIZE)
        self.errors += data
        self._dialogue.receivedError(data)
        return bool(data)

    def _reap(self) -> bool:
        self.status = self.process.wait()
        self._dialogue.exited(self, self.status)
        return False


class Gridmanager:
    """
    One gridmanager, with processes.

    @ivar brain: what it knows and does.
    @ivar wires: all starts of GAHPs.
    @ivar directory: where they are started, and may keep something.
    """

    def __init__(
        self,
        command: Sequence[str],
        words: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        sinful: str = SINFUL,
        times: Times = DEFAULT_TIMES,
        **brain: Any,
    ) -> None:
        """
        @param command: the program, REMOTE_GAHP where there are words, else BATCH_GAHP.
        @param words: those of C{grid_resource} after the batch type.  Where there are any the
            program is started twice, the name of the GAHP its last argument.
        @param environment: what the GAHPs find besides what they would anyway.
        @param sinful: the gridmanager's address.
        @param brain: further arguments of L{Brain}.
        """
        self.wires: list[ProcessWire] = []
        self._command = [*command, *words]
        self._isRemote = bool(words)
        self._environment = environment or {}
        self._sinful = sinful
        self.directory = tempfile.mkdtemp(prefix="gridmanager")
        self.brain = Brain(
            self._launch, time.monotonic, times=times, isRemote=self._isRemote, **brain
        )

    def __enter__(self) -> Gridmanager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """
        End all outright, and leave nothing behind.
        """
        for wire in self.wires:
            wire.kill()
        shutil.rmtree(self.directory)

    def run(self, until: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """
        Be a gridmanager until something has come about.

        @raise GridmanagerError: see L{tests.gridmanagerlines}.
        @raise AssertionError: it does not come about in time.
        """
        end = time.monotonic() + seconds
        while True:
            self.brain.wake()
            if until():
                return
            now = time.monotonic()
            if now >= end:
                raise AssertionError(f"not within {seconds:g} s: {self.describe()}")
            self._wait(min(end, self.brain.deadline or end) - now)

    def leave(self, isOrderly: bool = False) -> list[int]:
        """
        Close the pipes, as for a site without jobs.

        @param isOrderly: send SIGTERM first, as when the gridmanager itself ends.
        @return: the GAHPs' exit statuses.
        @raise GridmanagerHung: one stays.
        """
        statuses = []
        for wire in self.wires:
            if isOrderly and wire.status is None:
                wire.process.send_signal(signal.SIGTERM)
            wire.close()
        for wire in self.wires:
            status = wire.waitForExit(self.brain.times.leave)
            if status is None:
                raise GridmanagerHung(f"{wire.pid} stays after the end of its stdin")
            statuses.append(status)
        return statuses

    def describe(self) -> str:
        """
        @return: how things stand, for a test that gives up.
        """
        jobs = ", ".join(f"{job.name} {job.state} {job.holdReason}" for job in self.brain.jobs)
        errors = " | ".join(wire.errors[-1000:].decode("utf-8", "replace") for wire in self.wires)
        return f"jobs: {jobs}; stderr: {errors}; site: {self.brain.resource.reason or 'up'}"

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        wires = {}
        for wire in self.wires:
            for fd in wire.watched(self.brain.reading):
                poll.register(fd, select.POLLIN)
                wires[fd] = wire
        # Rounded up, lest it spin for the last millisecond.
        for fd, _ in poll.poll(max(0, seconds) * 1000 + 1):
            wires[fd].dispatch(fd)

    def _launch(self, dialogue: Dialogue) -> ProcessWire:
        words = [*self._command, dialogue.name] if self._isRemote else self._command
        wire = ProcessWire(
            dialogue,
            words,
            self.brain.times.write,
            cwd=self.directory,
            env=self._makeEnvironment(dialogue.name),
        )
        self.wires.append(wire)
        return wire

    def _makeEnvironment(self, name: str) -> dict[str, str]:
        """
        @return: what the GAHP of that name finds (C{gc}, C{dc}).
        """
        dropped = ("CONDOR_INHERIT", "CONDOR_PRIVATE_INHERIT", "CONDOR_PRIVATE_SHARED_PORT_COOKIE")
        found = {key: value for key, value in os.environ.items() if key not in dropped}
        found["GAHP_TEMP"] = self.directory
        found["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        found[f"_CONDOR_ANCESTOR_{os.getpid()}"] = "1:2:3"
        if name == "condor_ft-gahp":
            found["CONDOR_INHERIT"] = f"{os.getpid()} {self._sinful} 0 0"
        return {**found, **self._environment}
