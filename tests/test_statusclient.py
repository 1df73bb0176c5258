"""
Tests of L{rvgahp.statusclient}: daemons that are none, and do not behave.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol

from rvgahp import statusclient
from rvgahp.errors import RvgahpError
from tests.privatereactor import ReactorTestCase

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


class Odd(Protocol):
    """
    Answers the same, whatever is asked, and ends the connection, or does not.
    """

    factory: Any
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.factory.asked += data
        for piece in self.factory.answer:
            self.transport.write(piece)
        if self.factory.ends:
            self.transport.loseConnection()

    def connectionMade(self) -> None:
        self.factory.open.append(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.open.remove(self)


class OddFactory(Factory):
    """
    @ivar answer: what is answered, in pieces.
    @ivar ends: whether the connection is closed after that.
    @ivar open: the connections.
    @ivar asked: what was asked.
    """

    protocol = Odd
    noisy = False

    def __init__(self) -> None:
        self.answer: list[bytes] = []
        self.ends = True
        self.open: list[Odd] = []
        self.asked = b""


class AskTests(ReactorTestCase):
    """
    What is said where no answer comes, or none of a daemon's.
    """

    def setUp(self) -> None:
        # The first port of a process keeps a descriptor for when there are none; so that it is
        # not counted, it is kept before.
        tcp._reservedFD.reserve()
        super().setUp()
        self.directory = directory = tempfile.mkdtemp(prefix="rvgahp-")
        self.path = str(Path(directory) / "s")
        self.factory = OddFactory()
        self.port = self.reactor.listenUNIX(self.path, self.factory)

    def tearDown(self) -> None:
        for one in self.factory.open:
            one.transport.abortConnection()
        self.until(lambda: not self.factory.open)
        self.resultOf(maybeDeferred(self.port.stopListening))
        self.turn()
        shutil.rmtree(self.directory)
        super().tearDown()

    def ask(self, path: str = "") -> Any:
        """
        @return: the answer, or what was said in its place.
        """

        async def said() -> Any:
            try:
                return await statusclient.ask(self.reactor, path or self.path, "GET", "/v1/status")
            except RvgahpError as e:
                return str(e)

        return self.resultOf(Deferred.fromCoroutine(said()))

    def test_answer(self) -> None:
        """
        A daemon's answer is it, in whatever pieces; a refusal's sentence is an error.
        """
        self.factory.answer = [HEAD, b'{"a":', b" 1}"]
        self.assertEqual(self.ask(), {"a": 1})
        self.assertTrue(self.factory.asked.endswith(b"\r\n\r\n"), self.factory.asked)
        refusal = HEAD.replace(b"200 OK", b"403 No")
        self.factory.answer = [refusal, b'{"error": "you may not"}']
        self.assertEqual(self.ask(), "you may not")
        self.factory.answer = [refusal, b"[]"]
        self.assertEqual(self.ask(), "the daemon has answered with status 403")

    def test_none(self) -> None:
        """
        Where nobody listens, why is told in the system's words.
        """
        self.assertIn("answers on /no/such (No such file or directory);", self.ask("/no/such"))

    def test_long(self) -> None:
        """
        A path that no socket can have is told as that, at once.
        """
        self.assertIn("longer than the 107 bytes", self.ask("/" + "x" * 107))

    def test_late(self) -> None:
        """
        One that says nothing, or only begins to, is waited for so long, and no longer.
        """
        self.patch(statusclient, "_TIMEOUT", 0.2)
        self.factory.ends = False
        for self.factory.answer in ([], [HEAD, b'{"a":']):
            self.assertIn("there was no answer on", self.ask())

    def test_rubbish(self) -> None:
        """
        What is no daemon is told to be none, as is one whose answer has no end.
        """
        self.patch(statusclient, "_LARGEST", 1000)
        for self.factory.answer in (
            [],
            [b"\0\1rubbish\r\n\r\n"],
            [HEAD, b"{"],
            [HEAD, b"\xff"],
            [HEAD, b" " * 500, b" " * 501 + b"{}"],
        ):
            words = f"what answers on {self.path} is no daemon of rvgahp's"
            self.assertEqual(self.ask(), words, repr(self.factory.answer))
        self.factory.answer = [HEAD, b" " * 998 + b"{}"]
        self.assertEqual(self.ask(), {})
