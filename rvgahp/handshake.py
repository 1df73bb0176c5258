# -*- test-case-name: tests.test_handshake -*-
"""
The handshake of one channel: C{doc/protocol.rst}, step 7.

Layer 0: bytes in, bytes out.  The CE drives a L{Dialer}, the client an
L{Answerer}; what both are left with is a L{ChannelKeys}.
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC

from rvgahp import limits, x25519
from rvgahp.errors import ChannelLost, PolicyConflict, ProtocolError
from rvgahp.policy import Outcome, Policy, resolve
from rvgahp.session import SecuritySession, derive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

DIAL, ACCEPT, CONFIRM, REFUSAL = 1, 2, 3, 4

#: Reasons of a Refusal.
STALE_GENERATION, NO_STREAM, POLICY, VERSION, KEY_NUMBER = 1, 2, 3, 4, 5

#: Kinds of stream.
GAHP_STREAM, TUNNEL_STREAM = 0, 1

PROOF_BYTES = 32

_LENGTH = Struct("!H")
_NAMES = Struct("!IBIH")  # stream, kind, generation, key number
_OFFSETS = Struct("!QQ")  # received, limit

#: Outcomes on the wire, by number.
OUTCOMES = (Outcome.NONE, Outcome.INTEGRITY, Outcome.ENCRYPT)


def _hmac(key: bytes, data: bytes) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(data)
    return mac.finalize()


def _proves(key: bytes, data: bytes, proof: bytes) -> bool:
    """
    @return: whether C{proof} is the HMAC of C{data}; in constant time.
    """
    mac = HMAC(key, SHA256())
    mac.update(data)
    try:
        mac.verify(proof)  # constant_time.bytes_eq would import hmac: 3 ms
    except InvalidSignature:
        return False
    return True


def _hash(*parts: bytes) -> bytes:
    digest = Hash(SHA256())
    for part in parts:
        digest.update(part)
    return digest.finalize()


def _len8(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def encodeMessage(body: bytes) -> bytes:
    """
    @return: C{body} with its length before it, as it goes on the wire.
    """
    return _LENGTH.pack(len(body)) + body


def takeMessage(data: bytes | bytearray | memoryview) -> tuple[bytes | None, int]:
    """
    Look for one whole handshake message at the start of C{data}.

    @return: its body and the bytes it took, or C{(None, 0)} if more is needed.
    @raise ProtocolError: the length is impossible.
    """
    if len(data) < _LENGTH.size:
        return None, 0
    (length,) = _LENGTH.unpack_from(data)
    if not 0 < length <= limits.HANDSHAKE_BYTES:
        raise ProtocolError(f"A handshake message claims {length} bytes; 1 to 1024 are allowed.")
    end = _LENGTH.size + length
    if len(data) < end:
        return None, 0
    return bytes(data[_LENGTH.size : end]), end


class _Fields:
    """
    Reads the fields of one message; whatever is missing or left over is an error.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.offset = 0

    def take(self, count: int) -> bytes:
        end = self.offset + count
        if end > len(self._body):
            raise ProtocolError("A handshake message is truncated.")
        data, self.offset = self._body[self.offset : end], end
        return data

    def byte(self) -> int:
        return self.take(1)[0]

    def text(self, encoding: str = "ascii") -> str:
        data = self.take(self.byte())
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            raise ProtocolError("A text in a handshake message is badly encoded.") from None

    def unpack(self, struct: Struct) -> tuple[int, ...]:
        return struct.unpack(self.take(struct.size))

    def close(self) -> None:
        if self.offset != len(self._body):
            raise ProtocolError("A handshake message has bytes after its end.")


