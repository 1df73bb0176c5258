"""
A site that is spoken by hand and means ill: it has a good certificate and the keys of the
sessions that it is given, and dials the channels that a test wants.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
import time
from collections import deque
from typing import Any

from rvgahp import frames, limits
from rvgahp.credentials import makeCECredentials
from rvgahp.frames import Frame, FrameReader, encodeFrame
from rvgahp.handshake import Dialer
from rvgahp.handshakemessages import GAHP_STREAM, TUNNEL_STREAM, takeMessage
from rvgahp.policy import Policy
from rvgahp.records import ACK, DATA, LIMIT, PING, Opener, Sealer
from rvgahp.session import SecuritySession
from tests.byhand import Box, HandCE
from tests.playground import Playground
from tests.procfs import PATIENCE

#: Its name.
SITE = "by-hand"

#: What the client may send it, whether it is read or not.
_UNLIMITED = 1 << 40


class HandChannel:
    """
    The CE's end of a channel, and the stream that begins on it.

    @ivar connection: the socket.
    """

    def __init__(
        self,
        port: int,
        ticket: bytes,
        session: SecuritySession,
        number: int,
        kind: int = TUNNEL_STREAM,
        generation: int = 1,
        limit: int = _UNLIMITED,
    ) -> None:
        """
        @param port: the proxy's.
        @param limit: how much the client may send.
        """
        self.connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._dialer = Dialer(session, number, kind, generation, 0, limit)
        preamble = limits.MAGIC + limits.CHANNEL_VERSION.to_bytes(2, "big") + ticket
        self.connection.sendall(preamble + self._dialer.dial())
        self._buffer = bytearray()
        self._reader = FrameReader()
        self._frames: deque[Frame] = deque()
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._end = self._received = 0

    def shakeHands(self) -> None:
        """
        Do the rest of the handshake.

        @raise rvgahp.errors.ChannelLost: the client has refused.
        @raise EOFError: the other end has closed it.
        """
        while True:
            body, taken = takeMessage(self._buffer)
            if body is not None:
                break
            self._fill()
        del self._buffer[:taken]
        confirm, keys = self._dialer.answered(body)
        self._sealer = Sealer(keys.outcome, keys.sending)
        self._opener = Opener(keys.outcome, keys.receiving)
        self.connection.sendall(confirm)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """
        Send a frame.
        """
        self.sendBytes(encodeFrame(kind, payload))

    def sendBytes(self, data: bytes) -> None:
        """
        Send bytes of the stream, frames or none.
        """
        for start in range(0, len(data), limits.RECORD_DATA_BYTES):
            part = data[start : start + limits.RECORD_DATA_BYTES]
            self._emit(DATA, self._end, part)
            self._end += len(part)

    def _emit(self, kind: int, position: int, body: bytes = b"") -> None:
        assert self._sealer is not None
        self.connection.sendall(b"".join(self._sealer.seal(kind, position, body)))

    def receive(self, end: float = 0.0) -> Frame:
        """
        @param end: when to give up, by the monotonic clock; by default after a while.
        @return: the next frame, or the next part of one; the client is told that it has
            been delivered.
        @raise EOFError: there is none: the client has closed the channel.
        """
        end = end or time.monotonic() + PATIENCE
        while not self._frames:
            if time.monotonic() > end:  # pings come all the while
                raise AssertionError("the client neither sends a frame nor closes the channel")
            self._fill()
            self._read()
        return self._frames.popleft()

    def _fill(self) -> None:
        try:
            data = self.connection.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("the other end has closed the channel")
        self._buffer += data

    def _read(self) -> None:
        assert self._opener is not None
        held = bytes(self._buffer)
        before = self._received
        for kind, _, body in self._opener.read(memoryview(held)):
            if kind == DATA:
                self._received += len(body)
                self._frames.extend(self._reader.read(body))
        del self._buffer[: self._opener.consumed]
        self._emit(PING, 0)
        if self._received > before:
            self._emit(ACK, self._received, LIMIT.pack(self._received + _UNLIMITED))

    def awaitEnd(self) -> None:
        """
        Read, and answer nothing.

        @raise EOFError: the other end has closed it.
        """
        while True:
            self._fill()

    def ends(self) -> list[Frame]:
        """
        @return: the frames that come until the client closes the channel.
        """
        found = []
        end = time.monotonic() + PATIENCE
        try:
            while True:
                found.append(self.receive(end))
        except EOFError:
            return found

    def failure(self) -> str:
        """
        @return: why the client has ended the tunnel; it does so now.
        """
        found = self.ends()
        assert found and found[-1].kind == frames.FAILED, found
        return bytes(found[-1].payload).decode("utf-8", "replace")

    def close(self) -> None:
        """
        Close it.
        """
        self.connection.close()


class HandGAHP(threading.Thread):
    """
    A GAHP at the other end of a session's first stream: it answers what it is asked, until
    its channel ends.
    """

    def __init__(self, channel: HandChannel) -> None:
        super().__init__(daemon=True)
        self._channel = channel

    def run(self) -> None:
        channel = self._channel
        held = b""
        try:
            channel.shakeHands()
            channel.send(frames.STDOUT, b"$GahpVersion: 1.0 Hand $\n")
            while True:
                frame = channel.receive(float("inf"))
                if frame.kind != frames.STDIN:
                    continue
                *lines, held = (held + bytes(frame.payload)).split(b"\n")
                for line in lines:
                    channel.send(frames.STDOUT, self._answer(line.split()))
        except (EOFError, OSError):
            pass

    @staticmethod
    def _answer(words: list[bytes]) -> bytes:
        first = words[0].upper() if words else b""
        if first == b"COMMANDS":
            return b"S ASYNC_MODE_ON COMMANDS GET_SANDBOX_PATH RESULTS VERSION\r\n"
        if first == b"RESULTS":
            return b"S 0\r\n"
        if first == b"GET_SANDBOX_PATH":
            return b"S /sandboxes/" + words[1] + b"\r\n"
        return b"S\r\n"


class HostileSite(threading.Thread):
    """
    The site.  Its control connection belongs to this thread.

    @ivar port: the proxy's.
    @ivar tunnelPorts: what the next starts are answered; the last one stays.
    @ivar wished: the tunnel ports that were asked for.
    """

    def __init__(self, playground: Playground, tunnelPorts: list[bytes]) -> None:
        super().__init__(daemon=True)
        directory = playground.sandbox.directory / SITE
        if not directory.exists():
            makeCECredentials(playground.sandbox.directory, SITE, directory)
        self.port = playground.sandbox.port
        self.tunnelPorts = tunnelPorts
        self.wished: list[int] = []
        self._channels: list[HandChannel] = []
        self._sessions: queue.Queue[SecuritySession] = queue.Queue()
        self._calls: queue.Queue[tuple[bytes, dict[str, bytes], queue.Queue[Box]]] = queue.Queue()
        self._asked: dict[bytes, queue.Queue[Box]] = {}
        self._woken, self._wake = os.pipe()
        self._ce = HandCE(self.port, directory)
        self._ce.hello(SITE)
        self._ce.sessions()
        self.start()

    # -- for tests ----------------------------------------------------------

    def session(self) -> SecuritySession:
        """
        @return: the next session that was started here.
        """
        return self._sessions.get(timeout=PATIENCE)

    def ask(self, command: bytes, **values: bytes) -> Box:
        """
        @return: the proxy's answer or refusal.
        """
        answer: queue.Queue[Box] = queue.Queue()
        self._calls.put((command, values, answer))
        os.write(self._wake, b"!")
        return answer.get(timeout=PATIENCE)

    def ticket(self, session: SecuritySession, number: int) -> bytes:
        """
        @return: a ticket for one more channel; empty if it is refused.
        """
        name = session.sessionId.encode()
        return self.ask(b"OpenChannel", session=name, stream=b"%d" % number).get(b"ticket", b"")

    def dial(
        self, session: SecuritySession, number: int, generation: int = 1, **more: Any
    ) -> HandChannel:
        """
        @return: a channel whose handshake has begun.
        """
        ticket = self.ticket(session, number)
        assert ticket, "no ticket"
        channel = HandChannel(self.port, ticket, session, number, generation=generation, **more)
        self._channels.append(channel)
        return channel

    def tunnel(self, session: SecuritySession, number: int) -> HandChannel:
        """
        @return: an open channel.
        """
        channel = self.dial(session, number)
        channel.shakeHands()
        return channel

    def endGAHP(self, session: SecuritySession) -> None:
        """
        Tell that a session is over.
        """
        name = session.sessionId.encode()
        why = b"it was ended by hand"
        self.ask(b"SessionEnded", session=name, reason=why, received=b"0", sent=b"0")

    def close(self) -> None:
        """
        End.
        """
        os.write(self._wake, b".")
        self.join(PATIENCE)
        for channel in self._channels:
            channel.close()
        self._ce.close()
        for fd in (self._wake, self._woken):
            os.close(fd)

    # -- the thread ---------------------------------------------------------

    def run(self) -> None:
        connection: Any = self._ce.connection
        while True:
            ready = select.select([connection, self._woken], [], [])[0]
            if self._woken in ready:
                for byte in os.read(self._woken, 1000):
                    if byte == ord("."):
                        return
                    command, values, answer = self._calls.get()
                    self._asked[self._ce.post(command, **values)] = answer
            try:
                if connection in ready:
                    self._obey(self._ce.receive())
                    while self._ce.holds():
                        self._obey(self._ce.receive())
            except (EOFError, OSError):
                return

    def _obey(self, box: Box) -> None:
        tag = box.get(b"_answer", box.get(b"_error", b""))
        if tag in self._asked:
            self._asked.pop(tag).put(box)
        elif box.get(b"_command") == b"StartGAHP":
            self._startGAHP(box)
        elif b"_ask" in box:
            self._ce.send({b"_answer": box[b"_ask"]})

    def _startGAHP(self, box: Box) -> None:
        port = self.tunnelPorts[0]
        del self.tunnelPorts[: len(self.tunnelPorts) > 1]
        self.wished.append(int(box[b"tunnelPort"]))
        # What it would say if it were asked where tunnels go.  Nobody does.
        address = {b"forwardTo": b"127.0.0.1:9", b"host": b"127.0.0.1", b"port": b"9"}
        self._ce.send({**address, b"_answer": box[b"_ask"], b"tunnelPort": port})
        session = SecuritySession(
            box[b"session"].decode(),
            box[b"key"],
            Policy.decode(box[b"serverPolicy"].decode()),
            Policy.decode("R:R:AES"),
            int(box[b"duration"]),
            int(box[b"lease"]),
            int(box[b"keyNumber"]),
        )
        ticket = box[b"tickets"][2 : 2 + limits.TICKET_BYTES]
        self._gahp = HandChannel(self.port, ticket, session, 0, GAHP_STREAM)
        self._channels.append(self._gahp)
        HandGAHP(self._gahp).start()
        self._sessions.put(session)
