"""
Tests of L{rvgahp.localnames}.
"""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.canonicalnames import loadNames
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.localnames import LocalNames
from rvgahp.mapfile import parse
from rvgahp.peercred import LocalUser
from rvgahp.settings import Settings, settingsFrom


def localNames(settings: Settings) -> LocalNames:
    """
    @return: what a proxy with these settings has.
    """
    names = loadNames(settings)
    return LocalNames(names.domain, names.mapFile)


class LocalNamesTests(SynchronousTestCase):
    """
    Who local users are.
    """

    def name(self, account: str, text: str | None = None) -> str:
        mapFile = None if text is None else parse(text.encode(), "/m/map")
        return LocalNames("x.org", mapFile).canonical(LocalUser(1000, account, 1))

    def refused(self, account: str, text: str | None = None) -> str:
        return str(self.assertRaises(NotAuthorized, self.name, account, text))

    def test_plain(self) -> None:
        """
        Without a line for him a user is his account at the domain.
        """
        self.assertEqual(self.name("alice"), "alice@x.org")
        self.assertEqual(self.name("alice", ""), "alice@x.org")
        self.assertEqual(self.name("alice", "SSL alice bob\nFS ^bob$ eve"), "alice@x.org")

    def test_mapped(self) -> None:
        """
        The first line of method FS that matches decides, with the domain where it has none.
        """
        text = "FS ^alice$ boss\nFS ^(b.*)$ \\1@y.org\n"
        self.assertEqual(self.name("alice", text), "boss@x.org")
        self.assertEqual(self.name("bob", text), "bob@y.org")

    def test_noName(self) -> None:
        """
        A map that gives no proper name, and an account that cannot have one, are refused with
        who it is and whom to ask.
        """
        for account, text in (
            ("alice", "FS alice @y.org"),
            ("alice", f"FS alice {'y' * 300}"),
            ("alice", f"FS alice {'y' * 250}"),
            ("a\x1bb", None),
            ("a" * 300, None),
        ):
            sentence = self.refused(account, text)
            for word in ("has no canonical name", "ask the administrator", "CERTIFICATE_MAPFILE"):
                self.assertIn(word, sentence)

    def test_settings(self) -> None:
        """
        Map file and domain are those of the configuration; without a domain this host's name
        serves.
        """
        path = Path(self.mktemp())
        path.write_text("FS alice boss\n")
        values = {"UID_DOMAIN": "x.org", "CERTIFICATE_MAPFILE": str(path.absolute())}
        names = localNames(settingsFrom("proxy", Configuration(None, values)))
        self.assertEqual(names.canonical(LocalUser(1, "malice", 1)), "boss@x.org")
        values["CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS"] = "true"
        names = localNames(settingsFrom("proxy", Configuration(None, values)))
        self.assertEqual(names.canonical(LocalUser(1, "malice", 1)), "malice@x.org")
        self.patch(socket, "getfqdn", lambda: "submit.y.org")
        names = localNames(settingsFrom("proxy", Configuration(None, {})))
        self.assertEqual(names.canonical(LocalUser(1, "alice", 1)), "alice@submit.y.org")
        values["CERTIFICATE_MAPFILE"] = "/no/such/map"
        settings = settingsFrom("proxy", Configuration(None, values))
        self.assertRaises(ConfigurationError, localNames, settings)
