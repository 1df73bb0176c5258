# -*- test-case-name: tests.test_clienttunnels -*-
"""
The client's end of a session's tunnels: each is a connection that the GAHP at the site
has made, and goes on to the gridmanager.  C{doc/protocol.rst}, step 13.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.  Here is what guards
the gridmanager's port: where it is says our own environment, and nothing goes there
before its first message is what a GAHP has to say.
"""

from __future__ import annotations

from collections import deque

from rvgahp import limits, tunnellimits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel
from rvgahp.errors import RvgahpError
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.splice import Splice
from rvgahp.stream import Stream
from rvgahp.tcpconnect import TCPConnect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from rvgahp.cedarpeek import Guard
    from rvgahp.forward import Forward
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller
    from rvgahp.session import SessionKeys


#: No stream is of this kind: a channel for one is refused.
NO_KIND = 255


class ClientTunnel(Splice):
    """
    One tunnel.
    """

    def __init__(
        self,
        loop: Poller,
        stream: Stream,
        forward: Forward,
        over: Callable[[Any, str], object],
        channelLost: Callable[[], object],
        lease: float,
    ) -> None:
        """
        @param channelLost: called when it waits for another channel.
        @param lease: seconds for which it does.
        """
        super().__init__(loop, stream, False, over, lease)
        self._channelLost = channelLost
        self._forward = forward
        self._guard = forward.guard()
        # Until there is a connection.  In one piece: many small frames would take many times
        # their bytes.
        self._held = bytearray()
        self._heldCost = 0
        self._connecting: TCPConnect | None = None
        self._timer: Any = None

    # -- from the stream ----------------------------------------------------

    def channelOpened(self) -> None:
        super().channelOpened()
        isFirst = self._timer is None
        self._awaitMessage()
        if self._guard is None and isFirst:
            self._connect()

    def _awaitMessage(self) -> None:
        """
        Its first message has so long from now on: what a broken channel took does not
        count.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._loop.callLater(tunnellimits.PEEK_TIMEOUT, self._late)

    def withoutChannel(self, reason: str) -> None:
        if self.carrier.generation:
            self._channelLost()
            return
        if not self.carrier.handshakes():
            self._finish(reason)

    def _put(self, frame: Frame) -> None:
        if self._connection is not None or self._failure:
            super()._put(frame)
            return
        self._held += frame.payload
        self._heldCost += frame.cost
        if self._guard is not None and self._connecting is None:
            self._peek(self._guard, bytes(frame.payload))

    def _peek(self, guard: Guard, data: bytes) -> None:
        try:
            isComplete = guard.received(data) is not None
        except RvgahpError as e:
            self.fail(f"refused: {e}")
            return
        if isComplete:
            self._connect()

    def _endIncoming(self) -> None:
        if self._connecting is None and self._connection is None:
            self.fail("refused: it ended before its first message was complete")
        super()._endIncoming()

    def _late(self) -> None:
        if self._connecting is not None or self._connection is not None:
            return
        silent = self._loop.seconds() - self.carrier.lastHeard
        if silent > limits.PING_INTERVAL + 1 or not self.carrier.isConnected():
            self._awaitMessage()
        else:
            self.fail(
                f"refused: its first message was not complete after {tunnellimits.PEEK_TIMEOUT:g} s"
            )

    # -- to the gridmanager -------------------------------------------------

    def _connect(self) -> None:
        forward = self._forward
        try:
            self._connecting = TCPConnect(
                self._loop,
                forward.host,
                forward.port,
                limits.DIAL_TIMEOUT,
                self._connected,
                self._notConnected,
            )
        except OSError as e:
            self._notConnected(e.strerror or str(e))

    def _connected(self, connection: socket.socket) -> None:
        self.splice(connection)
        if self._connection is None:
            return
        if self._heldCost:
            held, self._held = self._held, bytearray()
            self._connection.put(held, self._heldCost)
        if self._peerEnded:
            self._connection.endWriting()

    def _notConnected(self, problem: str) -> None:
        forward = self._forward
        self.fail(
            f"the gridmanager's port, {forward.host} port {forward.port}, could not be reached:"
            f" {problem}"
        )

    def _finish(self, reason: str) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.close()
        self._held.clear()
        super()._finish(reason)


class Farewell:
    """
    Tells a CE, which has dialled once more, that the tunnel is over.
    """

    def __init__(
        self,
        loop: Poller,
        keys: SessionKeys,
        number: int,
        connection: socket.socket,
        over: Callable[[Farewell], object],
    ) -> None:
        """
        @param over: called when it has been told, or cannot be.
        """
        self._over = over
        self._carrier = Carrier(loop, Stream(0, Budget(0)), self)
        AnsweringChannel(loop, connection, self._carrier, keys, number, NO_KIND, 0)

    def close(self) -> None:
        """
        Say no more.
        """
        self._carrier.close()
        self._over(self)

    def channelOpened(self) -> None:
        self.close()  # cannot be: there is no such kind

    def framesReceived(self, frames: list[Frame]) -> None:
        self.close()

    def roomMade(self) -> None:
        pass

    def channelLost(self, reason: str) -> None:
        self.close()

    def peerSilent(self, seconds: float) -> None:
        self.close()


class Tunnels:
    """
    All tunnels of one session.
    """

    def __init__(
        self,
        loop: Poller,
        keys: SessionKeys,
        forward: Forward,
        makeStream: Callable[[], Stream],
        say: Callable[[str], object],
        channelLost: Callable[[], object],
    ) -> None:
        """
        @param makeStream: makes our end of one more stream.
        @param say: tells people of what went wrong.
        @param channelLost: called when one waits for another channel.
        """
        self._loop = loop
        self._keys = keys
        self._forward = forward
        self._makeStream = makeStream
        self._say = say
        self._channelLost = channelLost
        self._tunnels: dict[int, ClientTunnel] = {}
        self._ended: deque[int] = deque(maxlen=tunnellimits.ENDED_TUNNELS)
        self._farewells: set[Farewell] = set()

    def __len__(self) -> int:
        return len(self._tunnels)

    def channelHanded(self, number: int, connection: socket.socket) -> None:
        """
        The proxy passed us a connection that the CE dialled for stream C{number}.
        """
        tunnel = self._tunnels.get(number)
        if tunnel is None:
            if number in self._ended:
                self._refuse(number, connection)
                return
            if len(self._tunnels) >= tunnellimits.TUNNELS:
                connection.close()
                return
            tunnel = ClientTunnel(
                self._loop,
                self._makeStream(),
                self._forward,
                lambda tunnel, reason: self._over(number, tunnel, reason),
                self._channelLost,
                self._keys.present.lease,
            )
            self._tunnels[number] = tunnel
        elif not tunnel.carrier.takesAnother():
            connection.close()
            return
        AnsweringChannel(
            self._loop,
            connection,
            tunnel.carrier,
            self._keys,
            number,
            TUNNEL_STREAM,
            tunnel.carrier.generation,
        )

    def _refuse(self, number: int, connection: socket.socket) -> None:
        """
        Say that this one has ended, to a CE that has not heard it.  One that asks more and
        says nothing gets no answer.
        """
        if len(self._farewells) >= tunnellimits.TUNNELS:
            connection.close()
            return
        farewells = self._farewells
        farewells.add(Farewell(self._loop, self._keys, number, connection, farewells.discard))

    def broken(self) -> list[tuple[int, int]]:
        """
        @return: numbers and last generations of those that wait for another channel.
        """
        return [
            (number, tunnel.carrier.generation)
            for number, tunnel in self._tunnels.items()
            if tunnel.carrier.generation and not tunnel.carrier.isConnected()
        ]

    def forgotten(self, number: int, reason: str) -> None:
        """
        The site says that a tunnel is over there.
        """
        if number in self._tunnels:
            self._tunnels[number].forgotten(reason)

    def close(self) -> None:
        """
        The session is over.
        """
        for tunnel in list(self._tunnels.values()):
            tunnel.close("")
        for farewell in list(self._farewells):
            farewell.close()

    def _over(self, number: int, tunnel: ClientTunnel, reason: str) -> None:
        del self._tunnels[number]
        if tunnel.carrier.generation:
            self._ended.append(number)
        if reason and tunnel.carrier.generation:  # else the CE dials again
            self._say(f"tunnel {number}: {reason}")
