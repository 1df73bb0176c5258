# -*- test-case-name: tests.test_clientlink -*-
"""
The front's link to one GAHP: lines in frames of a stream, which can be taken back until a
channel has carried them.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

from collections import deque

from rvgahp import frames, limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.carrier import Carrier


class SiteLink:
    """
    The way of the front's lines to the GAHP's stdin.
    """

    def __init__(self, carrier: Carrier) -> None:
        """
        @param carrier: our end of the stream; nobody else writes data to it.
        """
        self._carrier = carrier
        self._lines: deque[tuple[int, int]] = deque()  # where each begins and ends

    def quiet(self, now: float) -> float:
        """
        @return: seconds since an authenticated byte came from the site; without end, if
            there has been no channel, or if it leaves unacknowledged what it is sent.
        """
        if not self._carrier.generation or self._carrier.stream.isFull():
            return float("inf")
        return now - self._carrier.lastHeard

    def send(self, lines: list[bytes]) -> None:
        """
        Send lines, with their ends: each begins a frame, and so can be taken back.
        """
        stream = self._carrier.stream
        pieces: list[bytes] = []
        end = stream.end
        for line in lines:
            begin = end
            for at in range(0, len(line), limits.FRAME_PAYLOAD_BYTES):
                pieces.append(line[at : at + limits.FRAME_PAYLOAD_BYTES])
                end += frames.HEADER.size + len(pieces[-1])
            self._lines.append((begin, end))
        for piece in pieces[:-1]:
            stream.send(frames.STDIN, piece)
        self._carrier.send(frames.STDIN, pieces[-1])

    def confirmed(self) -> int:
        """
        @return: how many more lines the CE has acknowledged since this was asked last.
        """
        count = 0
        while self._lines and self._carrier.stream.isAcknowledged(self._lines[0][1]):
            self._lines.popleft()
            count += 1
        return count

    def takeBack(self) -> int:
        """
        Do not send what no channel has carried of which the CE could have a byte: just after
        the stream has another channel, all that the CE has not got.

        @return: how many lines these are, the last ones.  What followed them in the stream
            is taken back too.
        """
        stream = self._carrier.stream
        count, begin = 0, 0
        while self._lines and self._lines[-1][0] >= stream.position():
            begin = self._lines.pop()[0]
            count += 1
        if count:
            stream.retract(begin)
        return count
