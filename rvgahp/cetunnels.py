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

from rvgahp import limits
from rvgahp.channeldialer import ChannelDialer
from rvgahp.errors import Busy, NotAuthorized, StartFailed
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.listener import Listener
from rvgahp.refusals import Refusals
from rvgahp.socketowner import checkOwner
from rvgahp.splice import Splice, breakOnClose
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
            return socket.create_server(("127.0.0.1", number), backlog=limits.TUNNELS)
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
        dial: Callable[[], Deferred[socket.socket]],
        openChannel: Callable[[], Deferred[bytes]],
        over: Callable[[Any, str], object],
    ) -> None:
        super().__init__(reactor, session.makeStream(), True, over)
        self._dialer = ChannelDialer(
            reactor,
            session.keys,
            self.carrier,
            dial,
            [],
            self.fail,
            (number, TUNNEL_STREAM),
            openChannel,
        )
        self._timer = reactor.callLater(limits.TUNNEL_OPEN_TIMEOUT, self._late)

    def start(self) -> None:
        """
        Dial the channel.
        """
        self._dialer.start()

    def _late(self) -> None:
        problem = self._dialer.problem or "no dial was answered"
        self.fail(f"no channel within {limits.TUNNEL_OPEN_TIMEOUT:g} s: {problem}")

    def channelOpened(self) -> None:
        self._dialer.close()
        if self._timer.active():
            self._timer.cancel()
        super().channelOpened()

    def channelLost(self, reason: str) -> None:
        if self.carrier.generation:
            super().channelLost(reason)
        else:
            self._dialer.again(reason)

    def _finish(self, reason: str) -> None:
        self._dialer.close()
        if self._timer.active():
            self._timer.cancel()
        super()._finish(reason)


class CETunnels:
    """
    The tunnels of one session.

    @ivar number: of the port.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        port: socket.socket,
        session: GAHPSession,
        dial: Callable[[], Deferred[socket.socket]],
        openChannel: Callable[[str, int], Deferred[bytes]],
    ) -> None:
        """
        @param port: listening; closed by L{close}.
        @param openChannel: asks the proxy for a ticket, by session and stream.
        """
        self._reactor = reactor
        self._session = session
        self._dial = dial
        self._openChannel = openChannel
        self._owner = os.geteuid()
        self._last = 0
        self._tunnels: dict[int, CETunnel] = {}
        self._refusals = Refusals(reactor, self._sayRefused)
        self._probe: TunnelProbe | None = None
        self._listener = Listener(reactor, port, self._accepted)
        self.number: int = self._listener.address()[1]

    def __len__(self) -> int:
        return len(self._tunnels)

    def close(self, reason: str) -> None:
        """
        The session is over.
        """
        self._listener.close()
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
        if len(request) > limits.PEEK_BYTES:
            raise NotAuthorized(f"a probe of a tunnel sends at most {limits.PEEK_BYTES} bytes")
        try:
            self._probe = TunnelProbe(self._reactor, self.number, request)
        except OSError as e:
            raise StartFailed(f"rvgahp-ce at the site has no descriptors left: {e}") from None
        return self._probe.done.addCallback(self._probed)

    def _probed(self, result: dict[str, Any]) -> dict[str, Any]:
        self._probe = None
        return result

    def _accepted(self, connection: socket.socket) -> None:
        probe = self._probe
        if probe is not None and not probe.isFrom(connection):
            probe = None
        try:
            checkOwner(connection, self._owner)
            if len(self._tunnels) >= limits.TUNNELS:
                raise NotAuthorized(f"it has {limits.TUNNELS} tunnels, and no more are allowed")
        except NotAuthorized as e:
            self._refusals.refused(str(e))
            breakOnClose(connection)
            connection.close()
            if probe is not None:
                probe.ended(str(e))
            return
        self._last += 1
        number, sessionId = self._last, self._session.sessionId
        if probe is not None:
            probe.tunnel = number
        tunnel = CETunnel(
            self._reactor,
            self._session,
            number,
            self._dial,
            lambda: self._openChannel(sessionId, number),
            lambda tunnel, reason: self._over(number, tunnel, reason),
        )
        self._tunnels[number] = tunnel
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
