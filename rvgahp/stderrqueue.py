# -*- test-case-name: tests.test_stderrqueue -*-
"""
What a GAHP says on stderr, bounded: it must never delay its stdout.

Layer 0: no I/O.
"""

from __future__ import annotations

from collections import deque

from rvgahp import limits

# Of the line that tells of dropped bytes, what stands before and after their number.
_BEFORE, _AFTER = b"[rvgahp: ", b" bytes of "


def _toldIn(data: bytes) -> int:
    """
    @return: the bytes that are missing by what C{data} says: another queue before ours
        may have dropped some.
    """
    count = 0
    for piece in data.split(_BEFORE)[1:]:
        number, after, _ = piece.partition(_AFTER)
        if after and number.isdigit() and len(number) < 20:
            count += int(number)
    return count


class StderrQueue:
    """
    Bytes in the order they came.  When too many are held, the oldest go, and a
    line with their number stands in their place.
    """

    def __init__(self, longest: int = limits.STDERR_BYTES) -> None:
        """
        @param longest: bytes held at the most.
        """
        self._longest = longest
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._midLine = False

    def __len__(self) -> int:
        return self._held

    def put(self, data: bytes) -> None:
        """
        Add bytes at the end.
        """
        if not data:
            return  # many of them would be held, and count for nothing
        self._parts.append(bytes(data))
        self._held += len(data)
        while self._held > self._longest:
            self._drop(self._held - self._longest)

    def _drop(self, surplus: int) -> None:
        """
        Drop the oldest bytes, to the end of a line where there is one.
        """
        part = self._parts.popleft()
        if len(part) > surplus:
            end = part.find(b"\n", surplus - 1) + 1 or surplus
            if end < len(part):
                self._parts.appendleft(part[end:])
            part = part[:end]
        self._held -= len(part)
        self._dropped += len(part) + _toldIn(part)

    def take(self, most: int) -> bytes:
        """
        Take the oldest bytes.

        @return: C{most} of them, or fewer if there are no more; and before them
            the line about those that were dropped, if any were.
        """
        taken = []
        if self._dropped:
            begin = "\n" if self._midLine else ""
            taken.append(f"{begin}[rvgahp: {self._dropped} bytes of stderr dropped]\n".encode())
            self._dropped = 0
        while self._parts and most > 0:
            part = self._parts.popleft()
            if len(part) > most:
                self._parts.appendleft(part[most:])
                part = part[:most]
            most -= len(part)
            self._held -= len(part)
            taken.append(part)
        data = b"".join(taken)
        if data:
            self._midLine = data[-1:] != b"\n"
        return data

    def takeLines(self, most: int) -> bytes:
        """
        Take the oldest bytes, and not the beginning of a line whose end would come with
        the next ones, unless it is longer than C{most}.
        """
        data = self.take(most)
        whole = data.rfind(b"\n") + 1
        if self._parts and 0 < whole < len(data):
            self._parts.appendleft(data[whole:])
            self._held += len(data) - whole
            self._midLine = False
            data = data[:whole]
        return data
