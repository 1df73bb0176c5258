# -*- test-case-name: tests.test_cetunnels -*-
"""
The CE's end of a session's tunnels: the port at the site that its GAHP connects to, and
a stream for each connection.  C{doc/protocol.rst}, step 13.

Layer 4: a reactor is passed in.  Whoever has a login at the site can connect to the port;
nothing is read from a connection that was not made by the GAHP's own account.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rvgahp import limits, tunnellimits
from rvgahp.channeldialer import ChannelDialer
from rvgahp.errors import Busy, NotAuthorized, SessionGone, StartFailed
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.listener import Listener
from rvgahp.refusals import Refusals
from rvgahp.socketowner import checkOwner
from rvgahp.splice import Splice, breakOnClose
from rvgahp.transferpause import TransferPause
from rvgahp.tunnelprobe import TunnelProbe

if TYPE_CHECKING:
    from rvgahp.gahpsession import GAHPSession


def openTunnelPort(number: int) -> socket.socket:
    """
    @param number: 0 lets the kernel choose.
    @return: a socket that listens, for this host alone.
    @raise StartFailed: it cannot be had.
    """
    problem = "there is no such port"
    if 0 <= number <= 65535:  # else create_server would forget a descriptor
        try:
            return socket.create_server(("127.0.0.1", number), backlog=tunnellimits.TUNNELS)
        except OSError as e:
            problem = os.strerror(e.errno or 0)
    what = f"port {number}, which its gridmanager knows" if number else "a port"
    raise StartFailed(f"the site cannot listen on {what}, for tunnels: {problem}")


class CETunnel(Splice):
    """
    One tunnel.
    """

    def __init__(
        self,
        reactor: Any,
        session: GAHPSession,
        number: int,
        over: Callable[[Any, str], object],
    ) -> None:
        lease = session.keys.present.lease + limits.SITE_LEASE_MORE
        super().__init__(reactor, session.makeStream(), True, over, lease)
        self._reactor = reactor
        self._isReachable = session.isReachable
        self._dialer = ChannelDialer(
            reactor,
            session.keys,
            self.carrier,
            session.way,
            lambda: session.way.openChannel(session.sessionId, number),
            self.forgotten,
            names=(number, TUNNEL_STREAM),
        )
        self._timed = reactor.seconds()  # its time begins
        self._wasAway = False
        self._timer = reactor.callLater(limits.PAUSE_POLL, self._look)

    def start(self) -> None:
        """
        Dial the channel.
        """
        self._dialer.start()

    def _look(self) -> None:
        """
        There is no channel yet.  While it is the submit host that cannot be reached, the GAHP
        is stopped, and has time; after that the next dial may be far, and is made now.
        """
        now = self._reactor.seconds()
        if not self._isReachable():
            self._timed, self._wasAway = now, True
        elif now - self._timed >= tunnellimits.OPEN_TIMEOUT:
            problem = self._dialer.problem or "no dial was answered"
            self.fail(f"no channel within {tunnellimits.OPEN_TIMEOUT:g} s: {problem}")
            return
        elif self._wasAway:
            self._dialer.redial(0)
        self._timer = self._reactor.callLater(limits.PAUSE_POLL, self._look)

    def channelOpened(self) -> None:
        self._dialer.opened()
        if self._timer.active():
            self._timer.cancel()
        super().channelOpened()

    def withoutChannel(self, reason: str) -> None:
        self._dialer.lost(reason)

    def redial(self, generation: int) -> None:
        """
        The client has lost its channel.
        """
        self._dialer.redial(generation)

    def _finish(self, reason: str) -> None:
        self._dialer.close()
        if self._timer.active():
            self._timer.cancel()
        super()._finish(reason)


class CETunnels:
    """
    The tunnels of one session.

    @ivar number: of the port.
    @ivar owner: the uid of the GAHP; until it is known, our own.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        port: socket.socket,
        session: GAHPSession,
    ) -> None:
        """
        @param port: listening; closed by L{close}.
        """
        self._reactor = reactor
        self._session = session
        self.owner = os.geteuid()
        self._last = 0
        self._received = self._sent = 0  # by tunnels that are over
        self._tunnels: dict[int, CETunnel] = {}
        self._refusals = Refusals(reactor, self._sayRefused)
        self._probe: TunnelProbe | None = None
        self._listener = Listener(reactor, port, self._accepted)
        self._pause = TransferPause(
            reactor,
            session.sessionId,
            lambda: [tunnel.carrier for tunnel in self._tunnels.values()],
            session.signal,
        )
        self.number: int = self._listener.address()[1]

    def __len__(self) -> int:
        return len(self._tunnels)

    def carried(self) -> tuple[int, int]:
        """
        @return: bytes that came from the submit host, and that were sent there, by all tunnels
            that there were.
        """
        present = self._tunnels.values()
        received = self._received + sum(tunnel.received for tunnel in present)
        return received, self._sent + sum(tunnel.sent for tunnel in present)

    def redial(self, number: int, generation: int) -> None:
        """
        The client has lost a tunnel's channel.

        @raise SessionGone: it is over.
        """
        if number not in self._tunnels:
            raise SessionGone(f"tunnel {number} of the session is over at the site")
        self._tunnels[number].redial(generation)

    def letGo(self) -> None:
        """
        The GAHP is to end: it must not be stopped.
        """
        self._pause.close()

    def close(self, reason: str) -> None:
        """
        The session is over.
        """
        self._listener.close()
        self.letGo()
        self._refusals.close()
        for tunnel in list(self._tunnels.values()):
            tunnel.close(reason)
        if self._probe is not None:
            self._probe.ended(reason)

    def probe(self, request: bytes) -> Deferred[dict[str, Any]]:
        """
        Connect to the port, as the GAHP would.

        @param request: what is sent then.
        @return: fires with the values of L{rvgahp.commands.DialTunnel}.
        @raise Busy: it is being done.
        @raise NotAuthorized: the request is too long.
        @raise StartFailed: there is no descriptor for it.
        """
        if self._probe is not None:
            raise Busy("a probe of this tunnel is under way, and there is one at a time")
        if len(request) > tunnellimits.PEEK_BYTES:
            raise NotAuthorized(
                f"a probe of a tunnel sends at most {tunnellimits.PEEK_BYTES} bytes"
            )
        try:
            self._probe = TunnelProbe(self._reactor, self.number, request)
        except OSError as e:
            raise StartFailed(f"rvgahp-ce at the site has no descriptors left: {e}") from None
        return self._probe.done.addCallback(self._probed)

    def _probed(self, result: dict[str, Any]) -> dict[str, Any]:
        self._probe = None
        return result

    def _accepted(self, connection: socket.socket, _: object) -> None:
        probe = self._probe
        if probe is not None and not probe.isFrom(connection):
            probe = None
        try:
            checkOwner(connection, self.owner if probe is None else os.geteuid())
            if len(self._tunnels) >= tunnellimits.TUNNELS:
                raise NotAuthorized(
                    f"it has {tunnellimits.TUNNELS} tunnels, and no more are allowed"
                )
        except NotAuthorized as e:
            self._refusals.refused(str(e))
            breakOnClose(connection)
            connection.close()
            if probe is not None:
                probe.ended(str(e))
            return
        self._last += 1
        number = self._last
        if probe is not None:
            probe.tunnel = number
        tunnel = CETunnel(
            self._reactor,
            self._session,
            number,
            lambda tunnel, reason: self._over(number, tunnel, reason),
        )
        self._tunnels[number] = tunnel
        self._pause.watch()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tunnel.splice(connection)
        tunnel.start()

    def _sayRefused(self, reason: str, count: int) -> None:
        self.log.warn(
            "Session {session}: {what} to its tunnel port {port} refused: {reason}",
            session=self._session.sessionId,
            what="a connection" if count == 1 else f"{count} more connections",
            port=self.number,
            reason=reason,
        )

    def _over(self, number: int, tunnel: CETunnel, reason: str) -> None:
        del self._tunnels[number]
        self._received += tunnel.received
        self._sent += tunnel.sent
        if self._probe is not None and self._probe.tunnel == number:
            self._probe.ended(reason)
        self.log.info(
            "Session {session}: tunnel {number}: over: {reason}; {sent} bytes to the submit host,"
            " {received} from it",
            session=self._session.sessionId,
            number=number,
            reason=reason or "in good order",
            sent=tunnel.sent,
            received=tunnel.received,
        )
