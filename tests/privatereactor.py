"""
A reactor of a test's own, with real descriptors, real time and real processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.process import reapAllProcesses
from twisted.trial.unittest import SynchronousTestCase

from tests.shared import stopShared
from tests.steppedloop import descriptorCount

T = TypeVar("T")

#: Seconds that a test waits for what must come, on a busy machine.
PATIENCE = 10.0

#: Seconds between two looks for processes that have ended.
_LOOK = 0.005


class ReactorTestCase(SynchronousTestCase):
    """
    Each test has a reactor, which is turned only while the test waits for something.
    After the test nothing may be left in it: no descriptor, no call to come, no child.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        # Twisted's LoopingCall loads the global reactor, whichever it then uses; so that
        # its descriptors are not counted, it is loaded before.
        import twisted.internet.reactor  # noqa: F401

        stopShared()  # its daemons are children of ours
        self.before = descriptorCount()
        self.reactor: Any = EPollReactor()
        self._own = list(self.reactor.getReaders())

    def tearDown(self) -> None:
        """
        See what is left.
        """
        self.turn()
        left = [one for one in self.reactor.getReaders() if one not in self._own]
        left += self.reactor.getWriters()
        calls = self.reactor.getDelayedCalls()
        for call in calls:
            call.cancel()
        for reader in self._own:
            self.reactor.removeReader(reader)
            reader.connectionLost(None)
        self.reactor._poller.close()
        self.assertEqual(left, [])
        self.assertEqual(calls, [])
        self.assertEqual(descriptorCount(), self.before)
        self.assertRaises(ChildProcessError, os.waitpid, -1, os.WNOHANG)

    def turn(self, seconds: float = 0.0) -> None:
        """
        Let the reactor do what there is to do.
        """
        reapAllProcesses()
        self.reactor.iterate(seconds)

    def until(self, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
        """
        Turn the reactor until something is so.

        @return: what C{condition} returned then.
        @raise AssertionError: it does not come in time.
        """
        end = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:g} s; last seen: {result!r}")
            self.turn(_LOOK)

    def spend(self, seconds: float) -> None:
        """
        Turn the reactor for so long.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(_LOOK)

    def resultOf(self, deferred: Deferred[T]) -> T:
        """
        @return: what C{deferred} fires with, when it does.
        """
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.until(lambda: results)
        again: Deferred[T] = Deferred()
        again.callback(results[0])
        return self.successResultOf(again)
