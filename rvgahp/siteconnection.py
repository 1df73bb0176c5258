# -*- test-case-name: tests.test_siteconnection -*-
"""
The proxy's end of one CE's control connection.  C{doc/protocol.rst}, steps 2, 3
and 5.

Layer 4.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from rvgahp import __version__, commands, limits
from rvgahp.authentication import Authenticator
from rvgahp.control import ControlConnection, QuietFactory
from rvgahp.errors import Busy, ConfigurationError, CredentialError, NotAuthorized, SiteTaken
from rvgahp.gate import WaitingRoom
from rvgahp.iauthentication import Identity
from rvgahp.names import SITE_DOMAIN, checkSite
from rvgahp.policy import Policy
from rvgahp.proxy import Proxy, commonVersion
from rvgahp.proxysession import ProxySession
from rvgahp.siteauthentication import SiteAuthentication
from rvgahp.tls import explain

SOFTWARE = f"rvgahp {__version__}"


class SiteConnection(SiteAuthentication):
    """
    One CE, from its TLS handshake on.

    @ivar site: its name; empty before Hello.
    @ivar gahps: what it offers.
    @ivar policy: its security policy.
    @ivar software: what it calls itself in Hello.
    @ivar since: when Hello was accepted, in seconds since 1970.
    @ivar isReady: it has listed its sessions and takes starts.
    """

    log = Logger()

    def __init__(
        self, proxy: Proxy, address: str, waiting: WaitingRoom, authenticator: Authenticator
    ) -> None:
        super().__init__(authenticator, proxy.settings, proxy.reactor, address)
        self._proxy = proxy
        self._waiting = waiting
        self.site = ""
        self.gahps: list[str] = []
        self.instance = b""
        self.policy: Policy = proxy.settings.policy
        self.software = ""
        self.since = 0.0
        self.isReady = False
        self._listed: set[str] = set()
        self.control = ControlConnection(proxy.reactor, self, self._secured, self._lost)
        self._deadline = proxy.reactor.callLater(limits.GREETING_TIMEOUT, self._late)
        waiting.enter(self, address)

    # -- the connection -----------------------------------------------------

    def drop(self) -> None:
        """
        Others need the place (L{WaitingRoom}).
        """
        self.control.abort()

    def _secured(self, control: ControlConnection) -> None:
        try:
            self.readCertificate(control.transport)
        except CredentialError as e:
            self.log.warn("CE at {address}: {problem}", address=self.address, problem=e)
            control.abort()

    def _late(self) -> None:
        self.log.warn(
            "CE at {address}: no Hello within {limit} s; closed",
            address=self.address,
            limit=limits.GREETING_TIMEOUT,
        )
        self.control.abort()

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
        if self._proxy.sites.get(self.site) is self:
            del self._proxy.sites[self.site]
            self.log.warn(
                "Site {site}: disconnected: {reason}",
                site=self.site,
                reason=explain(reason),
            )
        elif not self.instance:
            self.log.warn(
                "CE at {address}: refused or broken off before Hello: {reason}",
                address=self.address,
                reason=explain(reason),
            )

    # -- the CE calls -------------------------------------------------------

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
        identity = self.checkAuthenticated()
        if self.instance:
            raise NotAuthorized("Hello has been said already")
        version = commonVersion(versions)
        if len(instance) != 16:
            raise NotAuthorized("the instance in Hello does not have 16 bytes")
        self.policy = Policy.decode(policy)
        self._checkRegistration(identity, site)
        self.site = site
        self.gahps = gahps
        self.instance = instance
        answer = {
            "version": version,
            "instance": self._proxy.instance,
            "software": SOFTWARE,
            "policy": self._proxy.settings.policy.encode(),
        }
        return self._takeSite().addCallback(lambda _: self._greeted(software, answer))

    def _checkRegistration(self, identity: Identity, site: str) -> None:
        """
        @raise NotAuthorized: there can be no such site, or it may not register that one.
        """
        try:
            checkSite(site)
        except ConfigurationError as e:
            raise NotAuthorized(str(e)) from None
        if identity.canonical != f"{site}@{SITE_DOMAIN}":
            raise NotAuthorized(f"the CE is {identity.canonical}, who may not register site {site}")

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
        former = self._proxy.sites.pop(self.site, None)
        if former is not None:
            former.control.abort()
        self._proxy.sites[self.site] = self
        self.software = software
        self.since = time.time()
        self.abandon()
        self.control.greeted()
        self.watch(self._dismiss)
        self.log.info(
            "Site {site}: connected from {address} as {who} ({software}); offers {gahps}",
            site=self.site,
            address=self.address,
            who=self.identity.canonical if self.identity else "",
            software=software,
            gahps=", ".join(self.gahps) or "nothing",
        )
        return answer

    def _checkGreeted(self) -> None:
        if self._proxy.sites.get(self.site) is not self:
            raise NotAuthorized("Hello comes first")

    @commands.Sessions.responder
    def sessions(self, sessions: list[dict[str, Any]], last: bool) -> dict[str, Any]:
        self._checkGreeted()
        if self.isReady:
            raise NotAuthorized("the last Sessions call has been")
        if len(self._listed) + len(sessions) > limits.LISTED_SESSIONS:
            raise Busy(f"a site can have {limits.LISTED_SESSIONS} sessions at the most")
        names = [entry["session"] for entry in sessions]
        self._listed.update(names)
        gone = self._proxy.sessionsListed(self.site, sessions)
        if last:
            self.isReady = True
            self._proxy.siteReady(self.site, self._listed)
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
    def sessionEnded(self, session: str, reason: str) -> dict[str, Any]:
        self._checkGreeted()
        self._proxy.sessionEnded(self.site, session, reason)
        return {}

    # -- we call ------------------------------------------------------------

    def _dismiss(self, reason: str) -> None:
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
            owner=record.client.user.name,
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
        limit = limits.PROBE_TIMEOUT + limits.CALL_TIMEOUT
        call = self.control.caller.call
        return call(commands.DialTunnel, limit, session=sessionId, request=request)

    def end(self, sessionId: str, reason: str) -> None:
        """
        Tell the CE that a session is over.
        """
        told = self.control.caller.call(commands.EndSession, session=sessionId, reason=reason)
        told.addErrback(self._notTold, sessionId)

    def _notTold(self, failure: Failure, sessionId: str) -> None:
        self._proxy.remember(sessionId, self.site)  # for its next Sessions
        self.log.warn(
            "Site {site}: could not be told that session {session} is over: {reason}",
            site=self.site,
            session=sessionId,
            reason=failure.getErrorMessage(),
        )


def accept(
    proxy: Proxy,
    contextFactory: Any,
    waiting: WaitingRoom,
    authenticator: Authenticator,
    connection: socket.socket,
    address: str,
) -> None:
    """
    A connection that begins with TLS has arrived; it is taken over.

    @param contextFactory: makes the proxy's half of TLS.
    """
    site = SiteConnection(proxy, address, waiting, authenticator)
    factory = QuietFactory.forProtocol(lambda: site.control)
    secured = TLSMemoryBIOFactory(contextFactory, False, factory, clock=proxy.reactor)
    try:
        proxy.reactor.adoptStreamConnection(connection.fileno(), connection.family, secured)
    except OSError:
        site.abandon()
        raise
    finally:
        connection.close()  # Twisted has its own copy
