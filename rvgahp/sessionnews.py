# -*- test-case-name: tests.test_sessionnews -*-
"""
What a CE tells its proxy of its sessions, for people who look there.  C{doc/protocol.rst},
step 3.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rvgahp import watchlimits
from rvgahp.gahpend import GAHPEnd
from rvgahp.gahpsession import GAHPSession

__all__ = ["SessionNews", "endOf", "factsOf", "lastWords"]


def factsOf(session: GAHPSession, now: float) -> dict[str, Any]:
    """
    @param now: the reactor's time.
    @return: what is so of a session now; the values of one box of L{rvgahp.commands.Ping}'s
        answer, but for the session's id.
    """
    carrier, tunnels = session.carrier, session.tunnels
    stalled = 0 if carrier.isConnected() else max(1, int(now - carrier.lastHeard))
    received, sent = tunnels.carried() if tunnels is not None else (0, 0)
    return {
        "phase": session.phase.value,
        "pid": session.process.pid or 0,
        "stalled": stalled,
        "channels": carrier.channels,
        "received": session.process.received,
        "sent": session.output.sent,
        "tunnels": len(tunnels) if tunnels is not None else 0,
        "tunnelsReceived": received,
        "tunnelsSent": sent,
    }


def endOf(session: GAHPSession) -> GAHPEnd | None:
    """
    @return: how a session's GAHP ended; L{None} if it has not, or there was none.
    """
    return session.life.end(bool(session.process.received and session.output.sent))


def lastWords(session: GAHPSession, reason: str) -> dict[str, Any]:
    """
    @param reason: why it is over.
    @return: the arguments of L{rvgahp.commands.SessionEnded}.
    """
    end = endOf(session)
    return {
        "session": session.sessionId,
        "reason": reason,
        "received": session.process.received,
        "sent": session.output.sent,
        **(end.told() if end is not None else {}),
    }


class SessionNews:
    """
    Knows what one proxy was told over its present connection.
    """

    def __init__(self, sessions: Mapping[str, GAHPSession]) -> None:
        """
        @param sessions: what runs, by id.
        """
        self._sessions = sessions
        # The last that was told of each; who was told last stands last.
        self._told: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """
        It is another connection: nothing has been told.
        """
        self._told.clear()

    def take(self, now: float) -> list[dict[str, Any]]:
        """
        @param now: the reactor's time.
        @return: the news, which count as told, for L{rvgahp.commands.Ping}.
        """
        for gone in [name for name in self._told if name not in self._sessions]:
            del self._told[gone]
        news: list[dict[str, Any]] = []
        untold = [name for name in self._sessions if name not in self._told]
        for name in (*untold, *list(self._told)):
            if len(news) == watchlimits.NEWS:
                break
            facts = factsOf(self._sessions[name], now)
            if facts != self._told.get(name):
                self._told.pop(name, None)
                self._told[name] = facts
                news.append({"session": name, **facts})
        return news
