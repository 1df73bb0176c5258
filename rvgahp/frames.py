# -*- test-case-name: tests.test_frames -*-
"""
Frames: what the bytes of a stream mean.  C{doc/protocol.rst}, step 10.

Layer 0: bytes in, bytes out.
"""

from __future__ import annotations

from struct import Struct

from rvgahp import limits
from rvgahp.errors import ProtocolError, StreamBroken

STDIN, STDOUT, STDERR = 0, 1, 2
END_STDIN, END_STDOUT, END_STDERR = 16, 17, 18
EXIT, STOP, FAILED = 32, 33, 34

#: How a process ended, in an EXIT frame.
EXITED, SIGNALLED = 0, 1

_DATA_KINDS = (STDIN, STDOUT, STDERR)
_END_KINDS = (END_STDIN, END_STDOUT, END_STDERR)
_CONTROL_KINDS = (EXIT, STOP, FAILED)

#: Kinds from here on mean nothing yet, and are ignored.
FIRST_IGNORED = 128

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
    @raise StreamBroken: it is no payload of an EXIT frame.
    """
    if len(payload) < 2 or payload[0] not in (EXITED, SIGNALLED):
        raise StreamBroken("An exit status of unknown form came.")
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
    they come; the short other frames are held until they are whole.  Frames of
    kinds from L{FIRST_IGNORED} on are passed on too, for the sake of their cost.

    The sum of all costs is the number of stream bytes read, but for those of a
    header or short frame that is not complete yet.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of a header or of a short frame
        self._kind = -1  # of the data frame whose payload is being read
        self._left = 0  # of its payload
        self._unclaimed = 0  # bytes read whose cost no frame has carried yet
        self._isSpoilt = False

    def read(self, data: bytes) -> list[Frame]:
        """
        @raise StreamBroken: a frame of unknown kind or impossible length came,
            now or before: where the next one begins cannot be known.
        """
        if self._isSpoilt:
            raise StreamBroken("The stream has had a frame that is none.")
        frames: list[Frame] = []
        view = memoryview(data)
        start, size = 0, len(view)
        try:
            while start < size:
                if self._left:
                    start = self._payload(view, start, frames)
                else:
                    start = self._header(view, start, frames)
        except StreamBroken:
            self._isSpoilt = True
            raise
        return frames

    def _payload(self, view: memoryview, start: int, frames: list[Frame]) -> int:
        part = view[start : start + self._left]
        self._left -= len(part)
        frames.append(Frame(self._kind, part, len(part) + self._claim()))
        return start + len(part)

    def _claim(self) -> int:
        cost, self._unclaimed = self._unclaimed, 0
        return cost

    def _header(self, view: memoryview, start: int, frames: list[Frame]) -> int:
        start = self._hold(view, start, HEADER.size)
        if len(self._held) < HEADER.size:
            return start
        (word,) = HEADER.unpack_from(self._held)
        kind, length = word >> 24, word & _LENGTH_MASK
        if kind in _DATA_KINDS:
            self._held.clear()
            self._begin(kind, length, frames)
            return start
        return self._short(view, start, kind, length, frames)

    def _hold(self, view: memoryview, start: int, size: int) -> int:
        """
        Hold bytes until there are C{size} of them.

        @return: where the rest of C{view} begins.
        """
        wanted = view[start : start + max(0, size - len(self._held))]
        self._held += wanted
        return start + len(wanted)

    def _begin(self, kind: int, length: int, frames: list[Frame]) -> None:
        if length > limits.FRAME_PAYLOAD_BYTES:
            raise StreamBroken(f"A frame of kind {kind} claims {length} bytes.")
        self._kind, self._left = kind, length
        self._unclaimed = HEADER.size
        if not length:
            frames.append(Frame(kind, b"", self._claim()))

    def _short(
        self, view: memoryview, start: int, kind: int, length: int, frames: list[Frame]
    ) -> int:
        if length > _longest(kind):
            raise StreamBroken(f"A frame of kind {kind} and {length} bytes came.")
        size = HEADER.size + length
        start = self._hold(view, start, size)
        if len(self._held) == size:
            payload = bytes(self._held[HEADER.size :])
            self._held.clear()
            _check(kind, payload)
            frames.append(Frame(kind, payload, size))
        return start


def _longest(kind: int) -> int:
    """
    @return: payload bytes that a short frame may have; -1 if there is no such kind.
    """
    if kind in _END_KINDS:
        return 0
    return limits.CONTROL_FRAME_BYTES if kind in _CONTROL_KINDS or kind >= FIRST_IGNORED else -1


def _check(kind: int, payload: bytes) -> None:
    """
    See that a payload is what its kind asks for, before anyone acts on it.
    """
    if kind == EXIT:
        decodeExit(payload)
    elif kind == STOP and len(payload) != 1:
        raise StreamBroken("A request to stop of unknown form came.")
