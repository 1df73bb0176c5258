"""
Tests of L{rvgahp.enrolment} and L{rvgahp.siteenrolment}: real TLS in memory, real files,
local users over real UNIX sockets.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.logger import capturedLogs

from rvgahp import commands, enrolmentlimits, limits
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.certificaterequests import makeRequest, spkiOf
from rvgahp.certificates import makeKey, siteOf
from rvgahp.closedenrolment import ClosedEnrolment
from rvgahp.configuration import Configuration
from rvgahp.credentials import Credentials
from rvgahp.enrolment import Enrolment
from rvgahp.errors import Busy, NoSuchSite, NotAuthorized
from rvgahp.hostidentity import HostIdentity
from rvgahp.invitecode import InviteCode, fingerprintOf
from rvgahp.keyexchange import pemOf
from rvgahp.mapfile import parse
from rvgahp.peercred import LocalUser
from rvgahp.registry import Registry
from rvgahp.settings import settingsFrom
from rvgahp.siteconnection import SiteConnection
from rvgahp.tls import clientOptions, serverOptions
from rvgahp.trust import Trust, certificatesIn
from tests.broker import DOMAIN, BrokerTestCase, CEDouble
from tests.identities import HOST, SITE, ceCredentials, proxyCredentials
from tests.localclient import LocalClient
from tests.pki import SiteCA
from tests.tlspair import TLSPair

ALICE = LocalUser(70001, "alice", 1)
BOB = LocalUser(70002, "bob", 1)
ROOT = LocalUser(0, "root", 1)


class EnrolmentTestCase(BrokerTestCase):
    """
    A proxy that enrols.
    """

    #: The administrator's credentials, if there are any.
    given: Credentials | None = None

    #: Authorities of sites' own PKI.
    others: tuple[x509.Certificate, ...] = ()

    #: Seconds for which TLS lets a certificate pass after its end.
    grace = 1000.0

    def setUp(self) -> None:
        """
        Make its directory.
        """
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.wall = time.time()
        self.identity = HostIdentity(
            str(self.directory), self.given, [HOST], lambda: datetime.now(timezone.utc)
        )
        self.registry = Registry(str(self.directory), lambda: self.wall)
        self.enrolment = Enrolment(self.proxy, self.identity, self.registry, (HOST, 41000))
        self.proxy.enrolment = self.clients.enrolment = self.enrolment
        self.access.ownerOf = self.enrolment.ownerOf

    def dial(self, credentials: Credentials | None = None) -> tuple[CEDouble, SiteConnection]:
        """
        @param credentials: what the CE shows, and has authenticated itself by.
        @return: a CE that has dialled, and the proxy's end.
        """
        ce = CEDouble(self.loop, SITE, b"i" * 16)
        connection = SiteConnection(self.proxy, "192.0.2.7", self.room, self.authenticator)
        if credentials is None:
            ca = Certificate.loadPEM(self.identity.authorities)
            options = optionsForClientTLS(HOST, trustRoot=ca)
        else:
            options = clientOptions(credentials, HOST)
        trust = Trust(certificatesIn(self.identity.credentials.caPEM), self.others)
        ours = serverOptions(self.identity.credentials, trust, self.grace)
        self.pairs.append(TLSPair(connection.control, ce.control, self.loop, ours, options))
        self.settle()
        if credentials is not None:
            ce.authenticate().addErrback(lambda _: None)
            self.settle()
        return ce, connection

    def invite(self, user: LocalUser = ALICE, site: str = SITE) -> InviteCode:
        """
        @return: a code.
        """
        return InviteCode.decode(self.enrolment.invite(user, site)["code"])

    def renewed(self, ce: CEDouble) -> Credentials:
        """
        @return: what a CE has after a renewal.
        """
        self.spend(enrolmentlimits.CERTIFICATE_PAUSE)
        key = makeKey()
        asked = ce.call(commands.RenewCertificate, request=makeRequest(key))
        return self.credentials(self.successResultOf(asked), key)

    def enrol(self, code: InviteCode, key: Any = None) -> Credentials:
        """
        @return: what a CE that was invited has in the end.
        """
        key = key or makeKey()
        ce, _ = self.dial()
        answer = self.successResultOf(
            ce.call(commands.Enrol, secret=code.secret, request=makeRequest(key))
        )
        return self.credentials(answer, key)

    def credentials(self, answer: dict[str, Any], key: Any) -> Credentials:
        """
        @return: what an answer comes to.
        """
        pem = answer["certificate"]
        certificate = x509.load_pem_x509_certificate(pem)
        self.assertEqual(spkiOf(certificate.public_key()), spkiOf(key.public_key()))
        return Credentials(pem, pemOf(key), answer["authorities"], certificate)

    def notEnrolled(self, secret: bytes, request: bytes | None = None) -> str:
        """
        @return: why a CE is not enrolled.
        """
        ce, _ = self.dial()
        asked = ce.call(commands.Enrol, secret=secret, request=request or makeRequest(makeKey()))
        failure = self.failureResultOf(asked, NotAuthorized)
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(ce.reason)
        return str(failure.getErrorMessage())

    def greeted(self, credentials: Credentials) -> CEDouble:
        """
        @return: a CE that has been accepted.
        """
        ce, _ = self.dial(credentials)
        self.successResultOf(ce.hello())
        self.successResultOf(ce.list())
        return ce

    def notGreeted(self, credentials: Credentials | None) -> str:
        """
        @return: why a CE's Hello is refused.
        """
        ce, _ = self.dial(credentials)
        message = str(self.failureResultOf(ce.hello(), NotAuthorized).getErrorMessage())
        ce.control.abort()
        self.settle()
        return message

    def expired(self, site: str = SITE) -> Credentials:
        """
        @return: enrolled credentials that ended a minute ago.
        """
        given = self.enrol(self.invite(site=site))
        key = makeKey()
        then = datetime.now(timezone.utc) - timedelta(seconds=61)
        # An authority is valid from five minutes before it was made.
        made = self.identity.authority.issueCE(key.public_key(), site, then, timedelta(seconds=1))
        self.registry.addSerial(site, made.serial_number, given.certificate.serial_number)
        return Credentials(
            made.public_bytes(Encoding.PEM), pemOf(key), self.identity.authorities, made
        )


class InviteTests(EnrolmentTestCase):
    """
    Who may invite, and what he gets.
    """

    def test_code(self) -> None:
        """
        A code names the host, the port and the host's key, each has another secret, and the
        answer says for how long it works.
        """
        answer = self.enrolment.invite(ALICE, SITE)
        code = InviteCode.decode(answer["code"])
        self.assertEqual((code.host, code.port), (HOST, 41000))
        public = self.identity.credentials.certificate.public_key()
        self.assertEqual(code.fingerprint, fingerprintOf(spkiOf(public)))
        self.assertEqual(answer["seconds"], enrolmentlimits.INVITATION_LIFETIME)
        self.assertNotEqual(self.invite().secret, code.secret)

    def test_overSocket(self) -> None:
        """
        Over the UNIX socket the user is who the kernel says.
        """
        client: LocalClient = self.client()
        client.send({b"_command": b"Invite", b"_ask": b"1", b"site": SITE.encode()})
        self.settle()
        (box,) = client.read()
        self.enrol(InviteCode.decode(box[b"code"].decode()))
        entry = self.registry.find(SITE)
        assert entry is not None
        self.assertEqual(entry.owner, f"{entry.account}@{DOMAIN}")
        client.send({b"_command": b"Revoke", b"_ask": b"2", b"site": SITE.encode()})
        self.settle()
        (box,) = client.read()
        self.assertEqual(box, {b"_answer": b"2", b"ended": b"0"})

    def test_refused(self) -> None:
        """
        An impossible name, another's site, one of the administrator's, and one that root has
        revoked: each is refused with its sentence; root may invite what is revoked.
        """

        def refusal(user: LocalUser, site: str = SITE) -> str:
            return str(self.assertRaises(NotAuthorized, self.enrolment.invite, user, site))

        self.assertIn("cannot be the name of a site", refusal(ALICE, "../x"))
        self.enrol(self.invite())
        self.invite()
        self.assertIn("enrolled by another user", refusal(BOB))
        self.assertIn("enrolled by another user", refusal(ROOT))
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        self.assertIn("enrolled by another user", refusal(BOB))
        self.invite()
        self.successResultOf(self.enrolment.revoke(ROOT, SITE))
        self.assertIn(f"revoked by root@{DOMAIN}", refusal(ALICE))
        self.enrol(self.invite(ROOT))
        self.assertEqual(self.registry.ownerOf(SITE), f"root@{DOMAIN}")

    def test_neighbours(self) -> None:
        """
        Nobody enrols what others would take for another's site: ACCOUNT@HOST beside HOST, or
        HOST beside ACCOUNT@HOST; his own account he may, his own sites, and root all.
        """
        for known, wanted in ((SITE, f"alice@{SITE}"), ("carol@b.example", "b.example")):
            self.enrol(self.invite(ALICE, known))
            e = self.assertRaises(NotAuthorized, self.enrolment.invite, BOB, wanted)
            self.assertIn(f"would be taken for {known}", str(e))
            self.invite(ALICE, wanted)
            self.invite(ROOT, wanted)
        self.invite(BOB, f"bob@{SITE}")

    def test_often(self) -> None:
        """
        A user who invites and revokes over and over has to wait, for each waits for the disk;
        another does not, and root never.
        """
        self.enrol(self.invite())
        asked = [self.enrolment.invite] * 60 + [self.enrolment.revoke] * 59
        for ask in asked:
            ask(ALICE, SITE)
        e = self.assertRaises(Busy, self.enrolment.invite, ALICE, SITE)
        self.assertIn("too often", str(e))
        self.invite(BOB, "b.example")
        self.invite(ROOT)
        self.loop.advance(1)
        self.invite()
        self.assertRaises(Busy, self.enrolment.revoke, ALICE, SITE)

    def test_length(self) -> None:
        """
        The name of an enrolled site fits into that of a file.
        """
        most = enrolmentlimits.SITE_NAME
        self.enrol(self.invite(site="a" * most))
        e = self.assertRaises(NotAuthorized, self.enrolment.invite, ALICE, "a" * (most + 1))
        self.assertIn(f"{most} characters", str(e))

    def test_name(self) -> None:
        """
        A code whose host is not in the certificate would be of no use.
        """
        enrolment = Enrolment(self.proxy, self.identity, self.registry, ("other.example", 1))
        e = self.assertRaises(NotAuthorized, enrolment.invite, ALICE, SITE)
        self.assertIn("certificate is not for other.example", str(e))

    def test_closed(self) -> None:
        """
        A proxy that cannot enrol says why.
        """
        closed = ClosedEnrolment("the disk is broken")
        for call in (
            lambda: closed.invite(ALICE, SITE),
            lambda: closed.enrol(b"", b""),
            lambda: closed.renew(SITE, ceCredentials().certificate, b""),
            lambda: closed.revoke(ALICE, SITE),
        ):
            self.assertIn("the disk is broken", str(self.assertRaises(NotAuthorized, call)))


class EnrolTests(EnrolmentTestCase):
    """
    A CE that was invited.
    """

    def test_enrolled(self) -> None:
        """
        It gets a certificate for its key and its site, comes with it, and the connection on
        which it was enrolled ends.
        """
        code = self.invite()
        key = makeKey()
        ce, _ = self.dial()
        asked = ce.call(commands.Enrol, secret=code.secret, request=makeRequest(key))
        answer = self.successResultOf(asked)
        self.assertEqual((answer["site"], answer["owner"]), (SITE, f"alice@{DOMAIN}"))
        self.assertIsNotNone(ce.reason)
        credentials = self.credentials(answer, key)
        self.assertEqual(siteOf(credentials.certificate), SITE)
        self.greeted(credentials)
        self.assertEqual(self.registry.ownerOf(SITE), f"alice@{DOMAIN}")
        self.enrolment.checkHello("own.example", None)  # has another certificate, or none
        found = list(self.enrolment.enrolled()), list(self.enrolment.acquainted())
        self.assertEqual(found, ([SITE], ["own.example"]))

    def test_useless(self) -> None:
        """
        A wrong code, one that is used, one that is too old, a request that is none: refused,
        and the first three alike.
        """
        code = self.invite()
        wrong = self.notEnrolled(bytes(13))
        self.assertIn("no certificate request", self.notEnrolled(code.secret, b"x"))
        self.enrol(code)
        self.assertEqual(self.notEnrolled(code.secret), wrong)
        late = self.invite()
        self.wall += enrolmentlimits.INVITATION_LIFETIME
        self.assertEqual(self.notEnrolled(late.secret), wrong)

    def test_again(self) -> None:
        """
        An answer that was lost can be asked for again with the same key; then what was lost is
        good no more.
        """
        code, key = self.invite(), makeKey()
        lost, got = self.enrol(code, key), self.enrol(code, key)
        self.greeted(got)
        self.assertIn("no longer good", self.notGreeted(lost))

    def test_twoAtOnce(self) -> None:
        """
        Of two that come with one code at once just one is enrolled.
        """
        code = self.invite()
        asked = []
        for _ in range(2):
            ce, _ = self.dial()
            request = makeRequest(makeKey())
            asked.append(ce.call(commands.Enrol, secret=code.secret, request=request))
        self.successResultOf(asked[0])
        self.failureResultOf(asked[1], NotAuthorized)

    def test_taken(self) -> None:
        """
        Of two users who were both given a code for one site the first to use it has it.
        """
        mine, theirs = self.invite(ALICE), self.invite(BOB)
        self.enrol(theirs)
        self.assertIn("enrolled by another user", self.notEnrolled(mine.secret))
        self.assertEqual(self.registry.ownerOf(SITE), f"bob@{DOMAIN}")

    def test_anew(self) -> None:
        """
        A site that is enrolled anew has its old connection closed, and its old certificate is
        good no more.
        """
        old = self.enrol(self.invite())
        ce = self.greeted(old)
        self.enrol(self.invite())
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(ce.reason)
        self.assertIn("enrolled anew", self.notGreeted(old))

    def test_withCertificate(self) -> None:
        """
        Who shows a certificate is not enrolled; who shows none is not let in.
        """
        credentials = self.enrol(self.invite())
        code = self.invite()
        ce, _ = self.dial(credentials)
        asked = ce.call(commands.Enrol, secret=code.secret, request=makeRequest(makeKey()))
        self.failureResultOf(asked, NotAuthorized)
        self.assertIn("Authenticate comes first", self.notGreeted(None))
        ce, _ = self.dial()
        refused = self.failureResultOf(ce.authenticate(), NotAuthorized)
        self.assertIn("the CE has shown none", refused.getErrorMessage())
        for called in (
            ce.hello(),
            ce.list(),
            ce.call(commands.OpenChannel, session="s", stream=0),
            ce.call(commands.RenewCertificate, request=makeRequest(makeKey())),
        ):
            self.failureResultOf(called, NotAuthorized)
        self.assertEqual(self.proxy.sites, {})
        ce.control.abort()

    def test_fullDisk(self) -> None:
        """
        Where nothing can be written nobody is enrolled, no path is told, and the log has it.
        """
        code = self.invite()
        sites = self.directory / "sites"
        sites.rmdir()
        sites.write_text("")
        ce, _ = self.dial()
        key = makeKey()
        asked = ce.call(commands.Enrol, secret=code.secret, request=makeRequest(key))
        with capturedLogs() as logs:
            failure = self.failureResultOf(asked, Busy)
        self.assertNotIn(str(self.directory), failure.getErrorMessage())
        self.assertTrue([one for one in logs if str(self.directory) in str(one.get("reason"))])
        sites.unlink()
        sites.mkdir()
        self.greeted(self.enrol(code, key))

    def test_restart(self) -> None:
        """
        A proxy that is started again knows its sites and its invitations.
        """
        credentials, code = self.enrol(self.invite()), self.invite(site="other.example")
        self.identity = HostIdentity(
            str(self.directory), self.given, [HOST], lambda: datetime.now(timezone.utc)
        )
        registry = Registry(str(self.directory), time.time)
        self.proxy.enrolment = Enrolment(self.proxy, self.identity, registry, (HOST, 1))
        self.greeted(credentials)
        self.enrol(code)


class RenewalTests(EnrolmentTestCase):
    """
    The next certificate.
    """

    def test_renewed(self) -> None:
        """
        A CE gets the next certificate over the connection that it has, before Hello or after,
        and both are good: the answer may be lost.
        """
        first = self.enrol(self.invite())
        ce = self.greeted(first)
        second = self.renewed(ce)
        third = self.renewed(self.dial(second)[0])
        self.assertIsNone(ce.reason)
        for credentials in (first, second, third):
            self.greeted(credentials)

    def test_expired(self) -> None:
        """
        A certificate that has ended is good for its renewal and nothing else.
        """
        old = self.expired()
        self.assertIn("good for its own renewal only", self.notGreeted(old))
        ce, _ = self.dial(old)
        new = self.renewed(ce)
        self.failureResultOf(ce.hello(), NotAuthorized)
        self.greeted(new)

    def test_early(self) -> None:
        """
        So is one that is not valid yet: the clock was ahead when it was made, or is behind.  The
        next one is good in both cases.
        """
        self.enrol(self.invite())
        key, begin = makeKey(), datetime.now(timezone.utc) + timedelta(days=20)
        made = self.identity.authority.issueCE(key.public_key(), SITE, begin)
        self.registry.addSerial(SITE, made.serial_number, made.serial_number)
        early = Credentials(
            made.public_bytes(Encoding.PEM), pemOf(key), self.identity.authorities, made
        )
        self.assertIn("are both clocks right?", self.notGreeted(early))
        new = self.renewed(self.dial(early)[0])
        self.assertEqual(new.certificate.not_valid_after_utc, made.not_valid_after_utc)
        self.greeted(new)

    def test_tooLate(self) -> None:
        """
        After the grace it is good for nothing; already TLS refuses it.
        """
        old = self.expired()
        self.grace = 50.0
        ce, _ = self.dial(old)
        self.assertIsNotNone(ce.reason)

    def test_often(self) -> None:
        """
        Not so often that the disk has more to do than write certificates.
        """
        ce = self.greeted(self.enrol(self.invite()))
        self.renewed(ce)
        asked = ce.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        self.failureResultOf(asked, Busy)
        self.renewed(ce)

    def test_refused(self) -> None:
        """
        A request that is none, and a revoked site, get none.
        """
        credentials = self.enrol(self.invite())
        ce, _ = self.dial(credentials)
        asked = ce.call(commands.RenewCertificate, request=b"x")
        self.failureResultOf(asked, NotAuthorized)
        self.registry.revoke(SITE, f"root@{DOMAIN}")
        asked = ce.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        self.assertIn("revoked", self.failureResultOf(asked, NotAuthorized).getErrorMessage())
        ce.control.abort()

    def test_end(self) -> None:
        """
        A connection ends with its certificate, unless that has been renewed, and the log says
        why.
        """
        lifetime = enrolmentlimits.CERTIFICATE_POLL
        self.proxy.settings._values["RVGAHP_CERTIFICATE_LIFETIME"] = int(lifetime)
        now, zero = datetime.now(timezone.utc), self.loop.seconds()
        self.authenticator.now = lambda: now + timedelta(seconds=self.loop.seconds() - zero)
        lazy = self.greeted(self.enrol(self.invite()))
        eager, _ = self.dial(self.enrol(self.invite(site="b.example")))
        self.successResultOf(eager.hello(site="b.example"))
        self.spend(lifetime / 2)
        self.renewed(eager)
        self.assertIsNone(lazy.reason)
        with capturedLogs() as logs:
            self.spend(lifetime / 2 + limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(lazy.reason)
        self.assertIsNone(eager.reason)
        (closed,) = [one for one in logs if "closed: {reason}" in one["log_format"]]
        self.assertEqual(closed["site"], SITE)
        self.assertIn("no newer one has come", closed["reason"])
        self.spend(lifetime / 2 + limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(eager.reason)


class TheftTests(EnrolmentTestCase):
    """
    Somebody has a copy of a CE's key.
    """

    def test_former(self) -> None:
        """
        Once a CE has come with its next certificate, the former one is good for nothing.
        """
        first = self.enrol(self.invite())
        ce = self.greeted(first)
        second = self.renewed(ce)
        ce.control.abort()
        self.settle()
        self.greeted(first).control.abort()  # the answer may have been lost
        self.settle()
        self.greeted(second)
        self.assertIn("no longer good", self.notGreeted(first))
        thief, _ = self.dial(first)
        asked = thief.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        self.failureResultOf(asked, NotAuthorized)
        thief.control.abort()
        self.settle()

    def test_manyRenewals(self) -> None:
        """
        Who renews and renews does not so make void the certificate with which the site is
        connected.
        """
        mine = self.enrol(self.invite())
        self.greeted(mine)
        thief, _ = self.dial(mine)
        stolen = self.renewed(thief)
        for _ in range(enrolmentlimits.SITE_SERIALS + 3):
            thief.control.abort()
            self.settle()
            thief, _ = self.dial(stolen)
            self.renewed(thief)
        thief.control.abort()
        self.settle()
        self.proxy.sites[SITE].control.abort()
        self.settle()
        self.greeted(mine)


class RevokeTests(EnrolmentTestCase):
    """
    The end of a site.
    """

    def test_ends(self) -> None:
        """
        What runs at the site is ended: its CE is told each session, its clients why, then the
        connection ends; and it is not let in again, nor has it a certificate renewed.
        """
        credentials = self.enrol(self.invite())
        ce, _ = self.dial(credentials)
        self.successResultOf(ce.hello())
        self.successResultOf(ce.list("unclaimed"))
        client = self.ask()
        (start,) = ce.starts
        answer = self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        self.assertEqual(answer, {"ended": 1})
        reason = f"site {SITE} was revoked by alice@{DOMAIN}"
        self.assertEqual(
            sorted(ce.ends), sorted([(start["session"], reason), ("unclaimed", reason)])
        )
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(ce.reason)
        client.read()
        (lost,) = [box for box in client.boxes if box.get(b"_command") == b"SessionLost"]
        self.assertEqual(lost[b"reason"].decode(), reason)
        self.assertIn("has been revoked", self.notGreeted(credentials))

    def test_silentCE(self) -> None:
        """
        A CE that does not answer does not keep it from being revoked.
        """
        ce = self.greeted(self.enrol(self.invite()))
        self.ask()
        ce.answersEnds = False
        revoked = self.enrolment.revoke(ALICE, SITE)
        self.spend(limits.CALL_TIMEOUT + limits.CLOSE_TIMEOUT)
        self.assertEqual(self.successResultOf(revoked), {"ended": 1})
        self.assertEqual(self.proxy.sites, {})
        self.assertTrue(self.registry.isRevoked(SITE))

    def test_meanwhile(self) -> None:
        """
        A CE whose Hello waits for the end of another connection of its site is not let in by
        that.
        """
        credentials = self.enrol(self.invite())
        former = self.greeted(credentials)
        former.answersPings = False
        later, _ = self.dial(credentials)
        later.instance = b"j" * 16
        waiting = later.hello()
        self.settle()
        self.assertNoResult(waiting)
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(former.reason)
        self.failureResultOf(waiting, NotAuthorized)
        self.assertEqual(self.proxy.sites, {})
        later.control.abort()

    def test_again(self) -> None:
        """
        Invited again it is enrolled again; what it had before is no good.
        """
        old = self.enrol(self.invite())
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        new = self.enrol(self.invite())
        self.assertIn("no longer good", self.notGreeted(old))
        self.greeted(new)

    def test_laundered(self) -> None:
        """
        What root has revoked, its owner cannot make his to invite by revoking it once more; and
        who revokes again writes nothing.
        """
        self.enrol(self.invite())
        self.successResultOf(self.enrolment.revoke(ROOT, SITE))
        path = self.directory / "sites" / f"{SITE}.json"
        before = path.stat().st_ino
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        e = self.assertRaises(NotAuthorized, self.enrolment.invite, ALICE, SITE)
        self.assertIn(f"revoked by root@{DOMAIN}", str(e))
        self.assertEqual(path.stat().st_ino, before)

    def test_invitedMeanwhile(self) -> None:
        """
        Revoking once more ends the invitations that have been made since.
        """
        self.enrol(self.invite())
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        code = self.invite()
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        self.assertIn("unknown here", self.notEnrolled(code.secret))

    def test_who(self) -> None:
        """
        The owner can, root and the proxy's account can, others cannot; and there must be
        something to revoke.
        """
        self.enrol(self.invite())
        self.assertRaises(NotAuthorized, self.enrolment.revoke, BOB, SITE)
        self.assertFalse(self.registry.isRevoked(SITE))
        self.assertRaises(NoSuchSite, self.enrolment.revoke, ROOT, "other.example")
        self.assertRaises(NoSuchSite, self.enrolment.revoke, ROOT, "../../etc/passwd")
        for user in (ROOT, LocalUser(os.geteuid(), "rvgahp", 1)):
            self.successResultOf(self.enrolment.revoke(user, SITE))
            self.assertTrue(self.registry.isRevoked(SITE))
            self.enrol(self.invite(ROOT))


class OwnPKITests(EnrolmentTestCase):
    """
    CEs with certificates of a site's own PKI.
    """

    rules = "ALLOW REGISTER site=grid.* alice@example.org"

    def setUp(self) -> None:
        super().setUp()
        ca = SiteCA()
        self.others = (ca.certificate,)
        self.authenticator.names = CanonicalNames(
            parse(b"SSL CN=alice$ alice\nSSL CN=bob$ bob", "/map"), "example.org"
        )
        self.alice, self.bob = (
            replace(ca.issue(name).credentials(), caPEM=self.identity.authorities)
            for name in ("alice", "bob")
        )

    def test_noTrace(self) -> None:
        """
        Who may not register a site cannot keep others from being invited to it, by trying.
        """
        for credentials in (self.bob, self.enrol(self.invite(site="b.example"))):
            ce, _ = self.dial(credentials)
            failure = self.failureResultOf(ce.hello(site="grid.x"), NotAuthorized)
            self.assertIn("may not register site grid.x", failure.getErrorMessage())
            ce.control.abort()
        self.settle()
        self.assertIsNone(self.registry.find("grid.x"))
        self.enrol(self.invite(site="grid.x"))

    def test_registered(self) -> None:
        """
        Who may register a site has it, so that nobody is invited under its name, and its
        certificate is not renewed here; root can revoke the site.
        """
        ce, _ = self.dial(self.alice)
        self.successResultOf(ce.hello(site="grid.x"))
        e = self.assertRaises(NotAuthorized, self.enrolment.invite, ALICE, "grid.x")
        self.assertIn("certificate of the administrator's", str(e))
        asked = ce.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        failure = self.failureResultOf(asked, NotAuthorized)
        self.assertIn("no certificate of ours", failure.getErrorMessage())
        self.successResultOf(self.enrolment.revoke(ROOT, "grid.x"))
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIsNotNone(ce.reason)
        ce, _ = self.dial(self.alice)
        failure = self.failureResultOf(ce.hello(site="grid.x"), NotAuthorized)
        self.assertIn("has been revoked", failure.getErrorMessage())
        ce.control.abort()


class WatchedTests(EnrolmentTestCase):
    """
    What enrolment does to the audit log, and to the penalties of addresses.
    """

    def setUp(self) -> None:
        super().setUp()
        self.audit = self.directory / "audit"
        values = {"RVGAHP_AUDIT_LOG": str(self.audit)}
        self.proxy.settings = settingsFrom("proxy", Configuration(None, values))

    def lines(self) -> list[dict[str, Any]]:
        """
        @return: what the audit log has, without registrations.
        """
        found = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [line for line in found if line["event"] != "register"]

    def test_recorded(self) -> None:
        """
        Each invitation, enrolment, renewal and revocation is recorded, and each refusal of one,
        with who and where; no secret is.
        """
        code = self.invite()
        ce = self.greeted(self.enrol(code))
        self.successResultOf(ce.call(commands.RenewCertificate, request=makeRequest(makeKey())))
        asked = ce.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        self.failureResultOf(asked, Busy)
        self.notEnrolled(code.secret)
        self.assertRaises(NotAuthorized, self.enrolment.invite, BOB, SITE)
        self.assertRaises(NotAuthorized, self.enrolment.revoke, BOB, SITE)
        self.successResultOf(self.enrolment.revoke(ALICE, SITE))
        lines = self.lines()
        self.assertEqual(
            [(line["event"], line.get("action")) for line in lines],
            [
                ("invite", None),
                ("enrol", None),
                ("renew", None),
                *(("refused", action) for action in ("renew", "enrol", "invite", "revoke")),
                ("revoke", None),
            ],
        )
        invite, enrol, renew, *_, refused, revoke = lines
        alice = {"who": f"alice@{DOMAIN}", "user": "alice", "uid": 70001, "pid": 1, "site": SITE}
        self.assertEqual({**invite, **alice}, invite)
        self.assertEqual({**revoke, **alice}, revoke)
        self.assertEqual((enrol["site"], enrol["address"]), (SITE, "192.0.2.7"))
        self.assertEqual((renew["site"], renew["who"]), (SITE, f"{SITE}@site.rvgahp"))
        self.assertEqual((refused["user"], refused["site"]), ("bob", SITE))
        self.assertIn(f"is not bob@{DOMAIN}'s", refused["reason"])
        text = self.audit.read_text()
        for secret in (code.encode(), code.encode().partition("/")[2], code.secret.hex()):
            self.assertNotIn(secret, text)

    def isRefused(self) -> bool:
        """
        @return: whether connections from the CEs' address are.
        """
        self.spend(limits.CLOSE_TIMEOUT)
        return self.proxy.watch.penalties.isRefused("192.0.2.7")

    def test_good(self) -> None:
        """
        Whatever number of sites enrols itself or renews what had ended, from one address, it
        has nothing to pay for that.
        """
        for number in range(40):
            self.enrol(self.invite(site=f"{number}.example"))
        old = self.expired()
        for _ in range(40):
            ce, _ = self.dial(old)
            key = makeKey()
            asked = ce.call(commands.RenewCertificate, request=makeRequest(key))
            old = self.credentials(self.successResultOf(asked), key)
            ce.control.abort()
            self.settle()
            self.enrolment._renewed.clear()
        self.assertFalse(self.isRefused())
        self.assertEqual(len(self.proxy.watch.penalties), 0)

    def test_wrongCode(self) -> None:
        """
        Who comes with a wrong code is refused for some time; who comes once with a request that is
        none, or to a site that another has by now, is not.
        """
        mine, theirs = self.invite(ALICE), self.invite(BOB)
        self.notEnrolled(theirs.secret, b"x")
        self.enrol(theirs)
        self.notEnrolled(mine.secret)
        self.assertFalse(self.isRefused())
        self.notEnrolled(bytes(13))
        self.assertTrue(self.isRefused())
        self.spend(20.0)
        self.assertFalse(self.isRefused())

    def test_senseless(self) -> None:
        """
        Nor is it for nothing that one sends what is no request, again and again.
        """
        for _ in range(10):
            self.notEnrolled(b"x" * 13, b"rubbish")
        self.assertGreater(len(self.proxy.watch.penalties), 0)


class AdministratorsTests(EnrolmentTestCase):
    """
    A proxy with credentials of the administrator's.
    """

    given = proxyCredentials()

    def test_both(self) -> None:
        """
        Sites of his authority and enrolled ones are both let in, and an enrolled one is told
        the authority by which it knows the proxy.
        """
        theirs, ours = ceCredentials(), self.enrol(self.invite(site="b.example"))
        self.greeted(theirs)
        self.assertEqual(ours.caPEM, self.given.caPEM if self.given else b"")
        ce, _ = self.dial(ours)
        self.successResultOf(ce.hello(site="b.example"))

    def test_notInvited(self) -> None:
        """
        Nobody is invited under the name of a site that has come with a certificate of the
        administrator's, not even when it is not there and the proxy has been restarted.
        """
        ce = self.greeted(ceCredentials())
        ce.control.abort()
        self.settle()
        self.enrolment.registry = Registry(str(self.directory), time.time)
        e = self.assertRaises(NotAuthorized, self.enrolment.invite, ALICE, SITE)
        self.assertIn("certificate of the administrator's", str(e))

    def test_enrolledBefore(self) -> None:
        """
        Who enrols the name of a site before that comes with a certificate of the
        administrator's does not become the owner of what he has not: it is not let in, and he
        is told nothing.
        """
        self.enrol(self.invite())
        self.assertIn("is enrolled by a user", self.notGreeted(ceCredentials()))
        self.assertNotIn(SITE, self.proxy.sites)
        self.assertEqual(self.registry.ownerOf(SITE), f"alice@{DOMAIN}")

    def test_notTaken(self) -> None:
        """
        Nor can anybody take an enrolled site, and its owner's jobs, with another certificate or
        proof, whether its CE is there or not.
        """
        mine = self.enrol(self.invite())
        self.assertIn("is enrolled by a user", self.notGreeted(ceCredentials()))
        check = self.enrolment.checkHello
        self.assertRaises(NotAuthorized, check, SITE, None)
        self.greeted(mine)

    def test_notRenewed(self) -> None:
        """
        A certificate of the administrator's is renewed by him.
        """
        ce = self.greeted(ceCredentials())
        asked = ce.call(commands.RenewCertificate, request=makeRequest(makeKey()))
        self.assertIn("not made by this proxy", self.failureResultOf(asked).getErrorMessage())

    def test_revoked(self) -> None:
        """
        Root can revoke such a site, too.
        """
        self.greeted(ceCredentials())
        self.assertRaises(NotAuthorized, self.enrolment.revoke, ALICE, SITE)
        self.successResultOf(self.enrolment.revoke(ROOT, SITE))
        self.spend(limits.CLOSE_TIMEOUT)
        self.assertIn("has been revoked", self.notGreeted(ceCredentials()))
