"""
Tests of L{rvgahp.session}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import PolicyConflict, ProtocolError
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.session import SecuritySession, SessionKeys
from tests.sessions import KEY, NEVER, POLICIES, REQUIRED, makeSession

NEW_KEY = bytes(range(100, 132))


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
        An id is 1 to 128 printable ASCII characters.
        """
        for sessionId in ("", "x" * 129, "sitio-ñ", "a\nb", "a\x1b[2J"):
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

    def test_impossibleNumbers(self) -> None:
        """
        A key has a number of two bytes and a duration that a clock can add.
        """
        for number in (-1, 0, 65536, 10**400):
            with self.assertRaises(ProtocolError):
                makeSession(keyNumber=number)
        for duration in (-1, 0, 2**31, 10**400):
            with self.assertRaises(ProtocolError):
                SecuritySession("a:1:1:1", KEY, REQUIRED, REQUIRED, duration, 1)

    def test_renewed(self) -> None:
        """
        A renewal changes key, number and duration, and nothing else; after the last
        number comes the first.
        """
        session = makeSession(keyNumber=limits.LAST_KEY_NUMBER - 1)
        for number in (limits.LAST_KEY_NUMBER, 1, 2):
            new = session.renewed(NEW_KEY, 60)
            self.assertEqual((new.key, new.keyNumber, new.duration), (NEW_KEY, number, 60))
            self.assertEqual(
                (new.sessionId, new.lease, new.outcome, new.serverPolicy, new.clientPolicy),
                (session.sessionId, 3000, session.outcome, REQUIRED, REQUIRED),
            )
            session = new

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


class SessionKeysTests(SynchronousTestCase):
    """
    Tests of L{SessionKeys}.
    """

    def setUp(self) -> None:
        """
        Begin with a key that is good until 86,500.
        """
        self.first = makeSession()
        self.keys = SessionKeys(self.first, 100.0)

    def isGood(self, number: int, now: float) -> bool:
        """
        @return: whether a channel could be opened with the key of this number.
        """
        session = self.keys.find(number)
        assert session is not None
        return not self.keys.objection(session, now)

    def test_first(self) -> None:
        """
        The first key is good for its duration, and then named with it.
        """
        self.assertIs(self.keys.present, self.first)
        self.assertIs(self.keys.find(1), self.first)
        self.assertEqual([self.keys.find(number) for number in (0, 2, 65535)], [None] * 3)
        self.assertTrue(self.isGood(1, 100))
        self.assertTrue(self.isGood(1, 86499.9))
        self.assertFalse(self.isGood(1, 86500))
        self.assertIn("key 1", self.keys.objection(self.first, 86500))
        self.assertIn("86400 s", self.keys.objection(self.first, 86500))

    def test_renewed(self) -> None:
        """
        Of two keys each is good until its own duration is over; the one before them is
        forgotten.
        """
        self.keys.renew(NEW_KEY, 2, 50, 86400.0)
        self.assertEqual((self.keys.present.key, self.keys.present.keyNumber), (NEW_KEY, 2))
        self.assertEqual([self.isGood(number, 86449.9) for number in (1, 2)], [True, True])
        self.assertEqual([self.isGood(number, 86450) for number in (1, 2)], [True, False])
        self.assertEqual([self.isGood(number, 86500) for number in (1, 2)], [False, False])
        self.keys.renew(KEY, 3, 2147483647, 86600.0)
        self.assertIsNone(self.keys.find(1))
        self.assertFalse(self.isGood(2, 86600))
        self.assertTrue(self.isGood(3, 86600.0 + 2147483646))

    def test_again(self) -> None:
        """
        A key that comes again changes nothing, its duration neither.
        """
        self.keys.renew(NEW_KEY, 2, 50, 1000.0)
        second = self.keys.present
        self.keys.renew(NEW_KEY, 2, 7000, 1040.0)
        self.assertIs(self.keys.present, second)
        self.assertIs(self.keys.find(1), self.first)
        self.assertFalse(self.isGood(2, 1050))

    def test_impossible(self) -> None:
        """
        What is no next key changes nothing, and its refusal does not show it.
        """
        self.keys.renew(KEY, 2, 50, 1000.0)
        second = self.keys.present
        for key, number, duration in (
            (NEW_KEY, 1, 50),
            (NEW_KEY, 2, 50),
            (NEW_KEY, 4, 50),
            (NEW_KEY, 0, 50),
            (NEW_KEY, -3, 50),
            (NEW_KEY, 65539, 50),
            (NEW_KEY, 10**4000, 50),
            (NEW_KEY[:31], 3, 50),
            (NEW_KEY + b"x", 3, 50),
            (b"", 3, 50),
            (NEW_KEY, 3, 0),
            (NEW_KEY, 3, -1),
            (NEW_KEY, 3, 2**31),
            (NEW_KEY, 3, 10**4000),
        ):
            with self.assertRaises(ProtocolError) as caught:
                self.keys.renew(key, number, duration, 1040.0)
            self.assertLess(len(str(caught.exception)), 300)
            self.assertNotIn(repr(NEW_KEY)[10:20], str(caught.exception))
            self.assertIs(self.keys.present, second)
            self.assertIs(self.keys.find(1), self.first)
        self.assertTrue(self.isGood(2, 1049))

    def test_claimKey(self) -> None:
        """
        The claim key is the first key's, however often it is renewed.
        """
        for number in (2, 3, 4):
            self.keys.renew(bytes([number]) * 32, number, 50, 1000.0)
        self.assertEqual(self.keys.claimKey, self.first.claimKey())
        self.assertNotEqual(self.keys.claimKey, self.keys.present.claimKey())
