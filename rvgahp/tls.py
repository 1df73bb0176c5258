# -*- test-case-name: tests.test_tls -*-
"""
TLS for the control connection: 1.3; the proxy shows a certificate, and the CE may.

Layer 3.  Contexts are made here and not by Twisted's C{CertificateOptions}, which leaves
no room for revocation lists, for RFC 3820, nor for a reason why a certificate is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import InvalidVersion
from OpenSSL.SSL import (
    OP_NO_TICKET,
    SESS_CACHE_OFF,
    TLS1_3_VERSION,
    TLS_METHOD,
    VERIFY_PEER,
    Connection,
    Context,
)
from OpenSSL.SSL import X509VerificationCodes as Codes
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.logger import Logger
from zope.interface import implementer

from rvgahp import limits
from rvgahp.tlsreasons import PeerRefused, explain, nameOf, refusal
from rvgahp.trust import Trust, certificatesIn

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from OpenSSL.crypto import X509

    from rvgahp.credentials import Credentials
    from rvgahp.peerchain import PeerChain

__all__ = ["ClientTLS", "ServerTLS", "checkHost", "clientOptions", "explain", "nameOf", "peerOf"]
__all__ += ["serverOptions", "utcNow"]

_CONTEXT_AGE = timedelta(seconds=limits.TLS_CONTEXT_AGE)


def utcNow() -> datetime:
    """
    The time.
    """
    return datetime.now(timezone.utc)


class _TLS:
    """
    One side's half of TLS: makes a C{Connection} for each connection, of the credentials
    that it has at that time.
    """

    def __init__(
        self, credentials: Credentials, trust: Trust | None, now: Callable[[], datetime]
    ) -> None:
        """
        @param trust: as for L{replace}.
        @param now: tells the time, with its zone.
        """
        self._now = now
        self.replace(credentials, trust)

    def replace(self, credentials: Credentials, trust: Trust | None = None) -> None:
        """
        For all connections from now on.

        @param trust: whose word counts; by default that of the credentials' authorities.
        """
        self._credentials = credentials
        self._trust = trust or Trust(certificatesIn(credentials.caPEM))
        self._context: tuple[Context, datetime] | None = None

    def _connection(self) -> Connection:
        now = self._now()
        if self._context is None or abs(now - self._context[1]) >= _CONTEXT_AGE:
            self._context = self._makeContext(now), now
        return Connection(self._context[0], None)

    def _makeContext(self, now: datetime) -> Context:
        context = Context(TLS_METHOD)
        context.set_min_proto_version(TLS1_3_VERSION)
        # A resumed connection would have its peer's certificate of earlier, whatever has
        # become of it since.
        context.set_options(OP_NO_TICKET)
        context.set_session_cache_mode(SESS_CACHE_OFF)
        ours, *chain = certificatesIn(self._credentials.certificatePEM)
        context.use_certificate(ours)
        context.use_privatekey(_privateKey(self._credentials))
        for certificate in chain:
            context.add_extra_chain_cert(certificate)
        store = context.get_cert_store()
        assert store is not None
        store.set_time(now)
        self._trust.fill(store)
        context.set_verify(VERIFY_PEER, self._verify)
        context.set_app_data(self._trust)
        return context

    def _verify(
        self, connection: Connection, shown: X509, code: int, depth: int, isGood: int
    ) -> bool:
        """
        What OpenSSL asks about each certificate of a chain.

        @raise PeerRefused: it is not good enough.
        """
        try:
            certificate = shown.to_cryptography()
            if not isGood:
                self._objected(connection.get_context().get_app_data(), certificate, code, depth)
            if depth == 0:
                self._checkLeaf(certificate)
        except PeerRefused:
            raise
        except (ValueError, InvalidVersion):  # such as a name in Latin-1: strangers show that
            raise PeerRefused("its certificate cannot be read") from None
        except Exception:
            # Anything else would pass by those who wait for the end of the handshake.
            Logger().failure("A bug in looking at a certificate")
            raise PeerRefused("its certificate cannot be read") from None
        return True

    def _objected(self, trust: Trust, certificate: Certificate, code: int, depth: int) -> None:
        if code == Codes.ERR_UNABLE_TO_GET_CRL and not trust.hasListOf(certificate.issuer):
            return  # that authority publishes none
        if depth or not self._passes(trust, certificate, code):
            raise refusal(code, certificate, trust, self._now())

    def _passes(self, trust: Trust, certificate: Certificate, code: int) -> bool:
        """
        @return: whether to let pass what OpenSSL objects to in the other side's own
            certificate.
        """
        return False

    def _checkLeaf(self, certificate: Certificate) -> None:
        """
        @raise PeerRefused: the other side's own certificate is not the one we want.
        """


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS(_TLS):
    """
    The proxy's half: the CE may show a certificate.

    @ivar grace: for how long after its end a certificate passes that one of our own
        authorities has signed; it does before its beginning, too, for clocks are set back.
        Whoever it is for has to look at L{PeerChain.begin} and L{PeerChain.end}.
    """

    grace = timedelta()

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:
        return self._connection()

    def _passes(self, trust: Trust, certificate: Certificate, code: int) -> bool:
        late = self._now() - certificate.not_valid_after_utc
        isNear = code == Codes.ERR_CERT_NOT_YET_VALID or (
            code == Codes.ERR_CERT_HAS_EXPIRED and late < self.grace
        )
        return isNear and trust.hasSigned(certificate)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS(_TLS):
    """
    The CE's half: the proxy must show a certificate for the host that is dialled.

    @ivar host: its name or address.
    """

    host = ""

    def clientConnectionForTLS(self, tlsProtocol: object) -> Connection:
        connection = self._connection()
        if not _isAddress(self.host):
            connection.set_tlsext_host_name(self.host.rstrip(".").encode("idna"))
        return connection

    def _checkLeaf(self, certificate: Certificate) -> None:
        checkHost(certificate, self.host)


def serverOptions(
    credentials: Credentials,
    trust: Trust | None = None,
    grace: float = 0.0,
    now: Callable[[], datetime] = utcNow,
) -> ServerTLS:
    """
    @param trust: as for L{ServerTLS.replace}.
    @param grace: seconds; see L{ServerTLS}.
    @param now: tells the time, with its zone.
    @return: the proxy's half.
    """
    options = ServerTLS(credentials, trust, now)
    options.grace = timedelta(seconds=grace)
    return options


def clientOptions(
    credentials: Credentials,
    host: str,
    trust: Trust | None = None,
    now: Callable[[], datetime] = utcNow,
) -> ClientTLS:
    """
    @param host: the name or address that the proxy's certificate must bear.
    @return: the CE's half.
    """
    options = ClientTLS(credentials, trust, now)
    options.host = host
    return options


def peerOf(connection: Connection) -> PeerChain | None:
    """
    @param connection: one of ours, after the handshake.
    @return: what the other side has shown; L{None} for nothing.
    @raise CredentialError: it cannot be read.
    """
    chain = connection.get_verified_chain(as_cryptography=True)
    if not chain:
        return None
    trust: Trust = connection.get_context().get_app_data()
    return trust.chain(chain)


def checkHost(certificate: Certificate, host: str) -> None:
    """
    See that the proxy's certificate is for C{host}.

    @raise PeerRefused: it is not.
    """
    if not isFor(certificate, host):
        raise PeerRefused(f"its certificate is not for {host}")


def isFor(certificate: Certificate, host: str) -> bool:
    """
    @return: whether a certificate has the name or address of C{host}.
    """
    verify = verify_certificate_ip_address if _isAddress(host) else verify_certificate_hostname
    try:
        verify(certificate, host)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _isAddress(host: str) -> bool:
    return isIPAddress(host) or isIPv6Address(host)


def _privateKey(credentials: Credentials) -> Any:
    # Proxy certificates have their key between the certificates.
    return load_pem_private_key(credentials.keyPEM, None)
