# -*- test-case-name: tests.test_patience -*-
"""
Waiting in sight of people: for descriptors or for time, each wait with a limit and a
name, ended early when we are told to end.

Layer 6: the standard library.  For commands that hold a dialogue without a reactor.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable

from rvgahp.errors import RvgahpError

#: Seconds of a wait after which people are told what is waited for.
QUIET = 1.0


class TookTooLong(RvgahpError):
    """
    What was waited for did not come within its limit.
    """


class Interrupted(RvgahpError):
    """
    We were told to end (Ctrl-C, TERM, HUP) while waiting.
    """


def _silent(what: str, limit: float) -> None:
    """
    Tell nobody.
    """


class Patience:
    """
    All waits of one command.
    """

    def __init__(self, wake: int, tell: Callable[[str, float], object] = _silent) -> None:
        """
        @param wake: a non-blocking descriptor that becomes readable when we are to end.
        @param tell: called with what is waited for and the limit in seconds, once for
            each wait that lasts longer than L{QUIET}.
        """
        self._wake = wake
        self._tell = tell

    def wait(self, what: str, limit: float) -> Wait:
        """
        @param what: what is waited for, to stand after I{waiting for}.
        @param limit: seconds from now.
        """
        return Wait(self._wake, self._tell, what, limit)

    def recover(self) -> None:
        """
        We have been told to end and are clearing away; only to be told again ends that.
        """
        while select.select([self._wake], [], [], 0)[0]:
            os.read(self._wake, 4096)


class Wait:
    """
    One wait, from now on.

    @ivar what: what is waited for.
    """

    def __init__(
        self, wake: int, tell: Callable[[str, float], object], what: str, limit: float
    ) -> None:
        now = time.monotonic()
        self.what = what
        self._wake = wake
        self._tell = tell
        self._limit = limit
        self._end = now + limit
        self._quietUntil = now + QUIET

    def readable(self, *fds: int, atMost: float = math.inf) -> list[int]:
        """
        Wait until a descriptor has something to read, an end included.

        @param atMost: seconds after which we look no longer.
        @return: those that have; none after C{atMost} seconds.
        @raise TookTooLong: the limit of the wait has come.
        @raise Interrupted: we are to end.
        """
        now = time.monotonic()
        enough = now + atMost
        while True:
            self._tellLate(now)
            seconds = min(enough, self._end, self._quietUntil) - now
            ready = self._poll(fds, max(0.0, seconds))
            if self._wake in ready:
                raise Interrupted(f"told to end while waiting for {self.what}")
            now = time.monotonic()
            if ready or now >= enough:
                return ready
            if now >= self._end:
                raise TookTooLong(f"{self.what} did not come within {self._limit:g} s")

    def pause(self, seconds: float) -> None:
        """
        Let time pass, and no more than there is.

        @raise TookTooLong: the limit of the wait has come.
        @raise Interrupted: we are to end.
        """
        self.readable(atMost=seconds)

    def _poll(self, fds: tuple[int, ...], seconds: float) -> list[int]:
        poll = select.poll()
        for fd in (*fds, self._wake):
            poll.register(fd, select.POLLIN)
        return [fd for fd, _ in poll.poll(math.ceil(seconds * 1000))]

    def _tellLate(self, now: float) -> None:
        if now >= self._quietUntil:
            self._quietUntil = math.inf
            self._tell(self.what, self._limit)
