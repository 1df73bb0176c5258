"""
A TCP relay for tests, between a CE and its proxy: it counts, keeps, alters, delays,
swallows, holds, trickles, refuses and cuts.

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

#: Seconds: for as long as nothing is to be done.
_LONG = 60.0


class Direction:
    """
    One direction of one connection.

    @ivar kept: what came, before it was altered; the first megabytes of it.
    @ivar flips: what is altered: masks by the offset of their byte.
    @ivar cutAt: after how many bytes the connection is cut; L{None}: it is not.
    @ivar delay: seconds for which each byte is held.
    @ivar swallows: whether bytes vanish.
    @ivar isHeld: whether bytes stay where they are, as if every packet was lost: nothing
        is read, the end is not seen, and it goes on when this is over.
    @ivar pace: seconds from one byte to the next; 0: no such limit.
    """

    def __init__(self, source: socket.socket, target: socket.socket, keeps: int) -> None:
        self.source = source
        self.target = target
        self.kept = bytearray()
        self._keeps = keeps
        self.flips: dict[int, int] = {}
        self.cutAt: int | None = None
        self.delay = self.pace = 0.0
        self.swallows = self.isHeld = False
        self.passed = 0
        self.held = 0
        self.pending: deque[tuple[float, bytes]] = deque()
        self._nextByte = 0.0
        self.sourceEnded = self.ended = False

    def take(self, data: bytes) -> None:
        """
        Bytes came from the source.
        """
        self.kept += data[: max(0, self._keeps - len(self.kept))]
        altered = bytearray(data) if self.flips else data
        for offset, mask in self.flips.items():
            if self.passed <= offset < self.passed + len(data):
                altered[offset - self.passed] ^= mask  # type: ignore[index]  # it is no bytes
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
        while self.pending and not self.isHeld:
            due, data = self.pending[0]
            left = max(due, self._nextByte) - time.monotonic()
            if left > 0:
                return left
            if self.pace:
                self._nextByte = time.monotonic() + self.pace
            try:
                count = self.target.send(data[:1] if self.pace else data)
            except BlockingIOError:
                return 0.0
            self.held -= count
            self.pending.popleft()
            if count < len(data):
                self.pending.appendleft((0.0, data[count:]))
        if self.sourceEnded and not self.ended and not self.isHeld:
            self.ended = True
            with contextlib.suppress(OSError):  # the other end was quicker
                self.target.shutdown(socket.SHUT_WR)
        return _LONG


class Connection:
    """
    One relayed connection.

    @ivar number: how many of its kind came before it.
    @ivar isData: whether it is a data connection; else it is a control connection.
    @ivar toProxy: what the CE says.
    @ivar toCE: what the proxy says, and after it the client.
    @ivar isOpen: whether both ends are there.
    @ivar known: whether its first bytes have come.
    """

    number = 0
    isData = False

    def __init__(self, ce: socket.socket, proxy: socket.socket, keeps: int) -> None:
        self.ce = ce
        self.proxy = proxy
        self.toProxy = Direction(ce, proxy, keeps)
        self.toCE = Direction(proxy, ce, keeps)
        self.isOpen = True
        self.known = False
        self.watched: dict[socket.socket, int] = {ce: 0, proxy: 0}

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
    @ivar refuses: whether new connections are reset at once.
    @ivar keeps: bytes of one direction of a new connection that are kept, at the most.
    """

    def __init__(self, keeps: int = _KEPT) -> None:
        self._port = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._port.setblocking(False)
        self.address: tuple[str, int] = self._port.getsockname()
        self.target = ("127.0.0.1", 0)
        self.arrived: Callable[[Connection], object] = lambda connection: None
        self.connections: list[Connection] = []
        self.resets = self.refuses = False
        self.keeps = keeps
        self._holds = False, False
        self._former: list[Connection] = []
        self._timed: dict[Connection, float] = {}  # when each has something to pass on
        self._orders: deque[Callable[[], object]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._port, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
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

    def live(self, isData: bool = True) -> list[Connection]:
        """
        @return: the data connections that are open, or the control connections.
        """
        return [one for one in self._open() if one.known and one.isData == isData]

    def awaitData(self, count: int) -> Connection:
        """
        @return: the data connection of that number, counted from 1, when it has come.
        """
        waitFor(lambda: len(self.data()) >= count, f"data connection {count}")
        return self.data()[count - 1]

    def forget(self) -> None:
        """
        Count connections from here on, and alter, hold and refuse nothing more.
        """
        self.arrived = lambda connection: None
        self.resets = self.refuses = False
        self.hold(False, False)
        self._ordered(self._forget)

    def _forget(self) -> None:
        self._former = self._open()
        self.connections = []

    def cut(self, connection: Connection, reset: bool = False) -> None:
        """
        Cut a connection now.
        """
        self._ordered(lambda: self._close(connection, reset))

    def hold(self, toProxy: bool = True, toCE: bool = True) -> None:
        """
        Hold either direction, or none, of all connections and of those to come.
        """

        def hold() -> None:
            self._holds = toProxy, toCE
            for one in self._open():
                one.toProxy.isHeld, one.toCE.isHeld = self._holds
                self._serve(one, {})

        self._ordered(hold)

    def alter(
        self, connection: Connection, toProxy: bool = True, toCE: bool = True, **values: float
    ) -> None:
        """
        Set C{values} of either direction of a connection, or of both.
        """

        def alter() -> None:
            ways = ((connection.toProxy, toProxy), (connection.toCE, toCE))
            for way in [way for way, isMeant in ways if isMeant]:
                for name, value in values.items():
                    setattr(way, name, value)
            if connection.isOpen:
                self._serve(connection, {})

        self._ordered(alter)

    def stop(self) -> None:
        """
        End.
        """
        self._stopping = True
        self._order(lambda: None)
        self._thread.join()
        for one in self._open():
            one.close()
        self._selector.close()
        for end in (self._port, self._wake, self._woken):
            end.close()

    def _order(self, order: Callable[[], object]) -> None:
        self._orders.append(order)
        self._wake.send(b"!")

    def _ordered(self, order: Callable[[], object]) -> None:
        """
        Have it done in the relay's thread, now.
        """
        done = threading.Event()
        self._order(order)
        self._order(done.set)
        if not done.wait(PATIENCE):
            raise AssertionError("the relay's thread does not answer")

    # -- the thread ---------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            timeout = min(self._timed.values(), default=_LONG + time.monotonic()) - time.monotonic()
            ready = {
                key.fileobj: (key.data, mask)
                for key, mask in self._selector.select(max(0.0, timeout))
            }
            if self._woken in ready:
                self._woken.recv(4096)
            while self._orders:
                self._orders.popleft()()
            if self._port in ready:
                self._accept()
            masks = {end: mask for end, (_, mask) in ready.items()}
            touched = {one for one, _ in ready.values() if one is not None}
            now = time.monotonic()
            touched.update(one for one, due in self._timed.items() if due <= now)
            for one in touched:
                if one.isOpen:
                    self._serve(one, masks)

    def _open(self) -> list[Connection]:
        return [one for one in self.all() if one.isOpen]

    def _accept(self) -> None:
        ce, _ = self._port.accept()
        try:
            if self.refuses:
                ce.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise ConnectionRefusedError
            proxy = socket.create_connection(self.target)
        except OSError:
            ce.close()
            return
        for end in (ce, proxy):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = Connection(ce, proxy, self.keeps)
        one.toProxy.isHeld, one.toCE.isHeld = self._holds
        self.connections.append(one)
        self._watch(one)

    def _watch(self, one: Connection) -> None:
        """
        Say what is waited for.
        """
        wanted = {one.ce: 0, one.proxy: 0}
        left = _LONG
        for way in (one.toProxy, one.toCE):
            if way.isHeld:
                continue
            if way.pending:
                wait = way.give()
                left = min(left, wait or _LONG)
                if not wait:
                    wanted[way.target] |= selectors.EVENT_WRITE
            if not way.sourceEnded and way.held < _HELD:
                wanted[way.source] |= selectors.EVENT_READ
        for end, events in wanted.items():
            former, one.watched[end] = one.watched[end], events
            if events and not former:
                self._selector.register(end, events, one)
            elif events != former:
                if events:
                    self._selector.modify(end, events, one)
                else:
                    self._selector.unregister(end)
        self._timed.pop(one, None)
        if left < _LONG:
            self._timed[one] = time.monotonic() + left

    def _close(self, one: Connection, reset: bool = False) -> None:
        if one.isOpen:
            self._timed.pop(one, None)
            for end, events in one.watched.items():
                if events:
                    self._selector.unregister(end)
            one.close(reset)

    def _serve(self, one: Connection, ready: Mapping[Any, int]) -> None:
        try:
            for way in (one.toProxy, one.toCE):
                if ready.get(way.source, 0) & selectors.EVENT_READ and not way.isHeld:
                    self._read(one, way)
                way.give()
            if one.toProxy.isCut() or one.toCE.isCut():
                self._close(one, self.resets)
            elif one.toProxy.ended and one.toCE.ended:
                self._close(one)
            else:
                self._watch(one)
        except OSError:
            self._close(one, reset=True)

    def _read(self, one: Connection, way: Direction) -> None:
        if way.sourceEnded:
            return
        try:
            data = way.source.recv(1 << 18)
        except BlockingIOError:
            return
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
