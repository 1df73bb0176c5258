"""
Certificates on files that no honest authority would sign, or no longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from rvgahp.certificates import makeKey

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

_DAY = timedelta(days=1)


def site(name: str) -> x509.GeneralName:
    """
    @return: the alternative name of a site.
    """
    return x509.UniformResourceIdentifier(f"rvgahp:site:{name}")


def forge(
    authority: Path,
    target: Path,
    name: str,
    names: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    days: int = 1,
) -> None:
    """
    Make C{name.crt} and C{name.key} in C{target}.

    @param authority: the directory of the one that signs.
    @param names: the alternative names.
    @param purpose: what it is for.
    @param days: for how many days from now it is valid; it has been for 200.
    """
    key = makeKey()
    issuer = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    signer = load_pem_private_key((authority / "ca.key").read_bytes(), None)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 200 * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    certificate = builder.sign(signer, SHA256())  # type: ignore[arg-type]  # ours is for ECDSA
    keyFile = target / f"{name}.key"
    keyFile.touch(0o600)
    keyFile.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (target / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
