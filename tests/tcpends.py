"""
TCP connections on loopback, for tests of what splices them.
"""

from __future__ import annotations

import select
import socket
import struct
import time

#: Seconds that the kernel is waited for.
_PATIENCE = 10.0

#: Closes with a reset.
_LINGER = struct.pack("ii", 1, 0)


def connectionPair(buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """
    @param buffer: bytes that the kernel is to hold each way; 0 for its own choice.
    @return: two ends of a TCP connection, non-blocking.
    """
    with socket.socket() as port, socket.socket() as dialler:
        for one in (port, dialler) if buffer else ():
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        port.bind(("127.0.0.1", 0))
        port.listen()
        dialler.connect(port.getsockname())
        accepted, _ = port.accept()
        ours = socket.socket(fileno=dialler.detach())
    for end in (ours, accepted):
        end.setblocking(False)
    return ours, accepted


def reset(connection: socket.socket) -> None:
    """
    Close, so that the other side hears of a reset.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    connection.close()


class Program:
    """
    A program at the other side of a connection, which is ready for anything.

    @ivar connection: its socket.
    @ivar came: what it has read.
    @ivar end: how reading ended: C{"eof"}, C{"reset"}; empty if it has not.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.came = bytearray()
        self.end = ""

    def read(self, most: int = 1 << 40) -> bool:
        """
        Read what is there.

        @return: whether there was something.
        """
        before = len(self.came), self.end
        while not self.end and len(self.came) - before[0] < most:
            try:
                data = self.connection.recv(min(1 << 18, most - len(self.came) + before[0]))
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.end = "reset"
                break
            self.came += data
            if not data:
                self.end = "eof"
        return before != (len(self.came), self.end)

    def readOn(self) -> None:
        """
        Read to the end.  Where windows are small, the kernel takes its time for the last
        bytes.
        """
        end = time.monotonic() + _PATIENCE
        while not self.end and time.monotonic() < end:
            select.select([self.connection], [], [], _PATIENCE)
            self.read()

    def write(self, data: bytes) -> int:
        """
        @return: how much of it the kernel takes.
        """
        taken = 0
        while taken < len(data):
            try:
                taken += self.connection.send(data[taken : taken + (1 << 18)])
            except BlockingIOError:
                break
        return taken

    def finish(self) -> None:
        """
        Write no more.
        """
        self.connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """
        Break.
        """
        reset(self.connection)

    def close(self) -> None:
        """
        Go.
        """
        self.connection.close()
