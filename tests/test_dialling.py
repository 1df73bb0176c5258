"""
Tests of L{rvgahp.dialling}, by L{dialWaiting} and by a loop with a clock of its own: real
sockets, and gateways that behave and misbehave.
"""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits, waylimits
from rvgahp.dialling import _alternating
from rvgahp.errors import ChannelLost
from rvgahp.tcpdial import dialTCP, dialWaiting
from rvgahp.wayout import Gateway as Through
from rvgahp.wayout import Target, WayOut
from tests.gateways import CONNECTED, Gateway, Listener
from tests.resolver import Resolver
from tests.steppedloop import SteppedLoop, descriptorCount

HOST = "127.0.0.1"
NAME = "proxy.example.org"
LOGIN = b"alice", b"secret"


class GatewayTestCase(SynchronousTestCase):
    """
    A gateway, and somebody behind it who speaks first.
    """

    def setUp(self) -> None:
        """
        Let both listen.
        """
        self.before = descriptorCount()
        self.listener = Listener(b"I speak first")
        self.gateway: Gateway | None = None

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.listener.close()
        if self.gateway is not None:
            self.gateway.close()
        self.assertEqual(descriptorCount(), self.before)

    def through(
        self, kind: str, login: tuple[bytes, bytes] | None = None, places: tuple[str, ...] = (NAME,)
    ) -> WayOut:
        """
        @return: the way through a fresh gateway, which knows the name.
        """
        if self.gateway is not None:
            self.gateway.close()
        self.gateway = Gateway(kind)
        self.gateway.names[NAME] = HOST
        gateway = Through(kind, HOST, self.gateway.port, login)
        return WayOut([(place, self.listener.port) for place in places], gateway)

    def refused(self, way: WayOut) -> str:
        """
        @return: why it could not be dialled.
        """
        sentence = str(self.assertRaises(ChannelLost, dialWaiting, way))
        self.assertNotIn("secret", sentence)
        return sentence


class PassageTests(GatewayTestCase):
    """
    Dials through gateways.
    """

    def test_passed(self) -> None:
        """
        Through each kind, with a login and without, names are left to the gateway, and what the
        other side says at once is all there.
        """
        for kind in ("http", "socks5h"):
            for login in (None, LOGIN):
                way = self.through(kind, login)
                assert self.gateway is not None
                self.gateway.wants = b":".join(login) if login else b""
                target, connection = dialWaiting(way)
                with connection:
                    self.assertEqual(target, Target(NAME, self.listener.port, NAME))
                    connection.settimeout(10)
                    self.assertEqual(connection.recv(4096), b"I speak first")
                    connection.sendall(b"and I second")
                self.assertEqual(self.gateway.targets, [(NAME, self.listener.port)])
                self.assertEqual(self.gateway.logins, [b"alice:secret"] if login else [])

    def test_address(self) -> None:
        """
        A gateway that looks up no names is given addresses.
        """
        way = self.through("socks5", None, ("localhost",))
        dialWaiting(way)[1].close()
        assert self.gateway is not None
        self.assertEqual(self.gateway.targets, [(HOST, self.listener.port)])

    def test_refused(self) -> None:
        """
        A refusal names the target, the gateway and the cause.
        """
        for kind, word in (("http", "502 X"), ("socks5h", "the connection was refused")):
            way = self.through(kind)
            self.listener.close()
            sentence = self.refused(way)
            assert self.gateway is not None
            for one in (
                f"{NAME} port {self.listener.port} could not be reached: the ",
                f" {HOST}:{self.gateway.port} (RVGAHP_CONNECT_THROUGH) has not connected us: ",
                word,
                "see that rvgahp-proxy runs there",
            ):
                self.assertIn(one, sentence)
            self.listener = Listener(b"I speak first")

    def test_wrongLogin(self) -> None:
        """
        A login that is missing or wrong is told as that.
        """
        for kind in ("http", "socks5h"):
            for login, words in ((None, "wants a user"), (LOGIN, "does not take the user")):
                way = self.through(kind, login)
                assert self.gateway is not None
                self.gateway.wants = b"bob:x"
                self.assertIn(words, self.refused(way))

    def test_flood(self) -> None:
        """
        Twenty megabytes of header are not waited for, nor is rubbish.
        """
        for kind, answer, words in (
            ("http", b"HTTP/1.1 200 OK\r\nA: " + bytes(20 << 20), "more than 16384 bytes"),
            ("http", b"\x00" * 100, "does not speak HTTP"),
            ("socks5h", b"HTTP/1.1 400 x\r\n\r\n", "try http://"),
        ):
            way = self.through(kind)
            assert self.gateway is not None
            self.gateway.answer = answer
            self.assertIn(words, self.refused(way))

    def test_secondPlace(self) -> None:
        """
        A place that the gateway cannot reach does not hold up the next.
        """
        way = self.through("http")
        with socket.create_server((HOST, 0)) as closed:
            number = closed.getsockname()[1]
        way.places = [(NAME, number), *way.places]
        target, connection = dialWaiting(way)
        connection.close()
        self.assertEqual(target.port, self.listener.port)

    def test_noGateway(self) -> None:
        """
        Where the gateway itself cannot be reached, that is told.
        """
        way = self.through("http")
        assert self.gateway is not None
        self.gateway.close()
        self.assertIn("(RVGAHP_CONNECT_THROUGH) cannot be reached: Connection", self.refused(way))
        self.gateway = None


