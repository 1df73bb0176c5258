# -*- test-case-name: tests.test_watch -*-
"""
What the proxy records of sessions: who has started which, and how each ended.
C{doc/audit.rst}.

Layer 4.  The client's end is seen here, the bytes are known to the CE: after the one the
other is waited for, for some time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from rvgahp.auditlog import AuditLog
from rvgahp.commands import LEASE_OVER
from rvgahp.gahpend import GAHPEnd, toldEnd


class _Open:
    """
    A session that has been recorded and has not ended.

    @ivar fields: what is said of it in each line.
    @ivar since: when it was started; L{None} if that was before this proxy.
    @ivar reason: why it is about to end.
    @ivar by: who or what ends it.
    @ivar until: when its client went.
    @ivar timer: until its CE has told of its end.
    @ivar told: what its CE has told of it last; L{None}: nothing, and it is older than this proxy.
    """

    def __init__(self, fields: dict[str, Any], since: float | None) -> None:
        self.fields = fields
        self.since = since
        self.reason = ""
        self.by = "client"
        self.until = 0.0
        self.timer: Any = None
        self.told: Mapping[str, Any] | None = None if since is None else {}


class _Last(NamedTuple):
    """
    What a CE has said last of a session.

    @ivar received: bytes of its GAHP's stdin; L{None}: it has said nothing.
    @ivar sent: bytes of its GAHP's stdout.
    @ivar end: how that ended; L{None}: that is not known.
    """

    received: int | None = None
    sent: int | None = None
    end: GAHPEnd | None = None


_UNTOLD = _Last()


class SessionAudit:
    """
    The sessions that one proxy knows.
    """

    def __init__(
        self,
        clock: IReactorTime,
        audit: AuditLog,
        patience: Callable[[], float],
        over: Callable[[dict[str, Any]], object],
    ) -> None:
        """
        @param patience: seconds for which a CE is waited for after a client has gone.
        @param over: called with what is recorded of each session that has ended.
        """
        self._clock = clock
        self._audit = audit
        self._patience = patience
        self._over = over
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def started(self, session: str, fields: dict[str, Any]) -> None:
        """
        A client was given a session.
        """
        self._audit.record("start", decision="allowed", session=session, **fields)
        self._open[session] = _Open(fields, self._clock.seconds())

    def claimed(self, session: str, fields: dict[str, Any]) -> None:
        """
        A client has claimed one that is older than this proxy.
        """
        self._close(session)
        self._audit.record("claim", decision="allowed", session=session, **fields)
        self._open[session] = _Open(fields, None)

    def isOlder(self, session: str) -> bool:
        """
        @return: whether it is one of those that were claimed.
        """
        entry = self._open.get(session)
        return entry is not None and entry.since is None

    def heard(self, session: str, news: Mapping[str, Any]) -> None:
        """
        Its CE has told of it.
        """
        entry = self._open.get(session)
        if entry is not None:
            entry.told = news

    def clientGone(self, session: str, reason: str, by: str = "client") -> None:
        """
        Its client's connection has ended, or somebody ends it.  What its CE will say of it is
        waited for.

        @param by: as for L{ended}.
        """
        entry = self._open.get(session)
        if entry is not None and entry.timer is None:
            entry.reason, entry.by = reason, by
            entry.until = self._clock.seconds()
            entry.timer = self._clock.callLater(self._patience(), self.ended, session, by, reason)

    def siteEnded(
        self,
        session: str,
        site: str,
        reason: str,
        isListed: bool,
        received: int,
        sent: int,
        **how: Any,
    ) -> None:
        """
        The CE says that it is over.

        @param isListed: whether this site has listed it, and nobody has claimed it.
        @param how: the other fields of L{rvgahp.commands.SessionEnded}.
        """
        entry = self._open.get(session)
        if entry is None:
            if isListed:
                self._open[session] = entry = _Open({"site": site}, None)
            else:
                return
        if entry.fields["site"] != site:
            return
        if reason.startswith(LEASE_OVER):
            by = "lease"
        else:
            by = entry.by if entry.timer is not None and reason else "site"
        self.ended(session, by, reason, _Last(received, sent, toldEnd(**how)))

    def ended(self, session: str, by: str, reason: str, last: _Last = _UNTOLD) -> None:
        """
        It is over.

        @param by: who or what has ended it: C{client}, C{site}, C{lease}, C{lost},
            C{revoked} or C{killed}.
        @param last: what its CE has said of it.
        """
        entry = self._open.pop(session, None)
        if entry is None:
            return
        if entry.timer is not None and entry.timer.active():
            entry.timer.cancel()
        until = self._clock.seconds()
        if entry.timer is not None and last is _UNTOLD:
            until = entry.until
        seconds = None if entry.since is None else until - entry.since
        told = {
            **entry.fields,
            "session": session,
            "seconds": seconds,
            "received": last.received,
            "sent": last.sent,
            "outcome": last.end.outcome if last.end is not None else "",
            "status": last.end.words if last.end is not None else "",
            "by": by,
            "reason": reason,
        }
        self._audit.record("end", **told)
        self._over({**told, "end": last.end, "told": entry.told})

    def close(self) -> None:
        """
        The proxy stops: those whose CEs were waited for are over without them; the others go
        on.
        """
        for session in list(self._open):
            self._close(session)
        self._open.clear()

    def _close(self, session: str) -> None:
        """
        Wait for its CE no longer.
        """
        entry = self._open.get(session)
        if entry is not None and entry.timer is not None:
            self.ended(session, entry.by, entry.reason)
