"""
Real processes: keys that are renewed while a GAHP runs, and keys that are not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time

from rvgahp import frames, limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.credentials import makeCECredentials
from rvgahp.errors import ChannelLost
from rvgahp.handshake import Dialer
from rvgahp.handshakemessages import GAHP_STREAM, takeMessage
from rvgahp.policy import Policy
from rvgahp.session import SecuritySession, SessionKeys
from rvgahp.stream import Stream
from tests.byhand import Box, HandCE, HandClient
from tests.channelends import User
from tests.loops import Polled
from tests.playground import Playground
from tests.procfs import PATIENCE, waitFor
from tests.test_whole_secrets import SecretTestCase, ticketsOf
from tests.wholecase import PlaygroundTestCase

#: Seconds that a key is good for in these tests.
_DURATION = 2

_SITE = "by-hand"

#: Bytes written at once: all of a test's fit in one pipe.
_RANDOM = 10_000


class Site:
    """
    A site by hand, at which one GAHP runs: this test.  Its channels are our own.

    @ivar keys: the session's.
    @ivar secrets: all keys and tickets that came.
    @ivar user: who reads and writes the stream.
    """

    def __init__(self, playground: Playground) -> None:
        directory = playground.sandbox.directory / _SITE
        if not directory.exists():
            makeCECredentials(playground.sandbox.directory, _SITE, directory)
        self._port = playground.sandbox.port
        self._boxes = HandCE(self._port, directory)
        self._boxes.hello(_SITE)
        self._boxes.sessions()
        self._generation = 0
        self._driver = Polled()
        self.user = User()
        self.carrier = Carrier(self._driver.loop, Stream(1 << 20, Budget(1 << 28)), self.user)
        self.user.carrier = self.carrier
        self.secrets: list[bytes] = []

    def close(self) -> None:
        """
        Go away.
        """
        self.carrier.close()
        self._boxes.close()
        self._driver.close()

    # -- boxes --------------------------------------------------------------

    def next(self, command: bytes) -> Box:
        """
        @return: the next box with this command; pings are answered.
        """
        while True:
            box = self._boxes.receive()
            if box.get(b"_command") == command:
                return box
            if b"_ask" in box:
                self._boxes.send({b"_answer": box[b"_ask"]})

    def started(self) -> None:
        """
        A GAHP is asked for, and its first channel carries it.
        """
        box = self.next(b"StartGAHP")
        server = Policy.decode(box[b"serverPolicy"].decode())
        session = SecuritySession(
            box[b"session"].decode(),
            box[b"key"],
            server,
            Policy.decode("R:R:AES"),
            int(box[b"duration"]),
            int(box[b"lease"]),
            int(box[b"keyNumber"]),
        )
        self.keys = SessionKeys(session, time.monotonic())
        self.secrets += [box[b"key"], *ticketsOf(box)]
        self._boxes.send({b"_answer": box[b"_ask"], b"tunnelPort": b"0"})
        self.dial(ticketsOf(box)[0])

    def renewed(self, **refusal: bytes) -> None:
        """
        Take the next key, or refuse it.
        """
        box = self.next(b"RenewKey")
        self.secrets.append(box[b"key"])
        if refusal:
            named = {b"_error_" + name.encode(): value for name, value in refusal.items()}
            self._boxes.send({b"_error": box[b"_ask"], **named})
            return
        number, duration = int(box[b"keyNumber"]), int(box[b"duration"])
        self.keys.renew(box[b"key"], number, duration, time.monotonic())
        self._boxes.send({b"_answer": box[b"_ask"]})

    def ticket(self) -> bytes:
        """
        @return: a ticket for one more channel.
        """
        name = self.keys.present.sessionId.encode()
        ticket = self._boxes.ask(b"OpenChannel", session=name, stream=b"0")[b"ticket"]
        self.secrets.append(ticket)
        return ticket

    # -- channels -----------------------------------------------------------

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), PATIENCE)

    def dial(self, ticket: bytes) -> None:
        """
        A new channel, with the present key, carries the stream.
        """
        self._generation += 1
        connection = self._connect()
        connection.setblocking(False)
        DialingChannel(
            self._driver.loop,
            connection,
            self.carrier,
            self.keys.present,
            0,
            GAHP_STREAM,
            self._generation,
            ticket,
        )
        self.until(lambda: self.carrier.generation == self._generation)

    def refusal(self, ticket: bytes) -> str:
        """
        @return: why a new channel with the present key is refused.
        """
        dialer = Dialer(self.keys.present, 0, GAHP_STREAM, self._generation + 1, 0, 0)
        with self._connect() as connection:
            connection.sendall(limits.MAGIC + b"\0\1" + ticket + dialer.dial())
            data = b""
            while takeMessage(data)[0] is None:
                data += connection.recv(1000)
        body, _ = takeMessage(data)
        assert body is not None
        try:
            dialer.answered(body)
        except ChannelLost as e:
            return str(e)
        raise AssertionError("it was accepted")

    def until(self, condition: object) -> None:
        """
        Let the channels carry on until something is so.
        """
        assert callable(condition)
        self._driver.until(condition)

    def heard(self, data: bytes) -> None:
        """
        Wait until all of this has come, and nothing else.
        """
        self.until(lambda: self._stdin() == data)

    def _stdin(self) -> bytes:
        return b"".join(bytes(data) for kind, data in self.user.frames() if kind == frames.STDIN)

    def exit(self) -> None:
        """
        The GAHP has ended.
        """
        self.carrier.send(frames.END_STDOUT)
        self.carrier.send(frames.END_STDERR)
        self.carrier.send(frames.EXIT, frames.encodeExit(False, 5, ""))
        self.until(self.carrier.stream.isAcknowledged)


class RenewalTests(PlaygroundTestCase, SecretTestCase):
    """
    Sessions that outlive their keys.
    """

    gahps = {"cat": "/bin/cat"}
    proxySettings = f"RVGAHP.SEC_DEFAULT_SESSION_DURATION = {_DURATION}\n"

    def site(self) -> Site:
        """
        @return: one that the test has in hand.
        """
        site = Site(self.playground)
        self.addCleanup(site.close)
        return site

    def said(self) -> list[bytes]:
        """
        @return: what both daemons have logged in this test.
        """
        return [self.playground.log(name)[self.before(name) :].encode() for name in ("proxy", "ce")]

    def write(self, client: subprocess.Popen[bytes], data: bytes) -> None:
        """
        Write to a client.
        """
        assert client.stdin is not None
        client.stdin.write(data)
        client.stdin.flush()

    def test_stream(self) -> None:
        """
        A GAHP's stream is whole however often its key is renewed under it; both logs, and
        nothing else, tell of that.
        """
        client = self.playground.client("cat")
        assert client.stdout is not None
        for number in (2, 3, 4):
            for _ in range(20):
                data = os.urandom(_RANDOM)
                self.write(client, data)
                self.assertEqual(client.stdout.read(len(data)), data)
            for name in ("proxy", "ce"):
                line = self.playground.awaitLog(name, f"has key {number}", self.before(name))
                self.assertIn("Session ", line)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output, errors), (0, b"", b""))
        self.assertNotIn(b"not renewed", b"".join(self.said()))

    def test_newChannels(self) -> None:
        """
        With each new key a new channel opens at a client of ours, and the stream goes on
        over it, byte for byte; neither logs nor the client tell a key or a ticket.
        """
        site = self.site()
        client = self.playground.client("cat", _SITE)
        site.started()
        sent, received = b"", b""
        for number in (1, 2, 3, 4):
            if number > 1:
                site.renewed()
                site.dial(site.ticket())
            self.assertEqual(site.keys.present.keyNumber, number)
            sent += os.urandom(_RANDOM)
            self.write(client, sent[-_RANDOM:])
            site.heard(sent)
            received += os.urandom(_RANDOM)
            site.carrier.send(frames.STDOUT, received[-_RANDOM:])
        site.exit()
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (5, b""))
        self.assertEqual(output, received)
        self.assertEqual(len(set(site.secrets)), len(site.secrets))
        self.assertUntold([*self.said(), errors], site.secrets)

    def test_atCE(self) -> None:
        """
        A CE of ours has each key before the client, and tells none of them.
        """
        secrets = []
        with HandClient(self.playground.sandbox.socket) as client:
            answer = client.request("cat")
            secrets.append(answer[b"key"])
            while len(secrets) < 3:
                box = client.receive()
                client.send({b"_answer": box[b"_ask"]})
                if box[b"_command"] == b"RenewKey":
                    number = len(secrets) + 1
                    self.assertEqual(box[b"keyNumber"], b"%d" % number)
                    self.assertEqual(box[b"session"], answer[b"session"])
                    log = self.playground.log("ce")[self.before("ce") :]
                    self.assertIn(f"has key {number}", log)
                    secrets.append(box[b"key"])
        self.playground.awaitNoGAHP()
        self.assertEqual(len(set(secrets)), 3)
        self.assertUntold(self.said(), secrets)

    def test_notRenewed(self) -> None:
        """
        If the site's policy does not allow it, the key is not renewed, and the log says
        so; when its duration is over the client takes no new channel, and what runs goes
        on.
        """
        site = self.site()
        client = self.playground.client("cat", _SITE)
        site.started()
        ends = time.monotonic() + _DURATION
        site.renewed(code=b"PolicyConflict", description=b"not with us, today")
        line = self.playground.awaitLog("proxy", "not with us, today", self.before("proxy"))
        self.assertIn("key 1 is not renewed", line)
        waitFor(lambda: time.monotonic() > ends, "the end of the key")
        reason = site.refusal(site.ticket())
        self.assertIn("(reason 5)", reason)
        self.assertIn(f"key 1 of the session was good for {_DURATION} s", reason)
        self.write(client, b"still here?\n")
        site.heard(b"still here?\n")
        site.carrier.send(frames.STDOUT, b"still here\n")
        site.exit()
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output, errors), (5, b"still here\n", b""))
        self.assertUntold([*self.said(), errors], site.secrets)
