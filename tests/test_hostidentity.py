"""
Tests of L{rvgahp.hostidentity} and L{rvgahp.proxyenrolment}: what a proxy has after its
start, in real files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import enrolmentlimits
from rvgahp.certificaterequests import spkiOf
from rvgahp.configuration import Configuration
from rvgahp.credentials import Credentials, loadAuthority, makeCA, makeHostCredentials
from rvgahp.enrolment import Enrolment
from rvgahp.errors import CredentialError, NotAuthorized
from rvgahp.hostidentity import HostIdentity, makeStateDirectory
from rvgahp.peercred import LocalUser
from rvgahp.proxy import Proxy
from rvgahp.proxyenrolment import ProxyEnrolment, needsOwnCredentials
from rvgahp.settings import Settings, settingsFrom
from rvgahp.tls import isFor
from rvgahp.trust import Trust
from tests.identities import HOST, proxyCredentials
from tests.kills import killedAfter
from tests.openrules import allowingAll
from tests.tlspair import TWISTED_WARNINGS

NOBODY = 65534


class DirectoryTestCase(SynchronousTestCase):
    """
    A directory.
    """

    suppress = TWISTED_WARNINGS

    def setUp(self) -> None:
        """
        Make it.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.now = datetime.now(timezone.utc)

    def identity(
        self, *names: str, given: Credentials | None = None, lifetime: float = 300.0
    ) -> HostIdentity:
        """
        @return: what a proxy has that starts now.
        """
        life = timedelta(seconds=lifetime)
        hosts = names or (HOST,)
        return HostIdentity(str(self.directory), given, hosts, lambda: self.now, life)


