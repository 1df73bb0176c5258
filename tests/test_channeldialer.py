"""
Tests of L{rvgahp.channeldialer}: real sockets, and a clock of their own.
"""

from __future__ import annotations

import socket
from functools import partial
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.channeldialer import ChannelDialer
from rvgahp.errors import Busy, ChannelLost, NotAuthorized, NotYet, SessionGone
from rvgahp.handshakemessages import TUNNEL_STREAM, Dial, takeMessage
from tests.channelends import Ends
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair

TICKETS = [bytes([number]) * limits.TICKET_BYTES for number in (1, 2, 3)]


class DialerTestCase(SynchronousTestCase):
    """
    A dialer, and nothing left of it.
    """

    def setUp(self) -> None:
        """
        Begin with nobody to be dialled.
        """
        self.before = descriptorCount()
        self.ends = Ends()
        self.loop: SteppedLoop = self.ends.loop
        self.dials: list[Deferred[socket.socket]] = []
        self.dialled: Any = Deferred
        self.failures: list[str] = []
        self.sockets: list[socket.socket] = []
        self.dialer = self.make()

    def make(self) -> ChannelDialer:
        """
        @return: a dialer.
        """
        return ChannelDialer(
            self.loop,
            self.ends.keys,
            self.ends.ce,
            self._dial,
            TICKETS,
            self.failures.append,
        )

    def _dial(self) -> Deferred[socket.socket]:
        dial: Deferred[socket.socket] = self.dialled()
        self.dials.append(dial)
        return dial

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.dialer.close()
        self.ends.close()
        for connection in self.sockets:
            connection.close()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual(descriptorCount(), self.before)

    def connected(self) -> Deferred[socket.socket]:
        """
        @return: a dial that succeeds.
        """
        ours, theirs = socketPair()
        self.sockets.append(theirs)
        return succeed(ours)

    def shown(self) -> tuple[bytes, int]:
        """
        @return: the ticket and the generation with which was dialled last.
        """
        data = self.sockets[-1].recv(4096)
        return data[: limits.PREAMBLE_BYTES][-limits.TICKET_BYTES :], self._parse(data).generation

    @staticmethod
    def _parse(data: bytes) -> Dial:
        body, _ = takeMessage(memoryview(data)[limits.PREAMBLE_BYTES :])
        assert body is not None
        return Dial(body)


