# -*- test-case-name: tests.test_channeldialer -*-
"""
The CE's dials of one stream's channels.  C{doc/protocol.rst}, step 6.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import limits
from rvgahp.backoff import Backoff
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.errors import ChannelLost, NotAuthorized, SessionGone
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.session import SessionKeys
from rvgahp.way import Way


def _discard(dialling: Deferred[socket.socket]) -> None:
    """
    Nobody wants the connection any more, be it there or not.
    """
    dialling.cancel()
    dialling.addCallbacks(lambda connection: connection.close(), lambda _: None)


class ChannelDialer:
    """
    Dials a stream's channels, the first and each that follows a broken one.  A dial or
    handshake that takes long is not given up, but another is begun beside it; the first
    that comes through carries the stream.

    When its tickets are used up it asks the proxy for one each time, less and less often,
    until it is closed; but a GAHP's first channel it gives up after a while, so that its
    client can say why there is none.

    @ivar problem: why the last try that failed did; empty if none has.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        keys: SessionKeys,
        carrier: Carrier,
        way: Way,
        openChannel: Callable[[], Deferred[bytes]],
        failed: Callable[[str], object],
        tickets: list[bytes] | None = None,
        names: tuple[int, int] = (0, GAHP_STREAM),
    ) -> None:
        """
        @param way: to the proxy's port.
        @param openChannel: asks the proxy for a ticket.
        @param failed: called with the reason when it has given up, or the stream is over
            at the other side.
        @param tickets: the first.  B{Secret} until they are used.
        @param names: the stream's number and kind.
        """
        self._reactor = reactor
        self._keys = keys
        self._carrier = carrier
        self._way = way
        self._openChannel = openChannel
        self._failed = failed
        self._tickets = list(tickets or ())
        self._givesUpAt = math.inf
        self._names = names
        self._backoff = Backoff(SystemRandom())
        self._generation = 0
        self._dialling: set[Deferred[None]] = set()
        self._underway = 0  # dials and handshakes
        self._timer: Any = None
        self._isWanted = self._isClosed = False
        self._progress = -1  # of the stream, when the last channel opened
        self._openedAt = 0.0
        self._carried = 0  # by all channels before the present one
        self._toldAt = -limits.LOSSES_PERIOD
        self.problem = ""

    def start(self) -> None:
        """
        Dial.
        """
        self._isWanted = True
        if self._tickets:
            self._givesUpAt = self._reactor.seconds() + limits.FIRST_DIALS_TIMEOUT
        self._attempt()

    def opened(self) -> None:
        """
        A channel carries the stream.
        """
        self._stop()
        self._carrier.dropHandshakes()
        self._way.channelOpened()
        self._underway = 0
        progress = self._carrier.stream.progress()
        if progress != self._progress:
            self._backoff.succeeded()  # the one before was of use
        self._progress, self._openedAt = progress, self._reactor.seconds()
        self._carried = self._carrier.stream.carried()
        self._tickets.clear()
        self._givesUpAt = math.inf

    def lost(self, reason: str) -> None:
        """
        The channel broke, or one did not come to be: dial after a moment.
        """
        self.problem = reason
        if self._isClosed:
            return
        if self._carrier.isRefused:
            self.close()
            self._failed(reason)
            return
        if self._isWanted:
            self._underway -= 1
        else:
            self._broke(reason)
        self._isWanted = True
        left = self._givesUpAt - self._reactor.seconds()
        if left > 0:
            self._schedule(min(self._backoff.delay(), left))
        elif not self._underway:
            self.close()
            doubt = self._way.doubt()
            self._failed(f"{reason.rstrip('.')}; {doubt}" if doubt else reason)

    def _broke(self, reason: str) -> None:
        """
        It was the channel that carried the stream.
        """
        now = self._reactor.seconds()
        hasCarried = self._carrier.stream.carried() > self._carried
        if hasCarried or now - self._openedAt >= limits.CHANNEL_LIVED:
            self._backoff.succeeded()
        if now - self._toldAt >= limits.LOSSES_PERIOD:
            self._toldAt = now
            self.log.info(
                "Session {session}: stream {stream}: its channel was lost, and is dialled again:"
                " {reason}",
                session=self._keys.present.sessionId,
                stream=self._names[0],
                reason=reason,
            )

    def redial(self, generation: int) -> None:
        """
        The client says that the channel of this generation is lost.  Where that is known, and
        the next dial is still far, it is made now: word of the client came through.
        """
        if not self._carrier.isConnected():
            if self._isWanted and not self._underway:
                self._schedule(0)
        elif generation == self._carrier.generation:
            self._carrier.drop("its other end has lost it")

    def close(self) -> None:
        """
        Dial no more.
        """
        self._isClosed = True
        self._stop()

    def _stop(self) -> None:
        self._isWanted = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for dialling in list(self._dialling):
            dialling.cancel()

    def _schedule(self, delay: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(delay, self._attempt)

    def _attempt(self) -> None:
        ticket = succeed(self._tickets.pop(0)) if self._tickets else self._openChannel()
        self._underway += 1
        isLast = self._reactor.seconds() >= self._givesUpAt
        if self._underway < limits.TICKETS_PER_START and not isLast:
            self._schedule(limits.SPARE_DIAL_DELAY)
        dialling = ensureDeferred(self._connect(ticket))
        self._dialling.add(dialling)
        dialling.addErrback(self._notDialled)
        dialling.addBoth(lambda _: self._dialling.discard(dialling))

    async def _connect(self, asked: Deferred[bytes]) -> None:
        dialling = self._way.dial()  # while the proxy is asked
        try:
            ticket = await asked
        except BaseException:
            _discard(dialling)
            raise
        self._dialled(await dialling, ticket)

    def _dialled(self, connection: socket.socket, ticket: bytes) -> None:
        if not self._isWanted:
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
            self._way.channelUnanswered,
        )

    def _notDialled(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(SessionGone, NotAuthorized):
            self.close()
            self._failed(failure.getErrorMessage())
        else:
            self.lost(failure.getErrorMessage())
