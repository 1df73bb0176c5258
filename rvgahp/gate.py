# -*- test-case-name: tests.test_gate -*-
"""
The gate: meets every connection that arrives at the proxy's port.
C{doc/protocol.rst}, steps 1 and 6.

Layer 3.  An arrival is looked at with C{MSG_PEEK}; TLS goes on to Twisted, and a
data connection is read up to the end of its ticket and not a byte further, for
what follows is for the client who will get the socket.
"""

from __future__ import annotations

import contextlib
import socket
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol

from twisted.logger import Logger

from rvgahp import limits, watchlimits
from rvgahp.descriptor import Descriptor
from rvgahp.penalties import Penalties, keyOf
from rvgahp.refusals import Warnings

_TLS_HANDSHAKE = 0x16

#: Why an arrival is not heard.
_REFUSED = (
    "too much that came from there has failed (RVGAHP_LONGEST_PENALTY, RVGAHP_PENALTY_EXEMPT)"
)


class Droppable(Protocol):
    """
    A connection that has proved nothing yet.
    """

    def drop(self) -> None:
        """
        Close it at once.
        """


class WaitingRoom:
    """
    The connections that have proved nothing yet.  When it is full, the one that
    has waited longest goes: one who has something to say says it at once.
    """

    def __init__(self, most: int, mostPerAddress: int) -> None:
        self._most = most
        self._mostPerAddress = mostPerAddress
        # By what stands for an address, as its penalties are.
        self._waiting: OrderedDict[Droppable, str | int] = OrderedDict()
        self._perAddress: defaultdict[str | int, OrderedDict[Droppable, None]] = defaultdict(
            OrderedDict
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, arrival: Droppable, address: str) -> None:
        """
        Let it wait, at another's expense if need be.
        """
        key = keyOf(address)
        ofAddress = self._perAddress[key]
        if len(ofAddress) >= self._mostPerAddress:
            self._evict(next(iter(ofAddress)))
        elif len(self._waiting) >= self._most:
            self._evict(next(iter(self._waiting)))
        self._waiting[arrival] = key
        self._perAddress[key][arrival] = None

    def leave(self, arrival: Droppable) -> None:
        """
        It has proved itself, or is gone.
        """
        key = self._waiting.pop(arrival, None)
        if key is not None:
            ofAddress = self._perAddress[key]
            ofAddress.pop(arrival, None)
            if not ofAddress:
                del self._perAddress[key]

    def clear(self) -> None:
        """
        Close all that wait.
        """
        for arrival in list(self._waiting):
            self._evict(arrival)

    def _evict(self, arrival: Droppable) -> None:
        self.leave(arrival)
        arrival.drop()


