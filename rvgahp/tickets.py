# -*- test-case-name: tests.test_tickets -*-
"""
Tickets: random names, good once and for 10 s, for channels about to be dialled.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

import secrets
from collections import Counter
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
        self._tickets: dict[bytes, tuple[T, str, float]] = {}
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        self._expire()
        return len(self._tickets)

    def heldBy(self, holder: str) -> int:
        """
        @return: the tickets of C{holder} that are out.
        """
        self._expire()
        return self._held[holder]

    def issue(self, purpose: T, holder: str) -> bytes:
        """
        @param holder: whom it is counted for.
        @return: a new ticket.  B{Secret} until it is used.
        """
        self._expire()
        ticket = secrets.token_bytes(limits.TICKET_BYTES)
        expires = self._clock.seconds() + limits.TICKET_LIFETIME
        self._tickets[ticket] = purpose, holder, expires
        self._held[holder] += 1
        return ticket

    def redeem(self, ticket: bytes) -> T | None:
        """
        @return: what it opens, once; L{None} if it is unknown, used or too old.
        """
        if ticket not in self._tickets:
            return None
        purpose, expires = self._remove(ticket)
        return purpose if self._clock.seconds() < expires else None

    def _remove(self, ticket: bytes) -> tuple[T, float]:
        purpose, holder, expires = self._tickets.pop(ticket)
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        return purpose, expires

    def _expire(self) -> None:
        """
        Forget the old ones; the oldest come first, as all live equally long.
        """
        now = self._clock.seconds()
        while self._tickets:
            ticket, (_, _, expires) = next(iter(self._tickets.items()))
            if expires > now:
                return
            self._remove(ticket)
