"""
What the tests of descriptors under each loop have in common.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.descriptor import Descriptor
from tests.loops import Driver, Stepped
from tests.steppedloop import descriptorCount, socketPair


class Recorder(Descriptor):
    """
    Keeps all that it is told.

    @ivar react: called with the name of each event, after it has been noted.
    """

    def __init__(self, loop: Any, fd: int, owner: socket.socket | None = None) -> None:
        super().__init__(loop, fd, owner)
        self.data = b""
        self.taken = 0
        self.events: list[tuple[str, str]] = []
        self.react: Callable[[str], object] = bool

    def _note(self, name: str, problem: str = "") -> None:
        assert not self.isClosed, f"{name} after close"
        self.events.append((name, problem))
        self.react(name)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._note("data")

    def readEnded(self, problem: str) -> None:
        self._note("end", problem)

    def progressed(self, count: int) -> None:
        assert count >= 0
        self.taken += count
        self._note("progress")

    def writeFailed(self, problem: str) -> None:
        self._note("failure", problem)

    def names(self) -> list[str]:
        """
        The events but for progress.
        """
        return [name for name, _ in self.events if name != "progress"]


def readAll(connection: socket.socket, most: int = 1 << 20) -> bytes:
    """
    What can be read now.
    """
    data = b""
    try:
        while part := connection.recv(most):
            data += part
    except BlockingIOError:
        pass
    return data


class LoopTestCase(SynchronousTestCase):
    """
    A loop, and no descriptor left behind.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self.driver = self.makeDriver()
        self.loop = self.driver.loop
        self.sockets: list[socket.socket] = []

    def makeDriver(self) -> Driver:
        """
        The loop under which the tests run.
        """
        return Stepped()

    def tearDown(self) -> None:
        for connection in self.sockets:
            connection.close()
        self.driver.close()
        self.assertEqual(descriptorCount(), self.before)

    def pair(self, buffer: int = 0) -> tuple[Recorder, socket.socket]:
        """
        A descriptor on a socket, and the other end.
        """
        ours, theirs = socketPair(buffer)
        self.sockets += [ours, theirs]
        return Recorder(self.loop, ours.fileno(), ours), theirs
