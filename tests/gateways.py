"""
Gateways for tests: a thread each, on loopback, that speaks HTTP's CONNECT or SOCKS 5 as its own
reading of the RFCs has it, or misbehaves.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from base64 import b64decode

#: Seconds for anything.
_PATIENCE = 20.0

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Gateway:
    """
    Takes connections until it is closed.

    @ivar port: where it listens.
    @ivar targets: host and port of each that it was asked for.
    @ivar logins: user and password of each connection that had them.
    @ivar names: addresses of names.
    @ivar answer: said in place of any answer; empty: it connects.
    @ivar wants: the login without which nothing is let through.
    """

    def __init__(self, kind: str = "http") -> None:
        self._talk = self._http if kind == "http" else self._socks
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self.targets: list[tuple[str, int]] = []
        self.logins: list[bytes] = []
        self.names: dict[str, str] = {}
        self.answer = b""
        self.wants = b""
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._run)]
        self._threads[0].start()

    def close(self) -> None:
        """
        End it, and all that goes through it.
        """
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._listener.close()

    def cut(self) -> None:
        """
        End all that goes through it.
        """
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with connection, contextlib.suppress(OSError, EOFError):
            connection.settimeout(_PATIENCE)
            if self.answer:
                connection.recv(1)
                connection.sendall(self.answer)
                while connection.recv(4096):
                    pass
            else:
                self._talk(connection)
        self._open.discard(connection)

    def _http(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _read(connection, 1)
        first, *fields = head.decode("ascii").split("\r\n")
        method, target, _ = first.split(" ")
        given = dict(field.split(": ", 1) for field in fields if field)
        login = b64decode(given.get("Proxy-Authorization", "Basic ").split(" ")[1])
        if method != "CONNECT" or given["Host"] != target:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif login != self.wants:
            connection.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n")
        else:
            host, _, port = target.rpartition(":")
            self.logins += [login] if login else []
            self._connect(
                connection, host.strip("[]"), int(port), CONNECTED, b"HTTP/1.1 502 X\r\n\r\n"
            )

    def _socks(self, connection: socket.socket) -> None:
        methods = _read(connection, _read(connection, 2)[1])
        method = 2 if self.wants else 0
        if method not in methods:
            connection.sendall(b"\x05\xff")
            return
        connection.sendall(bytes([5, method]))
        if self.wants:
            user = _read(connection, _read(connection, 2)[1])
            login = user + b":" + _read(connection, _read(connection, 1)[0])
            self.logins.append(login)
            connection.sendall(bytes([1, login != self.wants]))
            if login != self.wants:
                return
        kind = _read(connection, 4)[3]
        if kind == 3:
            host = _read(connection, _read(connection, 1)[0]).decode("ascii")
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _read(connection, size))
        port = int.from_bytes(_read(connection, 2), "big")
        bound = b"\x00\x01\x7f\x00\x00\x01\x00\x50"
        self._connect(connection, host, port, b"\x05\x00" + bound, b"\x05\x05" + bound)

    def _connect(self, near: socket.socket, host: str, port: int, good: bytes, bad: bytes) -> None:
        self.targets.append((host, port))
        try:
            far = socket.create_connection((self.names.get(host, host), port), _PATIENCE)
        except OSError:
            near.sendall(bad)
            return
        self._open.add(far)
        with far:
            # What the other side says at once comes in the same segment as our answer.
            early = far.recv(4096) if select.select([far], [], [], 0.02)[0] else b""
            near.sendall(good + early)
            _relay(near, far)
        self._open.discard(far)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _relay(near: socket.socket, far: socket.socket) -> None:
    ways = {near: far, far: near}
    while True:
        for source in select.select(list(ways), [], [], _PATIENCE)[0]:
            data = source.recv(1 << 16)
            if not data:
                return
            ways[source].sendall(data)


class Listener:
    """
    Somebody who says something to each that comes, and hears what that one says.
    """

    def __init__(self, says: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._says = says
        self.heard = b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """
        End.
        """
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_PATIENCE)
                connection.sendall(self._says)
                self.heard += connection.recv(4096)
