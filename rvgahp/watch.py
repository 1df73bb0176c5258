# -*- test-case-name: tests.test_watch -*-
"""
What the proxy has against too much of anything, and what it records: limits, penalties, the
audit log, and warnings that are not more than a log can bear.

Layer 4.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.protocols.amp import RemoteAmpError
from twisted.python.failure import Failure

from rvgahp import watchlimits
from rvgahp.auditlog import AuditLog
from rvgahp.counts import Counts
from rvgahp.drains import Drains
from rvgahp.errors import Busy, NotAuthorized, RvgahpError
from rvgahp.gahpend import CRASHED
from rvgahp.history import LARGEST, History
from rvgahp.logrecord import FIELDS
from rvgahp.occupancy import Occupancy
from rvgahp.penalties import Penalties
from rvgahp.refusals import Warnings
from rvgahp.sessionaudit import SessionAudit
from rvgahp.startlimits import ProxyLimits
from rvgahp.tokenbucket import TokenBuckets

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection
    from rvgahp.peercred import LocalUser
    from rvgahp.proxy import Proxy
    from rvgahp.proxysession import ProxySession
    from rvgahp.siteconnection import SiteConnection
    from rvgahp.siteenrolment import EnrolledSite

#: What a CE says before it is let in, and what its refusal counts as.  Other errors are no
#: fault of its own.
_PENALTIES = {
    b"Hello": "hello",
    b"Authenticate": "authentication",
    b"AuthenticateMore": "authentication",
}
_FAULTS = (b"NotAuthorized", b"ProtocolError", b"InternalError")

#: Of which events a refusal is recorded, by what a CE says.
_ACTIONS = {
    **dict.fromkeys(_PENALTIES, "register"),
    b"Enrol": "enrol",
    b"RenewCertificate": "renew",
}


class Watch:
    """
    One proxy's.

    @ivar audit: the audit log.
    @ivar penalties: of addresses.
    @ivar sessions: the proxy's sessions, by id; counted by uid and by site.
    @ivar ends: what is recorded of them.
    @ivar history: of sites and sessions.
    @ivar counts: of all that comes and goes.
    @ivar drains: what takes no new sessions.
    @ivar warnings: those that strangers and users can cause.
    """

    log = Logger()

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        clock = proxy.reactor
        self.audit = AuditLog(clock, partial(self._get, "RVGAHP_AUDIT_LOG"))
        self.penalties = Penalties(
            clock.seconds,
            partial(self._get, "RVGAHP_LONGEST_PENALTY"),
            partial(self._get, "RVGAHP_PENALTY_EXEMPT"),
        )
        self.warnings = Warnings(clock, self.log, watchlimits.WARNINGS_PERIOD)
        self.sessions: Occupancy[ProxySession] = Occupancy(
            lambda record: (record.client.user.uid, record.site)
        )
        self.history = History()
        self.counts = Counts()
        self.drains = Drains()
        self.ends = SessionAudit(
            clock, self.audit, lambda: watchlimits.AUDIT_END_TIMEOUT, self._ended
        )
        self._asked = TokenBuckets(watchlimits.STARTING_USERS)
        self._limits = ProxyLimits(clock.seconds, lambda: proxy.settings)

    def _get(self, name: str) -> Any:
        return self._proxy.settings.get(name)

    def close(self) -> None:
        """
        The proxy stops.
        """
        self.ends.close()
        self.warnings.close()
        self.audit.close()

    # -- starts -------------------------------------------------------------

    def checkStart(self, client: LocalConnection, site: str) -> None:
        """
        A client wants one more GAHP.

        @raise Busy: there are too many already; the sentence says of what.
        """
        user = client.user
        self.drains.check(site, "the proxy's administrator")
        ofSite = self.sessions.count(site) + self._proxy.claims.count(site)
        ofUser = self.sessions.count(user.uid)
        self._limits.check(user.uid, user.name, ofUser, site, ofSite)

    def requestGAHP(self, client: LocalConnection, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        L{Proxy.requestGAHP}, and what comes of it is recorded.
        """
        began = self._proxy.reactor.seconds()
        asked = maybeDeferred(self._proxy.requestGAHP, client, **arguments)
        fields = {
            **self.userFields(client.user),
            **{name: arguments[name] for name in ("site", "gahp", "account")},
        }
        return asked.addCallbacks(
            self._started, self._notStarted, (fields, began), errbackArgs=(fields,)
        )

    def heard(self, session: str, former: dict[str, Any], news: dict[str, Any]) -> None:
        """
        A CE has told of a session.

        @param former: what it told before; nothing, if this is the first time.
        """
        # What one that is older than this proxy has carried until now is its predecessor's.
        if former or not self.ends.isOlder(session):
            self.counts.told(former, news)
        self.ends.heard(session, news)

    def _ended(self, fields: dict[str, Any]) -> None:
        self.history.ended(fields)
        self.counts.ends[fields["by"]] += 1
        if fields["told"] is not None and fields["received"] is not None:
            last = {name: min(max(0, fields[name]), LARGEST) for name in ("received", "sent")}
            self.counts.ended(fields["told"], last)
        end = fields["end"]
        words = "in good order"
        if end is not None:
            self.counts.outcomes[end.outcome] += 1
            words = f"its GAHP {end.words}" if end.outcome == CRASHED else words
        told = {name: value for name, value in fields.items() if name in FIELDS}
        told |= {"owner": fields.get("who"), "reason": fields["reason"] or words}
        self.log.info("Session {session}: over ({by}): {reason}", by=fields["by"], **told)

    def _started(
        self, answer: dict[str, Any], fields: dict[str, Any], began: float
    ) -> dict[str, Any]:
        self.counts.started(fields["gahp"], self._proxy.reactor.seconds() - began)
        record = self.sessions.get(answer["session"])
        rule = record.rule if record is not None else ""
        self.ends.started(answer["session"], {**fields, "site": answer["site"], "rule": rule})
        if record is not None and record.news:
            self.ends.heard(record.sessionId, record.news)
        return answer

    def _notStarted(self, failure: Failure, fields: dict[str, Any]) -> Failure:
        reason = failure.getErrorMessage()
        self.counts.failures[type(failure.value).__name__] += 1
        self.audit.record("refused", decision="refused", action="start", reason=reason, **fields)
        return failure

    def notStarted(self, record: ProxySession, reason: str) -> None:
        """
        A site has not started a GAHP, for this reason.  Where its client has gone meanwhile, or
        the session was ended, that is none.
        """
        if record.sessionId not in self.sessions:
            return
        what = {"session": record.sessionId, "site": record.site, "gahp": record.grant.gahp}
        how = {"seconds": 0.0, "by": "start", "reason": reason, "received": 0, "sent": 0}
        self.history.ended({**self.userFields(record.client.user), **what, **how})

    def claimed(self, record: ProxySession, gahp: str) -> None:
        """
        A client has claimed a session that is older than this proxy.
        """
        fields = {**self.userFields(record.client.user), "site": record.site, "gahp": gahp}
        self.ends.claimed(record.sessionId, fields)

    def userFields(self, user: LocalUser) -> dict[str, Any]:
        """
        @return: what the audit log has of a user.
        """
        try:
            who = self._proxy.access.names.canonical(user)
        except NotAuthorized:
            who = ""  # he has no name, and is refused for that
        return {"who": who, "user": user.name, "uid": user.uid, "pid": user.pid}

    def asked(
        self, action: str, user: LocalUser, site: str, question: Callable[[LocalUser, str], Any]
    ) -> Any:
        """
        A user asks something about a site's enrolment; if that is refused, it is recorded.

        @param action: the event that it would be.
        @return: the answer to the question, which fails with errors of ours.
        """
        try:
            self._checkAsked(user)
            return question(user, site)
        except RvgahpError as e:
            fields = {**self.userFields(user), "site": site, "action": action, "reason": str(e)}
            self.audit.record("refused", decision="refused", **fields)
            raise

    def _checkAsked(self, user: LocalUser) -> None:
        """
        @raise Busy: he asks too often; root and our own account cannot.
        """
        rate, burst = watchlimits.ENROLMENTS_RATE, watchlimits.ENROLMENTS_BURST
        now = self._proxy.reactor.seconds()
        if user.uid not in (0, os.geteuid()) and not self._asked.take(user.uid, rate, burst, now):
            raise Busy(f"{user.name} invites and revokes too often; try again later")

    # -- CEs ----------------------------------------------------------------

    def siteCame(self, site: SiteConnection) -> None:
        """
        A CE's Hello is accepted.
        """
        self.penalties.siteCame(site.address)
        self.history.siteCame(site.site)
        self.audit.record("register", decision="allowed", **_siteFields(site))

    def siteWent(self, site: SiteConnection, reason: Failure) -> None:
        """
        A CE's connection has ended, be it before its Hello or after.
        """
        if site.since:
            self.penalties.siteWent(site.address)
        elif site.fault:
            isTLS = site.fault == "gone" and reason.check(SSL.Error)
            self.penalties.failed(site.address, "tls" if isTLS else site.fault)

    def siteRefused(self, site: SiteConnection, command: bytes, failure: Failure) -> None:
        """
        What a CE has said before it was let in is refused, or a renewal.

        @param command: its name.
        """
        problem = failure.value
        if command not in _ACTIONS or not isinstance(problem, RemoteAmpError):
            return
        if command in _PENALTIES:
            site.fault = _PENALTIES[command] if problem.errorCode in _FAULTS else ""
        self.counts.refusals[_ACTIONS[command]] += 1
        self.audit.record(
            "refused",
            decision="refused",
            action=_ACTIONS[command],
            reason=str(problem.description),
            **_siteFields(site),
        )


def peerFields(site: EnrolledSite) -> dict[str, Any]:
    """
    @return: what the audit log has of a CE, whatever it says.
    """
    return {
        "who": site.canonical,
        "address": site.address,
        "method": site.identity.method if site.identity is not None else "",
        "principal": site.identity.principal if site.identity is not None else "",
    }


def _siteFields(site: SiteConnection) -> dict[str, Any]:
    more = {"site": site.site, "rule": site.rule, "software": site.software}
    return {**peerFields(site), **more}