class IdentityTests(DirectoryTestCase):
    """
    The authority and the host.
    """

    def test_made(self) -> None:
        """
        A fresh proxy makes all that it needs, once, for itself alone, and says where.
        """
        with capturedLogs() as logs:
            made = self.identity(HOST, "192.0.2.1", "un_possible!", HOST)
        said = " ".join(str(event) for event in logs)
        for name in ("ca.crt", "ca.key", "host.crt"):
            self.assertIn(str(self.directory / name), said)
        for name in ("ca.key", "host.key"):
            self.assertEqual((self.directory / name).stat().st_mode & 0o777, 0o600)
        for name in (HOST, "192.0.2.1"):
            self.assertTrue(isFor(made.credentials.certificate, name))
        with capturedLogs() as logs:
            again = self.identity(HOST, "192.0.2.1")
        self.assertEqual(logs, [])
        self.assertEqual(again.credentials.certificate, made.credentials.certificate)
        self.assertEqual(again.authority.certificate, made.authority.certificate)

    def test_killed(self) -> None:
        """
        Killed at any moment, the next start makes the rest; the key of the host, once there,
        stays.
        """
        changes, isDone = 0, False
        while not isDone:
            shutil.rmtree(self.directory)
            self.directory.mkdir()
            isDone = killedAfter(changes, self.identity)
            path = self.directory / "host.key"
            key = path.read_bytes() if path.exists() else b""
            found = self.identity()
            self.assertTrue(found.isOurs(found.credentials.certificate))
            self.assertIn(key, path.read_bytes())
            changes += 1
        self.assertGreater(changes, 15)

    def test_renewed(self) -> None:
        """
        The host's certificate is renewed when a third of its life is used up, with the same
        key, so that codes stay good; not before.
        """
        made = self.identity()
        first = made.credentials
        self.now += timedelta(seconds=90)
        self.assertFalse(made.renewIfDue())
        self.now += timedelta(seconds=15)
        fingerprint = made.fingerprint
        self.assertTrue(made.renewIfDue())
        self.assertFalse(made.renewIfDue())
        self.assertGreater(
            made.credentials.certificate.not_valid_after_utc,
            first.certificate.not_valid_after_utc,
        )
        self.assertEqual(made.fingerprint, fingerprint)
        self.assertEqual(self.identity().credentials, made.credentials)

    def test_early(self) -> None:
        """
        One that is not valid yet, since the clock was ahead or is behind, is renewed, too, and
        what takes its place is good in both cases.
        """
        made = self.identity()
        self.now += timedelta(days=20)
        self.assertTrue(made.renewIfDue())
        end = made.credentials.certificate.not_valid_after_utc
        self.now -= timedelta(days=20)
        self.assertTrue(made.renewIfDue())
        self.assertFalse(made.renewIfDue())
        renewed = made.credentials.certificate
        self.assertLessEqual(renewed.not_valid_before_utc, self.now)
        self.assertEqual(renewed.not_valid_after_utc, end)

    def test_beforeAuthority(self) -> None:
        """
        Where the clock is so far behind that none can be made the log says so once, and the old
        one serves on.
        """
        made = self.identity()
        first = made.credentials
        self.now -= timedelta(days=20)
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertFalse(made.renewIfDue())
        self.assertEqual(len(logs), 1)
        self.assertIn("set the clock", str(logs[0]["reason"]))
        self.assertEqual(made.credentials, first)

    def test_notWritten(self) -> None:
        """
        A certificate that cannot be renewed is said in the log, and the old one serves on.
        """
        made = self.identity()
        first = made.credentials
        self.now += timedelta(seconds=200)
        (self.directory / "host.crt").unlink()
        (self.directory / "host.crt").mkdir()
        with capturedLogs() as logs:
            self.assertFalse(made.renewIfDue())
        self.assertEqual(len(logs), 1)
        self.assertEqual(made.credentials, first)

    def test_expired(self) -> None:
        """
        A proxy that was off for long makes another at its start.
        """
        first = self.identity().credentials
        self.now += timedelta(days=1)
        self.assertNotEqual(self.identity().credentials, first)

    def test_otherNames(self) -> None:
        """
        Where the host has another name by now, the certificate gets it, and keeps its key.
        """
        first = self.identity()
        second = self.identity("new.example.org", HOST)
        self.assertTrue(isFor(second.credentials.certificate, "new.example.org"))
        self.assertEqual(first.fingerprint, second.fingerprint)

    def test_noName(self) -> None:
        """
        A host without a name that can be in a certificate needs one.
        """
        e = self.assertRaises(CredentialError, self.identity, "no name", "new/name")
        self.assertIn("RVGAHP_PUBLIC_ADDRESS", str(e))

    def test_broken(self) -> None:
        """
        A broken certificate of the host is made again; a broken key or authority is refused
        by name, since all would change with it.
        """
        self.identity()
        (self.directory / "host.crt").write_text("rubbish")
        self.identity()
        for name in ("host.key", "ca.key", "ca.crt"):
            path = self.directory / name
            good = path.read_bytes()
            path.write_text("rubbish")
            e = self.assertRaises(CredentialError, self.identity)
            self.assertIn(str(path), str(e))
            path.write_bytes(good)
        (self.directory / "ca.key").unlink()
        self.assertRaises(CredentialError, self.identity)

    def test_given(self) -> None:
        """
        The administrator's credentials are shown, and his authority and ours are both
        believed; sites are told his.
        """
        given = proxyCredentials()
        found = self.identity(given=given)
        self.assertEqual(found.credentials.certificatePEM, given.certificatePEM)
        own = (self.directory / "ca.crt").read_bytes()
        self.assertEqual(found.credentials.caPEM, given.caPEM + own)
        self.assertEqual(found.authorities, given.caPEM)
        self.now += timedelta(days=400)
        self.assertFalse(found.renewIfDue())
        found.checkFor(HOST)
        self.assertFalse((self.directory / "host.key").exists())

    def test_unusable(self) -> None:
        """
        Credentials of the administrator's by which sites could not know the proxy: each has
        its sentence.
        """
        given = proxyCredentials()
        foreign = proxyCredentials(signer="others")
        many = Credentials(given.certificatePEM, given.keyPEM, given.caPEM * 20, given.certificate)
        for credentials, host, words in (
            (given, "other.example", "not for other.example"),
            (foreign, HOST, "no authority of RVGAHP_CAFILE has signed"),
            (many, HOST, "RVGAHP_SITE_CAFILE"),
        ):
            found = self.identity(given=credentials)
            self.assertIn(words, str(self.assertRaises(CredentialError, found.checkFor, host)))


