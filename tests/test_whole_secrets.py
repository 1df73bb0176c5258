"""
Real processes: no log, no stderr and no process list ever holds a session key, a ticket
or a byte of a stream, whatever goes wrong.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from secrets import token_urlsafe

from rvgahp.credentials import makeCECredentials
from tests.byhand import Box, Boxes, HandCE, HandClient, HandProxy
from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.programs import gahp
from tests.relay import Connection, Relay
from tests.wholecase import PlaygroundTestCase, WholeTestCase

_WINDOW = 8

#: What the streams carry: random, for words might stand in anybody's process list.
_MARKER = token_urlsafe(24).encode()


def traces(secret: bytes) -> set[bytes]:
    """
    @return: what would betray a part of C{secret}, in the forms that programs print bytes
        in.
    """
    found = set()
    for start in range(len(secret) - _WINDOW + 1):
        part = secret[start : start + _WINDOW]
        found |= {part, part.hex().encode(), part.hex().upper().encode()}
        found |= {repr(part)[2:-1].encode(), str(list(part))[1:-1].encode()}
        # Whole groups of three bytes are the same letters wherever they stand.
        found.add(base64.b64encode(part[:6]))
    return found


def ticketsOf(box: Box) -> list[bytes]:
    """
    @return: the tickets in a StartGAHP.
    """
    data, tickets = box[b"tickets"], []
    while data:
        length = int.from_bytes(data[:2], "big")
        tickets.append(data[2 : 2 + length])
        data = data[2 + length :]
    return tickets


class SecretTestCase(WholeTestCase):
    """
    What these tests have in common.
    """

    def assertUntold(self, texts: Iterable[bytes], secrets: Iterable[bytes]) -> None:
        """
        None of the texts betrays any of the secrets.
        """
        wanted = {trace for secret in secrets for trace in traces(secret)}
        self.assertTrue(wanted)
        for text in texts:
            for trace in wanted:
                if trace in text:
                    at = text.index(trace)
                    self.fail(f"{trace!r} in {text[max(0, at - 300) : at + 300]!r}")

    def endOf(self, playground: Playground) -> list[bytes]:
        """
        Stop both daemons in order.

        @return: all that they have left: logs, stdout, stderr.
        """
        texts = [path.read_bytes() for path in playground.sandbox.directory.rglob("*.log")]
        for daemon in (playground.sandbox.ce, playground.sandbox.proxy):
            assert daemon.process is not None
            daemon.process.terminate()
            output, _ = daemon.process.communicate(timeout=PATIENCE)
            texts += [output, daemon.log.read_bytes()]
        self.assertIn(b"asks for", b"".join(texts))
        return texts


class TraceTests(SecretTestCase):
    """
    The search for secrets.
    """

    def test_found(self) -> None:
        """
        The search itself finds a key in each form in which one might be printed.
        """
        key = os.urandom(32)
        for text in (
            key[3:20],
            repr(key).encode(),
            repr({b"key": key}).encode(),
            key.hex().encode(),
            base64.b64encode(key),
            repr(list(key)).encode(),
        ):
            self.assertRaises(self.failureException, self.assertUntold, [b"a " + text], [key])
        self.assertUntold([b"nothing of it: ", os.urandom(32)], [key])


class WholeSystemTests(SecretTestCase):
    """
    Proxy, CE and clients of ours.
    """

    def test_streams(self) -> None:
        """
        Sessions that end well and badly: client, GAHP or channel killed, a record altered,
        a GAHP that says much on stderr; no daemon tells a byte of their streams, nor a key
        or a ticket that was seen on the way.
        """
        relay = Relay()
        gahps = {"cat": "/bin/cat", "slow": gahp("slow"), "noise": gahp("noise")}
        playground = Playground(gahps, relay=relay).start()
        self.addCleanup(playground.stop)
        secrets = [_MARKER]
        with HandClient(playground.sandbox.socket) as hand:
            secrets.append(hand.request("cat")[b"key"])
            hand.takeChannel().recv(1000)
            secrets.append(bytes(relay.awaitData(1).toProxy.kept[8:24]))
        with HandClient(playground.sandbox.socket) as hand:
            secrets.append(hand.request("slow")[b"key"])
        said = [playground.run("cat", _MARKER * 1000).errors.encode()]
        for ending in ("client", "gahp", "channel", "record"):
            said.append(self._spoil(playground, ending))
        said.append(playground.run("nonesuch", _MARKER).errors.encode())
        said += [bytes(one.toProxy.kept[24:]) for one in relay.data()]
        playground.run("noise")
        self.assertUntold([*said, *self.endOf(playground), self._processes()], secrets)

    def _spoil(self, playground: Playground, ending: str) -> bytes:
        """
        @return: what a client says whose session ends badly, in the middle of its stream.
        """
        relay = playground.relay
        relay.forget()

        def arrived(connection: Connection) -> None:
            if ending == "record" and not connection.number:
                connection.toProxy.flips = {20_000: 1}

        relay.arrived = arrived
        client = playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write((_MARKER + b"\n") * 1000)
        client.stdin.flush()
        pid = int(client.stdout.readline().split()[0])
        if ending == "client":
            client.terminate()
        elif ending == "gahp":
            os.kill(pid, signal.SIGKILL)
        elif ending == "channel":
            relay.cut(relay.awaitData(1), reset=True)
        _, errors = client.communicate(timeout=PATIENCE)
        return errors

    def _processes(self) -> bytes:
        """
        @return: command lines of all processes.
        """
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(path.read_bytes())
            except OSError:
                pass  # it has ended meanwhile
        return b"\n".join(lines)


class FailedStartTests(SecretTestCase):
    """
    A StartGAHP that fails.
    """

    def test_atProxy(self) -> None:
        """
        However a site answers a StartGAHP, or does not, neither the proxy nor the client
        tells the key or a ticket.
        """
        playground = Playground({}, "RVGAHP_START_TIMEOUT = 0.5\n").start()
        self.addCleanup(playground.stop)
        directory = playground.sandbox.directory / "by-hand"
        makeCECredentials(playground.sandbox.directory, "by-hand", directory)
        refusal = {b"_error_code": b"StartFailed", b"_error_description": b"a sentence"}
        answers: list[Box | None] = [
            refusal,
            {**refusal, b"_error_code": b"Nonesuch"},
            {**refusal, b"_error_code": b"UNKNOWN"},
            {b"tunnelPort": b"nonsense"},
            {},
            None,
        ]
        secrets, said = [], []
        for answer in answers:
            with HandCE(playground.sandbox.port, directory) as ce:
                ce.hello("by-hand")
                ce.sessions()
                box, errors = self._answered(playground, ce, answer)
            said.append(errors)
            secrets += [box[b"key"], *ticketsOf(box)]
        with HandCE(playground.sandbox.port, directory) as ce:
            ce.hello("by-hand")
            ce.sessions()
            client = playground.client("cat", "by-hand")
            box = self._start(ce)
        _, errors = client.communicate(timeout=PATIENCE)
        secrets += [box[b"key"], *ticketsOf(box)]
        self.assertEqual(len(set(secrets)), len(secrets))
        self.assertUntold([*said, errors, *self.endOf(playground)], secrets)

    def _start(self, ce: Boxes) -> Box:
        """
        @return: the next StartGAHP; what ends the sessions of others may come before it.
        """
        while True:
            box = ce.receive()
            if box.get(b"_command") == b"StartGAHP":
                return box

    def _answered(self, playground: Playground, ce: Boxes, answer: Box | None) -> tuple[Box, bytes]:
        """
        @return: a StartGAHP that was answered so, and what its client said.
        """
        client = playground.client("cat", "by-hand")
        box = self._start(ce)
        if answer is not None:
            tag = b"_error" if b"_error_code" in answer else b"_answer"
            ce.send({**answer, tag: box[b"_ask"]})
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (255, b""), errors)
        return box, errors


class HostileProxyTests(PlaygroundTestCase, SecretTestCase):
    """
    StartGAHPs to a CE of ours.
    """

    gahps = {"missing": "/no/such/program", "cat": "/bin/cat"}

    def test_atCE(self) -> None:
        """
        Whatever is wrong with a StartGAHP, the CE does not tell its key or tickets.
        """
        proxy = HandProxy(self.playground.sandbox.directory)
        self.addCleanup(proxy.close)
        settings = f"RVGAHP_CONNECT_TO = 127.0.0.1:{proxy.port}\n"
        daemon = self.playground.addCE("victim", self.gahps, settings)
        daemon.process = subprocess.Popen(
            daemon.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        secrets = []
        with proxy.accept() as boxes:
            boxes.greetCE()
            for change in (
                {},
                {"gahp": b"nonesuch"},
                {"gahp": b"missing"},
                {"outcome": b"none"},
                {"session": b"\xff"},
                {"session": b"s" * 200},
                {"keyNumber": b"x"},
                {"tunnel": b"Maybe"},
                {"serverPolicy": b"N:N:"},
                {"duration": b"9" * 5000},
            ):
                key, ticket = os.urandom(32), os.urandom(16)
                secrets += [key, ticket]
                answer = boxes.startGAHP(**{"key": key, "tickets": b"\0\x10" + ticket, **change})
                self.assertEqual(b"_error" in answer, bool(change), answer)
                self.assertUntold([repr(answer).encode()], [key, ticket])
            for key in (os.urandom(31), os.urandom(33), os.urandom(1000)):
                secrets.append(key)
                self.assertIn(b"_error", boxes.startGAHP(key=key))
        daemon.process.terminate()
        output, _ = daemon.process.communicate(timeout=PATIENCE)
        self.assertUntold([output, daemon.log.read_bytes()], secrets)
