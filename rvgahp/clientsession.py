# -*- test-case-name: tests.test_clientsession -*-
"""
The client's end of one GAHP: its stdio spliced onto the stream.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import errno
import os
import signal

from rvgahp import frames, limits
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel
from rvgahp.clientstdio import Stderr, Stdin, Stdout
from rvgahp.complaint import FAILURE, complain
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


def decodeAnswer(box: dict[bytes, bytes]) -> tuple[SecuritySession, Stream]:
    """
    @param box: the proxy's answer to RequestGAHP.  It holds the session key:
        B{secret}.
    @return: the session, and our end of its stream.
    @raise ProtocolError, PolicyConflict, KeyError, ValueError: it makes no sense.
    """
    session = SecuritySession(
        box[b"session"].decode("ascii"),
        box[b"key"],
        Policy.decode(box[b"serverPolicy"].decode("ascii")),
        Policy.decode(box[b"clientPolicy"].decode("ascii")),
        int(box[b"duration"]),
        int(box[b"lease"]),
        int(box[b"keyNumber"]),
    )
    outcome = box[b"outcome"].decode("ascii")
    if (session.outcome.value, session.method) != (outcome, box[b"method"].decode("ascii")):
        raise ProtocolError("its security policies do not give the result it names")
    return session, Stream(int(box[b"window"]), Budget(int(box[b"total"])))


class ClientSession:
    """
    One GAHP, from the proxy's answer to its exit status.

    @ivar carrier: our end of the stream.
    """

    def __init__(
        self, loop: Poller, session: SecuritySession, stream: Stream, client: Client
    ) -> None:
        self._loop = loop
        self._keys = SessionKeys(session, loop.seconds())
        self._client = client
        self.carrier = Carrier(loop, stream, self)
        self._running = self._stopping = self._silent = self._stderrAbandoned = False
        self._stdinOpen = True
        self._shakingHands = 0  # channels
        self._outputLost = False
        self._exit: Frame | None = None
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
        return self._exit is not None

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

    def stop(self, number: int) -> bool:
        """
        A signal asks us to end: ask for the end of the GAHP, and wait for it.

        @return: whether there is something to wait for.
        """
        if self._stopping or not self._running:
            return False
        self._stopping = True
        self.carrier.send(frames.STOP, bytes((number,)))
        self._loop.callLater(limits.ORPHAN_GRACE, self._stopUnsaid, number)
        self._loop.callLater(limits.CLIENT_END_TIMEOUT, self._client.finish, 128 + number)
        return True

    def _stopUnsaid(self, number: int) -> None:
        """
        The GAHP reads nothing, so that our word waits behind its input: the proxy
        will tell the CE that we are gone.
        """
        if self.carrier.stream.backlog():
            self._client.finish(128 + number)

    def close(self) -> None:
        """
        Leave everything as it was found.
        """
        self.carrier.close()
        self._stdout.close()

    # -- from the stream ----------------------------------------------------

    def channelOpened(self) -> None:
        if not self._running:
            self._running = True
            self._client.sessionRunning()
        self.roomMade()

    def roomMade(self) -> None:
        if self._stdinOpen and self._running and self.carrier.room():
            self._stdin.resumeReading()

    def framesReceived(self, received: list[Frame]) -> None:
        for frame in received:
            if frame.kind == frames.STDOUT:
                self._stdout.put(frame.payload, frame.cost)
            else:
                self._other(frame)

    def _other(self, frame: Frame) -> None:
        if frame.kind == frames.STDERR:
            self._stderr.put(bytes(frame.payload))
            self.carrier.deliver(frame.cost)
        elif frame.kind == frames.END_STDOUT:
            self._stdout.put(b"", frame.cost)
            self._stdout.endWriting()
        elif frame.kind == frames.EXIT:
            self._exit = frame
            self._loop.callLater(limits.CLIENT_STDERR_GRACE, self._abandonStderr)
            self._finishWhenWritten()
        elif frame.kind == frames.END_STDERR:
            self.carrier.deliver(frame.cost)
        else:
            raise ProtocolError(f"a frame of kind {frame.kind} is not for a client")

    def channelLost(self, reason: str) -> None:
        if not self._running:
            self._shakingHands -= 1
            self._client.channelFailed(reason)  # the CE has more tickets
        elif self._exit is None:
            self._client.fail(f"the connection to the site was lost: {reason}")

    def peerSilent(self, seconds: float) -> None:
        lease = self._keys.present.lease
        if seconds >= lease:
            self._client.fail(f"the site was silent for the lease of {lease} s")
        elif not self._silent and self._running:
            self._silent = True
            self._stderr.put(
                b"rvgahp_client: nothing heard from the site for %d s; still waiting\n" % seconds
            )

    # -- from our stdio -----------------------------------------------------

    def stdinEnded(self) -> None:
        """
        End of file on our stdin.
        """
        self._stdinOpen = False
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

    def stdoutDelivered(self, cost: int) -> None:
        """
        Bytes have left our stdout.
        """
        self.carrier.deliver(cost)
        self._finishWhenWritten()

    def stdoutFailed(self, problem: str) -> None:
        """
        Nothing takes our output any more: as if we had been told to end.
        """
        if problem != os.strerror(errno.EPIPE):
            self._outputLost = True
            complain(f"stdout takes no more: {problem}")
        self.stop(signal.SIGPIPE)

    def _abandonStderr(self) -> None:
        """
        stderr may be blocked for good.  stdout must be whole.
        """
        self._stderrAbandoned = True
        self._finishWhenWritten()

    def _finishWhenWritten(self) -> None:
        said = self._stderrAbandoned or self._stderr.isEmpty()
        if self._exit is None or not said or self._stdout.unsent:
            return
        frame, self._exit = self._exit, None
        signalled, value, sentence = frames.decodeExit(bytes(frame.payload))
        self.carrier.deliver(frame.cost)
        self.carrier.acknowledge()
        if sentence:
            complain(sentence)
        status = 128 + value if signalled else value
        self._client.finish(status or (FAILURE if self._outputLost else 0))
