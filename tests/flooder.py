"""
Many connections to a proxy's port, for tests: a program of its own, so that it takes no time
of those whom it is to disturb.

It dials as fast as it is let, from an address that is named, keeps the last of its
connections open, says in one line of JSON when it has made half of them and another when it
has made all, and ends, with its connections, when its stdin does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import ssl
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.procfs import PATIENCE

#: Connections that are kept open at one time, at the most.
KEPT = 2000

_PREAMBLE = b"RVGAHP\x00\x01" + bytes(16)

#: By the kind of a flood, what each connection says.
SAID: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "garbage": lambda: b"GET / HTTP/1.1\r\n\r\n",
    "half a ticket": lambda: _PREAMBLE[:15],
    "a ticket": lambda: _PREAMBLE[:8] + os.urandom(16),
    "half a handshake": lambda: _hello()[:100],
    "reset": lambda: b"R",
    "TLS": lambda: b"",
}


def _hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, False, "h")
    with contextlib.suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    return outgoing.read()


class _Flood:
    def __init__(self, kind: str, count: int, source: str, port: int, directory: str) -> None:
        self._kind = kind
        self._count = count
        self._source = source
        self._port = port
        self._said = SAID[kind]()
        self._kept: deque[Any] = deque()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.load_cert_chain(f"{directory}/ce.crt", f"{directory}/ce.key")

    def run(self) -> None:
        secured = 0
        for number in range(self._count):
            if number == self._count // 2:
                print(json.dumps({"made": number}), flush=True)
            try:
                secured += self._dial()
            except OSError:
                pass  # refused, or closed in the middle: so be it
        print(json.dumps({"made": self._count, "secured": secured}), flush=True)
        sys.stdin.read()

    def _dial(self) -> bool:
        connection: Any = socket.create_connection(
            ("127.0.0.1", self._port), PATIENCE, (self._source, 0)
        )
        if self._kind == "TLS":
            connection = self._context.wrap_socket(connection)
        elif self._said:
            connection.sendall(self._said)
        if self._kind == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return True
        self._kept.append(connection)
        if len(self._kept) > KEPT:
            self._kept.popleft().close()
        return True


class Flooder:
    """
    The program, as a test has it.
    """

    def __init__(self, kind: str, count: int, source: str, port: int, directory: Path) -> None:
        """
        Start it.

        @param kind: of L{SAID}.
        @param source: the address from which it dials.
        @param directory: where credentials of a CE are.
        """
        words = [kind, str(count), source, str(port), str(directory)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flooder", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )

    def awaitLine(self) -> dict[str, int]:
        """
        @return: what it says next.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line))

    def isDone(self) -> bool:
        """
        @return: whether it is no more.
        """
        return self._process.poll() is not None

    def close(self) -> None:
        """
        End it, and its connections.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process.stdin.close()
        self._process.stdout.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (KEPT + 100, resource.getrlimit(7)[1]))
    _Flood(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]).run()
