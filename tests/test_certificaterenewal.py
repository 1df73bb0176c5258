"""
Tests of L{rvgahp.certificaterenewal}: files, and a proxy that answers what a test wants,
over real TLS in memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands, enrolmentlimits
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.certificaterequests import readRequest
from rvgahp.certificates import Authority, makeKey
from rvgahp.configuration import Configuration
from rvgahp.control import ControlConnection, Responders
from rvgahp.credentials import Credentials, loadCredentials
from rvgahp.errors import Busy, CredentialError, NotAuthorized
from rvgahp.keyexchange import pemOf
from rvgahp.settings import settingsFrom
from tests.identities import HOST, SITE, authority, ceCredentials, written
from tests.kills import killedAfter
from tests.pki import SiteCA
from tests.tlspair import TWISTED_WARNINGS, TLSPair

LIFETIME = 3000.0


def crossSigned(other: SiteCA, signer: Authority) -> x509.Certificate:
    """
    @return: a certificate of another authority that C{signer} has signed.
    """
    old = other.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(signer.certificate.subject)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(signer.certificate.not_valid_before_utc)
        .not_valid_after(signer.certificate.not_valid_after_utc)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(signer._key, SHA256())


class Signer(Responders):
    """
    A proxy.

    @ivar requests: what it was asked to sign.
    @ivar answer: makes its answer.
    """

    def __init__(self, test: RenewalTestCase) -> None:
        self._test = test
        self.requests: list[bytes] = []
        self.answer: Callable[[], dict[str, bytes]] = self.good
        self.control = ControlConnection(test.clock, self, lambda _: None, lambda _: None)

    @commands.RenewCertificate.responder
    def renew(self, request: bytes) -> dict[str, bytes]:
        self.requests.append(request)
        return self.answer()

    def good(self) -> dict[str, bytes]:
        """
        @return: the right answer to the last request.
        """
        return self._test.issued(readRequest(self.requests[-1]))


class RenewalTestCase(SynchronousTestCase):
    """
    A CE's certificate.
    """

    suppress = TWISTED_WARNINGS

    def setUp(self) -> None:
        """
        Enrol it.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.clock = Clock()
        self.start = datetime.now(timezone.utc)
        key = makeKey()
        answer = self.issued(key.public_key())
        self.first = Credentials(
            answer["certificate"],
            pemOf(key),
            answer["authorities"],
            self.made,
        )
        self.given = written(self.first, self.directory)
        self.files = [*self.given.values()]
        self.renewal = self.make()
        self.signer = Signer(self)
        self.ce = ControlConnection(self.clock, Responders(), lambda _: None, lambda _: None)
        self.pair = TLSPair(self.signer.control, self.ce, self.clock)
        self.pair.flush()
        self.addCleanup(self.renewal.disconnected)

    def make(self, seed: int = 1) -> CertificateRenewal:
        """
        @return: that of a CE that starts now.
        """
        settings = settingsFrom(
            "ce", Configuration(None, {**self.given, "RVGAHP_BROKER_HOST": HOST})
        )
        cert, key, ca = self.files
        found = loadCredentials(cert, key, ca, "ce", self.now(), timedelta(days=30))
        return CertificateRenewal(self.clock, settings, found, Random(seed), self.now)

    def now(self) -> datetime:
        """
        @return: the time.
        """
        return self.start + timedelta(seconds=self.clock.seconds())

    def issued(self, public: Any, site: str = SITE) -> dict[str, bytes]:
        """
        @return: an answer for a key.
        """
        ours = authority("ours")
        life = timedelta(seconds=LIFETIME)
        self.made = ours.issueCE(public, site, self.now(), life)
        return {
            "certificate": self.made.public_bytes(Encoding.PEM),
            "authorities": ours.certificate.public_bytes(Encoding.PEM),
        }

    def spend(self, seconds: float) -> None:
        """
        Let time pass.
        """
        end = self.clock.seconds() + seconds
        while True:
            self.pair.flush()
            times = [one.getTime() for one in self.clock.getDelayedCalls() if one.getTime() <= end]
            if not times:
                break
            self.clock.advance(max(0.0, min(times) - self.clock.seconds()))
        self.clock.advance(end - self.clock.seconds())
        self.pair.flush()

    def inForce(self) -> Credentials:
        """
        @return: what lies in the files, which is also what is used for the next connection.
        """
        cert, key, ca = self.files
        found = loadCredentials(cert, key, ca, "ce", self.now(), timedelta(days=30))
        self.assertEqual(self.renewal.reread(), found)
        return found


