"""
Tests of L{rvgahp.tickets}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.tickets import TicketBook


class TicketBookTests(SynchronousTestCase):
    """
    What a ticket opens, and when not.
    """

    def setUp(self) -> None:
        """
        Begin with no ticket.
        """
        self.clock = Clock()
        self.book: TicketBook[str] = TicketBook(self.clock)

    def test_once(self) -> None:
        """
        A ticket opens what it was made for, once.
        """
        first, second = self.book.issue("a", "h"), self.book.issue("b", "h")
        self.assertNotEqual(first, second)
        self.assertEqual((len(first), len(second)), (limits.TICKET_BYTES, limits.TICKET_BYTES))
        self.assertEqual(self.book.redeem(second), "b")
        self.assertEqual(self.book.redeem(first), "a")
        self.assertIsNone(self.book.redeem(first))

    def test_unknown(self) -> None:
        """
        One that was never issued opens nothing.
        """
        self.book.issue("a", "h")
        self.assertIsNone(self.book.redeem(bytes(limits.TICKET_BYTES)))

    def test_tooLate(self) -> None:
        """
        It is good for just under 10 s.
        """
        early, late = self.book.issue("early", "h"), self.book.issue("late", "h")
        self.clock.advance(limits.TICKET_LIFETIME - 0.001)
        self.assertEqual(self.book.redeem(early), "early")
        self.clock.advance(0.001)
        self.assertIsNone(self.book.redeem(late))

    def test_forgotten(self) -> None:
        """
        Tickets that nobody used are not counted, nor kept, when they are too old.
        """
        for count in range(1, 101):
            self.book.issue("x", "h")
            self.assertEqual(len(self.book), count)
        self.clock.advance(limits.TICKET_LIFETIME / 2)
        self.book.issue("y", "h")
        self.clock.advance(limits.TICKET_LIFETIME / 2)
        self.assertEqual(len(self.book), 1)

    def test_heldBy(self) -> None:
        """
        For each holder those are counted that are out: used ones and old ones are not.
        """
        self.assertEqual(self.book.heldBy("a"), 0)
        tickets = [self.book.issue("x", holder) for holder in "aab"]
        self.assertEqual([self.book.heldBy(holder) for holder in "abc"], [2, 1, 0])
        self.book.redeem(tickets[0])
        self.book.redeem(tickets[0])
        self.assertEqual([self.book.heldBy(holder) for holder in "abc"], [1, 1, 0])
        self.clock.advance(limits.TICKET_LIFETIME / 2)
        self.book.issue("x", "b")
        self.clock.advance(limits.TICKET_LIFETIME / 2)
        self.book.redeem(tickets[1])
        self.assertEqual([self.book.heldBy(holder) for holder in "abc"], [0, 1, 0])
        self.clock.advance(limits.TICKET_LIFETIME / 2)
        self.assertEqual([self.book.heldBy(holder) for holder in "abc"], [0, 0, 0])
        self.assertEqual(len(self.book._held), 0)
