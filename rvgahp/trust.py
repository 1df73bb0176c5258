# -*- test-case-name: tests.test_trust -*-
"""
Whose word on the other side of TLS counts: authorities, and what they have revoked.

Layer 3: L{rvgahp.files}, C{cryptography} and pyOpenSSL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from OpenSSL.crypto import X509, X509StoreFlags

from rvgahp.errors import CredentialError
from rvgahp.files import readFile
from rvgahp.peerchain import PeerChain

if TYPE_CHECKING:
    from OpenSSL.crypto import X509Store

__all__ = ["Trust", "certificatesIn", "loadTrust"]

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_TWICE = (
    "An authority is in RVGAHP_CAFILE and in RVGAHP_SITE_CAFILE: leave it in the one only, for"
    " the first lets it name sites."
)
_BEGIN_LIST = b"-----BEGIN X509 CRL-----"


def certificatesIn(pem: bytes) -> list[x509.Certificate]:
    """
    @return: the certificates in a text, each from its C{BEGIN} on; what else there is does
        not count.
    @raise ValueError: one of them is malformed.
    """
    try:
        return [x509.load_pem_x509_certificate(_BEGIN + part) for part in pem.split(_BEGIN)[1:]]
    except x509.InvalidVersion as e:
        raise ValueError(str(e)) from e


class Trust:
    """
    Never changed: another one takes its place.

    @ivar ours: our own authorities.
    @ivar others: those of the sites' PKI; only where there are any, proxy certificates
        (RFC 3820) pass.
    """

    def __init__(
        self,
        ours: Sequence[x509.Certificate],
        others: Sequence[x509.Certificate] = (),
        revoked: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        """
        @param revoked: revocation lists.
        """
        self.ours = tuple(ours)
        self.others = tuple(others)
        self._revoked = tuple(revoked)
        self._revokers = {one.issuer for one in revoked}

    def __eq__(self, other: object) -> bool:
        """
        Whether they believe the same.
        """
        return isinstance(other, Trust) and self._believed() == other._believed()

    def __hash__(self) -> int:
        """
        The same for equal ones.
        """
        return hash((self.ours, self.others))

    def _believed(self) -> tuple[object, ...]:
        return self.ours, self.others, self._revoked

    def fill(self, store: X509Store) -> None:
        """
        Have OpenSSL verify by this.
        """
        for certificate in (*self.ours, *self.others):
            store.add_cert(X509.from_cryptography(certificate))
        for one in self._revoked:
            store.add_crl(one)
        if self._revoked:
            # For all of the chain: of the first certificate alone would be of a proxy's.
            store.set_flags(X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL)
        if self.others:
            store.set_flags(X509StoreFlags.ALLOW_PROXY_CERTS)

    def withOurs(self, ours: Sequence[x509.Certificate]) -> Trust:
        """
        @return: the same, with other authorities of our own.
        @raise CredentialError: one of them is a site's.
        """
        if set(ours) & set(self.others):
            raise CredentialError(_TWICE)
        return Trust(ours, self.others, self._revoked)

    def hasListOf(self, issuer: x509.Name) -> bool:
        """
        @return: whether there is a revocation list of this authority.
        """
        return issuer in self._revokers

    def objection(self, chain: PeerChain) -> str:
        """
        Look again at a chain that has been verified before, perhaps by other files.

        @return: why it would not be now, for people; empty if it would.  Its validity is not
            looked at.
        """
        *shown, authority = chain.certificates
        if authority not in (*self.ours, *self.others):
            return "the authority (CA) that has signed its certificate does not count any more"
        for certificate, issuer in zip(shown, [*shown[1:], authority], strict=True):
            if any(_isRevoked(certificate, issuer, one) for one in self._revoked):
                return "its certificate, or one above it, has been revoked"
        return ""

    def listOf(self, issuer: x509.Name) -> x509.CertificateRevocationList | None:
        """
        @return: the revocation list of this authority that was made last.
        """
        found = [one for one in self._revoked if one.issuer == issuer]
        return max(found, key=lambda one: one.last_update_utc, default=None)

    def hasSigned(self, certificate: x509.Certificate) -> bool:
        """
        @return: whether one of our own authorities has signed it, with nobody in between.
        """
        return any(_isSigned(certificate, authority) for authority in self.ours)

    def chain(self, certificates: Sequence[x509.Certificate]) -> PeerChain:
        """
        @param certificates: what OpenSSL has verified, the authority last.
        @raise CredentialError: one of them cannot be read.
        """
        return PeerChain(certificates, self.ours, self.others)


def loadTrust(siteCAFile: str | None, crlFile: str | None) -> Trust:
    """
    Read the files.  Blocks.

    @param siteCAFile: that of RVGAHP_SITE_CAFILE, if it is set.
    @param crlFile: that of RVGAHP_CRLFILE, if it is set.
    @return: without authorities of our own.
    @raise CredentialError: one of them cannot be read or is not what it should be.
    """
    others = _authorities(siteCAFile) if siteCAFile else []
    return Trust((), others, _lists(crlFile) if crlFile else ())


def _isRevoked(
    certificate: x509.Certificate, issuer: x509.Certificate, one: x509.CertificateRevocationList
) -> bool:
    if one.issuer != issuer.subject:
        return False
    key: Any = issuer.public_key()
    found = one.get_revoked_certificate_by_serial_number(certificate.serial_number)
    return found is not None and one.is_signature_valid(key)


def _isSigned(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authorities(path: str) -> list[x509.Certificate]:
    try:
        found = certificatesIn(readFile(path))
    except ValueError:
        found = []
    if not found:
        raise CredentialError(f"{path} is no certificate in PEM.")
    return found


def _lists(path: str) -> list[x509.CertificateRevocationList]:
    parts = readFile(path).split(_BEGIN_LIST)[1:]
    try:
        found = [x509.load_pem_x509_crl(_BEGIN_LIST + part) for part in parts]
    except (ValueError, x509.InvalidVersion):
        found = []
    if not found:
        raise CredentialError(f"{path} is no revocation list (CRL) in PEM.")
    return found
