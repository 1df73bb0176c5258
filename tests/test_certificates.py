"""
Tests of L{rvgahp.certificates}.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.certificates import Authority, makeKey, siteOf
from rvgahp.errors import ConfigurationError, CredentialError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    """
    An extension of a certificate.
    """
    return certificate.extensions.get_extension_for_class(kind)


class AuthorityTests(SynchronousTestCase):
    """
    Tests of L{Authority}.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.authority = Authority.new(makeKey(), NOW)
        self.public = makeKey().public_key()

    def test_authority(self) -> None:
        """
        An authority's certificate is one of an authority that may sign nothing
        but leaves, for ten years.
        """
        certificate = self.authority.certificate
        basic = extension(certificate, x509.BasicConstraints)
        self.assertTrue(basic.critical)
        self.assertEqual((basic.value.ca, basic.value.path_length), (True, 0))
        usage = extension(certificate, x509.KeyUsage)
        self.assertTrue(usage.critical)
        self.assertTrue(usage.value.key_cert_sign and usage.value.crl_sign)
        self.assertFalse(usage.value.digital_signature)
        self.assertEqual(certificate.not_valid_before_utc, NOW - timedelta(minutes=5))
        self.assertEqual(certificate.not_valid_after_utc, NOW + 3650 * DAY)
        certificate.verify_directly_issued_by(certificate)

    def test_distinct(self) -> None:
        """
        Two authorities have two names, so that a certificate of the one is
        never looked for at the other.
        """
        other = Authority.new(makeKey(), NOW).certificate
        self.assertNotEqual(other.subject, self.authority.certificate.subject)

    def test_host(self) -> None:
        """
        A host certificate has the host's names and addresses, each once, and is
        for servers only.
        """
        certificate = self.authority.issueHost(
            self.public,
            "Submit.example.org.",
            ["192.0.2.1", "[2001:db8::1]", "submit.example.org"],
            NOW,
        )
        names = extension(certificate, x509.SubjectAlternativeName)
        self.assertEqual(names.value.get_values_for_type(x509.DNSName), ["submit.example.org"])
        self.assertEqual(
            list(map(str, names.value.get_values_for_type(x509.IPAddress))),
            ["192.0.2.1", "2001:db8::1"],
        )
        self.assertEqual(
            list(extension(certificate, x509.ExtendedKeyUsage).value),
            [ExtendedKeyUsageOID.SERVER_AUTH],
        )
        self.assertEqual(certificate.not_valid_after_utc, NOW + 90 * DAY)
        self.assertEqual(certificate.public_key(), self.public)

    def test_CE(self) -> None:
        """
        A CE's certificate has its site as a URI, and is for clients only.
        """
        certificate = self.authority.issueCE(self.public, "alice@hpcc", NOW, 5 * DAY)
        names = extension(certificate, x509.SubjectAlternativeName).value
        self.assertEqual(list(names), [x509.UniformResourceIdentifier("rvgahp:site:alice@hpcc")])
        self.assertEqual(
            list(extension(certificate, x509.ExtendedKeyUsage).value),
            [ExtendedKeyUsageOID.CLIENT_AUTH],
        )
        self.assertEqual(certificate.not_valid_after_utc, NOW + 5 * DAY)
        self.assertEqual(siteOf(certificate), "alice@hpcc")

    def test_chain(self) -> None:
        """
        Leaves are no authorities and point to the authority's key; serials are
        of 128 bits and differ.
        """
        serials = set()
        for certificate in (
            self.authority.issueCE(self.public, "a", NOW),
            self.authority.issueHost(self.public, "a.example", [], NOW),
        ):
            certificate.verify_directly_issued_by(self.authority.certificate)
            self.assertFalse(extension(certificate, x509.BasicConstraints).value.ca)
            self.assertEqual(
                extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier,
                extension(self.authority.certificate, x509.SubjectKeyIdentifier).value.digest,
            )
            self.assertLessEqual(certificate.serial_number.bit_length(), 128)
            self.assertGreater(certificate.serial_number.bit_length(), 90)
            serials.add(certificate.serial_number)
        self.assertEqual(len(serials), 2)

    def test_independentVerifier(self) -> None:
        """
        C{cryptography}'s own verifier, which is stricter than OpenSSL, takes
        the host's as a server's and the CE's as a client's, and not the other
        way round.
        """
        host = self.authority.issueHost(self.public, "a.example", [], NOW)
        ce = self.authority.issueCE(self.public, "a", NOW)
        policy = PolicyBuilder().store(Store([self.authority.certificate])).time(NOW)
        server = policy.build_server_verifier(x509.DNSName("a.example"))
        server.verify(host, [])
        self.assertRaises(VerificationError, server.verify, ce, [])
        if hasattr(policy, "build_client_verifier"):  # Since cryptography 43.
            client = policy.build_client_verifier()
            client.verify(ce, [])
            self.assertRaises(VerificationError, client.verify, host, [])

    def test_longNames(self) -> None:
        """
        A name too long for a common name makes an empty subject and a critical
        alternative name, and is not cut.
        """
        site = "s" * 253
        certificate = self.authority.issueCE(self.public, site, NOW)
        self.assertEqual(list(certificate.subject), [])
        self.assertTrue(extension(certificate, x509.SubjectAlternativeName).critical)
        self.assertEqual(siteOf(certificate), site)
        short = self.authority.issueCE(self.public, "s" * 64, NOW)
        self.assertEqual(short.subject.rfc4514_string(), "CN=" + "s" * 64)
        self.assertFalse(extension(short, x509.SubjectAlternativeName).critical)

    def test_notLongerThanTheAuthority(self) -> None:
        """
        No certificate outlives its authority, and an authority that is not
        valid signs nothing.
        """
        authority = Authority.new(makeKey(), NOW, 10 * DAY)
        certificate = authority.issueCE(self.public, "a", NOW)
        self.assertEqual(certificate.not_valid_after_utc, NOW + 10 * DAY)
        for when in (NOW - DAY, NOW + 10 * DAY):
            e = self.assertRaises(CredentialError, authority.issueCE, self.public, "a", when)
            self.assertIn("2026-03-11", str(e))

    def test_impossible(self) -> None:
        """
        Names that can be no host's and no site's are refused.
        """
        for host in ("", "*.example.org", "a b", "a.example:443", "http://a"):
            self.assertRaises(CredentialError, self.authority.issueHost, self.public, host, [], NOW)
        self.assertRaises(
            CredentialError, self.authority.issueHost, self.public, "a", ["192.0.2.0/24"], NOW
        )
        self.assertRaises(ConfigurationError, self.authority.issueCE, self.public, "a/b", NOW)

    def test_otherZone(self) -> None:
        """
        The time may be given in any zone.
        """
        there = NOW.astimezone(timezone(timedelta(hours=9)))
        certificate = self.authority.issueCE(self.public, "a", there)
        self.assertEqual(certificate.not_valid_after_utc, NOW + 90 * DAY)


class SiteOfTests(SynchronousTestCase):
    """
    Tests of L{siteOf}.
    """

    def certificate(self, *names: x509.GeneralName) -> x509.Certificate:
        """
        A certificate with these alternative names, such as any other program
        may have made.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + DAY)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())

    def test_among(self) -> None:
        """
        The site is found among other names.
        """
        certificate = self.certificate(
            x509.DNSName("a.example"),
            x509.UniformResourceIdentifier("spiffe://x/y"),
            x509.UniformResourceIdentifier("rvgahp:site:hpcc"),
        )
        self.assertEqual(siteOf(certificate), "hpcc")

    def test_refused(self) -> None:
        """
        No site, several sites and impossible ones are refused.
        """
        uri = x509.UniformResourceIdentifier
        for names in (
            [],
            [x509.DNSName("hpcc")],
            [uri("rvgahp:sites:hpcc")],
            [uri("rvgahp:site:")],
            [uri("rvgahp:site:a/b")],
            [uri("rvgahp:site:a"), uri("rvgahp:site:b")],
            [uri("rvgahp:site:a"), uri("rvgahp:site:a")],
        ):
            e = self.assertRaises(CredentialError, siteOf, self.certificate(*names))
            self.assertTrue(str(e).isprintable())
