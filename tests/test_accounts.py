"""
Tests of L{rvgahp.accounts}.
"""

from __future__ import annotations

import os
import pwd

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accountnames import ownAccount
from rvgahp.accounts import MappedAccounts, OwnAccount, checkAsked
from rvgahp.errors import NotAuthorized
from rvgahp.mapfile import parse


class AccountTests(SynchronousTestCase):
    """
    Tests of L{checkAsked}.
    """

    def test_own(self) -> None:
        """
        No account, or the CE's own, may be asked for.
        """
        self.assertEqual(ownAccount(), pwd.getpwuid(os.geteuid()).pw_name)
        checkAsked("", "site")
        checkAsked(ownAccount(), "site")

    def test_other(self) -> None:
        """
        Another is refused with a sentence that names both, the site, and what to do,
        whatever stands in it.
        """
        e = self.assertRaises(NotAuthorized, checkAsked, "else\nwhere" + "x" * 1000, "site")
        for word in (r"'else\nwherex", repr(ownAccount()), "at site runs", "grid_resource"):
            self.assertIn(word, str(e))
        self.assertTrue(str(e).isprintable())
        self.assertLess(len(str(e)), 400)
        self.assertRaises(NotAuthorized, checkAsked, ownAccount().upper(), "site")

    def test_nobody(self) -> None:
        """
        A CE whose uid has no account has no name that could be asked for.
        """
        self.patch(os, "geteuid", lambda: 3_999_999)
        self.assertEqual(ownAccount(), "uid 3999999")
        checkAsked("", "site")
        self.assertRaises(NotAuthorized, checkAsked, "root", "site")

    def test_found(self) -> None:
        """
        The account of a CE of one account is its own, whoever the owner is.
        """
        own = OwnAccount()
        self.assertEqual(own.accountFor("alice@here", "", "site"), ownAccount())
        self.assertRaises(NotAuthorized, own.accountFor, "alice@here", "some-other", "site")


class MappedTests(SynchronousTestCase):
    """
    Tests of L{MappedAccounts}.
    """

    def setUp(self) -> None:
        text = (
            b"PROXY ^alice@submit$ al\nPROXY ^(.*)@campus$ \\1\nPROXY ^carol@submit$ carol@site\n"
            b"SSL ^dave@submit$ dave\nPROXY ^eve@submit$ ../root\n"
        )
        self.accounts = MappedAccounts("/etc/map", parse(text, "/etc/map"))

    def assertRefused(self, owner: str, *words: str) -> None:
        """
        There is no account for an owner; the sentence has these words.
        """
        e = self.assertRaises(NotAuthorized, self.accounts.accountFor, owner, "", "tokyo")
        for word in words:
            self.assertIn(word, str(e))
        self.assertTrue(str(e).isprintable())

    def test_found(self) -> None:
        """
        The account that is asked for goes before that of the map.
        """
        self.assertEqual(self.accounts.accountFor("alice@submit", "", "tokyo"), "al")
        self.assertEqual(self.accounts.accountFor("bob@campus", "", "tokyo"), "bob")
        self.assertEqual(self.accounts.accountFor("alice@submit", "other", "tokyo"), "other")
        self.assertEqual(self.accounts.accountFor("nobody@else", "other", "tokyo"), "other")

    def test_none(self) -> None:
        """
        Without a line of its method there is none, and the sentence says what the owner and
        the administrator can do.
        """
        for owner in ("dave@submit", "mallory@submit", "alice@submit.evil"):
            self.assertRefused(
                owner, "site tokyo has no account", "ACCOUNT@tokyo", f"'PROXY {owner} ACCOUNT'"
            )
        self.assertRefused("mallory@submit", "in /etc/map")

    def test_noAccount(self) -> None:
        """
        A name with a domain or a slash, whether it stands in the map or comes with the owner,
        is no account's.
        """
        self.assertRefused("carol@submit", "to 'carol@site'", "/etc/map, line 3")
        self.assertRefused("eve@submit", "to '../root'", "/etc/map, line 5")
        self.assertRefused("a b@campus", "to 'a b'")
        self.assertRefused("a@b@campus", "to 'a@b'")