class Dial:
    """
    The CE's first message.

    @ivar received: stream bytes the CE has received.
    @ivar limit: stream offset up to which the client may send.
    @ivar body: the message as it was sent, without its length.
    """

    def __init__(self, body: bytes) -> None:
        """
        @raise ProtocolError: the body is no Dial.
        """
        self.body = body
        fields = _Fields(body)
        if fields.byte() != DIAL:
            raise ProtocolError("The first handshake message is not a Dial.")
        (self.version,) = fields.unpack(_LENGTH)
        self.sessionId = fields.text()
        self.stream, self.kind, self.generation, self.keyNumber = fields.unpack(_NAMES)
        self.policyText = fields.text()
        self.publicKey = fields.take(32)
        self.received, self.limit = fields.unpack(_OFFSETS)
        self._proven = body[: fields.offset]
        self.proof = fields.take(PROOF_BYTES)
        fields.close()

    def verify(self, session: SecuritySession) -> bool:
        """
        @return: whether it was made by one who knows the session's key.
        """
        return _proves(session.proofKey(), b"dial" + self._proven, self.proof)


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
            shared = x25519.exchange(private, public)
        except ValueError:
            raise ProtocolError("The peer's public key in a handshake is worthless.") from None
        keys = derive(shared, traffic, b"channel " + t1, 128)
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
        self._private = private or x25519.generate()
        body = b"".join(
            (
                bytes((DIAL,)),
                _LENGTH.pack(limits.PROTOCOL_VERSIONS[-1]),
                _len8(session.sessionId.encode("ascii")),
                _NAMES.pack(stream, kind, generation, session.keyNumber),
                _len8(session.clientPolicy.encode().encode("ascii")),
                self._private.public_key().public_bytes_raw(),
                _OFFSETS.pack(received, limit),
            )
        )
        self._dial = body + _hmac(session.proofKey(), b"dial" + body)

    def dial(self) -> bytes:
        """
        @return: the first message, with its length.
        """
        return encodeMessage(self._dial)

    def answered(self, body: bytes) -> tuple[bytes, ChannelKeys]:
        """
        The client's answer has come.

        @return: the Confirm message, with its length, and the channel's keys.
        @raise ChannelLost: the client refused, provably.
        @raise ProtocolError: the answer is malformed or proves nothing.
        """
        if body[:1] == bytes((REFUSAL,)):
            raise ChannelLost(self._refusal(body))
        fields = _Fields(body)
        if fields.byte() != ACCEPT:
            raise ProtocolError("The answer to a Dial is neither Accept nor Refusal.")
        policyText, number, method = fields.text(), fields.byte(), fields.text()
        public = fields.take(32)
        received, limit = fields.unpack(_OFFSETS)
        t1 = _hash(self._dial, body[: fields.offset])
        proof = fields.take(PROOF_BYTES)
        fields.close()
        secrets = _Secrets(self._private, public, self._session.trafficKey(), t1)
        if not _proves(secrets.clientFinished, t1, proof):
            raise ProtocolError("The client's Accept proves no knowledge of the session key.")
        self._checkPolicy(policyText, number, method)
        confirm = bytes((CONFIRM,)) + _hmac(secrets.ceFinished, _hash(self._dial, body))
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

    def _refusal(self, body: bytes) -> str:
        fields = _Fields(body)
        fields.byte()
        reason = fields.byte()
        sentence = fields.text("utf-8")
        proven = body[: fields.offset]
        proof = fields.take(PROOF_BYTES)
        fields.close()
        said = b"refusal" + _hash(self._dial) + proven
        if not _proves(self._session.proofKey(), said, proof):
            raise ProtocolError("A refusal of a channel proves no knowledge of the session key.")
        return f"The client refused the channel (reason {reason}): {sentence}"


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
        private = private or x25519.generate()
        body = b"".join(
            (
                bytes((ACCEPT,)),
                _len8(session.serverPolicy.encode().encode("ascii")),
                bytes((OUTCOMES.index(session.outcome),)),
                _len8(session.method.encode("ascii")),
                private.public_key().public_bytes_raw(),
                _OFFSETS.pack(received, limit),
            )
        )
        t1 = _hash(dial.body, body)
        secrets = _Secrets(private, dial.publicKey, session.trafficKey(), t1)
        self._accept = body + _hmac(secrets.clientFinished, t1)
        self._finished = secrets.ceFinished
        self._t2 = _hash(dial.body, self._accept)
        self._keys = ChannelKeys(
            session.outcome, secrets.clientRecords, secrets.ceRecords, dial.received, dial.limit
        )

    def accept(self) -> bytes:
        """
        @return: the second message, with its length.
        """
        return encodeMessage(self._accept)

    def confirmed(self, body: bytes) -> ChannelKeys:
        """
        The CE's last message has come.

        @raise ProtocolError: it is malformed or proves nothing.
        """
        fields = _Fields(body)
        if fields.byte() != CONFIRM:
            raise ProtocolError("The third handshake message is not a Confirm.")
        proof = fields.take(PROOF_BYTES)
        fields.close()
        if not _proves(self._finished, self._t2, proof):
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
    @return: the message, with its length.
    """
    text = sentence.encode("utf-8")[:255].decode("utf-8", "ignore")  # no half of a character
    body = bytes((REFUSAL, reason)) + _len8(text.encode("utf-8"))
    proof = _hmac(session.proofKey(), b"refusal" + _hash(dial.body) + body)
    return encodeMessage(body + proof)
