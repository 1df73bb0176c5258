"""
Both ends of a stream in one loop, for tests: carriers, channels between them over
socket pairs, and a relay that can cut and spoil.
"""

from __future__ import annotations

import socket

from rvgahp import limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel, DialingChannel
from rvgahp.frames import Frame
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.policy import Outcome
from rvgahp.session import SessionKeys
from rvgahp.stream import Stream
from tests.sessions import makeSession
from tests.steppedloop import SteppedLoop, socketPair
from tests.test_frames import joined

TICKET = bytes(range(limits.TICKET_BYTES))


class User:
    """
    A user of a stream that keeps what it is told.

    @ivar delivers: whether each frame counts as delivered at once; if not, the costs
        of those to come are in C{costs}.
    """

    def __init__(self) -> None:
        self.carrier: Carrier | None = None
        self.heard: list[Frame] = []
        self.delivers = True
        self.costs: list[int] = []
        self.opened = 0
        self.rooms = 0
        self.lost: list[str] = []
        self.silences: list[float] = []

    def channelOpened(self) -> None:
        self.opened += 1

    def framesReceived(self, frames: list[Frame]) -> None:
        self.heard += frames
        for frame in frames:
            if self.delivers and self.carrier is not None:
                self.carrier.deliver(frame.cost)
            else:
                self.costs.append(frame.cost)

    def roomMade(self) -> None:
        self.rooms += 1

    def channelLost(self, reason: str) -> None:
        self.lost.append(reason)

    def peerSilent(self, seconds: float) -> None:
        self.silences.append(seconds)

    def frames(self) -> list[tuple[int, bytes]]:
        """
        What was heard, data frames put together.
        """
        return joined(self.heard)


class Way:
    """
    One direction of a relay.

    @ivar carried: bytes so far.
    @ivar flipAt: the byte with this number is spoilt.
    @ivar cutAt: when so many bytes have passed, the relay ends.
    @ivar isHeld: what comes is left where it is.
    """

    def __init__(self, loop: SteppedLoop, source: socket.socket, sink: socket.socket) -> None:
        self._source = source
        self._sink = sink
        self._loop = loop
        self._waiting = b""
        self._other: Way | None = None
        self._isOver = False
        self.carried = 0
        self.flipAt = self.cutAt = 1 << 60
        loop.addReader(self)

    def pairWith(self, other: Way) -> None:
        """
        When this ends, so does the other.
        """
        self._other = other

    def fileno(self) -> int:
        return self._source.fileno()

    def hold(self) -> None:
        """
        Carry nothing more, and say nothing.
        """
        self._loop.removeReader(self)

    def resume(self) -> None:
        """
        Carry again.
        """
        self._loop.addReader(self)

    def doRead(self) -> None:
        try:
            data = self._source.recv(65536)
        except ConnectionResetError:
            data = b""
        self._pass(data)

    def connectionLost(self, reason: object) -> None:
        self._isOver = True
        self.end()

    def _pass(self, data: bytes) -> None:
        room = self.cutAt - self.carried
        passed = bytearray(data[:room])
        if self.carried <= self.flipAt < self.carried + len(passed):
            passed[self.flipAt - self.carried] ^= 0x10
        self.carried += len(passed)
        self._sink.setblocking(True)
        try:
            self._sink.sendall(passed)
        except OSError:
            pass
        if not data or len(passed) < len(data):
            self.end()

    def end(self) -> None:
        """
        Close both directions.
        """
        for way in (self, self._other):
            if way is None or way._source.fileno() < 0:
                continue
            if way._source.fileno() in self._loop.readers:
                self._loop.removeReader(way)
            way._source.close()


class Ends:
    """
    The CE's and the client's end of one stream.

    @ivar users: that of the CE and that of the client.
    @ivar carriers: likewise.
    @ivar keys: the session's, as both ends know them.
    """

    def __init__(
        self,
        window: int = 1 << 20,
        outcome: Outcome = Outcome.ENCRYPT,
        users: tuple[User, User] | None = None,
    ) -> None:
        self.loop = SteppedLoop()
        self.session = makeSession(outcome)
        self.keys = SessionKeys(self.session, self.loop.seconds())
        self.budgets = Budget(1 << 40), Budget(1 << 40)
        self.users = users or (User(), User())
        self.carriers = tuple(
            Carrier(self.loop, Stream(window, budget), user)
            for budget, user in zip(self.budgets, self.users, strict=True)
        )
        for carrier, user in zip(self.carriers, self.users, strict=True):
            user.carrier = carrier
        self.ce, self.client = self.carriers
        self.generation = 0
        self._sockets: list[socket.socket] = []

    def connect(
        self, generation: int = 0, buffer: int = 0
    ) -> tuple[DialingChannel, AnsweringChannel]:
        """
        Make a channel; its handshake runs when the loop does.

        @param generation: which dial it is; one more than the last unless given.
        """
        ceSocket, clientSocket = socketPair(buffer)
        dialing = self.dial(ceSocket, generation)
        self.eatPreamble(clientSocket)
        return dialing, self.answer(clientSocket)

    def relayed(self, generation: int = 0) -> tuple[DialingChannel, AnsweringChannel, Way, Way]:
        """
        Make a channel through a relay.

        @return: both ends, the way to the client and the way to the CE.
        """
        ceSocket, nearCE = socketPair()
        nearClient, clientSocket = socketPair()
        dialing = self.dial(ceSocket, generation)
        self.eatPreamble(nearCE)
        answering = self.answer(clientSocket)
        toClient = Way(self.loop, nearCE, nearClient)
        toCE = Way(self.loop, nearClient, nearCE)
        toClient.pairWith(toCE)
        toCE.pairWith(toClient)
        self._sockets += [nearCE, nearClient]
        return dialing, answering, toClient, toCE

    def dial(self, connection: socket.socket, generation: int = 0) -> DialingChannel:
        """
        The CE's end of a channel, with the present key.
        """
        session = self.keys.present
        self.generation = generation or self.generation + 1
        return DialingChannel(
            self.loop, connection, self.ce, session, 0, GAHP_STREAM, self.generation, TICKET
        )

    def answer(self, connection: socket.socket) -> AnsweringChannel:
        """
        The client's end of a channel.
        """
        return AnsweringChannel(
            self.loop, connection, self.client, self.keys, 0, GAHP_STREAM, self.client.generation
        )

    @staticmethod
    def eatPreamble(connection: socket.socket) -> bytes:
        """
        Read what the gate reads.
        """
        preamble = connection.recv(limits.PREAMBLE_BYTES)
        assert len(preamble) == limits.PREAMBLE_BYTES
        return preamble

    def close(self) -> None:
        """
        The session is over at both ends.
        """
        for carrier in self.carriers:
            carrier.close()
        for connection in self._sockets:
            if connection.fileno() in self.loop.readers:
                del self.loop.readers[connection.fileno()]
            connection.close()
