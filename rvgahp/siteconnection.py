# -*- test-case-name: tests.test_siteconnection -*-
"""
The proxy's end of one CE's control connection.  C{doc/protocol.rst}, steps 2, 3
and 5.

Layer 4.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.protocols.amp import RemoteAmpError
from twisted.python.failure import Failure

from rvgahp import __version__, commands, limits, tunnellimits
from rvgahp.authentication import Authenticator
from rvgahp.control import ControlConnection
from rvgahp.errors import Busy, ConfigurationError, CredentialError, NotAuthorized, SiteTaken
from rvgahp.gate import WaitingRoom
from rvgahp.names import checkGAHPName, checkSite
from rvgahp.policy import Policy
from rvgahp.proxy import Proxy, commonVersion
from rvgahp.proxysession import ProxySession
from rvgahp.siteenrolment import EnrolledSite
from rvgahp.tls import explain

SOFTWARE = f"rvgahp {__version__}"


class SiteConnection(EnrolledSite):
    """
    One CE, from its TLS handshake on.

    @ivar site: its name; empty before Hello.
    @ivar gahps: what it offers.
    @ivar policy: its security policy.
    @ivar software: what it calls itself in Hello.
    @ivar rule: the rule that lets it register the site.
    @ivar isReady: it has listed its sessions and takes starts.
    @ivar listed: the sessions that it has listed.
    @ivar roundTrip: seconds until it answered the last ping; L{None} before the first.
    """

    log = Logger()

    def __init__(
        self, proxy: Proxy, address: str, waiting: WaitingRoom, authenticator: Authenticator
    ) -> None:
        super().__init__(authenticator, proxy.settings, proxy.reactor, address)
        self._proxy = proxy
        self._waiting = waiting
        self.site = self.rule = ""
        self.gahps: list[str] = []
        self.instance = b""
        self.policy: Policy = proxy.settings.policy
        self.software = ""
        self.isReady = False
        self.listed: set[str] = set()
        self.roundTrip: float | None = None
        self._calls = 0
        self.control = ControlConnection(proxy.reactor, self, self._secured, self._lost)
        self._deadline = proxy.reactor.callLater(limits.GREETING_TIMEOUT, self._late)
        waiting.enter(self, address)

    # -- the connection -----------------------------------------------------

    def drop(self) -> None:
        """
        Others need the place (L{WaitingRoom}).
        """
        self.fault = "crowd"
        self.control.abort()

    def _secured(self, control: ControlConnection) -> None:
        try:
            self.readCertificate(control.transport)
        except CredentialError as e:
            self.warn("CE at {address}: {what}", str(e))
            self.fault = "tls"
            control.abort()

    def _late(self) -> None:
        seconds = f"{limits.GREETING_TIMEOUT:g}"
        self.warn("CE at {address}: no Hello within {what} s; closed", seconds)
        self.fault = "late"
        self.control.abort()

    def warn(self, form: str, what: str) -> None:
        self._proxy.watch.warnings.warn(form, self.address, what)

    def abandon(self) -> None:
        """
        It needs no place and no deadline any more.
        """
        self._waiting.leave(self)
        if self._deadline.active():
            self._deadline.cancel()

    def _lost(self, reason: Failure) -> None:
        self.abandon()
        self.forget()
        self._proxy.watch.siteWent(self, reason)
        if self._proxy.sites.get(self.site) is self:
            del self._proxy.sites[self.site]
            why = self.control.problem or explain(reason)
            validity = self.chain.validity if self.chain is not None else None
            self._proxy.watch.history.siteWent(self.site, self.address, why, validity)
            self.log.warn("Site {site}: disconnected: {reason}", site=self.site, reason=why)
        elif not self.instance and not self.hasAnswer:
            why = explain(reason)
            self.warn("CE at {address}: refused or broken off before Hello: {what}", why)

    def _failed(self, failure: Failure, name: bytes) -> Failure:
        if not self.since or name == commands.RenewCertificate.commandName:
            self._proxy.watch.siteRefused(self, name, failure)
        return super()._failed(failure, name)

    # -- the CE calls -------------------------------------------------------

    def locateResponder(self, name: bytes) -> Any:
        self._calls += 1
        if self.since or self._calls <= limits.GREETING_CALLS:
            return super().locateResponder(name)
        self.warn("CE at {address}: {what}; closed", f"{self._calls} calls before its Hello")
        self.fault = "garbage"
        self.control.abort()
        return lambda box: fail(RemoteAmpError(b"NotAuthorized", "there were too many calls"))

    @commands.Hello.responder
    def hello(
        self,
        versions: list[int],
        instance: bytes,
        site: str,
        software: str,
        gahps: list[str],
        policy: str,
    ) -> Deferred[dict[str, Any]]:
        identity = self._logged(self.checkAuthenticated)
        if self.instance:
            raise NotAuthorized("Hello has been said already")
        version = commonVersion(versions)
        if len(instance) != 16:
            raise NotAuthorized("the instance in Hello does not have 16 bytes")
        self.policy = Policy.decode(policy)
        self._checkNames(site, gahps)
        self.site = site
        self.gahps = gahps
        self.instance = instance
        answer = {
            "version": version,
            "instance": self._proxy.instance,
            "software": SOFTWARE,
            "policy": self._proxy.settings.policy.encode(),
        }
        registered = self._proxy.access.register(identity.canonical, site, self.address)
        registered.addCallback(self._registered)
        return registered.addCallback(lambda _: self._greeted(software, answer))

    def _registered(self, rule: str) -> Deferred[Any]:
        self.rule = rule
        # Not before: who may not register a site leaves no trace of it.
        self.checkCertificate(self.site)
        return self._takeSite()

    @staticmethod
    def _checkNames(site: str, gahps: list[str]) -> None:
        """
        @raise NotAuthorized: there can be no such site, or one of the GAHPs can be none.
        """
        try:
            checkSite(site)
            for gahp in gahps:
                checkGAHPName(gahp)
        except ConfigurationError as e:
            raise NotAuthorized(str(e)) from None

    def _takeSite(self, silent: SiteConnection | None = None) -> Deferred[Any]:
        """
        @param silent: one that did not answer.
        @return: fires when the site's name is free; fails with L{SiteTaken}.
        """
        other = self._proxy.sites.get(self.site)
        if other is None or other is silent or other.instance == self.instance:
            return succeed(None)
        asked = other.control.caller.call(commands.Ping, limits.TAKEOVER_PING_TIMEOUT)
        # Meanwhile a third one may have taken its place.
        return asked.addCallbacks(self._taken, lambda _: self._takeSite(other), (other,))

    def _taken(self, _: object, other: SiteConnection) -> None:
        self.log.warn(
            "Site {site}: refused another CE, at {address}: one at {other} is connected and alive",
            site=self.site,
            address=self.address,
            other=other.address,
        )
        raise SiteTaken(
            f"site {self.site} is taken: another rvgahp-ce, at {other.address}, is connected and"
            " alive; stop it, or give this one a certificate with a name of its own"
        )

    def _greeted(self, software: str, answer: dict[str, Any]) -> dict[str, Any]:
        if not self.control.connected:
            # It went while the other was asked; it must not take that one's place.
            raise NotAuthorized("the connection has ended")
        # Again: it may have been revoked, or all been read again, while the other was asked.
        self.checkCurrent()
        self.checkCertificate(self.site)
        self._proxy.enrolment.letIn(self.site, self.chain.endEntity if self.chain else None)
        former = self._proxy.sites.pop(self.site, None)
        if former is not None:
            former.control.abort()
        self._proxy.sites[self.site] = self
        self.software = software
        self.since = time.time()
        self.abandon()
        self.control.greeted(self._heard)
        self.awaitEnd(self.dismiss)
        self._proxy.watch.siteCame(self)
        self.log.info(
            "Site {site}: connected from {address} as {who} ({software}); offers {gahps}",
            site=self.site,
            address=self.address,
            who=self.identity.canonical if self.identity else "",
            software=software,
            gahps=", ".join(self.gahps) or "nothing",
        )
        return answer

    def _heard(self, answer: dict[str, Any], seconds: float) -> None:
        """
        It has answered a ping.
        """
        self.roundTrip = seconds
        for news in answer["sessions"] or ():
            record = self._proxy.sessions.get(news["session"])
            if record is not None and record.site == self.site:
                record.heard(news)

    def _checkGreeted(self) -> None:
        if self._proxy.sites.get(self.site) is not self:
            raise NotAuthorized("Hello comes first")

    @commands.Sessions.responder
    def sessions(self, sessions: list[dict[str, Any]], last: bool) -> dict[str, Any]:
        self._checkGreeted()
        if self.isReady:
            raise NotAuthorized("the last Sessions call has been")
        if len(self.listed) + len(sessions) > limits.LISTED_SESSIONS:
            raise Busy(f"a site can have {limits.LISTED_SESSIONS} sessions at the most")
        self.listed.update(entry["session"] for entry in sessions)
        gone = self._proxy.sessionsListed(self.site, sessions)
        if last:
            self.isReady = True
            self._proxy.siteReady(self.site, self.listed)
        return {"gone": gone}

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        self._checkGreeted()
        return {}

    @commands.OpenChannel.responder
    def openChannel(self, session: str, stream: int) -> dict[str, Any]:
        self._checkGreeted()
        return {"ticket": self._proxy.openChannel(self.site, session, stream)}

    @commands.SessionEnded.responder
    def sessionEnded(self, session: str, reason: str, **how: Any) -> dict[str, Any]:
        self._checkGreeted()
        self._proxy.sessionEnded(self.site, session, reason, **how)
        return {}

    # -- we call ------------------------------------------------------------

    def dismiss(self, reason: str) -> None:
        """
        Close the connection, and say why on both sides.
        """
        self.log.warn("Site {site}: closed: {reason}", site=self.site, reason=reason)
        self.control.caller.call(commands.Dismiss, reason=reason)
        self.control.close()

    def start(
        self,
        record: ProxySession,
        gahp: str,
        account: str,
        tunnel: bool,
        tunnelPort: int,
        tickets: list[bytes],
    ) -> Deferred[dict[str, Any]]:
        """
        Ask the CE to start a GAHP.

        @return: fires with its answer; fails with errors of L{commands.StartGAHP},
            L{TimeoutError}, or the reason why the connection was lost.
        """
        session = record.session
        return self.control.caller.call(
            commands.StartGAHP,
            self._proxy.startTimeout,
            session=session.sessionId,
            key=session.key,
            keyNumber=session.keyNumber,
            gahp=gahp,
            account=account,
            tunnel=tunnel,
            tunnelPort=tunnelPort,
            owner=record.owner,
            serverPolicy=session.serverPolicy.encode(),
            outcome=session.outcome.value,
            method=session.method,
            duration=session.duration,
            lease=session.lease,
            commands=["gahp", "tunnel"] if tunnel else ["gahp"],
            tickets=tickets,
        )

    def dialTunnel(self, sessionId: str, request: bytes) -> Deferred[dict[str, Any]]:
        """
        Ask the CE to connect to a session's tunnel port, as its GAHP would.

        @return: fires with the values of L{commands.DialTunnel}; may fail as L{start}.
        """
        limit = tunnellimits.PROBE_TIMEOUT + limits.CALL_TIMEOUT
        call = self.control.caller.call
        return call(commands.DialTunnel, limit, session=sessionId, request=request)

    def end(self, sessionId: str, reason: str) -> Deferred[Any]:
        """
        Tell the CE that a session is over.

        @return: fires when it knows, or is to be told when it comes again.
        """
        told = self.control.caller.call(commands.EndSession, session=sessionId, reason=reason)
        return told.addErrback(self._notTold, sessionId)

    def _notTold(self, failure: Failure, sessionId: str) -> None:
        self._proxy.remember(sessionId, self.site)  # for its next Sessions
        self.log.warn(
            "Site {site}: could not be told that session {session} is over: {reason}",
            site=self.site,
            session=sessionId,
            reason=failure.getErrorMessage(),
        )
