"""
Many connections and calls to a proxy's UNIX socket, for tests: a program of its own, which is
another user's.

It connects as often as it may, keeps all connections open and says the same over each of them
as fast as it is let, or not at all; it says in a line of JSON when it has begun, and ends when
it is killed.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from rvgahp import localcommands
from rvgahp.boxes import encodeBox
from tests.localclient import REQUEST
from tests.procfs import PATIENCE

_ASK = {b"_ask": b"1"}
_REQUEST = localcommands.RequestGAHP.makeArguments({**REQUEST, "site": "elsewhere.example"}, None)

#: By the kind of a flood, what each connection says, whether again and again, and whether
#: what comes is read.
SAID = {
    "silence": (b"", False, True),
    "calls": (encodeBox({b"_command": b"DescribeProxy", **_ASK}) * 100, True, True),
    "calls, unread": (encodeBox({b"_command": b"DescribeProxy", **_ASK}) * 100, True, False),
    "requests": (encodeBox({**_REQUEST, b"_command": b"RequestGAHP", **_ASK}), True, True),
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", True, True),
}

#: Connections at one time.
CONNECTIONS = 2000

#: How long the kernel waits for a connection to be accepted: seconds and microseconds.
_PATIENCE = struct.pack("ll", 10, 0)


class _Flood:
    def __init__(self, kind: str, path: str) -> None:
        self._said, self._again, self._reads = SAID[kind]
        self._path = path
        self._poll = select.poll()
        self._open: dict[int, socket.socket] = {}

    def run(self) -> None:
        while len(self._open) < CONNECTIONS and self._connect(isPatient=True):
            pass
        print(json.dumps({"connections": len(self._open)}), flush=True)
        while True:
            for fd, event in self._poll.poll(1000):
                self._serve(fd, event)
            if len(self._open) < CONNECTIONS:
                self._connect()

    def _connect(self, isPatient: bool = False) -> bool:
        """
        @param isPatient: whether to wait where the proxy has too many connections to accept.
            Python's own time limits do not: with them the kernel says that at once.
        @return: whether there is one more.
        """
        connection = socket.socket(socket.AF_UNIX)
        if isPatient:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        else:
            connection.setblocking(False)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            return False
        connection.setblocking(False)
        self._open[connection.fileno()] = connection
        wanted = (select.POLLOUT if self._said else 0) | (select.POLLIN if self._reads else 0)
        self._poll.register(connection, wanted)
        return True

    def _serve(self, fd: int, event: int) -> None:
        connection = self._open[fd]
        try:
            if event & select.POLLIN and not connection.recv(1 << 16):
                raise ConnectionError
            if event & (select.POLLHUP | select.POLLERR):
                raise ConnectionError
            if event & select.POLLOUT:
                connection.send(self._said)
        except BlockingIOError:
            pass
        except OSError:
            self._poll.unregister(fd)
            self._open.pop(fd).close()


class LocalFlooder:
    """
    The program, as a test has it.
    """

    def __init__(self, kind: str, path: str, uid: int) -> None:
        """
        Start it, and wait until it has begun.

        @param kind: of L{SAID}.
        @param uid: whose it becomes before it connects.
        """
        root = str(Path(__file__).parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.localflooder", kind, path, str(uid)],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert self._process.stdout is not None
        self.connections = json.loads(self._process.stdout.readline())["connections"]

    def close(self) -> None:
        """
        End it, and its connections.
        """
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 100, CONNECTIONS + 100))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[3]))
    _Flood(sys.argv[1], sys.argv[2]).run()
