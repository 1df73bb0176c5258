"""
Tests of L{rvgahp.settingtable}.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.settingrow import BOTH, CE, PREFIX, PROXY
from rvgahp.settingtable import TABLE

DAEMONS = {PROXY: "proxy", CE: "CE", BOTH: "both"}


class TableTests(SynchronousTestCase):
    """
    The table is consistent with itself.
    """

    def test_names(self) -> None:
        """
        No name is there twice, and all are in capitals.
        """
        names = [setting.name for setting in TABLE]
        self.assertEqual(sorted(names), sorted(set(names)))
        for name in names:
            self.assertTrue(re.fullmatch(r"[A-Z][A-Z0-9_]*", name), name)

    def test_defaults(self) -> None:
        """
        Every default is possible, and every setting has one way to a value.
        """
        for setting in TABLE:
            if setting.default:
                setting.kind.parse(setting.default)
            ways = [bool(setting.default), setting.required, setting.beside is not None]
            self.assertLessEqual(sum(ways), 1, setting.name)
            if setting.beside is not None:
                self.assertEqual(set(setting.beside), set(setting.roles))

    def test_words(self) -> None:
        """
        Every setting is explained by sentences, and belongs to a daemon.
        """
        for setting in TABLE:
            self.assertTrue(setting.doc.endswith("."), setting.name)
            self.assertIn(setting.roles, DAEMONS)

    def test_poolsSettings(self) -> None:
        """
        A rule for pools is there for just the settings that a whole pool has
        and that have an order, and our default stands against every value that
        is weaker.
        """
        ruled = [setting for setting in TABLE if setting.pool is not None]
        self.assertEqual(
            {setting.name for setting in TABLE if setting.name.startswith("SEC_")}
            - {setting.name for setting in ruled},
            {"SEC_DEFAULT_CRYPTO_METHODS"},
        )
        self.assertFalse([setting.name for setting in ruled if setting.name.startswith(PREFIX)])
