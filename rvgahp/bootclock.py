# -*- test-case-name: tests.test_bootclock -*-
"""
The clock by which all waits and leases are measured: it goes on while the machine sleeps,
and nobody sets it.

Layer 1: the standard library.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def bootSeconds() -> float:
    """
    @return: seconds since the machine was started.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def useBootClock(reactor: Any) -> None:
    """
    Have a reactor go by it.  Twisted's go by the time of day: set it an hour forward, and
    every peer has been silent for an hour.

    @param reactor: any of Twisted's that are written in Python; C{seconds} is what
        C{IReactorTime} calls its clock, and all its delayed calls are made by it.
    """
    difference = bootSeconds() - reactor.seconds()
    reactor.seconds = bootSeconds
    for call in reactor.getDelayedCalls():
        call.delay(difference)
