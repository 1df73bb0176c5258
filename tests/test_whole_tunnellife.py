"""
Real processes: how tunnels end, what is left of them, what they may hold, and that they
delay nothing else.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from unittest import skipUnless

from rvgahp import limits, tunnellimits
from rvgahp.budget import ASSURED_BYTES
from tests.procfs import PATIENCE, descriptors, residentBytes, threads, waitFor
from tests.programs import PROMPT, SOAK
from tests.tunnelcase import TunnelClient, TunnelTestCase, connectRequest, isBroken, receive

_MIB = 1 << 20

#: Transfers, and rounds of sixty-four at once.
_TRANSFERS = 1000 if SOAK else 250
_ROUNDS = 20 if SOAK else 3

#: Bytes of each, both ways.
_SIZE = 6000

#: Seconds without a byte: longer than any timer of HTCondor's file transfers.
_IDLE = 330 if SOAK else 5

#: Seconds of bulk.
_BULK = 20.0 if SOAK else 2.0

#: Seconds that a reply may take meanwhile.
_REPLY = 0.2


class LeftTests(TunnelTestCase):
    """
    What is left.
    """

    def _counts(self, client: TunnelClient) -> dict[str, int]:
        pid = client.process.pid
        return {
            **self.playground.counts(),
            "descriptors of the client": descriptors(pid),
            "threads of the client": threads(pid),
        }

    def _awaitAsBefore(self, client: TunnelClient, before: dict[str, int]) -> None:
        try:
            waitFor(lambda: self._counts(client) == before, "what was before")
        except AssertionError:
            raise AssertionError(f"before: {before}; now: {self._counts(client)}") from None

    def _transfer(self, client: TunnelClient) -> None:
        """
        Some KB each way, and both ends.
        """
        with ExitStack() as stack:
            site, near = self.opened(client)
            stack.enter_context(site)
            stack.enter_context(near)
            there, back = os.urandom(_SIZE), os.urandom(_SIZE)
            site.sendall(there)
            near.sendall(back)
            self.assertEqual(receive(near, _SIZE), there)
            self.assertEqual(receive(site, _SIZE), back)
            site.shutdown(socket.SHUT_WR)
            self.assertEqual(near.recv(1), b"")
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(site.recv(1), b"")

    def _memory(self, client: TunnelClient) -> dict[str, int]:
        pids = {"client": client.process.pid, "CE": self.playground.cePid}
        return {name: residentBytes(pid) for name, pid in pids.items()}

    def assertNotGrown(self, client: TunnelClient, before: dict[str, int]) -> None:
        """
        Neither client nor CE has more memory than a few tunnels may leave with the
        allocator.
        """
        grown = {name: size - before[name] for name, size in self._memory(client).items()}
        print("; ".join(f" the {name} grew by {size >> 10} KiB" for name, size in grown.items()))
        for name, size in grown.items():
            self.assertLess(size, 16 * _MIB, name)

    def test_many(self) -> None:
        """
        Hundreds of transfers in a row through one session leave no descriptor, thread or
        process, and no memory; all are logged as in good order.
        """
        client = self.tunnelled()
        for _ in range(20):
            self._transfer(client)
        line = self.playground.awaitLog("ce", "tunnel 20: over", self.before("ce"))
        session = line.partition(" Session ")[2].partition(": ")[0]
        before, memory = self._counts(client), self._memory(client)
        started = time.monotonic()
        for _ in range(_TRANSFERS):
            self._transfer(client)
        seconds = time.monotonic() - started
        print(f"\n{_TRANSFERS} transfers, {1000 * seconds / _TRANSFERS:.1f} ms each;", end="")
        self._awaitAsBefore(client, before)
        self.assertNotGrown(client, memory)
        lines = self.playground.log("ce")[self.before("ce") :].splitlines()
        over = [line for line in lines if f"{session}: tunnel" in line and ": over:" in line]
        self.assertEqual(len(over), _TRANSFERS + 20)
        for line in over:
            self.assertIn("over: in good order", line)
        self.assertEqual(client.pathOf(b"a"), b"/sandboxes/a")

    def test_manyAtOnce(self) -> None:
        """
        Sixty-four at once, again and again, some of them ended by a reset at either end,
        leave nothing.
        """
        client = self.tunnelled()
        before = self._counts(client)
        memory: dict[str, int] = {}
        for _ in range(_ROUNDS):
            ends = [self.opened(client) for _ in range(tunnellimits.TUNNELS)]
            for number, (site, near) in enumerate(ends):
                site.sendall(b"x" * _SIZE)
                near.sendall(b"y" * _SIZE)
                first, second = (site, near) if number % 2 else (near, site)
                if number % 3:  # with unread bytes it is a reset
                    receive(first, _SIZE)
                first.close()
                receive(second, _SIZE)
                second.close()
            self._awaitAsBefore(client, before)
            memory = memory or self._memory(client)
        print(f"\n{_ROUNDS} times 64 at once;", end="")
        self.assertNotGrown(client, memory)

    def test_idle(self) -> None:
        """
        A tunnel over which nothing goes stays.
        """
        client = self.tunnelled()
        site, near = self.opened(client)
        self.assertFalse(_hasSomething(near, _IDLE))
        site.sendall(b"still there")
        self.assertEqual(receive(near, 11), b"still there")
        near.sendall(b"yes")
        self.assertEqual(receive(site, 3), b"yes")


def _hasSomething(connection: socket.socket, seconds: float) -> bool:
    """
    @return: whether something comes within so many seconds.
    """
    connection.settimeout(seconds)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    finally:
        connection.settimeout(PATIENCE)
    return True


class BulkTestCase(TunnelTestCase):
    """
    What tests of bulk have in common.
    """

    def assertWhole(self, fillers: Sequence[_Filler], readers: Sequence[_Reader]) -> None:
        """
        Writers end, and each one's reader has all that it wrote.
        """
        for filler in fillers:
            filler.ending = True
        for filler in fillers:
            filler.join(PATIENCE)
            self.assertFalse(filler.is_alive())
            filler.connection.shutdown(socket.SHUT_WR)
        for filler, reader in zip(fillers, readers, strict=True):
            reader.join(PATIENCE)
            self.assertEqual(reader.received, filler.sent)


class HeldTests(BulkTestCase):
    """
    What may be held for one who does not read.
    """

    proxySettings = ceSettings = "RVGAHP_REPLAY_LIMIT = 8 MiB\nRVGAHP_REPLAY_TOTAL = 16 MiB\n"

    _TUNNELS = 16

    def test_noReader(self) -> None:
        """
        Many tunnels, full in both directions, and nobody reads: who writes is stopped,
        neither client nor CE holds more than its total, the GAHP is answered meanwhile, and
        when they are read all bytes come.
        """
        client = self.tunnelled()
        pids = {"client": client.process.pid, "CE": self.playground.cePid}
        before = {name: residentBytes(pid) for name, pid in pids.items()}
        ends = [self.opened(client) for _ in range(self._TUNNELS)]
        fillers = [_Filler(one) for pair in ends for one in pair]
        for one in fillers:
            one.start()
        waitFor(lambda: all(one.isStuck() for one in fillers), "writers that are stopped")
        self.assertEqual(client.pathOf(b"b"), b"/sandboxes/b")
        grown = {name: residentBytes(pid) - before[name] for name, pid in pids.items()}
        taken = sum(one.sent for one in fillers)
        print(f"\n{len(fillers)} writers are stopped after {taken / _MIB:.0f} MiB", end="")
        for name, size in grown.items():
            print(f"; the {name} grew by {size / _MIB:.0f} MiB", end="")
            # Each direction of each has what is assured, and the total above that; beside
            # it bytes that are sealed or opened, and the kernel takes no account.
            most = 16 * _MIB + 2 * self._TUNNELS * ASSURED_BYTES + 48 * _MIB
            self.assertLess(size, most, name)
        print()
        readers = [_Reader(one) for pair in ends for one in reversed(pair)]
        for reader in readers:
            reader.start()
        self.assertWhole(fillers, readers)


class _Filler(threading.Thread):
    """
    Writes what it can.

    @ivar sent: bytes that were taken.
    @ivar ending: it is to end.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.sent = 0
        self.ending = False
        self._last = time.monotonic()

    def run(self) -> None:
        block = bytes(_MIB // 4)
        try:
            while not self.ending:
                self.sent += self.connection.send(block)
                self._last = time.monotonic()
        except OSError:
            pass  # the test is over

    def isStuck(self) -> bool:
        """
        @return: whether nothing was taken for a while.
        """
        return time.monotonic() - self._last > 1


class _Reader(threading.Thread):
    """
    Reads to the end.

    @ivar received: bytes.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self.received = 0

    def run(self) -> None:
        try:
            while True:
                count = len(self._connection.recv(_MIB))
                self.received += count
                if not count:
                    return
        except OSError:
            pass  # bytes will be missing


class EndTests(TunnelTestCase):
    """
    How a tunnel ends before its time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.client = self.tunnelled()
        self.site, self.near = self.opened(self.client)

    def _flowing(self) -> None:
        """
        Have bytes under way.
        """
        for one in (self.site, self.near):
            one.setblocking(False)
            try:
                while True:
                    one.send(bytes(_MIB))
            except BlockingIOError:
                one.settimeout(PATIENCE)

    def assertBreaks(self, connection: socket.socket) -> None:
        """
        A connection is ended soon, and not in good order.
        """
        connection.settimeout(PROMPT)
        with self.assertRaises(ConnectionResetError):
            while connection.recv(_MIB):
                pass

    def test_clientKilled(self) -> None:
        """
        The client is killed: the connection at the site is broken promptly, and what was
        the gridmanager's ends.
        """
        self._flowing()
        self.client.process.kill()
        self.assertBreaks(self.site)
        reader = _Reader(self.near)
        reader.start()
        reader.join(PROMPT)
        self.assertFalse(reader.is_alive())

    def test_ceKilled(self) -> None:
        """
        The CE is killed: when it is there again, the gridmanager's connection is broken.
        """
        self._flowing()
        gahps = self.playground.gahpPids()
        os.kill(self.playground.cePid, signal.SIGKILL)
        for pid in gahps:
            self.assertGone(pid)
        self.playground.sandbox.ce.start()
        self.assertBreaks(self.near)

    def test_gahpGone(self) -> None:
        """
        The GAHP has ended: so have its tunnels, at both ends.
        """
        self._flowing()
        (pid,) = self.playground.gahpPids()
        os.kill(pid, signal.SIGKILL)
        self.assertBreaks(self.near)
        self.assertBreaks(self.site)

    def test_resets(self) -> None:
        """
        A reset at one end is a reset at the other.
        """
        _reset(self.near)
        self.assertBreaks(self.site)
        site, near = self.opened(self.client)
        _reset(site)
        self.assertBreaks(near)
        self.assertIn("Connection reset by peer", self.client.said())

    @skipUnless(SOAK, "the limit is of 10 s; RVGAHP_SOAK=1 asks for it")
    def test_blackHole(self) -> None:
        """
        A gridmanager that accepts nothing more, as one whose queue is full, is not waited
        for for ever.
        """
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        fill = [socket.socket() for _ in range(3)]
        for one in fill:
            self.addCleanup(one.close)
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        inherit = "4711 <{}:{}?sock=gridmanager_4711_ab12> 0 0".format(*listener.getsockname())
        client = self.tunnelled(inherit)
        site = client.connect()
        site.sendall(connectRequest())
        started = time.monotonic()
        self.assertTrue(isBroken(site, limits.DIAL_TIMEOUT + PROMPT))
        print(f"\nended after {time.monotonic() - started:.1f} s")
        self.assertIn("no answer within 10 s", client.said())

    @skipUnless(SOAK, "the limit is of 15 s; RVGAHP_SOAK=1 asks for it")
    def test_clientPaused(self) -> None:
        """
        A client that could not run for a while, when a tunnel was dialled, has tunnels
        again.
        """
        os.kill(self.client.process.pid, signal.SIGSTOP)
        late = self.client.connect()
        late.sendall(connectRequest())
        self.assertTrue(isBroken(late, tunnellimits.OPEN_TIMEOUT + PROMPT))
        self.playground.awaitLog(
            "proxy", "its client does not read", self.before("proxy"), PATIENCE
        )
        os.kill(self.client.process.pid, signal.SIGCONT)
        self.opened(self.client)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


class ShareTests(BulkTestCase):
    """
    What else there is beside bulk.
    """

    def _answered(self, client: TunnelClient, name: bytes) -> float:
        """
        @return: seconds for the answer to a command that goes to the site.
        """
        started = time.monotonic()
        self.assertEqual(client.pathOf(name), b"/sandboxes/" + name)
        return time.monotonic() - started

    def test_replies(self) -> None:
        """
        While eight tunnels carry all that they can, both ways, the GAHP is answered.
        """
        client = self.tunnelled()
        alone = sorted(self._answered(client, b"alone%d" % number) for number in range(20))
        ends = [self.opened(client) for _ in range(8)]
        fillers = [_Filler(one) for pair in ends for one in pair]
        readers = [_Reader(one) for pair in ends for one in reversed(pair)]
        for thread in (*fillers, *readers):
            thread.start()
        started = time.monotonic()
        took: list[float] = []
        while time.monotonic() < started + _BULK:
            took.append(self._answered(client, b"busy%d" % len(took)))
            time.sleep(0.02)
        seconds = time.monotonic() - started
        carried = sum(one.sent for one in fillers)
        self.assertWhole(fillers, readers)
        took.sort()
        print(
            f"\n{carried / seconds / 1e6:.0f} MB/s through 8 tunnels; {len(took)} answers, in ms:"
            f" median {1000 * took[len(took) // 2]:.0f}, of a hundred the slowest"
            f" {1000 * took[len(took) * 99 // 100]:.0f}, slowest {1000 * took[-1]:.0f};"
            f" alone {1000 * alone[len(alone) // 2]:.0f}"
        )
        if SOAK:
            self.assertLess(took[len(took) * 99 // 100], _REPLY)


class RestartTests(TunnelTestCase):
    """
    A GAHP that is started again behind the front.
    """

    def _kill(self) -> None:
        (pid,) = self.playground.gahpPids()
        os.kill(pid, signal.SIGKILL)
        self.assertGone(pid)

    def _saidWith(self, client: TunnelClient, words: str) -> str:
        return _until(client.said, lambda line: words in line)

    def test_samePort(self) -> None:
        """
        The tunnel of the next GAHP has the port that the gridmanager was told; it is not
        told again.
        """
        client = self.tunnelled()
        client.banner()  # from here on it outlives its GAHP
        port = client.sitePort
        for _ in range(3 if SOAK else 1):
            self.opened(client)
            self._kill()
            self.assertIn("started again", client.said())
            self.assertEqual(client.pathOf(b"c"), b"/sandboxes/c")
            waitFor(self.playground.gahpPids, "the next GAHP")
            self.assertEqual(client.sitePort, port)
        self.opened(client)
        client.process.terminate()
        assert client.process.stderr is not None
        self.assertNotIn(b"Allocated", client.process.stderr.read())

    def test_portTaken(self) -> None:
        """
        Where another has taken the port meanwhile, the start is refused in words that name
        it, and tried again; when the port is free, all is well.
        """
        client = self.tunnelled()
        client.banner()  # from here on it outlives its GAHP
        self._kill()
        squatter = waitFor(lambda: _bound(client.sitePort), "the port")
        assert squatter is not None
        self.addCleanup(squatter.close)
        line = self._saidWith(client, "cannot listen on")
        self.assertIn(f"port {client.sitePort}, which its gridmanager knows", line)
        self.assertIn("Address already in use", line)
        self.assertEqual(self.playground.gahpPids(), [])
        squatter.close()
        waitFor(self.playground.gahpPids, "the next GAHP")
        self.opened(client)


def _until(next: Callable[[], str], isLast: Callable[[str], bool]) -> str:
    while True:
        line = next()
        assert line, "no more lines"
        if isLast(line):
            return line


def _bound(port: int) -> socket.socket | None:
    """
    @return: a socket that listens there, if it may.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None
