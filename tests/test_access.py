"""
Tests of L{rvgahp.access}.
"""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.access import Access
from rvgahp.accessrules import CE, START, AccessRules, Subject, parse
from rvgahp.errors import NotAuthorized
from tests.threadedclock import ThreadedClock

THINGS = {"gahp": "blahpd", "account": "ce"}


class AccessTests(SynchronousTestCase):
    """
    Rules that are asked.
    """

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.addCleanup(self.clock.pool.stop)
        self.asked: list[str] = []

    def make(self, text: str) -> Access:
        return Access(self.clock, parse(text, "/a", CE), self.lookup)

    def lookup(self, address: str, seconds: float) -> tuple[str, ...]:
        self.asked.append(address)
        return ("h.x.org",)

    def test_atOnce(self) -> None:
        """
        Where no rule has a name the answer is there at once, and nothing is looked up.
        """
        access = self.make("ALLOW START alice@x/192.0.2.0/24")
        asked = access.checkPeer(START, "alice@x", "192.0.2.1", THINGS)
        self.assertEqual(self.successResultOf(asked), "/a:1: ALLOW START alice@x/192.0.2.0/24")
        asked = access.checkPeer(START, "bob@x", "192.0.2.1", THINGS)
        self.assertIn("bob@x may not", str(self.failureResultOf(asked, NotAuthorized).value))
        self.assertEqual((self.asked, self.clock.fromThreads), ([], []))

    def test_names(self) -> None:
        """
        Where a rule has one, the peer's names are asked for first, for DENY rules too.
        """
        access = self.make("ALLOW START *@x\nDENY START *.x.org")
        asked = access.checkPeer(START, "alice@x", "192.0.2.1", THINGS)
        self.assertNoResult(asked)
        self.clock.settle(1)
        self.failureResultOf(asked, NotAuthorized)
        self.assertEqual(self.asked, ["192.0.2.1"])

    def test_replaced(self) -> None:
        """
        New rules count from then on, also for one whose names are being looked up.
        """
        access = self.make("ALLOW START h.x.org")
        asked = access.checkPeer(START, "alice@x", "192.0.2.1", THINGS)
        access.rules = AccessRules(CE, "/a", there=False)
        self.clock.settle(1)
        self.failureResultOf(asked, NotAuthorized)
        self.assertRaises(NotAuthorized, access.check, START, Subject("alice@x"), THINGS)

    def test_log(self) -> None:
        """
        The log has a refusal with the rule's text, which the sentence has not.
        """
        access = self.make("DENY START alice@x secret@x")
        with capturedLogs() as logs:
            e = self.assertRaises(
                NotAuthorized, access.check, START, Subject("alice@x"), THINGS, "root"
            )
        self.assertNotIn("secret", str(e))
        (event,) = logs
        self.assertEqual(event["rule"], "/a:1: DENY START alice@x secret@x")
        self.assertEqual(access.check(START, Subject("bob@x"), THINGS, "root"), "built in: root")
