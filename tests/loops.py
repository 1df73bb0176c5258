"""
The three loops that drive our descriptors, behind one face, for tests that must hold
in each: the stepped one, the client's, and Twisted's (a reactor of the test's own).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.epollreactor import EPollReactor

from rvgahp.poller import Poller
from tests.steppedloop import SteppedLoop

#: Seconds after which a real loop is given up.
_PATIENCE = 10.0


class Driver(Protocol):
    """
    A loop, and how it is made to go.
    """

    loop: Any

    def until(self, isDone: Callable[[], object]) -> None:
        """
        Go on until C{isDone}.
        """

    def settle(self) -> None:
        """
        Go on for as long as there is something to do at once.
        """

    def close(self) -> None:
        """
        Let go of the loop.
        """


class Stepped:
    """
    L{SteppedLoop}.
    """

    def __init__(self) -> None:
        self.loop = SteppedLoop()

    def until(self, isDone: Callable[[], object]) -> None:
        self.loop.until(isDone)

    def settle(self) -> None:
        self.loop.settle()

    def close(self) -> None:
        assert not self.loop.readers, self.loop.readers
        assert not self.loop.writers, self.loop.writers


class Polled:
    """
    L{Poller}.
    """

    def __init__(self) -> None:
        self.loop = Poller()

    def until(self, isDone: Callable[[], object]) -> None:
        end = time.monotonic() + _PATIENCE

        def look() -> None:
            if isDone() or time.monotonic() > end:
                self.loop.stop()
            else:
                self.loop.callLater(0.001, look)

        look()
        if not isDone():
            self.loop.run()
        assert isDone(), "it was not done in time"

    def settle(self) -> None:
        self.loop.callLater(0.01, self.loop.stop)
        self.loop.run()

    def close(self) -> None:
        assert not self.loop._readers, self.loop._readers
        assert not self.loop._writers, self.loop._writers


class Twisted:
    """
    Twisted's epoll reactor, as in the CE, but not the global one.
    """

    def __init__(self) -> None:
        self.loop = EPollReactor()
        self._own = set(self.loop.getReaders())

    def until(self, isDone: Callable[[], object]) -> None:
        end = time.monotonic() + _PATIENCE
        while not isDone():
            assert time.monotonic() < end, "it was not done in time"
            self.loop.iterate(0.001)

    def settle(self) -> None:
        for _ in range(10):
            self.loop.iterate(0.001)

    def close(self) -> None:
        left = set(self.loop.removeAll()) - self._own
        for reader in self._own:
            reader.connectionLost(None)
        self.loop._poller.close()
        assert not left, left
