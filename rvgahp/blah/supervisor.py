# -*- test-case-name: tests.test_blah_fork -*-
"""
C{python -m rvgahp.blah.supervisor DIRECTORY}: the parent of one C{fork} job.

It outlives the GAHP that started it, in a session of its own, a child of
init; the job leads another session.  It puts on record that the job starts
and how it ended.  SIGUSR1 means: cancel, TERM now and KILL later; the job's
state is then REMOVED.  SIGTERM (a host going down) is passed on to the job,
and what comes of it is recorded as it is.

A small process without threads, so that it may fork and take its signals one
by one with C{sigtimedwait}.  Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress

from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError
from rvgahp.blah.jobfiles import JobDirectory
from rvgahp.blah.jobprocess import JobProcess
from rvgahp.blah.launch import receive, send
from rvgahp.blah.processes import ProcessIdentity, signalSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Blocked, and taken one by one.  HUP, INT and QUIT are never taken: a
#: terminal's doings are no business of a job.
_TAKEN = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1)
_BLOCKED = (*_TAKEN, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

#: Seconds between two attempts to record the end of a job, or to kill it.
_RETRY = 1.0


def main() -> None:
    """
    The program.  Its standard input is the socket to the GAHP.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    # Ignored, as some starters leave it, it would lose the job's exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.fork() > 0:
        # The GAHP waits for this process only, and the other is init's child.
        os._exit(0)
    directory = JobDirectory(sys.argv[1])
    with socket.socket(fileno=os.dup(0)) as gahp:
        os.dup2(1, 0)
        job = _start(directory, gahp)
    if job is not None:
        _record(directory, _supervise(job))


def _start(directory: JobDirectory, gahp: socket.socket) -> JobProcess | None:
    """
    Our half of the dialogue that L{rvgahp.blah.launch} describes.

    @return: the running job, if it came to that.
    """
    job = _prepare(directory, gahp)
    if job is None:
        return None
    try:
        job.go()
    except (OSError, BatchError) as error:
        job.abandon()
        # For a GAHP that has already told the job's id; any other removes it.
        _record(directory, {**_ended(), "lost": _sentence(error)})
        _tell(gahp, {"error": _sentence(error)})
        return None
    _tell(gahp, {"started": True})
    return job


def _prepare(directory: JobDirectory, gahp: socket.socket) -> JobProcess | None:
    """
    Get the job ready, and hear whether it is to start.

    @return: the job; C{None} if it is not to, and then no record is left.
    """
    job = None
    try:
        description = receive(gahp)
        if not description:
            raise BatchError("The GAHP went away.")
        job = JobProcess(description)
        _recordStart(directory, job)
        send(gahp, {"ready": True})
        if "go" not in receive(gahp):
            raise BatchError("The GAHP gave up.")
    except (OSError, ValueError, BatchError) as error:
        if job is not None:
            job.abandon()
        directory.remove()
        _tell(gahp, {"error": _sentence(error)})
        return None
    return job


def _recordStart(directory: JobDirectory, job: JobProcess) -> None:
    try:
        directory.reserveEnd()
        directory.write(
            "start",
            {
                "host": os.uname().nodename,
                "started": time.time(),
                "proxy": job.proxy,
                "supervisor": ProcessIdentity.of(os.getpid()).record(),
                "job": ProcessIdentity.of(job.pid).record(),
            },
        )
    except OSError as error:
        raise BatchError(
            f"The job was not started, for it could not be recorded in {directory.path}: "
            f"{error.strerror}."
        ) from error


def _supervise(job: JobProcess) -> dict[str, Any]:
    """
    Wait for the job's end, and bring it about when asked to.

    @return: the end record.
    """
    started = time.monotonic()
    removed = False
    killAt = None
    while not job.ended():
        patience = 3600.0 if killAt is None else max(0.0, killAt - time.monotonic())
        taken = signal.sigtimedwait(_TAKEN, patience)
        if taken is None and killAt is not None:
            signalSession(job.pid, signal.SIGKILL)
            killAt = time.monotonic() + _RETRY
        elif taken is not None and taken.si_signo != signal.SIGCHLD:
            signalSession(job.pid, signal.SIGTERM)
            # A stopped process takes its TERM only when it goes on.
            signalSession(job.pid, signal.SIGCONT)
            if taken.si_signo == signal.SIGUSR1 and not removed:
                removed = True
                killAt = time.monotonic() + job.grace
    wall = round(time.monotonic() - started, 3)
    return {**_ended(), "wall": wall, "removed": removed, **job.reap()}


def _ended() -> dict[str, Any]:
    return {"host": os.uname().nodename, "ended": time.time()}


def _record(directory: JobDirectory, end: dict[str, Any]) -> None:
    """
    Record the end, for as long as a record is worth having.
    """
    deadline = time.monotonic() + limits.KEEP_FINISHED
    while time.monotonic() < deadline and os.path.isdir(directory.path):
        try:
            directory.writeEnd(end)
            return
        except OSError:
            # Till then the job passes for running: nobody can know better.
            time.sleep(_RETRY)


def _tell(gahp: socket.socket, message: dict[str, Any]) -> None:
    # An error: the GAHP was killed meanwhile.  The job's records say it all.
    with suppress(OSError):
        send(gahp, message)


def _sentence(error: Exception) -> str:
    if isinstance(error, BatchError):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return "The job's description arrived damaged at its supervisor."
    return f"The job could not be started: {getattr(error, 'strerror', None) or error}."


if __name__ == "__main__":
    main()
