"""
Tests of L{rvgahp.peernames}, with real threads.
"""

from __future__ import annotations

import threading

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.peernames import PeerNames
from tests.threadedclock import ThreadedClock


class PeerNamesTests(SynchronousTestCase):
    """
    Names, as they are asked for and remembered.
    """

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.addCleanup(self.clock.pool.stop)
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.asked: list[str] = []
        self.names = PeerNames(self.clock, self.lookup)

    def lookup(self, address: str, seconds: float) -> tuple[str, ...]:
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append(address)
        if address == "192.0.2.99":
            self.go.wait(30)
        if address == "192.0.2.66":
            raise OSError("no such host")
        return (f"h{len(self.asked)}.x.org",)

    def found(self, address: str) -> tuple[str, ...]:
        """
        @return: the names, asked for in a thread.
        """
        found = self.names.find(address)
        self.assertNoResult(found)
        self.clock.settle(1)
        return self.successResultOf(found)

    def test_found(self) -> None:
        """
        The names come from a thread, and are known for a while without one.
        """
        self.assertEqual(self.found("192.0.2.1"), ("h1.x.org",))
        self.clock.advance(maplimits.PEER_NAMES_LIFETIME - 1)
        self.assertEqual(self.successResultOf(self.names.find("192.0.2.1")), ("h1.x.org",))
        self.clock.advance(2)
        self.assertEqual(self.found("192.0.2.1"), ("h2.x.org",))

    def test_failure(self) -> None:
        """
        Where they cannot be had there are none; the log has why, and soon it is tried again.
        """
        with capturedLogs() as logs:
            self.assertEqual(self.found("192.0.2.66"), ())
        self.assertIn("no such host", [event.get("reason") for event in logs])
        self.assertEqual(self.successResultOf(self.names.find("192.0.2.66")), ())
        self.clock.advance(maplimits.PEER_FAILURE_LIFETIME + 1)
        self.assertEqual(self.found("192.0.2.66"), ())
        self.assertEqual(len(self.asked), 2)

    def test_deadline(self) -> None:
        """
        A lookup that hangs ends at the deadline without names; what it says later is for
        nobody.
        """
        found = self.names.find("192.0.2.99")
        self.clock.advance(maplimits.PEER_LOOKUP_TIMEOUT - 0.1)
        self.assertNoResult(found)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(found), ())
        self.go.set()
        self.clock.settle(1)
        self.assertEqual(self.successResultOf(self.names.find("192.0.2.99")), ())

    def test_together(self) -> None:
        """
        Who asks for the same meanwhile shares the answer.
        """
        found = [self.names.find("192.0.2.1") for _ in range(3)]
        self.clock.settle(1)
        self.assertEqual([self.successResultOf(one) for one in found], [("h1.x.org",)] * 3)
        self.assertEqual(self.asked, ["192.0.2.1"])

    def test_bounds(self) -> None:
        """
        Beyond so many at once there are no names; of those known the oldest is forgotten.
        """
        self.patch(maplimits, "PEERS_PENDING", 2)
        self.patch(maplimits, "PEERS_KNOWN", 2)
        found: list[Deferred[tuple[str, ...]]] = []
        for number in (1, 2, 3):
            found.append(self.names.find(f"192.0.2.{number}"))
        self.assertEqual(self.successResultOf(found[2]), ())
        self.clock.settle(2)
        self.assertEqual(self.found("192.0.2.4"), ("h3.x.org",))
        self.assertEqual(len(self.names._known), 2)
