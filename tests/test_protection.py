"""
Tests of L{rvgahp.protection}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration
from rvgahp.errors import PolicyConflict
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.protection import checkAgreed, checkRenewal, checkStart
from rvgahp.settings import Settings, settingsFrom
from tests.sessions import INTEGRITY, NEVER, POLICIES, REQUIRED, makeSession

#: One address that may be talked to in clear text, and one that may not.
NAMED, OTHER = "192.0.2.7", "192.0.2.8"


def settings(role: str = "proxy") -> Settings:
    """
    @return: settings that name a peer for clear text.
    """
    values = {"RVGAHP_CLEARTEXT_PEERS": NAMED}
    if role == "ce":
        values["RVGAHP_BROKER_HOST"] = "proxy.example.org"
    return settingsFrom(role, Configuration(None, values))


class StartTests(SynchronousTestCase):
    """
    Tests of what is checked when a session is made.
    """

    def test_agreed(self) -> None:
        """
        The CE takes no other result than its own.
        """
        session = makeSession()
        checkAgreed(session, "encrypt", "AES")
        for outcome, method in (("integrity", "AES"), ("none", ""), ("encrypt", "")):
            error = self.assertRaises(PolicyConflict, checkAgreed, session, outcome, method)
            self.assertIn(f"'encrypt' here and '{outcome}'", str(error))

    def test_confidential(self) -> None:
        """
        A GAHP that carries secrets is started where channels are encrypted only.
        """
        checkStart(settings(), makeSession().outcome, OTHER, "condor_ft-gahp", True)
        for outcome in (Outcome.INTEGRITY, Outcome.NONE):
            session = makeSession(outcome)
            checkStart(settings(), session.outcome, NAMED, "blahpd", False)
            error = self.assertRaises(
                PolicyConflict,
                checkStart,
                settings(),
                session.outcome,
                NAMED,
                "condor_ft-gahp",
                True,
            )
            self.assertIn("condor_ft-gahp is only started where", str(error))
            self.assertIn(f"'{outcome.value}'", str(error))

    def test_cleartext(self) -> None:
        """
        Without protection it is started for named peers only; the refusal names the side
        whose setting it is.
        """
        session = makeSession(Outcome.NONE)
        for role, side in (("proxy", "proxy"), ("ce", "site")):
            checkStart(settings(role), session.outcome, NAMED, "blahpd", False)
            error = self.assertRaises(
                PolicyConflict, checkStart, settings(role), session.outcome, OTHER, "blahpd", False
            )
            self.assertIn(f"of the {side} does not name {OTHER}", str(error))


class RenewalTests(SynchronousTestCase):
    """
    Tests of what is checked when its key is renewed.
    """

    def test_same(self) -> None:
        """
        Where the two policies still give what they gave, be they the same or others, the
        key is renewed.
        """
        for outcome, policy in POLICIES.items():
            checkRenewal(settings(), makeSession(outcome), policy, policy, NAMED)
        other = Policy(Level.OPTIONAL, Level.OPTIONAL, ("BLOWFISH", "AES"))
        checkRenewal(settings(), makeSession(), other, REQUIRED, OTHER)

    def test_changed(self) -> None:
        """
        Where they give anything else, safer or less safe, it is not; nor where they
        exclude each other.
        """
        for outcome in POLICIES:
            for server in POLICIES.values():
                for client in POLICIES.values():
                    if server is client is POLICIES[outcome]:
                        continue
                    self.assertRaises(
                        PolicyConflict,
                        checkRenewal,
                        settings(),
                        makeSession(outcome),
                        server,
                        client,
                        NAMED,
                    )

    def test_sentence(self) -> None:
        """
        The refusal names what they gave and what they give.
        """
        for policy, now in ((INTEGRITY, "'integrity' by AES"), (NEVER, "'none'")):
            error = self.assertRaises(
                PolicyConflict, checkRenewal, settings(), makeSession(), policy, policy, NAMED
            )
            self.assertIn(f"now give {now}, and the session was made with", str(error))
            self.assertIn("'encrypt' by AES", str(error))

    def test_method(self) -> None:
        """
        Another method is another result.
        """
        other = Policy(Level.REQUIRED, Level.REQUIRED, ("BLOWFISH",))
        self.assertRaises(
            PolicyConflict, checkRenewal, settings(), makeSession(), other, other, NAMED
        )

    def test_cleartext(self) -> None:
        """
        A peer that is not named any more, or has another address now, gets no key for
        channels in clear text.
        """
        session = makeSession(Outcome.NONE)
        checkRenewal(settings(), session, NEVER, NEVER, NAMED)
        error = self.assertRaises(
            PolicyConflict, checkRenewal, settings(), session, NEVER, NEVER, OTHER
        )
        self.assertIn(f"does not name {OTHER}", str(error))
