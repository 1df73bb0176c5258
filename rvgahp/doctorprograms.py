# -*- test-case-name: tests.test_doctorgahps -*-
"""
C{rvgahp doctor}: a program is started with an empty stdin, heard, and ended with all that it has
started.

Layer 6: L{rvgahp.patience}.  Whatever it does, no more than L{_MOST} bytes of it are kept, and
nothing of it on disk.
"""

from __future__ import annotations

import glob
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rvgahp.launcherholder import endTree
from rvgahp.patience import TookTooLong, Wait

__all__ = ["Heard", "hear"]

#: Seconds for its end after that of its output, and again after TERM.
END_LIMIT = 2.0

#: Bytes in which there must be the line that is wanted.
_MOST = 1 << 16

#: Bytes of stderr after which it is no program with something to say.
_FLOOD = 1 << 22

#: Bytes of stderr of which the last line is shown.
_KEPT = 1 << 10

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass
class Heard:
    """
    What became of a program.

    @ivar line: the line that was wanted; empty if it did not come.
    @ivar problem: why it was ended, a clause; empty if it ended by itself.
    @ivar status: how it ended, negative for a signal.
    @ivar errors: its last line on stderr.
    """

    line: str = ""
    problem: str = ""
    status: int = 0
    errors: str = ""


def hear(request: Mapping[str, Any], wanted: bytes, wait: Wait) -> Heard:
    """
    Start it.

    @param request: as for the launcher.
    @param wanted: what a line of its stdout must have.
    @param wait: for that line.
    @raise OSError: it cannot be started.
    @raise Interrupted: we are to end; it has been ended.
    """
    others = _children()
    _adoptOrphans(True)
    try:
        process = _started(request)
        heard = Heard()
        try:
            _listen(process, wanted, wait, heard)
        finally:
            heard.status = _end(process, bool(heard.line or heard.problem))
            _endChildren(others)
        return heard
    finally:
        _adoptOrphans(False)


def _started(request: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [request["program"], *request["arguments"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=request["environment"],
        cwd=request["directory"] if os.path.isdir(request["directory"]) else "/",
        umask=request["umask"],
        start_new_session=True,
    )


def _listen(process: subprocess.Popen[bytes], wanted: bytes, wait: Wait, heard: Heard) -> None:
    assert process.stdout is not None and process.stderr is not None
    out, err = process.stdout.fileno(), process.stderr.fileno()
    left, said, errors, flood = [out, err], b"", b"", 0
    try:
        while left and not (heard.line or heard.problem):
            ready = wait.readable(*left, atMost=math.inf if out in left else END_LIMIT)
            if not ready:  # it has closed its stdout, and says no more
                break
            for fd in ready:
                data = os.read(fd, _MOST)
                if not data:
                    left.remove(fd)
                elif fd == err:
                    flood += len(data)
                    errors = (errors + data)[-_KEPT:]
                else:
                    said += data
            heard.line = _lineWith(wanted, said[:_MOST])
            if not heard.line and (len(said) >= _MOST or flood >= _FLOOD):
                heard.problem = "it writes without end, and no version banner"
    except TookTooLong as e:
        heard.problem = str(e)
    finally:
        lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        heard.errors = lines[-1].strip()[-_KEPT // 4 :] if lines else ""


def _lineWith(wanted: bytes, said: bytes) -> str:
    found = (one for one in said.split(b"\n")[:-1] if wanted in one)
    return next(found, b"").decode("utf-8", "replace").strip()


def _end(process: subprocess.Popen[bytes], isEnough: bool) -> int:
    """
    See it to its end.

    @param isEnough: whether it need not be waited for.
    @return: its exit status, negative for a signal.
    """
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    for number in (0, signal.SIGTERM):
        if number or not isEnough:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_LIMIT)
                break
    if process.poll() is None:
        endTree(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _adoptOrphans(isWanted: bool) -> None:
    """
    Become the parent of what a program of ours leaves behind, however it has left it, or be it
    no more.
    """
    with suppress(Exception):  # ctypes can fail in many ways; some would be left alive
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        prctl(_PR_SET_CHILD_SUBREAPER, int(isWanted), 0, 0, 0)


def _children() -> set[int]:
    found: set[int] = set()
    for path in glob.glob("/proc/self/task/*/children"):
        with suppress(OSError), open(path) as file:
            found.update(map(int, file.read().split()))
    return found


def _endChildren(others: set[int]) -> None:
    """
    @param others: those of our children that are none of the program's.
    """
    end = time.monotonic() + END_LIMIT
    while (left := _children() - others) and time.monotonic() < end:
        for one in left:
            endTree(one)
            with suppress(ChildProcessError):
                os.waitpid(one, os.WNOHANG)
        time.sleep(0.01)
