"""
Credentials for tests, in memory: an authority, its proxies and its sites.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from rvgahp.certificates import Authority, makeKey
from rvgahp.credentials import Credentials

HOST = "proxy.example.org"
SITE = "site.example"

#: Days before now at which an expired certificate was made.
_AGO = timedelta(days=30)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def written(credentials: Credentials, directory: Path) -> dict[str, str]:
    """
    @return: the settings of a CE with these credentials, which are written there.
    """
    values = {}
    for setting, name, content in (
        ("RVGAHP_CERTFILE", "ce.crt", credentials.certificatePEM),
        ("RVGAHP_KEYFILE", "ce.key", credentials.keyPEM),
        ("RVGAHP_CAFILE", "ca.crt", credentials.caPEM),
    ):
        path = directory / name
        path.touch(0o600)
        path.write_bytes(content)
        values[setting] = str(path)
    return values


@cache
def authority(name: str) -> Authority:
    """
    @param name: tells authorities from one another; it stands nowhere in them.
    @return: an authority, the same one for each call.
    """
    return Authority.new(makeKey(), _now() - 2 * _AGO)


def _credentials(
    key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, trusted: str
) -> Credentials:
    return Credentials(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        authority(trusted).certificate.public_bytes(Encoding.PEM),
        certificate,
    )


def _validity(expired: bool) -> tuple[datetime, timedelta]:
    return (_now() - _AGO, timedelta(days=1)) if expired else (_now(), _AGO)


@cache
def proxyCredentials(
    host: str = HOST, signer: str = "ours", trusted: str = "ours", expired: bool = False
) -> Credentials:
    """
    @param signer: the authority that signed the certificate.
    @param trusted: the authority whose word on the CE counts.
    @return: what a proxy has.
    """
    key = makeKey()
    certificate = authority(signer).issueHost(key.public_key(), host, (), *_validity(expired))
    return _credentials(key, certificate, trusted)


@cache
def oddCredentials(*names: x509.GeneralName) -> Credentials:
    """
    @param names: its alternative names; there may be none.
    @return: what our own authority does not make: a certificate for either role, as many
        sites' authorities sign them.
    """
    key, ours = makeKey(), authority("ours")
    begin, lifetime = _validity(False)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ours.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - lifetime)
        .not_valid_after(begin + lifetime)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return _credentials(key, builder.sign(ours._key, SHA256()), "ours")


@cache
def ceCredentials(
    site: str = SITE, signer: str = "ours", trusted: str = "ours", expired: bool = False
) -> Credentials:
    """
    @return: what the CE of C{site} has.
    """
    key = makeKey()
    certificate = authority(signer).issueCE(key.public_key(), site, *_validity(expired))
    return _credentials(key, certificate, trusted)
