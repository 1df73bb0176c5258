"""
Tests of L{rvgahp.sites}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.closedenrolment import ClosedEnrolment
from rvgahp.errors import NoSuchSite
from rvgahp.sites import Sites, candidates, meant


class CandidatesTests(SynchronousTestCase):
    """
    Tests of L{candidates}.
    """

    def test_names(self) -> None:
        """
        Which names a site may have that is meant: on the main socket, and on that of one.
        """
        for asked, names in (
            (("h", "", ""), ["h"]),
            (("h", "a", ""), ["a@h", "h"]),
            (("a@h", "", ""), ["a@h"]),
            (("", "", "h"), ["h"]),
            (("", "a", "h"), ["h"]),
            (("h", "", "h"), ["h"]),
            (("h", "a", "h"), ["h"]),
            (("h", "a", "a@h"), ["a@h"]),
            (("", "a", "a@h"), ["a@h"]),
        ):
            self.assertEqual(candidates(*asked), names, asked)

    def test_refused(self) -> None:
        """
        What names no site, or none that there can be, or another than the socket's.
        """
        for asked, said in (
            (("", "", ""), "no site is named"),
            (("", "a", ""), "no site is named"),
            (("h ", "", ""), "cannot be the name of a site"),
            (("h", "a b", ""), "cannot be the name of an account"),
            (("", "a b", "h"), "cannot be the name of an account"),
            (("x", "", "h"), "the socket is for site h alone"),
            (("h", "b", "a@h"), "the socket is for site a@h alone"),
        ):
            e = self.assertRaises(NoSuchSite, candidates, *asked)
            self.assertIn(said, str(e), asked)


class Owners(ClosedEnrolment):
    """
    Sites that are known, and whose they are.
    """

    def __init__(self, **owners: str | None) -> None:
        super().__init__()
        self._owners = owners

    def ownerOf(self, site: str) -> str | None:
        return self._owners.get(site[:1])

    def isKnown(self, site: str) -> bool:
        return site[:1] in self._owners


class MeantTests(SynchronousTestCase):
    """
    Tests of L{meant}.
    """

    def test_owners(self) -> None:
        """
        Of ACCOUNT@HOST and HOST the user's own counts alone; before HOST that is known there
        stands no ACCOUNT@HOST of somebody who has not HOST as well; else both count.
        """
        both = ["a@h", "h"]
        for owners, found in (
            (Owners(), both),
            (Owners(a="me", h="other"), both[:1]),
            (Owners(a="other", h="me"), both[1:]),
            (Owners(h="me"), both[1:]),
            (Owners(a="other", h=None), both[1:]),
            (Owners(a="other", h="third"), both[1:]),
            (Owners(a="other", h="other"), both),
            (Owners(a="other"), both),
            (Owners(a=None, h="other"), both),
        ):
            self.assertEqual(meant(both, "me", owners), found, vars(owners))
        self.assertEqual(meant(["h"], "me", Owners(h="other")), ["h"])


class Connection:
    """
    What L{Sites} knows of one.
    """

    def __init__(self, isReady: bool = True) -> None:
        self.isReady = isReady


class SitesTests(SynchronousTestCase):
    """
    Tests of L{Sites}.
    """

    def setUp(self) -> None:
        """
        Begin with a proxy that has just been started.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.sites: Any = Sites(self.clock)

    def tearDown(self) -> None:
        """
        No timer is left.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def come(self, name: str, isReady: bool = True) -> Connection:
        """
        A site comes.
        """
        connection = self.sites[name] = Connection(isReady)
        return connection

    def test_first(self) -> None:
        """
        The first of the names counts that is there and takes starts.
        """
        first, second = self.come("first", isReady=False), self.come("second")
        names = ["zeroth", "first", "second"]
        self.assertIs(self.successResultOf(self.sites.find(names)), second)
        first.isReady = True
        self.assertIs(self.successResultOf(self.sites.find(names)), first)

    def test_absent(self) -> None:
        """
        Whoever is not there is named as he was asked for, and no other user's site is.
        """
        self.clock.advance(limits.YOUTH)
        for number in range(20):
            self.come(f"site{number:02}", isReady=number < 12)
        e = self.failureResultOf(self.sites.find(["a@absent", "absent"]), NoSuchSite).value
        self.assertIn("site a@absent is not connected to the proxy, nor is absent;", str(e))
        self.assertNotIn("site0", str(e))

    def test_waitedFor(self) -> None:
        """
        In the proxy's first seconds a site is waited for; who waits for one that comes has
        it, in the next turn, and not before it takes starts.
        """
        found = [self.sites.find(["a@here", "here"]) for _ in range(3)]
        connection = self.come("here", isReady=False)
        self.sites.becameReady()
        self.clock.advance(0)
        for one in found:
            self.assertNoResult(one)
        connection.isReady = True
        self.sites.becameReady()
        for one in found:
            self.assertNoResult(one)
        self.clock.advance(0)
        for one in found:
            self.assertIs(self.successResultOf(one), connection)

    def test_inVain(self) -> None:
        """
        It is not waited for for long; others that come do not matter.
        """
        self.clock.advance(limits.YOUTH - 0.1)
        found = self.sites.find(["absent"])
        self.clock.advance(limits.RESTART_GRACE - 0.1)
        self.come("other")
        self.sites.becameReady()
        self.clock.advance(0)
        self.assertNoResult(found)
        self.clock.advance(0.2)
        e = self.failureResultOf(found, NoSuchSite).value
        self.assertIn("site absent is not connected to the proxy;", str(e))

    def test_grown(self) -> None:
        """
        Later it is not waited for.
        """
        self.clock.advance(limits.YOUTH)
        self.failureResultOf(self.sites.find(["absent"]), NoSuchSite)
