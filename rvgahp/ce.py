# -*- test-case-name: tests.test_ce -*-
"""
The CE: dials the proxy, keeps the control connection up, and starts GAHPs.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, limits
from rvgahp.access import Access
from rvgahp.auditlog import AuditLog
from rvgahp.authentication import contextOf
from rvgahp.backoff import Backoff
from rvgahp.ceaudit import CEAudit
from rvgahp.cegreeting import CertificateRenewed, Greeting
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.cesessions import CESessions
from rvgahp.control import ControlConnection, Responders
from rvgahp.controldial import dialControl
from rvgahp.counts import Counts
from rvgahp.errors import ChannelLost, CredentialError, SiteTaken, StartFailed
from rvgahp.gahpsession import STOPPED, GAHPSession
from rvgahp.gahptable import GAHPTable
from rvgahp.policy import Policy
from rvgahp.proxystate import ProxyState
from rvgahp.separation import Separation
from rvgahp.sessionnews import SessionNews, lastWords
from rvgahp.settings import Settings
from rvgahp.tcpdial import dialTCP
from rvgahp.tls import explain, nameOf
from rvgahp.trust import Trust
from rvgahp.way import Way
from rvgahp.wayout import Gateway, Target
from rvgahp.waysettings import wayOutOf


class CE(Service, Responders):
    """
    One CE and one proxy.

    @ivar sessions: that, by session id.
    @ivar audit: the audit log; who runs us opens it.
    @ivar recorder: of sessions.
    @ivar counts: of all that comes and goes.
    @ivar here: what runs here, and may.
    @ivar proxy: how we stand with it; C{proxyPolicy}: its security policy.
    @ivar way: how channels reach it.
    @ivar wayOut: how that and control connections do.
    @ivar renewal: of our certificate.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        site: str,
        gahps: GAHPTable,
        renewal: CertificateRenewal,
        trust: Trust,
        methods: Sequence[Any],
        descriptors: int,
        ready: Callable[[ControlConnection, dict[str, Any]], object],
        access: Access,
        separation: Separation | None = None,
    ) -> None:
        """
        @param site: our name, as in our certificate.
        @param renewal: of our certificate.
        @param trust: whose word counts, beside our credentials' authorities.
        @param methods: of authentication, the best first.
        @param descriptors: the soft RLIMIT_NOFILE of GAHPs; 0 leaves ours.
        @param ready: called when the proxy has accepted us and takes requests for
            this site, with the connection and the answer to Hello.
        @param access: who may start what.
        @param separation: of a CE that root has started.
        """
        self._reactor = reactor
        self._settings = settings
        self._site = site
        self._host: str = settings.get("RVGAHP_BROKER_HOST")
        self.counts = Counts()
        self.wayOut = wayOutOf(settings)
        self.proxy = ProxyState(self.wayOut, self.counts)
        self._gahps = gahps
        self.renewal = renewal
        self._trust = trust
        self._greeted: Deferred[Any] | None = None
        self._ready = ready
        self.way = Way(
            lambda: dialTCP(reactor, self.wayOut).addCallback(lambda found: found[1]),
            self._openChannel,
            lambda: self.proxy.isAccepted and self._control is not None,
        )
        self.here = CESessions(
            reactor,
            settings,
            site,
            gahps,
            descriptors,
            self.way,
            self._over,
            access,
            separation,
        )
        self.sessions = self.here.running
        self._news = SessionNews(self.sessions)
        self._greeting = Greeting(settings, site, gahps, methods, renewal, self.here)
        self.audit = AuditLog(reactor, lambda: self._settings.get("RVGAHP_AUDIT_LOG"))
        self.recorder = CEAudit(reactor, self.audit, site, self.counts)
        self._backoff = Backoff(SystemRandom())
        self._control: ControlConnection | None = None
        self._refusal = self._refusedBy = ""
        self._timer: Any = None
        self._connecting: Deferred[Any] | None = None
        self.proxyPolicy: Policy = settings.policy  # until it says its own

    # -- service ------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        @raise OSError: there can be no launcher.
        @raise rvgahp.errors.ConfigurationError: we cannot let go of root.
        """
        super().privilegedStartService()
        self.here.separate()

    def startService(self) -> None:
        super().startService()
        self.here.open()
        self._connect()

    def stopService(self) -> Deferred[None]:
        """
        End everything.  The proxy is told first, so that each client hears why before its
        channel closes.

        @return: fires when no process of ours is left.
        """
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self.here.refuseStarts()
        told = [self._tellEnd(session, STOPPED) for session in self.sessions.values()]
        over = DeferredList(told).addCallback(lambda _: self._endAll())
        # Not while the proxy's last answer is read: the reactor may end with this.
        over.addCallback(lambda _: deferLater(self._reactor, 0))
        return over.addCallback(lambda _: self.audit.close())

    def _endAll(self) -> Deferred[None]:
        ended = self.here.close()
        if self._control is not None:
            self._control.close()
        return ended

    # -- the control connection ---------------------------------------------

    def _connect(self) -> None:
        self._refusal = self._refusedBy = ""
        self.proxy.dials()
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
        self.proxy.dialled(target)

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
        self.proxy.accepted(answer["software"])
        self.proxyPolicy = Policy.decode(answer["policy"])
        self._timer.cancel()
        self.log.info(
            "Accepted by the proxy at {peer} ({software}) as site {site}",
            peer=self.proxy.where(control.peer),
            software=answer["software"],
            site=self._site,
        )
        self.renewal.connected(control)
        self._ready(control, answer)
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
        what = "connection lost" if self.proxy.isAccepted else "not connected"
        name = self._refusedBy or nameOf(reason)
        self.proxy.lost(self._refusal or dropped or explain(reason), name)
        self.log.warn(
            "Proxy {host} port {port}: {what}: {reason}; dialling again in {delay:.2f} s",
            host=self.proxy.host,
            port=self.proxy.port,
            what=what,
            reason=self.proxy.problem,
            delay=delay,
        )
        self._timer = self._reactor.callLater(delay, self._connect)

    def renew(self, trust: Trust, methods: Sequence[Any], gateway: Gateway | None) -> bool:
        """
        The files have been read again; what they say is for the next connections.

        @param trust: as for L{CE}.
        @param methods: as for L{CE}.
        @param gateway: through what to dial.
        @return: whether our certificate is another, with which the proxy is dialled now.
        """
        self._trust = trust
        self._greeting.methods = methods
        self.wayOut.gateway = gateway
        former = self.renewal.credentials
        if self.renewal.reread() == former or self._control is None:
            self.renewal.look()
            return False
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
        return self.here.renewKey(self._peer(), self.proxyPolicy, **arguments)

    @commands.DialTunnel.responder
    def dialTunnel(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        return self.here.dialTunnel(**arguments)

    def _peer(self) -> str:
        """
        @return: the IP address of the proxy, which has just called.
        """
        assert self._control is not None
        self.proxy.address = str(self._control.transport.getPeer().host)
        return self.proxy.address

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
        if self._control is None or not self.proxy.isAccepted:
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
