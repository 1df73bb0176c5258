"""
Tests of L{rvgahp.startlimits}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration
from rvgahp.errors import Busy
from rvgahp.settings import settingsFrom
from rvgahp.startlimits import CELimits, ProxyLimits


class LimitsTests(SynchronousTestCase):
    """
    What is too many, and what is said then.
    """

    def setUp(self) -> None:
        self.now = 0.0

    def proxyLimits(self, **settings: str) -> ProxyLimits:
        """
        @return: a proxy's with these settings.
        """
        self.settings = settingsFrom("proxy", Configuration(None, settings))
        return ProxyLimits(lambda: self.now, lambda: self.settings)

    def assertBusy(self, limits: ProxyLimits | CELimits, arguments: object, *words: str) -> None:
        """
        It is refused with these words, and with what HTCondor will do.
        """
        assert isinstance(arguments, tuple)
        error = self.assertRaises(Busy, limits.check, *arguments)
        for word in (*words, "HTCondor will try again by itself"):
            self.assertIn(word, str(error))

    def test_user(self) -> None:
        """
        A user has as many as he may, and not one more.
        """
        limits = self.proxyLimits(RVGAHP_MAX_SESSIONS_PER_USER="3")
        limits.check(7, "alice", 2, "site.example", 100)
        words = "alice has 3 GAHPs", "allows a user 3", "RVGAHP_MAX_SESSIONS_PER_USER"
        self.assertBusy(limits, (7, "alice", 3, "site.example", 3), *words)

    def test_site(self) -> None:
        """
        So has a site.
        """
        limits = self.proxyLimits(RVGAHP_MAX_SESSIONS_PER_SITE="3")
        limits.check(7, "alice", 2, "site.example", 2)
        words = "site site.example runs 3 GAHPs", "RVGAHP_MAX_SESSIONS_PER_SITE"
        self.assertBusy(limits, (7, "alice", 2, "site.example", 3), *words)

    def test_rate(self) -> None:
        """
        Each user has his own rate and burst; who is refused for another reason, or because
        of the rate, pays nothing.
        """
        limits = self.proxyLimits(
            RVGAHP_MAX_STARTS_PER_SECOND="2", RVGAHP_MAX_SESSIONS_PER_USER="3"
        )
        for _ in range(100):
            self.assertRaises(Busy, limits.check, 7, "alice", 3, "site.example", 3)
        for _ in range(20):
            limits.check(7, "alice", 0, "site.example", 0)
        words = "alice has too many GAHPs started", "2 in a second"
        for _ in range(100):
            self.assertBusy(limits, (7, "alice", 0, "site.example", 0), *words)
        limits.check(8, "bob", 0, "site.example", 0)
        self.now = 1.0
        limits.check(7, "alice", 0, "site.example", 0)
        limits.check(7, "alice", 0, "site.example", 0)
        self.assertRaises(Busy, limits.check, 7, "alice", 0, "site.example", 0)

    def test_changed(self) -> None:
        """
        Settings that change count at once.
        """
        limits = self.proxyLimits(RVGAHP_MAX_SESSIONS_PER_USER="3")
        self.assertRaises(Busy, limits.check, 7, "alice", 3, "site.example", 3)
        self.settings = settingsFrom("proxy", Configuration(None, {}))
        limits.check(7, "alice", 3, "site.example", 3)

    def test_ce(self) -> None:
        """
        A CE has limits of an owner, of a proxy and of all, and one rate for all that a proxy
        wants, which is not another's.
        """
        values = {
            "RVGAHP_BROKER_HOST": "submit.example",
            "RVGAHP_MAX_SESSIONS_PER_OWNER": "2",
            "RVGAHP_MAX_SESSIONS": "3",
            "RVGAHP_MAX_STARTS_PER_SECOND": "1",
        }
        settings = settingsFrom("ce", Configuration(None, values))
        limits = CELimits(lambda: self.now, lambda: settings)
        words = "alice@submit.example has 2 GAHPs at site s", "RVGAHP_MAX_SESSIONS_PER_OWNER"
        self.assertBusy(limits, ("alice@submit.example", 2, "s", (2, 3), 2), *words)
        words = "site s runs 3 GAHPs", "RVGAHP_MAX_SESSIONS)"
        self.assertBusy(limits, ("bob@submit.example", 0, "s", (0, 3), 3), *words)
        words = "site s runs 2 GAHPs for this proxy", "RVGAHP_PROXY_..._MAX_SESSIONS)"
        self.assertBusy(limits, ("bob@submit.example", 0, "s", (2, 2), 2), *words)
        for number in range(10):
            limits.check(f"user{number}@submit.example", 0, "s", (0, 1), 0)
        self.assertBusy(
            limits, ("x@submit.example", 0, "s", (0, 1), 0), "too many GAHPs are started"
        )
        limits.check("x@submit.example", 0, "s", (0, 1), 0, "another")
