# -*- test-case-name: tests.test_clientsession -*-
"""
The client's end of one session: its channels, the GAHP's stderr, and its end.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.  What is done with
stdin and stdout is for L{rvgahp.clientcopy} and L{rvgahp.clientfront}.
"""

from __future__ import annotations

from rvgahp import frames, limits
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel
from rvgahp.clientstdio import Stderr, Stdin, Stdout
from rvgahp.complaint import encodeComplaint
from rvgahp.errors import ProtocolError, SessionGone
from rvgahp.frames import Frame
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.policy import Policy
from rvgahp.session import SecuritySession, SessionKeys
from rvgahp.stream import Budget, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from rvgahp.client import Client
    from rvgahp.poller import Poller


class Grant:
    """
    What the proxy's answer to RequestGAHP gives us.

    @ivar session: the security session.  B{Secret.}
    @ivar stream: our end of its stream.
    @ivar patience: seconds that the GAHP may take to be ready.
    @ivar stdinLimit: bytes of our stdin to be held here.
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
        self.stream = Stream(int(box[b"window"]), Budget(int(box[b"total"])))
        self.patience = int(box[b"startTimeout"])
        self.stdinLimit = int(box[b"stdinLimit"])


class ClientSession:
    """
    One session, from the proxy's answer to its GAHP's exit status.  Subclasses say what
    becomes of stdin and stdout.

    @ivar carrier: our end of the stream.
    """

    def __init__(self, loop: Poller, grant: Grant, client: Client) -> None:
        self._loop = loop
        self._keys = SessionKeys(grant.session, loop.seconds())
        self._client = client
        self.carrier = Carrier(loop, grant.stream, self)
        self._running = self._silent = self._stderrAbandoned = self._isOver = False
        self._shakingHands = 0  # channels
        self._status: int | None = None
        self._exitCost = 0
        self._stdin = Stdin(loop, self)
        self._stderr = Stderr(loop, self._finishWhenWritten)
        self._stdout = Stdout(loop, self)

    # -- requests -----------------------------------------------------------

    def hasChannel(self) -> bool:
        """
        @return: whether the stream has had a channel, or its handshake is going on, so
            that the proxy is not needed any more.
        """
        return self._running or self._shakingHands > 0

    def hasExited(self) -> bool:
        """
        @return: whether the GAHP's last word is here, so that only we have still to do.
        """
        return self._status is not None

    def channelHanded(self, connection: socket.socket) -> None:
        """
        The proxy passed us a connection that the CE dialled for this stream.
        """
        self._shakingHands += 1
        AnsweringChannel(
            self._loop,
            connection,
            self.carrier,
            self._keys,
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
        if box[b"session"] != self._keys.present.sessionId.encode("ascii"):
            raise SessionGone("this client has another session")
        number, duration = int(box[b"keyNumber"]), int(box[b"duration"])
        self._keys.renew(box[b"key"], number, duration, self._loop.seconds())

    def close(self) -> None:
        """
        Leave everything as it was found.
        """
        self.carrier.close()
        self._stdout.close()

    # -- for subclasses to say ----------------------------------------------

    def stop(self, number: int) -> bool:
        """
        A signal asks us to end.

        @return: whether there is something to wait for.
        """
        raise NotImplementedError

    def stdinReceived(self, data: bytes) -> None:
        """
        Bytes of our stdin.
        """
        raise NotImplementedError

    def stdinEnded(self) -> None:
        """
        End of file on our stdin.
        """
        raise NotImplementedError

    def stdoutDelivered(self, cost: int) -> None:
        """
        Bytes have left our stdout.
        """
        raise NotImplementedError

    def stdoutFailed(self, problem: str) -> None:
        """
        Nothing takes our output any more.
        """
        raise NotImplementedError

    def opened(self) -> None:
        """
        The first channel is open.
        """
        raise NotImplementedError

    def roomMade(self) -> None:
        """
        The peer has acknowledged something, or the channel takes more.
        """
        raise NotImplementedError

    def outputReceived(self, frame: Frame) -> None:
        """
        Bytes of the GAHP's stdout.
        """
        raise NotImplementedError

    def outputEnded(self, frame: Frame) -> None:
        """
        The end of the GAHP's stdout.
        """
        raise NotImplementedError

    def exited(self, status: int, sentence: str) -> None:
        """
        The GAHP's last word is here.

        @param status: 128 and more for a signal.
        @param sentence: what the CE says to it, or nothing.
        """
        raise NotImplementedError

    def lost(self, sentence: str) -> None:
        """
        The session is over without the GAHP's exit status.
        """
        raise NotImplementedError

    # -- for subclasses to use ----------------------------------------------

    def endInput(self) -> None:
        """
        Close the GAHP's stdin.
        """
        self.carrier.send(frames.END_STDIN)
        self._loop.callLater(limits.UNREAD_STDIN_TIMEOUT, self._checkStdinRead, 0)

    def _checkStdinRead(self, received: int) -> None:
        stream = self.carrier.stream
        if not stream.backlog():
            return
        if stream.received == received:
            self._client.fail(
                "its stdin has ended here, and it has neither read its input nor written for"
                f" {limits.UNREAD_STDIN_TIMEOUT:g} s"
            )
        else:
            self._loop.callLater(limits.UNREAD_STDIN_TIMEOUT, self._checkStdinRead, stream.received)

    def tellStop(self, number: int) -> None:
        """
        Ask for the end of the GAHP, and wait for it.
        """
        self.carrier.send(frames.STOP, bytes((number,)))
        self._loop.callLater(limits.ORPHAN_GRACE, self._stopUnsaid, number)
        self._loop.callLater(limits.CLIENT_END_TIMEOUT, self._client.finish, 128 + number)

    def _stopUnsaid(self, number: int) -> None:
        """
        The GAHP reads nothing, so that our word waits behind its input: the proxy
        will tell the CE that we are gone.
        """
        if self.carrier.stream.backlog():
            self._client.finish(128 + number)

    def say(self, sentence: str) -> None:
        """
        A line on our stderr, behind those of the GAHP.
        """
        self._stderr.put(encodeComplaint(sentence))

    def conclude(self, status: int) -> None:
        """
        Exit so, when all is written.
        """
        self._status = status
        self._loop.callLater(limits.CLIENT_STDERR_GRACE, self._abandonStderr)
        self._finishWhenWritten()

    def _abandonStderr(self) -> None:
        """
        stderr may be blocked for good.  stdout must be whole.
        """
        self._stderrAbandoned = True
        self._finishWhenWritten()

    def _finishWhenWritten(self) -> None:
        said = self._stderrAbandoned or self._stderr.isEmpty()
        if self._status is None or self._isOver or not said or self._stdout.unsent:
            return
        self._isOver = True
        self.carrier.deliver(self._exitCost)
        self.carrier.acknowledge()
        self._client.finish(self._status)

    # -- from the stream ----------------------------------------------------

    def channelOpened(self) -> None:
        if not self._running:
            self._running = True
            self._client.sessionRunning()
            self.opened()
        self.roomMade()

    def framesReceived(self, received: list[Frame]) -> None:
        for frame in received:
            if frame.kind == frames.STDOUT:
                self.outputReceived(frame)
            else:
                self._other(frame)

    def _other(self, frame: Frame) -> None:
        if frame.kind == frames.STDERR:
            self._stderr.put(bytes(frame.payload))
            self.carrier.deliver(frame.cost)
        elif frame.kind == frames.END_STDOUT:
            self.outputEnded(frame)
        elif frame.kind == frames.EXIT:
            signalled, value, sentence = frames.decodeExit(bytes(frame.payload))
            self._exitCost = frame.cost
            self.exited(128 + value if signalled else value, sentence)
        elif frame.kind == frames.END_STDERR:
            self.carrier.deliver(frame.cost)
        else:
            raise ProtocolError(f"a frame of kind {frame.kind} is not for a client")

    def channelLost(self, reason: str) -> None:
        if not self._running:
            self._shakingHands -= 1
            self._client.channelFailed(reason)  # the CE has more tickets
        elif self._status is None:
            self.lost(f"the connection to the site was lost: {reason}")

    def peerSilent(self, seconds: float) -> None:
        lease = self._keys.present.lease
        if seconds >= lease:
            self.lost(f"the site was silent for the lease of {lease} s")
        elif not self._silent and self._running:
            self._silent = True
            self.say(f"nothing heard from the site for {seconds:.0f} s; still waiting")
