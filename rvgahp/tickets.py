# -*- test-case-name: tests.test_tickets -*-
"""
Tickets: random names, good once and for 10 s, for channels about to be dialled.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from rvgahp import limits

T = TypeVar("T")


class TicketBook(Generic[T]):
    """
    The tickets that are out.  What each opens is the caller's.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._tickets: dict[bytes, tuple[T, float]] = {}

    def __len__(self) -> int:
        self._expire()
        return len(self._tickets)

    def issue(self, purpose: T) -> bytes:
        """
        @return: a new ticket.  B{Secret} until it is used.
        """
        self._expire()
        ticket = secrets.token_bytes(limits.TICKET_BYTES)
        self._tickets[ticket] = purpose, self._clock.seconds() + limits.TICKET_LIFETIME
        return ticket

    def redeem(self, ticket: bytes) -> T | None:
        """
        @return: what it opens, once; L{None} if it is unknown, used or too old.
        """
        purpose, expires = self._tickets.pop(ticket, (None, 0.0))
        return purpose if self._clock.seconds() < expires else None

    def _expire(self) -> None:
        """
        Forget the old ones; the oldest come first, as all live equally long.
        """
        now = self._clock.seconds()
        while self._tickets:
            ticket, (_, expires) = next(iter(self._tickets.items()))
            if expires > now:
                return
            del self._tickets[ticket]
