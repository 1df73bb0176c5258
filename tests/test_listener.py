"""
Tests of L{rvgahp.listener}, with real sockets.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import ConfigurationError
from rvgahp.listener import Listener, listenTCP, listenUNIX, removeSocket
from tests.steppedloop import SteppedLoop, descriptorCount
from tests.tcpends import reset


class FailingPort(socket.socket):
    """
    A listening socket whose C{accept} fails as often as a test wants.

    @ivar problems: the next failures.
    """

    problems: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.problems:
            number = self.problems.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


class ListenerTests(SynchronousTestCase):
    """
    Accepting.
    """

    def setUp(self) -> None:
        """
        Listen.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        self.accepted: list[socket.socket] = []
        self.names: list[Any] = []
        self.port = FailingPort(socket.AF_INET, socket.SOCK_STREAM)
        self.port.problems = []
        self.port.bind(("127.0.0.1", 0))
        self.port.listen(200)
        self.listener = Listener(self.loop, self.port, self._accepted)
        self.act: Callable[[socket.socket], object] = lambda connection: None
        self.diallers: list[socket.socket] = []

    def _accepted(self, connection: socket.socket, name: Any) -> None:
        self.act(connection)
        self.names.append(name)
        self.accepted.append(connection)

    def tearDown(self) -> None:
        """
        After a close nothing is left.
        """
        self.listener.close()
        for connection in self.accepted + self.diallers:
            connection.close()
        self.assertEqual(descriptorCount(), self.before)
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def dial(self) -> None:
        """
        One more connects.
        """
        self.diallers.append(socket.create_connection(self.listener.address()))

    def test_accepted(self) -> None:
        """
        Connections are passed on non-blocking and close-on-exec, all in a while, some in
        one turn.
        """
        for _ in range(limits.ACCEPTS_PER_TURN + 5):
            self.dial()
        self.loop.turn()
        self.assertEqual(len(self.accepted), limits.ACCEPTS_PER_TURN)
        self.loop.settle()
        self.assertEqual(len(self.accepted), limits.ACCEPTS_PER_TURN + 5)
        for connection in self.accepted:
            self.assertFalse(connection.getblocking())
            self.assertFalse(connection.get_inheritable())

    def test_reset(self) -> None:
        """
        Of one that was reset before it was accepted is told from where it came.
        """
        self.dial()
        name = self.diallers[0].getsockname()
        reset(self.diallers[0])
        self.loop.settle()
        self.assertEqual(self.names, [name])
        self.assertRaises(OSError, self.accepted[0].getpeername)

    def test_exhausted(self) -> None:
        """
        Without descriptors it waits a little, says so, and then accepts who waits.
        """
        self.port.problems = [errno.EMFILE]
        self.dial()
        with capturedLogs() as logs:
            self.loop.settle()
        self.assertEqual(len(logs), 1)
        self.assertIn("Too many open files", logs[0]["reason"])
        self.assertEqual(self.accepted, [])
        self.loop.spend(1)
        self.assertEqual(len(self.accepted), 1)

    def test_exhaustedAndClosed(self) -> None:
        """
        A port that is closed while it waits stays closed.
        """
        self.port.problems = [errno.ENFILE]
        self.dial()
        self.loop.settle()
        self.listener.close()
        self.loop.spend(1)
        self.assertEqual(self.accepted, [])

    def test_gaveUp(self) -> None:
        """
        A dialler that gave up before it was accepted keeps nobody else out.
        """
        self.port.problems = [errno.ECONNABORTED, errno.EPROTO]
        self.dial()
        self.loop.settle()
        self.assertEqual(len(self.accepted), 1)

    def test_bug(self) -> None:
        """
        What goes wrong with one connection costs that one alone.
        """

        def act(connection: socket.socket) -> None:
            raise ZeroDivisionError

        good, self.act = self.act, act
        self.dial()
        self.loop.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.diallers[0].recv(1), b"")
        self.act = good
        self.dial()
        self.loop.settle()
        self.assertEqual(len(self.accepted), 1)


class TCPTests(SynchronousTestCase):
    """
    TCP ports.
    """

    def listen(self, interface: str, port: int = 0) -> socket.socket:
        """
        Listen until the end of the test.
        """
        listening = listenTCP(interface, port)
        self.addCleanup(listening.close)
        return listening

    def test_one(self) -> None:
        """
        One interface.
        """
        port = self.listen("127.0.0.1")
        self.assertEqual(port.getsockname()[0], "127.0.0.1")
        socket.create_connection(port.getsockname()).close()

    def test_all(self) -> None:
        """
        All, of IPv4 and, where the host has it, of IPv6.
        """
        port = self.listen("")
        number = port.getsockname()[1]
        socket.create_connection(("127.0.0.1", number)).close()
        if port.family == socket.AF_INET6:
            socket.create_connection(("::1", number)).close()

    def test_busy(self) -> None:
        """
        A busy port is a sentence with port and reason.
        """
        number = self.listen("127.0.0.1").getsockname()[1]
        e = self.assertRaises(ConfigurationError, listenTCP, "127.0.0.1", number)
        self.assertEqual(
            str(e), f"Cannot listen on 127.0.0.1 port {number}: {os.strerror(errno.EADDRINUSE)}."
        )

    def test_impossible(self) -> None:
        """
        So is an address that is not this host's, and one that is none.
        """
        e = self.assertRaises(ConfigurationError, listenTCP, "192.0.2.1", 0)
        self.assertIn("192.0.2.1 port 0", str(e))
        e = self.assertRaises(ConfigurationError, listenTCP, "no.such.host.invalid", 0)
        self.assertIn("no.such.host.invalid", str(e))


