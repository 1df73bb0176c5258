# -*- test-case-name: tests.test_certificates -*-
"""
The certificates of an rvgahp: an authority's own, a proxy's host certificate,
a CE's.  Layer 2: C{cryptography} and the standard library; no files, and the
time is passed in.

All keys are ECDSA P-256 with SHA-256.  A host certificate has the proxy's names
and addresses and is for TLS servers only; a CE's has its site's name as the URI
C{rvgahp:site:NAME} and is for TLS clients only, so that neither can play the
other's part.  The forms are those of RFC 5280, with nothing left out that
OpenSSL asks for in its strict mode.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.names import SITE_URI, checkSite
from rvgahp.settingkinds import HOST

__all__ = [
    "BACKDATED",
    "CA_LIFETIME",
    "LEAF_LIFETIME",
    "Authority",
    "makeKey",
    "renewalTime",
    "renewedLifetime",
    "siteOf",
]

CA_LIFETIME = timedelta(days=3650)
"""For how long an authority's certificate is valid."""

LEAF_LIFETIME = timedelta(days=90)
"""For how long a host's or a CE's certificate is valid."""

BACKDATED = timedelta(minutes=5)
"""How far a certificate's validity begins in the past: clocks differ."""

_SERIAL_BYTES = 16
_COMMON_NAME = 64
"""The longest common name, RFC 5280's ub-common-name."""


def makeKey() -> ec.EllipticCurvePrivateKey:
    """
    A new private key.
    """
    return ec.generate_private_key(ec.SECP256R1())


def renewalTime(certificate: x509.Certificate) -> datetime:
    """
    @param certificate: one of ours.
    @return: when a third of its life is used up, and it should be renewed.
    """
    begin = certificate.not_valid_before_utc + BACKDATED
    return begin + (certificate.not_valid_after_utc - begin) / 3


def renewedLifetime(former: x509.Certificate, now: datetime, lifetime: timedelta) -> timedelta:
    """
    Where a certificate is not valid yet, this machine's clock is behind, or was ahead when it
    was made.  Nobody can tell which, so what takes its place must be good in both cases.

    @param former: the one that is renewed.
    @param lifetime: for how long certificates are to be valid.
    @return: for how long the next one is to be.
    """
    if now >= former.not_valid_before_utc:
        return lifetime
    return max(lifetime, former.not_valid_after_utc - now)


