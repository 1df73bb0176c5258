"""
Real processes: each connection that is handed over reaches its own session's client and
no other, also while many clients do not read.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import SkipTest

from rvgahp import limits
from rvgahp.credentials import makeCECredentials
from rvgahp.handshakemessages import Dial, takeMessage
from rvgahp.policy import Policy
from rvgahp.sandbox import DOMAIN
from rvgahp.session import SecuritySession
from tests.byhand import Box, HandCE, HandClient
from tests.procfs import PATIENCE, waitFor
from tests.programs import PROMPT, SOAK
from tests.wholecase import PlaygroundTestCase

#: Hand-overs with a site that is spoken by hand, and with a real one.
_BY_HAND = 10_000 if SOAK else 600
_REAL = 10_000 if SOAK else 60

#: Clients at one time; a third of them do not read.
_AT_ONCE = 60

#: Seconds for a legitimate start meanwhile.
_START = 1.0 if SOAK else PROMPT

_OTHER = "nobody"


class Site(threading.Thread):
    """
    A site that is spoken by hand: it answers each start and dials a channel over which it
    says whose it is.

    @ivar dialled: its ends of the channels.
    """

    def __init__(self, ce: HandCE, port: int) -> None:
        super().__init__(daemon=True)
        self._ce = ce
        self._port = port
        self.dialled: list[socket.socket] = []

    def run(self) -> None:
        while True:
            try:
                box = self._ce.receive()
                if box.get(b"_command") == b"StartGAHP":
                    self._start(box)
                elif b"_ask" in box:
                    self._ce.send({b"_answer": box[b"_ask"]})
            except (EOFError, OSError):
                return

    def _start(self, box: Box) -> None:
        self._ce.send({b"_answer": box[b"_ask"], b"tunnelPort": b"0"})
        connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        self.dialled.append(connection)
        ticket = box[b"tickets"][2 : 2 + limits.TICKET_BYTES]
        token = b" ".join((box[b"session"], box[b"owner"])) + b"\n"
        connection.sendall(limits.MAGIC + b"\x00\x01" + ticket + token)

    def hangUp(self) -> None:
        """
        Close the channels.
        """
        while self.dialled:
            self.dialled.pop().close()


#: Connects to a path as another account, as often as it is asked to, and passes the
#: connections back.
_CONNECTOR = """
import array, os, socket, sys
asked = socket.socket(fileno=0)
os.setgid({gid})
os.setuid({uid})
while asked.recv(1):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    rights = array.array("i", [connection.fileno()])
    asked.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    connection.close()