class UNIXTests(SynchronousTestCase):
    """
    UNIX sockets.
    """

    def setUp(self) -> None:
        """
        Begin with an empty directory, whose path is short enough.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "proxy.sock")
        self.before = descriptorCount()

    def listen(self, mode: int = 0o600, path: str = "") -> socket.socket:
        """
        Listen until the end of the test.
        """
        port = listenUNIX(path or self.path, mode)
        self.addCleanup(port.close)
        return port

    def refused(self, path: str = "") -> str:
        """
        @return: why it cannot be had.
        """
        e = self.assertRaises(ConfigurationError, listenUNIX, path or self.path, 0o600)
        self.assertEqual(descriptorCount(), self.before)
        return str(e)

    def test_mode(self) -> None:
        """
        The socket is there with its mode, and nothing else is.
        """
        for mode in (0o600, 0o666, 0o660):
            port = self.listen(mode)
            status = os.stat(self.path)
            self.assertTrue(stat.S_ISSOCK(status.st_mode))
            self.assertEqual(stat.S_IMODE(status.st_mode), mode)
            self.assertEqual(os.listdir(self.directory), ["proxy.sock"])
            port.close()

    def test_exchanged(self) -> None:
        """
        Where somebody puts a link in the place of the socket before it has its name, as he can
        in a directory of his own, no mode of what it leads to is changed.
        """
        precious = os.path.join(self.directory, "precious")
        os.close(os.open(precious, os.O_CREAT, 0o600))

        class Followed(socket.socket):
            def bind(self, address: Any) -> None:
                super().bind(address)
                os.unlink(address)
                os.symlink(precious, address)

        self.patch(socket, "socket", Followed)
        self.listen(0o666)
        self.assertEqual(stat.S_IMODE(os.stat(precious).st_mode), 0o600)

    def test_left(self) -> None:
        """
        A socket that a dead process left is replaced.
        """
        self.listen().close()
        self.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)

    def test_busy(self) -> None:
        """
        One behind which somebody listens is not, and goes on.
        """
        port = self.listen()
        self.before = descriptorCount()
        self.assertIn("another process listens there", self.refused())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)
            port.accept()[0].close()
            port.accept()[0].close()

    def test_file(self) -> None:
        """
        A file is not replaced, whatever it is: its name was given by mistake.
        """
        with open(self.path, "w") as file:
            file.write("precious")
        self.assertIn("no socket", self.refused())
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path)
        os.mkdir(self.path)
        self.assertIn("no socket", self.refused())

    def test_noDirectory(self) -> None:
        """
        A directory that is not there is named.
        """
        path = os.path.join(self.directory, "no", "proxy.sock")
        reason = self.refused(path)
        self.assertIn(path, reason)
        self.assertIn("No such file or directory", reason)

    def test_longest(self) -> None:
        """
        The longest path that a UNIX socket can have can be had.
        """
        room = 107 - len(os.fsencode(self.path))
        path = os.path.join(self.directory, "d" * (room - 1), "proxy.sock")
        self.assertEqual(len(path), 107)
        os.mkdir(os.path.dirname(path))
        self.listen(path=path)
        self.assertEqual(os.listdir(os.path.dirname(path)), ["proxy.sock"])

    def test_failedRename(self) -> None:
        """
        A start that fails half way leaves nothing in the directory.
        """

        def rename(old: str, new: str) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        self.patch(os, "rename", rename)
        self.assertIn("Operation not permitted", self.refused())
        self.assertEqual(os.listdir(self.directory), [])

    def test_remove(self) -> None:
        """
        Our socket's name is removed.
        """
        self.listen()
        removeSocket(self.path, os.stat(self.path).st_ino)
        self.assertEqual(os.listdir(self.directory), [])
        removeSocket(self.path, 1)

    def test_removeAnothers(self) -> None:
        """
        The name of a successor's socket stays.
        """
        self.listen()
        ours = os.stat(self.path).st_ino
        os.rename(self.path, self.path + ".old")
        self.listen()
        removeSocket(self.path, ours)
        self.assertIn("proxy.sock", os.listdir(self.directory))
