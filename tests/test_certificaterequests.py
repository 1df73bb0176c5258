"""
Tests of L{rvgahp.certificaterequests}.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.certificaterequests import (
    LONGEST_REQUEST,
    makeRequest,
    readAnswer,
    readRequest,
    spkiOf,
)
from rvgahp.certificates import Authority, makeKey
from rvgahp.errors import CredentialError
from tests.pki import unknownVersion

NOW = datetime.now(timezone.utc)


class RequestTests(SynchronousTestCase):
    """
    What a CE asks.
    """

    def refused(self, request: bytes) -> str:
        """
        @return: why a request is refused.
        """
        return str(self.assertRaises(CredentialError, readRequest, request))

    def test_good(self) -> None:
        """
        A request gives the key that it was made with, and is small.
        """
        key = makeKey()
        request = makeRequest(key)
        self.assertEqual(spkiOf(readRequest(request)), spkiOf(key.public_key()))
        self.assertLess(len(request), LONGEST_REQUEST / 4)

    def test_otherKeys(self) -> None:
        """
        Keys of other kinds are refused, whoever has them.
        """
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        for request in (
            builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
            builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
            builder.sign(ed25519.Ed25519PrivateKey.generate(), None),
        ):
            self.assertIn("P-256", self.refused(request.public_bytes(Encoding.DER)))

    def test_anothersKey(self) -> None:
        """
        A request for a key that one does not have is refused.
        """
        mine, theirs = makeKey(), makeKey()
        wrong = makeRequest(mine).replace(spkiOf(mine.public_key()), spkiOf(theirs.public_key()))
        self.assertIn("not signed by the key", self.refused(wrong))

    def test_size(self) -> None:
        """
        A long one is not even read.
        """
        self.assertIn("are allowed", self.refused(bytes(LONGEST_REQUEST + 1)))

    def test_version(self) -> None:
        """
        One of a version that is not known is refused as all rubbish is.
        """
        request = makeRequest(makeKey())
        self.assertEqual(request.count(b"\x02\x01\x00"), 1)
        wrong = request.replace(b"\x02\x01\x00", b"\x02\x01\x07")
        self.assertEqual(self.refused(wrong), "What was sent is no certificate request.")

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 400), st.binary(max_size=3))
    def test_rubbish(self, place: int, new: bytes) -> None:
        """
        A request in which bytes are changed is refused in one sentence, or is the same key's.
        """
        key = makeKey()
        request = makeRequest(key)
        wrong = request[:place] + new + request[place + len(new) :]
        try:
            self.assertEqual(spkiOf(readRequest(wrong)), spkiOf(key.public_key()))
        except CredentialError as e:
            self.assertNotIn("\n", str(e))


class AnswerTests(SynchronousTestCase):
    """
    What the proxy answers.
    """

    def setUp(self) -> None:
        """
        Make an authority.
        """
        self.key = makeKey()
        self.authority = Authority.new(makeKey(), NOW)
        self.authorities = self.authority.certificate.public_bytes(Encoding.PEM)

    def issued(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        """
        @return: a certificate for an hour.
        """
        made = self.authority.issueCE(key.public_key(), "x", NOW, timedelta(hours=1))
        return made.public_bytes(Encoding.PEM)

    def test_good(self) -> None:
        """
        The certificate for our key is taken.
        """
        found = readAnswer(self.issued(self.key), self.authorities, self.key, NOW)
        self.assertEqual(spkiOf(found.public_key()), spkiOf(self.key.public_key()))

    def test_bad(self) -> None:
        """
        One for another key, one that has ended, and what is none, are not.
        """
        good, later = self.issued(self.key), NOW + timedelta(hours=2)
        for pem, authorities, now in (
            (self.issued(makeKey()), self.authorities, NOW),
            (good, self.authorities, later),
            (b"", self.authorities, NOW),
            (good, b"rubbish", NOW),
            (unknownVersion(good), self.authorities, NOW),
            (good, unknownVersion(self.authorities), NOW),
        ):
            self.assertRaises(CredentialError, readAnswer, pem, authorities, self.key, now)
