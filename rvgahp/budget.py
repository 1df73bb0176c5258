# -*- test-case-name: tests.test_stream -*-
"""
What the streams of a process may come to hold together.

Layer 0: it only counts.
"""

from __future__ import annotations

#: Bytes that each direction of each stream may have whatever the others of the process
#: have.  A peer that sends less than ACK_BYTES in ACK_DELAY never needs more, up to a
#: round trip of 0.6 s.
ASSURED_BYTES = 1024 * 1024


class Budget:
    """
    What all streams of a process may come to hold: what they have sent and must keep,
    and what they have allowed their peers to send, whether it has come or not.  Only
    what is sent without room may exceed it: of each stream a read that was under way,
    the last of stderr, and frames that are no data.

    @ivar total: bytes that all together may have above what is assured to each.
    @ivar held: bytes that they have.
    @ivar lent: of these, the bytes above what is assured.
    @ivar kept: of those that are held, the bytes that were sent and not acknowledged yet.
    @ivar replayed: bytes that had to be sent once more, over another channel.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = self.lent = self.kept = self.replayed = 0


class Share:
    """
    What one direction of a stream has of its L{Budget}.

    @ivar size: bytes.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def resize(self, size: int) -> None:
        """
        It has so many bytes now.
        """
        self._budget.held += size - self.size
        self._budget.lent += max(0, size - ASSURED_BYTES) - max(0, self.size - ASSURED_BYTES)
        self.size = size

    def most(self) -> int:
        """
        @return: bytes that it may have now: what is assured, and above that no more than
            is then left.  So busy streams come to equal shares, and however much idle
            ones keep, something is left for the next.
        """
        own = max(0, self.size - ASSURED_BYTES)
        return ASSURED_BYTES + max(0, self._budget.total - self._budget.lent + own) // 2


class Kept(Share):
    """
    What has been sent, until it is acknowledged.
    """

    def resize(self, size: int) -> None:
        self._budget.kept += size - self.size
        super().resize(size)

    def sentAgain(self, count: int) -> None:
        """
        So many bytes of it have to be sent once more.
        """
        self._budget.replayed += count
