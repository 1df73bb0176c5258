# -*- test-case-name: tests.test_sink -*-
"""
Where a stream's frames end up, and the account of what has got there.

Layer 1: the standard library.
"""

from __future__ import annotations

from collections import deque

from rvgahp.descriptor import GATHERED, SMALL, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from rvgahp.descriptor import Loop


class Sink(Descriptor):
    """
    Where the frames of one kind end up: a GAHP's stdin, the client's stdout.
    """

    def __init__(
        self,
        loop: Loop,
        fd: int,
        delivered: Callable[[int], None],
        failed: Callable[[str], None],
        owner: socket.socket | None = None,
    ) -> None:
        """
        @param delivered: called with the cost of frames that have been written.
        @param failed: called once, when the sink takes nothing more.
        """
        super().__init__(loop, fd, owner)
        self._delivered = delivered
        self._failedCallback = failed
        self._taken = 0
        self._queued = 0
        self._costs: deque[tuple[int, int]] = deque()  # (offset of its end, cost)

    def put(self, payload: Any, cost: int) -> None:
        """
        Write C{payload}; C{cost} counts as delivered when it is written.
        """
        if self._ending or self.isClosed:
            self._delivered(cost)
            return
        self._queued += len(payload)
        if self._costs and len(payload) < SMALL and self._costs[-1][1] < GATHERED:
            cost += self._costs.pop()[1]
        self._costs.append((self._queued, cost))
        if payload:
            self.write([payload])
        else:
            self._settle()

    def progressed(self, count: int) -> None:
        self._taken += count
        self._settle()

    def _settle(self) -> None:
        cost = 0
        while self._costs and self._costs[0][0] <= self._taken:
            cost += self._costs.popleft()[1]
        if cost:
            self._delivered(cost)

    def writeFailed(self, problem: str) -> None:
        """
        What was held has nowhere to go; it counts as delivered so that its stream
        runs on to its end.
        """
        cost = sum(cost for _, cost in self._costs)
        self._costs.clear()
        if cost:
            self._delivered(cost)
        self._failedCallback(problem)
