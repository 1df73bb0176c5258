"""
Real tunnels for tests: a client whose GAHP is a C{condor_ft-gahp} as far as the front
asks, a listener where its gridmanager would be, and connections to the port at the site,
which the test makes itself: it runs as the account that the GAHP has.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import subprocess
from typing import Any

from rvgahp.sandbox import SITE
from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.programs import speaker
from tests.wholecase import PlaygroundTestCase

#: Whom the shared port is asked for.
SHARED_PORT_ID = "gridmanager_4711_ab12"

#: Answers what goes to the site, too.
GAHP = speaker("Tunnels").replace(
    "  case $line in\n",
    """\
  case $line in
    COMMANDS*) echo 'S ASYNC_MODE_ON COMMANDS GET_SANDBOX_PATH RESULTS VERSION'; continue ;;
    GET_SANDBOX_PATH*) echo "S /sandboxes/${line#* }" | tr -d '\\r'; continue ;;
""",
)

_ANNOUNCED = re.compile(
    rb"\AAllocated port ([1-9][0-9]*) for remote forward to ([0-9.]+):([0-9]+)\n"
)


def connectRequest(name: str = SHARED_PORT_ID, command: int = 75, more: int = 0) -> bytes:
    """
    @return: a SHARED_PORT_CONNECT as C{src/condor_io/shared_port_client.cpp} sends it.
    """
    body = struct.pack(">q", command) + name.encode() + b"\0" + b"FT_GAHP\0"
    body += struct.pack(">qq", 30, more)
    return b"\1" + struct.pack(">I", len(body)) + body


class Gridmanager:
    """
    A port like the shared port's.

    @ivar connections: what came, oldest first.
    """

    def __init__(self) -> None:
        self.port = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address: tuple[str, int] = self.port.getsockname()
        self.connections: list[socket.socket] = []

    def inherit(self, name: str = SHARED_PORT_ID) -> str:
        """
        @return: what C{CONDOR_INHERIT} says of it.
        """
        host, port = self.address
        sock = f"&sock={name}" if name else ""
        return f"4711 <{host}:{port}?addrs={host}-{port}&alias=submit.test&noUDP{sock}> 0 0"

    def accept(self, seconds: float = PATIENCE) -> socket.socket:
        """
        @return: the next connection.
        """
        self.port.settimeout(seconds)
        connection, _ = self.port.accept()
        connection.settimeout(PATIENCE)
        self.connections.append(connection)
        return connection

    def isQuiet(self) -> bool:
        """
        @return: whether nobody has come whom nobody has accepted.
        """
        return not select.select([self.port], [], [], 0)[0]

    def close(self) -> None:
        """
        Close all.
        """
        for one in (self.port, *self.connections):
            one.close()


class TunnelClient:
    """
    A client that has announced its tunnel.

    @ivar process: the client.
    @ivar sitePort: the port at the site.
    @ivar target: what the announcement says of where it leads.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stderr is not None
        found = _ANNOUNCED.match(os.read(process.stderr.fileno(), 5000))
        assert found, "no announcement"
        self.sitePort = int(found[1])
        self.target = found[2].decode(), int(found[3])
        self._hasBanner = False
        self._connections: list[socket.socket] = []

    def banner(self) -> bytes:
        """
        @return: the first line of stdout.
        """
        self._hasBanner = True
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def pathOf(self, sandbox: bytes) -> bytes:
        """
        Ask something that only the site can answer.

        @return: the path of a sandbox there.
        """
        if not self._hasBanner:
            self.banner()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b"GET_SANDBOX_PATH " + sandbox + b"\r\n")
        self.process.stdin.flush()
        success, path = self.process.stdout.readline().split()
        assert success == b"S"
        return path

    def said(self) -> str:
        """
        @return: the next line of stderr.
        """
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def connect(self) -> socket.socket:
        """
        @return: a connection to the port at the site.
        """
        connection = socket.create_connection(("127.0.0.1", self.sitePort), PATIENCE)
        self._connections.append(connection)
        return connection

    def isRefused(self, data: bytes = b"") -> bool:
        """
        @return: whether a connection to the port ends without a byte.
        """
        try:
            connection = self.connect()
            connection.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return True
        return isBroken(connection)

    def close(self) -> None:
        """
        Close the connections.
        """
        for one in self._connections:
            one.close()


def receive(connection: socket.socket, count: int) -> bytes:
    """
    @return: so many bytes, or what came before the end.
    """
    data = bytearray()
    while len(data) < count:
        more = connection.recv(min(1 << 18, count - len(data)))
        if not more:
            break
        data += more
    return bytes(data)


def isBroken(connection: socket.socket, seconds: float = PATIENCE) -> bool:
    """
    @return: whether the other side ends it without a byte.
    """
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


class TunnelTestCase(PlaygroundTestCase):
    """
    Tests with tunnels.
    """

    def makePlayground(self) -> Playground:
        """
        @return: one whose C{condor_ft-gahp} only speaks.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "x") as file:
            file.write(GAHP)
        os.chmod(path, 0o700)
        settings = f"FT_GAHP = {path}\n{self.ceSettings}"
        return Playground(self.gahps, self.proxySettings, settings, self.makeRelay())

    def makeRelay(self) -> Any:
        """
        @return: what lies between CE and proxy.
        """
        return None

    def setUp(self) -> None:
        super().setUp()
        self.playground.awaitNoGAHP()
        self.gridmanager = Gridmanager()
        self.addCleanup(self.gridmanager.close)

    def tunnelled(self, inherit: str | None = None, site: str = SITE) -> TunnelClient:
        """
        @return: a client that has announced its tunnel.
        """
        inherit = self.gridmanager.inherit() if inherit is None else inherit
        environ = {**os.environ, "CONDOR_INHERIT": inherit}
        client = TunnelClient(self.playground.client("condor_ft-gahp", site, env=environ))
        self.addCleanup(client.close)
        return client

    def opened(self, client: TunnelClient) -> tuple[socket.socket, socket.socket]:
        """
        @return: both ends of a tunnel whose first message has passed.
        """
        site = client.connect()
        site.sendall(connectRequest())
        near = self.gridmanager.accept()
        self.assertEqual(receive(near, len(connectRequest())), connectRequest())
        return site, near
