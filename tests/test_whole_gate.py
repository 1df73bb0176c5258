"""
Real processes: whatever comes to the proxy's port that is neither a CE nor a channel
with a good ticket is closed, and harms nobody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from random import Random

from rvgahp import limits
from tests.procfs import PATIENCE, residentBytes, waitFor
from tests.programs import PROMPT, SOAK, gahp
from tests.relay import Connection
from tests.wholecase import PlaygroundTestCase

_VERSION = b"\x00\x01"


class GateTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat", "slow": gahp("slow")}
    relayed = True

    def setUp(self) -> None:
        super().setUp()
        self.relay = self.playground.relay
        self.relay.forget()

    def dial(self, said: bytes = b"") -> socket.socket:
        """
        @return: a connection to the proxy's port over which C{said} was sent.
        """
        connection = socket.create_connection(("127.0.0.1", self.playground.sandbox.port))
        self.addCleanup(connection.close)
        connection.settimeout(PATIENCE)
        connection.sendall(said)
        return connection

    def assertClosed(self, connection: socket.socket) -> None:
        """
        The proxy closes the connection, without a word and promptly.
        """
        started = time.monotonic()
        try:
            self.assertEqual(connection.recv(1000), b"")
        except ConnectionResetError:
            pass
        self.assertLess(time.monotonic() - started, PROMPT)


class GarbageTests(GateTestCase):
    """
    What is no connection of ours.
    """

    def test_garbage(self) -> None:
        """
        Other protocols, random bytes, our protocol in another version, a ticket that
        nobody gave out, TLS that is none: closed at once, with a line in the log where it
        is worth one.
        """
        seed = int.from_bytes(os.urandom(4), "big")
        random = Random(seed)
        print(f"\nseed {seed}")
        before = self.playground.quiet()
        for said in (
            b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x00" * 100,
            b"\xff",
            b"RVGAHQ",
            limits.MAGIC + b"\x00\x02" + bytes(16),
            limits.MAGIC + _VERSION + os.urandom(16),
            limits.MAGIC + _VERSION + bytes(16) + b"more" * 10_000,
            b"\x16\x03\x01\x00\x05hello",
            b"\x16" + b"\xff" * 100_000,
            *(b"\x16" + random.randbytes(random.randrange(5, 500)) for _ in range(20)),
        ):
            try:
                connection = self.dial(said)
            except ConnectionError:
                continue  # closed before all was said
            if said[:1] == b"\x16":
                with contextlib.suppress(OSError):  # it may be closed already
                    connection.shutdown(socket.SHUT_WR)
                while self._received(connection):
                    pass  # a TLS alert
            else:
                self.assertClosed(connection)
        log = self.playground.log("proxy")[self.before("proxy") :]
        for words in (
            "it speaks neither TLS nor our protocol",
            "it speaks version 2 of our protocol",
            "its ticket is unknown, used or too old",
            "CE at 127.0.0.1: refused or broken off before Hello",
        ):
            self.assertIn(words, log)
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def _received(self, connection: socket.socket) -> bytes:
        try:
            return connection.recv(1000)
        except ConnectionError:
            return b""

    def test_resets(self) -> None:
        """
        Connections that are reset at once, or in the middle of their first bytes, leave
        nothing behind.
        """
        before = self.playground.quiet()
        for size in range(30):
            connection = self.dial((limits.MAGIC + _VERSION + bytes(16))[:size])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def test_silence(self) -> None:
        """
        One who says nothing, or half a ticket, or half a word, is closed after its time;
        meanwhile all others are served.
        """
        before = self.playground.quiet()
        started = time.monotonic()
        half = limits.MAGIC + _VERSION + os.urandom(8)
        silent = [self.dial(said) for said in (b"", b"R", half)]
        secured = self.dial(b"\x16\x03\x01")
        self.assertServes()
        for connection in silent:
            self.assertEqual(connection.recv(1000), b"")
            self.assertGreaterEqual(time.monotonic() - started, limits.ARRIVAL_TIMEOUT - 0.1)
        if SOAK:
            self.assertEqual(self._received(secured), b"")
            self.assertGreaterEqual(time.monotonic() - started, limits.GREETING_TIMEOUT - 0.1)
        secured.close()
        self.playground.awaitAsBefore(before)

    def test_crowd(self) -> None:
        """
        More silent connections than may wait: the oldest go, and who has something to say
        is served.
        """
        before = self.playground.quiet()
        memory = residentBytes(self.playground.proxyPid)
        crowd = [self.dial(b"RVG") for _ in range(600)]
        self.assertServes()
        crowd += [self.dial(b"\x16\x03\x01") for _ in range(600)]
        self.assertServes()
        open_ = self.playground.counts()["descriptors of the proxy"]
        self.assertLess(open_, before["descriptors of the proxy"] + 300)
        for connection in crowd:
            connection.close()
        self.playground.awaitAsBefore(before)
        grown = residentBytes(self.playground.proxyPid) - memory
        print(f"\nthe proxy grew by {grown >> 20} MiB")
        self.assertLess(grown, 64 << 20)


class TicketTests(GateTestCase):
    """
    Tickets: once, and for their session only.
    """

    def _withhold(self) -> None:
        """
        Cut the first data connection that comes before the proxy sees a byte of it: its
        ticket stays good, and the CE dials with the next.
        """

        def arrived(connection: Connection) -> None:
            if connection.isData and connection.number == 0:
                connection.toProxy.cutAt = 0

        self.relay.arrived = arrived

    def test_usedTwice(self) -> None:
        """
        A channel's first bytes, ticket and handshake, sent again: closed, with a line in
        the log, and the session goes on.
        """
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        said = bytes(self.relay.awaitData(1).toProxy.kept)
        self.assertEqual(said[: len(limits.MAGIC)], limits.MAGIC)
        for part in (said, said[: limits.PREAMBLE_BYTES]):
            self.assertClosed(self.dial(part))
        self.playground.awaitLog("proxy", "its ticket is unknown, used", self.before("proxy"))
        output, errors = client.communicate(b"again\n", timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 1 again\n"), output)

    def test_nextTicket(self) -> None:
        """
        A connection that breaks before it reaches the proxy costs a moment: the CE dials
        again with its next ticket.
        """
        self._withhold()
        run = self.playground.run("cat", b"text\n")
        self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))
        self.assertEqual(len(self.relay.data()), 2)

    def test_replayed(self) -> None:
        """
        An eavesdropper with a good ticket of a running session, and all that its CE said
        on that or another channel, gets nothing of it: a refusal or nothing, byte by byte
        or at once; the session goes on.
        """
        self._withhold()
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        withheld = bytes(self.relay.awaitData(1).toProxy.kept)
        later = bytes(self.relay.awaitData(2).toProxy.kept)
        connection = self.dial()
        for number in range(limits.PREAMBLE_BYTES):
            connection.sendall(withheld[number : number + 1])
        # A good ticket, and then the handshake and records of the running channel.
        connection.sendall(later[limits.PREAMBLE_BYTES :])
        answer = self._all(connection)
        self.assertTrue(answer == b"" or answer[6] == 4, answer)  # 4: Refusal
        self.assertNotIn(b"line", answer)
        output, errors = client.communicate(b"again\n", timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 1 again\n"), output)

    def _all(self, connection: socket.socket) -> bytes:
        received = b""
        try:
            while data := connection.recv(1000):
                received += data
        except ConnectionResetError:
            pass
        return received

    def test_stolen(self) -> None:
        """
        A ticket that is used by another before its CE can: what he says proves nothing,
        and his client ends with a sentence, if it ends; others go on.
        """

        def steal(connection: Connection) -> None:
            if connection.isData and connection.number == 0:
                connection.toProxy.delay = 0.5

        self.relay.arrived = steal
        neighbour = self.playground.client("slow")
        connection = self.relay.awaitData(1)
        said = waitFor(lambda: bytes(connection.toProxy.kept), "the ticket")
        thief = self.dial(said[: limits.PREAMBLE_BYTES] + b"\x00\x10" + os.urandom(16))
        self.assertEqual(self._all(thief), b"")
        output, errors = neighbour.communicate(b"line\n", timeout=PATIENCE)
        if neighbour.returncode:
            self.assertEqual((neighbour.returncode, output), (255, b""))
            self.assertEqual(errors.count(b"\n"), 1, errors)
        else:
            self.assertTrue(output.endswith(b" 0 line\n"), output)
        self.relay.forget()
        self.assertServes()
