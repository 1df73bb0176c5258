"""
C{rvgahp_client} as a process, with a proxy and a CE that do what a test wants.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any, BinaryIO

from rvgahp import frames, limits, localcommands
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.stream import Stream
from tests.channelends import User
from tests.privatereactor import PATIENCE, ReactorTestCase
from tests.sessions import KEY, SESSION_ID, makeSession
from tests.steppedloop import socketPair

ANSWER: dict[str, Any] = {
    "version": 1,
    "session": SESSION_ID,
    "key": KEY,
    "keyNumber": 1,
    "serverPolicy": "R:R:AES",
    "clientPolicy": "R:R:AES",
    "outcome": "encrypt",
    "method": "AES",
    "duration": 86400,
    "lease": 3000,
    "window": 1 << 24,
    "total": 1 << 28,
    "startTimeout": 10,
    "stdinLimit": 64 * 1024 * 1024,
    "callTimeout": 300,
    "responseTimeout": 20,
    "site": "site.example.edu",
    "tunnelPort": 0,
    "forwardTo": "",
}

#: Runs the client with other numbers than its own; each must be one that it has.
_PRELUDE = """
from rvgahp import frontlimits, limits, tunnellimits
for name, number in {numbers!r}.items():
    (module,) = (one for one in (limits, frontlimits, tunnellimits) if hasattr(one, name))
    setattr(module, name, number)
from rvgahp.client import main
main()
"""


class ClientTestCase(ReactorTestCase):
    """
    One client, its proxy and its CE.

    @ivar path: where the client will look.
    @ivar output: its stdout.
    @ivar environ: what it has in its environment beside ours.
    @ivar prelude: Python that it runs before its own.
    @ivar user: who uses the CE's end of the stream.
    @ivar ce: the CE's end.
    """

    def setUp(self) -> None:
        """
        Listen where the client will look.
        """
        super().setUp()
        self.output: int | BinaryIO = subprocess.PIPE
        self.environ: dict[str, str] = {}
        self.prelude = ""
        self.directory = tempfile.mkdtemp()
        self.path = os.path.join(self.directory, "proxy.sock")
        self.listen()
        self.process: subprocess.Popen[bytes] | None = None
        self.proxy: socket.socket | None = None
        self.boxes: list[dict[bytes, bytes]] = []
        self._reader = BoxReader(1 << 20)
        self.user = User()
        self.ce = Carrier(self.reactor, Stream(1 << 24, Budget(1 << 28)), self.user)
        self.user.carrier = self.ce

    def tearDown(self) -> None:
        """
        All go.
        """
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE)
        self.ce.close()
        if self.proxy is not None:
            self.proxy.close()
        self.port.close()
        shutil.rmtree(self.directory)
        super().tearDown()

    # -- the proxy ----------------------------------------------------------

    def listen(self) -> None:
        """
        Be there.
        """
        self.port = socket.socket(socket.AF_UNIX)
        self.port.bind(self.path)
        self.port.listen()

    def unlisten(self) -> None:
        """
        Be there no more.
        """
        self.port.close()
        os.unlink(self.path)

    def start(self, *words: str, **numbers: float) -> None:
        """
        Start a client.

        @param words: its site and GAHP, unless they do not matter.
        @param numbers: of L{limits}, C{frontlimits} and C{tunnellimits}, other than they are.
        """
        # What the test's own modules need is not for the client.
        code = self.prelude + _PRELUDE.format(numbers=numbers)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--socket", self.path, *(words or ("site", "cat"))],
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **self.environ},
        )

    def asked(self, *words: str, **numbers: float) -> dict[bytes, bytes]:
        """
        Start a client, and wait for its request.
        """
        self.start(*words, **numbers)
        return self.accepted()

    def accepted(self) -> dict[bytes, bytes]:
        """
        Wait for a client's request.
        """
        self.port.settimeout(20)
        self.proxy, _ = self.port.accept()
        self.proxy.setblocking(False)
        return self.box()

    def box(self) -> dict[bytes, bytes]:
        """
        @return: the next box that the client sends.
        """
        return self.until(lambda: self._received() or {})

    def _received(self) -> dict[bytes, bytes] | None:
        assert self.proxy is not None
        try:
            self.boxes += self._reader.read(self.proxy.recv(65536))
        except BlockingIOError:
            pass
        return self.boxes.pop(0) if self.boxes else None

    def send(self, box: dict[bytes, bytes], *handed: socket.socket) -> None:
        """
        Send a box, with sockets beside it; our copies are closed.
        """
        assert self.proxy is not None
        if handed:
            socket.send_fds(self.proxy, [encodeBox(box)], [one.fileno() for one in handed])
        else:
            self.proxy.sendall(encodeBox(box))
        for one in handed:
            one.close()

    def answer(self, **changes: Any) -> None:
        """
        Grant the request.
        """
        box = localcommands.RequestGAHP.makeResponse({**ANSWER, **changes}, None)
        self.send({**box, b"_answer": b"1"})

    def granted(self, **changes: Any) -> None:
        """
        Start a client, and grant its request.
        """
        numbers = {name: changes.pop(name) for name in list(changes) if name.isupper()}
        self.asked(**numbers)
        self.answer(**changes)

    # -- the CE -------------------------------------------------------------

    def dial(
        self, key: bytes = KEY, stream: int = 0, generation: int = 1, keyNumber: int = 1
    ) -> DialingChannel:
        """
        Dial a channel, which is handed over.
        """
        ours, theirs = socketPair()
        channel = DialingChannel(
            self.reactor,
            ours,
            self.ce,
            makeSession(key=key, keyNumber=keyNumber),
            0,
            GAHP_STREAM,
            generation,
            bytes(limits.TICKET_BYTES),
        )
        theirs.recv(limits.PREAMBLE_BYTES)
        self.send(
            {
                b"_command": b"Channel",
                b"_ask": b"7",
                b"session": SESSION_ID.encode(),
                b"stream": b"%d" % stream,
            },
            theirs,
        )
        return channel

    def running(self, **changes: Any) -> None:
        """
        Start a client, give it its channel, and wait until it has it.
        """
        self.granted(**{"ACK_DELAY": 0.0, **changes})
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.ce.send(frames.STDOUT)
        self.until(self.ce.stream.isAcknowledged)

    def exit(self, signalled: bool, value: int, sentence: str = "") -> None:
        """
        The GAHP has ended.
        """
        self.ce.send(frames.END_STDOUT)
        self.ce.send(frames.END_STDERR)
        self.ce.send(frames.EXIT, frames.encodeExit(signalled, value, sentence))

    # -- the client ---------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """
        Send the client a signal.
        """
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> tuple[int, bytes, str]:
        """
        @return: the client's exit status, and both of its outputs, when it has ended.
        """
        assert self.process is not None
        process = self.process
        self.until(lambda: process.poll() is not None)
        output, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, output, errors.decode()

    def assertFails(self, *words: str) -> None:
        """
        It ends with status 255, one sentence that has these words and names site and
        GAHP, and nothing on stdout.
        """
        status, output, errors = self.ended()
        self.assertEqual((status, output, errors.count("\n")), (255, b"", 1), errors)
        for word in ("rvgahp_client: cat at site site: ", *words):
            self.assertIn(word, errors)
