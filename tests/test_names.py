"""
Tests of L{rvgahp.names}.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ConfigurationError
from rvgahp.names import checkAccount, checkGAHPName, checkSite
from tests.texts import oddTexts

SITE = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9._-]*(@[A-Za-z0-9._-]*)?[A-Za-z0-9])?\Z", re.DOTALL
)
GAHP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z")
ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")


def passes(check: object, name: str) -> bool:
    """
    Whether a check lets a name pass; a refusal must be of one printable line.
    """
    assert callable(check)
    try:
        same: bool = check(name) == name
    except ConfigurationError as e:
        assert str(e).isprintable(), str(e)
        return False
    return same


class SiteTests(SynchronousTestCase):
    """
    Tests of L{checkSite}.
    """

    def test_allowed(self) -> None:
        """
        Names as users have them are allowed, the longest too.
        """
        for name in ("a", "7", "hpcc", "login.example.edu", "alice@login.example.edu", "x_y-z.0"):
            self.assertEqual(checkSite(name), name)
        self.assertEqual(len(checkSite("a" * 253)), 253)

    def test_refused(self) -> None:
        """
        What would need quoting, could be taken for an option or a path, or is
        too long, is refused.
        """
        for name in (
            "",
            "-a",
            ".a",
            "a.",
            "a b",
            "a/b",
            "..",
            "a@",
            "@a",
            "a@b@c",
            "a\n",
            "\u00e9",
        ):
            self.assertRaises(ConfigurationError, checkSite, name)
        self.assertRaises(ConfigurationError, checkSite, "a" * 254)

    def test_sentence(self) -> None:
        """
        The refusal shows the name, whatever is in it, on one line, cut short.
        """
        e = self.assertRaises(ConfigurationError, checkSite, "x\n\x1b[2J" + "y" * 5000)
        self.assertIn(r"'x\n\x1b[2Jyyy", str(e))
        self.assertLess(len(str(e)), 400)

    @given(st.one_of(oddTexts(longest=260), st.text("ab9._-@+ ", max_size=8)))
    def test_rule(self, name: str) -> None:
        """
        The rule is that of a regular expression, for any text.
        """
        self.assertEqual(passes(checkSite, name), bool(SITE.match(name)))


class GAHPNameTests(SynchronousTestCase):
    """
    Tests of L{checkGAHPName}.
    """

    def test_usual(self) -> None:
        """
        The names that HTCondor uses are allowed.
        """
        for name in ("blahpd", "batch_gahp", "condor_ft-gahp", "c++gahp"):
            self.assertEqual(checkGAHPName(name), name)

    @given(st.one_of(oddTexts(longest=70), st.text("ab9._-@+ ", max_size=8)))
    def test_rule(self, name: str) -> None:
        """
        The rule is that of a regular expression, for any text.
        """
        self.assertEqual(passes(checkGAHPName, name), bool(GAHP.match(name)))


class AccountTests(SynchronousTestCase):
    """
    Tests of L{checkAccount}.
    """

    def test_usual(self) -> None:
        """
        Names of accounts as sites have them are allowed.
        """
        for name in ("alice", "Alice.Example", "_svc-1", "u1234", "1234"):
            self.assertEqual(checkAccount(name), name)

    @given(st.one_of(oddTexts(longest=70), st.text("ab9._-@+ ", max_size=8)))
    def test_rule(self, name: str) -> None:
        """
        The rule is that of a regular expression, for any text.
        """
        self.assertEqual(passes(checkAccount, name), bool(ACCOUNT.match(name)))