class Arrival(Descriptor):
    """
    One connection before it is known what it wants.
    """

    def __init__(self, loop: Any, connection: socket.socket, address: str, gate: Gate) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self.connection = connection
        self.address = address
        self._gate = gate
        self._preamble = b""
        self._deadline = loop.callLater(limits.ARRIVAL_TIMEOUT, self._late)
        self.resumeReading()

    def doRead(self) -> None:
        try:
            if not self._preamble:
                first = self.connection.recv(1, socket.MSG_PEEK)
                if first and first[0] == _TLS_HANDSHAKE:
                    self._gate.tlsArrived(self)
                    return
            self._readPreamble()
        except BlockingIOError:
            return
        except OSError:
            self._gate.refused(self, "gone")

    def _readPreamble(self) -> None:
        data = self.connection.recv(limits.PREAMBLE_BYTES - len(self._preamble))
        if not data:
            self._gate.refused(self, "gone")
            return
        self._preamble += data
        magic = self._preamble[: len(limits.MAGIC)]
        if magic != limits.MAGIC[: len(magic)]:
            self._gate.refused(self, "garbage", "it speaks neither TLS nor our protocol")
        elif len(self._preamble) == limits.PREAMBLE_BYTES:
            version = int.from_bytes(self._preamble[len(limits.MAGIC) :][:2], "big")
            if version == limits.CHANNEL_VERSION:
                self._gate.ticketShown(self, self._preamble[-limits.TICKET_BYTES :])
            else:
                self._gate.refused(self, "hello", f"it speaks version {version} of our protocol")

    def release(self) -> socket.socket:
        """
        @return: the socket, which is the caller's from now on.
        """
        self.pauseReading()
        self._deadline.cancel()
        self.isClosed = True
        return self.connection

    def drop(self) -> None:
        self._gate.penalties.failed(self.address, "crowd")
        self.close()

    def close(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        super().close()
        self._gate.left(self)

    def readEnded(self, problem: str) -> None:
        self._gate.refused(self, "gone")

    def _late(self) -> None:
        reason = f"it had not said what it wants after {limits.ARRIVAL_TIMEOUT} s"
        self._gate.refused(self, "late", reason)


class Gate:
    """
    Sorts arrivals.

    @ivar waiting: those that have proved nothing yet, TLS connections included
        until they have said Hello.
    @ivar penalties: of addresses from which too much has failed.
    """

    log = Logger()

    def __init__(
        self,
        loop: Any,
        waiting: WaitingRoom,
        secure: Callable[[socket.socket, str], object],
        admit: Callable[[bytes, socket.socket], bool],
        penalties: Penalties | None = None,
        warnings: Warnings | None = None,
    ) -> None:
        """
        @param secure: takes a connection that begins with TLS, and its address.
        @param admit: takes a ticket and the connection that showed it; tells
            whether the ticket was good.  If not, the connection stays ours.
        @param penalties: by default there are none.
        @param warnings: what tells of who was refused.
        """
        self._loop = loop
        self.waiting = waiting
        self._secure = secure
        self._admit = admit
        self._toSecure: dict[Arrival, None] = {}
        if penalties is None:
            penalties = Penalties(loop.seconds, lambda: 0.0, tuple)
        self.penalties = penalties
        self._warnings = warnings or Warnings(loop, self.log, watchlimits.WARNINGS_PERIOD)

    def arrived(self, connection: socket.socket, name: tuple[str, int]) -> None:
        """
        A connection was accepted.

        @param name: the address and the port from which it came, and what else the C{socket}
            module tells of them.
        """
        address = name[0].removeprefix("::ffff:")
        if self.penalties.isRefused(address):
            connection.close()
            self._warnings.warn("Refused a connection from {address}: {what}", address, _REFUSED)
            return
        with contextlib.suppress(OSError):  # gone already, which will be seen
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        arrival = Arrival(self._loop, connection, address, self)
        self.waiting.enter(arrival, address)

    def tlsArrived(self, arrival: Arrival) -> None:
        """
        It begins with TLS.  That takes a millisecond, so some have to wait for the next turn.
        """
        arrival.pauseReading()
        if not self._toSecure:
            self._loop.callLater(0, self._secureSome)
        self._toSecure[arrival] = None

    def _secureSome(self) -> None:
        for arrival in list(islice(self._toSecure, watchlimits.HANDSHAKES_PER_TURN)):
            del self._toSecure[arrival]
            self.waiting.leave(arrival)
            try:
                self._secure(arrival.release(), arrival.address)
            except OSError as e:
                what = e.strerror or str(e)
                self._warnings.warn(
                    "Closed a connection from {address}: {what}", arrival.address, what
                )
        if self._toSecure:
            self._loop.callLater(0, self._secureSome)

    def left(self, arrival: Arrival) -> None:
        """
        It is closed.
        """
        self._toSecure.pop(arrival, None)

    def ticketShown(self, arrival: Arrival, ticket: bytes) -> None:
        """
        It has shown a ticket.
        """
        arrival.pauseReading()  # before it is another's
        if self._admit(ticket, arrival.connection):
            self.waiting.leave(arrival)
            arrival.release()
            self.penalties.proved(arrival.address)
        else:
            self.refused(arrival, "ticket", "its ticket is unknown, used or too old")

    def refused(self, arrival: Arrival, kind: str, reason: str = "") -> None:
        """
        Close it.

        @param kind: what that counts as: one of L{rvgahp.penalties.WEIGHTS}.
        @param reason: without one it is not worth a line.
        """
        self.waiting.leave(arrival)
        arrival.close()
        self.penalties.failed(arrival.address, kind)
        if reason:
            self._warnings.warn(
                "Closed a connection from {address}: {what}", arrival.address, reason
            )
