# -*- test-case-name: tests.test_frames -*-
"""
Frames: what the bytes of a stream mean.  C{doc/protocol.rst}, step 10.

Layer 0: bytes in, bytes out.
"""

from __future__ import annotations

from struct import Struct

from rvgahp import limits
from rvgahp.errors import ProtocolError

STDIN, STDOUT, STDERR = 0, 1, 2
END_STDIN, END_STDOUT, END_STDERR = 16, 17, 18
EXIT, STOP, FAILED = 32, 33, 34

#: How a process ended, in an EXIT frame.
EXITED, SIGNALLED = 0, 1

_DATA_KINDS = (STDIN, STDOUT, STDERR)
_END_KINDS = (END_STDIN, END_STDOUT, END_STDERR)
_CONTROL_KINDS = (EXIT, STOP, FAILED)
_FIRST_IGNORED = 128

HEADER = Struct("!I")
_LENGTH_MASK = 0xFFFFFF


def encodeFrame(kind: int, payload: bytes = b"") -> bytes:
    """
    @return: the frame.
    @raise ProtocolError: the payload is longer than a frame may be.
    """
    longest = limits.FRAME_PAYLOAD_BYTES
    if kind not in _DATA_KINDS:
        longest = limits.CONTROL_FRAME_BYTES
    if len(payload) > longest:
        raise ProtocolError(f"A frame of kind {kind} cannot carry {len(payload)} bytes.")
    return HEADER.pack(kind << 24 | len(payload)) + payload


def encodeExit(signalled: bool, value: int, sentence: str = "") -> bytes:
    """
    @param value: the exit status or the signal's number, 0 to 255.
    @param sentence: what a person should know about it; cut where too long.
    @return: the payload of an EXIT frame.
    """
    text = sentence.encode("utf-8")[: limits.CONTROL_FRAME_BYTES - 2]
    return bytes((SIGNALLED if signalled else EXITED, value)) + text


def decodeExit(payload: bytes) -> tuple[bool, int, str]:
    """
    @return: whether a signal ended it, the status or signal, and the sentence.
    @raise ProtocolError: it is no payload of an EXIT frame.
    """
    if len(payload) < 2 or payload[0] not in (EXITED, SIGNALLED):
        raise ProtocolError("An exit status of unknown form came.")
    return payload[0] == SIGNALLED, payload[1], payload[2:].decode("utf-8", "replace")


class Frame:
    """
    One frame, or a part of a data frame, as it was read.

    @ivar kind: one of this module's kinds.
    @ivar payload: its bytes; those of data kinds may come in several parts.
    @ivar cost: stream bytes that count as delivered when this one is.
    """

    __slots__ = ("cost", "kind", "payload")

    def __init__(self, kind: int, payload: bytes | memoryview, cost: int) -> None:
        self.kind = kind
        self.payload = payload
        self.cost = cost

    def __repr__(self) -> str:
        return f"<Frame kind={self.kind} bytes={len(self.payload)} cost={self.cost}>"


class FrameReader:
    """
    Takes stream bytes apart into frames.  Parts of data frames are passed on as
    they come; the short other frames are held until they are whole.

    The sum of all costs is the number of stream bytes read, but for those of a
    header or short frame that is not complete yet.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # a header, or a header and part of a short frame
        self._kind = -1  # of the data or ignored frame whose payload is being read
        self._left = 0  # of its payload
        self._unclaimed = 0  # bytes read whose cost no frame has carried yet

    def read(self, data: bytes) -> list[Frame]:
        """
        @raise ProtocolError: a frame of unknown kind or impossible length came.
        """
        frames: list[Frame] = []
        view = memoryview(data)
        start, size = 0, len(view)
        while start < size:
            if self._left:
                start = self._payload(view, start, frames)
            else:
                start = self._header(view, start, frames)
        return frames

    def _payload(self, view: memoryview, start: int, frames: list[Frame]) -> int:
        part = view[start : start + self._left]
        self._left -= len(part)
        if self._kind in _DATA_KINDS:
            frames.append(Frame(self._kind, part, len(part) + self._claim()))
        else:
            self._unclaimed += len(part)
        return start + len(part)

    def _claim(self) -> int:
        cost, self._unclaimed = self._unclaimed, 0
        return cost

    def _header(self, view: memoryview, start: int, frames: list[Frame]) -> int:
        if not self._held and len(view) - start >= HEADER.size:
            (word,) = HEADER.unpack_from(view, start)
            taken = HEADER.size
        else:
            taken = self._hold(view, start, HEADER.size)
            if len(self._held) < HEADER.size:
                return start + taken
            (word,) = HEADER.unpack_from(self._held)
        kind, length = word >> 24, word & _LENGTH_MASK
        if kind in _DATA_KINDS or kind >= _FIRST_IGNORED:
            self._held.clear()
            self._begin(kind, length, frames)
            return start + taken
        return self._short(view, start, kind, length, frames)

    def _hold(self, view: memoryview, start: int, size: int) -> int:
        wanted = view[start : start + size - len(self._held)]
        self._held += wanted
        return len(wanted)

    def _begin(self, kind: int, length: int, frames: list[Frame]) -> None:
        if length > limits.FRAME_PAYLOAD_BYTES:
            raise ProtocolError(f"A frame of kind {kind} claims {length} bytes.")
        self._kind, self._left = kind, length
        self._unclaimed += HEADER.size
        if not length and kind in _DATA_KINDS:
            frames.append(Frame(kind, b"", self._claim()))

    def _short(
        self, view: memoryview, start: int, kind: int, length: int, frames: list[Frame]
    ) -> int:
        longest = limits.CONTROL_FRAME_BYTES if kind in _CONTROL_KINDS else 0
        if (kind not in _CONTROL_KINDS and kind not in _END_KINDS) or length > longest:
            raise ProtocolError(f"A frame of kind {kind} and {length} bytes came.")
        size = HEADER.size + length
        taken = self._hold(view, start, size)
        if len(self._held) == size:
            payload = bytes(self._held[HEADER.size :])
            self._held.clear()
            frames.append(Frame(kind, payload, size + self._claim()))
        return start + taken
