"""
Tests of L{rvgahp.tcpconnect}: real sockets, in a loop with a clock of its own and in the
client's and Twisted's.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp.tcpconnect import TCPConnect
from tests.loops import Driver, Polled, Stepped, Twisted
from tests.steppedloop import descriptorCount


class ConnectTestCase(SynchronousTestCase):
    """
    A port to be dialled.

    @ivar results: what came of the dials: sockets, and reasons.
    """

    kind: Any = Stepped

    def setUp(self) -> None:
        """
        Listen.
        """
        self.driver: Driver = self.kind()
        self.addCleanup(self.driver.close)
        self.port = self.listen("127.0.0.1")
        self.number: int = self.port.getsockname()[1]
        self.results: list[Any] = []
        self.before = descriptorCount()

    def listen(self, host: str, backlog: int = 10) -> socket.socket:
        """
        @return: a port there.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        port = socket.create_server((host, 0), family=family, backlog=backlog)
        self.addCleanup(port.close)
        return port

    def dial(self, host: str, port: int, timeout: float = 10.0) -> TCPConnect:
        """
        Begin to dial.
        """
        add = self.results.append
        dial = TCPConnect(self.driver.loop, host, port, timeout, add, add)
        self.assertEqual(self.results, [], "it must not be called from in here")
        return dial

    def result(self) -> Any:
        """
        @return: what came of the only dial.
        """
        self.driver.until(lambda: self.results)
        self.driver.settle()
        (result,) = self.results
        return result

    def assertNothingLeft(self) -> None:
        """
        No descriptor, and no delayed call.
        """
        self.driver.settle()
        self.assertEqual(descriptorCount(), self.before)
        if isinstance(self.driver, Stepped):
            self.assertEqual(self.driver.loop.getDelayedCalls(), [])

    def assertConnected(self, port: socket.socket) -> None:
        """
        There is a socket as it was promised.
        """
        connection = self.result()
        self.assertFalse(connection.getblocking())
        self.assertFalse(connection.get_inheritable())
        self.assertTrue(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        other, address = port.accept()
        self.assertEqual(connection.getsockname(), address)
        connection.close()
        other.close()
        self.assertNothingLeft()


class ConnectTests(ConnectTestCase):
    """
    What becomes of a dial.
    """

    def test_connected(self) -> None:
        """
        A port that listens gives a socket, which is the caller's alone: to close the dial
        then does nothing to it.
        """
        dial = self.dial("127.0.0.1", self.number)
        self.driver.until(lambda: self.results)
        dial.close()
        self.assertConnected(self.port)

    def test_ipv6(self) -> None:
        """
        An IPv6 address is dialled like any.
        """
        try:
            port = self.listen("::1")
        except OSError:
            raise SkipTest("this host has no IPv6") from None
        self.before = descriptorCount()
        self.dial("::1", port.getsockname()[1])
        self.assertConnected(port)

    def test_refused(self) -> None:
        """
        A port where nobody listens is told by the kernel's word.
        """
        self.port.close()
        self.before -= 1
        self.dial("127.0.0.1", self.number)
        self.assertEqual(self.result(), "Connection refused")
        self.assertNothingLeft()

    def test_atOnce(self) -> None:
        """
        What the kernel refuses at once is told likewise, and not before the caller has the
        dial.
        """
        self.dial("255.255.255.255", 9)
        self.assertIn(self.result(), ("Permission denied", "Network is unreachable"))
        self.assertNothingLeft()

    def test_closed(self) -> None:
        """
        A dial that is given up tells nothing, and leaves nothing.
        """
        for host in ("127.0.0.1", "255.255.255.255"):
            dial = self.dial(host, self.number)
            dial.close()
            dial.close()
            self.driver.settle()
            self.assertEqual(self.results, [])
            self.assertNothingLeft()

    def test_noDescriptor(self) -> None:
        """
        Without a descriptor nothing has begun.
        """

        def exhausted(sock: Any, *arguments: Any, **more: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket.socket, "__init__", exhausted)
        self.assertRaises(OSError, self.dial, "127.0.0.1", self.number)
        self.assertNothingLeft()


class PolledTests(ConnectTests):
    """
    The same in the client's loop.
    """

    kind = Polled


class TwistedTests(ConnectTests):
    """
    The same in Twisted's.
    """

    kind = Twisted


class SilenceTests(ConnectTestCase):
    """
    A port that does not answer.
    """

    def setUp(self) -> None:
        """
        Fill its queue.
        """
        super().setUp()
        full = self.listen("127.0.0.1", 0)
        for _ in range(8):
            queued = socket.socket()
            self.addCleanup(queued.close)
            queued.setblocking(False)
            queued.connect_ex(full.getsockname())
        self.number = full.getsockname()[1]
        self.before = descriptorCount()

    def test_late(self) -> None:
        """
        It is given up when its time is over, and not before.
        """
        loop = self.driver.loop
        self.dial("127.0.0.1", self.number, 2.5)
        loop.spend(2.4)
        self.assertEqual(self.results, [])
        loop.spend(0.2)
        self.assertEqual(self.result(), "no answer within 2.5 s")
        self.assertNothingLeft()

    def test_closed(self) -> None:
        """
        One that is given up before is not told.
        """
        dial = self.dial("127.0.0.1", self.number)
        self.driver.loop.spend(9)
        dial.close()
        self.driver.loop.spend(9)
        self.assertEqual(self.results, [])
        self.assertNothingLeft()
