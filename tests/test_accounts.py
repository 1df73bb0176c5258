"""
Tests of L{rvgahp.accounts}.
"""

from __future__ import annotations

import os
import pwd

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accounts import checkAsked, ownAccount
from rvgahp.errors import NotAuthorized


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
