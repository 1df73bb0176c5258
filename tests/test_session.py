"""
Tests of L{rvgahp.session}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import PolicyConflict, ProtocolError
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.session import SecuritySession
from tests.sessions import KEY, NEVER, POLICIES, REQUIRED, makeSession


class SecuritySessionTests(SynchronousTestCase):
    """
    Tests of L{SecuritySession}.
    """

    def test_outcomes(self) -> None:
        """
        The outcome and method are what the two policies resolve to.
        """
        for outcome in POLICIES:
            session = makeSession(outcome)
            self.assertIs(session.outcome, outcome)
            self.assertEqual(session.method, "" if outcome is Outcome.NONE else "AES")

    def test_exclusivePolicies(self) -> None:
        """
        There is no session where one requires what the other never allows.
        """
        with self.assertRaises(PolicyConflict):
            SecuritySession("a:1:1:1", KEY, REQUIRED, NEVER, 1, 1)

    def test_noCommonMethod(self) -> None:
        """
        There is no session without a common method.
        """
        other = Policy(Level.REQUIRED, Level.REQUIRED, ("BLOWFISH",))
        with self.assertRaises(PolicyConflict):
            SecuritySession("a:1:1:1", KEY, REQUIRED, other, 1, 1)

    def test_impossibleIds(self) -> None:
        """
        An id is 1 to 128 ASCII characters.
        """
        for sessionId in ("", "x" * 129, "sitio-ñ"):
            with self.assertRaises(ProtocolError):
                makeSession(sessionId=sessionId)
        self.assertEqual(len(makeSession(sessionId="x" * 128).sessionId), 128)

    def test_impossibleKeys(self) -> None:
        """
        A key has 32 bytes.
        """
        for length in (0, 16, 31, 33, 64):
            with self.assertRaises(ProtocolError):
                makeSession(key=bytes(length))

    def test_subkeysDiffer(self) -> None:
        """
        The three subkeys of two sessions with one key, and of two keys with one id,
        are twelve different ones, and none is the key.
        """
        sessions = [
            makeSession(key=key, sessionId=sessionId)
            for key in (KEY, bytes(32))
            for sessionId in ("a:1:1:1", "a:1:1:2")
        ]
        keys = {KEY, bytes(32)}
        for session in sessions:
            keys |= {session.proofKey(), session.trafficKey(), session.claimKey()}
        self.assertEqual(len(keys), 2 + 12)
        self.assertEqual({len(key) for key in keys}, {32})

    def test_keyIsNotShown(self) -> None:
        """
        A session in a log shows its id, and nothing of its key.
        """
        session = makeSession(key=b"0123456789abcdef" * 2)
        self.assertIn(session.sessionId, repr(session))
        for shown in (repr(session), str(session), f"{session}"):
            self.assertNotIn("0123456789abcdef", shown)
            self.assertNotIn(session.key.hex(), shown)
