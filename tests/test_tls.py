"""
Tests of L{rvgahp.tls}: real handshakes in memory, good and bad.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.credentials import Credentials
from rvgahp.errors import CredentialError
from rvgahp.tls import ReplaceableContext, checkHost, clientOptions, explain, serverOptions
from tests.identities import HOST, ceCredentials, oddCredentials, proxyCredentials
from tests.tlspair import TWISTED_WARNINGS, RawPeer, TLSPair

CLOSED = "it closed the connection"
UNVERIFIED = (
    "its certificate cannot be verified: its authority (CA) is not one we know, or it has expired,"
    " or it is for another role"
)
OLD = "it does not speak TLS 1.3"


class TLSTestCase(SynchronousTestCase):
    """
    A proxy's and a CE's end with nothing above TLS.
    """

    suppress = TWISTED_WARNINGS

    def shake(self, proxyOptions: Any = None, ceOptions: Any = None) -> tuple[RawPeer, RawPeer]:
        """
        @return: the proxy's and the CE's end after all that they had to say.
        """
        proxy, ce = RawPeer(), RawPeer()
        wire = TLSPair(proxy, ce, Clock(), proxyOptions, ceOptions)
        wire.flush()
        if ce.isSecured and ce.reason is None:
            ce.send({b"x": b"y"})
            wire.flush()
        self.proxyTLS, self.ceTLS = wire.proxySide.protocol, wire.ceSide.protocol
        return proxy, ce

    def assertRefused(
        self,
        proxyOptions: Any,
        ceOptions: Any,
        proxySays: str,
        ceSays: str,
    ) -> None:
        """
        TLS does not come to be, nothing of what the CE says arrives, and each side can
        tell why.
        """
        proxy, ce = self.shake(proxyOptions, ceOptions)
        self.assertEqual(proxy.boxes, [])
        assert proxy.reason is not None and ce.reason is not None
        self.assertEqual(explain(proxy.reason), proxySays)
        self.assertEqual(explain(ce.reason, HOST), ceSays)


class HandshakeTests(TLSTestCase):
    """
    Who is let in, and who is not.
    """

    def test_good(self) -> None:
        """
        Two that trust each other have TLS 1.3, and each sees the other's certificate.
        """
        proxy, ce = self.shake()
        self.assertEqual((proxy.isSecured, ce.isSecured), (True, True))
        self.assertEqual(proxy.boxes, [{b"x": b"y"}])
        for side, other in (
            (self.proxyTLS, ceCredentials()),
            (self.ceTLS, proxyCredentials()),
        ):
            handle = side.getHandle()
            self.assertEqual(handle.get_protocol_version_name(), "TLSv1.3")
            shown = handle.get_peer_certificate(as_cryptography=True)
            self.assertEqual(shown, other.certificate)

    def test_address(self) -> None:
        """
        A proxy that is dialled by its address is known by that.
        """
        proxy, _ = self.shake(
            serverOptions(proxyCredentials("192.0.2.1")),
            clientOptions(ceCredentials(), "192.0.2.1"),
        )
        self.assertEqual(len(proxy.boxes), 1)

    def test_anotherHost(self) -> None:
        """
        A certificate for another host is not believed.
        """
        self.assertRefused(
            None,
            clientOptions(ceCredentials(), "proxy.example.com"),
            "the connection broke",
            f"its certificate is not for {HOST}",
        )

    def test_unknownAuthorityOfCE(self) -> None:
        """
        A CE whose certificate another authority signed is not let in, and learns it.
        """
        self.assertRefused(
            None,
            clientOptions(ceCredentials(signer="others"), HOST),
            UNVERIFIED,
            "it does not know the authority (CA) that signed our certificate",
        )

    def test_unknownAuthorityOfProxy(self) -> None:
        """
        A CE does not talk to a proxy of another authority.
        """
        self.assertRefused(
            serverOptions(proxyCredentials(signer="others")),
            None,
            "it does not know the authority (CA) that signed our certificate",
            UNVERIFIED,
        )

    def test_expiredCE(self) -> None:
        """
        An expired certificate of a CE is refused, and both say that it is expired.
        """
        self.assertRefused(
            None,
            clientOptions(ceCredentials(expired=True), HOST),
            UNVERIFIED,
            "our certificate has expired, it says",
        )

    def test_expiredProxy(self) -> None:
        """
        The same the other way.
        """
        self.assertRefused(
            serverOptions(proxyCredentials(expired=True)),
            None,
            "our certificate has expired, it says",
            UNVERIFIED,
        )

    def test_noCertificate(self) -> None:
        """
        A CE without a certificate has TLS, and shows none: it may want to be enrolled.
        """
        anonymous = optionsForClientTLS(HOST, trustRoot=Certificate.loadPEM(ceCredentials().caPEM))
        proxy, _ = self.shake(None, anonymous)
        self.assertEqual(proxy.boxes, [{b"x": b"y"}])
        self.assertIsNone(self.proxyTLS.getHandle().get_peer_certificate(as_cryptography=True))

    def test_grace(self) -> None:
        """
        A certificate that ended within the grace passes; one that ended before, one of
        another authority, and one for another purpose do not.
        """
        # It was made 30 days ago for one.
        expired = clientOptions(ceCredentials(expired=True), HOST)
        day = 86400.0
        proxy, _ = self.shake(serverOptions(proxyCredentials(), 30 * day), expired)
        self.assertEqual(proxy.boxes, [{b"x": b"y"}])
        for grace, refused in (
            (28 * day, ceCredentials(expired=True)),
            (30 * day, ceCredentials(expired=True, signer="others")),
            (30 * day, proxyCredentials(expired=True)),
        ):
            proxy, _ = self.shake(
                serverOptions(proxyCredentials(), grace), clientOptions(refused, HOST)
            )
            self.assertEqual(proxy.boxes, [])

    def test_replaceable(self) -> None:
        """
        New connections get what is in force then.
        """
        context = ReplaceableContext(serverOptions(proxyCredentials()))
        for host in (HOST, "other.example.org"):
            context.options = serverOptions(proxyCredentials(host))
            proxy, _ = self.shake(context, clientOptions(ceCredentials(), host))
            self.assertEqual(len(proxy.boxes), 1)

    def test_purposes(self) -> None:
        """
        A CE's certificate makes no proxy, and a proxy's no CE.
        """
        self.assertRefused(
            None,
            clientOptions(proxyCredentials(), HOST),
            UNVERIFIED,
            "our certificate is not for this role, it says",
        )
        self.assertRefused(
            serverOptions(ceCredentials()),
            None,
            "our certificate is not for this role, it says",
            UNVERIFIED,
        )
        self.flushLoggedErrors(ValueError)  # Twisted cannot read the URI

    def test_TLS12FromCE(self) -> None:
        """
        A CE that speaks TLS 1.2 at the most is not let in.
        """
        mine = ceCredentials()
        old = optionsForClientTLS(
            HOST,
            trustRoot=Certificate.loadPEM(mine.caPEM),
            clientCertificate=PrivateCertificate.loadPEM(mine.certificatePEM + mine.keyPEM),
            extraCertificateOptions={"lowerMaximumSecurityTo": TLSVersion.TLSv1_2},
        )
        self.assertRefused(None, old, OLD, OLD)

    def test_TLS12FromProxy(self) -> None:
        """
        A proxy that speaks TLS 1.2 at the most is not talked to.
        """
        mine = proxyCredentials()
        identity = PrivateCertificate.loadPEM(mine.certificatePEM + mine.keyPEM)
        old = CertificateOptions(
            privateKey=identity.privateKey.original,
            certificate=identity.original,
            lowerMaximumSecurityTo=TLSVersion.TLSv1_2,
        )
        self.assertRefused(old, None, OLD, OLD)

    def test_notTLS(self) -> None:
        """
        A CE that is answered in clear says so.
        """
        ce = RawPeer()
        wire = TLSPair(RawPeer(), ce, Clock())
        wire.ceSide.bufferReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        wire.flush()
        assert ce.reason is not None
        self.assertEqual(explain(ce.reason, HOST), "it does not speak TLS")

    def test_checkHost(self) -> None:
        """
        The host's name or address is looked for once more, since Twisted lets pass a
        certificate that it cannot read: one without names, or one of a CE.
        """
        uri = x509.UniformResourceIdentifier("rvgahp:site:mallory")
        for names, isRight in (
            ([x509.DNSName(HOST)], True),
            ([], False),
            ([uri], False),
            ([uri, x509.DNSName("proxy.example.net")], False),
        ):
            self.shake(serverOptions(oddCredentials(*names)))
            self.flushLoggedErrors()
            handle = self.ceTLS.getHandle()
            if isRight:
                checkHost(handle, HOST)
            else:
                e = self.assertRaises(CredentialError, checkHost, handle, HOST)
                self.assertEqual(str(e), f"its certificate is not for {HOST}")

    def test_checkAddress(self) -> None:
        """
        The same for a proxy that is dialled by its address.
        """
        self.shake(
            serverOptions(proxyCredentials("192.0.2.1")),
            clientOptions(ceCredentials(), "192.0.2.1"),
        )
        handle = self.ceTLS.getHandle()
        checkHost(handle, "192.0.2.1")
        for other in ("192.0.2.2", "2001:db8::1", HOST):
            self.assertRaises(CredentialError, checkHost, handle, other)

    def test_intermediate(self) -> None:
        """
        The certificates that follow our own in its file are shown along with it.
        """
        ours = proxyCredentials()
        more = Credentials(
            ours.certificatePEM + proxyCredentials(signer="others").caPEM,
            ours.keyPEM,
            ours.caPEM,
            ours.certificate,
        )
        self.shake(serverOptions(more))
        chain = self.ceTLS.getHandle().get_peer_cert_chain()
        assert chain is not None
        self.assertEqual(len(chain), 2)

    def test_severalAuthorities(self) -> None:
        """
        Each of the authorities in the file counts.
        """
        ours, theirs = proxyCredentials(), proxyCredentials(trusted="others")
        both = Credentials(
            ours.certificatePEM, ours.keyPEM, theirs.caPEM + ours.caPEM, ours.certificate
        )
        for signer in ("ours", "others"):
            proxy, _ = self.shake(
                serverOptions(both), clientOptions(ceCredentials(signer=signer), HOST)
            )
            self.assertEqual(len(proxy.boxes), 1, signer)


class ExplainTests(SynchronousTestCase):
    """
    Why a connection ended, in words.
    """

    def test_ordinary(self) -> None:
        """
        Ends that have nothing to do with TLS.
        """
        self.assertEqual(explain(Failure(ConnectionDone())), CLOSED)
        self.assertEqual(explain(Failure(ConnectionLost())), "the connection broke")
        self.assertEqual(explain(Failure(OSError("no way"))), "no way")
        self.assertEqual(explain(Failure(RuntimeError())), "RuntimeError")
