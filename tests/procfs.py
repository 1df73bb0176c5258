"""
What the kernel says of processes, for tests: C{/proc}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Seconds that a test waits for what must come, on a busy machine.
PATIENCE = 30.0


def waitFor(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """
    Look again and again.

    @param condition: tells whether it has come; what it returns then is the result.
    @param what: what is waited for, for the message.
    @raise AssertionError: it does not come in time.
    """
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {result!r}")
        time.sleep(0.01)


def _stat(pid: int) -> list[str]:
    """
    @return: the fields of C{stat} from the third on; none if there is no such process.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def isAlive(pid: int) -> bool:
    """
    @return: whether it runs, or could: a zombie does not.
    """
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def isStopped(pid: int) -> bool:
    """
    @return: whether SIGSTOP has reached it.
    """
    return _stat(pid)[:1] == ["T"]


def childrenOf(pid: int) -> list[int]:
    """
    @return: its children, zombies not counted.
    """
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields and int(fields[1]) == pid and fields[0] not in "ZX":
                found.append(int(name))
    return sorted(found)


def withEnvironment(name: str, prefix: str) -> list[int]:
    """
    @return: the processes, zombies not counted, that were started with a variable
        C{name} whose value begins with C{prefix}.
    """
    wanted = f"{name}={prefix}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(variable.startswith(wanted) for variable in variables):
                found.append(int(entry))
    return found


def catches(pid: int, number: int) -> bool:
    """
    @return: whether it has a handler for a signal.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return any(mask >> (number - 1) & 1 for mask in masks)


def descriptors(pid: int) -> int:
    """
    @return: how many it has open.
    """
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    """
    @return: how many it has.
    """
    return len(os.listdir(f"/proc/{pid}/task"))


def cpuSeconds(pid: int) -> float:
    """
    @return: the time that it has spent on a CPU.
    """
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def residentBytes(pid: int) -> int:
    """
    @return: the memory it holds; 0 if it is gone.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
