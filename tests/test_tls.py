"""
Tests of L{rvgahp.tls}: real handshakes in memory, good and bad.
"""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL.SSL import TLS_METHOD, Connection, Context, WantReadError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
)
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rvgahp.certificates import makeKey
from rvgahp.credentials import Credentials
from rvgahp.errors import CredentialError
from rvgahp.peerchain import PeerChain
from rvgahp.tls import (
    _TLS,
    ServerTLS,
    checkHost,
    clientOptions,
    explain,
    peerOf,
    serverOptions,
)
from rvgahp.trust import Trust
from tests.identities import HOST, SITE, authority, ceCredentials, oddCredentials, proxyCredentials
from tests.pki import DAY, Entity, SiteCA, now, revocationList, unknownVersion
from tests.tlspair import TWISTED_WARNINGS, RawPeer, TLSPair

CLOSED = "it closed the connection"
EXPIRED = "our certificate has expired, it says, or its own revocation list (CRL) has"
STRANGER = "it does not know the authority (CA) that signed our certificate"
OTHER_ROLE = (
    "its certificate is for another role: the proxy needs a host certificate, a CE one for its site"
)
OLD = "it does not speak TLS 1.3"


def unknown(signer: str) -> str:
    """
    @return: what is said of an authority that is not trusted.
    """
    (name,) = authority(signer).certificate.subject
    return (
        f"its certificate's authority (CA) is not one that we know: /CN={name.value!s}"
        " (compare RVGAHP_CAFILE on both sides)"
    )


def expired(credentials: Credentials) -> str:
    """
    @return: what is said of an expired certificate.
    """
    certificate = credentials.certificate
    (name,) = certificate.subject
    end = certificate.not_valid_after_utc
    return (
        f"the certificate of /CN={name.value!s} expired on {end:%Y-%m-%d %H:%M} UTC; here it is now"
    )


def timeless(words: str) -> str:
    """
    @return: what is said, whenever it is.
    """
    return re.sub(r"here it is [-0-9]+ [0-9:]+ UTC", "here it is now", words)