class DialerTests(DialerTestCase):
    """
    How often is dialled, and with what.
    """

    def test_first(self) -> None:
        """
        The first dial has the first ticket and generation 1.
        """
        self.dialled = self.connected
        self.dialer.start()
        self.assertEqual(self.shown(), (TICKETS[0], 1))
        self.loop.spend(1)
        self.assertEqual(len(self.dials), 1)

    def test_refused(self) -> None:
        """
        Dials that fail are as many as there are tickets, a moment apart; then the last
        reason is told, once.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.dialer.start()
        for count in (1, 2, 3):
            self.assertEqual((len(self.dials), self.failures), (count, []))
            self.loop.spend(limits.REDIAL_FIRST)
        self.loop.spend(100)
        self.assertEqual((len(self.dials), self.failures), (3, ["nobody is there"]))

    def test_again(self) -> None:
        """
        A channel that did not come to be is dialled anew with the next ticket and a
        higher generation.
        """
        self.dialled = self.connected
        self.dialer.start()
        for generation, ticket in enumerate(TICKETS, 1):
            self.assertEqual(self.shown(), (ticket, generation))
            self.dialer.again("it broke")
            self.loop.spend(limits.REDIAL_FIRST)
        self.assertEqual(self.failures, ["it broke"])

    def test_spares(self) -> None:
        """
        Beside a dial that gives no answer others are begun, as long as there are tickets,
        and none of them is given up.
        """
        self.dialer.start()
        for count in (1, 2, 3):
            self.assertEqual(len(self.dials), count)
            self.loop.spend(limits.SPARE_DIAL_DELAY)
        self.loop.spend(limits.TICKET_LIFETIME)
        self.assertEqual((len(self.dials), self.failures), (3, []))
        for count, dial in enumerate(self.dials):
            self.assertEqual(self.failures, [], count)
            dial.errback(ChannelLost(f"it broke, {count}"))
            self.loop.spend(1)
        self.assertEqual(self.failures, ["it broke, 2"])

    def test_sparesInTime(self) -> None:
        """
        The last ticket is tried while it still opens the gate, and while the client still
        waits.
        """
        last = limits.SPARE_DIAL_DELAY * (limits.TICKETS_PER_START - 1)
        self.assertLess(last + 1, min(limits.TICKET_LIFETIME, limits.FIRST_CHANNEL_TIMEOUT))

    def test_stalledHandshake(self) -> None:
        """
        While a handshake stalls, the next channel comes through; what is left of the first
        does no harm, and nothing more is dialled.
        """
        self.dialled = self.connected
        self.dialer.start()
        self.loop.spend(limits.SPARE_DIAL_DELAY)
        self.assertEqual(self.shown(), (TICKETS[1], 2))
        self.dialer.close()  # as its user does when the second has opened
        self.dialer.again("the first was given up")
        self.loop.spend(100)
        self.assertEqual((len(self.dials), self.failures), (2, []))

    def test_renewed(self) -> None:
        """
        A channel has the key that is present when its connection is there.
        """
        ours, theirs = socketPair()
        self.sockets.append(theirs)
        self.dialer.start()
        self.ends.keys.renew(bytes(32), 2, 86400, self.loop.seconds())
        self.dials[0].callback(ours)
        dial = self._parse(theirs.recv(4096))
        self.assertEqual(dial.keyNumber, 2)
        self.assertTrue(dial.verify(self.ends.keys.present))

    def test_keyOver(self) -> None:
        """
        With a key whose duration is over nothing is said on the connection; it is tried
        again while there are tickets, for another key may come.
        """
        self.dialled = self.connected
        self.loop.advance(86400)
        self.dialer.start()
        self.assertEqual(self.sockets[0].recv(100), b"")
        self.ends.keys.renew(bytes(32), 2, 86400, self.loop.seconds())
        self.loop.spend(limits.REDIAL_FIRST)
        self.assertEqual(self.shown(), (TICKETS[1], 1))

    def test_keyOverForGood(self) -> None:
        """
        If none comes, that is the reason.
        """
        self.dialled = self.connected
        self.loop.advance(86400)
        self.dialer.start()
        self.loop.spend(1)
        self.assertEqual(len(self.dials), 3)
        self.assertEqual(
            self.failures, ["key 1 of the session was good for 86400 s, which are over"]
        )

    def test_closedWhileDialling(self) -> None:
        """
        A dial that is on its way is called off, and that is no failure.
        """
        self.dialer.start()
        self.dialer.close()
        self.loop.spend(1)
        self.assertEqual((len(self.dials), self.failures), (1, []))

    def test_closedMeanwhile(self) -> None:
        """
        What comes after the close is closed.
        """
        dial: Deferred[socket.socket] = Deferred(lambda deferred: None)
        self.dialled = lambda: dial
        self.dialer.start()
        self.dialer._isClosed = True
        ours, theirs = socketPair()
        self.sockets.append(theirs)
        dial.callback(ours)
        self.assertEqual(theirs.recv(1), b"")

    def test_closedBetween(self) -> None:
        """
        After the close nothing is dialled.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.dialer.start()
        self.dialer.close()
        self.dialer.again("late")
        self.loop.spend(1)
        self.assertEqual((len(self.dials), self.failures), (1, []))