class ProxyEnrolmentTests(DirectoryTestCase):
    """
    A proxy's start.
    """

    def setUp(self) -> None:
        """
        Begin with time.
        """
        super().setUp()
        self.clock = Clock()
        self.state = self.directory / "further" / "state"

    def settings(self, **values: str) -> Settings:
        """
        @return: a proxy's, with its configuration file in the directory.
        """
        file = str(self.directory / "condor_config")
        more = {"RVGAHP_STATE_DIR": str(self.state), **values}
        return settingsFrom("proxy", Configuration(file, more))

    def test_needed(self) -> None:
        """
        Credentials are made only where none is named and none is there.
        """
        self.assertTrue(needsOwnCredentials(self.settings()))
        for name in ("RVGAHP_CERTFILE", "RVGAHP_KEYFILE", "RVGAHP_CAFILE"):
            named = {name: str(self.directory / "nothing")}
            self.assertFalse(needsOwnCredentials(self.settings(**named)))
        for name in ("host.crt", "host.key", "ca.crt"):
            (self.directory / name).touch()
            self.assertFalse(needsOwnCredentials(self.settings()))
            (self.directory / name).unlink()

    def test_account(self) -> None:
        """
        What root makes for another account belongs to that.
        """
        if os.geteuid():
            self.skipTest("only root can give files away")
        self.directory.chmod(0o755)
        self.state.parent.mkdir(0o755)
        ProxyEnrolment(self.clock, self.settings(), None, Trust(()), (NOBODY, NOBODY)).prepare()
        for path in (self.state, *self.state.rglob("*")):
            self.assertEqual((path.stat().st_uid, path.stat().st_gid), (NOBODY, NOBODY), path)
        self.assertEqual((os.geteuid(), os.getegid()), (0, 0))
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)

    def test_open(self) -> None:
        """
        Others may not enter the directory.
        """
        self.state.mkdir(parents=True)
        self.state.chmod(0o750)
        e = self.assertRaises(CredentialError, makeStateDirectory, str(self.state), 0, 0)
        self.assertIn("chmod 700", str(e))

    def test_anothers(self) -> None:
        """
        Nor may it be another account's, who could put an authority of his own there.
        """
        if os.geteuid():
            self.skipTest("only root can give files away")
        self.state.mkdir(0o700, parents=True)
        os.chown(self.state, NOBODY, NOBODY)
        e = self.assertRaises(CredentialError, makeStateDirectory, str(self.state), 0, 0)
        self.assertIn("could read and change the keys", str(e))
        makeStateDirectory(str(self.state), NOBODY, NOBODY)

    def test_without(self) -> None:
        """
        Where there can be no directory, a proxy with the administrator's credentials serves
        all the same, and tells those who invite; one without does not start.
        """
        self.state.parent.write_text("")
        settings = self.settings()
        self.assertRaises(
            CredentialError, ProxyEnrolment(self.clock, settings, None, Trust(())).prepare
        )
        made = ProxyEnrolment(self.clock, settings, proxyCredentials(), Trust(()))
        with capturedLogs() as logs:
            made.prepare()
        self.assertEqual(len(logs), 1)
        closed = made.open(Proxy(self.clock, settings, allowingAll(self.clock)), 1)
        user = LocalUser(1, "alice", 1)
        e = self.assertRaises(NotAuthorized, closed.invite, user, "a.example")
        self.assertIn(str(self.state), str(e))

    def test_renewal(self) -> None:
        """
        It looks every hour, and then new connections get another certificate.
        """
        made = ProxyEnrolment(self.clock, self.settings(), None, Trust(()))
        made.prepare()
        opened = made.open(Proxy(self.clock, self.settings(), allowingAll(self.clock)), 1)
        self.assertIsInstance(opened, Enrolment)
        before = made.tls.serverConnectionForTLS(None).get_certificate()
        self.clock.advance(enrolmentlimits.CERTIFICATE_POLL)
        shown = made.tls.serverConnectionForTLS(None).get_certificate()
        assert before is not None and shown is not None
        self.assertEqual(shown.to_cryptography(), before.to_cryptography())
        identity = made._identity
        assert identity is not None
        identity._now = lambda: datetime.now(timezone.utc) + timedelta(days=40)
        self.clock.advance(enrolmentlimits.CERTIFICATE_POLL)
        shown = made.tls.serverConnectionForTLS(None).get_certificate()
        assert shown is not None
        self.assertEqual(shown.to_cryptography(), identity.credentials.certificate)
        self.assertNotEqual(shown.to_cryptography(), before.to_cryptography())
        made.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_grace(self) -> None:
        """
        A reload puts its own grace into force, not the one before.
        """
        made = ProxyEnrolment(self.clock, self.settings(), None, Trust(()))
        made.prepare()
        made.replace(None, Trust(()), self.settings(RVGAHP_RENEWAL_GRACE="7200"))
        self.assertEqual(made.tls.grace, timedelta(hours=2))

    def test_ownAuthority(self) -> None:
        """
        The authority of the directory is one that rvgahp credentials could use, too.
        """
        ProxyEnrolment(self.clock, self.settings(), None, Trust(())).prepare()
        authority = loadAuthority(self.state)
        makeHostCredentials(self.state, "x", out=self.directory / "out")
        other = self.directory / "other"
        makeCA(other)
        self.assertNotEqual(
            spkiOf(authority.certificate.public_key()),
            spkiOf(loadAuthority(other).certificate.public_key()),
        )
