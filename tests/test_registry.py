"""
Tests of L{rvgahp.registry}: real files, read by one registry after another.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.enrolmentlimits import INVITATION_LIFETIME, OPEN_INVITATIONS, SITE_SERIALS
from rvgahp.errors import Busy, ConfigurationError, CredentialError, NotAuthorized
from rvgahp.registry import Registry
from rvgahp.registryentries import SiteEntry
from tests.kills import killedAfter

SECRET = b"s" * 13
OWNER = "alice@example.org"
ENTRY = SiteEntry("a.example", OWNER, "alice", 5, serials=["a", "b"])


class RegistryTestCase(SynchronousTestCase):
    """
    A registry in a directory.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.time = 1000.0
        self.registry = self.read()

    def read(self) -> Registry:
        """
        @return: what a proxy that starts now knows.
        """
        return Registry(str(self.directory), lambda: self.time)

    def files(self, kind: str) -> list[str]:
        """
        @return: the files of one kind.
        """
        return sorted(os.listdir(self.directory / kind))


class SiteTests(RegistryTestCase):
    """
    Sites.
    """

    def test_kept(self) -> None:
        """
        What is known of a site is known after a restart, and is readable by nobody else.
        """
        self.registry.put(ENTRY)
        for registry in (self.registry, self.read()):
            self.assertEqual(registry.find("a.example"), ENTRY)
            self.assertEqual(registry.ownerOf("a.example"), OWNER)
            self.assertFalse(registry.isRevoked("a.example"))
            self.assertTrue(registry.isGood("a.example", 0xB))
            self.assertFalse(registry.isGood("a.example", 0xC))
            self.assertIsNone(registry.find("b.example"))
            self.assertIsNone(registry.ownerOf("b.example"))
            self.assertFalse(registry.isRevoked("b.example"))
        path = self.directory / "sites" / "a.example.json"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)

    def test_administrators(self) -> None:
        """
        A site of the administrator's has no owner.
        """
        self.registry.put(SiteEntry("a.example", "", "", 5))
        self.assertIsNone(self.read().ownerOf("a.example"))

    def test_revoked(self) -> None:
        """
        A revoked site has no owner and no good certificate, and invitations to it do not
        work; others' do.
        """
        self.registry.put(ENTRY)
        self.registry.invite(SECRET, "a.example", OWNER, "alice")
        self.registry.invite(b"t" * 13, "b.example", OWNER, "alice")
        self.registry.revoke("a.example", "root@example.org")
        for registry in (self.registry, self.read()):
            self.assertTrue(registry.isRevoked("a.example"))
            self.assertIsNone(registry.ownerOf("a.example"))
            self.assertFalse(registry.isGood("a.example", 0xA))
            self.assertRaises(NotAuthorized, registry.use, SECRET, b"key")
            self.assertEqual(registry.use(b"t" * 13, b"key").site, "b.example")

    def test_killedRevoking(self) -> None:
        """
        Killed at any moment while a site is revoked, no invitation to it outlives that: it
        would be one of before, and whoever has it might be another than the owner.
        """
        changes, isDone = 0, False
        while not isDone:
            registry = self.read()
            registry.put(ENTRY)
            for secret in (SECRET, b"t" * 13):
                registry.invite(secret, "a.example", "bob@example.org", "bob")
            isDone = killedAfter(changes, lambda: self.read().revoke("a.example", OWNER))
            registry = self.read()
            if registry.isRevoked("a.example"):
                self.assertRaises(NotAuthorized, registry.use, SECRET, b"key")
                self.assertRaises(NotAuthorized, registry.use, b"t" * 13, b"key")
            changes += 1
        self.assertGreater(changes, 4)

    def test_serials(self) -> None:
        """
        The last certificates are good, and the one that a site has stays good however many
        were asked for.
        """
        self.registry.put(ENTRY)
        for serial in range(100, 100 + 2 * SITE_SERIALS):
            self.registry.addSerial("a.example", serial, 0xA)
        for registry in (self.registry, self.read()):
            self.assertTrue(registry.isGood("a.example", 0xA))
            self.assertTrue(registry.isGood("a.example", 99 + 2 * SITE_SERIALS))
            self.assertFalse(registry.isGood("a.example", 0xB))
            entry = registry.find("a.example")
            assert entry is not None
            self.assertEqual(len(entry.serials), SITE_SERIALS)

    def test_broken(self) -> None:
        """
        A broken file refuses its site and no other, and the log says which it is.
        """
        self.registry.put(ENTRY)
        self.registry.put(SiteEntry("b.example", OWNER, "alice", 5))
        path = self.directory / "sites" / "a.example.json"
        good = path.read_bytes()
        for content in (
            b"",
            b"[]",
            b"{}",
            b"\xff",
            good[:-4],
            good.replace(b"a.example", b"c.example"),
            good.replace(b"5", b'"5"'),
            good.replace(b'"a"', b"7"),
            good.replace(b'"since"', b'"when"'),
            b"[" * 900,
        ):
            path.write_bytes(content)
            with capturedLogs() as logs:
                registry = self.read()
            self.assertEqual([str(path) in str(one["reason"]) for one in logs], [True])
            self.assertRaises(NotAuthorized, registry.find, "a.example")
            self.assertTrue(registry.isRevoked("a.example"))
            self.assertIsNone(registry.ownerOf("a.example"))
            self.assertEqual(registry.ownerOf("b.example"), OWNER)

    def test_names(self) -> None:
        """
        No file is made of a name that cannot be a site's.
        """
        for name in ("../x", "", ".", "a/b", "x" * 300, "a\0b"):
            entry = SiteEntry(name, OWNER, "alice", 5)
            self.assertRaises(ConfigurationError, self.registry.put, entry)
        self.assertEqual(self.files("sites"), [])

    def test_killed(self) -> None:
        """
        Killed at any moment, a change is made or is not, and what is left over is no trouble.
        """
        self.registry.put(ENTRY)
        changes, isDone = 0, False
        while not isDone:
            before = self.read().find("a.example")
            new = SiteEntry("a.example", OWNER, "alice", 100 + changes)
            isDone = killedAfter(changes, lambda new=new: self.read().put(new))  # type: ignore[misc]  # a default
            self.assertIn(self.read().find("a.example"), (before, new))
            changes += 1
        self.assertGreater(changes, 3)
        self.assertEqual(self.read().find("a.example"), new)


