# -*- test-case-name: tests.test_servedproxy -*-
"""
One of the proxies that a CE serves: it is dialled, the control connection is kept up, and it
starts GAHPs.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, limits
from rvgahp.auditlog import AuditLog
from rvgahp.authentication import contextOf
from rvgahp.backoff import Backoff
from rvgahp.ceaudit import CEAudit
from rvgahp.cegreeting import CertificateRenewed, Greeting
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.cesessions import CESessions
from rvgahp.control import ControlConnection, Responders
from rvgahp.controldial import dialControl
from rvgahp.errors import ChannelLost, CredentialError, SiteTaken, StartFailed
from rvgahp.gahprunner import GAHPRunner
from rvgahp.gahpsession import STOPPED, GAHPSession
from rvgahp.logrecord import BoundLogger
from rvgahp.policy import Policy
from rvgahp.proxystate import ProxyState
from rvgahp.sessionnews import SessionNews, lastWords
from rvgahp.settings import Settings
from rvgahp.tcpdial import dialTCP
from rvgahp.tls import explain, nameOf
from rvgahp.trust import Trust
from rvgahp.way import Way
from rvgahp.wayout import Gateway, Target
from rvgahp.waysettings import placeIn, wayOutOf


class ServedProxy(Service, Responders):
    """
    One proxy of one CE.  It reaches the sessions that it has started itself, and no others.

    @ivar name: the operator's for it, C{RVGAHP_PROXY_NAMES}; empty for the one that has none.
    @ivar site: our name there, as in our certificate.
    @ivar here: what runs here for it, and may.
    @ivar sessions: that, by session id.
    @ivar state: how we stand with it; C{policy}: its security policy.
    @ivar recorder: of sessions.
    @ivar way: how channels reach it.
    @ivar wayOut: how that and control connections do.
    @ivar renewal: of our certificate.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: Settings,
        site: str,
        renewal: CertificateRenewal,
        trust: Trust,
        methods: Sequence[Any],
        runner: GAHPRunner,
        audit: AuditLog,
        ready: Callable[[ServedProxy, ControlConnection, dict[str, Any]], object],
    ) -> None:
        """
        @param settings: the CE's, with what is this proxy's own.
        @param renewal: of our certificate.
        @param trust: whose word counts, beside our credentials' authorities.
        @param methods: of authentication, the best first.
        @param runner: runs GAHPs for all proxies.
        @param ready: called when the proxy has accepted us and takes requests for
            this site, with us, the connection and the answer to Hello.
        """
        self.name = name
        self.site = site
        self._reactor = reactor
        self._settings = settings
        self._host: str = settings.get("RVGAHP_BROKER_HOST")
        self.log = BoundLogger(self.log, site=site, proxy=self.place)
        self.wayOut = wayOutOf(settings)
        self.state = ProxyState(self.wayOut, runner.counts)
        self.renewal = renewal
        self._trust = trust
        self._greeted: Deferred[Any] | None = None
        self._ready = ready
        self.way = Way(
            lambda: dialTCP(reactor, self.wayOut).addCallback(lambda found: found[1]),
            self._openChannel,
            lambda: self.state.isAccepted and self._control is not None,
            self.place,
        )
        self.here = CESessions(reactor, settings, site, runner, self.way, self._over)
        self.sessions = self.here.running
        self._news = SessionNews(self.sessions)
        self._greeting = Greeting(settings, site, runner.gahps, methods, renewal, self.here)
        self.recorder = CEAudit(reactor, audit, site, self.place, runner.counts)
        self._backoff = Backoff(SystemRandom())
        self._control: ControlConnection | None = None
        self._refusal = self._refusedBy = ""
        self._timer: Any = None
        self._connecting: Deferred[Any] | None = None
        self.policy: Policy = settings.policy  # until it says its own

    @property
    def place(self) -> str:
        """
        Where it is by its settings, for people.
        """
        return placeIn(self._settings)

    # -- service ------------------------------------------------------------

    def startService(self) -> None:
        super().startService()
        self._connect()

    def stopService(self) -> Deferred[Any]:
        """
        Start nothing more, and dial no more.

        @return: fires when the proxy knows that its sessions end, so that each client hears why
            before its channel closes.
        """
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self.here.refuseStarts()
        told = [self._tellEnd(session, STOPPED) for session in self.sessions.values()]
        return DeferredList(told)

    def close(self) -> None:
        """
        End all sessions, and the connection.
        """
        self.here.close()
        if self._control is not None:
            self._control.close()

    # -- the control connection ---------------------------------------------

    def _connect(self) -> None:
        self._refusal = self._refusedBy = ""
        self.state.dials()
        self._news.forget()
        control = ControlConnection(self._reactor, self, self._secured, self._lost)
        self._timer = self._reactor.callLater(
            limits.DIAL_TIMEOUT + limits.GREETING_TIMEOUT, self._late, control
        )
        ours = self.renewal.reread(), self._host, self._trust
        self._connecting = dialControl(self._reactor, self.wayOut, control, *ours)
        self._connecting.addCallbacks(self._connected, self._lost, (control,))

    def _connected(self, target: Target, control: ControlConnection) -> None:
        self._control = control
        self.state.dialled(target)

    def _late(self, control: ControlConnection) -> None:
        self._refusal = "it did not answer Hello in time"
        if control.connected:
            control.abort()
        elif self._connecting is not None:
            self._connecting.cancel()

    def _secured(self, control: ControlConnection) -> None:
        self._control = control
        peer = self._peer()
        try:
            context = contextOf(control.transport.getHandle(), self._settings, self._host, peer)
        except CredentialError as e:
            self._refusal = str(e)
            control.abort()
            return
        greeted = self._greeting.greet(control, context)
        greeted.addCallback(self._nowReady, control).addErrback(self._refused, control)
        self._greeted = greeted

    def _nowReady(self, answer: dict[str, Any], control: ControlConnection) -> None:
        self.state.accepted(answer["software"])
        self.policy = Policy.decode(answer["policy"])
        self._timer.cancel()
        self.log.info(
            "Accepted by the proxy at {peer} ({software}) as site {site}",
            peer=self.state.where(control.peer),
            software=answer["software"],
            site=self.site,
        )
        self.renewal.connected(control)
        self._ready(self, control, answer)
        self._backoff.succeeded()

    def _refused(self, failure: Failure, control: ControlConnection) -> None:
        if failure.check(CertificateRenewed):
            self._backoff.succeeded()
        if not self._refusal and control.connected:
            self._refusal = failure.getErrorMessage()
            self._refusedBy = nameOf(failure)
            if failure.check(SiteTaken):
                self._refusal += " (trying again)"
        control.abort()

    def _lost(self, reason: Failure) -> None:
        dropped = self._control.problem if self._control is not None else ""
        self._control = None
        self.renewal.disconnected()
        if self._greeted is not None:
            self._greeted.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if not self.running:
            return
        delay = self._backoff.delay()
        what = "connection lost" if self.state.isAccepted else "not connected"
        name = self._refusedBy or nameOf(reason)
        self.state.lost(self._refusal or dropped or explain(reason), name)
        self.log.warn(
            "Proxy {host} port {port}: {what}: {reason}; dialling again in {delay:.2f} s",
            host=self.state.host,
            port=self.state.port,
            what=what,
            reason=self.state.problem,
            delay=delay,
        )
        self._timer = self._reactor.callLater(delay, self._connect)

    def renew(self, trust: Trust, methods: Sequence[Any], gateway: Gateway | None) -> bool:
        """
        The files have been read again; what they say is for the next connections.

        @param trust: as for L{ServedProxy}.
        @param methods: as for L{ServedProxy}.
        @param gateway: through what to dial.
        @return: whether our certificate is another, with which the proxy is dialled now, or as
            soon as it is dialled again.
        """
        self._trust = trust
        self._greeting.methods = methods
        self.wayOut.gateway = gateway
        former = self.renewal.credentials
        isOther = self.renewal.reread() != former
        if not isOther or self._control is None:
            self.renewal.look()
            return isOther
        self._refusal = "our certificate is another now"
        self._control.close()
        return True

    # -- the proxy calls ----------------------------------------------------

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        return {"sessions": self._news.take(self._reactor.seconds()) or None}

    @commands.Dismiss.responder
    def dismiss(self, reason: str) -> dict[str, Any]:
        self._refusal = reason[:500]
        return {}

    @commands.StartGAHP.responder
    def startGAHP(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        if not self.running:
            raise StartFailed("rvgahp-ce at the site is being stopped")
        return self.recorder.start(
            arguments, lambda: self.here.start(self._peer(), **arguments), self.sessions.get
        )

    @commands.RenewKey.responder
    def renewKey(self, **arguments: Any) -> dict[str, Any]:
        return self.here.renewKey(self._peer(), self.policy, **arguments)

    @commands.DialTunnel.responder
    def dialTunnel(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        return self.here.dialTunnel(**arguments)

    def _peer(self) -> str:
        """
        @return: the IP address of the proxy, which has just called.
        """
        assert self._control is not None
        self.state.address = str(self._control.transport.getPeer().host)
        return self.state.address

    @commands.Redial.responder
    def redial(self, session: str, stream: int, generation: int) -> dict[str, Any]:
        self.here.redial(session, stream, generation)
        return {}

    @commands.EndSession.responder
    def endSession(self, session: str, reason: str) -> dict[str, Any]:
        if session in self.sessions:
            self.sessions[session].clientGone(reason)
        return {}

    # -- sessions -----------------------------------------------------------

    def _openChannel(self, sessionId: str, stream: int) -> Deferred[bytes]:
        """
        Ask the proxy for a ticket.
        """
        if self._control is None or not self.state.isAccepted:
            return fail(ChannelLost("the site is not connected to the proxy"))
        asked = self._control.caller.call(commands.OpenChannel, session=sessionId, stream=stream)
        return asked.addCallback(lambda answer: answer["ticket"])

    def _over(self, session: GAHPSession, reason: str) -> None:
        self.recorder.ended(session, reason)
        if self.running:  # else that has been told
            self._tellEnd(session, reason)

    def _tellEnd(self, session: GAHPSession, reason: str) -> Deferred[Any]:
        if self._control is None or not session.started.called:
            return succeed(None)  # there is nobody to be told
        limit = limits.CALL_TIMEOUT if self.running else limits.CLOSE_TIMEOUT
        told = self._control.caller.call(commands.SessionEnded, limit, **lastWords(session, reason))
        return told.addErrback(self._notTold, session.sessionId)

    def _notTold(self, failure: Failure, sessionId: str) -> None:
        self.log.warn(
            "Session {session}: the proxy could not be told of its end: {reason}",
            session=sessionId,
            reason=failure.getErrorMessage(),
        )
