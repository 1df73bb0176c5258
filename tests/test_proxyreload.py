"""
Tests of L{rvgahp.proxyreload}: what becomes of sites and sessions when the files are others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rvgahp import accessrules, commands
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.certificates import Authority
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, CredentialError
from rvgahp.iauthentication import Proof
from rvgahp.mapfile import parse as parseMap
from rvgahp.proxyreload import ProxyReload
from rvgahp.settings import settingsFrom
from rvgahp.sslmethod import SSLMethod
from rvgahp.tls import clientOptions, serverOptions
from rvgahp.trust import Trust
from tests.broker import ACCESS_FILE, BrokerTestCase
from tests.identities import HOST, SITE, authority, ceCredentials, proxyCredentials
from tests.pki import SiteCA, revocationList


class Files:
    """
    What was read.
    """

    def __init__(self, rules: str, mapping: str = "", **settings: str) -> None:
        self.settings = settingsFrom("proxy", Configuration(None, settings))
        self.credentials = None
        self.trust = Trust(())
        mapFile = parseMap(mapping.encode(), "/map", False, lambda path: [])
        self.names = CanonicalNames(mapFile, "example.org")
        self.rules = accessrules.parse(rules, ACCESS_FILE, accessrules.PROXY)
        self.methods: Any = None


class Methods:
    """
    Authentication methods that can be used.
    """

    def __init__(self, methods: Any) -> None:
        self.methods = methods


class NamingMethod(SSLMethod):
    """
    One that knows names without a map, and has words of its own for that.
    """

    def server(self, context: Any) -> Any:
        return self

    def received(self, data: bytes) -> Proof:
        """
        @return: the proof, whatever was said.
        """
        return Proof("grid", b"", "grid@example.org", "its realm is ours")


class EnrolmentDouble:
    """
    Stands for the proxy's credentials.

    @ivar believed: whose word counts.
    @ivar looks: how often the clock was looked at.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.looks = 0
        self.believed = Trust([authority("ours").certificate])

    def replace(self, credentials: object, trust: Trust, settings: object) -> list[str]:
        if self.problem:
            raise CredentialError(self.problem)
        return []

    def look(self) -> None:
        self.looks += 1

    def objection(self, chain: Any) -> str:
        return self.believed.objection(chain)


class ReloadTestCase(BrokerTestCase):
    """
    A proxy with a site and a session.
    """

    rules = "ALLOW START *\nALLOW REGISTER site=grid alice@example.org"

    def setUp(self) -> None:
        """
        Make the one that reloads.
        """
        super().setUp()
        self.enrolment = EnrolmentDouble()
        double: Any = self.enrolment
        self.reload = ProxyReload(self.proxy, double, self.authenticator)
        self.adopt()

    def adopt(self, rules: str = "", mapping: str = "", **settings: str) -> list[str]:
        """
        Put files into force.
        """
        files: Any = Files(rules or self.rules, mapping, **settings)
        files.methods = Methods(self.authenticator.methods)
        said = self.reload.adopt(files)
        self.settle()
        return said

    def started(self) -> Any:
        """
        @return: a client whose session runs.
        """
        client = self.ask()
        self.settle()
        return client


class SessionTests(ReloadTestCase):
    """
    Rules for users.
    """

    def test_goesOn(self) -> None:
        """
        What may go on is told nothing; nor is a comment anything new.
        """
        ce = self.readyCE()
        self.started()
        self.assertEqual(self.adopt(), [])
        self.assertEqual(self.adopt(f"# All may.\n{self.rules}"), [])
        self.assertEqual((len(self.proxy.sessions), ce.ends), (1, []))

    def test_withdrawn(self) -> None:
        """
        What may not is ended on both sides, with the sentence.
        """
        ce = self.readyCE()
        client = self.started()
        rules, said = self.adopt("DENY START *")
        self.assertEqual(rules, "the access rules have changed")
        self.assertIn(": withdrawn", said)
        self.assertEqual(self.proxy.sessions, {})
        ((_, reason),) = ce.ends
        self.assertIn("denies it", reason)
        boxes = client.read()
        self.assertIn(b"denies it", boxes[-1][b"reason"])

    def test_settings(self) -> None:
        """
        Settings that may change have changed, and others are named.
        """
        said = self.adopt(RVGAHP_STDIN_GRACE="7", RVGAHP_PORT="1")
        self.assertEqual(said[0], "RVGAHP_STDIN_GRACE has changed")
        self.assertIn("RVGAHP_PORT stays as it was", said[1])
        self.assertEqual(self.proxy.settings.get("RVGAHP_STDIN_GRACE"), 7)

    def test_refused(self) -> None:
        """
        Credentials that cannot be used leave everything as it was.
        """
        self.enrolment.problem = "they have gone"
        before = self.access.rules
        self.assertRaises(CredentialError, self.adopt, "DENY START *")
        self.assertIs(self.access.rules, before)


