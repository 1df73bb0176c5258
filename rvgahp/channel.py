# -*- test-case-name: tests.test_channel -*-
"""
One channel at either end: a connected socket, its handshake, then its records.

Layer 1: driven by any reactor-like loop.  A L{DialingChannel} is the CE's, an
L{AnsweringChannel} the client's.  Which stream's bytes go over it, and what comes
after it, is for its L{rvgahp.carrier.Carrier}.
"""

from __future__ import annotations

import fcntl
import os
import termios
from array import array

from rvgahp import limits
from rvgahp.descriptor import Descriptor
from rvgahp.errors import (
    PolicyConflict,
    ProtocolError,
    RvgahpError,
    StreamBroken,
    StreamOver,
)
from rvgahp.handshake import Answerer, ChannelKeys, Dialer, refusal
from rvgahp.handshakemessages import (
    KEY_NUMBER,
    NO_STREAM,
    POLICY,
    STALE_GENERATION,
    VERSION,
    Dial,
    takeMessage,
)
from rvgahp.records import ACK, DATA, LIMIT, PING, Opener, ReceiveBuffer, Sealer
from rvgahp.session import SecuritySession, SessionKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rvgahp.carrier import Carrier
    from rvgahp.descriptor import Loop
    from rvgahp.records import Buffer


def unacknowledged(fd: int) -> int:
    """
    @return: bytes written to a TCP socket that its peer's kernel has not acknowledged
        (SIOCOUTQ; tcp(7)); 0 for a socket of another kind.
    """
    count = array("i", [0])
    try:
        fcntl.ioctl(fd, termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]


