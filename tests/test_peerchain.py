"""
Tests of L{rvgahp.peerchain}; L{tests.test_tls} has chains that OpenSSL has verified.
"""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import CredentialError
from rvgahp.peerchain import PeerChain, Validity, _language
from tests.identities import SITE, authority, ceCredentials
from tests.pki import DAY, FULL, INDEPENDENT, LIMITED, Entity, SiteCA, now
from tests.test_tls import keyOf

OURS = authority("ours").certificate


class PeerChainTests(SynchronousTestCase):
    """
    What a chain says.
    """

    def setUp(self) -> None:
        self.ca = SiteCA()
        self.user = self.ca.issue("alice", uri=f"rvgahp:site:{SITE}")

    def chain(self, entity: Entity, root: x509.Certificate | None = None) -> PeerChain:
        """
        @return: the chain of somebody.
        """
        certificates = [*entity.chain, root or self.ca.certificate]
        return PeerChain(certificates, [OURS], [self.ca.certificate])

    def test_site(self) -> None:
        """
        Only a certificate that one of our own authorities has signed names a site.
        """
        mine = Entity(keyOf(ceCredentials()), [ceCredentials().certificate])
        chain = self.chain(mine, OURS)
        self.assertEqual((chain.isOurs, chain.site), (True, SITE))
        for entity in (self.user, self.user.proxy()):
            chain = self.chain(entity)
            self.assertEqual((chain.isOurs, chain.site), (False, ""))
        self.assertEqual(self.chain(mine.proxy(), OURS).site, "")
        self.assertEqual(self.chain(self.ca.issue("x"), OURS).site, "")

    def test_crossSigned(self) -> None:
        """
        What leads over an authority of the sites' PKI is theirs, and if one of ours has signed
        that authority.
        """
        chain = PeerChain(
            [self.user.certificate, self.ca.certificate, OURS], [OURS], [self.ca.certificate]
        )
        self.assertEqual((chain.isOurs, chain.site), (False, ""))

    def test_endEntity(self) -> None:
        """
        Behind all proxy certificates there is the end entity.
        """
        for entity in (self.user, self.user.proxy(), self.user.proxy().proxy(pathLength=3)):
            chain = self.chain(entity)
            self.assertEqual(chain.endEntity, self.user.certificate)
            self.assertEqual(len(chain.proxies), len(entity.chain) - 1)

    def test_languages(self) -> None:
        """
        Only full proxies count, wherever in the chain the other one is.
        """
        self.chain(self.user.proxy(pathLength=2).proxy()).checkProxies()
        for language in (LIMITED, INDEPENDENT, "2a0304", "55"):
            for entity in (
                self.user.proxy(language),
                self.user.proxy(language, pathLength=1).proxy(),
                self.user.proxy().proxy(language),
            ):
                chain = self.chain(entity)
                e = self.assertRaises(CredentialError, chain.checkProxies)
                self.assertIn("limited", str(e))

    def test_languageRubbish(self) -> None:
        """
        What cannot be read is no full proxy.
        """
        full = bytes.fromhex("300a0608" + FULL)
        info = bytes([0x30, len(full)]) + full
        self.assertEqual(_language(info).hex(), FULL)
        for size in range(len(info)):
            self.assertEqual(_language(info[:size]), b"")
        self.assertEqual(_language(info.replace(b"\x06\x08", b"\x04\x08")), b"")

    def test_validity(self) -> None:
        """
        That of the certificate that ends first, and not that of a younger authority.
        """
        proxy = self.user.proxy(lifetime=DAY / 2)
        expected = Validity.of(proxy.certificate, False)
        self.assertEqual(self.chain(proxy).validity, expected)
        self.assertEqual(expected.expires, int(proxy.certificate.not_valid_after_utc.timestamp()))
        self.assertEqual(expected.began, int(proxy.certificate.not_valid_before_utc.timestamp()))

    def test_end(self) -> None:
        """
        The chain ends with the first of its certificates.
        """
        proxy = self.user.proxy(lifetime=DAY / 2)
        self.assertEqual(self.chain(proxy).end, proxy.certificate.not_valid_after_utc)
        short = self.ca.issue("bob", end=now() + DAY / 4)
        self.assertEqual(
            self.chain(short.proxy(lifetime=DAY)).end, short.certificate.not_valid_after_utc
        )
