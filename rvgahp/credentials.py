# -*- test-case-name: tests.test_credentials -*-
"""
Keys and certificates as files: made, and read with every check that a daemon's
start should fail on.  Layer 3; L{rvgahp.certificates} and C{cryptography}.

An authority's directory has C{ca.crt} and C{ca.key}.  A proxy's has
C{host.crt}, C{host.key} and C{ca.crt}, a CE's C{ce.crt}, C{ce.key} and
C{ca.crt}.  Keys are unencrypted PKCS#8 in PEM, readable by their owner alone.
No file appears before it is whole, and none that is there is replaced unless
that is asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from rvgahp.accesssample import CE_SAMPLE
from rvgahp.certificates import CA_LIFETIME, LEAF_LIFETIME, Authority, makeKey, siteOf
from rvgahp.errors import CredentialError
from rvgahp.files import makeDirectory, readFile, refuseExisting, writeFile
from rvgahp.keyexchange import fittingKey

__all__ = [
    "Credentials",
    "loadAuthority",
    "loadCredentials",
    "makeCA",
    "makeCECredentials",
    "makeHostCredentials",
    "siteOf",
]

_PURPOSES = {
    "proxy": (ExtendedKeyUsageOID.SERVER_AUTH, "servers"),
    "ce": (ExtendedKeyUsageOID.CLIENT_AUTH, "clients"),
}

_PRIVATE = 0o600
_PUBLIC = 0o644


@dataclass(frozen=True)
class Credentials:
    """
    What a daemon proves itself with, and whom it believes.

    @ivar certificatePEM: Its certificate in PEM, perhaps with intermediate ones
        after it.
    @ivar keyPEM: Its private key in PEM.  Secret.
    @ivar caPEM: The authorities whose word on the other side counts, in PEM.
    @ivar certificate: The first certificate of C{certificatePEM}.
    """

    certificatePEM: bytes = field(repr=False)  # a proxy certificate's file has the key, too
    keyPEM: bytes = field(repr=False)
    caPEM: bytes
    certificate: x509.Certificate


def makeCA(
    directory: str | os.PathLike[str], lifetime: timedelta = CA_LIFETIME, *, replace: bool = False
) -> list[str]:
    """
    Make an authority: C{ca.crt} and C{ca.key}.

    @param directory: Where; made if need be, for its owner alone.
    @param lifetime: For how long its certificate is to be valid.
    @param replace: Whether files that are there may be replaced.  All that the
        old authority signed is worthless then.
    @return: The paths of the files that were written.
    @raise CredentialError: A file is there already, or cannot be written.
    """
    key = makeKey()
    authority = Authority.new(key, _now(), lifetime)
    return _writePair(os.fspath(directory), "ca", key, authority.certificate, replace)


def makeHostCredentials(
    directory: str | os.PathLike[str],
    host: str,
    addresses: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    lifetime: timedelta = LEAF_LIFETIME,
    *,
    replace: bool = False,
) -> list[str]:
    """
    Make the credentials of a proxy: C{host.crt}, C{host.key} and C{ca.crt}.

    @param directory: The authority's directory.
    @param host: The name or address that CEs dial.
    @param addresses: More names and addresses.
    @param out: Where they go; by default the authority's directory.
    @param lifetime: For how long the certificate is to be valid.
    @param replace: Whether files that are there may be replaced.
    @return: The paths of the files that were written.
    @raise CredentialError: The authority cannot be read or is not valid, there
        can be no such host, or a file is there already or cannot be written.
    """
    key, authority = makeKey(), loadAuthority(directory)
    certificate = authority.issueHost(key.public_key(), host, addresses, _now(), lifetime)
    return _writeLeaf(authority, directory, out, "host", key, certificate, replace)


def makeCECredentials(
    directory: str | os.PathLike[str],
    site: str,
    out: str | os.PathLike[str] | None = None,
    lifetime: timedelta = LEAF_LIFETIME,
    *,
    replace: bool = False,
) -> list[str]:
    """
    Make the credentials of a CE: C{ce.crt}, C{ce.key} and C{ca.crt}.

    @param directory: The authority's directory.
    @param site: The site's name.
    @param out: Where they go; by default the authority's directory.
    @param lifetime: For how long the certificate is to be valid.
    @param replace: Whether files that are there may be replaced.
    Beside them goes a commented sample of an access file, where there is none yet.

    @return: The paths of the files that were written.
    @raise ConfigurationError: There can be no such site.
    @raise CredentialError: As by L{makeHostCredentials}.
    """
    key, authority = makeKey(), loadAuthority(directory)
    certificate = authority.issueCE(key.public_key(), site, _now(), lifetime)
    written = _writeLeaf(authority, directory, out, "ce", key, certificate, replace)
    access = os.path.join(directory if out is None else out, "access")
    if not os.path.lexists(access):
        writeFile(access, CE_SAMPLE.encode(), _PUBLIC, replace=False)
        written.append(access)
    return written


def loadAuthority(directory: str | os.PathLike[str]) -> Authority:
    """
    The authority of a directory.

    @raise CredentialError: It is not there, or cannot be used.
    """
    certFile = os.path.join(directory, "ca.crt")
    keyFile = os.path.join(directory, "ca.key")
    certificate = _certificates(certFile, readFile(certFile))[0]
    key = _key(keyFile, _secret(keyFile))
    _checkFits(certFile, certificate, keyFile, key)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialError(
            f"The key {keyFile} is of another kind than this program makes: have the "
            "authority's own tools sign the certificate."
        )
    return Authority(certificate, key)


def loadCredentials(
    certFile: str,
    keyFile: str,
    caFile: str,
    role: str | None = None,
    now: datetime | None = None,
    grace: timedelta | None = None,
) -> Credentials:
    """
    A daemon's credentials.

    @param certFile: The path of its certificate (C{RVGAHP_CERTFILE}).
    @param keyFile: The path of its private key (C{RVGAHP_KEYFILE}).
    @param caFile: The path of the authorities (C{RVGAHP_CAFILE}).
    @param role: C{"proxy"} or C{"ce"}, to see that the certificate is of the
        kind that the other side lets pass for it.
    @param now: The time, with its zone; by default the clock's.
    @param grace: For how long after its end the daemon's certificate will do, which then
        does before its beginning, too; L{None}: it must be valid.
    @raise CredentialError: A file cannot be read, is not what it should be, or
        is not valid now; or the key is not the certificate's, or can be read by
        others.  The sentence names the file, and the remedy.
    """
    now = now or _now()
    certificatePEM = readFile(certFile)
    certificate = _certificates(certFile, certificatePEM)[0]
    if role is not None:
        _checkPurpose(certFile, certificate, role)
    keyPEM = fittingKey(_secret(keyFile), certificate)
    _checkFits(certFile, certificate, keyFile, _key(keyFile, keyPEM))
    problem = _validityProblem(certificate, now, grace)
    if problem:
        raise CredentialError(f"The certificate {certFile} {problem}")
    caPEM = readFile(caFile)
    problems = [_validityProblem(ca, now) for ca in _certificates(caFile, caPEM)]
    if all(problems):
        raise CredentialError(f"The authority's certificate {caFile} {problems[0]}")
    return Credentials(certificatePEM, keyPEM, caPEM, certificate)


def _now() -> datetime:
    """
    The time.
    """
    return datetime.now(timezone.utc)


def _writePair(
    directory: str,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    replace: bool,
) -> list[str]:
    """
    Write a certificate and its key, the key first.
    """
    certFile = os.path.join(directory, f"{name}.crt")
    keyFile = os.path.join(directory, f"{name}.key")
    makeDirectory(directory)
    if not replace:
        refuseExisting(certFile, keyFile)
    keyPEM = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    writeFile(keyFile, keyPEM, _PRIVATE, replace=replace)
    writeFile(certFile, certificate.public_bytes(Encoding.PEM), _PUBLIC, replace=replace)
    return [certFile, keyFile]


def _writeLeaf(
    authority: Authority,
    directory: str | os.PathLike[str],
    out: str | os.PathLike[str] | None,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    replace: bool,
) -> list[str]:
    """
    Write a certificate, its key, and beside them the authority's certificate.
    """
    target = os.fspath(directory if out is None else out)
    caFile = os.path.join(target, "ca.crt")
    caPEM = authority.certificate.public_bytes(Encoding.PEM)
    known = os.path.exists(caFile) and readFile(caFile) == caPEM
    if not (known or replace):
        refuseExisting(caFile)
    written = _writePair(target, name, key, certificate, replace)
    if not known:
        writeFile(caFile, caPEM, _PUBLIC, replace=replace)
        written.append(caFile)
    return written


def _secret(path: str) -> bytes:
    """
    The contents of a private key's file.

    @raise CredentialError: Others than its owner may read or write it.
    """
    content = readFile(path)
    if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(
            f"The key {path} can be used by others than its owner: chmod 600 {path}"
        )
    return content


def _certificates(path: str, content: bytes) -> list[x509.Certificate]:
    """
    The certificates of a file, at least one.
    """
    try:
        return x509.load_pem_x509_certificates(content)
    except (ValueError, x509.InvalidVersion) as e:
        raise CredentialError(f"{path} is no certificate in PEM.") from e


def _key(path: str, content: bytes) -> Any:
    """
    The private key of a file.
    """
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise CredentialError(
            f"The key {path} is protected by a passphrase, which no daemon can be asked for: "
            f"openssl pkey -in {path} -out a file without one."
        ) from None
    except ValueError:  # Without its words: they are about the inside of a key.
        raise CredentialError(f"{path} is no private key in PEM.") from None


def _checkFits(certFile: str, certificate: x509.Certificate, keyFile: str, key: Any) -> None:
    """
    See that a key is a certificate's.
    """
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise CredentialError(
            f"The key {keyFile} is not that of the certificate {certFile}: put the two that were "
            "made together in place."
        )


def _checkPurpose(certFile: str, certificate: x509.Certificate, role: str) -> None:
    """
    See that a certificate is for a server or for a client, as its daemon is;
    one that does not say is for both.
    """
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError as e:
        raise CredentialError(f"The certificate {certFile} is malformed.") from e
    wanted, word = _PURPOSES[role]
    if wanted not in usage:
        raise CredentialError(
            f"The certificate {certFile} is not for TLS {word}, which the {role} is: the proxy "
            "needs a host certificate, a CE one for its site."
        )


def _validityProblem(
    certificate: x509.Certificate, now: datetime, grace: timedelta | None = None
) -> str:
    """
    The end of a sentence about a certificate that is not valid now, C{""} for
    one that is.
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin and grace is None:
        return f"is not valid before {begin:%Y-%m-%d %H:%M} UTC: is this machine's clock right?"
    if now - (grace or timedelta()) > end:
        return f"has expired, on {end:%Y-%m-%d %H:%M} UTC: have a new one made."
    return ""
