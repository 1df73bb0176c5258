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

from twisted.logger import Logger

from rvgahp import limits
from rvgahp.channeldialer import ChannelDialer
from rvgahp.errors import NotAuthorized, SessionGone, StartFailed
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.listener import Listener
from rvgahp.socketowner import checkOwner
from rvgahp.splice import Splice, breakOnClose
from rvgahp.transferpause import TransferPause

if TYPE_CHECKING:
    from rvgahp.gahpsession import GAHPSession


def openTunnelPort(number: int) -> socket.socket:
    """
    @param number: 0 lets the kernel choose.
    @return: a socket that listens, for this host alone.
    @raise StartFailed: it cannot be had.
    """
    try:
        return socket.create_server(("127.0.0.1", number), backlog=limits.TUNNELS)
    except (OSError, OverflowError) as e:
        problem = e.strerror if isinstance(e, OSError) else "there is no such port"
        what = f"port {number}, which its gridmanager knows" if number else "a port"
        raise StartFailed(f"the site cannot listen on {what}, for tunnels: {problem}") from None


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
        super().__init__(reactor, session.makeStream(), True, over)
        self._reactor = reactor
        self._isReachable = session.isReachable
        self._dialer = ChannelDialer(
            reactor,
            session.keys,
            self.carrier,
            session.way.dial,
            lambda: session.way.openChannel(session.sessionId, number),
            self._unreachable,
            names=(number, TUNNEL_STREAM),
        )
        self._timer = reactor.callLater(limits.TUNNEL_OPEN_TIMEOUT, self._late)
        self._problem = ""

    def start(self) -> None:
        """
        Dial the channel.
        """
        self._dialer.start()

    def _late(self) -> None:
        if not self._isReachable():
            # It is the submit host that cannot be reached, and the GAHP is stopped.
            self._timer = self._reactor.callLater(limits.TUNNEL_OPEN_TIMEOUT, self._late)
            return
        self.fail(
            f"no channel within {limits.TUNNEL_OPEN_TIMEOUT:g} s"
            + (f": {self._problem}" if self._problem else "")
        )

    def _unreachable(self, reason: str) -> None:
        """
        There will be no channel, or no more.
        """
        self.forgotten(reason)

    def channelOpened(self) -> None:
        self._dialer.opened()
        if self._timer.active():
            self._timer.cancel()
        super().channelOpened()

    def withoutChannel(self, reason: str) -> None:
        self._problem = reason
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
        self._owner = os.geteuid()
        self._last = 0
        self._tunnels: dict[int, CETunnel] = {}
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
        for tunnel in list(self._tunnels.values()):
            tunnel.close(reason)

    def _accepted(self, connection: socket.socket) -> None:
        try:
            checkOwner(connection, self._owner)
            if len(self._tunnels) >= limits.TUNNELS:
                raise NotAuthorized(f"it has {limits.TUNNELS} tunnels, and no more are allowed")
        except NotAuthorized as e:
            self.log.warn(
                "Session {session}: a connection to its tunnel port {port} is refused: {reason}",
                session=self._session.sessionId,
                port=self.number,
                reason=e,
            )
            breakOnClose(connection)
            connection.close()
            return
        self._last += 1
        number = self._last
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

    def _over(self, number: int, tunnel: CETunnel, reason: str) -> None:
        del self._tunnels[number]
        self.log.info(
            "Session {session}: tunnel {number}: over: {reason}; {sent} bytes to the submit host,"
            " {received} from it",
            session=self._session.sessionId,
            number=number,
            reason=reason or "in good order",
            sent=tunnel.sent,
            received=tunnel.received,
        )