class NamingLoop(SteppedLoop):
    """
    A loop that may know names.
    """

    nameResolver: Resolver | None = None


class PatienceTests(SynchronousTestCase):
    """
    Gateways that take their time.
    """

    def setUp(self) -> None:
        """
        Let one listen that says nothing by itself.
        """
        self.before = descriptorCount()
        self.loop = NamingLoop()
        self.port = socket.create_server((HOST, 0), backlog=20)
        self.addCleanup(self.port.close)
        self.port.settimeout(20)
        gateway = Through("http", *self.port.getsockname())
        self.way = WayOut([(NAME, 41000)], gateway)
        self.place = f"{HOST}:{self.port.getsockname()[1]}"

    def test_late(self) -> None:
        """
        Neither silence nor a byte now and then is waited for longer than any dial.
        """
        for drips in (False, True):
            dialled = dialTCP(self.loop, self.way)
            self.loop.settle()
            connection, _ = self.port.accept()
            with connection:
                for byte in CONNECTED[:20]:
                    if drips:
                        connection.sendall(bytes([byte]))
                    self.assertNoResult(dialled)
                    self.loop.spend(limits.DIAL_TIMEOUT / 20 - 0.001)
                self.loop.spend(0.05)
                sentence = str(self.failureResultOf(dialled, ChannelLost).value)
                self.assertIn(f"{self.place} (RVGAHP_CONNECT_THROUGH) has not connec", sentence)
                self.assertIn("no answer within 10 s", sentence)
            self.assertEqual(self.loop.getDelayedCalls(), [])
            self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def test_split(self) -> None:
        """
        Wherever an answer is cut, what follows it is left in the socket.
        """
        for cut in range(1, len(CONNECTED) + 1):
            dialled = dialTCP(self.loop, self.way)
            self.loop.settle()
            far, _ = self.port.accept()
            far.sendall(CONNECTED[:cut])
            self.loop.settle()
            if cut < len(CONNECTED):
                self.assertNoResult(dialled)
            far.sendall(CONNECTED[cut:] + b"more")
            self.loop.settle()
            near = self.successResultOf(dialled)[1]
            self.assertEqual(near.recv(100), b"more")
            near.close()
            far.close()

    def test_gone(self) -> None:
        """
        One that hangs up is told as that.
        """
        for part in (b"", CONNECTED[:20]):
            dialled = dialTCP(self.loop, self.way)
            self.loop.settle()
            far, _ = self.port.accept()
            far.recv(4096)
            far.sendall(part)
            far.close()
            self.loop.settle()
            failure = self.failureResultOf(dialled, ChannelLost)
            self.assertIn("has not connected us: it closed the connection", str(failure.value))

    def test_cancelled(self) -> None:
        """
        A dial that nobody wants leaves nothing, at whatever stage it is.
        """
        for stage in range(3):
            dialled = dialTCP(self.loop, self.way)
            dialled.addErrback(lambda _: None)
            for _ in range(stage):
                self.loop.settle()
            dialled.cancel()
            self.assertEqual(self.loop.getDelayedCalls(), [])
            self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(descriptorCount(), self.before + 1)

    def test_knownGateway(self) -> None:
        """
        The gateway's name is looked up once: then the address that let us through comes first.
        """
        resolver = Resolver(answersAtOnce=True)
        self.patch(self.loop, "nameResolver", resolver)
        number = self.port.getsockname()[1]
        self.way.gateway = Through("http", "squid.example.org", number)
        for _ in range(2):
            dialled = dialTCP(self.loop, self.way)
            self.loop.settle()
            far, _ = self.port.accept()
            far.sendall(CONNECTED)
            self.loop.settle()
            self.successResultOf(dialled)[1].close()
            far.close()
        self.assertEqual(len(resolver._receivers), 1)

    def test_brokenAddress(self) -> None:
        """
        Of a gateway with several addresses, one that answers and connects nobody, by word or by
        silence, comes last the next time.
        """
        number = self.port.getsockname()[1]
        broken = socket.create_server(("127.0.0.2", number), backlog=20)
        self.addCleanup(broken.close)
        broken.settimeout(20)
        resolver = Resolver(IPv4Address("TCP", "127.0.0.2", 0), IPv4Address("TCP", HOST, 0))
        self.patch(self.loop, "nameResolver", resolver)
        for answer in (b"HTTP/1.1 503 x\r\n\r\n", b""):
            self.way = WayOut([(NAME, 41000)], Through("http", "squid.example.org", number))
            for listener, isGood in ((broken, False), (self.port, True)):
                dialled = dialTCP(self.loop, self.way)
                self.loop.settle()
                resolver.answer()
                self.loop.settle()
                far, _ = listener.accept()
                far.sendall(CONNECTED if isGood else answer)
                self.loop.settle()
                if isGood:
                    self.successResultOf(dialled)[1].close()
                else:
                    self.loop.spend(0 if answer else limits.DIAL_TIMEOUT)
                    self.failureResultOf(dialled, ChannelLost)
                far.close()

    def test_places(self) -> None:
        """
        While one place is waited for the gateway is asked for the next; the first that is
        connected counts, and is the first one next time.
        """
        self.way.places = [(NAME, 41000), (NAME, 443)]
        dialled = dialTCP(self.loop, self.way)
        self.loop.settle()
        first, _ = self.port.accept()
        self.assertIn(b":41000 HTTP", first.recv(4096))
        self.loop.spend(waylimits.NEXT_PLACE_DELAY)
        second, _ = self.port.accept()
        self.assertIn(b":443 HTTP", second.recv(4096))
        second.sendall(CONNECTED)
        self.loop.settle()
        target, connection = self.successResultOf(dialled)
        self.assertEqual(target.port, 443)
        self.assertEqual(first.recv(4096), b"")
        self.way.order.accepted(target)
        again = dialTCP(self.loop, self.way)
        self.loop.settle()
        third, _ = self.port.accept()
        self.assertIn(b":443 HTTP", third.recv(4096))
        again.addErrback(lambda _: None)
        again.cancel()
        for one in (first, second, third, connection):
            one.close()


class AddressTests(SynchronousTestCase):
    """
    The order of addresses.
    """

    def test_alternating(self) -> None:
        """
        The two kinds alternate, beginning with that of the first; there are not too many.
        """
        given = ["::1", "::2", "::3", "10.0.0.1"]
        self.assertEqual(_alternating(given), ["::1", "10.0.0.1", "::2", "::3"])
        given = ["10.0.0.1", "10.0.0.2", "::1"]
        self.assertEqual(_alternating(given), ["10.0.0.1", "::1", "10.0.0.2"])
        many = [f"10.0.0.{number}" for number in range(100)]
        self.assertEqual(_alternating(many), many[: waylimits.ADDRESSES_PER_NAME])
        self.assertEqual(_alternating([]), [])
