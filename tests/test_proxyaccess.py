"""
Tests of L{rvgahp.proxyaccess}; C{tests/test_proxy.py} has what a proxy makes of it.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accessrules import PROXY, parse
from rvgahp.errors import NotAuthorized
from rvgahp.localnames import LocalNames
from rvgahp.names import siteName
from rvgahp.peercred import LocalUser
from rvgahp.proxyaccess import ProxyAccess, accountAt

BOB = LocalUser(4242, "bob", 77)


def access(text: str) -> ProxyAccess:
    return ProxyAccess(Clock(), parse(text, "/a", PROXY), LocalNames("x.org"))


class ProxyAccessTests(SynchronousTestCase):
    """
    What the proxy asks.
    """

    def test_accountAt(self) -> None:
        """
        An account that is a part of the site's name is asked for no more.
        """
        self.assertEqual(accountAt("alice@h", "alice"), "")
        self.assertEqual(accountAt("h", "alice"), "alice")
        self.assertEqual(accountAt("malice@h", "alice"), "alice")
        self.assertEqual(accountAt("h", ""), "")

    def test_grant(self) -> None:
        """
        A grant has who, by which rule, what, and as whom.
        """
        grant = access("ALLOW START *").grant(BOB, "h", "cat", "eve")
        self.assertEqual(grant, ("bob@x.org", "/a:1: ALLOW START *", "cat", "eve"))
        self.assertRaises(NotAuthorized, access("").grant, BOB, "h", "cat", "")

    def test_usable(self) -> None:
        """
        Those of the sites that he may use; the log has a refusal only if there is none, and
        the sentence is about the last.
        """
        sites = ["eve@h", "h"]
        for text, expected in (
            ("ALLOW START *", sites),
            ("ALLOW START site=h account=eve *", ["h"]),
            ("ALLOW START site=eve@h *", ["eve@h"]),
        ):
            with capturedLogs() as logs:
                self.assertEqual(access(text).usable(BOB, sites, "cat", "eve"), expected)
            self.assertEqual(logs, [])
        with capturedLogs() as logs:
            e = self.assertRaises(NotAuthorized, access("").usable, BOB, sites, "cat", "eve")
        self.assertIn("start cat at site h as account eve", str(e))
        self.assertEqual(len(logs), 1)

    def test_knows(self) -> None:
        """
        A site is known to who may start anything there, whatever that is and as whomever, and
        to nobody else.
        """
        for text, expected in (
            ("", False),
            ("ALLOW START *", True),
            ("ALLOW START site=h gahp=cat account=eve bob@x.org", True),
            ("ALLOW START *\nDENY START gahp=cat *\nDENY START account=eve site=h *", True),
            ("ALLOW START *\nDENY START site=h bob@x.org", False),
            ("ALLOW START site=g *", False),
            ("ALLOW START alice@x.org\nALLOW REGISTER site=h bob@x.org", False),
        ):
            self.assertEqual(access(text).knows(BOB, "h"), expected, text)
        rules = access("")
        rules.ownerOf = lambda site: "bob@x.org"
        self.assertTrue(rules.knows(BOB, "h"))
        self.assertFalse(access("ALLOW START *").knows(LocalUser(7, "b\nb", 7), "h"))

    def test_register(self) -> None:
        """
        A CE may register its own site; one without a site in its certificate any that a rule
        lets it.
        """
        asked = access("").register(siteName("h"), "h", "192.0.2.1")
        self.assertEqual(self.successResultOf(asked), "built in: the site of its certificate")
        for name in (siteName("g"), "h@site.rvgahps", "H@site.rvgahp"):
            asked = access("ALLOW START *").register(name, "h", "192.0.2.1")
            self.failureResultOf(asked, NotAuthorized)
        for name in (siteName("g"), siteName("alice@g")):  # no rule makes it any other's
            asked = access("ALLOW REGISTER *@site.rvgahp, alice@*").register(name, "h", "192.0.2.1")
            failure = self.failureResultOf(asked, NotAuthorized)
            self.assertIn("its certificate is of another site", str(failure.value))
        asked = access("ALLOW REGISTER ce@y.org").register("ce@y.org", "h", "192.0.2.1")
        self.assertEqual(self.successResultOf(asked), "/a:1: ALLOW REGISTER ce@y.org")

    def test_noOwner(self) -> None:
        """
        A site that nobody owns lets nobody in for that.
        """
        made = access("")
        made.ownerOf = {"g": "bob@x.org"}.get
        self.assertRaises(NotAuthorized, made.grant, BOB, "h", "cat", "")
        self.assertEqual(made.grant(BOB, "g", "cat", "").rule, "built in: the owner of the site")
