"""
Tests of L{rvgahp.handshake}.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import ChannelLost, PolicyConflict, ProtocolError, RvgahpError
from rvgahp.handshake import Answerer, ChannelKeys, Dialer, refusal
from rvgahp.handshakemessages import (
    ACCEPT,
    GAHP_STREAM,
    STALE_GENERATION,
    TUNNEL_STREAM,
    Dial,
    encodeMessage,
    takeMessage,
)
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.session import SecuritySession
from tests.sessions import INTEGRITY, KEY, NEVER, POLICIES, REQUIRED, SESSION_ID, makeSession

#: Points of small order on Curve25519 or its twist, with which every private key
#: gives zero (RFC 7748, section 6.1, asks to look for that).
WORTHLESS = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]

Alter = Callable[[str, bytes], bytes]


class WorthlessPrivate:
    """
    In the place of a private key: shows a public key of our choice.
    """

    def __init__(self, public: bytes) -> None:
        self._public = public

    def public_key(self) -> WorthlessPrivate:
        return self

    def public_bytes_raw(self) -> bytes:
        return self._public


class Incomplete(Exception):
    """
    A message does not end: its reader waits, and its deadline will end it.
    """


def unchanged(name: str, message: bytes) -> bytes:
    """
    Let a message pass.
    """
    return message


def body(message: bytes) -> bytes:
    """
    What a message holds, as the one who gets it reads it.
    """
    found, taken = takeMessage(message)
    if found is None:
        raise Incomplete
    assert taken <= len(message)
    return found


def shakeHands(
    ce: SecuritySession, client: SecuritySession, alter: Alter = unchanged
) -> tuple[ChannelKeys, ChannelKeys]:
    """
    A whole handshake, with each message passed through C{alter}.

    @return: the keys of the CE and of the client.
    """
    dialer = Dialer(ce, 0, GAHP_STREAM, 1, 10, 20)
    dial = Dial(body(alter("dial", dialer.dial())))
    if dial.sessionId != client.sessionId or not dial.verify(client):
        raise ProtocolError("not proven")
    answerer = Answerer(client, dial, 30, 40)
    confirm, ceKeys = dialer.answered(body(alter("accept", answerer.accept())))
    return ceKeys, answerer.confirmed(body(alter("confirm", confirm)))


class MessageTests(SynchronousTestCase):
    """
    Tests of L{encodeMessage} and L{takeMessage}.
    """

    @given(st.binary(min_size=1, max_size=limits.HANDSHAKE_BYTES), st.binary(max_size=40))
    def test_slices(self, content: bytes, rest: bytes) -> None:
        """
        A message is there when its last byte is there, and no byte after is taken.
        """
        message = encodeMessage(content)
        for size in range(len(message)):
            self.assertEqual(takeMessage(message[:size]), (None, 0))
        self.assertEqual(takeMessage(message + rest), (content, len(message)))

    def test_impossibleLengths(self) -> None:
        """
        A length of 0 or above 1024 is refused before its bytes have come.
        """
        for length in (0, 1025, 0xFFFF, 0x1603):
            with self.assertRaisesRegex(ProtocolError, f"claims {length} bytes"):
                takeMessage(encodeMessage(bytes(length))[:6])

    def test_alteredHeader(self) -> None:
        """
        With any bit of its header flipped a message is refused by the header alone.
        """
        header = encodeMessage(b"what it announces")[:6]
        for bit in range(len(header) * 8):
            altered = bytearray(header)
            altered[bit // 8] ^= 1 << bit % 8
            with self.assertRaisesRegex(ProtocolError, "was altered"):
                takeMessage(altered)


class HandshakeTests(SynchronousTestCase):
    """
    Tests of L{Dialer} and L{Answerer} against each other.
    """

    def test_agreement(self) -> None:
        """
        In all three outcomes both are left with the same two keys, each sending with
        what the other receives with, and with the other's offsets.
        """
        for outcome in POLICIES:
            ce, client = shakeHands(makeSession(outcome), makeSession(outcome))
            self.assertIs(ce.outcome, outcome)
            self.assertIs(client.outcome, outcome)
            self.assertEqual(ce.sending, client.receiving)
            self.assertEqual(client.sending, ce.receiving)
            self.assertNotEqual(ce.sending, ce.receiving)
            self.assertEqual((client.peerReceived, client.peerLimit), (10, 20))
            self.assertEqual((ce.peerReceived, ce.peerLimit), (30, 40))

    def test_freshKeys(self) -> None:
        """
        Two channels of one session share no key.
        """
        keys = set()
        for _ in range(5):
            ce, _ = shakeHands(makeSession(), makeSession())
            keys |= {ce.sending, ce.receiving}
        self.assertEqual(len(keys), 10)

    def test_dialFields(self) -> None:
        """
        Every field of a Dial is read as it was written.
        """
        session = makeSession(keyNumber=7)
        message = Dialer(session, 3, TUNNEL_STREAM, 2**32 - 1, 2**63, 2**64 - 1).dial()
        dial = Dial(body(message))
        self.assertEqual(dial.version, 1)
        self.assertEqual(dial.sessionId, SESSION_ID)
        self.assertEqual((dial.stream, dial.kind), (3, TUNNEL_STREAM))
        self.assertEqual((dial.generation, dial.keyNumber), (2**32 - 1, 7))
        self.assertEqual(dial.policyText, "R:R:AES")
        self.assertEqual((dial.received, dial.limit), (2**63, 2**64 - 1))
        self.assertTrue(dial.verify(session))

    def test_everyByteMatters(self) -> None:
        """
        With any byte of any message altered, its length included, a side refuses, or
        waits for more; there is never a handshake that ends well.
        """
        for outcome in POLICIES:
            lengths = self._lengths(outcome)
            self.assertGreater(lengths["dial"], 130)
            for name, length in lengths.items():
                for index in range(length):
                    for mask in (0x01, 0x80, 0xFF):
                        self._refused(outcome, name, index, mask)

    def _lengths(self, outcome: Outcome) -> dict[str, int]:
        lengths = {}

        def measure(name: str, message: bytes) -> bytes:
            lengths[name] = len(message)
            return message

        shakeHands(makeSession(outcome), makeSession(outcome), measure)
        return lengths

    def _refused(self, outcome: Outcome, name: str, index: int, mask: int) -> None:
        def alter(which: str, message: bytes) -> bytes:
            if which != name:
                return message
            altered = bytearray(message)
            altered[index] ^= mask
            return bytes(altered)

        try:
            shakeHands(makeSession(outcome), makeSession(outcome), alter)
        except (RvgahpError, Incomplete):
            return
        self.fail(f"byte {index} of {name} does not matter")

    def test_truncatedAndLengthened(self) -> None:
        """
        Each message is refused with any number of bytes cut off or one added, though
        its length says so.
        """
        for name, length in self._lengths(Outcome.ENCRYPT).items():
            for cut in [*range(1, length - 2), -1]:

                def alter(which: str, message: bytes, name: str = name, cut: int = cut) -> bytes:
                    if which != name:
                        return message
                    return encodeMessage(message[2:-cut] if cut > 0 else message[2:] + b"\0")

                with self.assertRaises(RvgahpError):
                    shakeHands(makeSession(), makeSession(), alter)

    def test_wrongKey(self) -> None:
        """
        Two ends with different session keys do not come together.
        """
        with self.assertRaises(ProtocolError):
            shakeHands(makeSession(), makeSession(key=bytes(32)))

    def test_otherSession(self) -> None:
        """
        A proof is for one session id, even where the key is the same.
        """
        dial = Dial(body(Dialer(makeSession(), 0, GAHP_STREAM, 1, 0, 0).dial()))
        self.assertFalse(dial.verify(makeSession(sessionId="another:1:1:1")))

    def test_acceptWithWrongKey(self) -> None:
        """
        The CE does not believe an Accept of one who has only seen its Dial.
        """
        dialer = Dialer(makeSession(), 0, GAHP_STREAM, 1, 0, 0)
        forged = Answerer(makeSession(key=bytes(32)), Dial(body(dialer.dial())), 0, 0)
        with self.assertRaisesRegex(ProtocolError, "proves no knowledge"):
            dialer.answered(body(forged.accept()))

    def test_replayedAnswers(self) -> None:
        """
        The Accept and Confirm of one channel are worth nothing on the next.
        """
        seen: dict[str, bytes] = {}

        def record(name: str, message: bytes) -> bytes:
            seen[name] = message
            return message

        shakeHands(makeSession(), makeSession(), record)
        for name in ("accept", "confirm"):

            def replay(which: str, message: bytes, name: str = name) -> bytes:
                return seen[which] if which == name else message

            with self.assertRaises(ProtocolError):
                shakeHands(makeSession(), makeSession(), replay)

    def test_replayedDial(self) -> None:
        """
        Who replays a Dial gets an Accept, and can do nothing with it: the records'
        keys differ from those of the first time.
        """
        session = makeSession()
        dialer = Dialer(session, 0, GAHP_STREAM, 1, 0, 0)
        dial = Dial(body(dialer.dial()))
        first, second = (Answerer(session, dial, 0, 0) for _ in range(2))
        confirm, _ = dialer.answered(body(first.accept()))
        first.confirmed(body(confirm))
        with self.assertRaises(ProtocolError):
            second.confirmed(body(confirm))

    def test_reflectedMessages(self) -> None:
        """
        A message sent back to its sender is refused.
        """
        session = makeSession()
        dialer = Dialer(session, 0, GAHP_STREAM, 1, 0, 0)
        with self.assertRaises(ProtocolError):
            dialer.answered(body(dialer.dial()))
        answerer = Answerer(session, Dial(body(dialer.dial())), 0, 0)
        with self.assertRaises(ProtocolError):
            answerer.confirmed(body(answerer.accept()))
        with self.assertRaises(ProtocolError):
            Dial(body(answerer.accept()))

    def test_worthlessKeyOfCE(self) -> None:
        """
        A client refuses a Dial whose public key gives zero, though it is proven.
        """
        session = makeSession()
        for public in WORTHLESS:
            private: Any = WorthlessPrivate(public)
            dial = Dial(body(Dialer(session, 0, GAHP_STREAM, 1, 0, 0, private).dial()))
            self.assertTrue(dial.verify(session))
            with self.assertRaisesRegex(ProtocolError, "worthless"):
                Answerer(session, dial, 0, 0)

    def test_worthlessKeyOfClient(self) -> None:
        """
        A CE refuses an Accept whose public key gives zero.
        """
        session = makeSession()
        for public in WORTHLESS:
            dialer = Dialer(session, 0, GAHP_STREAM, 1, 0, 0)
            text = b"R:R:AES"
            accept = bytes((ACCEPT, len(text))) + text + b"\x02\x03AES" + public + bytes(16 + 32)
            with self.assertRaisesRegex(ProtocolError, "worthless"):
                dialer.answered(accept)

    @given(st.binary(max_size=300))
    def test_garbage(self, garbage: bytes) -> None:
        """
        Whatever comes in place of a message is refused with an error of ours.
        """
        session = makeSession()
        dialer = Dialer(session, 0, GAHP_STREAM, 1, 0, 0)
        answerer = Answerer(session, Dial(body(dialer.dial())), 0, 0)
        for begin in (b"", b"\x01", b"\x02", b"\x03", b"\x04"):
            for reader in (Dial, dialer.answered, answerer.confirmed):
                with self.assertRaises(RvgahpError):
                    reader(begin + garbage)


class PolicyTests(SynchronousTestCase):
    """
    Tests of what a channel does with policies.
    """

    def test_otherPolicyOfCE(self) -> None:
        """
        The client refuses a CE whose policy gives another result than the session's.
        """
        for mine, other in ((REQUIRED, INTEGRITY), (INTEGRITY, NEVER), (NEVER, REQUIRED)):
            client = SecuritySession(SESSION_ID, KEY, mine, mine, 1, 1)
            ce = SecuritySession(SESSION_ID, KEY, other, other, 1, 1)
            with self.assertRaises(PolicyConflict):
                shakeHands(ce, client)

    def test_otherPolicyOfClient(self) -> None:
        """
        The CE refuses a client that names another policy of the proxy than StartGAHP
        did, though the result is the same.
        """
        preferred = Policy(Level.PREFERRED, Level.PREFERRED, ("AES",))
        ce = SecuritySession(SESSION_ID, KEY, REQUIRED, REQUIRED, 1, 1)
        client = SecuritySession(SESSION_ID, KEY, preferred, REQUIRED, 1, 1)
        with self.assertRaisesRegex(ProtocolError, "another security policy"):
            shakeHands(ce, client)

    def test_unreadablePolicy(self) -> None:
        """
        A policy that is none, in a proven Dial, is refused with an error of ours.
        """
        for text in (b"", b"R:R", b"X:Y:AES", b"R:R:aes", b"\xff\xfe"):
            with self.assertRaises(RvgahpError):
                dial = Dial(dialWithPolicy(text))
                self.assertTrue(dial.verify(makeSession()))
                Answerer(makeSession(), dial, 0, 0)


def dialWithPolicy(text: bytes) -> bytes:
    """
    A proven Dial body with any bytes for its policy.
    """
    name = SESSION_ID.encode()
    fields = b"\x01\x00\x01" + bytes((len(name),)) + name + bytes(4) + b"\0" + bytes(3) + b"\1\0\1"
    fields += bytes((len(text),)) + text + bytes(range(32)) + bytes(16)
    return fields + hmac.digest(makeSession().proofKey(), b"dial" + fields, "sha256")


class RefusalTests(SynchronousTestCase):
    """
    Tests of L{refusal}.
    """

    def setUp(self) -> None:
        self.session = makeSession()
        self.dialer = Dialer(self.session, 0, GAHP_STREAM, 1, 0, 0)
        self.dial = Dial(body(self.dialer.dial()))

    def test_toldToTheCE(self) -> None:
        """
        The CE learns the client's reason.
        """
        message = refusal(self.session, self.dial, STALE_GENERATION, "has been before")
        with self.assertRaisesRegex(ChannelLost, r"reason 1\): has been before"):
            self.dialer.answered(body(message))

    def test_longSentence(self) -> None:
        """
        A sentence that is too long is cut, but not through a character.
        """
        for begin in range(4):
            sentence = "x" * begin + "\N{EURO SIGN}" * 200
            message = refusal(self.session, self.dial, STALE_GENERATION, sentence)
            with self.assertRaisesRegex(ChannelLost, "x" * begin + "\N{EURO SIGN}{84}"):
                self.dialer.answered(body(message))

    def test_everyByteMatters(self) -> None:
        """
        An altered refusal is no reason; whoever made it does not know the key.
        """
        message = refusal(self.session, self.dial, STALE_GENERATION, "has been before")
        for index in range(2, len(message)):
            altered = bytearray(message)
            altered[index] ^= 0x01
            with self.assertRaises(ProtocolError):
                self.dialer.answered(body(bytes(altered)))

    def test_forAnotherDial(self) -> None:
        """
        A refusal of one Dial says nothing about the next.
        """
        message = refusal(self.session, self.dial, STALE_GENERATION, "has been before")
        with self.assertRaises(ProtocolError):
            Dialer(self.session, 0, GAHP_STREAM, 2, 0, 0).answered(body(message))
