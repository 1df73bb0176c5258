"""
Real processes: boxes that no program of ours would send, to the proxy's UNIX socket, to
the proxy's port, and to a CE.
"""

from __future__ import annotations

import array
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from rvgahp import limits
from rvgahp.boxes import encodeBox
from rvgahp.credentials import makeCECredentials
from tests.byhand import Box, Boxes, HandCE, HandClient, overlongBox
from tests.procfs import PATIENCE, residentBytes
from tests.wholecase import PlaygroundTestCase

OVERLONG = 20_000_000
GROWTH = 32 << 20

SECRET = b"a secret that must not be told"

#: Boxes that are well-formed and make no sense, to whomever they are sent.
SENSELESS = (
    {b"_answer": b"1"},
    {b"_answer": b"nonesuch"},
    {b"_error": b"1"},
    {b"_error": b"1", b"_error_code": b"X", b"_error_description": b"\xff"},
    {b"something": b"else"},
    {b"_ask": b"1"},
    {b"_command": b"Nonesuch"},
    {b"_command": b"Nonesuch", b"_ask": b"1"},
    {b"_command": b"\x00" * 16_000, b"_ask": b"1"},
    {b"_command": b"\x00" * 60_000, b"_ask": b"1"},
    {b"_command": b"\xff\xfe\x1b[1m\n", b"_ask": b"\xff"},
    {b"_command": b"Hello", b"_ask": b"1"},
    {b"_command": b"Hello"},
    {b"_command": b"RequestGAHP", b"_ask": b"1"},
    {b"_command": b"RequestGAHP", b"_ask": b"2", b"versions": b"\0\x01x"},
    {b"_command": b"StartGAHP", b"_ask": b"1", b"key": SECRET, b"session": b"\xff"},
    {b"_command": b"Sessions", b"_ask": b"1", b"sessions": b"\0\x01", b"last": b"Maybe"},
    {b"_command": b"OpenChannel", b"_ask": b"1", b"session": b"s", b"stream": b"9" * 5000},
    {b"_command": b"SessionEnded", b"_ask": b"1", b"session": b"s", b"reason": b"\xff\xfe"},
    {b"_command": b"SessionEnded", b"_ask": b"2", b"session": b"s", b"received": b"9" * 5000},
    {b"_command": b"EndSession", b"_ask": b"1"},
    {b"_command": b"Ping", b"_ask": b"1", b"more": b"than was asked for"},
)


def malformed() -> Iterator[bytes]:
    """
    Generate bytes that are no boxes.
    """
    yield b"\x00\x00"
    yield b"\x01\x00" + b"k" * 256 + b"\x00\x00\x00\x00"
    yield b"\xff\xff" + b"k" * 1000
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"\nseed {seed}")
    random = Random(seed)
    for _ in range(10):
        yield random.randbytes(random.randrange(1, 2000))


class BoxTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat"}

    def push(self, boxes: Boxes, data: bytes) -> None:
        """
        Send what the other end may not care to read to its end.
        """
        try:
            boxes.connection.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass

    @contextmanager
    def bounded(self, pid: int) -> Iterator[None]:
        """
        A process grows by no more than it may, and has no more descriptors afterwards.
        """
        before = self.playground.quiet()
        memory = residentBytes(pid)
        yield
        self.assertLess(residentBytes(pid) - memory, GROWTH)
        self.playground.awaitAsBefore(before)


