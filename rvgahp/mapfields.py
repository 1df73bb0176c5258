# -*- test-case-name: tests.test_mapfile -*-
"""
The fields of a map file's line (HTCondor: C{src/condor_utils/MapFile.cpp}, C{ParseField}).

HTCondor lets the end of the line end a quoted field, and takes what follows a closing
quote or slash without a blank for the next field, so that a name C{/DC=org/CN=alice}
without quotes would map everybody with C{DC=org} to C{CN=alice}.  Both are refused here.

Layer 0: L{rvgahp.mapsyntax}.
"""

from __future__ import annotations

from rvgahp.mapsyntax import Misread

__all__ = ["BLANKS", "Fields", "isControlled"]

BLANKS = b" \t"


class Fields:
    """
    The fields of a line.
    """

    def __init__(self, line: bytes) -> None:
        if line.endswith(b"\r"):
            raise Misread("it ends with a carriage return, as on Windows")
        if isControlled(line.replace(b"\t", b" ")):
            raise Misread("it has control characters")
        try:
            self.text = line.decode()
        except UnicodeDecodeError:
            raise Misread("it is not UTF-8") from None
        self._line = line
        self._at = 0

    def take(self, what: str, isPrincipal: bool) -> tuple[bytes, bytes | None]:
        """
        The next field.

        @param what: What it is, for a clause.
        @param isPrincipal: Whether it may be written between slashes.
        @return: The field, and the flags after the second slash; L{None} if it has
            none.
        """
        self._skip()
        opening = self._line[self._at : self._at + 1]
        if opening == b'"' or (isPrincipal and opening == b"/"):
            field, flags = self._quoted(opening, what)
        else:
            start = self._at
            while self._at < len(self._line) and self._line[self._at] not in BLANKS:
                self._at += 1
            field, flags = self._line[start : self._at], None
        if not field:
            raise Misread(f"the {what} is missing or empty")
        return field, flags

    def _quoted(self, mark: bytes, what: str) -> tuple[bytes, bytes | None]:
        """
        A field between two C{mark}s.
        """
        field = bytearray()
        self._at += 1
        while True:
            if self._at >= len(self._line):
                raise Misread(f"the {what} has no {mark.decode()} at its end")
            byte = self._line[self._at : self._at + 1]
            self._at += 1
            if byte == mark:
                break
            if byte == b"\\" and self._line[self._at : self._at + 1] in (mark, b"\\"):
                byte = self._line[self._at : self._at + 1]
                self._at += 1
            field += byte
        start = self._at
        while mark == b"/" and self._line[self._at : self._at + 1] in (b"i", b"U"):
            self._at += 1
        if self._line[self._at : self._at + 1] not in (b"", b" ", b"\t"):
            raise Misread(
                f"the {what} goes on after its second {mark.decode()}: a plain one is"
                f" \\{mark.decode()}, and a name that begins with / is written between quotes"
            )
        return bytes(field), self._line[start : self._at] if mark == b"/" else None

    def end(self) -> None:
        """
        See that nothing but a comment follows.
        """
        self._skip()
        if self._line[self._at : self._at + 1] not in (b"", b"#"):
            raise Misread(
                "there are more fields than it should have: write one that has blanks between"
                " quotes"
            )

    def _skip(self) -> None:
        while self._at < len(self._line) and self._line[self._at] in BLANKS:
            self._at += 1


def isControlled(text: bytes) -> bool:
    """
    Whether there are control characters.
    """
    return any(byte < 32 or byte == 127 for byte in text)
