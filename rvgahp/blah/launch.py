# -*- test-case-name: tests.test_blah_fork -*-
"""
Starting a supervisor, and the dialogue with it: the GAHP's half.

On one socket, one line of JSON each::

    GAHP -> supervisor   the job
    supervisor -> GAHP   {"ready": true}    recorded, not yet started
    GAHP -> supervisor   {"go": true}       somebody knows the job's id
    supervisor -> GAHP   {"started": true}  the program runs

or C{{"error": sentence}} in place of either answer.  A supervisor whose socket
ends before C{go} starts nothing.  So whenever either side is killed, the job
has either not begun or is on record.

Standard library only; C{subprocess} is imported when it is needed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress

import rvgahp
from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any

    from rvgahp.blah.jobfiles import JobDirectory
    from rvgahp.blah.submitad import SubmitAd

__all__ = ["describe", "launch", "receive", "send"]


def describe(job: SubmitAd, environment: dict[bytes, bytes]) -> dict[str, Any]:
    """
    @param job: what was asked for.
    @param environment: all variables that the job is to have.
    @return: the job in a form for JSON; bytes as characters of their number,
        which unlike the locale's encoding is the same at both ends.
    """

    def text(value: bytes) -> str:
        return value.decode("latin-1")

    return {
        "command": text(job.command),
        "arguments": [text(word) for word in (job.command, *job.arguments)],
        "environment": [[text(name), text(value)] for name, value in environment.items()],
        "iwd": text(job.iwd),
        "stdin": text(job.stdin),
        "stdout": text(job.stdout),
        "stderr": text(job.stderr),
        "proxy": text(job.proxy),
        "grace": limits.KILL_GRACE,
    }


def launch(directory: JobDirectory, job: dict[str, Any]) -> None:
    """
    Have a job started under a supervisor that outlives this process.

    @param directory: the job's own, fresh.
    @param job: see L{describe}.
    @raise BatchError: the job was not started and will not be; what is left
        in the directory means nothing.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _startSupervisor(directory.path, theirs)
        ours.settimeout(limits.LAUNCH_WAIT)
        try:
            send(ours, job)
            _expect(receive(ours), "ready")
            send(ours, {"go": True})
        except OSError as error:
            raise BatchError(f"The job's supervisor did not start it: {_why(error)}.") from error
        finally:
            _reap(process)
        try:
            _expect(receive(ours), "started")
        except TimeoutError:
            # It may still start, and is on record: whatever becomes of it is
            # told with its status.
            return
        except OSError as error:
            raise BatchError("The job's supervisor was lost while it started the job.") from error


def _startSupervisor(path: str, theirs: socket.socket) -> subprocess.Popen[bytes]:
    import subprocess

    # The interpreter may need its environment (modules, LD_LIBRARY_PATH); the
    # job gets none of it.  Without site-packages, for they are not needed.
    root = os.path.dirname(os.path.dirname(os.path.abspath(rvgahp.__file__)))
    return subprocess.Popen(
        [sys.executable, "-sS", "-m", "rvgahp.blah.supervisor", path],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": root},
        cwd="/",
        start_new_session=True,
    )


def _reap(process: subprocess.Popen[bytes]) -> None:
    """
    Be done with the process that we started.  It has left the supervisor to
    itself; or it hangs, and then it must not wake up and go on.
    """
    import subprocess

    process.kill()
    # An error: it hangs where no signal reaches it.
    with suppress(subprocess.TimeoutExpired):
        process.wait(limits.REAP_WAIT)


def _expect(answer: dict[str, Any], word: str) -> None:
    if "error" in answer:
        raise BatchError(str(answer["error"]))
    if word not in answer:
        raise ConnectionError(0, "it came to an end")


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came of it in {limits.LAUNCH_WAIT:.0f} s; a file system may be hanging"
    return error.strerror or "it cannot be reached"


def send(peer: socket.socket, message: dict[str, Any]) -> None:
    """
    @param peer: the other side.
    @param message: what to say.
    @raise OSError: it is gone.
    """
    peer.sendall(json.dumps(message).encode("ascii") + b"\n")


def receive(peer: socket.socket) -> dict[str, Any]:
    """
    @param peer: the other side.
    @return: what it says; nothing if it is gone.
    @raise OSError: it is gone, or the time is up.
    """
    line = b""
    while not line.endswith(b"\n"):
        data = peer.recv(65536)
        if not data:
            return {}
        line += data
    message = json.loads(line)
    return message if isinstance(message, dict) else {}