class Channel(Descriptor):
    """
    What both ends have in common.

    @ivar isOpen: the handshake is done; records are carried.
    @ivar generation: which dial of its stream this is.
    """

    generation = 0

    def __init__(self, loop: Loop, connection: socket.socket, carrier: Carrier) -> None:
        """
        @param connection: connected and non-blocking; closed by L{close}.
        """
        super().__init__(loop, connection.fileno(), connection)
        self._carrier = carrier
        self._buffer = ReceiveBuffer()
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._deadline = loop.callLater(limits.HANDSHAKE_TIMEOUT, self._late)
        self._reads = self._taken = 0
        self.isOpen = False
        carrier.channelMade(self)

    def close(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        self.isOpen = False
        super().close()

    def lose(self, reason: str) -> None:
        """
        It is broken, or as good as that.
        """
        if not self.isClosed:
            self.close()
            self._carrier.channelLost(self, reason)

    def signs(self) -> tuple[int, int]:
        """
        @return: two numbers of which one has changed if bytes have come meanwhile, or if
            the peer's kernel has taken some while ours could take no more.
        """
        taken = self._taken - unacknowledged(self._fd) if self.unsent else 0
        return self._reads, taken

    def pump(self) -> None:
        """
        Send what the stream has, as far as peer and kernel take it.
        """
        if self._sealer is None or not self._carrier.carries(self):
            return
        stream = self._carrier.stream
        while self.unsent < limits.UNSENT_BYTES and not self._ending:
            record = stream.nextRecord()
            if record is None:
                return
            self._emit(self._sealer, DATA, *record)

    def acknowledge(self) -> None:
        """
        Tell what has been delivered, and what may be sent.
        """
        if self._sealer is not None:
            position, limit = self._carrier.stream.acknowledgement()
            self._emit(self._sealer, ACK, position, LIMIT.pack(limit))

    def ping(self) -> None:
        """
        Show that we live.
        """
        if self._sealer is not None:
            self._emit(self._sealer, PING, 0)

    # -- events -------------------------------------------------------------

    def doRead(self) -> None:
        try:
            count = os.readv(self._fd, [self._buffer.space()])
        except BlockingIOError:
            return
        except OSError as e:
            self.lose(f"the connection broke ({e.strerror})")
            return
        if not count:
            self.lose("the other end closed the connection")
            return
        self._buffer.filled(count)
        self._reads += 1
        try:
            self._read()
        except RvgahpError as e:
            self._carrier.isRefused |= isinstance(e, (StreamOver, StreamBroken))
            self._carrier.problem = str(e)
            self.lose(str(e))

    def progressed(self, count: int) -> None:
        self._taken += count
        if self._writing and self.unsent < limits.UNSENT_BYTES and self.isOpen:
            self.pump()
            self._carrier.pumped()

    def readEnded(self, problem: str) -> None:
        self.lose(problem or "the other end closed the connection")

    def writeFailed(self, problem: str) -> None:
        self.lose(f"the connection broke ({problem})")

    # -- inside -------------------------------------------------------------

    def _emit(self, sealer: Sealer, kind: int, position: int, body: Buffer = b"") -> None:
        try:
            self.write(sealer.seal(kind, position, body))
        except ProtocolError as e:
            self._fail(str(e))

    def _read(self) -> None:
        while self._opener is None:
            body, taken = takeMessage(self._buffer.view())
            if body is None:
                return
            self._buffer.drop(taken)
            self._message(body)
            if self.isClosed:
                return
        self._records(self._opener)

    def _message(self, body: bytes) -> None:
        raise NotImplementedError

    def _records(self, opener: Opener) -> None:
        frames = []
        try:
            for kind, position, body in opener.read(self._buffer.view()):
                self._carrier.heard(self)
                if self.isClosed:
                    return
                if kind == DATA:
                    frames += self._carrier.stream.receive(position, body)
                elif kind == ACK:
                    if len(body) != LIMIT.size:
                        raise ProtocolError("An acknowledgement of unknown form came.")
                    self._carrier.acknowledged(position, LIMIT.unpack(body)[0])
                elif body:
                    raise ProtocolError("A ping of unknown form came.")
            self._buffer.drop(opener.consumed)
        finally:
            # What was read before a bad record is good.
            if frames:
                self._carrier.framesReceived(frames)

    def _establish(self, keys: ChannelKeys) -> None:
        """
        The handshake is done, and the stream is to go on here.

        @raise ProtocolError: it went on over a newer channel meanwhile, or the
            peer's offset makes no sense.
        """
        if self.generation <= self._carrier.generation:
            raise ProtocolError(f"a newer channel than generation {self.generation} is in use")
        self._carrier.stream.resume(keys.peerReceived, keys.peerLimit)
        self._deadline.cancel()
        self._sealer = Sealer(keys.outcome, keys.sending)
        self._opener = Opener(keys.outcome, keys.receiving)
        self.isOpen = True

    def _late(self) -> None:
        self.lose(f"its handshake was not complete after {limits.HANDSHAKE_TIMEOUT:.0f} s")


class DialingChannel(Channel):
    """
    The CE's end.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        carrier: Carrier,
        session: SecuritySession,
        number: int,
        kind: int,
        generation: int,
        ticket: bytes,
        unanswered: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param connection: connected to the proxy's port.
        @param number: the stream's.
        @param ticket: opens the gate.  B{Secret} until it is used.
        @param unanswered: called when it ends with no answer: lost, or given up after a while.
        """
        self._unanswered: Callable[[], object] | None = unanswered
        self._patientUntil = loop.seconds() + limits.SPARE_DIAL_DELAY
        super().__init__(loop, connection, carrier)  # closes it at once where all is over
        self.generation = generation
        stream = carrier.stream
        self._dialer = Dialer(session, number, kind, generation, stream.received, stream.limit())
        version = limits.CHANNEL_VERSION.to_bytes(2, "big")
        self.write([limits.MAGIC + version + ticket, self._dialer.dial()])
        self.resumeReading()

    def lose(self, reason: str) -> None:
        self._patientUntil = 0.0
        super().lose(reason)

    def close(self) -> None:
        super().close()
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None and self._loop.seconds() >= self._patientUntil:
            unanswered()

    def _message(self, body: bytes) -> None:
        self._unanswered = None
        confirm, keys = self._dialer.answered(body)
        self._establish(keys)
        self.write([confirm])
        self._carrier.channelOpened(self)


class AnsweringChannel(Channel):
    """
    The client's end.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        carrier: Carrier,
        keys: SessionKeys,
        number: int,
        kind: int,
        lastGeneration: int,
    ) -> None:
        """
        @param connection: handed over by the proxy, not a byte read.
        @param lastGeneration: the stream's last confirmed one, 0 if none.
        """
        super().__init__(loop, connection, carrier)
        self._keys = keys
        self._names = number, kind
        self._lastGeneration = lastGeneration
        self._answerer: Answerer | None = None
        self.resumeReading()

    def _message(self, body: bytes) -> None:
        if self._answerer is not None:
            self._establish(self._answerer.confirmed(body))
            self._carrier.channelOpened(self)
            return
        dial = Dial(body)
        session = self._keys.find(dial.keyNumber)
        if session is None or dial.sessionId != session.sessionId or not dial.verify(session):
            raise ProtocolError("a Dial came that proves no knowledge of the session key")
        reason, sentence = self._objection(dial, session)
        if reason:
            self._refuse(dial, session, reason, sentence)
        self.generation = dial.generation
        stream = self._carrier.stream
        try:
            self._answerer = Answerer(session, dial, stream.received, stream.limit())
        except PolicyConflict as e:
            self._refuse(dial, session, POLICY, str(e))
            raise
        self.write([self._answerer.accept()])

    def _objection(self, dial: Dial, session: SecuritySession) -> tuple[int, str]:
        if dial.version != limits.CHANNEL_VERSION:
            return VERSION, f"version {dial.version} of the channel protocol is not spoken here"
        if (dial.stream, dial.kind) != self._names:
            return NO_STREAM, f"stream {dial.stream} is not the one that was announced"
        ended = self._keys.objection(session, self._loop.seconds())
        if ended:
            return KEY_NUMBER, ended
        if dial.generation <= max(self._lastGeneration, self._carrier.generation):
            return STALE_GENERATION, f"generation {dial.generation} has been before"
        return 0, ""

    def _refuse(self, dial: Dial, session: SecuritySession, reason: int, sentence: str) -> None:
        self.write([refusal(session, dial, reason, sentence)])
        raise ProtocolError(sentence)
