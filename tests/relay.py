"""
A TCP relay for tests, between a CE and its proxy: it counts, keeps, alters, delays,
swallows and cuts.

It runs in a thread of its own.  What is to be done with a connection is said when its
first bytes have come: L{Relay.arrived} is called with it before they are passed on.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tests.procfs import PATIENCE, waitFor

#: Bytes that one direction holds before its source must wait.
_HELD = 1 << 20

#: Bytes of one direction that are kept for tests to look at.
_KEPT = 8 << 20

_TLS_HANDSHAKE = 0x16


class Direction:
    """
    One direction of one connection.

    @ivar kept: what came, before it was altered; the first megabytes of it.
    @ivar flips: what is altered: masks by the offset of their byte.
    @ivar cutAt: after how many bytes the connection is cut; L{None}: it is not.
    @ivar delay: seconds for which each byte is held.
    @ivar swallows: whether bytes vanish.
    """

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.kept = bytearray()
        self.flips: dict[int, int] = {}
        self.cutAt: int | None = None
        self.delay = 0.0
        self.swallows = False
        self.passed = 0
        self.held = 0
        self.pending: deque[tuple[float, bytes]] = deque()
        self.sourceEnded = self.ended = False

    def take(self, data: bytes) -> None:
        """
        Bytes came from the source.
        """
        self.kept += data[: max(0, _KEPT - len(self.kept))]
        altered = bytearray(data)
        for offset, mask in self.flips.items():
            if self.passed <= offset < self.passed + len(data):
                altered[offset - self.passed] ^= mask
        if self.cutAt is not None:
            altered = altered[: max(0, self.cutAt - self.passed)]
        self.passed += len(data)
        if altered and not self.swallows:
            self.pending.append((time.monotonic() + self.delay, bytes(altered)))
            self.held += len(altered)

    def isCut(self) -> bool:
        """
        @return: whether the connection is to be cut now.
        """
        return self.cutAt is not None and self.passed >= self.cutAt and not self.pending

    def give(self) -> float:
        """
        Pass on what is due and the target takes.

        @return: seconds until more is due; 0 if it waits for the target.
        """
        while self.pending:
            due, data = self.pending[0]
            left = due - time.monotonic()
            if left > 0:
                return left
            try:
                count = self.target.send(data)
            except BlockingIOError:
                return 0.0
            self.held -= count
            self.pending.popleft()
            if count < len(data):
                self.pending.appendleft((0.0, data[count:]))
        if self.sourceEnded and not self.ended:
            self.ended = True
            with contextlib.suppress(OSError):  # the other end was quicker
                self.target.shutdown(socket.SHUT_WR)
        return 60.0


class Connection:
    """
    One relayed connection.

    @ivar number: how many of its kind came before it.
    @ivar isData: whether it is a data connection; else it is a control connection.
    @ivar toProxy: what the CE says.
    @ivar toCE: what the proxy says, and after it the client.
    @ivar isOpen: whether both ends are there.
    """

    number = 0
    isData = False

    def __init__(self, ce: socket.socket, proxy: socket.socket) -> None:
        self.ce = ce
        self.proxy = proxy
        self.toProxy = Direction(ce, proxy)
        self.toCE = Direction(proxy, ce)
        self.isOpen = True
        self.known = False

    def close(self, reset: bool = False) -> None:
        """
        Cut it; only from the relay's thread.

        @param reset: by RST; else by FIN.
        """
        self.isOpen = False
        for one in (self.ce, self.proxy):
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


class Relay:
    """
    Listens where the kernel likes.

    @ivar target: where it dials; set it before the first connection.
    @ivar arrived: called in the relay's thread with each L{Connection} when its first
        bytes have come.
    @ivar connections: all that came, in order.
    @ivar resets: whether what is cut is cut by RST.
    """

    def __init__(self) -> None:
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.setblocking(False)
        self.address: tuple[str, int] = self._port.getsockname()
        self.target = ("127.0.0.1", 0)
        self.arrived: Callable[[Connection], object] = lambda connection: None
        self.connections: list[Connection] = []
        self.resets = False
        self._former: list[Connection] = []
        self._orders: deque[Callable[[], object]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- for tests ----------------------------------------------------------

    def all(self) -> list[Connection]:
        """
        @return: those that are open, and those that came since L{forget}.
        """
        return [*self._former, *self.connections]

    def data(self) -> list[Connection]:
        """
        @return: the data connections that came.
        """
        return [one for one in self.connections if one.known and one.isData]

    def control(self) -> list[Connection]:
        """
        @return: the control connections that came.
        """
        return [one for one in self.connections if one.known and not one.isData]

    def awaitData(self, count: int) -> Connection:
        """
        @return: the data connection of that number, counted from 1, when it has come.
        """
        waitFor(lambda: len(self.data()) >= count, f"data connection {count}")
        return self.data()[count - 1]

    def forget(self) -> None:
        """
        Count connections from here on, and alter nothing more.
        """
        self.arrived = lambda connection: None
        self.resets = False
        forgotten = threading.Event()
        self._order(self._forget)
        self._order(forgotten.set)
        if not forgotten.wait(PATIENCE):
            raise AssertionError("the relay's thread does not answer")

    def _forget(self) -> None:
        self._former = self._open()
        self.connections = []

    def cut(self, connection: Connection, reset: bool = False) -> None:
        """
        Cut a connection now.
        """

        def close() -> None:
            if connection.isOpen:
                connection.close(reset)

        self._order(close)
        waitFor(lambda: not connection.isOpen, "the cut")

    def stop(self) -> None:
        """
        End.
        """
        self._stopping = True
        self._order(lambda: None)
        self._thread.join()
        for one in self._open():
            one.close()
        for end in (self._port, self._wake, self._woken):
            end.close()

    def _order(self, order: Callable[[], object]) -> None:
        self._orders.append(order)
        self._wake.send(b"!")

    # -- the thread ---------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            with selectors.PollSelector() as selector:
                selector.register(self._port, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                timeout = 60.0
                for one in self._open():
                    try:
                        timeout = min(timeout, self._watch(selector, one))
                    except OSError:  # an end is gone already
                        one.close(reset=True)
                ready = {key.fileobj: mask for key, mask in selector.select(timeout)}
            if self._woken in ready:
                self._woken.recv(4096)
            while self._orders:
                self._orders.popleft()()
            if self._port in ready:
                self._accept()
            for one in self._open():
                self._serve(one, ready)

    def _open(self) -> list[Connection]:
        return [one for one in self.all() if one.isOpen]

    def _accept(self) -> None:
        ce, _ = self._port.accept()
        try:
            proxy = socket.create_connection(self.target)
        except OSError:
            ce.close()
            return
        for one in (ce, proxy):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.append(Connection(ce, proxy))

    def _watch(self, selector: selectors.BaseSelector, one: Connection) -> float:
        """
        @return: seconds until something is due.
        """
        wanted = {one.ce: 0, one.proxy: 0}
        timeout = 60.0
        for way in (one.toProxy, one.toCE):
            left = way.give() if way.pending else 60.0
            if left:
                timeout = min(timeout, left)
            else:
                wanted[way.target] |= selectors.EVENT_WRITE
            if not way.sourceEnded and way.held < _HELD:
                wanted[way.source] |= selectors.EVENT_READ
        for end, events in wanted.items():
            if events:
                selector.register(end, events)
        return timeout

    def _serve(self, one: Connection, ready: Mapping[Any, int]) -> None:
        try:
            for way in (one.toProxy, one.toCE):
                if ready.get(way.source, 0) & selectors.EVENT_READ:
                    self._read(one, way)
                way.give()
            if one.toProxy.isCut() or one.toCE.isCut():
                one.close(self.resets)
            elif one.toProxy.ended and one.toCE.ended:
                one.close()
        except OSError:
            one.close(reset=True)

    def _read(self, one: Connection, way: Direction) -> None:
        data = way.source.recv(1 << 18)
        if not data:
            way.sourceEnded = True
            return
        if not one.known:
            one.isData = data[0] != _TLS_HANDSHAKE
            kind = self.data() if one.isData else self.control()
            one.number = len(kind)
            self.arrived(one)
            one.known = True
        way.take(data)
