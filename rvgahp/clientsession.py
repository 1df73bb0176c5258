# -*- test-case-name: tests.test_clientsession -*-
"""
The client's end of one session: its keys, its channels, and its stream's frames.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.  What becomes of the
GAHP's stdio is for its L{rvgahp.clientface.Face}.
"""

from __future__ import annotations

from functools import partial

from rvgahp import frames, limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel
from rvgahp.errors import ProtocolError, SessionGone, StreamBroken
from rvgahp.frames import Frame
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.policy import Policy
from rvgahp.session import SecuritySession, SessionKeys
from rvgahp.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rvgahp.clientface import Face
    from rvgahp.clienttunnels import Tunnels
    from rvgahp.forward import Forward
    from rvgahp.poller import DelayedCall, Poller


class Grant:
    """
    What the proxy's answer to RequestGAHP gives us.

    @ivar session: the security session.  B{Secret.}
    @ivar stream: our end of its stream.
    @ivar site: its name.
    @ivar tunnelPort: the port of the GAHP's tunnels at the site; 0: none.
    @ivar forwardTo: where the tunnels go; empty: where our environment says.
    @ivar patience: seconds that the GAHP may take to be ready.
    @ivar stdinLimit: bytes of our stdin to be held here.
    @ivar callTimeout: seconds that the gridmanager waits for a batch request's result; 0:
        as long as it takes.
    @ivar responseTimeout: seconds that it waits for each line of a reply, at least 2.
    """

    def __init__(self, box: dict[bytes, bytes]) -> None:
        """
        @param box: the answer.  It holds the session key: B{secret}.
        @raise ProtocolError, PolicyConflict, KeyError, ValueError: it makes no sense.
        """
        self.session = SecuritySession(
            box[b"session"].decode("ascii"),
            box[b"key"],
            Policy.decode(box[b"serverPolicy"].decode("ascii")),
            Policy.decode(box[b"clientPolicy"].decode("ascii")),
            int(box[b"duration"]),
            int(box[b"lease"]),
            int(box[b"keyNumber"]),
        )
        outcome, method = box[b"outcome"].decode("ascii"), box[b"method"].decode("ascii")
        if (self.session.outcome.value, self.session.method) != (outcome, method):
            raise ProtocolError("its security policies do not give the result it names")
        self._window, self._budget = int(box[b"window"]), Budget(int(box[b"total"]))
        self.stream = self.makeStream()
        self.patience = int(box[b"startTimeout"])
        self.stdinLimit = int(box[b"stdinLimit"])
        self.callTimeout = int(box[b"callTimeout"])
        self.responseTimeout = int(box[b"responseTimeout"])
        self.site = box[b"site"].decode("utf-8")
        self.tunnelPort = int(box[b"tunnelPort"])
        if not 0 <= self.tunnelPort <= 65535:
            raise ProtocolError(f"there is no port {self.tunnelPort}")
        self.forwardTo = box[b"forwardTo"].decode("utf-8")

    def makeStream(self) -> Stream:
        """
        @return: our end of one more stream of the session.
        """
        return Stream(self._window, self._budget)