class InvitationTests(RegistryTestCase):
    """
    Invitations.
    """

    def invite(self, secret: bytes = SECRET, owner: str = OWNER) -> None:
        """
        Invite a site.
        """
        self.registry.invite(secret, "a.example", owner, "alice")

    def assertUseless(self, secret: bytes, key: bytes = b"key") -> None:
        """
        A secret does not work, and why is not told.
        """
        for registry in (self.registry, self.read()):
            e = self.assertRaises(NotAuthorized, registry.use, secret, key)
            self.assertIn("unknown here, or has been used, or is too old", str(e))

    def test_once(self) -> None:
        """
        An invitation works once; for the same key again, and after a restart, too.
        """
        self.invite()
        for _ in range(2):
            used = self.registry.use(SECRET, b"key")
            self.assertEqual((used.site, used.owner, used.account), ("a.example", OWNER, "alice"))
            self.assertUseless(SECRET, b"another key")
        self.assertEqual(self.read().use(SECRET, b"key").site, "a.example")

    def test_secret(self) -> None:
        """
        No other secret works, and the secret stands in no file and no file's name.
        """
        self.invite()
        for other in (b"", b"s" * 12, b"s" * 12 + b"t", b"s" * 14):
            self.assertUseless(other)
        self.registry.use(SECRET, b"key")
        for path in self.directory.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for form in (SECRET, SECRET.hex().encode()):
                self.assertNotIn(form, content + os.fsencode(path.name))

    def test_tooOld(self) -> None:
        """
        It works for an hour; then its file goes.
        """
        self.invite()
        self.time += INVITATION_LIFETIME - 1
        self.registry.use(SECRET, b"key")
        self.time += 1
        self.assertUseless(SECRET, b"key")
        self.assertEqual(self.files("invitations"), [])

    def test_many(self) -> None:
        """
        A user has so many at one time; others have theirs, and used and old ones do not count.
        """
        for number in range(OPEN_INVITATIONS):
            self.invite(bytes([number]) * 13)
        self.assertRaises(Busy, self.invite)
        self.invite(SECRET, "bob@example.org")
        self.registry.use(bytes(13), b"key")
        self.invite(b"t" * 13)
        self.assertRaises(Busy, self.invite, b"u" * 13)
        self.time += INVITATION_LIFETIME
        self.invite(b"u" * 13)
        self.assertEqual(len(self.files("invitations")), 1)

    def test_broken(self) -> None:
        """
        A broken file is said in the log, and is no invitation.
        """
        self.invite()
        (name,) = self.files("invitations")
        path = self.directory / "invitations" / name
        path.write_bytes(path.read_bytes().replace(b"a.example", b"../x"))
        with capturedLogs() as logs:
            registry = self.read()
        self.assertEqual(len(logs), 1)
        self.assertRaises(NotAuthorized, registry.use, SECRET, b"key")

    def test_killed(self) -> None:
        """
        Killed at any moment while it is used, it can be used by the same key afterwards.
        """
        changes, isDone = 0, False
        while not isDone:
            secret = bytes([changes]) * 13
            self.invite(secret)
            isDone = killedAfter(changes, lambda secret=secret: self.read().use(secret, b"key"))  # type: ignore[misc]  # a default
            registry = self.read()
            self.assertEqual(registry.use(secret, b"key").site, "a.example")
            self.assertRaises(NotAuthorized, registry.use, secret, b"another")
            changes += 1
        self.assertGreater(changes, 2)

    def test_unwritable(self) -> None:
        """
        What cannot be written does not count.
        """
        self.invite()
        path = self.directory / "invitations"
        shutil.rmtree(path)
        path.write_text("")
        self.assertRaises(CredentialError, self.registry.use, SECRET, b"key")
        self.assertRaises(CredentialError, self.invite, b"t" * 13)
        path.unlink()
        path.mkdir()
        self.registry.use(SECRET, b"another key")
        self.assertRaises(NotAuthorized, self.registry.use, b"t" * 13, b"key")
