# -*- test-case-name: tests.test_delayedcalls -*-
"""
Calls to come that are all called off together.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime


class DelayedCalls:
    """
    Those of one owner.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._calls: list[Any] = []

    def later(self, delay: float, callable: Callable[..., object], *arguments: Any) -> None:
        """
        @param delay: seconds.
        """
        self._calls = [call for call in self._calls if call.active()]
        self._calls.append(self._clock.callLater(delay, callable, *arguments))

    def cancel(self) -> None:
        """
        None of them is wanted any more.
        """
        for call in self._calls:
            if call.active():
                call.cancel()
