# -*- test-case-name: tests.test_blah_processes -*-
"""
Telling processes apart for certain, and signalling them.  Linux; standard
library only.

A process id is used again after its process is gone, soon on a busy host and
surely after a reboot.  So a process is remembered with the clock tick of its
start (C{/proc/PID/stat}, field 22, see proc(5)) and the id of the boot, and a
signal goes through a pidfd, opened before the comparison, so that it cannot
hit a successor.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["ProcessIdentity", "bootId", "signalSession"]

#: Seconds between two looks at a process where the kernel has no pidfds.
_POLL_INTERVAL = 0.05

#: A zombie is dead, whoever still has to take note of it.
_DEAD = (b"Z", b"X")


def bootId() -> str:
    """
    @return: the random name that the kernel gave itself when it booted.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


class _Stat:
    """
    What we read of C{/proc/PID/stat}.
    """

    __slots__ = ("session", "startTime", "state")

    def __init__(self, pid: int) -> None:
        """
        @raise OSError: there is no such process.
        """
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name, in brackets, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        if len(fields) < 20:
            raise ProcessLookupError(f"process {pid} is vanishing")
        self.state = fields[0]
        self.session = int(fields[3])
        self.startTime = int(fields[19])


class ProcessIdentity:
    """
    One process, not to be confused with a later one of the same id.
    """

    def __init__(self, pid: int, startTime: int, boot: str) -> None:
        """
        @param pid: the process id.
        @param startTime: its start, in clock ticks since the boot.
        @param boot: the boot's id.
        """
        self.pid = pid
        self._startTime = startTime
        self._boot = boot

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """
        @param pid: a process that exists, and that cannot vanish meanwhile.
        @raise OSError: it does not exist.
        """
        return cls(pid, _Stat(pid).startTime, bootId())

    @classmethod
    def fromRecord(cls, record: Any) -> ProcessIdentity:
        """
        @param record: what L{record} returned once.
        """
        return cls(int(record["pid"]), int(record["startTime"]), str(record["boot"]))

    def record(self) -> dict[str, Any]:
        """
        @return: this identity in a form for JSON.
        """
        return {"pid": self.pid, "startTime": self._startTime, "boot": self._boot}

    def alive(self) -> bool:
        """
        @return: whether exactly this process runs; a zombie does not.
        """
        try:
            stat = _Stat(self.pid)
        except (OSError, ValueError):
            return False
        same = stat.startTime == self._startTime and self.ofThisBoot()
        return same and stat.state not in _DEAD

    def ofThisBoot(self) -> bool:
        """
        @return: whether the host has not been booted since this process began.
        """
        return bootId() == self._boot

    def signal(self, number: int) -> bool:
        """
        Send a signal to exactly this process.

        @param number: the signal.
        @return: whether it was there to receive it.
        """
        with _pidfd(self.pid) as fd:
            if not self.alive():
                return False
            try:
                _send(fd, self.pid, number)
            except ProcessLookupError:
                return False
        return True

    def waitForEnd(self, seconds: float) -> bool:
        """
        Wait until this process is gone.

        @param seconds: the longest time to wait.
        @return: whether it is gone.
        """
        deadline = time.monotonic() + seconds
        with _pidfd(self.pid) as fd:
            poll = select.poll()
            if fd is not None:
                poll.register(fd, select.POLLIN)
            while self.alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(1000 * (left if fd is not None else min(left, _POLL_INTERVAL)))
        return True


def signalSession(session: int, number: int) -> int:
    """
    Send a signal to every process of a session.

    @param session: the session's id.  Its leader must exist, be it as a
        zombie, or the id might be another session's by now.
    @param number: the signal.
    @return: to how many processes it was sent; zombies do not count.
    """
    count = 0
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        if not _belongs(pid, session):
            continue
        with _pidfd(pid) as fd, suppress(ProcessLookupError):
            # Once more, now that the id cannot come to mean another.
            if _belongs(pid, session):
                _send(fd, pid, number)
                count += 1
    return count


def _belongs(pid: int, session: int) -> bool:
    """
    Whether a process lives and is of a session.
    """
    try:
        stat = _Stat(pid)
    except (OSError, ValueError):
        return False
    return stat.session == session and stat.state not in _DEAD


@contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """
    Hold on to a process id; C{None} where it is gone, or where the kernel is
    older than 5.3 and has no pidfds.
    """
    try:
        fd = os.pidfd_open(pid)
    except (OSError, AttributeError):
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _send(fd: int | None, pid: int, number: int) -> None:
    if fd is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(fd, number)
