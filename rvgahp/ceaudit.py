# -*- test-case-name: tests.test_ceaudit -*-
"""
What a CE records of sessions, and counts.  C{doc/audit.rst}.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rvgahp.auditlog import AuditLog
from rvgahp.cecounts import CECounts
from rvgahp.commands import LEASE_OVER
from rvgahp.counts import Counts
from rvgahp.gahpsession import STOPPED, GAHPSession
from rvgahp.sessionnews import endOf

#: What is recorded of the arguments of StartGAHP, by their names there.
_RECORDED = {"owner": "who", "session": "session", "gahp": "gahp", "account": "account"}


class CEAudit:
    """
    Of one proxy of a CE.

    @ivar audit: the audit log.
    @ivar counts: what is counted beside it.
    """

    def __init__(
        self, clock: IReactorTime, audit: AuditLog, site: str, proxy: str, counts: Counts
    ) -> None:
        """
        @param site: our name.
        @param proxy: where the proxy is, as people know it.
        """
        self.counts = CECounts(counts)
        self._clock = clock
        self.audit = audit
        self._always = {"site": site, "proxy": proxy}
        # What is said of each session that runs, and since when it does.
        self._open: dict[str, tuple[dict[str, Any], float]] = {}

    def start(
        self,
        arguments: dict[str, Any],
        asked: Callable[[], Deferred[dict[str, Any]]],
        find: Callable[[str], GAHPSession | None],
    ) -> Deferred[dict[str, Any]]:
        """
        The proxy asks for a GAHP.

        @param arguments: of L{rvgahp.commands.StartGAHP}.
        @param asked: what starts it.
        @param find: the session that runs, by its id.
        @return: what C{asked} returns.
        """
        fields = {name: arguments[one] for one, name in _RECORDED.items()}
        fields.update(self._always)
        began = self._clock.seconds()
        started = maybeDeferred(asked)
        return started.addCallbacks(
            self._started, self._notStarted, (fields, find, began), errbackArgs=(fields,)
        )

    def _started(
        self,
        answer: dict[str, Any],
        fields: dict[str, Any],
        find: Callable[[str], GAHPSession | None],
        began: float,
    ) -> dict[str, Any]:
        self.counts.started(fields["gahp"], self._clock.seconds() - began)
        running = find(fields["session"])
        if running is not None:
            fields.update(pid=running.process.pid, rule=running.request.rule)
        self._open[fields["session"]] = fields, self._clock.seconds()
        self.audit.record("start", decision="allowed", **fields)
        return answer

    def _notStarted(self, failure: Failure, fields: dict[str, Any]) -> Failure:
        self.counts.notStarted(failure.value)
        reason = failure.getErrorMessage()
        self.audit.record("refused", decision="refused", action="start", reason=reason, **fields)
        return failure

    def ended(self, session: GAHPSession, reason: str) -> None:
        """
        It is over.

        @param reason: empty if all was in good order.
        """
        fields, since = self._open.pop(session.sessionId, (None, 0.0))
        by = _ender(session, reason) if fields is not None else ""
        self.counts.ended(session, by)
        if fields is None:
            return  # it was not started
        end = endOf(session)
        self.audit.record(
            "end",
            by=by,
            reason=reason,
            outcome=end.outcome if end is not None else "",
            status=end.words if end is not None else "",
            seconds=self._clock.seconds() - since,
            received=session.process.received,
            sent=session.output.sent,
            **fields,
        )


def _ender(session: GAHPSession, reason: str) -> str:
    """
    @return: who or what has ended a session.
    """
    if reason.startswith(LEASE_OVER):
        return "lease"
    if reason == STOPPED or not reason:
        return "site"
    return "client" if session.isAbandoned else "site"
