# -*- test-case-name: tests.test_proxysession -*-
"""
One session as the proxy sees it: which client is introduced to which site, and the
channels that wait to be handed over.  C{doc/protocol.rst}, steps 6, 11 and 12.

Layer 4.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, limits, localcommands, tunnellimits
from rvgahp.errors import Busy, NoSuchSite, NotAuthorized, RvgahpError
from rvgahp.history import LARGEST
from rvgahp.logrecord import BoundLogger
from rvgahp.renewal import Renewal
from rvgahp.session import SecuritySession

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection
    from rvgahp.proxy import Proxy
    from rvgahp.proxyaccess import Grant

#: Channels of one session that wait for their client, at the most: that of its GAHP and
#: those of its tunnels.  Each takes a descriptor, and a client that reads takes one in
#: milliseconds.
MOST_WAITING = tunnellimits.TUNNELS + 1


class ProxySession:
    """
    One session as the proxy sees it, from StartGAHP to the client's end.

    @ivar session: it, with the last key that its CE is known to have.
    @ivar log: what it writes is of this session, and says so.
    @ivar renewal: of this key.
    @ivar grant: by which its client has it.
    @ivar hasTunnels: whether its client serves tunnels.
    @ivar isProbed: whether its CE is at a probe of them.
    @ivar since: when it was asked for, or claimed, in seconds since 1970.
    @ivar isIntroduced: its client has the site's answer.
    @ivar news: what its CE has told of it last, as in the answer to L{commands.Ping}; nothing
        before that.
    @ivar newsCame: when that was, by the reactor's clock.
    """

    log = Logger()

    def __init__(
        self,
        proxy: Proxy,
        session: SecuritySession,
        site: str,
        client: LocalConnection,
        grant: Grant,
        hasTunnels: bool = False,
        isRenewable: bool = True,
    ) -> None:
        """
        @param isRenewable: whether its key is to be renewed.
        """
        self._proxy = proxy
        self.hasTunnels = hasTunnels
        self._isRenewable = isRenewable
        self.isProbed = self.isIntroduced = False
        self.since = time.time()
        self.news: dict[str, Any] = {}
        self.newsCame = 0.0
        self.session = session
        self.site = site
        self.client = client
        self.grant = grant
        self.log = BoundLogger(
            self.log,
            session=session.sessionId,
            site=site,
            user=client.user.name,
            owner=grant.owner,
            gahp=grant.gahp,
            account=grant.account,
        )
        self.renewal = Renewal(proxy, self)
        # Seconds, at the most, until the client has the keys that the CE may dial with.
        self._awaited: float = proxy.startTimeout
        self._busy = False
        self._over = False
        self._redials = 0  # of which the CE has still to answer
        self._waiting: dict[int, tuple[socket.socket, Any]] = {}

    @property
    def sessionId(self) -> str:
        """
        The session's id.
        """
        return self.session.sessionId

    @property
    def owner(self) -> str:
        """
        The canonical name of the user for whom it was made.
        """
        return self.grant.owner

    @property
    def rule(self) -> str:
        """
        The rule that lets him have it.
        """
        return self.grant.rule

    def heard(self, news: dict[str, Any]) -> None:
        """
        Its CE has told of it.  A number that can be none is the nearest that can.
        """
        former = self.news
        self.news = {
            name: min(max(0, value), LARGEST) if isinstance(value, int) else value
            for name, value in news.items()
        }
        self._proxy.watch.heard(self.sessionId, former, self.news)
        self.newsCame = self._proxy.reactor.seconds()

    # -- channels -----------------------------------------------------------

    def channelArrived(self, stream: int, connection: socket.socket) -> None:
        """
        The CE dialled a channel.
        """
        self._forget(stream)
        if len(self._waiting) >= MOST_WAITING:
            self._forget(next(iter(self._waiting)))
        if not (self._awaited or self._busy):
            self._hand(stream, connection)
            return
        patience = limits.HANDOVER_TIMEOUT + self._awaited
        timer = self._proxy.reactor.callLater(patience, self._forget, stream)
        self._waiting[stream] = connection, timer

    def introduced(self) -> None:
        """
        The client has its answer.
        """
        self.isIntroduced = True
        if not self._over:
            if self._isRenewable:
                self.renewal.start()
            self.release()

    def redial(self, stream: int, generation: int) -> Deferred[dict[str, Any]]:
        """
        The client has lost a channel.

        @return: fires when the CE knows; fails with errors of L{commands.Redial}.
        @raise NoSuchSite: the CE is not there.
        @raise Busy: so much is asked of it already.
        """
        site = self._proxy.sites.get(self.site)
        if site is None or not site.isReady:
            raise NoSuchSite(f"site {self.site} is not connected to the proxy")
        if self._redials >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} streams of session {self.sessionId} are being redialled")
        self._redials += 1
        asked = site.control.caller.call(
            commands.Redial, session=self.sessionId, stream=stream, generation=generation
        )
        return asked.addBoth(self._redialled)

    def _redialled(self, result: Any) -> Any:
        self._redials -= 1
        if isinstance(result, Failure) and not result.check(RvgahpError):
            raise NoSuchSite(f"site {self.site} gave no answer ({result.getErrorMessage()})")
        return result

    def hold(self, seconds: float) -> None:
        """
        The CE is given a key that the client has not: no channel is handed over before
        L{release}.

        @param seconds: until then, at the most.
        """
        self._awaited = seconds

    def release(self) -> None:
        """
        The client has been sent all that it must have first.
        """
        self._awaited = 0.0
        self._next()

    def _hand(self, stream: int, connection: socket.socket) -> None:
        self._busy = True
        lease = self.session.lease
        taken = self.client.handOver(self.sessionId, stream, connection, lease)
        late = self._proxy.reactor.callLater(limits.SILENCE_LIMIT, self._notRead)
        taken.addCallbacks(self._taken, self._notTaken, (late,), errbackArgs=(late,))

    def _taken(self, _: object, late: Any) -> None:
        if late.active():
            late.cancel()
        self._busy = False
        self._next()

    def _notRead(self) -> None:
        """
        It gets no second descriptor before it has taken the first.
        """
        self.log.warn("Session {session}: its client does not read")

    def _notTaken(self, _: Failure, late: Any) -> None:
        """
        The client is gone, or as good as gone.
        """
        if late.active():
            late.cancel()

    def _next(self) -> None:
        if self._waiting and not (self._awaited or self._busy):
            stream = next(iter(self._waiting))
            connection, timer = self._waiting.pop(stream)
            timer.cancel()
            self._hand(stream, connection)

    def _forget(self, stream: int) -> None:
        if stream in self._waiting:
            connection, timer = self._waiting.pop(stream)
            connection.close()
            if timer.active():
                timer.cancel()

    # -- the end ------------------------------------------------------------

    def clientGone(self) -> None:
        """
        The client's connection has ended.
        """
        if not self._over:
            self.close()
            self._proxy.endAtSite(self.site, self.sessionId)

    def lost(self, reason: str) -> None:
        """
        The CE has ended the session, or it was withdrawn.
        """
        self.close()
        told = self.client.caller.call
        told(localcommands.SessionLost, session=self.sessionId, reason=reason)

    def allowed(self) -> bool:
        """
        Ask the rules again.  If they do not let the user have the session any more it is ended,
        and both sides are told.

        @return: whether they do.
        """
        _, _, gahp, account = self.grant
        try:
            self.grant = self._proxy.access.grant(self.client.user, self.site, gahp, account)
        except NotAuthorized as e:
            self.log.warn("Session {session}: withdrawn: {reason}", reason=e)
            self.lost(str(e))
            self._proxy.endAtSite(self.site, self.sessionId, str(e))
            return False
        return True

    def close(self) -> None:
        """
        No more channels.
        """
        self._over = True
        self.renewal.close()
        self._proxy.sessions.pop(self.sessionId, None)
        for stream in list(self._waiting):
            self._forget(stream)
