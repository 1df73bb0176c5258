"""
The ways for a connection from the site back to the gridmanager that are compared, and
a place for it to arrive at.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import struct
import threading
import time

from launcher import PATIENCE, BenchError, Launcher, waitUntil

_HOST = "127.0.0.1"
_SHARED_PORT_ID = b"bench_1_0"

#: ssh says it in its first lines, rvgahp_client in one line.
_ANNOUNCED = re.compile(rb"^Allocated port ([1-9][0-9]*) for remote forward to ", re.MULTILINE)


def _connectRequest() -> bytes:
    """
    @return: what every connection to HTCondor's shared port begins with, and rvgahp lets
        nothing else pass: SHARED_PORT_CONNECT, whom it is for, a name, seconds until its
        deadline, and how many arguments follow.
    """
    body = struct.pack(">q", 75) + _SHARED_PORT_ID + b"\0bench\0" + struct.pack(">qq", 30, 0)
    return b"\1" + struct.pack(">I", len(body)) + body


REQUEST = _connectRequest()


class Gridmanager:
    """
    A port like that of the gridmanager: it answers each connection's request with a byte,
    which C{SHARED_PORT_CONNECT} has not, so that the time to it can be taken.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server((_HOST, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._arrived: queue.Queue[socket.socket] = queue.Queue()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Gridmanager:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # what wakes the thread
        self._listener.close()

    def inherit(self) -> dict[str, str]:
        """
        @return: the environment of what it launches.
        """
        name = _SHARED_PORT_ID.decode()
        address = f"<{_HOST}:{self.port}?addrs={_HOST}-{self.port}&noUDP&sock={name}>"
        return {**os.environ, "CONDOR_INHERIT": f"1 {address} 0 0"}

    def arrival(self) -> socket.socket:
        """
        @return: the next connection that has had its answer.
        """
        return self._arrived.get()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                if connection.recv(len(REQUEST), socket.MSG_WAITALL) == REQUEST:
                    connection.send(b"!")
                    self._arrived.put(connection)
                    continue
            except OSError:
                pass  # a contestant that is killed
            connection.close()


class Forwarder:
    """
    One way from the site back to the gridmanager, and to a GAHP beside it.
    """

    def __init__(self, name: str, words: list[str], gridmanager: Gridmanager, port: int = 0):
        """
        @param words: the launcher's command.
        @param port: at the site; 0: the launcher announces it.
        """
        self.name = name
        self._words = words
        self._gridmanager = gridmanager
        self._port = port

    def launch(self) -> Tunnels:
        """
        @return: ready for connections.
        """
        launcher = Launcher(self.name, self._words, self._gridmanager.inherit())
        try:
            launcher.banner()
            port = self._port or waitUntil(lambda: _announced(launcher), PATIENCE, self.name)
        except BaseException:
            launcher.kill()
            raise
        return Tunnels(launcher, self._gridmanager, port)


def _announced(launcher: Launcher) -> int:
    """
    @return: the port at the site; 0 if it is not told yet.
    """
    found = _ANNOUNCED.search(launcher.said())
    return int(found[1]) if found else 0


class Tunnels:
    """
    One launcher, and the connections that are made by it.
    """

    def __init__(self, launcher: Launcher, gridmanager: Gridmanager, port: int) -> None:
        self.name = launcher.name
        self._launcher = launcher
        self._gridmanager = gridmanager
        self._port = port

    def __enter__(self) -> Tunnels:
        return self

    def __exit__(self, *exception: object) -> None:
        self._launcher.kill()

    def open(self) -> tuple[socket.socket, socket.socket, float]:
        """
        To be called L{within} a time.

        @return: the end at the site, that of the gridmanager, and seconds from the first's
            C{connect} to the first byte from the other.
        """
        begun = time.perf_counter()
        try:
            site = socket.create_connection((_HOST, self._port), PATIENCE)
            site.sendall(REQUEST)
            answer = site.recv(1)
        except OSError as e:
            raise BenchError(f"{self.name}: {e}: {self._launcher.complaint()}") from None
        taken = time.perf_counter() - begun
        if answer != b"!":
            raise BenchError(f"{self.name}: a connection ended: {self._launcher.complaint()}")
        return site, self._gridmanager.arrival(), taken

    def trip(self) -> float:
        """
        @return: seconds of a line to the GAHP and its answer back.
        """
        launcher = self._launcher
        begun = time.perf_counter()
        try:
            os.write(launcher.input, b"CONDOR_VERSION\r\n")
            data = answer = os.read(launcher.output, 4096)
            while data and not answer.endswith(b"\n"):
                data = os.read(launcher.output, 4096)
                answer += data
        except BrokenPipeError:
            data = b""
        if not data:
            raise BenchError(f"{self.name}: its GAHP ended: {launcher.complaint()}")
        taken = time.perf_counter() - begun
        if not answer.startswith(b"S "):
            raise BenchError(f"{self.name}: its GAHP answered {answer!r}")
        return taken

    def finish(self) -> None:
        """
        See it end well.
        """
        self._launcher.finish()
