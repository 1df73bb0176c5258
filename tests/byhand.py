"""
The protocol spoken by hand, for tests that say what no program of ours would: boxes over
a UNIX socket as a client, and over TLS as a CE or as a proxy.
"""

from __future__ import annotations

import array
import os
import socket
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rvgahp.boxes import BoxReader, encodeBox
from tests.procfs import PATIENCE

if TYPE_CHECKING:
    from typing_extensions import Self

Box = dict[bytes, bytes]


def overlongBox(size: int) -> bytes:
    """
    @return: a well-formed box of about so many bytes.
    """
    value = bytes(0xFFFF)
    return encodeBox({b"key %d" % number: value for number in range(size // len(value))})


class Boxes:
    """
    A connection over which boxes go.

    @ivar connection: the socket.
    @ivar handed: the sockets that came beside boxes.
    @ivar heard: all bytes that came.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self.connection = connection
        self.handed: list[socket.socket] = []
        self.heard = b""
        self._reader = BoxReader(1 << 20)
        self._boxes: list[Box] = []
        self._tag = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close it and all that came over it.
        """
        for one in (*self.handed, self.connection):
            one.close()

    def send(self, box: Box) -> None:
        """
        Send a box.
        """
        self.connection.sendall(encodeBox(box))

    def receive(self) -> Box:
        """
        @return: the next box.
        @raise EOFError: there is none: the connection has ended.
        """
        while not self._boxes:
            data = self._read()
            if not data:
                raise EOFError("the other end has closed the connection")
            self.heard += data
            self._boxes = self._reader.read(data)
        return self._boxes.pop(0)

    def holds(self) -> bool:
        """
        @return: whether there is something to be received without another read from the
            connection.
        """
        waits = isinstance(self.connection, ssl.SSLSocket) and self.connection.pending() > 0
        return bool(self._boxes) or waits

    def _read(self) -> bytes:
        try:
            if isinstance(self.connection, ssl.SSLSocket):
                return self.connection.recv(65536)
            data, ancillary, _, _ = self.connection.recvmsg(65536, socket.CMSG_SPACE(16))
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return b""
        for _, _, rights in ancillary:
            numbers = array.array("i")
            numbers.frombytes(rights)
            for number in numbers:
                self.handed.append(socket.socket(fileno=number))
                self.handed[-1].settimeout(PATIENCE)
        return data

    def ask(self, command: bytes, **values: bytes) -> Box:
        """
        Call the other end.

        @return: the answer, or the refusal.  Other boxes that come before it are left.
        """
        tag = self.post(command, **values)
        others: list[Box] = []
        while True:
            box = self.receive()
            if tag in (box.get(b"_answer"), box.get(b"_error")):
                self._boxes = others + self._boxes
                return box
            others.append(box)

    def post(self, command: bytes, **values: bytes) -> bytes:
        """
        Call the other end, and do not wait.

        @return: the tag of the answer.
        """
        self._tag += 1
        tag = b"h%d" % self._tag
        named = {name.encode(): value for name, value in values.items()}
        self.send({b"_command": command, b"_ask": tag, **named})
        return tag

    def ends(self) -> bool:
        """
        @return: True as soon as the other end has closed; it does within a deadline.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.receive()
            except (EOFError, ssl.SSLError, OSError) as e:
                return not isinstance(e, TimeoutError)
        return False


class HandClient(Boxes):
    """
    A client at the proxy's UNIX socket.
    """

    def __init__(self, path: str, connection: socket.socket | None = None) -> None:
        """
        @param connection: connected by somebody else, to be used in place of a new one.
        """
        if connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(path)
        super().__init__(connection)

    @staticmethod
    def _request(gahp: str, site: str) -> dict[str, bytes]:
        return {
            "versions": b"\0\x011",
            "site": site.encode(),
            "gahp": gahp.encode(),
            "account": b"",
            "tunnel": b"False",
            "tunnelPort": b"0",
        }

    def request(self, gahp: str, site: str = "sandbox") -> Box:
        """
        Ask for a GAHP.

        @return: the answer, which holds the session key, or the refusal.
        """
        return self.ask(b"RequestGAHP", **self._request(gahp, site))

    def postRequest(self, gahp: str, site: str = "sandbox") -> None:
        """
        Ask for a GAHP, and do not wait.
        """
        self.post(b"RequestGAHP", **self._request(gahp, site))

    def takeChannel(self) -> socket.socket:
        """
        @return: the socket that the proxy hands over.
        """
        box = self.receive()
        if box.get(b"_command") != b"Channel":
            raise AssertionError(f"another box came: {box}")
        self.send({b"_answer": box[b"_ask"]})
        return self.handed[0]


def _context(server: bool, directory: Path, name: str) -> ssl.SSLContext:
    purpose = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.load_cert_chain(directory / f"{name}.crt", directory / f"{name}.key")
    context.load_verify_locations(directory / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class HandCE(Boxes):
    """
    A CE at the proxy's port.
    """

    def __init__(self, port: int, directory: Path, name: str = "ce", **context: Any) -> None:
        """
        @param directory: where its certificate, key and authority are.
        @param context: attributes of its TLS context.
        """
        made = _context(False, directory, name)
        for attribute, value in context.items():
            setattr(made, attribute, value)
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        try:
            secured = made.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        super().__init__(secured)
        self._isAuthenticated = False

    def authenticate(self) -> Box:
        """
        Say who we are, by our certificate.

        @return: the answer or the refusal.
        """
        self._isAuthenticated = True
        return self.ask(b"Authenticate", methods=b"\0\x03SSL", data=b"")

    def hello(self, site: str, instance: bytes = b"", policy: bytes = b"R:R:AES") -> Box:
        """
        Say Hello, and before it, if that has not been said, who we are.

        @return: the answer or the refusal.
        """
        if not self._isAuthenticated:
            self.authenticate()
        return self.ask(
            b"Hello",
            versions=b"\0\x011",
            instance=instance or os.urandom(16),
            site=site.encode(),
            software=b"a test",
            gahps=b"\0\x03cat",
            policy=policy,
        )

    def sessions(self) -> Box:
        """
        List no session; the site takes starts then.
        """
        return self.ask(b"Sessions", sessions=b"", last=b"True")


class ProxySide(Boxes):
    """
    A proxy's end of a CE's connection.
    """

    def greetCE(self) -> None:
        """
        Answer Authenticate, Hello and the CE's sessions; then it takes starts.
        """
        known = {b"method": b"SSL", b"data": b"", b"done": b"True"}
        self.send({**known, b"_answer": self.receive()[b"_ask"]})
        answer = {
            b"version": b"1",
            b"instance": bytes(16),
            b"software": b"a test",
            b"policy": b"R:R:AES",
        }
        self.send({**answer, b"_answer": self.receive()[b"_ask"]})
        self.send({b"gone": b"", b"_answer": self.receive()[b"_ask"]})

    def startGAHP(self, **changes: bytes) -> Box:
        """
        @param changes: of the arguments, which are good otherwise.
        @return: the CE's answer or refusal.
        """
        values = {
            "session": b"by-hand:%d" % self._tag,
            "key": os.urandom(32),
            "keyNumber": b"1",
            "gahp": b"cat",
            "account": b"",
            "tunnel": b"False",
            "tunnelPort": b"0",
            "owner": b"someone@submit.example.org",
            "serverPolicy": b"R:R:AES",
            "outcome": b"encrypt",
            "method": b"AES",
            "duration": b"86400",
            "lease": b"3000",
            "commands": b"\0\x04gahp",
            "tickets": b"\0\x10" + os.urandom(16),
        }
        return self.ask(b"StartGAHP", **{**values, **changes})


class HandProxy:
    """
    A proxy's port.
    """

    def __init__(self, directory: Path, name: str = "host") -> None:
        """
        @param directory: where its certificate, key and authority are.
        """
        self._context = _context(True, directory, name)
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.settimeout(PATIENCE)
        self.port: int = self._port.getsockname()[1]

    def close(self) -> None:
        """
        Listen no more.
        """
        self._port.close()

    def accept(self) -> ProxySide:
        """
        @return: the next CE's connection.
        @raise ssl.SSLError: its TLS failed.
        """
        plain, _ = self._port.accept()
        plain.settimeout(PATIENCE)
        try:
            return ProxySide(self._context.wrap_socket(plain, server_side=True))
        except BaseException:
            plain.close()
            raise
