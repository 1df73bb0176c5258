# -*- test-case-name: tests.test_handshake -*-
"""
What the messages of a channel's handshake are made of, and the first of them.
C{doc/protocol.rst}, step 7.

Layer 0: bytes in, bytes out.
"""

from __future__ import annotations

from binascii import crc32
from struct import Struct

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.policy import Outcome
from rvgahp.primitives import proves
from rvgahp.session import SecuritySession

DIAL, ACCEPT, CONFIRM, REFUSAL = 1, 2, 3, 4

#: Reasons of a Refusal.
STALE_GENERATION, NO_STREAM, POLICY, VERSION, KEY_NUMBER = 1, 2, 3, 4, 5

#: Kinds of stream.
GAHP_STREAM, TUNNEL_STREAM = 0, 1

PROOF_BYTES = 32

#: Length of a message, and the check of it.
_LENGTH = Struct("!H")
_HEADER = Struct("!HI")

#: Version of the protocol.
VERSION_NUMBER = Struct("!H")

#: Stream, kind, generation, key number.
NAMES = Struct("!IBIH")

#: Received, limit.
OFFSETS = Struct("!QQ")

#: Outcomes on the wire, by number.
OUTCOMES = (Outcome.NONE, Outcome.INTEGRITY, Outcome.ENCRYPT)


def len8(data: bytes) -> bytes:
    """
    @return: C{data} with its length, one byte, before it.
    """
    return bytes((len(data),)) + data


def encodeMessage(body: bytes) -> bytes:
    """
    @return: C{body} with its header before it, as it goes on the wire.
    """
    length = len(body)
    return _HEADER.pack(length, crc32(_LENGTH.pack(length))) + body


def takeMessage(data: bytes | bytearray | memoryview) -> tuple[bytes | None, int]:
    """
    Look for one whole handshake message at the start of C{data}.

    @return: its body and the bytes it took, or C{(None, 0)} if more is needed.
    @raise ProtocolError: the length was altered on its way, or is impossible.
    """
    if len(data) < _HEADER.size:
        return None, 0
    length, check = _HEADER.unpack_from(data)
    if crc32(data[: _LENGTH.size]) != check:
        raise ProtocolError("The length of a handshake message was altered on its way.")
    if not 0 < length <= limits.HANDSHAKE_BYTES:
        raise ProtocolError(f"A handshake message claims {length} bytes; 1 to 1024 are allowed.")
    end = _HEADER.size + length
    if len(data) < end:
        return None, 0
    return bytes(data[_HEADER.size : end]), end


class Fields:
    """
    Reads the fields of one message; whatever is missing or left over is an error.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.offset = 0

    def take(self, count: int) -> bytes:
        """
        @return: the next C{count} bytes.

        @raise ProtocolError: there are fewer.
        """
        end = self.offset + count
        if end > len(self._body):
            raise ProtocolError("A handshake message is truncated.")
        data, self.offset = self._body[self.offset : end], end
        return data

    def byte(self) -> int:
        """
        @return: the next byte.
        """
        return self.take(1)[0]

    def text(self, encoding: str = "ascii") -> str:
        """
        @return: the next text, whose length is a byte before it.
        @raise ProtocolError: it is badly encoded.
        """
        data = self.take(self.byte())
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            raise ProtocolError("A text in a handshake message is badly encoded.") from None

    def unpack(self, struct: Struct) -> tuple[int, ...]:
        """
        @return: what the next bytes hold.
        """
        return struct.unpack(self.take(struct.size))

    def close(self) -> None:
        """
        @raise ProtocolError: something is left over.
        """
        if self.offset != len(self._body):
            raise ProtocolError("A handshake message has bytes after its end.")


class Dial:
    """
    The CE's first message.

    @ivar received: stream bytes the CE has received.
    @ivar limit: stream offset up to which the client may send.
    @ivar body: the message as it was sent, without its header.
    """

    def __init__(self, body: bytes) -> None:
        """
        @raise ProtocolError: the body is no Dial.
        """
        self.body = body
        fields = Fields(body)
        if fields.byte() != DIAL:
            raise ProtocolError("The first handshake message is not a Dial.")
        (self.version,) = fields.unpack(VERSION_NUMBER)
        self.sessionId = fields.text()
        self.stream, self.kind, self.generation, self.keyNumber = fields.unpack(NAMES)
        self.policyText = fields.text()
        self.publicKey = fields.take(32)
        self.received, self.limit = fields.unpack(OFFSETS)
        self._proven = body[: fields.offset]
        self.proof = fields.take(PROOF_BYTES)
        fields.close()

    def verify(self, session: SecuritySession) -> bool:
        """
        @return: whether it was made by one who knows the session's key.
        """
        return proves(session.proofKey(), b"dial" + self._proven, self.proof)
