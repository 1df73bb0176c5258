"""
Tests of L{rvgahp.sslmethod}.
"""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import NotAuthorized
from rvgahp.iauthentication import AuthenticationContext, Proof
from rvgahp.peerchain import PeerChain
from rvgahp.sslmethod import SSLMethod
from tests.identities import SITE, authority, ceCredentials, oddCredentials
from tests.pki import LIMITED, Entity, SiteCA
from tests.test_tls import keyOf

OURS = authority("ours").certificate


class SSLMethodTests(SynchronousTestCase):
    """
    What a chain proves.
    """

    def setUp(self) -> None:
        self.ca = SiteCA()

    def prove(self, *certificates: x509.Certificate, data: bytes = b"") -> Proof:
        chain = PeerChain(certificates, [OURS], [self.ca.certificate]) if certificates else None
        context = AuthenticationContext(None, "", chain, "192.0.2.7", lambda label, size: b"")
        return SSLMethod().server(context).received(data)

    def assertRefused(self, words: str, *certificates: x509.Certificate, data: bytes = b"") -> None:
        e = self.assertRaises(NotAuthorized, self.prove, *certificates, data=data)
        self.assertIn(words, str(e))

    def test_ours(self) -> None:
        """
        Our own authority's certificate names its site, and no map is asked.
        """
        proof = self.prove(ceCredentials().certificate, OURS)
        self.assertEqual((proof.principal, proof.canonical), (f"/CN={SITE}", f"{SITE}@site.rvgahp"))
        self.assertIn("built in", proof.rule)

    def test_longName(self) -> None:
        """
        A site whose name is too long for a subject is known, too.
        """
        site = "x" * 100
        proof = self.prove(ceCredentials(site).certificate, OURS)
        self.assertEqual(
            (proof.principal, proof.canonical), (f"rvgahp:site:{site}", f"{site}@site.rvgahp")
        )

    def test_noSite(self) -> None:
        """
        One of our own authority that names none, or two, proves nothing.
        """
        self.assertRefused("names no site", oddCredentials().certificate, OURS)
        uris = [x509.UniformResourceIdentifier(f"rvgahp:site:{name}") for name in ("a", "b")]
        self.assertRefused("several sites", oddCredentials(*uris).certificate, OURS)

    def test_theirs(self) -> None:
        """
        Of one of the sites' PKI the subject counts, and no URI; of a proxy its end entity's.
        """
        user = self.ca.issue("alice", uri=f"rvgahp:site:{SITE}")
        for entity in (user, user.proxy(), user.proxy().proxy()):
            proof = self.prove(*entity.chain, self.ca.certificate)
            self.assertEqual(
                (proof.principal, proof.canonical), ("/DC=org/DC=example/CN=alice", "")
            )

    def test_refused(self) -> None:
        """
        Each thing that does not count has its sentence.
        """
        root = self.ca.certificate
        user = self.ca.issue("alice")
        mine = Entity(keyOf(ceCredentials()), [ceCredentials().certificate])
        self.assertRefused("the CE has shown none")
        self.assertRefused("has no messages", *user.chain, root, data=b"x")
        self.assertRefused("it is limited", *user.proxy(LIMITED).chain, root)
        self.assertRefused("proxy certificate of a CE's", *mine.proxy().chain, OURS)
        self.assertRefused("cannot be mapped", *self.ca.issue("a\\").chain, root)
        self.assertRefused("it is empty", *self.ca.issue(subject=x509.Name([])).chain, root)
        self.assertRefused("is malformed", *self.ca.issueLatin().chain, root)

    def test_client(self) -> None:
        """
        The CE says nothing and hears nothing.
        """
        context = AuthenticationContext(None, "", None, "", lambda label, size: b"")
        end = SSLMethod().client(context)
        self.assertEqual(end.begin(), b"")
        end.ended(b"")
        self.assertRaises(NotAuthorized, end.received, b"")
