# -*- test-case-name: tests.test_cecounts -*-
"""
What a CE counts of its sessions, for whoever plots it.  C{doc/metrics.rst}.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rvgahp.counts import Counts
from rvgahp.errors import StartFailed
from rvgahp.gahpend import KILLED, NOT_STARTED
from rvgahp.gahpsession import GAHPSession
from rvgahp.sessionnews import endOf, factsOf

__all__ = ["CECounts"]


class CECounts:
    """
    One CE's.  What sessions carry is counted when it is looked at, and when they end: no byte
    costs more for it.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        # What was so of each session when it was looked at last.
        self._former: dict[str, dict[str, Any]] = {}

    def started(self, gahp: str, seconds: float) -> None:
        """
        A GAHP was started.

        @param seconds: since the proxy asked for it.
        """
        self._counts.started(gahp, seconds)

    def notStarted(self, problem: object) -> None:
        """
        One was refused, or could not be.
        """
        self._counts.failures[type(problem).__name__] += 1
        if isinstance(problem, StartFailed):
            self._counts.outcomes[NOT_STARTED] += 1

    def look(self, sessions: Iterable[GAHPSession]) -> None:
        """
        Count what has come since the last look.

        @param sessions: those that run.
        """
        for session in sessions:
            self._take(session)

    def ended(self, session: GAHPSession, by: str) -> None:
        """
        A session is over.

        @param by: who or what has ended it; empty: it was never started.
        """
        self._take(session)
        del self._former[session.sessionId]
        if by:
            self._counts.ends[by] += 1
        end = endOf(session)
        if end is not None:
            self._counts.outcomes[end.outcome] += 1
        elif session.life.isLaunched:
            self._counts.outcomes[KILLED] += 1  # it was alive, and ends with its session

    def _take(self, session: GAHPSession) -> None:
        former = self._former.get(session.sessionId, {})
        # Stalls are known here one by one: those that are over before anyone looks, too.
        news = {**factsOf(session, 0.0), "stalled": 0, "losses": session.carrier.losses}
        self._counts.told(former, news)
        self._counts.stalls += news["losses"] - former.get("losses", 0)
        self._former[session.sessionId] = news
