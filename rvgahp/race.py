# -*- test-case-name: tests.test_race -*-
"""
Several addresses are dialled, and the first that answers is taken (RFC 8305).

Layer 1: driven by any reactor-like loop.
"""

from __future__ import annotations

from collections import deque
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Hashable, Iterable
    from typing import Any, Protocol

    from rvgahp.descriptor import Loop

    class Attempt(Protocol):
        """
        A connection to one of them, under way.
        """

        def close(self) -> object:
            """
            Give it up.
            """

    class Begin(Protocol):
        """
        Begins to connect to one of them.
        """

        def __call__(
            self,
            candidate: Any,
            connected: Callable[[socket.socket], object],
            failed: Callable[[str], object],
        ) -> Attempt:
            """
            @raise OSError: it cannot even be begun.
            """


__all__ = ["Race"]


class Race:
    """
    Each candidate is begun a moment after the one before, or at once when that has failed.  It
    ends with L{close}, or when one is connected; all others are given up then.

    @ivar problems: why each that failed did.
    """

    def __init__(
        self,
        loop: Loop,
        begin: Begin,
        delay: float,
        connected: Callable[[Any, socket.socket], object],
        failed: Callable[[], object],
    ) -> None:
        """
        @param delay: seconds of that moment.
        @param connected: called with the first that is connected, and its socket.
        @param failed: called when all have failed, and no more will come.  Either may be called
            from within L{start} and L{end}.
        """
        self._loop = loop
        self._begin = begin
        self._delay = delay
        self._connected = connected
        self._allFailed = failed
        self._left: deque[Hashable] = deque()
        self._more: Callable[[], object] | None = None
        self._isComplete = self._isOver = False
        self._running: dict[Hashable, Attempt] = {}
        self._begun: set[Hashable] = set()
        self._timer: Any = None
        self.problems: dict[Any, str] = {}

    def start(self, candidates: Iterable[Hashable], more: Callable[[], object]) -> None:
        """
        Begin.

        @param candidates: those that are known; may be none.
        @param more: called when it is time for others; L{end} is to be called with them.
        """
        self._left.extend(candidates)
        self._more = more
        self._next()

    def end(self, candidates: Iterable[Hashable]) -> None:
        """
        After these no more will come.  Those that were there already are passed over.
        """
        self._left.extend(candidates)
        self._isComplete = True
        self._next()

    def close(self) -> None:
        """
        Give it up.
        """
        self._isOver = True
        self._stopTimer()
        for attempt in self._running.values():
            attempt.close()
        self._running.clear()

    def _stopTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _next(self) -> None:
        if self._isOver:
            return
        self._stopTimer()
        while self._left:
            if self._hasBegun(self._left.popleft()):
                if self._left or self._more is not None:
                    self._timer = self._loop.callLater(self._delay, self._next)
                return
        if self._more is not None:
            more, self._more = self._more, None
            more()
        elif self._isComplete and not self._running:
            self._isOver = True
            self._allFailed()

    def _hasBegun(self, candidate: Hashable) -> bool:
        if candidate in self._begun:
            return False
        self._begun.add(candidate)
        won, lost = partial(self._won, candidate), partial(self._lost, candidate)
        try:
            self._running[candidate] = self._begin(candidate, won, lost)
        except OSError as e:  # no descriptor, or no IPv6 on this host
            self.problems[candidate] = e.strerror or str(e)
            return False
        return True

    def _won(self, candidate: Hashable, connection: socket.socket) -> None:
        del self._running[candidate]
        self.close()
        self._connected(candidate, connection)

    def _lost(self, candidate: Hashable, problem: str) -> None:
        del self._running[candidate]
        self.problems[candidate] = problem
        self._next()
