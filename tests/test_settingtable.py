"""
Tests of L{rvgahp.settingtable}, and that the manual has the same table.
"""

from __future__ import annotations

import os.path
import re

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.settingrow import BOTH, CE, PREFIX, PROXY, Setting
from rvgahp.settingtable import TABLE

MANUAL = os.path.join(os.path.dirname(os.path.dirname(__file__)), "doc", "settings.rst")

DAEMONS = {PROXY: "proxy", CE: "CE", BOTH: "both"}


def manualRow(setting: Setting) -> str:
    """
    The manual's row for a setting, as it must stand there.
    """
    if setting.required:
        default = "must be set"
    elif setting.beside is not None:
        names = " or ".join(f"``{name}``" for name in dict.fromkeys(setting.beside.values()))
        default = f"{names} beside the configuration file"
    else:
        default = f"``{setting.default}``" if setting.default else "not set"
    return (
        f"   * - ``{setting.name}``\n"
        f"     - {DAEMONS[setting.roles]}\n"
        f"     - {setting.kind.typeName}\n"
        f"     - {default}\n"
        f"     - {setting.doc}  *Allowed:* {setting.kind.allowed}.\n"
    )


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


class ManualTests(SynchronousTestCase):
    """
    C{doc/settings.rst} has the table that the program has.
    """

    def test_rows(self) -> None:
        """
        The manual's rows are the table's, in its order, no more and no fewer.
        """
        with open(MANUAL, encoding="utf-8") as file:
            text = file.read()
        for setting in TABLE:
            row = manualRow(setting)
            self.assertIn(row, text, f"{MANUAL} lacks this row:\n{row}")
        self.assertEqual(
            re.findall(r"^   \* - ``([A-Za-z0-9_]+)``$", text, re.MULTILINE),
            [setting.name for setting in TABLE],
        )