@implementer(IOpenSSLClientConnectionCreator)
class Stranger:
    """
    A CE's half that is not ours.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: object) -> Connection:
        return Connection(self._context, None)


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
        self.assertEqual(timeless(explain(proxy.reason)), proxySays)
        self.assertEqual(timeless(explain(ce.reason)), ceSays)


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
            "it refuses our certificate; its log says why",
            "its certificate is not for proxy.example.com",
        )

    def test_unknownAuthorityOfCE(self) -> None:
        """
        A CE whose certificate another authority signed is not let in, and learns it.
        """
        self.assertRefused(
            None,
            clientOptions(ceCredentials(signer="others"), HOST),
            unknown("others"),
            STRANGER,
        )

    def test_unknownAuthorityOfProxy(self) -> None:
        """
        A CE does not talk to a proxy of another authority.
        """
        self.assertRefused(
            serverOptions(proxyCredentials(signer="others")),
            None,
            STRANGER,
            unknown("others"),
        )

    def test_expiredCE(self) -> None:
        """
        An expired certificate of a CE is refused, and both say that it is expired.
        """
        self.assertRefused(
            None,
            clientOptions(ceCredentials(expired=True), HOST),
            expired(ceCredentials(expired=True)),
            EXPIRED,
        )

    def test_expiredProxy(self) -> None:
        """
        The same the other way.
        """
        self.assertRefused(
            serverOptions(proxyCredentials(expired=True)),
            None,
            EXPIRED,
            expired(proxyCredentials(expired=True)),
        )

    def test_noCertificate(self) -> None:
        """
        A CE may have none: another method than SSL may be its own.
        """
        anonymous = optionsForClientTLS(HOST, trustRoot=Certificate.loadPEM(ceCredentials().caPEM))
        proxy, _ = self.shake(None, anonymous)
        self.assertEqual(len(proxy.boxes), 1)
        self.assertIsNone(peerOf(self.proxyTLS.getHandle()))

    def test_purposes(self) -> None:
        """
        A CE's certificate makes no proxy, and a proxy's no CE.
        """
        self.assertRefused(
            None,
            clientOptions(proxyCredentials(), HOST),
            OTHER_ROLE,
            "our certificate is not for this role, it says",
        )
        self.assertRefused(
            serverOptions(ceCredentials()),
            None,
            "our certificate is not for this role, it says",
            OTHER_ROLE,
        )

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
        self.assertEqual(explain(ce.reason), "it does not speak TLS")

    def test_checkHost(self) -> None:
        """
        A certificate passes for no host that it does not name: one without names, or one of a
        CE.
        """
        uri = x509.UniformResourceIdentifier("rvgahp:site:mallory")
        for names, isRight in (
            ([x509.DNSName(HOST)], True),
            ([], False),
            ([uri], False),
            ([uri, x509.DNSName("proxy.example.net")], False),
        ):
            _, ce = self.shake(serverOptions(oddCredentials(*names)))
            if isRight:
                self.assertIsNone(ce.reason)
            else:
                assert ce.reason is not None
                self.assertEqual(explain(ce.reason), f"its certificate is not for {HOST}")

    def test_checkAddress(self) -> None:
        """
        The same for a proxy that is dialled by its address.
        """
        certificate = proxyCredentials("192.0.2.1").certificate
        checkHost(certificate, "192.0.2.1")
        for other in ("192.0.2.2", "2001:db8::1", HOST):
            self.assertRaises(CredentialError, checkHost, certificate, other)

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


class ChainTests(TLSTestCase):
    """
    The sites' own PKI, proxy certificates, revocation, grace, and the time.
    """

    def setUp(self) -> None:
        self.ca = SiteCA()
        self.user = self.ca.issue("alice")

    def proxyTrusting(self, *revoked: Any, **options: Any) -> Any:
        """
        @return: a proxy's half that trusts the site's authority, too.
        """
        trust = Trust([authority("ours").certificate], [self.ca.certificate], revoked)
        return serverOptions(proxyCredentials(), trust, **options)

    def chainOf(self, entity: Any, *revoked: Any, **options: Any) -> PeerChain | None:
        """
        @return: what the proxy has of a CE, L{None} if it was refused.
        """
        credentials = getattr(entity, "credentials", lambda: entity)()
        proxy, ce = self.shake(
            self.proxyTrusting(*revoked, **options), clientOptions(credentials, HOST)
        )
        self.said = [explain(end.reason) for end in (proxy, ce) if end.reason is not None]
        if not proxy.boxes:
            return None
        return peerOf(self.proxyTLS.getHandle())

    def assertSaid(self, entity: Any, *words: str, revoked: Any = (), **options: Any) -> None:
        """
        A CE is refused in these words, on the proxy's side and on its own.
        """
        self.assertIsNone(self.chainOf(entity, *revoked, **options))
        for said, wanted in zip(self.said, words, strict=True):
            self.assertIn(wanted, said)

    def test_kinds(self) -> None:
        """
        Both kinds of authorities are taken, and told apart.
        """
        for entity, isOurs in ((self.user, False), (ceCredentials(), True)):
            chain = self.chainOf(entity)
            assert chain is not None
            self.assertEqual(chain.isOurs, isOurs)
            self.assertEqual(chain.certificates[0], entity.certificate)
            self.assertEqual(len(chain.certificates), 2)

    def test_proxies(self) -> None:
        """
        Proxy certificates pass, however long their chain is, unless one of them forbids that.
        """
        first = self.user.proxy()
        for entity, count in ((first, 1), (first.proxy(), 2), (first.proxy().proxy(), 3)):
            chain = self.chainOf(entity)
            assert chain is not None
            self.assertEqual(len(chain.proxies), count)
            self.assertEqual(chain.endEntity, self.user.certificate)
        chain = self.chainOf(self.user.proxy(pathLength=1).proxy())
        self.assertIsNotNone(chain)
        self.assertSaid(
            self.user.proxy(pathLength=0).proxy(), "proxy certificates is longer", "it "
        )
        self.assertSaid(self.user.proxy(pathLength=1).proxy().proxy(), "is longer", "it ")

    def test_badProxies(self) -> None:
        """
        A proxy certificate that another has signed, that is of another subject, that names a
        site, or that has expired, does not pass.
        """
        mallory = self.ca.issue("mallory")
        forged = self.user.proxy(signer=mallory)
        self.assertSaid(forged, "does not bear the signature of /DC=org/DC=example/CN=alice", "")
        stolen = mallory.proxy()
        stolen.chain[1:] = self.user.chain
        self.assertSaid(stolen, "", "")
        self.assertSaid(self.user.proxy(uri="rvgahp:site:" + SITE), "is not one that we know", "")
        old = self.user.proxy(lifetime=timedelta(seconds=-1))
        self.assertSaid(old, "CN=4711 expired on", EXPIRED)

    def test_proxiesOfOurs(self) -> None:
        """
        Where there is no site's PKI, proxy certificates do not pass at all.
        """
        ours = serverOptions(proxyCredentials())
        key, certificate = keyOf(ceCredentials()), ceCredentials().certificate
        mine = Entity(key, [certificate]).proxy()
        proxy, ce = self.shake(ours, clientOptions(mine.credentials(), HOST))
        self.assertEqual(proxy.boxes, [])
        assert proxy.reason is not None and ce.reason is not None
        self.assertIn("only counts where RVGAHP_SITE_CAFILE is set", explain(proxy.reason))

    def test_latin(self) -> None:
        """
        A stranger's certificate that cannot be read is refused, and is no bug in the log.
        """
        with capturedLogs() as logs:
            self.assertSaid(SiteCA("another").issueLatin(), "cannot be read", "")
        self.assertFalse([one for one in logs if "log_failure" in one])

    def test_version(self) -> None:
        """
        One of a version that is not known is refused likewise.
        """
        credentials = self.user.credentials()
        context, files = Context(TLS_METHOD), (self.mktemp(), self.mktemp())
        for path, pem in zip(
            files,
            (unknownVersion(credentials.certificatePEM), credentials.keyPEM),
            strict=True,
        ):
            Path(path).write_bytes(pem)
        context.use_certificate_file(files[0])
        context.use_privatekey_file(files[1])
        with capturedLogs() as logs:
            proxy, _ = self.shake(self.proxyTrusting(), Stranger(context))
        assert proxy.reason is not None
        self.assertIn("cannot be read", explain(proxy.reason))
        self.assertFalse([one for one in logs if "log_failure" in one])

    def test_impostor(self) -> None:
        """
        Whom an authority has signed is none itself, and one of the same name is another.
        """
        below = SiteCA("alice", self.user.key)
        child = below.issue("root")
        child.chain += self.user.chain
        self.assertSaid(child, "is not an authority's", "")
        twin = SiteCA()  # another key
        self.assertSaid(twin.issue("alice"), "", "")

    def test_revoked(self) -> None:
        """
        Who is revoked does not pass, nor a proxy certificate of his, nor whom a revoked
        authority has signed; others do, and those whose authority has no list.
        """
        revoked = [self.ca.revoke(self.user)]
        words = "the certificate of /DC=org/DC=example/CN=alice has been revoked"
        self.assertSaid(self.user, words, "has been revoked, it says", revoked=revoked)
        self.assertSaid(self.user.proxy().proxy(), words, "revoked", revoked=revoked)
        for entity in (self.ca.issue("bob"), self.ca.issue("bob").proxy(), ceCredentials()):
            self.assertIsNotNone(self.chainOf(entity, *revoked))
        ours = revocationList(authority("ours"), ceCredentials())
        self.assertSaid(ceCredentials(), "has been revoked", "revoked", revoked=[ours])
        self.assertIsNotNone(self.chainOf(self.user, ours))

    def test_revokedAuthority(self) -> None:
        """
        Whom a revoked authority has signed does not pass either.
        """
        middle = self.ca.issue("middle", isAuthority=True)
        below = SiteCA("middle", middle.key)
        user = below.issue("carol")
        user.chain += middle.chain
        self.assertIsNotNone(self.chainOf(user, self.ca.revoke()))
        self.assertSaid(user, "CN=middle has been revoked", "", revoked=[self.ca.revoke(middle)])

    def test_lists(self) -> None:
        """
        A revocation list that is over, is not valid yet, or that another has signed, lets
        nobody of its authority pass, and the proxy's log says what to do.
        """
        old = self.ca.revoke(begin=now() - 3 * DAY, end=now() - DAY)
        self.assertSaid(
            self.user,
            "the revocation list (CRL) of /DC=org/DC=example/CN=CA expired on",
            "or its own revocation list (CRL) has",
            revoked=[old],
        )
        self.assertIn(f"expired on {old.next_update_utc:%Y-%m-%d %H:%M} UTC", self.said[0])
        self.assertIsNotNone(self.chainOf(ceCredentials(), old))
        early = self.ca.revoke(begin=now() + DAY, end=now() + 2 * DAY)
        self.assertSaid(self.user, "is not valid yet", "", revoked=[early])
        forged = SiteCA().revoke()
        self.assertSaid(self.user, "is not one that it has signed", "", revoked=[forged])
        alien = revocationList(authority("ours"), key=makeKey())
        self.assertSaid(ceCredentials(), "in RVGAHP_CRLFILE is", "", revoked=[alien])

    def test_revokedProxy(self) -> None:
        """
        A CE does not talk to a proxy whose certificate has been revoked, and both say so.
        """
        revoked = revocationList(authority("ours"), proxyCredentials())
        trust = Trust([authority("ours").certificate], (), [revoked])
        self.assertRefused(
            None,
            clientOptions(ceCredentials(), HOST, trust),
            "our certificate has been revoked, it says",
            f"the certificate of /CN={HOST} has been revoked",
        )

    def test_grace(self) -> None:
        """
        A certificate of our own authority passes for as long after its end as the grace is,
        and not longer; one of the sites' PKI never, nor one that is revoked.
        """
        late = ceCredentials(expired=True)
        ago = (now() - late.certificate.not_valid_after_utc).total_seconds()
        self.assertIsNotNone(self.chainOf(late, grace=ago + 60))
        self.assertSaid(late, "expired on", EXPIRED, grace=ago - 60)
        theirs = self.ca.issue("late", end=now() - DAY / 24)
        self.assertSaid(theirs, "expired on", EXPIRED, grace=ago + 60)
        revoked = [revocationList(authority("ours"), late)]
        self.assertSaid(late, "revoked", "revoked", revoked=revoked, grace=ago + 60)

    def test_early(self) -> None:
        """
        A certificate of our own authority passes before its beginning, too, for which whoever
        has it has to look; not one that is revoked, nor one whose authority is not valid yet.
        """
        early = ceCredentials()
        for ago in (1, 40):
            chain = self.chainOf(early, now=lambda: now() - ago * DAY)  # noqa: B023
            assert chain is not None
            self.assertGreater(chain.begin, now() - DAY)
        self.assertSaid(early, "is not valid before", "clock", now=lambda: now() - 90 * DAY)
        revoked = [revocationList(authority("ours"), early)]
        self.assertSaid(early, "revoked", "revoked", revoked=revoked)

    def test_graceOfAuthorities(self) -> None:
        """
        There is no grace for an authority in the middle of a chain.
        """
        middle = self.ca.issue(
            "middle", isAuthority=True, begin=now() - 2 * DAY, end=now() - DAY / 24
        )
        user = SiteCA("middle", middle.key).issue("carol")
        user.chain += middle.chain
        options = serverOptions(proxyCredentials(), Trust([self.ca.certificate]), grace=1e6)
        proxy, _ = self.shake(options, clientOptions(user.credentials(), HOST))
        assert proxy.reason is not None
        self.assertIn("CN=middle expired on", explain(proxy.reason))

    def test_clock(self) -> None:
        """
        Both sides go by the clock that they are given, also where it moves.
        """
        moment = [now()]
        proxy = self.proxyTrusting(now=lambda: moment[0])
        ce = clientOptions(ceCredentials(), HOST)
        self.assertEqual(len(self.shake(proxy, ce)[0].boxes), 1)
        moment[0] += 40 * DAY
        end, _ = self.shake(proxy, ce)
        self.assertEqual(end.boxes, [])
        moment[0] -= 80 * DAY
        theirs = clientOptions(self.user.credentials(), HOST)
        end, other = self.shake(proxy, theirs)
        assert end.reason is not None and other.reason is not None
        self.assertIn("is not valid before", explain(end.reason))
        self.assertIn(f"here it is {moment[0]:%Y-%m-%d %H:%M} UTC: are both", explain(end.reason))
        self.assertIn("perhaps its clock is wrong", explain(other.reason))
        moment[0] += 40 * DAY
        self.assertEqual(len(self.shake(proxy, ce)[0].boxes), 1)
        late = clientOptions(ceCredentials(), HOST, now=lambda: now() + 40 * DAY)
        _, end = self.shake(proxy, late)
        assert end.reason is not None
        self.assertIn(f"/CN={HOST} expired on", explain(end.reason))

    def test_replaced(self) -> None:
        """
        What replaces credentials and trust counts from the next connection on.
        """
        proxy = self.proxyTrusting()
        ce = clientOptions(self.user.credentials(), HOST)
        self.assertEqual(len(self.shake(proxy, ce)[0].boxes), 1)
        trust = Trust(
            [authority("ours").certificate], [self.ca.certificate], [self.ca.revoke(self.user)]
        )
        proxy.replace(proxyCredentials(), trust)
        self.assertEqual(self.shake(proxy, ce)[0].boxes, [])
        ce.replace(self.ca.issue("bob").credentials())
        self.assertEqual(len(self.shake(proxy, ce)[0].boxes), 1)

    def test_noResumption(self) -> None:
        """
        A session of before is not resumed: nobody is taken for whom he was then.
        """
        shown: list[int] = []
        verify = _TLS._verify

        def counted(self: Any, connection: Any, *arguments: Any) -> bool:
            if isinstance(self, ServerTLS):
                shown.append(arguments[1])
            return verify(self, connection, *arguments)

        self.patch(_TLS, "_verify", counted)
        server, client = self.proxyTrusting(), clientOptions(self.user.credentials(), HOST)
        _, end = dialogue(server, client, None)
        count = len(shown)
        self.assertGreater(count, 0)
        for round in (2, 3):
            _, end = dialogue(server, client, end.get_session())
            self.assertEqual(len(shown), round * count)  # it was asked for its certificate

    def test_exporter(self) -> None:
        """
        Both ends export the same, and nobody else does.
        """
        found = []
        for _ in range(2):
            self.shake()
            ends = self.proxyTLS.getHandle(), self.ceTLS.getHandle()
            one, other = (end.export_keying_material(b"EXPORTER-test", 32) for end in ends)
            self.assertEqual(one, other)
            found.append(one)
        self.assertNotEqual(*found)


def dialogue(server: Any, client: Any, session: Any) -> tuple[Any, Any]:
    """
    @param session: of an earlier dialogue, to be resumed.
    @return: the ends of a connection over which something has been said both ways.
    """
    ends = server.serverConnectionForTLS(None), client.clientConnectionForTLS(None)
    ends[0].set_accept_state()
    ends[1].set_connect_state()
    if session is not None:
        ends[1].set_session(session)
    for _ in range(6):
        for one, other in (ends, ends[::-1]):
            with contextlib.suppress(WantReadError):
                one.do_handshake()
            with contextlib.suppress(WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    for one, other in (ends, ends[::-1]):
        one.send(b"x")
        other.bio_write(one.bio_read(1 << 16))
        assert other.recv(1) == b"x"
    return ends


def keyOf(credentials: Credentials) -> Any:
    return load_pem_private_key(credentials.keyPEM, None)


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
