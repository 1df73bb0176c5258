# -*- test-case-name: tests.test_frontresults -*-
"""
What the gridmanager has still to fetch: the front's queue of results.

Layer 0: L{rvgahp.frontlimits} and nothing else.

A GAHP in asynchronous mode says C{R} once when its queue is no longer empty, and again
only after the next C{RESULTS} (HTCondor: C{src/condor_gridmanager/gahp-client.cpp},
C{read_argv} and C{poll}; C{src/blahp/src/resbuffer.c}).
"""

from __future__ import annotations

from collections import deque

from rvgahp import frontlimits

#: What ends a line for the gridmanager, as blahpd has it; it discards the CR.
END = b"\r\n"


class ResultQueue:
    """
    Results in the order they came, at most one per request id.

    @ivar held: bytes of the results that wait.
    """

    def __init__(self) -> None:
        self.held = 0
        self._isAsynchronous = False
        self._noticed = False
        self._lines: deque[tuple[bytes, bytes]] = deque()
        self._ids: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, requestId: bytes) -> bool:
        """
        @return: whether a result for that id waits.
        """
        return requestId in self._ids

    def setAsynchronous(self, isAsynchronous: bool) -> None:
        """
        @param isAsynchronous: whether the gridmanager wants to be told by C{R}.
        """
        self._isAsynchronous = isAsynchronous
        self._noticed = False

    def put(self, requestId: bytes, line: bytes) -> None:
        """
        Add a result.

        @param line: the whole line, its id included, without its end.
        """
        self._lines.append((requestId, line))
        self._ids.add(requestId)
        self.held += len(line)

    def answer(self) -> bytes:
        """
        Take the oldest results.

        @return: the answer to RESULTS: whole lines, their number before them.
        """
        taken: list[bytes] = []
        room = frontlimits.RESULTS_BYTES
        while self._lines and len(taken) < frontlimits.RESULTS_LINES:
            requestId, line = self._lines[0]
            room -= len(line) + len(END)
            if taken and room < 0:
                break
            self._lines.popleft()
            self._ids.discard(requestId)
            self.held -= len(line)
            taken.append(line)
        self._noticed = False
        return END.join([b"S %d" % len(taken), *taken, b""])

    def notice(self) -> bytes:
        """
        @return: C{R} if it is due now, else nothing.
        """
        if not self._isAsynchronous or self._noticed or not self._lines:
            return b""
        self._noticed = True
        return b"R" + END
