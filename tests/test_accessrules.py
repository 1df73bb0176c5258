"""
Tests of L{rvgahp.accesssyntax} and L{rvgahp.accessrules}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.accessrules import (
    CE,
    PROXY,
    REGISTER,
    START,
    AccessDecision,
    AccessRules,
    Subject,
    parse,
)
from rvgahp.errors import ConfigurationError
from rvgahp.names import siteName

PATH = "/etc/rvgahp/access"

THINGS = {"site": "hpc.x.org", "gahp": "blahpd", "account": ""}


def decide(text: str, name: str = "alice@x.org", role: str = PROXY, **more: Any) -> AccessDecision:
    """
    @param more: things; C{level}, C{address}, C{hostnames} and C{builtIn}.
    @return: what a file says.
    """
    level, builtIn = more.pop("level", START), more.pop("builtIn", None)
    subject = Subject(name, more.pop("address", None), more.pop("hostnames", ()))
    return parse(text, PATH, role).decide(level, subject, {**THINGS, **more}, builtIn)


class SyntaxTests(SynchronousTestCase):
    """
    What a file may have.
    """

    def refused(self, text: str, role: str = PROXY) -> str:
        """
        @return: the sentence with which a file is refused, after its path.
        """
        e = self.assertRaises(ConfigurationError, parse, text, PATH, role)
        self.assertTrue(str(e).startswith(f"{PATH}:"), e)
        self.assertTrue(str(e).endswith("; no rule of this file counts."), e)
        self.assertNotIn("\n", str(e))
        return str(e).removeprefix(f"{PATH}:")

    def test_errors(self) -> None:
        """
        Each thing that can be wrong with a line is named with file and line, and what to do.
        """
        good = "ALLOW START alice@x.org"
        for line, *words in (
            ("allow START *", "'allow' is no action", "ALLOW or DENY"),
            ("PERMIT START *", "'PERMIT' is no action"),
            ("ALLOW", "'' is no level", "REGISTER or START"),
            ("ALLOW start *", "'start' is no level"),
            ("ALLOW READ *", "'READ' is no level", "after ALLOW"),
            ("DENY START", "nobody is listed", "user@domain"),
            ("DENY START site=a", "nobody is listed"),
            ("DENY START ,", "key=value stands before"),
            ("ALLOW START host=a *", "'host' is no key of START", "site, gahp, account"),
            ("ALLOW START Site=a *", "'Site' is no key"),
            ("ALLOW START =a *", "'' is no key"),
            ("ALLOW REGISTER gahp=a *", "'gahp' is no key of REGISTER", "write site"),
            ("ALLOW START site=a site=b *", "site is given twice", "site=a,b"),
            ("ALLOW START site= *", "site cannot be ''"),
            ("ALLOW START site=a, b alice@x", "site cannot be ''", "no blanks"),
            ("ALLOW START site=a ,b alice@x", "key=value stands before"),
            ("ALLOW START site = a alice@x", "key=value stands before"),
            ("ALLOW START alice@x site=a@b", "key=value stands before"),
            ("ALLOW START alice=a@x", "'alice' is no key"),
            ("ALLOW START site=a:b *", "site cannot be 'a:b'"),
            ("ALLOW START site=a*b*c *", "more than one *"),
            ("ALLOW START site=*** *", "more than one *"),
            ("ALLOW START alice", "nothing", ""),
            ("ALLOW START alice/1.2.3.4", "'alice' has no @"),
            ("ALLOW START +users", "netgroups"),
            ("ALLOW START 10.1", "no address"),
            ("ALLOW START alice@\u00e9", "ASCII"),
            ("\u00a0ALLOW START *", "ASCII"),
            ("ALLOW START *\r", "control characters", "Windows"),
            ("# a comment\x1b[1m", "control characters"),
            ("# a comment\x7f", "control characters"),
            ("# DENY START a@b, \\\n  c@d", "a comment does not go on", "backslash"),
            ("ALLOW START a@b # c \\\nDENY START *", "a comment does not go on"),
        ):
            if words[0] == "nothing":  # a host's name
                parse(line, PATH, PROXY)
                continue
            sentence = self.refused(f"{good}\n\n{line}\n")
            self.assertTrue(sentence.startswith("3: "), sentence)
            for word in words:
                self.assertIn(word, sentence)

    def test_lastLine(self) -> None:
        """
        A backslash at the very end is an error of the line where the rule begins.
        """
        self.assertIn("1: the last line ends", self.refused("ALLOW START \\\n a@b, \\"))
        self.assertIn("2: the last line ends", self.refused("\n\\"))

    def test_roles(self) -> None:
        """
        A CE's file has neither REGISTER nor sites.
        """
        self.assertIn("no level of the CE", self.refused("ALLOW REGISTER *", CE))
        self.assertIn("no key of START here: write gahp", self.refused("ALLOW START site=a *", CE))

    def test_numbers(self) -> None:
        """
        Lines are counted as editors do; that of a rule is its first one.
        """
        text = "# one\n\nALLOW START \\\n  bob@x.org, \\\n  alice@x.org\nDENY START eve@x.org\n"
        allowed, denied = decide(text), decide(text, "eve@x.org")
        self.assertEqual(allowed.rule, f"{PATH}:3: ALLOW START bob@x.org, alice@x.org")
        self.assertEqual(denied.rule, f"{PATH}:6: DENY START eve@x.org")
        self.assertTrue(self.refused(text + "x").startswith("7: "))

    def test_longRule(self) -> None:
        """
        Of a long rule no more is shown than a line of a log can bear.
        """
        users = " ".join(f"user{number}@x.org" for number in range(1000))
        decision = decide(f"ALLOW START {users}", "user999@x.org")
        self.assertTrue(decision.isAllowed)
        self.assertTrue(decision.rule.startswith(f"{PATH}:1: ALLOW START user0@x.org"))
        self.assertTrue(decision.rule.endswith("..."))
        self.assertLess(len(decision.rule), 300)

    def test_comments(self) -> None:
        """
        A comment begins at the beginning of a line or after a blank; one that ends in a
        backslash is let pass where no rule follows.
        """
        text = "  # ALLOW START a \\\n# b\nALLOW START a#b@x.org\t# DENY START *\n# \u00e9 \udcff"
        self.assertTrue(decide(text, "a#b@x.org").isAllowed)
        self.assertFalse(decide(text).isAllowed)

    def test_bounds(self) -> None:
        """
        As many rules as there may be, and no more.
        """
        self.patch(maplimits, "ACCESS_RULES", 2)
        parse("ALLOW START *\n" * 2, PATH, PROXY)
        self.assertIn("3: there may be 2 rules", self.refused("ALLOW START *\n" * 3))


class DecisionTests(SynchronousTestCase):
    """
    Who may do what.
    """

    def test_order(self) -> None:
        """
        DENY goes before ALLOW wherever it stands, and both before what is built in; the first
        of each kind is named.
        """
        allow, deny = "ALLOW START *@x.org", "DENY START alice@*"
        for lines in ([allow, deny], [deny, allow], [deny, allow, deny, allow]):
            decision = decide("\n".join(lines), builtIn="root")
            self.assertFalse(decision.isAllowed)
            self.assertEqual(decision.rule, f"{PATH}:{lines.index(deny) + 1}: {deny}")
        decision = decide(f"{allow}\n{allow}", builtIn="root")
        self.assertEqual(decision, (True, f"{PATH}:1: {allow}", ""))
        self.assertEqual(decide("", builtIn="root"), (True, "built in: root", ""))
        self.assertEqual(decide("")[:2], (False, ""))

    def test_banned(self) -> None:
        """
        Whom HTCondor-CE denies always is denied whatever the file and the built-in rules say.
        """
        for name in ("anonymous@x.org", "ssl@unmapped", "eve@banned.htcondor.org", "A@UNMAPPED"):
            decision = decide("ALLOW START *", name, builtIn="root")
            self.assertFalse(decision.isAllowed, name)
            self.assertIn("always denied", decision.refusal)
            self.assertIn("always denied", decision.rule)

    def test_names(self) -> None:
        """
        What is no user@domain is refused, whatever the file says, in one line.
        """
        for name in ("alice", "", "@x.org", "alice@", "a\x1b[1m@x", "a\n@x", "a\udcff@x"):
            decision = decide("ALLOW START *", name, builtIn="root")
            self.assertFalse(decision.isAllowed, name)
            self.assertTrue(decision.refusal.isprintable(), decision)
        name = "\u00e9" * 126 + "@xy"
        self.assertTrue(decide("ALLOW START *", name).isAllowed)
        self.assertIn("255 bytes", decide("ALLOW START *", name + "z").refusal)

    def test_keys(self) -> None:
        """
        All keys of a rule must fit, each by one of its values; case does not count.
        """
        rule = "ALLOW START site=a*,hpc.x.org gahp=BLAH* account=*,bob alice@x.org"
        self.assertTrue(decide(rule).isAllowed)
        self.assertTrue(decide(rule, site="another").isAllowed)
        self.assertFalse(decide(rule, site="hpc.x.orgs").isAllowed)
        self.assertFalse(decide(rule, gahp="condor_ft-gahp").isAllowed)
        self.assertFalse(decide(rule, "bob@x.org").isAllowed)

    def test_noAccount(self) -> None:
        """
        Where no account was asked for a rule for an account fits only as *.
        """
        for value, fits in (("*", True), ("**", True), ("bob", False), ("b*", False)):
            rule = f"ALLOW START account={value} *"
            self.assertEqual(decide(rule).isAllowed, fits, value)
            self.assertTrue(decide(rule, account="bob").isAllowed)

    def test_levels(self) -> None:
        """
        A rule is for its level alone.
        """
        self.assertFalse(decide("ALLOW REGISTER *").isAllowed)
        self.assertTrue(decide("ALLOW REGISTER *", level=REGISTER).isAllowed)
        self.assertFalse(decide("ALLOW START *", level=REGISTER).isAllowed)

    def test_hosts(self) -> None:
        """
        Addresses, nets, names and the addresses of names count; of a local user only entries
        for anywhere.
        """
        text = "ALLOW START alice@x.org/192.0.2.0/24 */h.x.org */*.y.org"
        for address, names, isAllowed in (
            ("192.0.2.9", (), True),
            ("::ffff:192.0.2.9", (), True),
            ("198.51.100.1", (), False),
            ("198.51.100.1", ("h.x.org",), True),
            ("198.51.100.1", ("g.y.org",), True),
            (None, (), False),
        ):
            decision = decide(text, address=address, hostnames=names)
            self.assertEqual(decision.isAllowed, isAllowed, (address, names))
        rules = parse(text, PATH, PROXY).withAddresses({"h.x.org": ["198.51.100.1"]})
        subject = Subject("bob@x.org", "198.51.100.1")
        self.assertTrue(rules.decide(START, subject, THINGS).isAllowed)

    def test_needsNames(self) -> None:
        """
        Names of hosts are asked for only where a rule of the level has one.
        """
        rules = parse("ALLOW START *\nDENY REGISTER */*.x.org", PATH, PROXY)
        self.assertEqual((rules.needsNames(START), rules.needsNames(REGISTER)), (False, True))
        self.assertEqual(rules.hosts(), {})
        rules = parse("ALLOW START a.x b.x\nDENY START b.x 192.0.2.1", PATH, PROXY)
        self.assertEqual(rules.hosts(), {"a.x": "", "b.x": f"{PATH}:2"})

    def test_refusals(self) -> None:
        """
        The sentence has who, what, why, and what to do, and of a rule no more than where it
        stands.
        """
        text = "DENY START alice@x.org, secret@x.org"
        sentence = decide(text, account="bob").refusal
        self.assertEqual(
            sentence,
            "alice@x.org may not start blahpd at site hpc.x.org as account bob:"
            f" {PATH}:1 denies it; ask the administrator of the proxy, who can change {PATH}, or"
            " bring a site of your own (rvgahp invite)",
        )
        sentence = decide("", level=REGISTER, name=siteName("hpc.x.org")).refusal
        self.assertEqual(
            sentence,
            "hpc.x.org@site.rvgahp may not register site hpc.x.org: no rule of"
            f" {PATH} allows it; the administrator of the proxy can change {PATH} on its host",
        )
        rules = AccessRules(CE, PATH, there=False)
        things = {"gahp": "blahpd", "account": "ce"}
        self.assertEqual(
            rules.decide(START, Subject("alice@x.org"), things).refusal,
            f"alice@x.org may not start blahpd as account ce: there is no file {PATH} with a rule"
            f" that allows it; whoever runs rvgahp-ce at the site can change {PATH} there",
        )
