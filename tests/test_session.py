"""
Tests of L{rvgahp.session}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import PolicyConflict, ProtocolError
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.session import SecuritySession, derive
from tests.sessions import KEY, NEVER, POLICIES, REQUIRED, makeSession

#: The SHA-256 cases of RFC 5869, appendix A: secret, salt, info, result.
RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
        "cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


class DeriveTests(SynchronousTestCase):
    """
    Tests of L{derive}.
    """

    def test_publishedVectors(self) -> None:
        """
        It is HKDF-SHA256 as RFC 5869 has it.
        """
        for secret, salt, info, result in RFC_5869:
            expected = bytes.fromhex(result)
            made = derive(
                bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), len(expected)
            )
            self.assertEqual(made, expected)


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
