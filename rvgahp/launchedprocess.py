# -*- test-case-name: tests.test_launcher -*-
"""
One GAHP, as the launcher knows it.

Layer 2: the standard library only, a part of L{rvgahp.launcher}.
"""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import suppress

#: Written by the child before it asks PAM.
ASKING = b"?"

#: Written after its uid, just before its program is executed.
SETTLED = b";"


class LaunchedProcess:
    """
    One from its fork until it is reaped.

    @ivar name: the id by which the CE knows it.
    @ivar status: the descriptor that its successful exec closes; -1 afterwards.
    @ivar problem: why there will be no program, if that is known here.
    @ivar late: when it must have its answer of PAM, in monotonic time.
    """

    def __init__(self, name: int, pid: int, status: int, hold: socket.socket | None) -> None:
        """
        @param hold: tells the holder of its session that it has been reaped, if it asks PAM.
        """
        self.name = name
        self.pid = pid
        self.status = status
        self.problem = ""
        self.late = math.inf
        self._hold = hold
        self._said = b""
        self._waiting: list[int] = []

    def read(self, seconds: float) -> bool:
        """
        Take what it says of itself.

        @param seconds: for PAM.
        @return: whether it will say no more: it has executed its program, or never will.
        """
        try:
            part = os.read(self.status, 4096)
        except BlockingIOError:  # it has ended, and a process that it has left has a copy
            part = b""
        self._said += part
        if ASKING in part:
            self.late = time.monotonic() + seconds
        if SETTLED in self._said:
            self.late = math.inf
            self._sendWaiting()
        return not part

    def outcome(self) -> tuple[int, str]:
        """
        @return: the uid that its program has, or why there is none.
        """
        said = self._said.lstrip(ASKING)
        uid, _, problem = said.partition(SETTLED)
        if uid.isdigit() and not problem:
            return int(uid), ""
        words = (problem if uid.isdigit() else said).decode("utf-8", "replace")
        return -1, self.problem or words or "it was ended before its program ran"

    def signal(self, number: int) -> None:
        """
        Send a signal to it and those it has started.  While it may have opened a session of
        PAM's that nobody else knows of yet, the signal waits.
        """
        self._waiting.append(number)
        if self._hold is None or self.status < 0 or SETTLED in self._said:
            self._sendWaiting()

    def _sendWaiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            _signalGroup(self.pid, number)

    def reaped(self) -> socket.socket | None:
        """
        It has ended.

        @return: a socket that becomes readable when its session has been closed, too.
        """
        if self.status >= 0:
            os.set_blocking(self.status, False)
        if self._hold is not None:
            with suppress(OSError):
                self._hold.shutdown(socket.SHUT_WR)
        return self._hold


def _signalGroup(pid: int, number: int) -> None:
    for send in (os.killpg, os.kill):  # it may have no group of its own yet
        try:
            send(pid, number)
            return
        except (ProcessLookupError, PermissionError):
            pass
