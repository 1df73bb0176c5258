"""
Tests of L{rvgahp.trust}: its files; L{tests.test_tls} has what OpenSSL makes of it.
"""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import CredentialError
from rvgahp.trust import Trust, loadTrust
from tests.identities import authority, ceCredentials
from tests.pki import DAY, SiteCA, now, unknownVersion

OURS = authority("ours").certificate


class LoadTests(SynchronousTestCase):
    """
    Tests of L{loadTrust}.
    """

    def setUp(self) -> None:
        self.cas = [SiteCA("one"), SiteCA("two")]
        self.ours = self.file("ours", OURS)
        self.theirs = self.file("theirs", *(ca.certificate for ca in self.cas))

    def file(self, name: str, *things: Any) -> str:
        """
        @return: the path of a file with these in PEM.
        """
        path: str = os.path.abspath(self.mktemp() + name)
        with open(path, "wb") as file:
            for thing in things:
                pem = thing if isinstance(thing, bytes) else thing.public_bytes(Encoding.PEM)
                file.write(b"# of somebody\n" + pem)
        return path

    def test_all(self) -> None:
        """
        All that is in the files counts.
        """
        lists = self.file("crls", *(ca.revoke() for ca in self.cas))
        trust = loadTrust(self.theirs, lists).withOurs([OURS])
        self.assertEqual(trust.ours, (OURS,))
        self.assertEqual(len(trust.others), 2)
        for ca in self.cas:
            self.assertTrue(trust.hasListOf(ca.name))
        self.assertFalse(trust.hasListOf(OURS.subject))

    def test_few(self) -> None:
        """
        None of them must be there.
        """
        trust = loadTrust(None, None)
        self.assertEqual((trust.others, trust.hasListOf(OURS.subject)), ((), False))

    def test_bad(self) -> None:
        """
        What is not what it should be is refused by its name.
        """
        empty = self.file("empty")
        broken = self.file(
            "broken", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
        unknown = self.file("unknown", unknownVersion(OURS.public_bytes(Encoding.PEM)))
        brokenList = self.file("list", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        for files, words in (
            ((empty, None), f"{empty} is no certificate"),
            ((broken, None), f"{broken} is no certificate"),
            ((unknown, None), f"{unknown} is no certificate"),
            ((None, self.ours), "is no revocation list"),
            ((None, brokenList), "is no revocation list"),
            ((None, "/no/such"), "/no/such"),
        ):
            e = self.assertRaises(CredentialError, loadTrust, *files)
            self.assertIn(words, str(e))

    def test_both(self) -> None:
        """
        An authority of our own cannot be one of the sites' PKI beside that.
        """
        trust = loadTrust(self.file("both", self.cas[0].certificate, OURS), None)
        e = self.assertRaises(CredentialError, trust.withOurs, [OURS])
        self.assertIn("leave it in the one only", str(e))
        self.assertEqual(len(trust.withOurs([self.cas[1].certificate]).others), 2)


class TrustTests(SynchronousTestCase):
    """
    Tests of L{Trust}.
    """

    def test_signed(self) -> None:
        """
        Our own authority's signature is told from another's, of whatever name.
        """
        trust = Trust([OURS])
        self.assertTrue(trust.hasSigned(ceCredentials().certificate))
        self.assertFalse(trust.hasSigned(ceCredentials(signer="others").certificate))
        twin = SiteCA()
        self.assertFalse(Trust([SiteCA().certificate]).hasSigned(twin.issue("x").certificate))
        self.assertTrue(Trust([twin.certificate]).hasSigned(twin.issue("x").certificate))

    def test_newestList(self) -> None:
        """
        Of several lists of one authority the last one is told of.
        """
        ca = SiteCA()
        lists = [ca.revoke(begin=now() - days * DAY) for days in (3, 1, 2)]
        self.assertIs(Trust([OURS], (), lists).listOf(ca.name), lists[1])
