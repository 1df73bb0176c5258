"""
Tests of L{rvgahp.canonicalnames}.
"""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.canonicalnames import CanonicalNames, loadNames
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.mapfile import parse
from rvgahp.settings import settingsFrom

MAP = rb"""
SSL "^/DC=org/CN=([a-z]+)$" \1
SSL /CN=at a@b.example
SSL /CN=bad x@site.rvgahp
SSL /CN=worse x@SITE.RVGAHP
FS (.*) \1@fs.example
"""


class NamesTests(SynchronousTestCase):
    """
    From principals to names.
    """

    def setUp(self) -> None:
        self.names = CanonicalNames(parse(MAP, "/map"), "uid.example")

    def test_map(self) -> None:
        """
        The first line decides, and is told; a name without a domain gets ours.
        """
        for principal, expected, number in (
            ("/DC=org/CN=alice", "alice@uid.example", 2),
            ("/CN=at", "a@b.example", 3),
        ):
            name, rule = self.names.of("SSL", principal)
            self.assertEqual(name, expected)
            self.assertIn(f"/map:{number}: SSL", rule)
        self.assertEqual(self.names.of("FS", "bob")[0], "bob@fs.example")

    def test_unmapped(self) -> None:
        """
        Whom no line names, or where there is no map, is unmapped.
        """
        for names in (self.names, CanonicalNames(None, "uid.example")):
            self.assertEqual(names.of("SSL", "/CN=nobody")[0], "ssl@unmapped")
            self.assertEqual(names.of("IDTOKENS", "x")[0], "idtokens@unmapped")

    def test_reserved(self) -> None:
        """
        No map gives the name of an enrolled site.
        """
        for principal in ("/CN=bad", "/CN=worse"):
            e = self.assertRaises(NotAuthorized, self.names.of, "SSL", principal)
            self.assertIn("map to another domain", str(e))


class LoadTests(SynchronousTestCase):
    """
    Tests of L{loadNames}.
    """

    def load(self, **settings: str) -> CanonicalNames:
        return loadNames(settingsFrom("proxy", Configuration(None, settings)))

    def test_settings(self) -> None:
        """
        The settings say which map, how it is read, and the domain.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write("SSL a.c abc\n")
        names = self.load(CERTIFICATE_MAPFILE=path, UID_DOMAIN="d.example")
        self.assertEqual(names.of("SSL", "xabcx")[0], "abc@d.example")
        names = self.load(CERTIFICATE_MAPFILE=path, CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS="true")
        self.assertEqual(names.of("SSL", "abc")[0], "ssl@unmapped")
        self.assertEqual(names.of("SSL", "a.c")[0], f"abc@{socket.getfqdn()}")
        self.assertEqual(self.load().of("SSL", "a.c")[0], "ssl@unmapped")

    def test_writable(self) -> None:
        """
        A map that others could change is none for a proxy.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write("SSL a abc\n")
        os.chmod(path, 0o666)
        e = self.assertRaises(ConfigurationError, self.load, CERTIFICATE_MAPFILE=path)
        self.assertIn(f"chmod go-w {path}", str(e))
        self.assertRaises(ConfigurationError, self.load, CERTIFICATE_MAPFILE="/no/such")