class TimeTests(RenewalTestCase):
    """
    When it is renewed.
    """

    def test_third(self) -> None:
        """
        Each time a third of a certificate's life is used up there is another, with another
        key, while the connection stays.
        """
        self.renewal.connected(self.ce)
        self.spend(LIFETIME / 3 * 0.89)
        self.assertEqual(self.signer.requests, [])
        keys = {self.inForce().keyPEM}
        for count in range(1, 6):
            self.spend(LIFETIME / 3 * 1.1)
            self.assertGreaterEqual(len(self.signer.requests), count)
            keys.add(self.inForce().keyPEM)
            self.assertEqual(self.inForce().certificate, self.made)
        self.assertGreaterEqual(len(keys), 6)
        self.assertLess(len(self.signer.requests), 9)
        self.assertTrue(self.ce.connected)

    def test_jitter(self) -> None:
        """
        Sites that were enrolled in one moment do not come in one.
        """
        due = {self.make(seed)._due for seed in range(10)}
        self.assertEqual(len(due), 10)

    def test_overdue(self) -> None:
        """
        A CE that was away when the time came renews as soon as it is back.
        """
        self.spend(LIFETIME / 2)
        self.renewal.connected(self.ce)
        self.spend(0.0)
        self.assertEqual(len(self.signer.requests), 1)

    def test_disconnected(self) -> None:
        """
        Without a connection nothing is tried, and no call is left.
        """
        self.renewal.connected(self.ce)
        self.renewal.disconnected()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.spend(LIFETIME)
        self.assertEqual(self.signer.requests, [])

    def test_retried(self) -> None:
        """
        What fails is tried again, less and less often, until it succeeds.
        """

        def refuse() -> dict[str, bytes]:
            raise Busy("not now")

        self.signer.answer = refuse
        self.renewal.connected(self.ce)
        with capturedLogs() as logs:
            self.spend(LIFETIME / 3 * 1.1 + 600)
        count = len(self.signer.requests)
        self.assertTrue(8 <= count <= 30, count)
        self.assertTrue(all("trying again" in one["log_format"] for one in logs))
        delays = [one["delay"] for one in logs]
        self.assertLess(delays[0], enrolmentlimits.CERTIFICATE_RETRY_FIRST + 0.01)
        self.assertGreater(max(delays), 20.0)
        self.assertLessEqual(max(delays), LIFETIME / enrolmentlimits.CERTIFICATE_RETRY_PARTS)
        self.signer.answer = self.signer.good
        self.spend(LIFETIME / enrolmentlimits.CERTIFICATE_RETRY_PARTS)
        self.assertEqual(self.inForce().certificate, self.made)

    def test_refused(self) -> None:
        """
        A proxy that does not renew it is asked once for each connection.
        """

        def refuse() -> dict[str, bytes]:
            raise NotAuthorized("not made here")

        self.signer.answer = refuse
        for count in (1, 2):
            self.renewal.connected(self.ce)
            with capturedLogs() as logs:
                self.spend(LIFETIME / 2)
            self.assertEqual(len(self.signer.requests), count)
            self.assertIn("not made here", logs[0]["reason"])
        self.assertEqual(self.inForce(), self.first)


