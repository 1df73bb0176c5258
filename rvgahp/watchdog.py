# -*- test-case-name: tests.test_watchdog -*-
"""
Tells systemd that a daemon's loop still turns, so that one that hangs is ended and started
again: C{WatchdogSec=} of a unit, C{sd_watchdog_enabled(3)}.

Layer 3: the reactor is passed in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rvgahp.notify import Notifier

__all__ = ["Watchdog", "watchdogSeconds"]

_MICROSECONDS = 1e6


def watchdogSeconds(environ: Mapping[str, str]) -> float | None:
    """
    @return: how long a daemon may be silent; L{None} if nobody listens, or to another process
        than us.
    """
    period = environ.get("WATCHDOG_USEC", "")
    whose = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not period.isdecimal() or int(period) == 0 or whose != str(os.getpid()):
        return None
    return int(period) / _MICROSECONDS


class Watchdog:
    """
    One daemon's.  It speaks twice in each period, out of the loop: a thread would go on
    speaking when the loop hangs.
    """

    def __init__(self, reactor: Any, notifier: Notifier) -> None:
        self._reactor = reactor
        self._notifier = notifier
        self._interval = 0.0
        self._call: Any = None

    def start(self) -> None:
        """
        Begin, if anyone wants it.  Not before twistd has forked: the variables name a process.
        """
        seconds = watchdogSeconds(os.environ)
        if seconds is not None:
            self._interval = seconds / 2
            self._speak()

    def _speak(self) -> None:
        self._call = self._reactor.callLater(self._interval, self._speak)
        self._notifier.tell(WATCHDOG="1")

    def stopping(self) -> None:
        """
        Tell that the daemon ends.  That may take its time, in which we go on.
        """
        self._notifier.tell(STOPPING="1")

    def stop(self) -> None:
        """
        Speak no more, nor does the notifier.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._notifier.close()
