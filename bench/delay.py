#!/usr/bin/env python3
"""
A relay that holds all that passes for a while, as a long way does.

C{delay.py SECONDS PORT...}: for each port on loopback it listens at one of its own, and
prints these in one line of JSON; it ends when its stdin does.  A new connection carries
nothing for a round trip, which TCP would need to make it on such a way.

In one process and without a thread, so that it takes no more than it must of the cores;
how fast it is in itself shows the row of plain TCP in a table that has it.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque

#: Bytes that one direction holds before its source must wait: a way of 50 ms and 1 GB/s
#: has 50 MB.
_HELD = 64 << 20

_READ = 256 << 10


class Direction:
    """
    One direction of one connection.
    """

    def __init__(self, source: socket.socket, target: socket.socket, delay: float) -> None:
        self.source = source
        self.target = target
        self._delay = delay
        self._begin = time.monotonic() + 2 * delay
        self._pending: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._sourceEnded = self.isOver = self._isBlocked = False

    def wants(self) -> tuple[int, int]:
        """
        @return: events of the source, and of the target.
        """
        reads = not self._sourceEnded and self._held < _HELD
        return select.POLLIN * reads, select.POLLOUT * self._isBlocked

    def read(self) -> None:
        """
        Take what the source has.
        """
        data = self.source.recv(_READ)
        self._sourceEnded = not data
        self._held += len(data)
        self._pending.append((max(time.monotonic(), self._begin) + self._delay, data))

    def give(self) -> float:
        """
        Pass on what is due.

        @return: seconds until more is.
        """
        self._isBlocked = False
        now = time.monotonic()
        while self._pending:
            due, data = self._pending[0]
            if due > now:
                return due - now
            if not data:
                self.target.shutdown(socket.SHUT_WR)
                self.isOver = True
                break
            try:
                count = self.target.send(data)
            except BlockingIOError:
                self._isBlocked = True
                break
            self._held -= count
            self._pending.popleft()
            if count < len(data):
                self._pending.appendleft((due, data[count:]))
        return 60.0


class Connection:
    """
    Both directions.
    """

    def __init__(self, near: socket.socket, far: socket.socket, delay: float) -> None:
        self._ends = near, far
        for one in self._ends:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways = Direction(near, far, delay), Direction(far, near, delay)

    def step(self, ready: dict[int, int], poll: select.poll) -> float:
        """
        Read what came, pass on what is due, and say what is waited for.

        @return: seconds until more is due.
        @raise OSError: it is broken.
        """
        there, back = self._ways
        for way in self._ways:
            if ready.get(way.source.fileno(), 0) & ~select.POLLOUT and way.wants()[0]:
                way.read()
        seconds = min(there.give(), back.give())
        for end, out, into in zip(self._ends, (there, back), (back, there), strict=True):
            events = out.wants()[0] | into.wants()[1]
            if events:
                poll.register(end, events)
        return seconds

    def isOver(self) -> bool:
        return all(way.isOver for way in self._ways)

    def close(self) -> None:
        for one in self._ends:
            one.close()


class Relay:
    """
    All of it.
    """

    def __init__(self, delay: float, targets: list[int]) -> None:
        self._delay = delay
        self._ports = {socket.create_server(("127.0.0.1", 0), backlog=1024): t for t in targets}
        self._connections: set[Connection] = set()

    def ports(self) -> list[int]:
        """
        @return: where it listens, in the order of the targets.
        """
        return [port.getsockname()[1] for port in self._ports]

    def run(self) -> None:
        """
        Relay until stdin ends.
        """
        ready: dict[int, int] = {}
        while sys.stdin.fileno() not in ready:
            for port, target in self._ports.items():
                if port.fileno() in ready:
                    self._accept(port, target)
            poll = select.poll()
            for end in (sys.stdin, *self._ports):
                poll.register(end, select.POLLIN)
            seconds = min([60.0, *(self._step(one, ready, poll) for one in [*self._connections])])
            ready = dict(poll.poll(seconds * 1000))

    def _step(self, connection: Connection, ready: dict[int, int], poll: select.poll) -> float:
        seconds = 60.0
        try:
            seconds = connection.step(ready, poll)
            isOver = connection.isOver()
        except OSError:
            isOver = True
        if isOver:
            connection.close()
            self._connections.discard(connection)
        return seconds

    def _accept(self, port: socket.socket, target: int) -> None:
        near, _ = port.accept()
        try:
            far = socket.create_connection(("127.0.0.1", target))
        except OSError:
            near.close()
            return
        self._connections.add(Connection(near, far, self._delay))


def main() -> None:
    """
    The program.
    """
    relay = Relay(float(sys.argv[1]), [int(word) for word in sys.argv[2:]])
    print(json.dumps(relay.ports()), flush=True)
    relay.run()


if __name__ == "__main__":
    main()
