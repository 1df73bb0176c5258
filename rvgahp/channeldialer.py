# -*- test-case-name: tests.test_channeldialer -*-
"""
The CE's dials of one stream's channels.  C{doc/protocol.rst}, step 6.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from rvgahp import limits
from rvgahp.backoff import Backoff
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.errors import ChannelLost, NotAuthorized, SessionGone
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.session import SessionKeys


def _discard(dialling: Deferred[socket.socket]) -> None:
    """
    Nobody wants the connection any more, be it there or not.
    """
    dialling.cancel()
    dialling.addCallbacks(lambda connection: connection.close(), lambda _: None)


class ChannelDialer:
    """
    Dials until a channel comes to be.  A dial or handshake that takes long is not given
    up, but another is begun beside it; the first that comes through carries the stream.

    With tickets in hand it dials as often as there are tickets: a lost packet may have
    been all, and what else made a dial fail will do so again.  With none it asks the proxy
    for one each time, less and less often, until it is closed.

    @ivar problem: why the last try that failed did; empty if none has.
    """

    def __init__(
        self,
        reactor: Any,
        keys: SessionKeys,
        carrier: Carrier,
        dial: Callable[[], Deferred[socket.socket]],
        tickets: list[bytes],
        failed: Callable[[str], object],
        names: tuple[int, int] = (0, GAHP_STREAM),
        openChannel: Callable[[], Deferred[bytes]] | None = None,
    ) -> None:
        """
        @param dial: makes a connection to the proxy's port.
        @param tickets: for this stream.  B{Secret} until they are used.
        @param failed: called with the reason of the last failure when no ticket is left or
            to be had.
        @param names: the stream's number and kind.
        @param openChannel: asks the proxy for a ticket.
        """
        self._reactor = reactor
        self._keys = keys
        self._carrier = carrier
        self._dial = dial
        self._tickets = list(tickets)
        self._failed = failed
        self._names = names
        self._openChannel = openChannel
        self._backoff = Backoff(SystemRandom())
        self._generation = 0
        self._dialling: set[Deferred[None]] = set()
        self._underway = 0  # dials and handshakes
        self._timer: Any = None
        self._isClosed = False
        self.problem = ""

    def start(self) -> None:
        """
        Dial.
        """
        self._attempt("there is no ticket")

    def again(self, reason: str) -> None:
        """
        A channel did not come to be: dial once more, after a moment.
        """
        self._underway -= 1
        self.problem = reason
        if self._openChannel is not None:
            self._schedule(self._backoff.delay(), reason)
        elif self._tickets or not self._underway:
            self._schedule(limits.REDIAL_FIRST, reason)

    def close(self) -> None:
        """
        Dial no more: a channel carries the stream, or none ever will.
        """
        self._isClosed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for dialling in list(self._dialling):
            dialling.cancel()

    def _schedule(self, delay: float, reason: str) -> None:
        if self._isClosed:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(delay, self._attempt, reason)

    def _attempt(self, reason: str) -> None:
        if self._tickets:
            ticket = succeed(self._tickets.pop(0))
        elif self._openChannel is not None:
            ticket = self._openChannel()
        else:
            self._failed(reason)
            return
        self._underway += 1
        if self._tickets or (self._openChannel and self._underway < limits.TICKETS_PER_START):
            self._schedule(limits.SPARE_DIAL_DELAY, "")
        dialling = ensureDeferred(self._connect(ticket))
        self._dialling.add(dialling)
        dialling.addErrback(self._notDialled)
        dialling.addBoth(lambda _: self._dialling.discard(dialling))

    async def _connect(self, asked: Deferred[bytes]) -> None:
        dialling = self._dial()  # while the proxy is asked
        try:
            ticket = await asked
        except BaseException:
            _discard(dialling)
            raise
        self._dialled(await dialling, ticket)

    def _dialled(self, connection: socket.socket, ticket: bytes) -> None:
        if self._isClosed:
            connection.close()
            return
        ended = self._keys.objection(self._keys.present, self._reactor.seconds())
        if ended:
            connection.close()
            raise ChannelLost(ended)
        self._generation += 1
        DialingChannel(
            self._reactor,
            connection,
            self._carrier,
            self._keys.present,
            *self._names,
            self._generation,
            ticket,
        )

    def _notDialled(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(SessionGone, NotAuthorized):
            self.close()
            self._failed(failure.getErrorMessage())
        else:
            self.again(failure.getErrorMessage())