def siteOf(certificate: x509.Certificate) -> str:
    """
    The site whose CE this certificate is for.

    @param certificate: A certificate that has been verified already.
    @raise CredentialError: It has not just one C{rvgahp:site:} URI among its
        alternative names, or no site can be called so.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    sites = [uri.removeprefix(SITE_URI) for uri in uris if uri.startswith(SITE_URI)]
    if len(sites) != 1:
        raise CredentialError(
            f"The certificate names {'several sites' if sites else 'no site'}: a CE's has just "
            f"one URI {SITE_URI}NAME among its alternative names."
        )
    try:
        return checkSite(sites[0])
    except ConfigurationError as e:
        raise CredentialError(f"The certificate's site is not possible: {e}") from e


class Authority:
    """
    A certificate authority (CA): who signs host and CE certificates.

    @ivar certificate: Its own certificate.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """
        @param key: The private key that the certificate is for.  Secret.
        """
        self.certificate = certificate
        self._key = key

    @classmethod
    def new(
        cls, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta = CA_LIFETIME
    ) -> Authority:
        """
        A new authority, with a certificate signed by itself.

        @param key: Its private key.
        @param now: The time, with its zone.
        @param lifetime: For how long it is to be valid.
        """
        public = key.public_key()
        # Part of the key's own identifier: two authorities are never taken for one another.
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        name = _named(f"rvgahp CA {identifier.digest.hex()[:8]}")
        builder = (
            _begun(public, name, name, now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_keyUsage(signsCertificates=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    def issueHost(
        self,
        public: ec.EllipticCurvePublicKey,
        host: str,
        addresses: Sequence[str],
        now: datetime,
        lifetime: timedelta = LEAF_LIFETIME,
    ) -> x509.Certificate:
        """
        A certificate for the host of a proxy.

        @param public: The host's public key.
        @param host: The name or address that CEs dial (C{RVGAHP_BROKER_HOST}).
        @param addresses: More names and addresses by which it is dialled.
        @param now: The time, with its zone.
        @param lifetime: For how long it is to be valid.
        @raise CredentialError: There is no such name, or the authority itself
            is not valid now.
        """
        names = list(dict.fromkeys(_generalName(name) for name in (host, *addresses)))
        return self._issue(public, host, names, ExtendedKeyUsageOID.SERVER_AUTH, now, lifetime)

    def issueCE(
        self,
        public: ec.EllipticCurvePublicKey,
        site: str,
        now: datetime,
        lifetime: timedelta = LEAF_LIFETIME,
    ) -> x509.Certificate:
        """
        A certificate for the CE of a site.

        @param public: The CE's public key.
        @param site: The site's name.
        @param now: The time, with its zone.
        @param lifetime: For how long it is to be valid.
        @raise ConfigurationError: No site can be called so.
        @raise CredentialError: The authority itself is not valid now.
        """
        names = [x509.UniformResourceIdentifier(SITE_URI + checkSite(site))]
        return self._issue(public, site, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime)

    def _issue(
        self,
        public: ec.EllipticCurvePublicKey,
        subject: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        """
        Sign one.  It is not valid for longer than the authority.
        """
        ours = self.certificate
        if not ours.not_valid_before_utc <= now < ours.not_valid_after_utc:
            raise CredentialError(
                "The authority's own certificate is valid from "
                f"{ours.not_valid_before_utc:%Y-%m-%d} to {ours.not_valid_after_utc:%Y-%m-%d}, "
                "not now: make a new authority, or set the clock."
            )
        name = _named(subject)
        end = min(now + lifetime, ours.not_valid_after_utc)
        identifier = ours.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            _begun(public, name, ours.subject, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_keyUsage(signsCertificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
            # RFC 5280, 4.2.1.6: critical where the subject is empty.
            .add_extension(x509.SubjectAlternativeName(names), critical=not list(name))
        )
        return builder.sign(self._key, hashes.SHA256())


def _begun(
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    """
    What all certificates have in common.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(_serial())
        .not_valid_before((now - BACKDATED).astimezone(timezone.utc))
        .not_valid_after(end.astimezone(timezone.utc))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _serial() -> int:
    """
    128 random bits, never 0, which RFC 5280 forbids.
    """
    return int.from_bytes(os.urandom(_SERIAL_BYTES), "big") or 1


def _named(text: str) -> x509.Name:
    """
    A distinguished name with this common name; an empty one where it is too
    long for that, since a name cut short might be another's.
    """
    if len(text) > _COMMON_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _keyUsage(*, signsCertificates: bool) -> x509.KeyUsage:
    """
    An authority's key signs certificates and revocation lists, any other
    handshakes.
    """
    return x509.KeyUsage(
        digital_signature=not signsCertificates,
        key_cert_sign=signsCertificates,
        crl_sign=signsCertificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _generalName(text: str) -> x509.GeneralName:
    """
    A host's alternative name: of its address, or its name in the DNS.

    @raise CredentialError: It is neither.
    """
    try:
        host: str = HOST.parse(text)
    except ValueError:
        raise CredentialError(
            f"{text[:80]!a} cannot be in a host certificate: it must be {HOST.allowed}."
        ) from None
    address = _address(host)
    if address is not None:
        return x509.IPAddress(address)
    return x509.DNSName(host.removesuffix(".").lower())


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """
    The address that a text is, or L{None} for a name.
    """
    try:
        return ip_address(host)
    except ValueError:
        return None
