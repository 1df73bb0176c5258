# -*- test-case-name: tests.test_records -*-
"""
Records: what a channel carries once its handshake is done.
C{doc/protocol.rst}, step 8.

Layer 0: bytes in, bytes out.  A L{Sealer} makes the records of one direction of
one channel, an L{Opener} reads them.
"""

from __future__ import annotations

from binascii import crc32
from struct import Struct

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.policy import Outcome
from rvgahp.primitives import AESGCM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

DATA, ACK, PING = 1, 2, 3

#: type and length in one word, the position, and the check of both.
HEADER = Struct("!IQI")
_CHECKED = Struct("!IQ")
_CHECK = Struct("!I")
NONCE = Struct("!4xQ")
LIMIT = Struct("!Q")

_LENGTH_MASK = 0xFFFFFF


def encodeHeader(kind: int, length: int, position: int) -> bytes:
    """
    @return: the header of a record whose body has C{length} bytes.
    """
    checked = _CHECKED.pack(kind << 24 | length, position)
    return checked + _CHECK.pack(crc32(checked))


class Sealer:
    """
    Protects the records of one direction of one channel.
    """

    def __init__(self, outcome: Outcome, key: bytes) -> None:
        """
        @param key: 32 bytes.  B{Secret.}
        """
        self._cipher = None if outcome is Outcome.NONE else AESGCM(key)
        self._encrypts = outcome is Outcome.ENCRYPT
        self._tagBytes = 0 if outcome is Outcome.NONE else limits.TAG_BYTES
        self._count = 0

    def seal(self, kind: int, position: int, body: Buffer = b"") -> list[Buffer]:
        """
        @return: the record, in pieces to be sent one after the other.
        @raise ProtocolError: the channel has had all its records.
        """
        count = self._count
        if count >= limits.CHANNEL_RECORDS:
            raise ProtocolError("This channel has carried all the records its keys allow.")
        self._count = count + 1
        header = encodeHeader(kind, len(body) + self._tagBytes, position)
        if self._cipher is None:
            return [header, body]
        nonce = NONCE.pack(count)
        if self._encrypts:
            return [header, self._cipher.encrypt(nonce, body, header)]
        return [header, body, self._cipher.encrypt(nonce, b"", header + bytes(body))]


class Opener:
    """
    Takes the bytes of one direction of one channel apart into records.

    @ivar consumed: bytes that the records yielded so far have taken of the view
        given to L{read}.
    """

    def __init__(self, outcome: Outcome, key: bytes) -> None:
        """
        @param key: 32 bytes.  B{Secret.}
        """
        self._cipher = None if outcome is Outcome.NONE else AESGCM(key)
        self._encrypts = outcome is Outcome.ENCRYPT
        self._tagBytes = 0 if outcome is Outcome.NONE else limits.TAG_BYTES
        self._longest = limits.RECORD_DATA_BYTES + self._tagBytes
        self._count = 0
        self.consumed = 0

    def read(self, view: memoryview) -> Iterator[tuple[int, int, bytes]]:
        """
        Yield the whole records at the start of C{view}; the caller drops
        L{consumed} bytes of it afterwards and brings the rest again with more.

        @return: for each its type, its position and its plain body.
        @raise ProtocolError: a record is not what it claims to be.  Nothing more
            may be read from this channel.
        """
        self.consumed = 0
        size = len(view)
        while size - self.consumed >= HEADER.size:
            start = self.consumed
            word, position, check = HEADER.unpack_from(view, start)
            if crc32(view[start : start + _CHECKED.size]) != check:
                raise ProtocolError("The header of a record was altered on its way.")
            kind, length = word >> 24, word & _LENGTH_MASK
            self._check(kind, length)
            end = start + HEADER.size + length
            if end > size:
                return
            body = self._open(view, start, end)
            self.consumed = end
            yield kind, position, body

    def _check(self, kind: int, length: int) -> None:
        if kind not in (DATA, ACK, PING):
            raise ProtocolError(f"A record of unknown type {kind} came.")
        if not self._tagBytes <= length <= self._longest:
            raise ProtocolError(f"A record claims a body of {length} bytes.")
        if kind == DATA and length == self._tagBytes:
            raise ProtocolError("A record of the stream is empty.")

    def _open(self, view: memoryview, start: int, end: int) -> bytes:
        body = start + HEADER.size
        if self._cipher is None:
            return bytes(view[body:end])
        nonce = NONCE.pack(self._count)
        self._count += 1
        try:
            if self._encrypts:
                return self._cipher.decrypt(nonce, view[body:end], view[start:body])
            tag = end - limits.TAG_BYTES
            self._cipher.decrypt(nonce, view[tag:end], view[start:tag])
            return bytes(view[body:tag])
        except Exception:  # InvalidTag; to name it would import typing
            raise ProtocolError(
                "A record failed its integrity check: it was altered on its way."
            ) from None


class ReceiveBuffer:
    """
    Bytes of one channel that are not read yet, in memory that is used again and
    again: a record that came in pieces is not copied together.
    """

    def __init__(self) -> None:
        longest = HEADER.size + limits.RECORD_DATA_BYTES + limits.TAG_BYTES
        self._memory = memoryview(bytearray(longest + limits.READ_BYTES))
        self._start = self._end = 0

    def space(self) -> memoryview:
        """
        @return: where the next bytes go; never empty.
        """
        if len(self._memory) - self._end < limits.READ_BYTES:
            held = self._end - self._start
            self._memory[:held] = bytes(self._memory[self._start : self._end])
            self._start, self._end = 0, held
        return self._memory[self._end :]

    def filled(self, count: int) -> None:
        """
        C{count} bytes were put at the start of L{space}.
        """
        self._end += count

    def view(self) -> memoryview:
        """
        @return: what is held.  Valid until the next L{space} or L{drop}.
        """
        return self._memory[self._start : self._end]

    def drop(self, count: int) -> None:
        """
        Forget the first C{count} bytes.
        """
        self._start += count
        if self._start == self._end:
            self._start = self._end = 0
