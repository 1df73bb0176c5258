# -*- test-case-name: tests.test_handshake -*-
"""
The handshake of one channel: C{doc/protocol.rst}, step 7.

Layer 0: bytes in, bytes out.  The CE drives a L{Dialer}, the client an
L{Answerer}; what both are left with is a L{ChannelKeys}.
"""

from __future__ import annotations

from rvgahp import limits
from rvgahp.errors import ChannelLost, PolicyConflict, ProtocolError, StreamOver
from rvgahp.handshakemessages import (
    ACCEPT,
    CONFIRM,
    DIAL,
    NAMES,
    NO_STREAM,
    OFFSETS,
    OUTCOMES,
    PROOF_BYTES,
    REFUSAL,
    VERSION_NUMBER,
    Dial,
    Fields,
    encodeMessage,
    len8,
)
from rvgahp.policy import Outcome, Policy, resolve
from rvgahp.primitives import exchange, generate, hkdf, hmac, proves, publicBytes, sha256
from rvgahp.session import SecuritySession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


class ChannelKeys:
    """
    What a finished handshake leaves: the keys of this channel's records.

    @ivar outcome: how records are protected.
    @ivar sending: key of the records we send.  B{Secret.}
    @ivar receiving: key of the records we receive.  B{Secret.}
    @ivar peerReceived: stream bytes the peer has; we resend from there.
    @ivar peerLimit: stream offset up to which we may send.
    """

    def __init__(
        self, outcome: Outcome, sending: bytes, receiving: bytes, peerReceived: int, peerLimit: int
    ) -> None:
        self.outcome = outcome
        self.sending = sending
        self.receiving = receiving
        self.peerReceived = peerReceived
        self.peerLimit = peerLimit


class _Secrets:
    """
    The four keys of one channel.  B{Secret.}
    """

    def __init__(self, private: X25519PrivateKey, public: bytes, traffic: bytes, t1: bytes) -> None:
        try:
            shared = exchange(private, public)
        except ValueError:
            raise ProtocolError("The peer's public key in a handshake is worthless.") from None
        keys = hkdf(shared, traffic, b"channel " + t1, 128)
        self.ceRecords, self.clientRecords = keys[:32], keys[32:64]
        self.clientFinished, self.ceFinished = keys[64:96], keys[96:]


class Dialer:
    """
    The CE's half of the handshake of one channel.
    """

    def __init__(
        self,
        session: SecuritySession,
        stream: int,
        kind: int,
        generation: int,
        received: int,
        limit: int,
        private: X25519PrivateKey | None = None,
    ) -> None:
        """
        @param private: the ephemeral key; made here but in tests of vectors.
        """
        self._session = session
        self._private = private or generate()
        body = b"".join(
            (
                bytes((DIAL,)),
                VERSION_NUMBER.pack(limits.CHANNEL_VERSION),
                len8(session.sessionId.encode("ascii")),
                NAMES.pack(stream, kind, generation, session.keyNumber),
                len8(session.clientPolicy.encode().encode("ascii")),
                publicBytes(self._private),
                OFFSETS.pack(received, limit),
            )
        )
        self._dial = body + hmac(session.proofKey(), b"dial" + body)

    def dial(self) -> bytes:
        """
        @return: the first message, with its header.
        """
        return encodeMessage(self._dial)

    def answered(self, body: bytes) -> tuple[bytes, ChannelKeys]:
        """
        The client's answer has come.

        @return: the Confirm message, with its header, and the channel's keys.
        @raise ChannelLost: the client refused, provably.
        @raise StreamOver: it did because the stream is over there.
        @raise ProtocolError: the answer is malformed or proves nothing.
        """
        if body[:1] == bytes((REFUSAL,)):
            raise self._refusal(body)
        fields = Fields(body)
        if fields.byte() != ACCEPT:
            raise ProtocolError("The answer to a Dial is neither Accept nor Refusal.")
        policyText, number, method = fields.text(), fields.byte(), fields.text()
        public = fields.take(32)
        received, limit = fields.unpack(OFFSETS)
        t1 = sha256(self._dial, body[: fields.offset])
        proof = fields.take(PROOF_BYTES)
        fields.close()
        secrets = _Secrets(self._private, public, self._session.trafficKey(), t1)
        if not proves(secrets.clientFinished, t1, proof):
            raise ProtocolError("The client's Accept proves no knowledge of the session key.")
        self._checkPolicy(policyText, number, method)
        confirm = bytes((CONFIRM,)) + hmac(secrets.ceFinished, sha256(self._dial, body))
        keys = ChannelKeys(
            self._session.outcome, secrets.ceRecords, secrets.clientRecords, received, limit
        )
        return encodeMessage(confirm), keys

    def _checkPolicy(self, policyText: str, number: int, method: str) -> None:
        session = self._session
        agreed = number < len(OUTCOMES) and (OUTCOMES[number], method) == (
            session.outcome,
            session.method,
        )
        if not agreed or policyText != session.serverPolicy.encode():
            raise ProtocolError("The client's Accept names another security policy than StartGAHP.")

    def _refusal(self, body: bytes) -> ChannelLost:
        fields = Fields(body)
        fields.byte()
        reason = fields.byte()
        sentence = fields.text("utf-8")
        proven = body[: fields.offset]
        proof = fields.take(PROOF_BYTES)
        fields.close()
        said = b"refusal" + sha256(self._dial) + proven
        if not proves(self._session.proofKey(), said, proof):
            raise ProtocolError("A refusal of a channel proves no knowledge of the session key.")
        kind = StreamOver if reason == NO_STREAM else ChannelLost
        return kind(f"The client refused the channel (reason {reason}): {sentence}")


