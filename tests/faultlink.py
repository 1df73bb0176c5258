"""
A whole session in one process and on one clock, for tests that cut its connections at
every byte: the CE's session with its dialer, the gate, the client's session, a relay that
counts, and actors where GAHP and gridmanager would be.

Real are all parts of ours that have to do with it, the channels with their handshakes and
records, the tickets, and the control connection, which is TLS in memory.  Not real are the
processes, the proxy's UNIX side, and time.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, succeed

from rvgahp import commands, localcommands
from rvgahp.budget import Budget
from rvgahp.cetunnels import CETunnels, openTunnelPort
from rvgahp.clientsession import ClientSession, Grant
from rvgahp.configuration import Configuration
from rvgahp.control import ControlConnection, Responders
from rvgahp.errors import SessionGone
from rvgahp.forward import Forward
from rvgahp.frames import Frame
from rvgahp.gahpenvironment import GAHPEnvironment
from rvgahp.gahpsession import GAHPSession
from rvgahp.gate import Gate, WaitingRoom
from rvgahp.igahp import GAHPCommand
from rvgahp.settings import settingsFrom
from rvgahp.tickets import TicketBook
from rvgahp.way import Way
from tests.clientdriver import ANSWER
from tests.sessions import REQUEST, SESSION_ID, makeSession
from tests.steppedloop import SteppedLoop, socketPair
from tests.tlspair import TLSPair
from tests.tunnelcase import SHARED_PORT_ID, Gridmanager, connectRequest

_SETTINGS = settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": "proxy.example.org"}))

#: What both sides of a dialogue say, at the least.
DIALOGUE_BYTES = 4096


class Dialogue:
    """
    What two sides say to each other, in turns.

    @ivar asks: what the first side says: each when it has had the answer to the one before.
    @ivar answers: what the second side says to each.
    """

    def __init__(self, seed: int, first: bytes = b"") -> None:
        """
        @param first: what the first side begins with.
        """
        random = Random(seed)
        self.asks, self.answers = [first] if first else [], []
        while sum(map(len, self.asks)) < DIALOGUE_BYTES:
            self.asks.append(random.randbytes(random.randrange(1, 500)))
        sizes = [random.randrange(1, 500) for _ in self.asks]
        sizes[0] += max(0, DIALOGUE_BYTES - sum(sizes))
        self.answers = [random.randbytes(size) for size in sizes]


class Actor:
    """
    One side of a dialogue, of which it knows both: it fails with the first byte that is not
    what has to come, and speaks when all has come that is before its turn.

    @ivar came: how many bytes have.
    @ivar ends: how often its input has ended.
    """

    def __init__(
        self,
        loop: Any,
        dialogue: Dialogue,
        isFirst: bool,
        say: Callable[[bytes], object],
        end: Callable[[], object],
    ) -> None:
        """
        @param say: takes what it says.
        @param end: called when it has no more to say.
        """
        self._mine = dialogue.asks if isFirst else dialogue.answers
        self._others = b"".join(dialogue.answers if isFirst else dialogue.asks)
        heard = dialogue.answers if isFirst else dialogue.asks
        self._turns = [sum(map(len, heard[: n + (not isFirst)])) for n in range(len(self._mine))]
        self._say, self._end = say, end
        self._isFirst = isFirst
        self._hasEnded = False
        self.came = self.ends = 0

    def begin(self) -> None:
        """
        Say what is to be said now.
        """
        while self._turns and self.came >= self._turns[0]:
            del self._turns[0]
            self._say(self._mine[len(self._mine) - len(self._turns) - 1])
        # The first side ends when it has heard all, and the second when the first has ended.
        isDone = self.isComplete() if self._isFirst else self.ends > 0
        if isDone and not self._turns and not self._hasEnded:
            self._hasEnded = True
            self._end()

    def heard(self, data: bytes) -> None:
        """
        Bytes came.
        """
        assert not self.ends, "bytes came after the end"
        assert self._others[self.came : self.came + len(data)] == data, f"wrong at {self.came}"
        self.came += len(data)
        self.begin()

    def ended(self) -> None:
        """
        There will be no more.
        """
        self.ends += 1
        assert self.ends == 1, "the end came twice"
        assert self.isComplete(), f"the end came after {self.came} of {len(self._others)} bytes"
        self.begin()

    def isComplete(self) -> bool:
        """
        @return: whether all has come.
        """
        return self.came == len(self._others)


class Ear:
    """
    Reads a socket for an L{Actor}.
    """

    def __init__(self, loop: Any, source: socket.socket, actor: Actor) -> None:
        self._loop = loop
        self._source = source
        self._actor = actor
        source.setblocking(False)
        loop.addReader(self)

    def fileno(self) -> int:
        return self._source.fileno()

    def doRead(self) -> None:
        data = self._source.recv(65536)
        if data:
            self._actor.heard(data)
        else:
            self.connectionLost(None)

    def connectionLost(self, reason: object) -> None:
        self.close()
        self._actor.ended()

    def close(self) -> None:
        """
        Read no more.
        """
        if self._loop.readers.get(self.fileno()) is self:
            self._loop.removeReader(self)


class Fault:
    """
    What happens to one data connection.

    @ivar toCE: in which direction.
    @ivar at: after how many bytes.
    @ivar isSilent: whether the direction only falls silent; else both ends are closed.
    """

    def __init__(self, toCE: bool, at: int, isSilent: bool = False) -> None:
        self.toCE, self.at, self.isSilent = toCE, at, isSilent

    def __repr__(self) -> str:
        what = "silent" if self.isSilent else "cut"
        return f"{what} {'to the CE' if self.toCE else 'to the client'} after byte {self.at}"


class Pipe:
    """
    One direction of a relayed data connection.

    @ivar carried: bytes.
    """

    def __init__(self, loop: Any, source: socket.socket, sink: socket.socket) -> None:
        self._loop = loop
        self._source, self._sink = source, sink
        self.other: Pipe | None = None
        self.fault: Fault | None = None
        self.carried = 0
        self._isWatched = True
        loop.addReader(self)

    def fileno(self) -> int:
        return self._source.fileno()

    def doRead(self) -> None:
        size = 65536 if self.fault is None else self.fault.at - self.carried
        data = b""
        if size:
            try:
                data = self._source.recv(size)
            except ConnectionResetError:
                pass
            if not data:
                self.end()
                return
        self.carried += len(data)
        try:
            self._sink.sendall(data)
        except OSError:
            self.end()
            return
        if self.fault is not None and self.carried == self.fault.at:
            if self.fault.isSilent:
                self._unwatch()
            else:
                self.end()

    def connectionLost(self, reason: object) -> None:
        self._isWatched = False
        self.end()

    def _unwatch(self) -> None:
        if self._isWatched:
            self._isWatched = False
            self._loop.removeReader(self)

    def end(self) -> None:
        """
        Close both directions.
        """
        for pipe in (self, self.other):
            if pipe is not None and pipe._source.fileno() >= 0:
                pipe._unwatch()
                pipe._source.close()


class PumpedLoop(SteppedLoop):
    """
    A stepped loop beside which bytes are pumped through connections in memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pair: TLSPair | None = None

    def turn(self) -> bool:
        isPumped = self.pair is not None and self.pair.flush()
        return super().turn() or isPumped


