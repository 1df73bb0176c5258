"""
Nothing is left behind: whatever process the benchmark's own processes leave is ours
to end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36

#: Seconds that leftovers have to end by themselves.
_GRACE = 3.0


def adoptOrphans() -> None:
    """
    From now on, a descendant whose parent ends becomes our child.  Where the
    system does not know of that, nothing happens.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            pass  # the thread is gone, or the kernel does not tell
    return found


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def endOrphans() -> list[int]:
    """
    End every child that is left, after all of our own have been waited for.

    @return: those that did not end by themselves.
    """
    end = time.monotonic() + _GRACE
    _reap()
    while _children() and time.monotonic() < end:
        time.sleep(0.02)
        _reap()
    killed = set()
    end = time.monotonic() + _GRACE
    while time.monotonic() < end:
        children = _children()
        if not children:
            break
        for pid in children:  # the children of these become ours in turn
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.02)
        _reap()
    return sorted(killed)
