"""
Tests of L{rvgahp.authorizationlist} and L{rvgahp.addresspattern}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.authorizationlist import BANNED, Decision, decide, parse
from rvgahp.errors import ConfigurationError


class MatchTests(SynchronousTestCase):
    """
    Whom an entry fits.
    """

    def check(self, text: str, *cases: tuple[bool, str, str | None, tuple[str, ...]]) -> None:
        made = parse(text, "ALLOW_X")
        for expected, user, address, names in cases:
            what = f"{text}: {user} {address} {names}"
            self.assertEqual(made.permits(user, address, names), expected, what)

    def test_users(self) -> None:
        """
        A user from anywhere; case does not count, but only ASCII's.
        """
        self.check(
            "alice@x.org",
            (True, "alice@x.org", "192.0.2.1", ()),
            (True, "ALICE@X.org", None, ()),
            (False, "alice@x.orgs", None, ()),
            (False, "malice@x.org", None, ()),
            (False, "", None, ()),
        )
        self.check("k@x", (False, "\u212a@x", None, ()), (True, "K@x", None, ()))

    def test_wildcards(self) -> None:
        """
        One asterisk anywhere in a user, a second one at its end.
        """
        self.check(
            "*@x", (True, "a@x", None, ()), (True, "@x", None, ()), (False, "a@xx", None, ())
        )
        self.check(
            "a*@x", (True, "a@x", None, ()), (False, "a@", None, ()), (True, "ab@x", None, ())
        )
        self.check("a@x*/*", (True, "a@xyz", None, ()), (False, "a@", None, ()))
        self.check("*@x*/*", (True, "b@a@xyz", None, ()), (False, "ax", None, ()))
        self.check("aba*aba@/*", (False, "aba@", None, ()), (True, "abaaba@", None, ()))
        self.check("*", (True, "", None, ()), (True, "a@b", "::1", ()))

    def test_addresses(self) -> None:
        """
        Addresses and nets, of IPv4 and IPv6, in each form.
        """
        for text, inside, outside in (
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
            ("192.0.*", "192.0.255.1", "192.1.0.1"),
            ("192.0.2.9/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.0/255.255.254.0", "192.0.3.1", "192.0.4.1"),
            ("0.0.0.0/0", "10.0.0.1", "::1"),
            ("10.0.0.0/0.0.0.0", "192.0.2.1", "::1"),
            ("2001:DB8::1", "2001:db8:0::1", "2001:db8::2"),
            ("2001:db8:*", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("[2001:db8::1]", "2001:db8::1%eth0", "2001:db8::2"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ):
            for entry in (text, f"*/{text}", f"a@*/{text}"):
                self.check(
                    entry,
                    (True, "a@b", inside, ()),
                    (False, "a@b", outside, ()),
                    (False, "a@b", None, ()),
                )
        self.check("a@b/10.0.0.0/8", (False, "c@b", "10.0.0.1", ()))

    def test_names(self) -> None:
        """
        Names of hosts, with an asterisk or without; numbers are no names.
        """
        at = "192.0.2.1"
        self.check(
            "a@b/*.x.org",
            (True, "a@b", at, ("q", "H.x.ORG")),
            (True, "a@b", at, ("h.x.org.",)),
            (False, "a@b", at, ("x.org", "h.x.org.evil")),
            (False, "a@c", at, ("h.x.org",)),
            (False, "a@b", at, ()),
        )
        self.check("lab-*", (True, "", at, ("lab-1.x",)), (False, "", at, ("a.lab-1",)))
        self.check("h.x", (True, "", at, ("h.x",)), (False, "", at, ("a.h.x",)))
        self.check("10.1.*", (False, "", at, ("10.1.evil.org",)), (True, "", "10.1.0.1", ()))

    def test_resolved(self) -> None:
        """
        A name without an asterisk stands for the addresses that its caller has looked up.
        """
        made = parse("h.x.org, *.y.org, a@b/H2.x.org 10.1.2.3 H.X.ORG", "ALLOW_X")
        self.assertEqual(made.hosts, ["h.x.org", "h2.x.org"])
        found = {"h.x.org": ["192.0.2.1", "2001:db8::1"], "H.X.org": ["::ffff:192.0.2.9"]}
        made = made.withAddresses(found)
        for address, expected in (
            ("192.0.2.1", "h.x.org"),
            ("2001:db8::1", "h.x.org"),
            ("192.0.2.9", "h.x.org"),
            ("192.0.2.2", None),
        ):
            self.assertEqual(made.match("q@q", address), expected)
        self.assertRaises(ValueError, made.withAddresses, {"h.x.org": ["x"]})
        self.assertRaises(ValueError, made.match, "a@b", "x")

    def test_separators(self) -> None:
        """
        Blanks and commas part entries; an empty list has none.
        """
        made = parse(" a@x,\tb@x\n,,c@x ", "ALLOW_X")
        for user in ("a@x", "b@x", "c@x"):
            self.assertEqual(made.match(user, None), user)
        self.assertFalse(parse(" ,\n", "ALLOW_X").permits("", None))


class RefusalTests(SynchronousTestCase):
    """
    Lists that are refused.
    """

    def test_entries(self) -> None:
        """
        What is not supported, or what nobody can mean, is an error that names the list and
        the entry.
        """
        for entry, said in (
            ("+people", "netgroups"),
            ("*/{:local_ips:}", "'{:local_ips:}' is not supported"),
            ("{:local_ips:}", "is not supported"),
            ("alice/10.0.0.1", "the user 'alice' has no @"),
            ("alice/10.0.0.0/8", "the user 'alice' has no @"),
            ("al*/h.x.org", "has no @"),
            ("h.x.org/24", "has no @"),
            ("/h.x.org", "no address"),
            ("a*b*c@x", "more than one *"),
            ("***", "no address"),
            ("*a*b.org", "more than one *"),
            ("10", "no address"),
            ("10.1", "no address"),
            ("10.1.", "no address"),
            ("10.1.2.3.*", "no address"),
            ("10.1.2*", "no address"),
            ("300.*", "no address"),
            ("010.1.2.3", "no address"),
            ("10.0.0.0/", "no address"),
            ("a@b/10.0.0.0/", "no address"),
            ("*/10.0.0.0/33", "no address"),
            ("*/10.0.0.0/-1", "no address"),
            ("*/10.0.0.0/255.0.255.0", "no address"),
            ("*/10.1.*/16", "no address"),
            ("*/2001:db8::/129", "no address"),
            ("*/2001:db8::/255.0.0.0", "no address"),
            ("2001:db8::*", "no address"),
            ("fe80::1%eth0", "no address"),
            ("<10.1.2.3:9618>", "no address"),
            ("::ffff:10.1.2.3", "IPv6's clothes"),
            (".x.org", "neither a host's name"),
            ("x.org.", "neither a host's name"),
            ("h?.x.org", "neither a host's name"),
            ("a@x/", "neither a host's name"),
            ("\u00e9@x", "other characters"),
            ("a@x\x00", "other characters"),
            ("a@x\u00a0b@x", "other characters"),
        ):
            error = self.assertRaises(ConfigurationError, parse, f"c@x {entry}", "DENY_X")
            self.assertIn(said, str(error), entry)
            self.assertIn(f"DENY_X has the entry {entry!a}: ", str(error))

    def test_size(self) -> None:
        """
        A list may not be too long.
        """
        self.patch(maplimits, "AUTHORIZATION_LIST_LENGTH", 5)
        parse("a@x, ", "DENY_X")
        error = self.assertRaises(ConfigurationError, parse, "a@x,  ", "DENY_X")
        self.assertIn("DENY_X is too long", str(error))


class DecisionTests(SynchronousTestCase):
    """
    What lists say together.
    """

    def test_order(self) -> None:
        """
        Denying comes first, then allowing; nobody else may.  The entry that decided is told.
        """
        allow = parse("*@x/10.*, bob@y", "ALLOW_X")
        deny = parse("mallory@*, 10.6.*", "DENY_X")
        for user, address, expected in (
            ("alice@x", "10.1.2.3", Decision(True, "ALLOW_X", "*@x/10.*")),
            ("mallory@x", "10.1.2.3", Decision(False, "DENY_X", "mallory@*")),
            ("alice@x", "10.6.2.3", Decision(False, "DENY_X", "10.6.*")),
            ("alice@x", "192.0.2.1", Decision(False, "ALLOW_X", "")),
            ("bob@y", None, Decision(True, "ALLOW_X", "bob@y")),
        ):
            self.assertEqual(decide(allow, deny, user, address), expected)

    def test_closed(self) -> None:
        """
        Where nobody is allowed, nobody may.
        """
        everybody = parse("*", "DENY_X")
        self.assertEqual(decide(None, None, "a@x", None), Decision(False, "", ""))
        self.assertEqual(decide(None, everybody, "a@x", None), Decision(False, "DENY_X", "*"))
        self.assertFalse(decide(parse("", "ALLOW_X"), None, "a@x", None).isAllowed)
        self.assertFalse(decide(everybody, everybody, "a@x", None).isAllowed)
        self.assertTrue(decide(everybody, None, "a@x", None).isAllowed)

    def test_names(self) -> None:
        """
        Names are compared in both lists, also when they come but once.
        """
        decision = decide(
            parse("*.x", "ALLOW_X"), parse("*.y", "DENY_X"), "a@x", "192.0.2.1", iter(["h.x"])
        )
        self.assertTrue(decision.isAllowed)

    def test_banned(self) -> None:
        """
        Who is mapped to the domain of the banned is, as are those without a name.
        """
        made = parse(BANNED, "BANNED")
        for user in ("x@banned.htcondor.org", "unauthenticated@unmapped", "anonymous@claimtobe"):
            self.assertTrue(made.permits(user, None), user)
        self.assertFalse(made.permits("alice@x", None))
