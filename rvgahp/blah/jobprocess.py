# -*- test-case-name: tests.test_blah_fork -*-
"""
The process of one C{fork} job: made, held at the gate until it may start, and
reaped.  Used in the supervisor only, which has no threads.  Standard library
only.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from rvgahp.blah.errors import BatchError
from rvgahp.blah.processes import signalSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["JobProcess"]

#: Never waits at a named pipe, never makes a terminal ours.
_CAREFULLY = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _CAREFULLY


class JobProcess:
    """
    A process in a session of its own, with its files open and its directory
    entered, that executes its program when L{go} says so.

    @ivar pid: its id, and that of its session and process group.
    @ivar grace: seconds that it has from TERM to KILL.
    @ivar proxy: its proxy's path, as it stands in the description.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        """
        @param job: see L{rvgahp.blah.launch.describe}.
        @raise BatchError: the job's directory or files cannot be used.
        """
        self._job = job
        self.grace = float(job["grace"])
        self.proxy = str(job["proxy"])
        _enter(_bytes(job["iwd"]))
        files = _openFiles(job)
        gate, self._gate = os.pipe()
        self._trouble, trouble = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            self._become(files, gate, trouble)
        os.chdir("/")
        for fd in {*files, gate, trouble}:
            os.close(fd)

    def go(self) -> None:
        """
        Let it execute the job's program.

        @raise BatchError: the program cannot be executed.
        """
        os.write(self._gate, b"g")
        os.close(self._gate)
        self._gate = -1
        # Closed by a successful exec; so nothing to read means all is well.
        trouble = os.read(self._trouble, 100)
        os.close(self._trouble)
        if trouble:
            command = os.fsdecode(_bytes(self._job["command"]))
            raise BatchError(f"{command!r} cannot be executed: {os.strerror(int(trouble))}.")

    def abandon(self) -> None:
        """
        Have it end without ever having become the job.
        """
        if self._gate >= 0:
            os.close(self._gate)
        os.waitpid(self.pid, 0)

    def ended(self) -> bool:
        """
        @return: whether it has ended.  It stays a zombie, so that its id, and
            its session's, cannot come to mean another.
        """
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, how) is not None

    def reap(self) -> dict[str, Any]:
        """
        Kill what the ended job left running, and see how it ended.

        @return: C{code} or C{signal}, the other being C{None}, and the CPU
            seconds C{user} and C{system}.
        """
        while signalSession(self.pid, signal.SIGKILL):
            time.sleep(0.01)
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return {
            "code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "user": round(usage.ru_utime, 3),
            "system": round(usage.ru_stime, 3),
        }

    def _become(self, files: list[int], gate: int, trouble: int) -> NoReturn:
        """
        Become the job.  In the child; never returns.
        """
        try:
            os.setsid()
            for target, fd in enumerate(files):
                os.dup2(fd, target)
            if os.read(gate, 1):
                _restoreSignals()
                os.execve(
                    _bytes(self._job["command"]),
                    [_bytes(word) for word in self._job["arguments"]],
                    {_bytes(name): _bytes(value) for name, value in self._job["environment"]},
                )
        except OSError as error:
            os.write(trouble, str(error.errno).encode("ascii"))
        finally:
            os._exit(127)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _restoreSignals() -> None:
    """
    Python ignores SIGPIPE, and whoever started the GAHP may have ignored
    others; a job begins with every signal at its default.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # An error: one of the C library's own.
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _enter(iwd: bytes) -> None:
    try:
        os.chdir(iwd)
    except OSError as error:
        raise BatchError(
            f"The job's directory {os.fsdecode(iwd)!r} cannot be entered: {error.strerror}."
        ) from error


def _openFiles(job: dict[str, Any]) -> list[int]:
    """
    @return: the descriptors that become the job's 0, 1 and 2.
    """
    stdin = _open("In", _bytes(job["stdin"]), os.O_RDONLY | _CAREFULLY)
    stdout = _open("Out", _bytes(job["stdout"]), _WRITE)
    stderr = _open("Err", _bytes(job["stderr"]), _WRITE)
    if os.path.sameopenfile(stdout, stderr):
        # One file, one position: else each would overwrite the other.
        os.close(stderr)
        stderr = stdout
    return [stdin, stdout, stderr]


def _open(name: str, path: bytes, flags: int) -> int:
    try:
        fd = os.open(path or os.devnull.encode(), flags, 0o666)
    except OSError as error:
        raise BatchError(
            f"The job's {name}, {os.fsdecode(path)!r}, cannot be opened: {error.strerror}."
        ) from error
    os.set_blocking(fd, True)
    return fd