class LocalTests(BoxTestCase):
    """
    The proxy's UNIX socket.
    """

    def _connect(self) -> HandClient:
        client = HandClient(self.playground.sandbox.socket)
        self.addCleanup(client.close)
        return client

    def test_overlong(self) -> None:
        """
        A box of 20 MB, at once or after a request: the connection is closed, the proxy's
        log says why, and its memory does not grow.
        """
        with self.bounded(self.playground.proxyPid):
            for asksFirst in (False, True):
                start = len(self.playground.log("proxy"))
                client = self._connect()
                if asksFirst:
                    self.assertIn(b"_answer", client.request("cat"))
                self.push(client, overlongBox(OVERLONG))
                self.assertTrue(client.ends())
                self.playground.awaitLog("proxy", "A box of more than 16384 bytes came", start)
                client.close()
            self.playground.awaitNoGAHP()
        self.assertServes()

    def test_slowOverlong(self) -> None:
        """
        A box that grows byte by byte and never ends is bounded too.
        """
        client = self._connect()
        for _ in range(limits.LOCAL_BOX_BYTES // 1000 + 2):
            self.push(client, b"\x00\x01k\x03\xe4" + bytes(996))
        self.assertTrue(client.ends())

    def test_malformed(self) -> None:
        """
        Bytes that are no boxes: closed or waited for, never a bug, and others are served.
        """
        with self.bounded(self.playground.proxyPid):
            for data in malformed():
                client = self._connect()
                self.push(client, data)
                client.connection.shutdown(socket.SHUT_WR)
                self.assertTrue(client.ends(), data)
                client.close()
        self.assertServes()

    def test_senseless(self) -> None:
        """
        Boxes that make no sense: answered with a refusal or closed, never a bug.
        """
        with self.bounded(self.playground.proxyPid):
            for box in SENSELESS:
                client = self._connect()
                self.push(client, encodeBox(box))
                client.connection.shutdown(socket.SHUT_WR)
                self.assertTrue(client.ends(), box)
                client.close()
        self.assertServes()

    def test_twice(self) -> None:
        """
        A connection that asks for a second GAHP is refused that, and keeps the first.
        """
        client = self._connect()
        self.assertIn(b"_answer", client.request("cat"))
        refusal = client.request("cat")
        self.assertEqual(refusal[b"_error_code"], b"Busy")
        client.takeChannel()

    def test_descriptors(self) -> None:
        """
        Descriptors that a client sends are closed: the proxy never has them, whatever
        box they come with.
        """
        with self.bounded(self.playground.proxyPid):
            client = self._connect()
            read, write = os.pipe()
            rights = array.array("i", [write] * 50)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            for data in (b"\x00", encodeBox({b"_command": b"Nonesuch", b"_ask": b"1"})[1:]):
                client.connection.sendmsg([data], ancillary)
            self.assertEqual(client.receive()[b"_error_code"], b"UNHANDLED")
            os.close(write)
            # The pipe's end is nobody's: neither the proxy has it, nor is it on its way.
            with open(read, "rb") as pipe:
                self.assertEqual(pipe.read(), b"")
            self.assertIn(b"_answer", client.request("cat"))
            client.close()
            self.playground.awaitNoGAHP()

    def test_floods(self) -> None:
        """
        One who asks and asks and never reads the answers is no more read himself, and
        others are served.
        """
        with self.bounded(self.playground.proxyPid):
            client = self._connect()
            client.connection.settimeout(1.0)
            box = encodeBox({b"_command": b"Nonesuch", b"_ask": b"1"}) * 100
            try:
                for _ in range(1000):
                    client.connection.sendall(box)
                self.fail("all was read")
            except TimeoutError:
                pass
            self.assertServes()
            client.close()


class PortTests(BoxTestCase):
    """
    The proxy's port, from a CE that has a good certificate.
    """

    def _connect(self) -> HandCE:
        directory = self.playground.sandbox.directory / "by-hand"
        if not directory.exists():
            makeCECredentials(self.playground.sandbox.directory, "by-hand", directory)
        ce = HandCE(self.playground.sandbox.port, directory)
        self.addCleanup(ce.close)
        return ce

    def test_overlong(self) -> None:
        """
        A box of 20 MB before and after Hello: the connection is closed, the log says why,
        the memory does not grow.
        """
        with self.bounded(self.playground.proxyPid):
            for greets, size in ((False, 16384), (True, 131072)):
                start = len(self.playground.log("proxy"))
                ce = self._connect()
                if greets:
                    self.assertIn(b"_answer", ce.hello("by-hand"))
                self.push(ce, overlongBox(OVERLONG))
                self.assertTrue(ce.ends())
                self.playground.awaitLog("proxy", f"A box of more than {size} bytes came", start)
                ce.close()
        self.assertServes()

    def test_senseless(self) -> None:
        """
        What is no box, and boxes that make no sense, before and after Hello: refused or
        closed, never a bug; and no word of them in the log.
        """
        with self.bounded(self.playground.proxyPid):
            for data in malformed():
                for greets in (False, True):
                    with self._greeted(greets) as ce:
                        self.push(ce, data)
            for box in SENSELESS:
                for greets in (False, True):
                    with self._greeted(greets) as ce:
                        self.push(ce, encodeBox(box))
                        self._awaitPing(ce)
        self.assertNotIn(SECRET.decode(), self.playground.log("proxy"))
        self.assertServes()

    def _greeted(self, greets: bool) -> HandCE:
        """
        @return: a CE, which has said Hello if C{greets}.
        """
        ce = self._connect()
        if greets:
            self.assertIn(b"_answer", ce.hello("by-hand"))
            ce.sessions()
        return ce

    def _awaitPing(self, ce: HandCE) -> None:
        """
        Wait for the answer to a ping, or its refusal before Hello, which comes after all that
        went before has had its effect, or for the end of the connection.
        """
        self.push(ce, encodeBox({b"_command": b"Ping", b"_ask": b"last"}))
        try:
            answer: Box = {}
            while b"last" not in (answer.get(b"_answer"), answer.get(b"_error")):
                answer = ce.receive()
        except (EOFError, OSError):
            pass

    def _start(self, ce: HandCE) -> Box:
        """
        @return: the next StartGAHP; what ends the sessions of others may come before it.
        """
        while True:
            box = ce.receive()
            if box.get(b"_command") == b"StartGAHP":
                return box

    def test_answers(self) -> None:
        """
        A CE that answers a start with nonsense, or never: the client has a sentence.
        """
        for answer in (
            {b"tunnelPort": b"x"},
            {},
            {b"tunnelPort": b"70000"},
        ):
            with self._greeted(True) as ce:
                client = self.playground.client("cat", "by-hand")
                box = self._start(ce)
                ce.send({**answer, b"_answer": box[b"_ask"]})
                if b"70000" not in answer.values():
                    output, errors = client.communicate(timeout=PATIENCE)
                    self.assertEqual((client.returncode, output), (255, b""), errors)
                    self.assertEqual(errors.count(b"\n"), 1, errors)
                client.kill()
        with self._greeted(True) as ce:
            client = self.playground.client("cat", "by-hand")
            self._start(ce)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (255, b""), errors)
        self.assertIn(b"site by-hand was lost", errors)