class _Call:
    """
    A delayed call as the client's loop gives it: one that was made may be cancelled.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def active(self) -> bool:
        return bool(self._call.active())

    def cancel(self) -> None:
        if self._call.active():
            self._call.cancel()


class ClientLoop:
    """
    The client's view of a loop that it shares.
    """

    def __init__(self, loop: PumpedLoop) -> None:
        self._loop = loop
        self._calls: list[_Call] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def callLater(self, delay: float, callable: Any, *arguments: Any) -> _Call:
        call = _Call(self._loop.callLater(delay, callable, *arguments))
        self._calls = [one for one in self._calls if one.active()]
        self._calls.append(call)
        return call

    def drop(self) -> None:
        """
        The client's process has ended.
        """
        for call in self._calls:
            call.cancel()


class _CEControl(Responders):
    def __init__(self, link: Link) -> None:
        self._link = link

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        return {}

    @commands.Redial.responder
    def redial(self, session: str, stream: int, generation: int) -> dict[str, Any]:
        run = self._link.run
        if run is None or run.isOver:
            raise SessionGone(f"session {session} is over at the site")
        if not stream:
            run.ce.redial(generation)
        else:
            assert run.ce.tunnels is not None
            run.ce.tunnels.redial(stream, generation)
        return {}

    @commands.EndSession.responder
    def endSession(self, session: str, reason: str) -> dict[str, Any]:
        run = self._link.run
        if run is not None and not run.isOver:
            run.ce.clientGone(reason)
        return {}


class _ProxyControl(Responders):
    def __init__(self, link: Link) -> None:
        self._link = link

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        return {}

    @commands.OpenChannel.responder
    def openChannel(self, session: str, stream: int) -> dict[str, Any]:
        if self._link.run is None or self._link.run.isClientGone:
            raise SessionGone(f"session {session} has no client here")
        return {"ticket": self._link.tickets.issue(stream, session)}


class Link:
    """
    What outlives a session: the loop, the control connection, the gate, the tickets, and
    the port of the gridmanager.

    @ivar run: the session that there is now.
    """

    def __init__(self) -> None:
        self.loop = PumpedLoop()
        self.run: Run | None = None
        self.tickets: TicketBook[int] = TicketBook(self.loop)
        self.gate = Gate(self.loop, WaitingRoom(100, 100), self._secure, self._admit)
        self.gridmanager = Gridmanager()
        self.gridmanager.port.setblocking(False)
        secured: list[ControlConnection] = []
        self.ceControl, self.proxyControl = (
            ControlConnection(self.loop, locator, secured.append, lambda reason: None)
            for locator in (_CEControl(self), _ProxyControl(self))
        )
        self.loop.pair = TLSPair(self.proxyControl, self.ceControl, self.loop)
        self.loop.until(lambda: len(secured) == 2)
        self.ceControl.greeted()
        self.proxyControl.greeted()

    def close(self) -> None:
        """
        All is over.
        """
        self.ceControl.abort()
        self.proxyControl.abort()
        self.loop.settle()
        self.gridmanager.close()

    def _secure(self, connection: socket.socket, address: str) -> None:
        raise AssertionError("a data connection was taken for TLS")

    def _admit(self, ticket: bytes, connection: socket.socket) -> bool:
        stream = self.tickets.redeem(ticket)
        run = self.run
        if stream is None or run is None or run.isClientGone:
            return False
        run.client.channelHanded(stream, connection)
        return True


class _Launcher:
    """
    Starts an actor where a GAHP would be started.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def launch(self, user: Any, words: Any, *rest: Any) -> int:
        stdin, stdout, stderr = rest[-1]
        self._run.gahpStarted(
            user, socket.socket(fileno=stdin), socket.socket(fileno=stdout), stderr
        )
        return 1

    def signal(self, name: int, number: int) -> None:
        isToEnd = number not in (signal.SIGSTOP, signal.SIGCONT)
        assert self._run.isClosing or not isToEnd, f"the GAHP got signal {number}"


