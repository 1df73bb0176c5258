"""
Tests of L{rvgahp.tcpdial}, with real sockets and a clock of their own.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits, waylimits
from rvgahp.errors import ChannelLost
from rvgahp.tcpdial import Found, dialTCP, dialWaiting
from rvgahp.wayout import Target, WayOut
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

    def dial(self, *place: Any) -> Deferred[socket.socket]:
        """
        Begin to dial.

        @param place: host and port, if not the former.
        """
        if place:
            self.way = WayOut([place])
        return dialTCP(self.loop, self.way).addCallback(lambda found: found[1])

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
            IPv6Address("TCP", "::1", 0),
            IPv4Address("TCP", "127.0.0.2", 0),
            IPv4Address("TCP", "127.0.0.1", 0),
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

    def test_oneLookup(self) -> None:
        """
        While a name is looked up no dial looks it up again, neither one of now nor one of later,
        when nobody waits for the answer any more; all who wait get it.
        """
        resolver = self.resolve()
        self.way = WayOut([("proxy.example.org", self.number)])
        late = [self.dial() for _ in range(20)]
        self.loop.spend(waylimits.LOOKUP_TIMEOUT + 0.01)
        for one in late:
            self.assertFails(
                one,
                f"proxy.example.org port {self.number} could not be reached: the resolver gave no"
                " answer within 5 s",
            )
        given, dialled = self.dial(), self.dial()
        given.cancel()
        self.failureResultOf(given, CancelledError)
        self.assertEqual(resolver.asked, 1)
        resolver.addresses = (IPv4Address("TCP", "127.0.0.1", self.number),)
        resolver.answer()
        self.assertDialled(dialled)
        self.assertEqual(self.way.lookups, {})

    def test_lostLookup(self) -> None:
        """
        One that never ends does not stop others of the same name for ever, and says nothing when
        it ends after all.
        """
        resolver = self.resolve()
        self.way = WayOut([("proxy.example.org", self.number)])
        self.failing(self.dial())
        self.loop.spend(waylimits.LOOKUP_LOST)
        resolver.addresses = (IPv4Address("TCP", "127.0.0.1", self.number),)
        dialled = self.dial()
        self.assertEqual(resolver.asked, 2)
        resolver.answer(0)
        self.assertNoResult(dialled)
        resolver.answer()
        self.assertDialled(dialled)

    def failing(self, dialled: Deferred[socket.socket]) -> None:
        """
        Nobody minds that it fails.
        """
        dialled.addErrback(lambda failure: failure.trap(ChannelLost))

    def full(self) -> tuple[str, int]:
        """
        @return: an address that answers no dial: its queue is full.
        """
        place = "127.0.0.2", self.number
        port = socket.create_server(place, backlog=0)
        self.addCleanup(port.close)
        for _ in range(8):
            queued = socket.socket()
            self.addCleanup(queued.close)
            queued.setblocking(False)
            queued.connect_ex(place)
        self.before = descriptorCount()
        return place

    def test_silence(self) -> None:
        """
        Beside an address that does not answer the next is dialled, after a moment.
        """
        host, number = self.full()
        resolver = self.resolve(IPv4Address("TCP", host, 0), IPv4Address("TCP", "127.0.0.1", 0))
        dialled = self.dial("proxy.example.org", number)
        resolver.answer()
        self.loop.spend(waylimits.NEXT_ADDRESS_DELAY - 0.01)
        self.assertNoResult(dialled)
        self.loop.spend(0.02)
        self.assertDialled(dialled)

    def test_late(self) -> None:
        """
        One that has no other beside it is given up after 10 s.
        """
        host, number = self.full()
        dialled = self.dial(host, number)
        self.loop.spend(limits.DIAL_TIMEOUT - 0.1)
        self.assertNoResult(dialled)
        self.loop.spend(0.1)
        self.assertFails(
            dialled, f"{host} port {number} could not be reached: no answer within 10 s"
        )

    def test_lookupLate(self) -> None:
        """
        A resolver that does not answer is not waited for for ever, and what it says later is of
        no interest.
        """
        resolver = self.resolve(IPv4Address("TCP", "127.0.0.1", 0))
        dialled = self.dial("proxy.example.org", 41000)
        self.loop.spend(waylimits.LOOKUP_TIMEOUT)
        self.assertFails(
            dialled,
            "proxy.example.org port 41000 could not be reached: the resolver gave no answer within"
            " 5 s",
        )
        resolver.answer()

    def test_known(self) -> None:
        """
        The address at which the right one has answered is dialled without asking a resolver,
        until it is the wrong one.
        """
        self.resolve(IPv4Address("TCP", "127.0.0.1", 0))
        way = WayOut([("proxy.example.org", self.number)])
        good = Target("proxy.example.org", self.number, "127.0.0.1")
        way.order.accepted(good)
        found = self.successResultOf(self.settled(dialTCP(self.loop, way)))
        self.assertEqual(found[0], good)
        found[1].close()
        self.port.accept()[0].close()
        way.order.rejected(good)
        asked = self.settled(dialTCP(self.loop, way))
        self.assertNoResult(asked)
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertNothingLeft()

    def settled(self, dialled: Deferred[Found]) -> Deferred[Found]:
        """
        @return: it, when there is nothing more to be done.
        """
        self.loop.settle()
        return dialled

    def test_waiting(self) -> None:
        """
        Who has no reactor gets a blocking socket, or the same sentence.
        """
        target, connection = dialWaiting(WayOut([("127.0.0.1", self.number)]))
        self.assertEqual(target.port, self.number)
        self.assertTrue(connection.getblocking())
        connection.close()
        e = self.assertRaises(ChannelLost, dialWaiting, WayOut([("127.0.0.1", self.closed)]))
        self.assertIn("could not be reached: Connection refused", str(e))
        self.assertNothingLeft()

    def test_cancelled(self) -> None:
        """
        A dial that nobody wants any more leaves nothing behind.
        """
        dialled = self.dial(*self.full())
        dialled.addErrback(lambda _: None)
        dialled.cancel()
        self.assertNothingLeft()
