"""
Tests of L{rvgahp.gate}, with real sockets and a clock of their own.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from rvgahp import limits, watchlimits
from rvgahp.gate import Arrival, Gate, WaitingRoom
from rvgahp.penalties import WEIGHTS, Penalties
from rvgahp.refusals import Warnings
from tests.steppedloop import SteppedLoop, descriptorCount
from tests.tcpends import reset

TICKET = bytes(range(200, 200 + limits.TICKET_BYTES))
PREAMBLE = limits.MAGIC + b"\0\1" + TICKET
EARLY = b"the first bytes of a handshake"


class IDroppable(Interface):
    """
    L{rvgahp.gate.Droppable}, for L{verifyObject}.
    """

    def drop() -> None:
        """
        Close it at once.
        """


@implementer(IDroppable)
class Waiter:
    """
    Someone in a waiting room.

    @ivar isDropped: it had to go.
    """

    def __init__(self) -> None:
        self.isDropped = False

    def drop(self) -> None:
        self.isDropped = True


class WaitingRoomTests(SynchronousTestCase):
    """
    Who has to go.
    """

    def enter(self, room: WaitingRoom, address: str) -> Waiter:
        """
        Let one more in.
        """
        waiter = Waiter()
        verifyObject(IDroppable, waiter)
        room.enter(waiter, address)
        return waiter

    def test_full(self) -> None:
        """
        When it is full, the one that has waited longest goes, whoever comes.
        """
        room = WaitingRoom(3, 3)
        waiters = [self.enter(room, f"192.0.2.{number}") for number in range(5)]
        self.assertEqual([w.isDropped for w in waiters], [True, True, False, False, False])
        self.assertEqual(len(room), 3)

    def test_fullForAddress(self) -> None:
        """
        One address has a number of its own, and pays for it itself: the oldest of its own
        goes, though others have waited longer.
        """
        room = WaitingRoom(10, 2)
        other = self.enter(room, "192.0.2.1")
        waiters = [self.enter(room, "192.0.2.2") for _ in range(4)]
        self.assertEqual([w.isDropped for w in waiters], [True, True, False, False])
        self.assertFalse(other.isDropped)
        self.assertEqual(len(room), 3)

    def test_network(self) -> None:
        """
        Addresses of IPv6 that begin with the same 64 bits have one number together, for
        they are one host's.
        """
        room = WaitingRoom(10, 2)
        other = self.enter(room, "2001:db8:0:2::1")
        waiters = [self.enter(room, f"2001:db8:0:1::{number}") for number in range(4)]
        self.assertEqual([w.isDropped for w in waiters], [True, True, False, False])
        for waiter in (other, *waiters):
            room.leave(waiter)
        self.assertEqual((len(room), dict(room._perAddress)), (0, {}))

    def test_one(self) -> None:
        """
        Also a room for one works.
        """
        room = WaitingRoom(1, 1)
        waiters = [self.enter(room, address) for address in ("a", "a", "b", "a")]
        self.assertEqual([w.isDropped for w in waiters], [True, True, True, False])
        room.leave(waiters[-1])
        self.assertEqual(len(room), 0)

    def test_leave(self) -> None:
        """
        One that has left makes room; leaving twice, or after having been dropped, is
        nothing.
        """
        room = WaitingRoom(2, 2)
        first, second = self.enter(room, "a"), self.enter(room, "a")
        room.leave(first)
        room.leave(first)
        third = self.enter(room, "a")
        self.assertEqual([w.isDropped for w in (first, second, third)], [False] * 3)
        fourth = self.enter(room, "a")
        self.assertTrue(second.isDropped)
        room.leave(second)
        self.assertEqual(len(room), 2)
        room.clear()
        self.assertEqual([w.isDropped for w in (first, third, fourth)], [False, True, True])
        self.assertEqual(len(room), 0)


class GateTestCase(SynchronousTestCase):
    """
    A gate, and connections that arrive at it.
    """

    def setUp(self) -> None:
        """
        Begin with an empty gate that admits one ticket.
        """
        self.loop = SteppedLoop()
        self.room = WaitingRoom(100, 100)
        self.admitted: list[tuple[bytes, socket.socket]] = []
        self.secured: list[tuple[socket.socket, str]] = []
        self.admits = True
        self.warnings = Warnings(self.loop, Gate.log, watchlimits.WARNINGS_PERIOD)
        self.penalties = Penalties(self.loop.seconds, lambda: 600.0, tuple)
        self.gate = self.makeGate()
        self.port = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.port.close)
        self.before = descriptorCount()

    def makeGate(self, secure: Any = None) -> Gate:
        """
        @param secure: what takes TLS; by default it is kept.
        @return: a gate with what this test has.
        """
        secure = secure or self._secure
        return Gate(self.loop, self.room, secure, self._admit, self.penalties, self.warnings)

    def _secure(self, connection: socket.socket, address: str) -> None:
        self.secured.append((connection, address))

    def _admit(self, ticket: bytes, connection: socket.socket) -> bool:
        if not self.admits:
            return False
        self.admitted.append((ticket, connection))
        return True

    def arrive(self) -> socket.socket:
        """
        @return: the dialler's end of a connection that has arrived.
        """
        dialler = socket.create_connection(self.port.getsockname())
        self.addCleanup(dialler.close)
        dialler.settimeout(5)
        connection, name = self.port.accept()
        connection.setblocking(False)
        self.gate.arrived(connection, name)
        return dialler

    def assertNothingLeft(self, *diallers: socket.socket) -> None:
        """
        After the diallers have closed too, the gate has no descriptor, no timer and
        nobody waiting.
        """
        for dialler in diallers:
            dialler.close()
        self.warnings.close()
        self.assertEqual(descriptorCount(), self.before)
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(len(self.room), 0)

    def assertClosed(self, dialler: socket.socket) -> None:
        """
        The gate has closed its end.
        """
        self.loop.settle()
        try:
            self.assertEqual(dialler.recv(1), b"")
        except ConnectionResetError:
            pass  # it had not read all that we sent


class TicketTests(GateTestCase):
    """
    Data connections.
    """

    def test_everySplit(self) -> None:
        """
        However the preamble is cut up, its ticket is found when it is whole and not
        before, and what follows is left for who gets the socket.
        """
        message = PREAMBLE + EARLY
        for cut in range(1, len(message)):
            dialler = self.arrive()
            dialler.sendall(message[:cut])
            self.loop.settle()
            self.assertEqual(len(self.admitted), int(cut >= len(PREAMBLE)), cut)
            dialler.sendall(message[cut:])
            self.loop.settle()
            ((ticket, connection),) = self.admitted
            self.assertEqual(ticket, TICKET)
            self.assertEqual(connection.recv(100), EARLY)
            connection.close()
            self.admitted.clear()
            self.assertNothingLeft(dialler)

    def test_byteByByte(self) -> None:
        """
        Also one byte at a time.
        """
        dialler = self.arrive()
        for number in range(len(PREAMBLE)):
            self.assertEqual(self.admitted, [])
            dialler.sendall(PREAMBLE[number : number + 1])
            self.loop.settle()
        ((ticket, connection),) = self.admitted
        self.assertEqual(ticket, TICKET)
        self.assertRaises(BlockingIOError, connection.recv, 1)
        connection.close()
        self.assertNothingLeft(dialler)

    def test_released(self) -> None:
        """
        A connection that was taken over is not read, timed or closed by the gate.
        """
        dialler = self.arrive()
        dialler.sendall(PREAMBLE)
        self.loop.settle()
        self.loop.spend(10 * limits.ARRIVAL_TIMEOUT)
        dialler.sendall(EARLY)
        self.loop.settle()
        self.room.clear()
        ((_, connection),) = self.admitted
        self.assertEqual(connection.recv(100), EARLY)
        self.assertEqual(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
        self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        connection.close()
        self.assertNothingLeft(dialler)

    def test_badTicket(self) -> None:
        """
        One whose ticket opens nothing is closed, and the log has its address and reason,
        not its ticket.
        """
        self.admits = False
        dialler = self.arrive()
        with capturedLogs() as logs:
            dialler.sendall(PREAMBLE + EARLY)
            self.assertClosed(dialler)
        self.assertEqual(
            [(event["address"], event["what"]) for event in logs],
            [("127.0.0.1", "its ticket is unknown, used or too old")],
        )
        self.assertNotIn(repr(TICKET)[2:-1], repr(logs))
        self.assertNothingLeft(dialler)

    def test_wrongMagic(self) -> None:
        """
        A byte of the magic that is wrong is the last that is read.
        """
        for number in range(len(limits.MAGIC)):
            wrong = bytearray(PREAMBLE)
            wrong[number] ^= 0xFF
            dialler = self.arrive()
            dialler.sendall(wrong[: number + 1])
            self.assertClosed(dialler)
            self.assertNothingLeft(dialler)
        self.assertEqual((self.admitted, self.secured), ([], []))

    def test_wrongVersion(self) -> None:
        """
        Another version is refused, and the log says which it was.
        """
        dialler = self.arrive()
        with capturedLogs() as logs:
            dialler.sendall(limits.MAGIC + b"\1\2" + TICKET)
            self.assertClosed(dialler)
        self.assertIn("version 258", logs[0]["what"])
        self.assertEqual(self.admitted, [])
        self.assertNothingLeft(dialler)


class TLSTests(GateTestCase):
    """
    Connections that begin with TLS.
    """

    def test_firstByte(self) -> None:
        """
        The first byte of TLS is enough, and is still there for who gets the socket.
        """
        dialler = self.arrive()
        dialler.sendall(b"\x16")
        self.loop.settle()
        ((connection, address),) = self.secured
        self.assertEqual(address, "127.0.0.1")
        dialler.sendall(b"\x03\x01")
        self.assertEqual(connection.recv(100), b"\x16\x03\x01")
        connection.close()
        self.assertNothingLeft(dialler)

    def test_TLSCannotBeHad(self) -> None:
        """
        If TLS cannot be begun for want of something, the connection is closed and no more.
        """

        def secure(connection: socket.socket, address: str) -> None:
            connection.close()
            raise OSError(24, "Too many open files")

        self.gate = self.makeGate(secure)
        dialler = self.arrive()
        dialler.sendall(b"\x16")
        self.assertClosed(dialler)
        self.assertNothingLeft(dialler)


class SilenceTests(GateTestCase):
    """
    Those who say too little.
    """

    def test_deadline(self) -> None:
        """
        One that says nothing, or not all, is closed after 5 s.
        """
        for said in (b"", limits.MAGIC, PREAMBLE[:-1]):
            dialler = self.arrive()
            dialler.sendall(said)
            self.loop.spend(limits.ARRIVAL_TIMEOUT - 0.1)
            self.assertEqual(len(self.room), 1)
            self.loop.spend(0.2)
            self.assertClosed(dialler)
            self.assertNothingLeft(dialler)

    def test_gone(self) -> None:
        """
        One that goes, in good order or by reset, at whatever point, is forgotten.
        """
        for said in (b"", limits.MAGIC, PREAMBLE[:-1]):
            for linger in (b"\0" * 8, b"\1\0\0\0\0\0\0\0"):
                dialler = self.arrive()
                dialler.sendall(said)
                dialler.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                dialler.close()
                self.loop.settle()
                self.assertNothingLeft()

    def test_goneBeforeAccept(self) -> None:
        """
        One that was reset before it was looked at is closed, and counts as one that went.
        """
        count = 0
        while not self.penalties.isRefused("127.0.0.1"):
            dialler = socket.create_connection(self.port.getsockname())
            reset(dialler)
            connection, name = self.port.accept()
            connection.setblocking(False)
            self.gate.arrived(connection, name)
            self.loop.settle()
            count += 1
        self.assertEqual(count, 30)
        self.assertNothingLeft()

    def test_crowd(self) -> None:
        """
        Of many silent ones the oldest is closed for each that comes.
        """
        self.room = WaitingRoom(100, 2)
        self.gate = self.makeGate()
        diallers = [self.arrive() for _ in range(3)]
        self.assertClosed(diallers[0])
        diallers[1].sendall(PREAMBLE)
        self.loop.settle()
        self.assertEqual(len(self.admitted), 1)
        self.admitted[0][1].close()
        self.gate.waiting.clear()
        self.assertClosed(diallers[2])
        self.assertNothingLeft(*diallers)

    def test_arrivalIsDroppable(self) -> None:
        """
        An arrival is what the waiting room takes it for.
        """
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        arrival = Arrival(self.loop, other, "", self.gate)
        verifyObject(IDroppable, arrival, tentative=True)
        arrival.drop()
        arrival.drop()
        one.close()
        self.assertNothingLeft()


class PenaltyTests(GateTestCase):
    """
    Addresses from which too much has failed.
    """

    def seconds(self) -> float:
        """
        @return: what the diallers' address has to pay.
        """
        end, _ = self.penalties._tables[0].get("127.0.0.1")
        return max(0.0, end - self.loop.seconds())

    def test_kinds(self) -> None:
        """
        Each failure counts as what it is, once.
        """
        self.admits, diallers = False, []
        for said, kind in (
            (b"", "gone"),
            (limits.MAGIC, "gone"),
            (b"GET", "garbage"),
            (PREAMBLE, "ticket"),
            (limits.MAGIC + b"\1\2" + TICKET, "hello"),
        ):
            self.loop.advance(100)
            dialler = self.arrive()
            diallers.append(dialler)
            dialler.sendall(said)
            dialler.shutdown(socket.SHUT_WR)
            self.assertClosed(dialler)
            self.assertEqual(self.seconds(), WEIGHTS[kind], said)
        self.loop.advance(100)
        dialler = self.arrive()
        self.loop.spend(limits.ARRIVAL_TIMEOUT)
        self.assertClosed(dialler)
        self.assertEqual(self.seconds(), WEIGHTS["late"])
        self.assertNothingLeft(dialler, *diallers)

    def test_crowd(self) -> None:
        """
        One that has to make room for others has failed a little.
        """
        self.room = WaitingRoom(100, 2)
        self.gate = self.makeGate()
        diallers = [self.arrive() for _ in range(5)]
        self.assertEqual(self.seconds(), 3 * WEIGHTS["crowd"])
        self.room.clear()
        self.assertNothingLeft(*diallers)

    def test_refused(self) -> None:
        """
        From then on connections are closed unheard, with some lines in the log however many
        they are; after its time the address is heard again.
        """
        with capturedLogs() as logs:
            for _ in range(2000):
                dialler = self.arrive()
                dialler.sendall(b"G")
                self.loop.settle()
                dialler.close()
            self.loop.spend(watchlimits.WARNINGS_PERIOD + 1)
        self.assertEqual(self.seconds(), 15 - watchlimits.WARNINGS_PERIOD - 1)
        self.assertLess(len(logs), 5)
        said = [event for event in logs if "Refused a connection" in event["log_format"]]
        self.assertEqual([event["address"] for event in said], ["127.0.0.1"] * 2)
        self.assertIn("1996 more", said[1]["more"])
        self.loop.spend(5)
        dialler = self.arrive()
        dialler.sendall(PREAMBLE)
        self.loop.settle()
        self.assertEqual(len(self.admitted), 1)
        self.admitted[0][1].close()
        self.assertNothingLeft(dialler)

    def test_proved(self) -> None:
        """
        An address from which a good ticket has come is heard, whatever else comes from there.
        """
        dialler = self.arrive()
        dialler.sendall(PREAMBLE)
        self.loop.settle()
        self.admitted.pop()[1].close()
        for _ in range(100):
            self.penalties.failed("127.0.0.1", "garbage")
        other = self.arrive()
        other.sendall(PREAMBLE)
        self.loop.settle()
        self.admitted.pop()[1].close()
        self.assertNothingLeft(dialler, other)

    def test_reasons(self) -> None:
        """
        Reasons that a stranger makes up, one for each connection, take some lines together.
        """
        self.penalties.proved("127.0.0.1")
        with capturedLogs() as logs:
            for number in range(500):
                dialler = self.arrive()
                dialler.sendall(limits.MAGIC + (1000 + number).to_bytes(2, "big") + TICKET)
                self.assertClosed(dialler)
                dialler.close()
            self.loop.spend(watchlimits.WARNINGS_PERIOD + 1)
        self.assertLess(len(logs), 20)
        self.assertEqual(logs[-1]["what"], "various problems")
        self.assertNothingLeft()


class HandshakeTests(GateTestCase):
    """
    Many TLS connections at once.
    """

    def arrived(self, count: int) -> list[socket.socket]:
        """
        @return: the diallers of TLS connections that wait for their turn.
        """
        diallers = [self.arrive() for _ in range(count)]
        self.turns: list[Any] = []
        self.patch(self.gate, "_loop", self)
        for dialler in diallers:
            dialler.sendall(b"\x16")
        self.loop.settle()
        return diallers

    def callLater(self, delay: float, call: Any) -> None:
        """
        In place of the loop's, whose turns are not told apart.
        """
        self.turns.append(call)

    def test_turns(self) -> None:
        """
        Some are begun in each turn, in order; the others wait, and one that goes meanwhile is
        forgotten.
        """
        diallers = self.arrived(3 * watchlimits.HANDSHAKES_PER_TURN)
        self.assertEqual((len(self.turns), len(self.secured)), (1, 0))
        self.turns.pop()()
        self.assertEqual(len(self.secured), watchlimits.HANDSHAKES_PER_TURN)
        next(iter(self.gate._toSecure)).drop()
        while self.turns:
            self.turns.pop()()
        self.assertEqual(len(self.secured), len(diallers) - 1)
        ports = [connection.getpeername()[1] for connection, _ in self.secured]
        expected = [dialler.getsockname()[1] for dialler in diallers]
        del expected[watchlimits.HANDSHAKES_PER_TURN]
        self.assertEqual(ports, expected)
        for connection, _ in self.secured:
            connection.close()
        self.room.clear()
        self.assertNothingLeft(*diallers)

    def test_deadline(self) -> None:
        """
        The time of one that waits for its turn goes on.
        """
        diallers = self.arrived(3)
        self.loop.spend(limits.ARRIVAL_TIMEOUT)
        self.assertEqual((len(self.room), self.gate._toSecure), (0, {}))
        self.turns.pop()()
        self.assertEqual(self.secured, [])
        self.assertNothingLeft(*diallers)
