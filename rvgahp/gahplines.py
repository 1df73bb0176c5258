# -*- test-case-name: tests.test_gahplines -*-
"""
Lines and tokens of the GAHP protocol.  Layer 0: pure, standard library only.

A line is tokens with one space between them.  A backslash takes the byte after
it literally, whichever it is; so a writer escapes space, backslash, CR, LF and
NUL, and any bytes at all can travel in a token (HTCondor:
C{src/condor_gridmanager/gahp-client.cpp}, C{escapeGahpString} and
C{read_argv}; C{src/blahp/src/cmdbuffer.c} for the separators on input).

All of it is bytes: arguments and paths need not be UTF-8.  May import
L{rvgahp.errors} and nothing else; the client loads it while a gridmanager
waits, so not even C{re} is worth its milliseconds here.
"""

from __future__ import annotations

from rvgahp.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LineSplitter",
    "countTokens",
    "escapeToken",
    "firstTokens",
    "joinTokens",
    "plainLine",
    "splitTokens",
]

# Marks for what is escaped, and for the end of a token: characters that no byte is.
_BACKSLASH, _SPACE, _RETURN, _END = "\u0100\u0101\u0102\u0103"


def escapeToken(token: bytes) -> bytes:
    """
    Make a token safe to stand in a line.

    @param token: any bytes.
    @return: the same with a backslash before each byte that has a meaning.
    """
    # Backslash first: the later replacements add backslashes of their own.
    for special in (b"\\", b" ", b"\r", b"\n", b"\0"):
        if special in token:
            token = token.replace(special, b"\\" + special)
    return token


def joinTokens(tokens: Iterable[bytes]) -> bytes:
    """
    Make a line, without its end, of at least one token.

    @param tokens: the tokens, unescaped.
    @return: what L{splitTokens} turns into the same tokens.
    """
    return b" ".join([escapeToken(token) for token in tokens])


def splitTokens(line: bytes) -> list[bytes]:
    """
    Take a line apart.  Two adjacent spaces make an empty token, and an
    unescaped CR is discarded, both as the gridmanager has it.

    @param line: one line without its end.
    @return: at least one token, unescaped.
    @raise ProtocolError: the line ends in a backslash that escapes nothing.
    """
    if b"\\" not in line:
        return line.replace(b"\r", b"").split(b" ")
    text = _marked(line).replace(_BACKSLASH, "\\").replace(_SPACE, " ").replace(_RETURN, "\r")
    return [token.encode("latin-1") for token in text.split(_END)]


def _marked(line: bytes) -> str:
    """
    In whole steps, and not piece by piece: four megabytes of escapes or spaces, which anybody
    may send, would take seconds and hundreds of megabytes.

    @return: the line's tokens, each byte a character, with L{_END} between them and three
        bytes by their marks; nothing in it is escaped.
    @raise ProtocolError: the line ends in a backslash that escapes nothing.
    """
    text = line.decode("latin-1").replace("\\\\", _BACKSLASH)
    if text.endswith("\\"):
        raise ProtocolError("The line ends in a backslash that escapes nothing.")
    text = text.replace("\\ ", _SPACE).replace("\\\r", _RETURN)
    return text.replace("\\", "").replace("\r", "").replace(" ", _END)


def countTokens(line: bytes) -> int:
    """
    @param line: one line without its end.
    @return: how many tokens L{splitTokens} would find, at a fraction of its price.
    """
    if b"\\" in line:
        # What is left of a run of backslashes escapes the byte after it.
        line = line.replace(b"\\\\", b"")
        return 1 + line.count(b" ") - line.count(b"\\ ")
    return 1 + line.count(b" ")


def firstTokens(line: bytes, count: int) -> list[bytes]:
    """
    Take the beginning of a line apart, and leave a long rest alone.

    @param line: one line without its end.
    @param count: how many tokens are wanted.
    @return: that many of those of L{splitTokens}, or all if there are fewer.
    """
    end = -1
    while count:
        end = line.find(b" ", end + 1)
        if end < 0:
            return splitTokens(line)
        begin = end
        while line[begin - 1 : begin] == b"\\":
            begin -= 1
        count -= (end - begin) % 2 == 0  # else the space is escaped
    return splitTokens(line[:end])


def plainLine(line: bytes) -> bytes:
    """
    @param line: one line as a GAHP ended it with LF, perhaps with a CR before that.
    @return: the same tokens, without the bare CRs that count for nothing, and with
        every NUL escaped: as a careful writer would have written it.
    @raise ProtocolError: the line ends in a backslash that escapes nothing.
    """
    if line.endswith(b"\r") and not line.endswith(b"\\\r"):
        line = line[:-1]
    if b"\r" in line or b"\0" in line:
        text = _marked(line).replace("\n", "\\\n").replace("\0", "\\\0").replace(_END, " ")
        text = text.replace(_BACKSLASH, "\\\\").replace(_SPACE, "\\ ").replace(_RETURN, "\\\r")
        line = text.encode("latin-1")
    return line


class LineSplitter:
    """
    Bytes in any portions in, whole lines out.  An escaped separator is part of
    its line.  Empty lines count for nothing, so CR LF is one end and not two.
    What is kept between two portions is never more than the limit.
    """

    def __init__(self, limit: int, separators: bytes = b"\r\n\0") -> None:
        """
        @param limit: the longest line, in bytes, as it stands on the wire.
        @param separators: the bytes of which each ends a line.
        """
        self._limit = limit
        self._toNewline = bytes.maketrans(separators, b"\n" * len(separators))
        self._parts: list[bytes] = []
        self._length = 0
        self._escaping = False
        self._tooLong = False

    def __len__(self) -> int:
        """
        @return: bytes kept of a line that is not whole yet.
        """
        return 0 if self._tooLong else self._length

    def feed(self, data: bytes) -> list[bytes | None]:
        """
        Take what was read.

        @param data: the next bytes.
        @return: the lines that are whole now, without their ends.  C{None}
            stands for one that grew over the limit and is thrown away; it is
            reported as soon as that is known, and the next line is a new one.
        """
        lines: list[bytes | None] = []
        *ended, tail = data.translate(self._toNewline).split(b"\n")
        position = 0
        for piece in ended:
            position += len(piece) + 1
            self._add(piece, lines)
            if self._escaping:
                # The separator itself, which translate may have changed.
                self._add(data[position - 1 : position], lines)
            else:
                self._end(lines)
        self._add(tail, lines)
        return lines

    def _add(self, piece: bytes, lines: list[bytes | None]) -> None:
        if not piece:
            return
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        allBackslashes = backslashes == len(piece)
        self._escaping = (backslashes + (self._escaping and allBackslashes)) % 2 == 1
        if self._tooLong:
            return
        self._length += len(piece)
        if self._length > self._limit:
            self._parts.clear()
            self._tooLong = True
            lines.append(None)
        else:
            self._parts.append(piece)

    def _end(self, lines: list[bytes | None]) -> None:
        if self._length and not self._tooLong:
            lines.append(b"".join(self._parts))
        self._parts.clear()
        self._length = 0
        self._tooLong = False