class ClockTests(RenewalTestCase):
    """
    The clock is set while a CE runs.
    """

    def test_forward(self) -> None:
        """
        Where it is set forward past the time of the renewal, that comes within a minute.
        """
        self.renewal.connected(self.ce)
        self.spend(1.0)
        self.start += timedelta(seconds=LIFETIME / 2)
        self.spend(enrolmentlimits.CERTIFICATE_POLL)
        self.assertEqual(len(self.signer.requests), 1)

    def test_told(self) -> None:
        """
        Who is told to look does so at once, after failures, too, but asks for one at a time;
        without a connection nothing is asked.
        """
        self.renewal.look()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.renewal.connected(self.ce)
        self.start += timedelta(seconds=LIFETIME / 2)
        for count in range(1, 9):
            self.signer.answer = self.refuse
            self.renewal.look()
            self.clock.advance(0)
            self.renewal.look()  # the proxy has not answered yet
            self.spend(0.0)
            self.assertEqual(len(self.signer.requests), count)
        self.signer.answer = self.signer.good
        self.renewal.look()
        self.spend(0.0)
        self.assertEqual(self.inForce().certificate, self.made)

    def refuse(self) -> dict[str, bytes]:
        """
        Not now.
        """
        raise Busy("not now")

    def test_back(self) -> None:
        """
        A certificate that is not valid yet, since the clock was ahead when it was made or is
        behind now, does for nothing but its renewal, which comes within a minute.
        """
        self.renewal.connected(self.ce)
        self.start -= timedelta(days=20)
        self.assertTrue(self.renewal.isUntimely)
        self.assertTrue(self.make().isUntimely)
        with capturedLogs() as logs:
            self.spend(enrolmentlimits.CERTIFICATE_POLL)
        self.assertIn("is not valid before {begin}: is this machine's", logs[0]["log_format"])
        self.assertEqual(len(self.signer.requests), 1)
        self.assertFalse(self.renewal.isUntimely)
        self.assertEqual(self.inForce().certificate, self.made)

    def test_aheadOfProxy(self) -> None:
        """
        A CE whose clock is further ahead of the proxy's than a certificate's time to its
        renewal asks for one now and then, not all the time.
        """
        ahead = timedelta(seconds=LIFETIME / 2)
        self.signer.answer = self.behind(ahead)
        self.start += ahead
        self.renewal.connected(self.ce)
        pause = LIFETIME / enrolmentlimits.CERTIFICATE_RETRY_PARTS
        self.spend(3.5 * pause)
        self.assertEqual(len(self.signer.requests), 4)

    def behind(self, by: timedelta) -> Callable[[], dict[str, bytes]]:
        """
        @return: makes the answers of a proxy whose clock is behind.
        """

        def answer() -> dict[str, bytes]:
            self.start -= by
            try:
                return self.signer.good()
            finally:
                self.start += by

        return answer


class OwnPKITests(RenewalTestCase):
    """
    A CE with a certificate of the site's own PKI, such as a proxy certificate (RFC 3820).
    """

    def test_nothing(self) -> None:
        """
        Nothing is asked of the proxy, neither in the whole life of the certificate nor after
        its end; what others put into the files is taken.
        """
        user = SiteCA().issue("alice")
        for entity in (user, user.proxy()):
            written(entity.credentials(), self.directory)
            self.renewal = self.make()
            self.renewal.connected(self.ce)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            end = entity.certificate.not_valid_after_utc
            with capturedLogs() as logs:
                self.spend((end - self.now()).total_seconds() + 60)
            self.assertEqual((logs, self.signer.requests), ([], []))
            self.assertGreater(self.now(), self.renewal.credentials.certificate.not_valid_after_utc)
            self.assertFalse(self.renewal.isUntimely)
            self.clock.rightNow = 0.0
        newer = user.proxy().credentials()
        written(newer, self.directory)
        self.assertEqual(self.inForce(), newer)


