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
from rvgahp.channel import AnsweringChannel
from rvgahp.channeldialer import ChannelDialer
from rvgahp.clienttunnels import NO_KIND
from rvgahp.errors import Busy, ChannelLost, NotAuthorized, NotYet, SessionGone
from rvgahp.handshakemessages import TUNNEL_STREAM, Dial, encodeMessage, takeMessage
from rvgahp.way import Way
from tests.channelends import Ends, User
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair

TICKETS = [bytes([number]) * limits.TICKET_BYTES for number in (1, 2, 3)]

#: A ticket that was asked for.
_FURTHER = bytes(range(16))


class DialerTestCase(SynchronousTestCase):
    """
    A dialer, and nothing left of it.
    """

    def setUp(self) -> None:
        """
        Begin with nobody to be dialled.
        """
        self.before = descriptorCount()
        self.ends = self.makeEnds()
        self.loop: SteppedLoop = self.ends.loop
        self.dials: list[Deferred[socket.socket]] = []
        self.dialled: Any = Deferred
        self.failures: list[str] = []
        self.sockets: list[socket.socket] = []
        self.further = 0
        self.way = Way(self._dial, lambda session, stream: self._further(), lambda: True)
        self.dialer = self.make()

    def makeEnds(self) -> Ends:
        """
        @return: both ends of a stream.
        """
        return Ends()

    def make(self) -> ChannelDialer:
        """
        @return: a dialer.
        """
        return ChannelDialer(
            self.loop,
            self.ends.keys,
            self.ends.ce,
            self.way,
            self._further,
            self.failures.append,
            TICKETS,
        )

    def _further(self) -> Deferred[bytes]:
        self.further += 1
        return succeed(_FURTHER)

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
        After a dial that failed another follows in a moment, then less and less often; when
        the time is over the last reason is told, once, while the client still waits.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.dialer.start()
        self.assertEqual(len(self.dials), 1)
        self.loop.spend(limits.REDIAL_FIRST)
        self.assertEqual(len(self.dials), 2)
        self.loop.spend(limits.FIRST_DIALS_TIMEOUT - 2 * limits.REDIAL_FIRST)
        self.assertEqual(self.failures, [])
        self.loop.spend(2 * limits.REDIAL_FIRST)
        self.assertEqual(self.failures, ["nobody is there"])
        self.assertTrue(8 < len(self.dials) < 16, len(self.dials))
        self.assertEqual(self.further, len(self.dials) - len(TICKETS))
        count = len(self.dials)
        self.loop.spend(100)
        self.assertEqual((len(self.dials), self.failures), (count, ["nobody is there"]))
        self.assertLess(limits.FIRST_DIALS_TIMEOUT + 1, limits.FIRST_CHANNEL_TIMEOUT)

    def test_again(self) -> None:
        """
        A channel that did not come to be is dialled anew with the next ticket and a
        higher generation, and when the tickets are used up with one that is asked for.
        """
        self.dialled = self.connected
        self.dialer.start()
        for generation, ticket in enumerate([*TICKETS, _FURTHER, _FURTHER], 1):
            self.assertEqual(self.shown(), (ticket, generation))
            self.dialer.lost("it broke")
            count = len(self.dials)
            self.loop.until(lambda: len(self.dials) > count)  # noqa: B023  # called at once
        self.assertEqual(self.failures, [])

    def test_spares(self) -> None:
        """
        Beside a dial that gives no answer others are begun, three at one time, and none of
        them is given up; when the last has failed, and the time is over, that is the reason.
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
        self.dialer.opened()  # the second, say
        self.assertEqual(self.ends.ce.handshakes(), 0)
        self.loop.spend(100)
        self.assertEqual((len(self.dials), self.failures), (2, []))
        for connection in self.sockets:
            connection.setblocking(False)
            while connection.recv(4096):
                pass

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
        again, for another key may come.
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
        self.loop.spend(limits.FIRST_DIALS_TIMEOUT + 1)
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
        self.dialer._isWanted = False
        ours, theirs = socketPair()
        self.sockets.append(theirs)
        dial.callback(ours)
        self.assertEqual(theirs.recv(1), b"")

    def test_unanswered(self) -> None:
        """
        A channel that is cut, or that is given up after a while, without a good answer counts as
        unanswered; one that was given up at once does not.
        """
        self.dialled = self.connected
        self.dialer.start()
        self.sockets[-1].close()
        self.loop.settle()
        self.assertEqual(self.way.unanswered, 1)
        self.dialer.lost("it was cut")
        self.loop.until(lambda: len(self.dials) == 2)
        self.ends.ce.dropHandshakes()
        self.assertEqual(self.way.unanswered, 1)
        self.loop.until(lambda: len(self.dials) == 3)
        self.loop.spend(limits.SPARE_DIAL_DELAY + 0.1)
        self.ends.ce.dropHandshakes()
        self.assertEqual(self.way.unanswered, 2)
        self.dialer.opened()
        self.assertEqual(self.way.unanswered, 0)

    def test_answered(self) -> None:
        """
        A channel whose answer is wrong was answered; rubbish that is no message is no answer.
        """
        self.dialled = self.connected
        for said, count in ((encodeMessage(b"what"), 0), (b"HTTP/1.1 403 no", 1)):
            self.dialer = self.make()
            self.dialer.start()
            self.sockets[-1].sendall(said)
            self.loop.settle()
            self.assertEqual(self.way.unanswered, count)
            self.dialer.close()
        self.loop.settle()

    def test_closedBetween(self) -> None:
        """
        After the close nothing is dialled.
        """
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.dialer.start()
        self.dialer.close()
        self.dialer.lost("late")
        self.loop.spend(1)
        self.assertEqual((len(self.dials), self.failures), (1, []))


class AskingTestCase(DialerTestCase):
    """
    A dialer of a tunnel, which asks for each ticket.
    """

    def make(self) -> ChannelDialer:
        return ChannelDialer(
            self.loop,
            self.ends.keys,
            self.ends.ce,
            self.way,
            self._ask,
            self.failures.append,
            names=(7, TUNNEL_STREAM),
        )

    def _ask(self) -> Deferred[bytes]:
        raise NotImplementedError


class AskingTests(AskingTestCase):
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


class DialingUser(User):
    """
    A stream's user whose channels are dialled.
    """

    dialer: ChannelDialer

    def channelOpened(self) -> None:
        super().channelOpened()
        self.dialer.opened()

    def channelLost(self, reason: str) -> None:
        super().channelLost(reason)
        self.dialer.lost(reason)


class RedialTests(AskingTestCase):
    """
    A dialer in its place: between the stream and a client at the other end.

    @ivar asked: when each ticket was asked for.
    @ivar shownGenerations: of the dials that came as far as the gate.
    @ivar kind: of stream that the client knows.
    @ivar isGateOpen: whether connections are handed to the client; else they wait.
    """

    def setUp(self) -> None:
        """
        Begin with a client that answers.
        """
        self.asked: list[float] = []
        self.sent = b""
        self.ticket: Any = lambda: succeed(TICKETS[0])
        self.isGateOpen = True
        self.kind = TUNNEL_STREAM
        self.shownGenerations: list[int] = []
        super().setUp()
        self.dialled = self.reachGate
        self.user.dialer = self.dialer

    def makeEnds(self) -> Ends:
        self.user = DialingUser()
        return Ends(users=(self.user, User()))

    def _ask(self) -> Deferred[bytes]:
        self.asked.append(self.loop.seconds())
        asked: Deferred[bytes] = self.ticket()
        return asked

    def reachGate(self) -> Deferred[socket.socket]:
        """
        @return: a dial that succeeds.
        """
        ours, theirs = socketPair()
        self.sockets.append(theirs)
        self.loop.callLater(0, self._admit, theirs)
        return succeed(ours)

    def _admit(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(4096, socket.MSG_PEEK)
        except BlockingIOError:
            self.loop.callLater(0.1, self._admit, connection)
            return
        if not data:
            return  # it was given up meanwhile
        self.shownGenerations.append(self._parse(data).generation)
        if self.isGateOpen:
            self.hand(connection)

    def hand(self, connection: socket.socket) -> None:
        """
        The client gets a connection.
        """
        connection.recv(limits.PREAMBLE_BYTES)
        AnsweringChannel(
            self.loop,
            connection,
            self.ends.client,
            self.ends.keys,
            7,
            self.kind,
            self.ends.client.generation,
        )

    def open(self) -> None:
        """
        Have a channel.
        """
        self.dialer.start()
        self.loop.until(self.ends.client.isConnected)
        self.loop.settle()

    def cut(self) -> None:
        """
        The network breaks the channel.
        """
        self.ends.client.drop("cut")
        self.loop.settle()

    def assertWhole(self, data: bytes) -> None:
        """
        What has been sent is sent, and more; each byte comes once.
        """
        for end in self.ends.carriers:
            end.send(1, data)
        self.loop.settle()
        self.sent += data
        for user in self.ends.users:
            self.assertEqual(user.frames(), [(1, self.sent)])

    def test_resumed(self) -> None:
        """
        After each loss there is one dial, a moment later, with a new ticket and the next
        generation, and the stream goes on; nobody is told that it had failed.
        """
        self.open()
        for count in range(1, 6):
            self.assertEqual((len(self.dials), len(self.asked)), (count, count))
            self.assertEqual(self.shownGenerations[-1], count)
            self.assertEqual(self.ends.client.generation, count)
            self.assertWhole(bytes([count]) * 1000 * count)
            self.cut()
            self.assertFalse(self.ends.ce.isConnected())
            self.loop.spend(limits.REDIAL_FIRST - 0.001)
            self.assertEqual(len(self.dials), count)
            self.loop.spend(0.002)
        self.loop.spend(60)
        self.assertEqual((len(self.dials), self.failures), (6, []))

    def test_backoff(self) -> None:
        """
        While it fails it is tried less and less often, with no end; a success makes the
        next wait short again.
        """
        self.open()
        for _ in range(2):
            self.cut()
            del self.asked[:]
            start = self.loop.seconds()
            self.dialled = lambda: fail(ChannelLost("nobody is there"))
            self.loop.spend(100)
            times = [start, *self.asked]
            waits = [later - sooner for sooner, later in pairwise(times)]
            self.assertAlmostEqual(waits[0], limits.REDIAL_FIRST)
            self.assertGreater(waits[-1], limits.REDIAL_LONGEST / 2 - 0.1)
            self.assertLess(len(waits), 20)
            self.assertEqual((self.failures, self.dialer.problem), ([], "nobody is there"))
            self.dialled = self.reachGate
            self.loop.spend(limits.REDIAL_LONGEST)
            self.assertTrue(self.ends.ce.isConnected())
            self.assertWhole(b"whole")

    def test_shortButOfUse(self) -> None:
        """
        After a long time without one, a channel that lives for a moment and carries something
        is a success: the next dial follows at once.
        """
        self.open()
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.cut()
        self.loop.spend(100)
        self.dialled = self.reachGate
        self.loop.until(self.ends.ce.isConnected)
        self.assertWhole(b"in a moment")
        count, start = len(self.asked), self.loop.seconds()
        self.cut()
        self.loop.until(lambda: len(self.asked) > count)
        self.assertAlmostEqual(self.asked[-1] - start, limits.REDIAL_FIRST)

    def test_uselessChannels(self) -> None:
        """
        Channels that open and break without having carried anything are as good as none;
        one that has lived for a while is not.
        """
        self.open()
        self.assertWhole(b"it is of use")
        for _ in range(8):
            count = len(self.asked)
            self.cut()
            self.loop.until(lambda: len(self.asked) > count)  # noqa: B023  # called at once
            self.loop.settle()
        self.assertGreater(self.asked[-1] - self.asked[-2], 10 * limits.REDIAL_FIRST)
        self.loop.spend(limits.CHANNEL_LIVED + 0.1)  # which are sums of floats
        self.assertTrue(self.ends.client.isConnected())
        begin = self.loop.seconds()
        self.cut()
        self.loop.spend(1)
        self.assertAlmostEqual(self.asked[-1] - begin, limits.REDIAL_FIRST)
        self.assertWhole(b"whole")

    def test_generations(self) -> None:
        """
        The generation rises with each dial that says anything, whatever becomes of it.
        """
        self.open()
        self.isGateOpen = False
        self.cut()
        for _ in range(6):
            self.loop.spend(limits.REDIAL_LONGEST)
            for connection in self.sockets:
                connection.close()
        self.isGateOpen = True
        self.loop.spend(limits.REDIAL_LONGEST + 1)
        self.assertTrue(self.ends.client.isConnected())
        count = len(self.shownGenerations)
        self.assertGreater(count, 4)
        self.assertEqual(self.shownGenerations, list(range(1, count + 1)))
        self.assertEqual(self.ends.client.generation, count)

    def test_oneOpens(self) -> None:
        """
        Of several channels whose handshake is going on the first that is done carries the
        stream, and all others are closed, whichever it is: what they say of bytes received
        is old by then.
        """
        for first in (0, 1, 2):
            self.setUpAgain()
            self.open()
            self.assertWhole(b"before")
            self.isGateOpen = False
            self.cut()
            self.loop.spend(2 * limits.SPARE_DIAL_DELAY + 1)
            waiting = self.sockets[-3:]
            self.assertEqual(self.shownGenerations[-3:], [2, 3, 4])
            self.assertEqual(self.ends.ce.handshakes(), 3)
            for connection in waiting[first:] + waiting[:first]:
                self.hand(connection)
                self.loop.settle()
            self.assertEqual(self.ends.client.generation, 2 + first)
            self.assertEqual(self.ends.ce.generation, 2 + first)
            self.assertEqual((self.ends.ce.handshakes(), self.ends.client.handshakes()), (0, 0))
            self.assertWhole(b"after")
            self.loop.spend(60)
            self.assertEqual((len(self.dials), self.failures), (4, []))

    def setUpAgain(self) -> None:
        """
        Begin anew.
        """
        self.tearDown()
        self.setUp()

    def test_allAtOnce(self) -> None:
        """
        So it is when all their answers come in one moment.
        """
        self.open()
        self.isGateOpen = False
        self.cut()
        self.loop.spend(2 * limits.SPARE_DIAL_DELAY + 1)
        for connection in self.sockets[-3:]:
            self.hand(connection)
        self.loop.settle()
        self.assertEqual(self.ends.ce.generation, self.ends.client.generation)
        self.assertWhole(b"after")
        self.loop.spend(60)
        self.assertEqual((len(self.dials), self.failures), (4, []))
        self.assertEqual(self.user.opened, 2)

    def test_calledOff(self) -> None:
        """
        Dials and questions that are on their way when another channel opens are called
        off, and that is no failure.
        """
        self.open()
        off: list[Deferred[Any]] = []
        for name in ("dialled", "ticket"):
            good = getattr(self, name)
            setattr(self, name, lambda: Deferred(off.append))
            self.loop.spend(limits.CHANNEL_LIVED)
            self.cut()
            self.loop.spend(limits.REDIAL_FIRST)
            self.assertFalse(self.ends.ce.isConnected())
            waiting = self.sockets[-1]
            setattr(self, name, good)
            self.loop.spend(limits.SPARE_DIAL_DELAY)
            self.assertTrue(self.ends.ce.isConnected())
        self.assertEqual(len(off), 2)
        self.assertEqual(waiting.recv(1), b"")
        self.loop.spend(60)
        self.assertTrue(self.ends.ce.isConnected())
        self.assertEqual((self.failures, self.user.lost[2:]), ([], []))
        self.assertWhole(b"whole")

    def test_streamOver(self) -> None:
        """
        A client that knows, and proves, that the stream is over ends the dialling at once;
        that is told once.
        """
        self.open()
        self.kind = NO_KIND
        self.cut()
        self.loop.spend(100)
        self.assertEqual(len(self.dials), 2)
        (reason,) = self.failures
        self.assertIn("stream 7 is not the one that was announced", reason)

    def test_gone(self) -> None:
        """
        So does a proxy that knows that the session is over, or another's.
        """
        for error in (SessionGone, NotAuthorized):
            self.setUpAgain()
            self.open()
            self.ticket = lambda error=error: fail(error("so it is"))
            self.cut()
            self.loop.spend(100)
            self.assertEqual((len(self.dials), self.failures), (2, ["so it is"]))

    def test_redial(self) -> None:
        """
        A client that has lost the present channel has it dropped here, too; one that speaks
        of another has heard old news, or makes it up.
        """
        self.dialer.redial(0)
        self.assertEqual(self.dials, [])
        self.open()
        for generation in (0, 2, 1 << 40, -1):
            self.dialer.redial(generation)
        self.loop.settle()
        self.assertTrue(self.ends.ce.isConnected())
        self.dialer.redial(1)
        self.assertEqual(self.user.lost, ["its other end has lost it"])
        self.loop.spend(limits.REDIAL_FIRST)
        self.assertEqual(self.ends.client.generation, 2)
        self.assertWhole(b"whole")

    def test_redialNow(self) -> None:
        """
        Where the next dial is still far the client's word makes it now: it came through;
        but only one, however often it is said.
        """
        self.open()
        self.cut()
        self.dialled = lambda: fail(ChannelLost("nobody is there"))
        self.loop.spend(60)
        self.dialled = Deferred
        count = len(self.dials)
        for _ in range(20):
            self.dialer.redial(1)
            self.loop.spend(0.01)
        self.assertEqual(len(self.dials), count + 1)
        self.dialled = self.reachGate
        self.loop.spend(limits.SPARE_DIAL_DELAY)
        self.assertTrue(self.ends.client.isConnected())
        self.assertWhole(b"whole")

    def test_spares(self) -> None:
        """
        However long all dials hang, there are three at a time.
        """
        self.open()
        self.cut()
        self.dialled = Deferred
        self.loop.spend(100)
        self.assertEqual(len(self.dials), 1 + limits.TICKETS_PER_START)
        for dial in self.dials[1:]:
            dial.errback(ChannelLost("no answer"))
        self.loop.spend(100)
        self.assertEqual(len(self.dials), 1 + 2 * limits.TICKETS_PER_START)
        self.assertEqual(self.failures, [])