class ClientSession:
    """
    One session, from the proxy's answer until its GAHP's last word.

    @ivar carrier: our end of the stream.
    @ivar keys: the session's.
    @ivar site: the site's name.
    @ivar isRunning: whether it has had a channel.
    @ivar hasExited: whether the GAHP's last word is here, so that only we have still to
        do.
    """

    def __init__(
        self,
        loop: Poller,
        grant: Grant,
        face: Face,
        askRedial: Callable[[int, int, Callable[[str], object]], object],
        forward: Forward | None = None,
    ) -> None:
        """
        @param askRedial: asks the CE to dial a stream again, whose channel of this
            generation is lost; calls back with a sentence if it knows the stream no more.
        @param forward: where the GAHP's tunnels go; L{None}: it has none.
        """
        self._loop = loop
        self.keys = SessionKeys(grant.session, loop.seconds())
        self.site = grant.site
        self._face = face
        self._askRedial = askRedial
        self._redialling: DelayedCall | None = None
        self._tunnels: Tunnels | None = None
        if forward is not None:
            from rvgahp.clienttunnels import Tunnels

            self._tunnels = Tunnels(
                loop, self.keys, forward, grant.makeStream, face.say, self._awaitChannel
            )
        self.carrier = Carrier(loop, grant.stream, self)
        self.isRunning = self.hasExited = False
        self._silent = self._isClosed = False
        self._exitCost = 0
        self._sayAgain = 0.0

    # -- requests -----------------------------------------------------------

    def hasChannel(self) -> bool:
        """
        @return: whether the stream has had a channel, or its handshake is going on, so
            that the proxy is not needed any more.
        """
        return self.isRunning or self.carrier.handshakes() > 0

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        """
        The proxy passed us a connection that the CE dialled for this stream.
        """
        if stream:
            if self._tunnels is None:
                connection.close()  # nobody has asked for it
            else:
                self._tunnels.channelHanded(stream, connection)
            return
        if not self.carrier.takesAnother():
            connection.close()
            return
        AnsweringChannel(
            self._loop,
            connection,
            self.carrier,
            self.keys,
            0,
            GAHP_STREAM,
            self.carrier.generation,
        )

    def renewKey(self, box: dict[bytes, bytes]) -> None:
        """
        The proxy has sent the session's next key.

        @param box: a RenewKey.  It holds the key: B{secret}.
        @raise SessionGone: it is for another session.
        @raise ProtocolError, KeyError, ValueError: it makes no sense; nothing has changed.
        """
        if box[b"session"] != self.keys.present.sessionId.encode("ascii"):
            raise SessionGone("this client has another session")
        number, duration = int(box[b"keyNumber"]), int(box[b"duration"])
        self.keys.renew(box[b"key"], number, duration, self._loop.seconds())

    def endInput(self) -> None:
        """
        Close the GAHP's stdin.
        """
        self.carrier.send(frames.END_STDIN)
        self._loop.callLater(limits.UNREAD_STDIN_TIMEOUT, self._checkStdinRead, 0)

    def _checkStdinRead(self, received: int) -> None:
        stream = self.carrier.stream
        if self._isClosed or not stream.backlog():
            return
        if stream.received == received and self.carrier.isConnected():
            self._face.lost(
                "its stdin has ended here, and it has neither read its input nor written for"
                f" {limits.UNREAD_STDIN_TIMEOUT:g} s"
            )
        else:
            self._loop.callLater(limits.UNREAD_STDIN_TIMEOUT, self._checkStdinRead, stream.received)

    def tellStop(self, number: int) -> None:
        """
        Ask for the end of the GAHP.

        @param number: the signal that asked us.
        """
        self.carrier.send(frames.STOP, bytes((number,)))
        self._loop.callLater(limits.ORPHAN_GRACE, self._stopUnsaid)
        self._loop.callLater(limits.CLIENT_END_TIMEOUT, self._stopInVain)

    def _stopUnsaid(self) -> None:
        """
        The GAHP reads nothing, so that our word waits behind its input: the proxy
        will tell the CE that we are gone.
        """
        if not self._isClosed and self.carrier.stream.backlog():
            self._face.stopInVain()

    def _stopInVain(self) -> None:
        if not self._isClosed:
            self._face.stopInVain()

    def acknowledgeExit(self) -> None:
        """
        All that the GAHP has said is written.
        """
        self.carrier.deliver(self._exitCost)
        self.carrier.acknowledge()

    def close(self) -> None:
        """
        Nothing is called afterwards.
        """
        self._isClosed = True
        if self._redialling is not None:
            self._redialling.cancel()
        if self._tunnels is not None:
            self._tunnels.close()
        self.carrier.close()

    # -- from the stream ----------------------------------------------------

    def channelOpened(self) -> None:
        self._silent = False
        if self.isRunning:
            self._face.resumed()
        else:
            self.isRunning = True
            self._face.opened()
        self._face.roomMade()

    def roomMade(self) -> None:
        self._face.roomMade()

    def framesReceived(self, received: list[Frame]) -> None:
        for frame in received:
            if self._isClosed:
                return
            if frame.kind == frames.STDOUT:
                self._face.outputReceived(frame)
            else:
                self._other(frame)

    def _other(self, frame: Frame) -> None:
        if frame.kind == frames.STDERR:
            self._face.errorsReceived(bytes(frame.payload))
            self.carrier.deliver(frame.cost)
        elif frame.kind == frames.END_STDOUT:
            self._face.outputEnded(frame)
        elif frame.kind == frames.EXIT:
            signalled, value, sentence = frames.decodeExit(bytes(frame.payload))
            self._exitCost = frame.cost
            self.hasExited = True
            self._face.exited(128 + value if signalled else value, sentence)
        elif frame.kind == frames.END_STDERR:
            self.carrier.deliver(frame.cost)
        else:
            raise StreamBroken(f"a frame of kind {frame.kind} is not for a client")

    def channelLost(self, reason: str) -> None:
        if not self.isRunning:
            self._face.channelFailed(reason)  # the CE has more tickets
        elif self.carrier.isRefused and not self.hasExited:
            self._face.lost(reason)
        elif not self.hasExited:
            self._sayProblem()
            self._awaitChannel()
            self._face.roomMade()

    def _sayProblem(self) -> None:
        """
        A network that breaks connections needs no word; one that alters bytes does.
        """
        problem, self.carrier.problem = self.carrier.problem, ""
        now = self._loop.seconds()
        if problem and now >= self._sayAgain:
            self._sayAgain = now + limits.PROBLEM_PERIOD
            self._face.say(f"a connection to the site is dropped, and dialled again: {problem}")

    def _awaitChannel(self) -> None:
        """
        A stream has no channel.  The CE dials if it has noticed that; soon it is asked.
        """
        if self._redialling is None or not self._redialling.active():
            self._redialling = self._loop.callLater(limits.REDIAL_ASK_FIRST, self._redial)

    def proxyFound(self) -> None:
        """
        The proxy is there again.  What waits for a channel is asked for now, for the next
        outage may be near.
        """
        if self._redialling is not None and self._redialling.active():
            self._redialling.cancel()
            self._redial()

    def _redial(self) -> None:
        broken = self._tunnels.broken() if self._tunnels is not None else []
        if not self.carrier.isConnected():
            broken.append((0, self.carrier.generation))
        if not broken:
            return
        self._redialling = self._loop.callLater(limits.REDIAL_ASK_AGAIN, self._redial)
        for stream, generation in broken:
            self._askRedial(stream, generation, partial(self._forgotten, stream))

    def _forgotten(self, stream: int, reason: str) -> None:
        """
        The CE does not know the stream any more.
        """
        if self._isClosed:
            return
        if stream and self._tunnels is not None:
            self._tunnels.forgotten(stream, reason)
        elif not stream and not self.hasExited:
            self._face.lost(reason)

    def peerSilent(self, seconds: float) -> None:
        lease = self.keys.present.lease
        if seconds >= lease:
            self._face.lost(f"the site was silent for the lease of {lease} s")
        elif not self._silent and self.isRunning:
            self._silent = True
            self._face.say(f"nothing heard from the site for {seconds:.0f} s; still waiting")