class Answerer:
    """
    The client's half of the handshake of one channel.
    """

    def __init__(
        self,
        session: SecuritySession,
        dial: Dial,
        received: int,
        limit: int,
        private: X25519PrivateKey | None = None,
    ) -> None:
        """
        @param dial: the CE's message, which L{Dial.verify} has found true.
        @param received: stream bytes we have received.
        @param limit: stream offset up to which the CE may send.
        @raise ProtocolError: the CE's key is worthless, or its policy unreadable.
        @raise PolicyConflict: its policy is not the one the session was made with.
        """
        _checkDialPolicy(session, dial)
        private = private or generate()
        body = b"".join(
            (
                bytes((ACCEPT,)),
                len8(session.serverPolicy.encode().encode("ascii")),
                bytes((OUTCOMES.index(session.outcome),)),
                len8(session.method.encode("ascii")),
                publicBytes(private),
                OFFSETS.pack(received, limit),
            )
        )
        t1 = sha256(dial.body, body)
        secrets = _Secrets(private, dial.publicKey, session.trafficKey(), t1)
        self._accept = body + hmac(secrets.clientFinished, t1)
        self._finished = secrets.ceFinished
        self._t2 = sha256(dial.body, self._accept)
        self._keys = ChannelKeys(
            session.outcome, secrets.clientRecords, secrets.ceRecords, dial.received, dial.limit
        )

    def accept(self) -> bytes:
        """
        @return: the second message, with its header.
        """
        return encodeMessage(self._accept)

    def confirmed(self, body: bytes) -> ChannelKeys:
        """
        The CE's last message has come.

        @raise ProtocolError: it is malformed or proves nothing.
        """
        fields = Fields(body)
        if fields.byte() != CONFIRM:
            raise ProtocolError("The third handshake message is not a Confirm.")
        proof = fields.take(PROOF_BYTES)
        fields.close()
        if not proves(self._finished, self._t2, proof):
            raise ProtocolError("The CE's Confirm proves no knowledge of the channel's keys.")
        return self._keys


def _checkDialPolicy(session: SecuritySession, dial: Dial) -> None:
    policy = Policy.decode(dial.policyText)
    if resolve(session.serverPolicy, policy) != (session.outcome, session.method):
        raise PolicyConflict("The CE's security policy is not the one the session was made with.")


def refusal(session: SecuritySession, dial: Dial, reason: int, sentence: str) -> bytes:
    """
    Say, provably, why a proven Dial is not accepted.

    @param reason: one of this module's reasons.
    @return: the message, with its header.
    """
    text = sentence.encode("utf-8")[:255].decode("utf-8", "ignore")  # no half of a character
    body = bytes((REFUSAL, reason)) + len8(text.encode("utf-8"))
    proof = hmac(session.proofKey(), b"refusal" + sha256(dial.body) + body)
    return encodeMessage(body + proof)
