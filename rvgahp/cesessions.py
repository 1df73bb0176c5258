# -*- test-case-name: tests.test_ce -*-
"""
What runs at the site for one proxy: GAHPs are started here when it asks for them.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp.accessrules import START
from rvgahp.cetunnels import CETunnels, openTunnelPort
from rvgahp.errors import NotAuthorized, RvgahpError, SessionGone, StartFailed
from rvgahp.gahprequest import GAHPRequest
from rvgahp.gahprunner import GAHPRunner
from rvgahp.gahpsession import GAHPSession
from rvgahp.logrecord import BoundLogger
from rvgahp.occupancy import Occupancy
from rvgahp.policy import Outcome, Policy
from rvgahp.protection import checkAgreed, checkRenewal, checkStart
from rvgahp.session import SecuritySession
from rvgahp.settings import Settings
from rvgahp.way import Way
from rvgahp.waysettings import placeIn


class CESessions:
    """
    The sessions that one proxy has at a CE.  Another's are not in here, whatever their ids.

    @ivar running: by id.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        site: str,
        runner: GAHPRunner,
        way: Way,
        over: Callable[[GAHPSession, str], object],
    ) -> None:
        """
        @param settings: the CE's, with what is this proxy's own.
        @param site: the CE's name there.
        @param runner: runs GAHPs for all proxies; it is told of us.
        @param way: to the proxy.
        @param over: called with a session that has ended, and why.
        """
        self._reactor = reactor
        self._settings = settings
        self._site = site
        self._proxy = placeIn(settings)
        self._runner = runner
        self._way = way
        self._over = over
        self._isStopping = False
        self.running: Occupancy[GAHPSession] = Occupancy(lambda session: (session.request.owner,))
        runner.serve(self.running)

    def refuseStarts(self) -> None:
        """
        Those that are being started are not to be.
        """
        self._isStopping = True
        for session in list(self.running.values()):
            if not session.started.called:
                session.kill()

    def close(self) -> None:
        """
        End all.
        """
        for session in list(self.running.values()):
            session.kill()

    def start(self, peer: str, **asked: Any) -> Deferred[dict[str, Any]]:
        """
        The proxy asks for a GAHP.

        @param peer: its IP address.
        @param asked: the arguments of L{rvgahp.commands.StartGAHP}.
        @return: fires with the answer; fails with the command's errors.
        """
        names = {name: asked[name] for name in ("session", "owner", "gahp", "account")}
        log = BoundLogger(self.log, **names, site=self._site, proxy=self._proxy)
        started = maybeDeferred(self._startIfAllowed, log, peer, asked)
        return started.addErrback(self._notStarted, log)

    def _startIfAllowed(
        self, log: Logger, peer: str, asked: dict[str, Any]
    ) -> Deferred[dict[str, Any]]:
        account = self._runner.accounts.accountFor(asked["owner"], asked["account"], self._site)
        allowed = self.checkStart(asked["owner"], asked["gahp"], account, peer, log)
        return allowed.addCallback(lambda rule: self._start(rule, account, peer, **asked))

    def checkStart(
        self, owner: str, gahp: str, account: str, peer: str, log: Logger | None = None
    ) -> Deferred[str]:
        """
        See that the proxy may start this.

        @param peer: its IP address.
        @return: fires with the rule that lets it; fails with L{NotAuthorized}.
        """
        # What TLS has proved counts as well as what the resolver says of an address.
        host: str = self._settings.get("RVGAHP_BROKER_HOST")
        things = {"gahp": gahp, "account": account}
        access = self._runner.access
        return access.checkPeer(START, owner, peer, things, log=log, proven=host)

    @staticmethod
    def _notStarted(failure: Failure, log: Logger) -> Failure:
        log.warn("Session {session}: not started: {reason}", reason=failure.getErrorMessage())
        return failure

    def _start(
        self,
        rule: str,
        runsAs: str,
        peer: str,
        session: str,
        key: bytes,
        keyNumber: int,
        gahp: str,
        account: str,
        tunnel: bool,
        tunnelPort: int,
        owner: str,
        serverPolicy: str,
        outcome: str,
        method: str,
        duration: int,
        lease: int,
        commands: list[str],
        tickets: list[bytes],
    ) -> Deferred[dict[str, Any]]:
        """
        The owner may.

        @param rule: by which.
        @param runsAs: the account of the GAHP.
        """
        if self._isStopping:
            raise StartFailed("rvgahp-ce at the site is being stopped")
        self._runner.drains.check(self._site, "the site's administrator")
        command = self._runner.gahps.find(gahp)
        server = Policy.decode(serverPolicy)
        agreed = SecuritySession(
            session, key, server, self._settings.policy, duration, lease, keyNumber
        )
        checkAgreed(agreed, outcome, method)
        checkStart(self._settings, agreed.outcome, peer, gahp, command.requiresEncryption)
        if session in self.running:
            raise StartFailed(f"session {session} runs already")
        if tunnel and not ("tunnel" in commands and agreed.outcome is Outcome.ENCRYPT):
            raise NotAuthorized("a tunnel needs encrypted channels and the proxy's leave")
        self._runner.checkLimits(owner, self._site, self._settings, self.running)
        self.log.info(
            "Session {session}: starting {gahp} for {owner} as {account}, allowed by {rule}",
            session=session,
            gahp=gahp,
            owner=owner,
            account=runsAs,
            rule=rule,
        )
        port = openTunnelPort(tunnelPort) if tunnel else None
        try:
            started = GAHPSession(
                self._reactor,
                GAHPRequest(owner, gahp, account, runsAs, rule, self._site, self._proxy),
                agreed,
                self._settings,
                self._runner.budget,
                self._runner.launcher,
                self._way,
                tickets,
                self._ended,
            )
        except OSError as e:
            if port is not None:
                port.close()
            raise StartFailed(f"rvgahp-ce at the site has no descriptors left: {e}") from None
        number = 0
        if port is not None:
            started.tunnels = CETunnels(self._reactor, port, started)
            number = started.tunnels.number
        self.running[session] = started
        started.start(command, self._runner.surroundings(gahp, runsAs))
        return started.started.addCallback(lambda _: {"tunnelPort": number})

    def redial(self, session: str, stream: int, generation: int) -> None:
        """
        A client has lost a channel.

        @raise SessionGone: there is no such session, or no such stream of it.
        """
        running = self.running.get(session)
        if running is None:
            raise SessionGone(f"session {session} is over at the site")
        if not stream:
            running.redial(generation)
        elif running.tunnels is None:
            raise SessionGone(f"session {session} has no tunnels at the site")
        else:
            running.tunnels.redial(stream, generation)

    def listed(self) -> list[dict[str, Any]]:
        """
        @return: what the proxy needs to know of each, for L{rvgahp.commands.Sessions}.  The
            claim keys are B{secret} from all others.
        """
        now = self._reactor.seconds()
        return [
            {
                "session": sessionId,
                "claim": session.keys.claimKey,
                "owner": session.request.owner,
                "gahp": session.request.gahp,
                "tunnel": session.tunnels is not None,
                "keyNumber": session.keys.present.keyNumber,
                "left": int(session.keys.left(now)),
                "outcome": session.keys.present.outcome.value,
                "method": session.keys.present.method,
                "account": session.request.account,
            }
            for sessionId, session in self.running.items()
        ]

    def renewKey(
        self,
        peer: str,
        server: Policy,
        session: str,
        key: bytes,
        keyNumber: int,
        duration: int,
    ) -> dict[str, Any]:
        """
        The proxy sends a session's next key.

        @param peer: its IP address.
        @param server: its policy, as it said last.
        """
        running = self.running.get(session)
        if running is None:
            raise SessionGone("no such session runs at the site")
        keys, ours = running.keys, self._settings
        try:
            checkRenewal(ours, keys.present, server, ours.policy, peer)
            keys.renew(key, keyNumber, duration, self._reactor.seconds())
        except RvgahpError as e:
            running.log.warn("Session {session}: its key is not renewed: {reason}", reason=e)
            raise
        running.log.info("Session {session}: has key {keyNumber}", keyNumber=keyNumber)
        return {}

    def dialTunnel(self, session: str, request: bytes) -> Deferred[dict[str, Any]]:
        """
        The proxy asks for a connection to a session's tunnel port.

        @return: fires with the answer to L{rvgahp.commands.DialTunnel}.
        @raise RvgahpError: as of L{CETunnels.probe}, or there is no such port.
        """
        running = self.running.get(session)
        if running is None:
            raise SessionGone("no such session runs at the site")
        if running.tunnels is None:
            raise NotAuthorized("this session has no tunnel")
        return running.tunnels.probe(request)

    def _ended(self, session: GAHPSession, reason: str) -> None:
        del self.running[session.sessionId]
        session.log.info("Session {session}: over: {reason}", reason=reason or "in good order")
        self._over(session, reason)
