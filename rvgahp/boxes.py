# -*- test-case-name: tests.test_boxes -*-
"""
AMP's boxes, with a limit on their size.

Layer 0: bytes in, bytes out.  Twisted's own reader takes a box of any size before
it looks at it; the client has no Twisted.  The form is that of
U{AMP<https://amp-protocol.net>}: C{u16} length and key, C{u16} length and value,
again and again, and two zero bytes at the end.
"""

from __future__ import annotations

from struct import Struct

from rvgahp.errors import ProtocolError

_LENGTH = Struct("!H")
_KEY_BYTES = 255


def encodeBox(box: dict[bytes, bytes]) -> bytes:
    """
    @return: the box as it goes on the wire.
    @raise ProtocolError: a key or value is too long for one.
    """
    parts: list[bytes] = []
    for key, value in box.items():
        if not 0 < len(key) <= _KEY_BYTES or len(value) > 0xFFFF:
            raise ProtocolError("A box cannot hold a key or value of that length.")
        parts += (_LENGTH.pack(len(key)), key, _LENGTH.pack(len(value)), value)
    parts.append(b"\0\0")
    return b"".join(parts)


class BoxReader:
    """
    Takes bytes apart into boxes.

    @ivar longest: bytes of one box with its end, at the most; may be changed between
        boxes.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._buffer = bytearray()
        self._scanned = 0  # bytes of whole fields of the box in hand
        self._box: dict[bytes, bytes] = {}

    def read(self, data: bytes) -> list[dict[bytes, bytes]]:
        """
        @return: the boxes that are whole now.
        @raise ProtocolError: a box is too large or malformed.
        """
        self.put(data)
        boxes = []
        while (box := self.take()) is not None:
            boxes.append(box)
        return boxes

    def put(self, data: bytes) -> None:
        """
        Keep these bytes for L{take}.
        """
        self._buffer += data

    def isEmpty(self) -> bool:
        """
        @return: whether nothing is kept.
        """
        return not self._buffer

    def take(self) -> dict[bytes, bytes] | None:
        """
        @return: the first box; L{None} if none is whole.
        @raise ProtocolError: it is too large or malformed.
        """
        box = self._next()
        if box is None and len(self._buffer) > self.longest:
            raise ProtocolError(f"A box of more than {self.longest} bytes came.")
        return box

    def _next(self) -> dict[bytes, bytes] | None:
        while True:
            key = self._field(self._scanned, _KEY_BYTES)
            if key is None:
                return None
            if not key:
                return self._finish()
            value = self._field(self._scanned + _LENGTH.size + len(key))
            if value is None:
                return None
            self._box[key] = value
            self._scanned += 2 * _LENGTH.size + len(key) + len(value)
            if self._scanned + _LENGTH.size > self.longest:
                raise ProtocolError(f"A box of more than {self.longest} bytes came.")

    def _field(self, start: int, longest: int = 0xFFFF) -> bytes | None:
        if len(self._buffer) < start + _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, start)
        if length > longest:
            raise ProtocolError("A box with an overlong key came.")
        start += _LENGTH.size
        if len(self._buffer) < start + length:
            return None
        return bytes(self._buffer[start : start + length])

    def _finish(self) -> dict[bytes, bytes]:
        box, self._box = self._box, {}
        del self._buffer[: self._scanned + _LENGTH.size]
        self._scanned = 0
        if not box:
            raise ProtocolError("An empty box came.")
        return box