class AskingTests(DialerTestCase):
    """
    A dialer that asks for each ticket.
    """

    def setUp(self) -> None:
        """
        Begin with a proxy that does not answer yet.
        """
        super().setUp()
        self.asked: list[Deferred[bytes]] = []
        self.ticket: Any = Deferred

    def make(self) -> ChannelDialer:
        return ChannelDialer(
            self.loop,
            self.ends.keys,
            self.ends.ce,
            self._dial,
            [],
            self.failures.append,
            (7, TUNNEL_STREAM),
            self._ask,
        )

    def _ask(self) -> Deferred[bytes]:
        asked: Deferred[bytes] = self.ticket()
        self.asked.append(asked)
        return asked

    def test_atOnce(self) -> None:
        """
        The proxy is asked and dialled at the same time; nothing is said before both are
        done, in whichever order, and then it is for the right stream.
        """
        for first in ("ticket", "connection"):
            ours, theirs = socketPair()
            self.sockets.append(theirs)
            self.dialer = self.make()
            self.dialer.start()
            self.assertEqual(len(self.asked), len(self.dials))
            deeds = [
                partial(self.asked[-1].callback, TICKETS[1]),
                partial(self.dials[-1].callback, ours),
            ]
            if first == "connection":
                deeds.reverse()
            deeds[0]()
            self.assertRaises(BlockingIOError, theirs.recv, 1)
            deeds[1]()
            data = theirs.recv(4096)
            self.assertEqual(data[: limits.PREAMBLE_BYTES][-limits.TICKET_BYTES :], TICKETS[1])
            dial = self._parse(data)
            self.assertEqual((dial.stream, dial.kind, dial.generation), (7, TUNNEL_STREAM, 1))
            self.dialer.close()

    def test_final(self) -> None:
        """
        If the session is gone, or may not, that is told at once and once; the connection is
        closed, whether it was there or not, and nothing more is dialled.
        """
        for error in (SessionGone, NotAuthorized):
            for connected in (self.connected, Deferred):
                self.failures.clear()
                before = len(self.dials)
                self.dialled = connected
                self.dialer = self.make()
                self.dialer.start()
                self.asked[-1].errback(error("so it is"))
                self.assertEqual(self.failures, ["so it is"])
                if connected == self.connected:
                    self.assertEqual(self.sockets[-1].recv(1), b"")
                self.loop.spend(100)
                self.assertEqual((len(self.dials), self.failures), (before + 1, ["so it is"]))
                self.assertEqual(self.dialer.problem, "")

    def test_backoff(self) -> None:
        """
        What may be over soon is asked again, later each time, without an end and with the
        last reason at hand.
        """
        times: list[float] = []

        def refuse() -> Deferred[bytes]:
            times.append(self.loop.seconds())
            return fail(NotYet(f"not yet, {len(times)}"))

        self.ticket = refuse
        self.dialer = self.make()
        self.dialer.start()
        self.loop.spend(200)
        waits = [later - sooner for sooner, later in pairwise(times)]
        self.assertEqual(waits[0], limits.REDIAL_FIRST)
        self.assertGreater(len(waits), 10)
        self.assertLess(len(waits), 40)
        self.assertGreater(min(waits[-3:]), limits.REDIAL_LONGEST / 2 - 0.1)
        self.assertLessEqual(max(waits), limits.REDIAL_LONGEST)
        self.assertEqual((self.failures, self.dialer.problem), ([], f"not yet, {len(times)}"))
        self.assertEqual(len(self.dials), len(times))

    def test_dialFails(self) -> None:
        """
        A dial that fails, before the proxy answers or after, is tried again with another
        ticket, and is no failure for the log.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        for answersFirst in (True, False):
            self.asked.clear()
            self.ticket = (lambda: succeed(TICKETS[0])) if answersFirst else Deferred
            self.dialer = self.make()
            self.dialer.start()
            if not answersFirst:
                self.asked[0].callback(TICKETS[0])
            self.loop.spend(limits.REDIAL_FIRST)
            self.assertEqual(len(self.asked), 2)
            self.assertEqual(self.dialer.problem, "nobody is there")
            self.dialer.close()

    def test_bothFail(self) -> None:
        """
        If both fail the proxy's word counts, and the other one is not left lying about.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.dialer = self.make()
        self.dialer.start()
        self.asked[0].errback(Busy("too many"))
        self.assertEqual(self.dialer.problem, "too many")

    def test_spares(self) -> None:
        """
        Beside one that takes long others are begun, three at most, each with a ticket of
        its own.
        """
        self.dialled = self.connected
        tickets = list(TICKETS)
        self.ticket = lambda: succeed(tickets.pop(0))
        self.dialer = self.make()
        self.dialer.start()
        for number, ticket in enumerate(TICKETS, 1):
            self.assertEqual(len(self.dials), number)
            self.assertEqual(self.shown(), (ticket, number))
            self.loop.spend(limits.SPARE_DIAL_DELAY)
        tickets += TICKETS
        self.loop.spend(limits.HANDSHAKE_TIMEOUT - 9.1)
        self.assertEqual((len(self.dials), len(self.asked)), (3, 3))

    def test_closed(self) -> None:
        """
        In whatever state it is closed, it tells nothing, asks nothing more, and what comes
        late is closed.
        """

        def nothing() -> None:
            pass

        def ticketFirst() -> None:
            self.asked[-1].callback(TICKETS[0])

        def connectionFirst() -> None:
            self.dials[-1].callback(self.connected().result)  # type: ignore[arg-type]

        def refused() -> None:
            self.asked[-1].errback(NotYet("not yet"))

        def shaking() -> None:
            ticketFirst()
            connectionFirst()

        for deed in (nothing, ticketFirst, connectionFirst, refused, shaking):
            self.dialer = self.make()
            self.dialer.start()
            deed()
            self.dialer.close()
            self.dialer.close()
            count = len(self.asked), len(self.dials)
            self.loop.spend(100)
            self.assertEqual((len(self.asked), len(self.dials)), count)
            self.assertEqual(self.failures, [])
            if deed is connectionFirst:
                self.assertEqual(self.sockets[-1].recv(1), b"")