"""


class Account:
    """
    An account that connects to the proxy: our own, or another where we may be another.

    @ivar name: its name.
    """

    def __init__(self, path: str, other: bool) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self.name = pwd.getpwuid(os.getuid()).pw_name
        if other and os.getuid() == 0:
            entry = pwd.getpwnam(_OTHER)
            code = _CONNECTOR.format(uid=entry.pw_uid, gid=entry.pw_gid)
            self._asks, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", code, path], stdin=theirs.fileno()
                )
            self.name = _OTHER

    def connect(self) -> HandClient:
        """
        @return: a client of this account.
        """
        if self._process is None:
            return HandClient(self._path)
        self._asks.send(b"!")
        _, numbers, _, _ = socket.recv_fds(self._asks, 1, 1)
        return HandClient(self._path, socket.socket(fileno=numbers[0]))

    def close(self) -> None:
        """
        Connect no more.
        """
        if self._process is not None:
            self._asks.close()
            self._process.wait(PATIENCE)


class HandOverTests(PlaygroundTestCase):
    """
    Many hand-overs.
    """

    gahps = {"cat": "/bin/cat"}
    proxySettings = "RVGAHP_SOCKET_MODE = 0666\n"

    def setUp(self) -> None:
        super().setUp()
        self._durations: list[float] = []
        # Another account must be able to reach the socket.
        self.playground.sandbox.directory.chmod(0o711)
        socketPath = self.playground.sandbox.socket
        self._accounts = [Account(socketPath, other) for other in (False, True)]
        for account in self._accounts:
            self.addCleanup(account.close)

    @contextmanager
    def _legitimateStarts(self) -> Iterator[None]:
        """
        Start GAHPs all the while, and measure.
        """
        ending = threading.Event()

        def start() -> None:
            while not ending.is_set():
                run = self.playground.run("cat", b"text\n")
                if (run.status, run.output, run.errors) != (0, b"text\n", ""):
                    self._durations.append(float("inf"))
                self._durations.append(run.seconds)

        thread = threading.Thread(target=start)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
        slowest = max(self._durations)
        print(f"; {len(self._durations)} starts meanwhile, the slowest {slowest:.2f} s", end="")
        self.assertLess(slowest, _START)

    def test_byHand(self) -> None:
        """
        Clients of two accounts, a third of whom do not read: each of the others gets the
        connection of its own session and account; the proxy keeps no descriptor; starts
        at another site go on.
        """
        directory = self.playground.sandbox.directory / "by-hand"
        makeCECredentials(self.playground.sandbox.directory, "by-hand", directory)
        before = self.playground.quiet()
        with HandCE(self.playground.sandbox.port, directory) as ce:
            ce.hello("by-hand")
            ce.sessions()
            ce.connection.settimeout(None)
            site = Site(ce, self.playground.sandbox.port)
            site.start()
            started = time.monotonic()
            with self._legitimateStarts():
                for _ in range(_BY_HAND // _AT_ONCE):
                    self._crowd()
                    site.hangUp()
            print(f"\n{_BY_HAND} hand-overs in {time.monotonic() - started:.1f} s", end="")
            ce.connection.shutdown(socket.SHUT_RDWR)
            site.join()
            site.hangUp()
        self.playground.awaitAsBefore(before)

    def _crowd(self) -> None:
        """
        A number of clients at once.
        """
        clients: list[tuple[HandClient, str]] = []
        for number in range(_AT_ONCE):
            account = self._accounts[number % 2]
            clients.append((account.connect(), account.name))
            clients[-1][0].postRequest("cat", "by-hand")
        for number, (client, name) in enumerate(clients):
            if number % 3:
                answer = client.receive()
                token = client.takeChannel().recv(1000)
                owner = f"{name}@{DOMAIN}".encode()
                self.assertEqual(token, answer[b"session"] + b" " + owner + b"\n")
                self.assertEqual(len(client.handed), 1)
        for client, _ in clients:
            client.close()

    def test_real(self) -> None:
        """
        The same with a real site, whose channels are known by their handshake: it proves
        knowledge of the session's key.
        """
        before = self.playground.quiet()
        batch = 20
        started = time.monotonic()
        with self._legitimateStarts():
            for _ in range(_REAL // batch):
                clients = [HandClient(self.playground.sandbox.socket) for _ in range(batch)]
                for client in clients:
                    client.postRequest("cat")
                for number, client in enumerate(clients):
                    if number % 3:
                        self._checkChannel(client)
                for client in clients:
                    client.close()
                waitFor(lambda: len(self.playground.gahpPids()) <= 2, "the end of these GAHPs")
        print(f"\n{_REAL} real hand-overs in {time.monotonic() - started:.1f} s", end="")
        self.playground.awaitNoGAHP()
        self.playground.awaitAsBefore(before)

    def test_oneAccountTooMany(self) -> None:
        """
        An account that has as many connections as it may is refused more, with a sentence;
        another is served; when they are closed so is the first.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4 * limits.LOCAL_CONNECTIONS_PER_USER:
            raise SkipTest(f"the limit of descriptors, {hard}, leaves no room for them")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        before = self.playground.quiet()
        many = []
        for _ in range(limits.LOCAL_CONNECTIONS_PER_USER):
            many.append(HandClient(self.playground.sandbox.socket))
            self.addCleanup(many[-1].close)
        for _ in range(20):
            self.assertRefused(self.playground.run("cat"), "no more are allowed")
        ours, other = self._accounts
        if other.name != ours.name:
            client = other.connect()
            self.assertIn(b"_answer", client.request("cat"))
            client.close()
        for client in many:
            client.close()
        self.playground.awaitNoGAHP()
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def _checkChannel(self, client: HandClient) -> None:
        answer = client.receive()
        name = answer[b"session"].decode()
        server = Policy.decode(answer[b"serverPolicy"].decode())
        ce = Policy.decode(answer[b"clientPolicy"].decode())
        session = SecuritySession(name, answer[b"key"], server, ce, 86400, 3000)
        connection = client.takeChannel()
        received = b""
        while takeMessage(received)[0] is None:
            received += connection.recv(1000)
        body, _ = takeMessage(received)
        assert body is not None
        dial = Dial(body)
        self.assertEqual(dial.sessionId, name)
        self.assertTrue(dial.verify(session))