class AnswerTests(RenewalTestCase):
    """
    What becomes of the answer.
    """

    def test_useless(self) -> None:
        """
        A certificate for another key or another site is not taken, nor is what is none.
        """
        good = self.signer.good
        public = makeKey().public_key()
        for answer in (
            lambda: self.issued(public),
            lambda: self.issued(readRequest(self.signer.requests[-1]), "other.example"),
            lambda: {"certificate": b"x", "authorities": b"y"},
            lambda: {**good(), "authorities": b"y"},
        ):
            self.signer.answer = answer
            asked = self.renewal.renew(self.ce)
            self.pair.flush()
            self.failureResultOf(asked, CredentialError)
            self.assertEqual(self.inForce(), self.first)

    def test_notYet(self) -> None:
        """
        Nor is one that is valid only later, with which the CE could not be started again.
        """
        start = self.start
        self.start += timedelta(days=9)
        key = makeKey()
        late = self.issued(key.public_key())
        self.start = start
        error = self.assertRaises(CredentialError, self.renewal._answered, late, key)
        self.assertIn("clock", str(error))
        self.assertEqual(self.inForce(), self.first)

    def test_dueAtOnce(self) -> None:
        """
        A proxy whose certificates are due at once is not asked without a pause.
        """
        old = Authority.new(makeKey(), self.now() - timedelta(days=400))

        def answer() -> dict[str, bytes]:
            if len(self.signer.requests) > 500:
                raise NotAuthorized("that is enough")
            public = readRequest(self.signer.requests[-1])
            begin, life = self.now() - timedelta(days=300), timedelta(days=300, seconds=900)
            made = old.issueCE(public, SITE, begin, life)
            pem = made.public_bytes(Encoding.PEM)
            return {"certificate": pem, "authorities": self.first.caPEM}

        self.signer.answer = answer
        self.renewal.connected(self.ce)
        self.spend(LIFETIME / 3 * 1.11)
        count = len(self.signer.requests)
        self.spend(20 * enrolmentlimits.CERTIFICATE_PAUSE)
        self.assertLess(len(self.signer.requests), count + 25)
        self.assertLess(len(self.signer.requests), 500)

    def test_anothersAuthority(self) -> None:
        """
        An authority that comes with a renewal is believed if it is known, or one that is known
        has signed it; else the certificate is taken, and those of before stay: who has the
        proxy's key for a time is not believed for ever.
        """
        ours, evil = authority("ours"), authority("evil")
        known = ours.certificate.public_bytes(Encoding.PEM)
        planted = evil.certificate.public_bytes(Encoding.PEM)
        for authorities in (planted, known + planted, planted + known):
            self.signer.answer = lambda: {**self.signer.good(), "authorities": authorities}  # noqa: B023
            asked = self.renewal.renew(self.ce)
            with capturedLogs() as logs:
                self.pair.flush()
            self.successResultOf(asked)
            self.assertIn("not believed", str(logs[0]["log_format"]))
            self.assertEqual(self.inForce().caPEM, known)
            self.assertEqual(self.inForce().certificate, self.made)
        signed = SiteCA("next")
        crossed = crossSigned(signed, ours).public_bytes(Encoding.PEM)
        self.signer.answer = lambda: {**self.signer.good(), "authorities": known + crossed}
        asked = self.renewal.renew(self.ce)
        self.pair.flush()
        self.successResultOf(asked)
        self.assertEqual(self.inForce().caPEM, known + crossed)

    def test_killed(self) -> None:
        """
        Killed at any moment of the exchange, a CE that starts then has a pair that works.
        """
        changes, isDone = 0, False
        while not isDone:
            key = makeKey()
            answer = self.issued(key.public_key())
            answer["authorities"] += b"\n" * changes  # so that this is written, too
            isDone = killedAfter(changes, lambda: self.renewal._answered(answer, key))  # noqa: B023
            self.renewal = self.make()
            self.inForce()
            changes += 1
        self.assertGreater(changes, 12)
        self.assertEqual(self.inForce().certificate, self.made)

    def test_unwritable(self) -> None:
        """
        Where the files cannot be written the old pair stays in force.
        """
        shutil.rmtree(self.directory)
        asked = self.renewal.renew(self.ce)
        self.pair.flush()
        self.failureResultOf(asked, CredentialError)
        self.assertEqual(self.renewal.credentials, self.first)
        self.directory.mkdir()
        written(self.first, self.directory)
        self.inForce()

    def test_replaced(self) -> None:
        """
        What others put into the files is taken for the next connection, unless it is broken or
        another site's; then the log says so.
        """
        key = makeKey()
        answer = self.issued(key.public_key())
        new = Credentials(answer["certificate"], pemOf(key), answer["authorities"], self.made)
        written(new, self.directory)
        self.assertEqual(self.renewal.reread(), new)
        for other in (ceCredentials("other.example"), Credentials(b"", b"", b"", self.made)):
            written(other, self.directory)
            with capturedLogs() as logs:
                self.assertEqual(self.renewal.reread(), new)
            self.assertEqual(len(logs), 1)

    def test_expired(self) -> None:
        """
        A certificate that has ended is known as such, and is renewed like any other.
        """
        self.assertFalse(self.renewal.isUntimely)
        self.spend(LIFETIME + 2)
        self.assertTrue(self.renewal.isUntimely)
        self.assertTrue(self.make().isUntimely)
        asked = self.renewal.renew(self.ce)
        self.pair.flush()
        self.successResultOf(asked)
        self.assertFalse(self.renewal.isUntimely)
        self.inForce()