class SiteTests(ReloadTestCase):
    """
    Sites.
    """

    def assertClosed(self, ce: Any, reason: str) -> None:
        """
        A site has been told why, and is not there any more.
        """
        self.spend(5)
        self.assertEqual(self.proxy.sites, {})
        self.assertIn(reason, ce.dismissals[-1])

    def test_denied(self) -> None:
        """
        A site that may not register any more is ended with all that runs there.
        """
        ce = self.readyCE()
        self.started()
        self.adopt(f"ALLOW START *\nDENY REGISTER site={SITE} *")
        self.assertEqual(self.proxy.sessions, {})
        self.assertIn("may not stay", ce.ends[0][1])
        self.assertClosed(ce, "denies it")

    def test_revoked(self) -> None:
        """
        So is one whose certificate has been revoked since; another authority's list is no
        matter, nor one that only says that it is that authority's.
        """
        ours, credentials = authority("ours"), ceCredentials()
        ce = self.readyCE(options=clientOptions(credentials, HOST))
        other = SiteCA()
        theirs = revocationList(Authority(other.certificate, other.key), credentials)
        for one in (theirs, revocationList(ours, credentials, key=other.key)):
            self.enrolment.believed = Trust([ours.certificate], (), [one])
            self.assertEqual(self.adopt(), [])
        revoked = revocationList(ours, credentials)
        self.enrolment.believed = Trust([ours.certificate], (), [revoked])
        (said,) = self.adopt()
        self.assertIn("has been revoked", said)
        self.assertClosed(ce, "has been revoked")

    def test_authority(self) -> None:
        """
        So is one whose authority does not count any more.
        """
        ce = self.readyCE()
        self.enrolment.believed = Trust([authority("theirs").certificate])
        self.adopt()
        self.assertClosed(ce, "does not count any more")

    def test_between(self) -> None:
        """
        Who came before a reload and says Hello, or asks for a certificate, after it was not
        looked at with what was read: he has to dial again.  So has one whose Hello waits
        meanwhile.
        """
        ce, _ = self.dialCE()
        late, _ = self.dialCE()
        other = self.readyCE(instance=b"o" * 16)
        other.answersPings = False
        asked = late.hello()  # which has the other one asked whether it lives
        self.settle()
        self.adopt()
        other.control.abort()
        renewal = ce.call(commands.RenewCertificate, request=b"")
        for refused in (asked, renewal, ce.hello()):
            failure = self.failureResultOf(refused, Busy)
            self.assertIn("read its files again meanwhile; dial again", str(failure.value))
        self.assertEqual(self.proxy.sites, {})
        self.readyCE()

    def test_renewal(self) -> None:
        """
        Who has been let in before asks for his next certificate as ever.
        """
        ce = self.readyCE()
        self.adopt()
        failure = self.failureResultOf(ce.call(commands.RenewCertificate, request=b""))
        self.assertNotIn("meanwhile", str(failure.value))

    def test_clock(self) -> None:
        """
        The clock is looked at: a site whose certificate has ended by it is closed, and what
        runs there goes on.
        """
        ce = self.readyCE()
        self.started()
        now = self.authenticator.now
        self.authenticator.now = lambda: now() + timedelta(days=365)
        (said,) = self.adopt()
        self.assertIn(f"site {SITE}: closed: the CE's certificate is valid until", said)
        self.assertEqual(self.enrolment.looks, 2)
        self.assertIsNotNone(ce.reason)
        self.assertEqual((len(self.proxy.sessions), ce.ends), (1, []))

    def test_methodsName(self) -> None:
        """
        Whom his method names stays, whatever reason the method gives for the name.
        """
        self.authenticator.methods = [NamingMethod()]
        rules = "ALLOW START *\nALLOW REGISTER site=grid grid@example.org"
        self.adopt(rules)
        self.readyCE(site="grid")
        self.assertEqual(self.adopt(rules), [])
        self.assertIn("grid", self.proxy.sites)

    def test_renamed(self) -> None:
        """
        A site of another PKI, whom the map gives another name now, has to come again; what
        runs there goes on.
        """
        ca = SiteCA()
        self.authenticator.names = CanonicalNames(
            parseMap(b"SSL CN=alice alice@example.org\n", "/map", False, lambda path: []), "x.org"
        )
        trust = Trust([authority("ours").certificate], [ca.certificate])
        self.enrolment.believed = trust
        ce = self.readyCE(
            site="grid",
            options=clientOptions(ca.issue("alice").credentials(), HOST),
            proxyOptions=serverOptions(proxyCredentials(), trust),
        )
        mapping = "SSL CN=alice alice@example.org\n"
        self.assertEqual(self.adopt(mapping=mapping), ["the map of names has changed"])
        self.assertEqual(self.adopt(mapping=f"# Who is who\n{mapping}"), [])
        _, said = self.adopt(mapping="SSL CN=alice bob@example.org\n")
        self.assertIn("has to come again", said)
        self.assertClosed(ce, "the map of canonical names has changed")
        self.assertEqual(ce.ends, [])
