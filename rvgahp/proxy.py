# -*- test-case-name: tests.test_proxy -*-
"""
The broker: authenticates CEs and local users, makes security sessions, and
introduces a client to a CE.  It carries nothing.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import limits, tunnellimits
from rvgahp.claims import Claims
from rvgahp.closedenrolment import ClosedEnrolment
from rvgahp.errors import (
    Busy,
    ConfigurationError,
    NotAuthorized,
    NotYet,
    RvgahpError,
    SessionGone,
    StartFailed,
    UnknownGAHP,
    VersionMismatch,
)
from rvgahp.introduction import introduction
from rvgahp.names import FILE_TRANSFER_GAHP, checkGAHPName
from rvgahp.policy import Outcome
from rvgahp.protection import checkStart
from rvgahp.proxyaccess import ProxyAccess, accountAt
from rvgahp.proxysession import ProxySession
from rvgahp.session import SecuritySession
from rvgahp.settings import Settings
from rvgahp.sites import Sites, candidates, meant
from rvgahp.startproblem import startProblem
from rvgahp.tickets import TicketBook
from rvgahp.watch import Watch

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection
    from rvgahp.siteconnection import SiteConnection

#: Ends of sessions that absent CEs must be told of, at the most.
_REMEMBERED = 10000

#: GAHPs that carry a key which opens the gridmanager.
_CONFIDENTIAL = (FILE_TRANSFER_GAHP,)


def commonVersion(offered: list[int]) -> int:
    """
    @raise VersionMismatch: there is none.
    """
    common = set(offered) & set(limits.PROTOCOL_VERSIONS)
    if not common:
        raise VersionMismatch(
            f"protocol versions {offered} are spoken there,"
            f" {list(limits.PROTOCOL_VERSIONS)} here; upgrade the older side"
        )
    return max(common)


class Proxy:
    """
    All that one proxy knows.  Nothing of it outlives the process, or has to.

    @ivar access: who may do what.
    @ivar startTimeout: seconds that a site has to start a GAHP.
    @ivar instance: random; tells this process from its predecessors.
    @ivar sites: the CEs that have said Hello, by site.
    @ivar claims: of sessions that are older than this process.
    @ivar sessions: the sessions whose clients are here, by id.
    @ivar watch: limits, penalties, and what is recorded.
    """

    log = Logger()

    def __init__(self, reactor: Any, settings: Settings, access: ProxyAccess) -> None:
        self.reactor = reactor
        self.settings = settings
        self.access = access
        self.startTimeout: float = settings.get("RVGAHP_START_TIMEOUT")
        self.instance = secrets.token_bytes(16)
        self.sites = Sites(reactor)
        self.watch = Watch(self)
        access.warn = self.watch.warnings.warn  # users and strangers can cause it
        self.sessions = self.watch.sessions
        self._tickets: TicketBook[tuple[str, int]] = TicketBook(reactor)
        self._gone: dict[str, str] = {}  # session id: site
        self.claims = Claims(self)
        self.enrolment = ClosedEnrolment()
        self._count = 0
        self._name = f"{socket.gethostname()}:{os.getpid()}:{int(time.time())}"

    # -- from clients -------------------------------------------------------

    def requestGAHP(
        self,
        client: LocalConnection,
        versions: list[int],
        site: str,
        gahp: str,
        account: str,
        tunnel: bool,
        tunnelPort: int,
    ) -> Deferred[dict[str, Any]]:
        """
        A client asks for a GAHP.

        @return: fires with the values of L{rvgahp.localcommands.RequestGAHP}, the session key
            (B{secret}) among them; fails with its errors.
        """
        version = commonVersion(versions)
        try:
            checkGAHPName(gahp)
        except ConfigurationError as e:
            raise UnknownGAHP(str(e)) from None
        found = self.findSite(client, site, gahp, account)
        port = tunnelPort if tunnel else None
        return found.addCallback(self._start, client, version, gahp, account, port)

    def findSite(
        self, client: LocalConnection, site: str, gahp: str, account: str
    ) -> Deferred[SiteConnection]:
        """
        Find the site that a client means.

        @return: as of L{Sites.find}.
        @raise NotAuthorized: he may not use it, connected or not.
        @raise NoSuchSite: there cannot be such a site.
        """
        names = candidates(site, account, client.site)
        found = self.access.usable(client.user, names, gahp, account)
        owner = self.access.names.canonical(client.user)
        return self.sites.find(meant(found, owner, self.enrolment))

    def _start(
        self,
        connection: SiteConnection,
        client: LocalConnection,
        version: int,
        gahp: str,
        account: str,
        tunnelPort: int | None,
    ) -> Deferred[dict[str, Any]]:
        if client.isClosed:
            raise StartFailed("the client has gone meanwhile")
        site = connection.site
        account = accountAt(site, account)
        # Once more, for the site may have been waited for; from now on this decision counts.
        grant = self.access.grant(client.user, site, gahp, account)
        hasTunnels = tunnelPort is not None
        self.watch.checkStart(client, site)
        session = self._makeSession(connection, gahp, hasTunnels)
        record = ProxySession(self, session, site, client, grant, hasTunnels)
        self.sessions[session.sessionId] = record
        client.serves(record)
        record.log.info(
            "Session {session}: {user} ({owner}) asks for {gahp} at {place}, allowed by {rule}",
            rule=grant.rule,
            place=f"{account}@{site}" if account else site,
        )
        tickets = self._issue(record.sessionId)
        return connection.start(
            record, gahp, account, hasTunnels, tunnelPort or 0, tickets
        ).addCallbacks(
            self._started, self._notStarted, (record, version), errbackArgs=(record, connection)
        )

    def _makeSession(
        self, connection: SiteConnection, gahp: str, hasTunnels: bool
    ) -> SecuritySession:
        self._count += 1
        session = SecuritySession(
            # Not to be guessed: another site cannot list it as its own (Claims).
            f"{self._name}:{self._count}:{secrets.token_hex(8)}",
            secrets.token_bytes(limits.KEY_BYTES),
            self.settings.policy,
            connection.policy,
            self.settings.get("SEC_DEFAULT_SESSION_DURATION"),
            self.settings.get("SEC_DEFAULT_SESSION_LEASE"),
        )
        self.checkOutcome(session.outcome, connection, gahp, hasTunnels)
        return session

    def checkOutcome(
        self, outcome: Outcome, connection: SiteConnection, gahp: str, hasTunnels: bool = False
    ) -> None:
        """
        See that a GAHP may be started where channels are protected so.

        @param outcome: what the policies of proxy and site resolve to.
        @param hasTunnels: whether it can reach the gridmanager.
        @raise PolicyConflict: it may not; the sentence says why.
        """
        isConfidential = hasTunnels or gahp in _CONFIDENTIAL
        checkStart(self.settings, outcome, connection.address, gahp, isConfidential)

    def _issue(self, name: str) -> list[bytes]:
        return [self._tickets.issue((name, 0), name) for _ in range(limits.TICKETS_PER_START)]

    def _started(
        self, answer: dict[str, Any], record: ProxySession, version: int
    ) -> dict[str, Any]:
        if record.client.isClosed:
            raise StartFailed("the client has gone meanwhile")
        # After the answer: in the reactor's next turn, as it is sent in this one.
        self.reactor.callLater(0, record.introduced)
        return introduction(record, version, self.settings, answer["tunnelPort"])

    def _notStarted(
        self, failure: Failure, record: ProxySession, connection: SiteConnection
    ) -> Failure:
        reason = startProblem(failure, connection, self.startTimeout)
        self.watch.notStarted(record, reason)
        record.close()
        record.log.warn("Session {session}: not started: {reason}", reason=reason)
        if failure.check(RvgahpError):
            return failure
        # It may have started all the same.
        connection.end(record.sessionId, "its start was given up")
        return Failure(StartFailed(reason))

    def endAtSite(
        self, site: str, sessionId: str, reason: str = "its client is gone", by: str = "client"
    ) -> None:
        """
        A session's client has gone, or may have it no longer: its GAHP must end.

        @param by: who or what ends it (L{rvgahp.sessionaudit.SessionAudit.ended}).
        """
        connection = self.sites.get(site)
        self.watch.ends.clientGone(sessionId, reason, by)
        if connection is not None:
            connection.end(sessionId, reason)
        else:
            self.remember(sessionId, site)

    def remember(self, sessionId: str, site: str) -> None:
        """
        The session is over, and the CE could not be told.
        """
        self._gone[sessionId] = site
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    # -- from the gate ------------------------------------------------------

    def admit(self, ticket: bytes, connection: socket.socket) -> bool:
        """
        A ticket was shown at the gate.

        @return: whether it is good; then C{connection} is taken over.
        """
        opens = self._tickets.redeem(ticket)
        record = self.sessions.get(opens[0]) if opens else None
        if record is None or opens is None:
            return False
        record.channelArrived(opens[1], connection)
        return True

    # -- from CEs -----------------------------------------------------------

    def openChannel(self, site: str, sessionId: str, stream: int) -> bytes:
        """
        A CE wants to dial one more channel.

        @return: a ticket.  B{Secret} until it is used.
        @raise Busy: it has too many open.
        @raise NotAuthorized: the session is another site's.
        @raise NotYet: no client has claimed it since the proxy was started.
        @raise SessionGone: the session is known to be over.
        """
        record = self.sessions.get(sessionId)
        if record is None:
            if self.claims.isListed(sessionId, site):
                raise NotYet(f"no client has claimed session {sessionId} yet")
            raise SessionGone(f"session {sessionId} has no client here")
        if record.site != site:
            raise NotAuthorized(f"session {sessionId} is not of site {site}")
        if stream and not record.hasTunnels:
            raise NotAuthorized(f"session {sessionId} has no tunnels")
        if not 0 <= stream <= tunnellimits.LAST_STREAM:
            raise NotAuthorized(f"session {sessionId} cannot have a stream {stream}")
        if self._tickets.heldBy(sessionId) >= tunnellimits.TICKETS_PER_SESSION:
            raise Busy(f"{tunnellimits.TICKETS_PER_SESSION} tickets of session {sessionId} are out")
        return self._tickets.issue((sessionId, stream), sessionId)

    def sessionEnded(self, site: str, sessionId: str, reason: str, **how: Any) -> None:
        """
        A CE has ended a session.

        @param how: the other arguments of L{rvgahp.commands.SessionEnded}.
        """
        isListed = self.claims.isListed(sessionId, site)
        self.watch.ends.siteEnded(sessionId, site, reason, isListed, **how)
        self.claims.forget(sessionId, site)
        record = self.sessions.get(sessionId)
        if record is not None and record.site == site:
            record.lost(reason)

    def sessionsListed(self, site: str, entries: list[dict[str, Any]]) -> list[str]:
        """
        A CE lists some of its sessions.

        @param entries: of L{rvgahp.commands.Sessions}.
        @return: those whose clients are known to be gone.
        """
        # They are kept: the answer may be lost, and then the CE lists them again.
        gone = [one["session"] for one in entries if self._gone.get(one["session"]) == site]
        self.claims.listed(site, [one for one in entries if one["session"] not in gone])
        return gone

    def siteReady(self, site: str, sessionIds: set[str]) -> None:
        """
        A CE has listed all its sessions; clients of others are told, and those who have
        waited for it.
        """
        self.claims.complete(site, sessionIds)
        for record in list(self.sessions.values()):
            if record.site != site:
                continue
            if record.sessionId in sessionIds:
                record.renewal.siteReady()
            else:
                reason = f"rvgahp-ce at site {site} has ended it or was restarted"
                self.watch.ends.ended(record.sessionId, "lost", reason)
                record.lost(reason)
        self.sites.becameReady()
