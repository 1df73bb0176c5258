"""
A site's own PKI, in memory: an authority, whom it has signed, proxy certificates (RFC 3820),
revocation lists.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rvgahp.certificates import Authority, makeKey
from rvgahp.credentials import Credentials
from tests.identities import authority

FULL = "2b06010505071501"
INDEPENDENT = "2b06010505071502"
LIMITED = "2b060104019b50010101" + "09"
PROXY_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(timezone.utc)


def named(*values: str) -> x509.Name:
    """
    @return: C{/DC=org/DC=example/CN=...}.
    """
    parts = [(NameOID.DOMAIN_COMPONENT, "org"), (NameOID.DOMAIN_COMPONENT, "example")]
    parts += [(NameOID.COMMON_NAME, value) for value in values]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


class Entity:
    """
    Somebody with a key and a certificate.

    @ivar chain: its certificate, then those of who signed it, without the authority's.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]) -> None:
        self.key = key
        self.chain = list(chain)

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    def credentials(self, trusted: str = "ours") -> Credentials:
        """
        @return: what a CE of it has; it trusts the proxy's authority.
        """
        return Credentials(
            b"".join(one.public_bytes(Encoding.PEM) for one in self.chain),
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            authority(trusted).certificate.public_bytes(Encoding.PEM),
            self.certificate,
        )

    def proxy(
        self,
        language: str = FULL,
        pathLength: int | None = None,
        signer: Entity | None = None,
        name: str = "4711",
        lifetime: timedelta = DAY / 2,
        uri: str = "",
    ) -> Entity:
        """
        @param language: of its policy.
        @param signer: who signs it in our place.
        @return: a proxy of it.
        """
        key = makeKey()
        last = x509.NameAttribute(NameOID.COMMON_NAME, name)
        subject = x509.Name([*self.certificate.subject, last])
        builder = _begun(key, subject, self.certificate.subject, now() - DAY, now() + lifetime)
        builder = builder.add_extension(
            x509.UnrecognizedExtension(PROXY_INFO, _proxyInfo(language, pathLength)), critical=True
        ).add_extension(_usage(False), critical=True)
        if uri:
            names = [x509.UniformResourceIdentifier(uri)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign((signer or self).key, SHA256())
        return Entity(key, [signed, *self.chain])


class SiteCA:
    """
    An authority of the sites' PKI.
    """

    def __init__(self, name: str = "CA", key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.key = key or makeKey()
        self.name = named(name)
        begin, end = now() - 60 * DAY, now() + 3650 * DAY
        self.certificate = (
            _begun(self.key, self.name, self.name, begin, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(True), critical=True)
            .sign(self.key, SHA256())
        )

    def issue(
        self,
        *names: str,
        subject: x509.Name | None = None,
        uri: str = "",
        begin: datetime | None = None,
        end: datetime | None = None,
        isAuthority: bool = False,
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    ) -> Entity:
        """
        @return: somebody with a certificate for clients.
        """
        key = makeKey()
        subject = named(*names) if subject is None else subject
        builder = _begun(key, subject, self.name, begin or now() - DAY, end or now() + 30 * DAY)
        if isAuthority:
            builder = builder.add_extension(
                x509.BasicConstraints(ca=True, path_length=None), critical=True
            )
        else:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(_usage(isAuthority), critical=True)
        if uri:
            alternative = [x509.UniformResourceIdentifier(uri)]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternative), critical=False
            )
        return Entity(key, [builder.sign(self.key, SHA256())])

    def issueLatin(self) -> Entity:
        """
        @return: somebody whose name is of the type T61String and has Latin-1 in it, as old
            certificates have; OpenSSL reads it, C{cryptography} does not.
        """
        entity = self.issue("abcdef")
        body = entity.certificate.tbs_certificate_bytes
        assert body.count(b"\x0c\x06abcdef") == 1
        body = body.replace(b"\x0c\x06abcdef", b"\x14\x06abcd\xe9f")
        signature = b"\0" + self.key.sign(body, ec.ECDSA(SHA256()))
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
        rest = algorithm + bytes([0x03, len(signature)]) + signature
        size = (len(body) + len(rest)).to_bytes(2, "big")
        der = b"\x30\x82" + size + body + rest
        return Entity(entity.key, [x509.load_der_x509_certificate(der)])

    def revoke(self, *revoked: Entity, **times: Any) -> x509.CertificateRevocationList:
        """
        @return: a revocation list; see L{revocationList}.
        """
        return revocationList(Authority(self.certificate, self.key), *revoked, **times)


def unknownVersion(pem: bytes) -> bytes:
    """
    @return: a certificate in PEM, of a version that there is not: OpenSSL reads it,
        C{cryptography} does not.
    """
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    third = bytes.fromhex("a003020102")
    assert der.count(third) == 1
    return ssl.DER_cert_to_PEM_cert(der.replace(third, third[:-1] + b"\x07")).encode()


def revocationList(
    signer: Authority,
    *revoked: Entity | Credentials,
    begin: datetime | None = None,
    end: datetime | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> x509.CertificateRevocationList:
    """
    @param key: another's, with which it is signed and which it names.
    @return: a revocation list of C{signer}.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(begin or now() - DAY)
        .next_update(end or now() + DAY)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(one.certificate.serial_number)
            .revocation_date(now() - DAY)
            .build()
        )
    if key is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key or signer._key, SHA256())


def _begun(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _usage(isAuthority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not isAuthority,
        key_cert_sign=isAuthority,
        crl_sign=isAuthority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _proxyInfo(language: str, pathLength: int | None) -> bytes:
    """
    @return: ProxyCertInfo in DER.
    """
    oid = bytes.fromhex(language)
    policy = bytes([0x06, len(oid)]) + oid
    info = bytes([0x30, len(policy)]) + policy
    if pathLength is not None:
        info = bytes([0x02, 0x01, pathLength]) + info
    return bytes([0x30, len(info)]) + info
