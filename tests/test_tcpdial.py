"""
Tests of L{rvgahp.tcpdial}, with real sockets and a clock of their own.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import ChannelLost
from rvgahp.tcpdial import dialTCP
from tests.resolver import Resolver
from tests.steppedloop import SteppedLoop, descriptorCount


class ResolvingLoop(SteppedLoop):
    """
    A loop that knows names.
    """

    nameResolver: Resolver


class DialTests(SynchronousTestCase):
    """
    Dialling.
    """

    def setUp(self) -> None:
        """
        Listen on a port.
        """
        self.loop = ResolvingLoop()
        self.port = socket.create_server(("127.0.0.1", 0), backlog=10)
        self.addCleanup(self.port.close)
        self.number: int = self.port.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self.closed: int = closed.getsockname()[1]
        self.before = descriptorCount()

    def dial(self, host: str, port: int) -> Deferred[socket.socket]:
        """
        Begin to dial.
        """
        return ensureDeferred(dialTCP(self.loop, host, port))

    def resolve(self, *addresses: IPv4Address | IPv6Address) -> Resolver:
        """
        Let a name have these addresses.
        """
        resolver = Resolver(*addresses)
        self.loop.nameResolver = resolver
        return resolver

    def assertDialled(self, dialled: Deferred[socket.socket]) -> None:
        """
        It is connected, non-blocking, without delay, and nothing else is left.
        """
        self.loop.settle()
        connection = self.successResultOf(dialled)
        self.assertFalse(connection.getblocking())
        self.assertFalse(connection.get_inheritable())
        self.assertEqual(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
        self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        other, address = self.port.accept()
        self.assertEqual(connection.getsockname(), address)
        other.sendall(b"x")
        connection.settimeout(5)
        self.assertEqual(connection.recv(2), b"x")
        connection.close()
        other.close()
        self.assertNothingLeft()

    def assertNothingLeft(self) -> None:
        """
        No descriptor, timer or reader.
        """
        self.assertEqual(descriptorCount(), self.before)
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def assertFails(self, dialled: Deferred[socket.socket], reason: str) -> None:
        """
        It has failed, in these words, and nothing is left.
        """
        self.assertEqual(str(self.failureResultOf(dialled, ChannelLost).value), reason)
        self.assertNothingLeft()

    def test_address(self) -> None:
        """
        An address is dialled without asking a resolver.
        """
        self.assertDialled(self.dial("127.0.0.1", self.number))

    def test_name(self) -> None:
        """
        A name is resolved first.
        """
        resolver = self.resolve(IPv4Address("TCP", "127.0.0.1", self.number))
        dialled = self.dial("proxy.example.org", self.number)
        self.loop.settle()
        self.assertNoResult(dialled)
        resolver.answer()
        self.assertDialled(dialled)

    def test_secondAddress(self) -> None:
        """
        An address that refuses, or that this host cannot dial at all, is followed by the
        next.
        """
        resolver = self.resolve(
            IPv6Address("TCP", "::1", self.closed),
            IPv4Address("TCP", "127.0.0.1", self.closed),
            IPv4Address("TCP", "127.0.0.1", self.number),
        )
        makeSocket = socket.socket.__init__

        def withoutIPv6(sock: Any, family: int = -1, *arguments: Any, **more: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            makeSocket(sock, family, *arguments, **more)

        for init in (makeSocket, withoutIPv6):
            self.patch(socket.socket, "__init__", init)
            dialled = self.dial("proxy.example.org", self.number)
            resolver.answer()
            self.assertDialled(dialled)

    def test_refused(self) -> None:
        """
        A port where nobody listens is told by the kernel's word.
        """
        dialled = self.dial("127.0.0.1", self.closed)
        self.loop.settle()
        self.assertFails(
            dialled,
            f"127.0.0.1 port {self.closed} could not be reached: Connection refused",
        )

    def test_noDescriptor(self) -> None:
        """
        Without a descriptor it fails with the kernel's word.
        """

        def exhausted(sock: Any, *arguments: Any, **more: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket.socket, "__init__", exhausted)
        self.assertFails(
            self.dial("127.0.0.1", self.number),
            f"127.0.0.1 port {self.number} could not be reached: Too many open files",
        )

    def test_noSuchName(self) -> None:
        """
        A name without an address is named.
        """
        resolver = self.resolve()
        dialled = self.dial("proxy.example.org", 41000)
        resolver.answer()
        self.assertFails(
            dialled,
            "proxy.example.org port 41000 could not be reached: the name does not resolve",
        )

    def full(self) -> tuple[str, int]:
        """
        @return: an address that answers no dial: its queue is full.
        """
        port = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(port.close)
        for _ in range(8):
            queued = socket.socket()
            self.addCleanup(queued.close)
            queued.setblocking(False)
            queued.connect_ex(port.getsockname())
        self.before = descriptorCount()
        return "127.0.0.1", port.getsockname()[1]

    def test_silence(self) -> None:
        """
        One that does not answer is given up after 10 s, and the next address is dialled.
        """
        host, number = self.full()
        resolver = self.resolve(
            IPv4Address("TCP", host, number), IPv4Address("TCP", "127.0.0.1", self.number)
        )
        dialled = self.dial("proxy.example.org", self.number)
        resolver.answer()
        self.loop.spend(limits.DIAL_TIMEOUT - 0.1)
        self.assertNoResult(dialled)
        self.loop.spend(0.2)
        self.assertDialled(dialled)
        dialled = self.dial(host, number)
        self.loop.spend(limits.DIAL_TIMEOUT)
        self.assertFails(
            dialled, f"{host} port {number} could not be reached: no answer within 10 s"
        )

    def test_cancelled(self) -> None:
        """
        A dial that nobody wants any more leaves nothing behind.
        """
        dialled = self.dial(*self.full())
        dialled.addErrback(lambda _: None)
        dialled.cancel()
        self.assertNothingLeft()