class Run:
    """
    One session from its start to its end.

    @ivar ce: the CE's end.
    @ivar client: the client's.
    @ivar carried: bytes that the faulty stream's connections have carried, to the CE and
        to the client, in the order in which they were dialled.
    @ivar status: the GAHP's exit status, as the client has it.
    """

    def __init__(self, link: Link, isTunnel: bool, seed: int, faults: list[Fault]) -> None:
        """
        @param isTunnel: whether there is a tunnel, and it is its connections that are faulty;
            else those of the GAHP's stdio.
        @param faults: of the connections as they are dialled, one each.
        """
        self._link, self._loop = link, link.loop
        self._isTunnel = isTunnel
        self._faults = list(faults)
        self._pipes: list[tuple[Pipe, Pipe]] = []
        self.isOver = self.isClientGone = self.isClosing = False
        self.reason = ""
        self.status: int | None = None
        self.statuses = 0
        self._sockets: list[socket.socket] = []
        self._ears: list[Ear] = []
        self.complaints: list[str] = []
        self.dials = 0
        self.errors = b""
        link.run = self
        self.began = self._loop.seconds()
        self._clientLoop = ClientLoop(self._loop)
        size = len(connectRequest()) if isTunnel else 0
        self.dialogue = Dialogue(seed, connectRequest() if size else b"")
        self._makeEnds()

    def _makeEnds(self) -> None:
        way = Way(self._dial, self._openChannel, lambda: True)
        tickets = [self._link.tickets.issue(0, SESSION_ID) for _ in range(3)]
        launcher: Any = _Launcher(self)
        self.ceBudget = Budget(1 << 28)
        self.ce = GAHPSession(
            self._loop,
            REQUEST,
            makeSession(),
            _SETTINGS,
            self.ceBudget,
            launcher,
            way,
            tickets,
            self._over,
        )
        self.tunnel: Any = None
        forward = None
        answer = dict(ANSWER)
        if self._isTunnel:
            self.ce.tunnels = CETunnels(self._loop, openTunnelPort(0), self.ce)
            answer["tunnelPort"] = self.ce.tunnels.number
            forward = Forward(self._link.gridmanager.inherit())
            assert forward.sharedPortId == SHARED_PORT_ID
        for name in ("forwardTo", "callTimeout", "responseTimeout"):
            answer.setdefault(name, "" if name == "forwardTo" else 0)
        loop: Any = self._clientLoop
        face: Any = self
        grant = Grant(localcommands.RequestGAHP.makeResponse(answer, None))
        self.client = ClientSession(loop, grant, face, self._askRedial, forward)

    # -- the network --------------------------------------------------------

    def _openChannel(self, session: str, stream: int) -> Deferred[bytes]:
        asked = self._link.ceControl.caller.call(
            commands.OpenChannel, session=session, stream=stream
        )
        return asked.addCallback(lambda answer: answer["ticket"])

    def _dial(self) -> Deferred[socket.socket]:
        ours, near = socketPair()
        far, theirs = socketPair()
        toClient, toCE = Pipe(self._loop, near, far), Pipe(self._loop, far, near)
        toClient.other, toCE.other = toCE, toClient
        self._pipes.append((toCE, toClient))
        # The first connection of a run with a tunnel is that of the GAHP's stdio.
        if (self.dials or not self._isTunnel) and self._faults:
            fault = self._faults.pop(0)
            (toCE if fault.toCE else toClient).fault = fault
        self.dials += 1
        # The gate's own way in asks for the address of a TCP connection.
        from rvgahp.gate import Arrival

        arrival = Arrival(self._loop, theirs, "192.0.2.7", self._link.gate)
        self._link.gate.waiting.enter(arrival, "192.0.2.7")
        return succeed(ours)

    @property
    def carried(self) -> list[tuple[int, int]]:
        pipes = self._pipes[1:] if self._isTunnel else self._pipes
        return [(toCE.carried, toClient.carried) for toCE, toClient in pipes]

    def _askRedial(self, stream: int, generation: int, gone: Callable[[str], object]) -> None:
        asked = self._link.proxyControl.caller.call(
            commands.Redial, session=SESSION_ID, stream=stream, generation=generation
        )

        def refused(failure: Any) -> None:
            if failure.check(SessionGone) and not self.isClientGone:
                gone(failure.getErrorMessage())

        asked.addCallbacks(lambda _: None, refused)

    # -- the site -----------------------------------------------------------

    def gahpStarted(
        self, user: Any, stdin: socket.socket, stdout: socket.socket, stderr: int
    ) -> None:
        """
        The GAHP runs.
        """
        self._sockets += [stdin, stdout]

        def end() -> None:
            os.write(stderr, b"its last words\n")
            os.close(stderr)
            stdout.close()
            stdin.close()
            self._loop.callLater(0, user.exited, False, 7)

        if self._isTunnel:
            self.gahp = Actor(self._loop, _SILENCE, False, stdout.sendall, end)
        else:
            self.gahp = Actor(self._loop, self.dialogue, False, stdout.sendall, end)
        self._ears.append(Ear(self._loop, stdin, self.gahp))
        user.launched(os.geteuid())

    def _over(self, session: Any, reason: str) -> None:
        self.isOver = True
        self.reason = reason

    # -- the client's face --------------------------------------------------

    def opened(self) -> None:
        if not self._isTunnel:
            send = self.client.carrier.send
            self.parent = Actor(
                self._loop, self.dialogue, True, lambda data: send(0, data), self.client.endInput
            )
            self.parent.begin()
        else:
            self.parent = Actor(self._loop, _SILENCE, True, lambda data: None, lambda: None)
            self._openTunnel()

    def outputReceived(self, frame: Frame) -> None:
        self.parent.heard(bytes(frame.payload))
        self.client.carrier.deliver(frame.cost)

    def outputEnded(self, frame: Frame) -> None:
        self.client.carrier.deliver(frame.cost)
        self.parent.ended()

    def errorsReceived(self, data: bytes) -> None:
        self.errors += data

    def exited(self, status: int, sentence: str) -> None:
        self.statuses += 1
        self.status = status
        self.client.acknowledgeExit()
        self._loop.callLater(0, self._clientExits)

    def _clientExits(self) -> None:
        if not self.isClientGone:
            self.isClientGone = True
            self.client.close()
            self._clientLoop.drop()
            told = self._link.proxyControl.caller.call(
                commands.EndSession, session=SESSION_ID, reason="its client is gone"
            )
            told.addErrback(lambda _: None)

    def roomMade(self) -> None:
        pass

    def resumed(self) -> None:
        pass

    def channelFailed(self, reason: str) -> None:
        pass

    def say(self, sentence: str) -> None:
        if "nothing heard" not in sentence:
            self.complaints.append(sentence)

    def lost(self, sentence: str) -> None:
        self.complaints.append(sentence)

    # -- the tunnel ---------------------------------------------------------

    def _openTunnel(self) -> None:
        assert self.ce.tunnels is not None
        site = socket.create_connection(("127.0.0.1", self.ce.tunnels.number))
        self._sockets.append(site)
        self.site = Actor(
            self._loop,
            self.dialogue,
            True,
            site.sendall,
            lambda: site.shutdown(socket.SHUT_WR),
        )
        self._ears.append(Ear(self._loop, site, self.site))
        self.site.begin()
        self._loop.callLater(0, self._acceptTunnel)

    def _acceptTunnel(self) -> None:
        if self.isClientGone:
            return
        try:
            near, _ = self._link.gridmanager.port.accept()
        except BlockingIOError:
            self._loop.callLater(0.01, self._acceptTunnel)
            return
        self._sockets.append(near)
        self.near = Actor(
            self._loop,
            self.dialogue,
            False,
            near.sendall,
            lambda: near.shutdown(socket.SHUT_WR),
        )
        self._ears.append(Ear(self._loop, near, self.near))

    # -- the whole ----------------------------------------------------------

    def start(self) -> None:
        """
        Start the GAHP.
        """
        self.ce.start(GAHPCommand("/bin/gahp", []), GAHPEnvironment({}))

    def isTunnelOver(self) -> bool:
        """
        @return: whether both ends of the tunnel have ended, at both sides.
        """
        assert self.ce.tunnels is not None and self.client._tunnels is not None
        ends = [getattr(self, name, None) for name in ("site", "near")]
        return all(one is not None and one.ends for one in ends) and not (
            len(self.ce.tunnels) or len(self.client._tunnels)
        )

    def play(self, seconds: float) -> None:
        """
        Go on until it is over.

        @param seconds: of the clock, at the most.
        """
        self.start()
        if self._isTunnel:
            self._loop.until(self.isTunnelOver, seconds)
            self.client.endInput()
        self._loop.until(lambda: self.isOver and self.isClientGone, seconds)
        self.seconds = self._loop.seconds() - self.began
        self._loop.settle()

    def close(self) -> None:
        """
        Whatever is left goes.
        """
        self.isClosing = True
        for ear in self._ears:
            ear.close()
        self._clientExits()
        if not self.isOver:
            self.ce.kill()
        self._loop.settle()
        for pipes in self._pipes:
            pipes[0].end()
        for one in self._sockets:
            one.close()
        self._link.gate.waiting.clear()
        self._link.run = None

    def check(self) -> None:
        """
        Nothing was lost, nothing came twice, and all ended once and in good order.
        """
        actors = [self.gahp, self.parent]
        actors += [self.site, self.near] if self._isTunnel else []
        for actor in actors:
            assert actor.isComplete() and actor.ends == 1, (actor.came, actor.ends)
        assert (self.status, self.statuses, self.reason) == (7, 1, ""), (self.status, self.reason)
        assert self.errors == b"its last words\n", self.errors
        assert not self.complaints, self.complaints
        assert not self.ceBudget.held, self.ceBudget.held


class _Silence(Dialogue):
    """
    Nothing is said.
    """

    def __init__(self) -> None:
        self.asks, self.answers = [], []


_SILENCE = _Silence()
