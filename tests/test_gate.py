"""
Tests of L{rvgahp.gate}, with real sockets and a clock of their own.
"""

from __future__ import annotations

import socket

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from rvgahp import limits
from rvgahp.gate import Arrival, Gate, WaitingRoom
from tests.steppedloop import SteppedLoop, descriptorCount

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
        self.gate = Gate(self.loop, self.room, self._secure, self._admit)
        self.port = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.port.close)
        self.before = descriptorCount()

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
        connection, _ = self.port.accept()
        connection.setblocking(False)
        self.gate.arrived(connection)
        return dialler

    def assertNothingLeft(self, *diallers: socket.socket) -> None:
        """
        After the diallers have closed too, the gate has no descriptor, no timer and
        nobody waiting.
        """
        for dialler in diallers:
            dialler.close()
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
            [(event["address"], event["reason"]) for event in logs],
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
        self.assertIn("version 258", logs[0]["reason"])
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

        self.gate = Gate(self.loop, self.room, secure, self._admit)
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
        One that was reset before it was looked at is closed.
        """
        one, other = socket.socketpair()
        one.close()
        with self.assertRaises(OSError):
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.gate.arrived(other)  # as with TCP: no such option, no such peer
        self.assertNothingLeft()

    def test_crowd(self) -> None:
        """
        Of many silent ones the oldest is closed for each that comes.
        """
        self.room = WaitingRoom(100, 2)
        self.gate = Gate(self.loop, self.room, self._secure, self._admit)
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
