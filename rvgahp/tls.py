# -*- test-case-name: tests.test_tls -*-
"""
TLS for the control connection: 1.3, a certificate of the proxy's and, but for enrolment,
one of the CE's.

Layer 3.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import VERIFY_PEER, Connection
from OpenSSL.SSL import Error as OpenSSLError
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rvgahp.errors import CredentialError

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL.crypto import X509

    from rvgahp.credentials import Credentials

#: OpenSSL's words for what goes wrong most often, and ours.
_EXPLANATIONS = (
    ("certificate expired", "our certificate has expired, it says"),
    ("unknown ca", "it does not know the authority (CA) that signed our certificate"),
    ("bad certificate", "it refuses our certificate"),
    ("certificate required", "it wants a certificate of ours"),
    ("unsupported certificate", "our certificate is not for this role, it says"),
    ("peer did not return a certificate", "it showed no certificate"),
    # OpenSSL does not tell which; the other side is told, in the alert.
    (
        "certificate verify failed",
        "its certificate cannot be verified: its authority (CA) is not one we know, or it has"
        " expired, or it is for another role",
    ),
    ("unsupported protocol", "it does not speak TLS 1.3"),
    ("protocol version", "it does not speak TLS 1.3"),
    ("version too low", "it does not speak TLS 1.3"),
    ("wrong version number", "it does not speak TLS"),
    ("http request", "it speaks HTTP, not TLS"),
)


#: OpenSSL's C{X509_V_ERR_CERT_HAS_EXPIRED} (C{include/openssl/x509_vfy.h.in}).
_HAS_EXPIRED = 10

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def _certificates(pem: bytes) -> list[Certificate]:
    return [Certificate.loadPEM(_BEGIN + part) for part in pem.split(_BEGIN)[1:]]


def _authorities(credentials: Credentials) -> Any:
    return trustRootFromCertificates(_certificates(credentials.caPEM))


def _chain(credentials: Credentials) -> list[Any]:
    """
    @return: the intermediate certificates that follow our own in its file.
    """
    return [one.original for one in _certificates(credentials.certificatePEM)[1:]]


def _identity(credentials: Credentials) -> PrivateCertificate:
    pem = credentials.certificatePEM + b"\n" + credentials.keyPEM
    identity: PrivateCertificate = PrivateCertificate.loadPEM(pem)
    return identity


def serverOptions(credentials: Credentials, grace: float = 0.0) -> CertificateOptions:
    """
    @param grace: seconds for which a CE's certificate passes after its end; it is good for
        renewal only, then, and that is for others to see to.
    @return: the proxy's half: if the CE shows a certificate, it must be of our CA.
    """
    identity = _identity(credentials)
    options = CertificateOptions(
        privateKey=identity.privateKey.original,
        certificate=identity.original,
        extraCertChain=_chain(credentials),
        trustRoot=_authorities(credentials),
        raiseMinimumTo=TLSVersion.TLSv1_3,
    )
    # Without VERIFY_FAIL_IF_NO_PEER_CERT, which Twisted has no word for beside trustRoot.
    options.getContext().set_verify(VERIFY_PEER, partial(_verified, grace))
    return options


def _verified(
    grace: float, _: Connection, certificate: X509, error: int, depth: int, isGood: int
) -> bool:
    """
    OpenSSL's question for each certificate of a CE's chain.
    """
    if isGood or (error, depth) != (_HAS_EXPIRED, 0):
        return bool(isGood)
    latest = datetime.now(timezone.utc) - timedelta(seconds=grace)
    return latest <= certificate.to_cryptography().not_valid_after_utc


@implementer(IOpenSSLServerConnectionCreator)
class ReplaceableContext:
    """
    The proxy's half of TLS, that new connections take as it is then.

    @ivar options: what L{serverOptions} returned.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self.options = options

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:
        """
        Called by Twisted for each connection.
        """
        return Connection(self.options.getContext(), None)


def clientOptions(credentials: Credentials, host: str) -> Any:
    """
    @param host: the name or address that the proxy's certificate must bear.
    @return: the CE's half.
    """
    return optionsForClientTLS(
        host,
        trustRoot=_authorities(credentials),
        clientCertificate=_identity(credentials),
        extraCertificateOptions={
            "raiseMinimumTo": TLSVersion.TLSv1_3,
            "extraCertChain": _chain(credentials),
        },
    )


def checkHost(connection: Connection, host: str) -> None:
    """
    See that the proxy's certificate is for C{host}, once TLS is set up.  Twisted looks
    too, but lets pass what it cannot read: a certificate without alternative names, or
    with a URI such as that of a CE's.

    @raise CredentialError: it is not.
    """
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None or not isFor(certificate, host):
        raise CredentialError(f"its certificate is not for {host}")


def isFor(certificate: x509.Certificate, host: str) -> bool:
    """
    @return: whether a certificate has the name or address of C{host}.
    """
    isAddress = isIPAddress(host) or isIPv6Address(host)
    verify = verify_certificate_ip_address if isAddress else verify_certificate_hostname
    try:
        verify(certificate, host)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def explain(reason: Failure, host: str = "") -> str:
    """
    @param host: the name that the other side's certificate should bear.
    @return: why a TLS connection ended, as a clause for people.
    """
    error = reason.value
    if isinstance(error, VerificationError):
        return f"its certificate is not for {host}"
    if isinstance(error, OpenSSLError):
        words = str(error.args).lower()
        for theirs, ours in _EXPLANATIONS:
            if theirs in words:
                return ours
        return f"TLS failed ({words})"
    if isinstance(error, ConnectionDone):
        return "it closed the connection"
    if isinstance(error, ConnectionLost):
        return "the connection broke"
    return str(error) or type(error).__name__
