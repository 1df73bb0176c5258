"""
Tests of L{rvgahp.carrier}, with real channels between two carriers.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import budget as budgets
from rvgahp import limits
from rvgahp.budget import ASSURED_BYTES, Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel, DialingChannel
from rvgahp.frames import END_STDIN, END_STDOUT, FIRST_IGNORED, STDIN, STDOUT, Frame
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.policy import Outcome
from rvgahp.session import SessionKeys
from rvgahp.sink import Sink
from rvgahp.stream import Stream
from tests.channelends import TICKET, Ends, User
from tests.loops import Polled, Twisted
from tests.sessions import makeSession
from tests.steppedloop import descriptorCount, socketPair


def pattern(seed: int, size: int) -> bytes:
    """
    Bytes in which every place is known by what is there.
    """
    return Random(seed).randbytes(size)


class Splice(User):
    """
    A user that sends all of some bytes, as a GAHP's stdout is read, and writes what
    comes to a sink, from which C{drain} takes it.
    """

    def __init__(self, loop: Any, data: bytes, kind: int, buffer: int = 8192) -> None:
        super().__init__()
        self._data = data
        self._kind = kind
        self._offset = 0
        self._isReading = True
        ours, self._far = socketPair(buffer)
        self.sink = Sink(loop, ours.fileno(), self._delivered, self.lost.append, ours)
        self.came = b""
        self.mostHeld = 0
        self.isOver = False

    def _delivered(self, cost: int) -> None:
        assert self.carrier is not None
        self.carrier.deliver(cost)

    def channelOpened(self) -> None:
        super().channelOpened()
        self.feed()

    def roomMade(self) -> None:
        super().roomMade()
        self.feed()

    def feed(self) -> None:
        """
        Send while there is room, a read at a time.
        """
        assert self.carrier is not None
        while self._offset < len(self._data) and self.carrier.room():
            part = self._data[self._offset : self._offset + limits.READ_BYTES]
            self._offset += len(part)
            self.carrier.send(self._kind, part)
            if self._offset == len(self._data):
                self.carrier.send({STDOUT: END_STDOUT, STDIN: END_STDIN}[self._kind])

    def framesReceived(self, frames: list[Frame]) -> None:
        assert self.carrier is not None
        for frame in frames:
            if frame.kind in (END_STDIN, END_STDOUT):
                self.sink.put(b"", frame.cost)
                self.sink.endWriting()
            else:
                self.sink.put(frame.payload, frame.cost)
        self.mostHeld = max(self.mostHeld, self.carrier.stream.undelivered())

    def drain(self, most: int = 1 << 20) -> None:
        """
        Take what is at the sink's far end.
        """
        try:
            part = self._far.recv(most)
        except BlockingIOError:
            return
        self.came += part
        self.isOver = self.isOver or not part

    def close(self) -> None:
        """
        Let go of the sink.
        """
        self.sink.close()
        self._far.close()


class CarrierTestCase(SynchronousTestCase):
    """
    Two ends, and no descriptor left behind.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self._open: list[Any] = []

    def tearDown(self) -> None:
        for ends in self._open:
            ends.close()
            if isinstance(ends, Ends):
                self.assertEqual(ends.loop.getDelayedCalls(), [])
                self.assertEqual((ends.loop.readers, ends.loop.writers), ({}, {}))
                self.assertEqual([budget.held for budget in ends.budgets], [0, 0])
        self.assertEqual(descriptorCount(), self.before)

    def ends(self, window: int = 1 << 20, outcome: Outcome = Outcome.ENCRYPT) -> Ends:
        """
        Two ends with plain users.
        """
        ends = Ends(window, outcome)
        self._open.append(ends)
        return ends

    def splices(
        self, window: int, fromCE: bytes, fromClient: bytes, budget: Budget | None = None
    ) -> tuple[Ends, Splice, Splice]:
        """
        Two ends with splices.

        @param budget: the CE's, if others have a share in it.
        """
        ends = Ends(window)
        if budget is not None:
            ends.ce.stream = Stream(window, budget)
        splices = (Splice(ends.loop, fromCE, STDOUT), Splice(ends.loop, fromClient, STDIN))
        for carrier, user in zip(ends.carriers, splices, strict=True):
            carrier._user = user
            user.carrier = carrier
        self._open += [ends, *splices]
        return ends, *splices


class DataTests(CarrierTestCase):
    """
    Tests of bulk data over one channel.
    """

    def test_megabytesBothWays(self) -> None:
        """
        Megabytes go both ways at once, one sink fast and the other slow; all comes, in
        order, and no end ever holds more than its window and one record.
        """
        window = 400_000
        fromCE, fromClient = pattern(1, 3_000_000), pattern(2, 2_000_000)
        ends, ce, client = self.splices(window, fromCE, fromClient)
        ends.connect()

        def isDone() -> bool:
            ce.drain(3000)
            client.drain()
            return ce.isOver and client.isOver

        ends.loop.until(isDone, 600)
        self.assertEqual(client.came, fromCE)
        self.assertEqual(ce.came, fromClient)
        ends.loop.spend(1)
        for carrier, splice in zip(ends.carriers, (ce, client), strict=True):
            self.assertTrue(carrier.stream.isAcknowledged())
            self.assertLessEqual(splice.mostHeld, window)
            self.assertEqual(splice.lost, [])

    def test_stuckSink(self) -> None:
        """
        A sink that takes nothing stops its source when the window is full, and nothing
        else: the other direction runs on, and what is held stays within the window.
        """
        window = 300_000
        fromCE, fromClient = pattern(3, 3_000_000), pattern(4, 1_000_000)
        ends, ce, client = self.splices(window, fromCE, fromClient)
        ends.connect()

        def isDone() -> bool:
            ce.drain()
            return ce.isOver

        ends.loop.until(isDone, 600)
        self.assertEqual(ce.came, fromClient)
        ends.loop.spend(60)
        self.assertEqual(client.came, b"")
        self.assertLessEqual(client.mostHeld, window)
        # What is promised the other way counts too.
        self.assertLessEqual(ends.budgets[0].held, 2 * window + limits.READ_BYTES + 8)
        self.assertEqual([ce.silences, client.silences], [[], []])

        def isAllThere() -> bool:
            client.drain()
            return client.isOver

        ends.loop.until(isAllThere, 600)
        self.assertEqual(client.came, fromCE)

    def test_smallestWindow(self) -> None:
        """
        Through the smallest window that may be configured all comes, and not at the
        pace of late acknowledgements.
        """
        fromCE = pattern(5, 2_000_000)
        ends, _, client = self.splices(64 * 1024, fromCE, b"")
        ends.connect()

        def isDone() -> bool:
            client.drain()
            return client.isOver

        ends.loop.until(isDone, 600)
        self.assertEqual(client.came, fromCE)
        self.assertLess(ends.loop.seconds(), 2)

    def test_backlog(self) -> None:
        """
        A source is asked to wait when its channel is far behind, and called again
        when it is not; nobody has to come from outside.
        """
        fromCE = pattern(6, 8_000_000)
        ends, _, client = self.splices(1 << 24, fromCE, b"")
        ends.client.stream.allowance = 1 << 24  # as if much had come before
        dialing, answering = ends.connect(buffer=8192)
        ends.loop.until(lambda: answering.isOpen)
        answering.pauseReading()
        ends.loop.settle()
        self.assertEqual(ends.ce.room(), 0)
        self.assertGreaterEqual(ends.ce.stream.backlog(), limits.BACKLOG_BYTES)
        self.assertLess(ends.ce.stream.backlog(), limits.BACKLOG_BYTES + limits.READ_BYTES + 8)
        self.assertLess(dialing.unsent, limits.UNSENT_BYTES + limits.RECORD_DATA_BYTES + 100)
        self.assertFalse(ends.ce.flushed())
        answering.resumeReading()
        ends.loop.settle()  # in which no acknowledgement is due
        self.assertGreater(ends.client.stream.undelivered(), 7_000_000)
        self.assertEqual(ends.client.stream.received, ends.ce.stream.end)
        self.assertTrue(ends.ce.flushed())

        def isDone() -> bool:
            client.drain()
            return client.isOver

        ends.loop.until(isDone, 600)
        self.assertEqual(client.came, fromCE)

    def test_realLoops(self) -> None:
        """
        The CE's end in Twisted's loop and the client's in its own, as they are in
        life: megabytes both ways.
        """
        ceLoop, clientLoop = Twisted(), Polled()
        session = makeSession()
        fromCE, fromClient = pattern(7, 4_000_000), pattern(8, 3_000_000)
        splices = (
            Splice(ceLoop.loop, fromCE, STDOUT, 200_000),
            Splice(clientLoop.loop, fromClient, STDIN, 200_000),
        )
        carriers = []
        loops: tuple[Any, Any] = ceLoop.loop, clientLoop.loop
        for loop, splice in zip(loops, splices, strict=True):
            splice.carrier = Carrier(loop, Stream(1 << 20, Budget(1 << 28)), splice)
            carriers.append(splice.carrier)
        ours, theirs = socketPair()
        DialingChannel(ceLoop.loop, ours, carriers[0], session, 0, GAHP_STREAM, 1, TICKET)
        Ends.eatPreamble(theirs)
        keys = SessionKeys(session, clientLoop.loop.seconds())
        AnsweringChannel(clientLoop.loop, theirs, carriers[1], keys, 0, GAHP_STREAM, 0)
        ce, client = splices

        def isDone() -> bool:
            clientLoop.loop.callLater(0.001, clientLoop.loop.stop)
            clientLoop.loop.run()
            ce.drain()
            client.drain()
            return ce.isOver and client.isOver

        ceLoop.until(isDone)
        self.assertTrue(client.came == fromCE)
        self.assertTrue(ce.came == fromClient)
        everything: tuple[Any, ...] = *carriers, ce, client, ceLoop, clientLoop
        for closing in everything:
            closing.close()


class AllowanceTests(CarrierTestCase):
    """
    Tests of what a peer may send, as it follows the pace at which its bytes come.
    """

    def test_pace(self) -> None:
        """
        A stream that is fast gets its whole window; one that trickles then gets no more
        than what is assured.
        """
        window = 1 << 23
        ends = self.ends(window)
        ends.connect()
        for _ in range(16):
            ends.ce.send(STDOUT, bytes(limits.READ_BYTES))
            ends.loop.settle()
        received = ends.client.stream
        self.assertEqual(received.allowance, window)
        for _ in range(3):
            ends.ce.send(FIRST_IGNORED, b"a little")
            ends.loop.spend(1)
        self.assertEqual(received.allowance, ASSURED_BYTES)

    def test_slowAfterFast(self) -> None:
        """
        What begins slowly and goes on fast is acknowledged once, and is fast; what is
        left at the end comes slowly.
        """
        ends = self.ends(1 << 23)
        ends.connect()
        ends.loop.settle()
        received = ends.client.stream
        ends.ce.send(STDOUT, b"little")  # waits for company
        ends.loop.spend(0.1)
        self.assertGreater(received.owing(), 0)
        for size in (limits.READ_BYTES, 1000):
            ends.ce.send(STDOUT, bytes(size))
            ends.loop.settle()
        allowance = received.allowance
        self.assertGreater(allowance, ASSURED_BYTES)
        rest = received.owing()
        self.assertEqual(rest, 1004)
        ends.loop.spend(limits.ACK_DELAY - 0.01)
        self.assertEqual((received.owing(), received.allowance), (rest, allowance))
        ends.loop.spend(0.02)
        self.assertEqual((received.owing(), received.allowance), (0, ASSURED_BYTES))

    def test_withoutChannel(self) -> None:
        """
        What is delivered while there is no channel widens nothing.
        """
        ends = self.ends(1 << 23)
        ends.users[1].delivers = False
        _, _, toClient, _ = ends.relayed()
        ends.loop.settle()
        for _ in range(4):
            ends.ce.send(STDOUT, bytes(limits.READ_BYTES))
        ends.loop.settle()
        toClient.end()
        ends.loop.settle()
        self.assertFalse(ends.client.isConnected())
        for cost in ends.users[1].costs:
            ends.client.deliver(cost)
        self.assertEqual(ends.client.stream.allowance, ASSURED_BYTES)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(64 * 1024, 1 << 20), st.booleans()), min_size=2, max_size=6),
        st.integers(0, 1 << 21),
    )
    def test_oneBudget(self, streams: list[tuple[int, bool]], total: int) -> None:
        """
        Streams of one process with little to share: while some sinks take nothing, all
        comes through the others; then it does through these; no carrier keeps more than
        what it may and one read.
        """
        self.patch(budgets, "ASSURED_BYTES", 100_000)
        budget = Budget(total)
        data = pattern(9, 1_500_000)
        everyone = [(*self.splices(window, data, data, budget), stuck) for window, stuck in streams]
        for ends, *_ in everyone:
            ends.connect()
        for isTurnOfStuck in (False, True):
            for ends, ce, client, isStuck in everyone:
                if isStuck != isTurnOfStuck:
                    continue

                def isDone(ce: Splice = ce, client: Splice = client) -> bool:
                    ce.drain(100_000)
                    client.drain(100_000)
                    most = total + len(everyone) * (2 * 100_000 + limits.READ_BYTES)
                    self.assertLessEqual(budget.held, most)
                    return ce.isOver and client.isOver

                for other, *_ in everyone:
                    other.loop.settle()
                ends.loop.until(isDone, 600)
                self.assertTrue(client.came == data and ce.came == data)
        for ends, ce, client, _ in everyone:
            for closing in (ends, ce, client):
                closing.close()
        self.assertEqual((budget.held, budget.lent), (0, 0))


class ReplacementTests(CarrierTestCase):
    """
    Tests of a stream that changes channels.
    """

    def test_oldOneAlive(self) -> None:
        """
        A newer channel takes over while the old one still carries data both ways: no
        byte is lost or comes twice, and the old one is closed at both ends.
        """
        fromCE, fromClient = pattern(1, 3_000_000), pattern(2, 3_000_000)
        ends, ce, client = self.splices(1 << 20, fromCE, fromClient)
        old = ends.connect()
        turns = 0

        def isDone() -> bool:
            nonlocal turns
            turns += 1
            if turns == 20:
                ends.connect()
            ce.drain(100_000)
            client.drain(100_000)
            return ce.isOver and client.isOver

        ends.loop.until(isDone, 600)
        self.assertTrue(client.came == fromCE)
        self.assertTrue(ce.came == fromClient)
        self.assertEqual([channel.isClosed for channel in old], [True, True])
        self.assertEqual([ce.lost, client.lost], [[], []])
        self.assertEqual([ce.opened, client.opened], [2, 2])

    def test_oldOneStuck(self) -> None:
        """
        An old channel that has much unsent, and moves again when the new one is in
        use, takes nothing of the stream for itself.
        """
        fromCE = pattern(3, 3_000_000)
        ends, _, client = self.splices(1 << 22, fromCE, b"")
        old, _, toClient, _ = ends.relayed()
        ends.loop.until(lambda: old.isOpen)
        toClient.hold()
        ends.loop.settle()
        self.assertGreater(old.unsent, 0)
        self.assertGreater(ends.ce.stream.backlog(), 0)
        new, answering, _, toCE = ends.relayed()
        ends.loop.until(lambda: new.isOpen)
        toCE.hold()  # so that the CE does not hear that the old one is given up
        toClient.resume()
        ends.loop.settle()
        self.assertTrue(answering.isOpen)
        toCE.resume()

        def isDone() -> bool:
            client.drain()
            return client.isOver

        ends.loop.until(isDone, 600)
        self.assertTrue(client.came == fromCE)
        self.assertEqual(client.lost, [])

    def test_oldOneSilent(self) -> None:
        """
        An old channel that swallows all is replaced, and all comes.
        """
        fromCE, fromClient = pattern(4, 2_000_000), pattern(5, 2_000_000)
        ends, ce, client = self.splices(1 << 20, fromCE, fromClient)
        _, _, toClient, toCE = ends.relayed()
        for _ in range(12):
            ends.loop.turn()
        toClient.hold()
        toCE.hold()
        ends.loop.spend(20)
        self.assertTrue(ce.silences and client.silences)
        ends.connect()

        def isDone() -> bool:
            ce.drain()
            client.drain()
            return ce.isOver and client.isOver

        ends.loop.until(isDone, 600)
        self.assertTrue(client.came == fromCE)
        self.assertTrue(ce.came == fromClient)
        toClient.resume()
        toCE.resume()

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 400_000), st.integers(0, 1), st.booleans()),
            min_size=1,
            max_size=6,
        )
    )
    def test_cutAnywhere(self, cuts: list[tuple[int, int, bool]]) -> None:
        """
        Cut after any number of bytes, in either direction and again and again, before
        the next channel is dialled or while it shakes hands, the stream goes on.
        """
        fromCE, fromClient = pattern(6, 500_000), pattern(7, 400_000)
        ends, ce, client = self.splices(150_000, fromCE, fromClient)
        left = list(cuts)

        def connect() -> None:
            *_, toClient, toCE = ends.relayed()
            if left:
                after, direction, _ = left.pop()
                (toClient, toCE)[direction].cutAt = after

        def isDone() -> bool:
            ce.drain(20_000)
            client.drain(20_000)
            lost = len(ce.lost) + len(client.lost)
            early = bool(left) and left[-1][2] and ends.ce.isConnected()
            if not ends.ce.isConnected() or (lost and early):
                ce.lost.clear()
                client.lost.clear()
                connect()
                for _ in range(9):
                    ends.loop.turn()
            return ce.isOver and client.isOver

        connect()
        for _ in range(9):
            ends.loop.turn()
        ends.loop.until(isDone, 600)
        self.assertTrue(client.came == fromCE)
        self.assertTrue(ce.came == fromClient)
        for closing in (ends, ce, client):
            closing.close()
        self.assertEqual([budget.held for budget in ends.budgets], [0, 0])

    def test_lastAcknowledgementLost(self) -> None:
        """
        An acknowledgement that was lost with its channel is told again on the next,
        or its sender would wait for ever.
        """
        ends = self.ends()
        *_, toCE = ends.relayed()
        ends.loop.settle()
        toCE.hold()
        ends.ce.send(STDOUT, b"the exit status, say")
        ends.loop.spend(1)
        self.assertEqual(ends.users[1].frames(), [(STDOUT, b"the exit status, say")])
        self.assertFalse(ends.ce.stream.isAcknowledged())
        toCE.resume()
        toCE.cutAt = toCE.carried
        ends.loop.settle()
        self.assertFalse(ends.ce.isConnected())
        ends.connect()
        ends.loop.settle()
        self.assertTrue(ends.ce.stream.isAcknowledged())

    def test_olderOneComesLater(self) -> None:
        """
        Of two channels that shake hands at once, the older is given up at both ends
        when the newer is confirmed first.
        """
        ends = self.ends()
        oldCE, oldClient, toClient, _ = ends.relayed(generation=1)
        toClient.hold()
        new = ends.connect(generation=2)
        ends.loop.settle()
        self.assertEqual([channel.isOpen for channel in new], [True, True])
        toClient.resume()
        ends.loop.settle()
        self.assertTrue(oldCE.isClosed and oldClient.isClosed)
        self.assertEqual([channel.isOpen for channel in new], [True, True])
        self.assertEqual([user.lost for user in ends.users], [[], []])

    def test_olderOneAcceptedEarlier(self) -> None:
        """
        Also if the older had been accepted before the newer was confirmed.
        """
        ends = self.ends()
        oldCE, oldClient, _, toCE = ends.relayed(generation=1)
        toCE.hold()
        ends.loop.settle()  # its Accept is on its way
        new = ends.connect(generation=2)
        ends.loop.settle()
        toCE.resume()
        ends.loop.settle()
        self.assertTrue(oldCE.isClosed and oldClient.isClosed)
        self.assertEqual([channel.isOpen for channel in new], [True, True])
        self.assertEqual((ends.ce.generation, ends.client.generation), (2, 2))

    def test_count(self) -> None:
        """
        Channels that were confirmed are counted, and not those that were dialled in vain.
        """
        ends = self.ends()
        for generation in (3, 9):
            ends.connect(generation=generation)
            ends.loop.settle()
        self.assertEqual((ends.ce.generation, ends.ce.channels), (9, 2))

    def test_replayedGeneration(self) -> None:
        """
        A dial with the generation of the present channel does not replace it.
        """
        ends = self.ends()
        first = ends.connect(generation=3)
        ends.loop.settle()
        again = ends.connect(generation=3)
        ends.loop.settle()
        self.assertEqual([channel.isClosed for channel in again], [True, True])
        self.assertEqual([channel.isOpen for channel in first], [True, True])
        self.assertEqual([user.lost for user in ends.users], [[], []])

    def test_oldOneStaysUntilTheFirstRecord(self) -> None:
        """
        The former channel is closed by the first valid record on the new one, and not
        before.
        """
        ends = self.ends()
        old = ends.connect()
        ends.loop.settle()
        ends.connect()
        ends.loop.settle()
        self.assertEqual([channel.isClosed for channel in old], [False, False])
        ends.ce.send(STDOUT, b"first")
        ends.loop.settle()
        self.assertEqual([channel.isClosed for channel in old], [True, True])


class LossTests(CarrierTestCase):
    """
    Tests of what the user is told of lost channels.
    """

    def test_presentOne(self) -> None:
        """
        The user is told when the stream has no channel any more.
        """
        ends = self.ends()
        *_, toClient, _ = ends.relayed()
        ends.loop.settle()
        self.assertTrue(ends.ce.isConnected())
        toClient.end()
        ends.loop.settle()
        self.assertEqual([len(user.lost) for user in ends.users], [1, 1])
        self.assertFalse(ends.ce.isConnected())
        self.assertEqual(ends.ce.losses, 1)

    def test_formerOne(self) -> None:
        """
        That a former channel ends is nobody's concern.
        """
        ends = self.ends()
        *_, toClient, _ = ends.relayed()
        ends.loop.settle()
        ends.connect()
        ends.loop.settle()
        toClient.end()
        ends.loop.settle()
        self.assertEqual([user.lost for user in ends.users], [[], []])
        self.assertEqual(ends.ce.losses, 0)
        ends.ce.send(STDOUT, b"on the new one")
        ends.loop.settle()
        self.assertEqual(ends.users[1].frames(), [(STDOUT, b"on the new one")])

    def test_failedAttempt(self) -> None:
        """
        A channel that does not come to be, while another carries the stream, is
        nobody's concern either.
        """
        ends = self.ends()
        ends.connect()
        ends.loop.settle()
        for make in (ends.dial, ends.answer):
            ours, theirs = socketPair()
            make(ours)
            theirs.close()
        ends.loop.settle()
        self.assertEqual([user.lost for user in ends.users], [[], []])


class TimeTests(CarrierTestCase):
    """
    Tests of pings, silence and late acknowledgements.
    """

    def _connected(self) -> tuple[Ends, list[tuple[float, int]]]:
        """
        Two ends through a relay, and a log of when bytes came to the client.
        """
        ends = self.ends()
        *_, toClient, toCE = ends.relayed()
        ends.loop.settle()
        log: list[tuple[float, int]] = []
        original = toClient._pass

        def passing(data: bytes) -> None:
            log.append((ends.loop.seconds(), len(data)))
            original(data)

        self.patch(toClient, "_pass", passing)
        self.ways = toClient, toCE
        return ends, log

    def test_pings(self) -> None:
        """
        An end that says nothing pings every 4 s.
        """
        ends, log = self._connected()
        ends.loop.spend(21)
        self.assertEqual(log, [(time, 32) for time in (4.0, 8.0, 12.0, 16.0, 20.0)])
        self.assertEqual([user.silences for user in ends.users], [[], []])

    def test_pingFourSecondsAfterTheLastRecord(self) -> None:
        """
        It is from the last record that the 4 s count, whenever that was.
        """
        ends, log = self._connected()
        ends.loop.spend(1.5)
        ends.ce.send(STDOUT, b"x")
        ends.loop.spend(4.4)
        self.assertEqual([time for time, _ in log], [1.5, 5.5])

    def test_noPingsWhileTalking(self) -> None:
        """
        An end that talks does not ping.
        """
        ends, log = self._connected()
        for _ in range(10):
            ends.loop.spend(3)
            ends.ce.send(STDOUT, b"x")
        ends.loop.settle()
        self.assertEqual([size for _, size in log], [16 + 5 + 16] * 10)

    def test_silence(self) -> None:
        """
        When nothing has been heard for 15 s the channel is dropped; the user is told, and
        again every few seconds, with the time since, until something is heard.
        """
        ends, _ = self._connected()
        ends.loop.spend(3)
        ends.ce.send(STDOUT, b"x")
        ends.loop.spend(0.1)
        self.ways[0].hold()
        ends.loop.spend(14.8)
        self.assertEqual(ends.users[1].silences, [])
        ends.loop.spend(0.2)
        self.assertEqual(len(ends.users[1].silences), 1)
        self.assertAlmostEqual(ends.users[1].silences[0], 15.0, 6)
        self.assertEqual(ends.users[1].lost, ["nothing was heard for 15 s"])
        ends.loop.spend(20)
        self.assertGreater(len(ends.users[1].silences), 3)
        self.assertLess(len(ends.users[1].silences), 7)
        self.assertEqual(ends.users[1].silences, sorted(ends.users[1].silences))
        ends.connect()
        ends.loop.spend(1)
        ends.users[1].silences.clear()
        ends.loop.spend(10)
        self.assertEqual(ends.users[1].silences, [])

    def test_noPingsIntoAFullPipe(self) -> None:
        """
        While bytes wait to be sent no ping is put behind them.
        """
        self.patch(limits, "SILENCE_LIMIT", 3600.0)
        ends = self.ends(window=1 << 22)
        dialing, answering = ends.connect(buffer=8192)
        ends.loop.settle()
        answering.pauseReading()
        for _ in range(8):
            ends.ce.send(STDOUT, bytes(limits.READ_BYTES))
        ends.loop.settle()
        waiting = dialing.unsent
        self.assertGreater(waiting, 0)
        ends.loop.spend(60)
        self.assertEqual(dialing.unsent, waiting)

    def test_slowIsNotSilent(self) -> None:
        """
        A record that takes a minute to come, byte by byte, is no silence; when no more of
        it comes, that is.
        """
        ends, _ = self._connected()
        ends.loop.spend(0.5)
        way = self.ways[0]
        way.hold()
        ends.ce.send(STDOUT, bytes(100))
        for _ in range(60):
            ends.loop.spend(1)
            way._sink.sendall(way._source.recv(1))
        self.assertEqual(ends.users[1].lost, [])
        self.assertGreater(len(ends.users[1].silences), 8)
        ends.loop.spend(8.1)
        self.assertEqual(len(ends.users[1].lost), 1)

    def test_userClosesInSilence(self) -> None:
        """
        A user that gives up when told of the silence is not told again.
        """
        ends = self.ends()
        user = ends.users[0]
        original = user.peerSilent

        def giveUp(seconds: float) -> None:
            original(seconds)
            ends.ce.close()

        self.patch(user, "peerSilent", giveUp)
        ends.loop.spend(60)
        self.assertEqual(len(user.silences), 1)


class DropTests(CarrierTestCase):
    """
    Channels that are given up here.
    """

    def test_drop(self) -> None:
        """
        A channel that is dropped is as good as broken: the user is told, with the reason,
        once; what comes over it is not heard; the next one goes on.
        """
        for number in (0, 1):
            ends = self.ends()
            channels = ends.connect()
            ends.loop.settle()
            ends.client.send(STDIN, b"one ")
            ends.ce.send(STDOUT, b"one ")
            for _ in range(2):
                ends.carriers[number].drop("so we want it")
            self.assertTrue(channels[number].isClosed)
            self.assertFalse(ends.carriers[number].isConnected())
            self.assertEqual(ends.users[number].lost, ["so we want it"])
            ends.loop.settle()
            self.assertEqual(len(ends.users[1 - number].lost), 1)
            for carrier in ends.carriers:
                carrier.drop("again")
            ends.connect()
            ends.client.send(STDIN, b"two")
            ends.ce.send(STDOUT, b"two")
            ends.loop.settle()
            self.assertEqual(ends.users[0].frames(), [(STDIN, b"one two")])
            self.assertEqual(ends.users[1].frames(), [(STDOUT, b"one two")])
            self.assertEqual([len(user.lost) for user in ends.users], [1, 1])

    def test_dropWithoutChannel(self) -> None:
        """
        Where there is none, nothing happens; a handshake that is going on goes on.
        """
        ends = self.ends()
        ends.ce.drop("nothing")
        ends.connect()
        ends.ce.drop("nothing")
        ends.loop.settle()
        self.assertEqual((ends.users[0].opened, ends.users[0].lost), (1, []))

    def test_dropHandshakes(self) -> None:
        """
        Handshakes that are going on can be given up, without a word to the user and
        without harm to the present channel; others may begin.
        """
        ends = self.ends()
        open_, _ = ends.connect()
        ends.loop.settle()
        pending = [ends.connect()[0] for _ in range(3)]
        self.assertEqual(ends.ce.handshakes(), 3)
        ends.ce.dropHandshakes()
        ends.ce.dropHandshakes()
        self.assertEqual(ends.ce.handshakes(), 0)
        self.assertTrue(all(channel.isClosed for channel in pending))
        ends.loop.spend(1)
        self.assertEqual((open_.isOpen, ends.users[0].lost, ends.users[1].lost), (True, [], []))
        self.assertEqual((ends.ce.generation, ends.client.generation), (1, 1))
        ends.connect()
        ends.client.send(STDIN, b"x")
        ends.loop.spend(1)
        self.assertEqual((ends.ce.generation, ends.client.generation), (5, 5))
        self.assertEqual(ends.users[0].frames(), [(STDIN, b"x")])

    def test_dropInSilence(self) -> None:
        """
        A channel that is dropped because of silence leaves a stream that can go on, with
        all that was not acknowledged, and silence is counted from the last record on.
        """
        ends = self.ends()
        *_, toClient, toCE = ends.relayed()
        ends.loop.settle()
        for way in (toClient, toCE):
            way.hold()
        ends.client.send(STDIN, b"lost, for now")
        ends.loop.spend(limits.SILENCE_LIMIT + 0.1)
        self.assertFalse(ends.ce.isConnected() or ends.client.isConnected())
        ends.loop.spend(100)
        self.assertGreater(ends.users[0].silences[-1], 110)
        ends.connect()
        ends.loop.spend(1)
        self.assertEqual(ends.users[0].frames(), [(STDIN, b"lost, for now")])


class UserTests(CarrierTestCase):
    """
    Tests of the carrier's face to its user.
    """

    def test_beforeAChannel(self) -> None:
        """
        Before there is a channel there is no room, and what is sent or owed waits.
        """
        ends = self.ends()
        self.assertEqual(ends.ce.room(), 0)
        self.assertTrue(ends.ce.flushed())
        ends.ce.send(STDOUT, b"early")
        ends.ce.acknowledge()
        ends.connect()
        ends.loop.settle()
        self.assertEqual(ends.users[1].frames(), [(STDOUT, b"early")])

    def test_ignoredFrames(self) -> None:
        """
        Frames of kinds that mean nothing yet are not shown to the user, and do not eat
        up the window: many times the window of them goes through.
        """
        ends = self.ends(window=64 * 1024)
        ends.connect()
        ends.loop.settle()
        for number in range(400):
            if not number % 50:
                ends.ce.send(STDOUT, b"%d," % number)
            ends.ce.send(FIRST_IGNORED + number % 100, bytes(1000))
            ends.loop.settle()
        ends.loop.spend(1)
        expected = b"".join(b"%d," % number for number in range(0, 400, 50))
        self.assertEqual(ends.users[1].frames(), [(STDOUT, expected)])
        self.assertTrue(ends.ce.stream.isAcknowledged())

    def test_close(self) -> None:
        """
        A closed carrier holds nothing, watches nothing, and whatever is asked of it is
        not done; to close it again is harmless.
        """
        ends = self.ends()
        ends.users[1].delivers = False
        dialing, answering = ends.connect()
        ends.loop.settle()
        ends.ce.send(STDOUT, b"undelivered")
        ends.client.send(STDIN, b"delivered")
        ends.loop.settle()
        ends.client.close()
        ends.client.close()
        self.assertTrue(answering.isClosed)
        self.assertEqual(ends.budgets[1].held, 0)
        (cost,) = ends.users[1].costs
        ends.client.deliver(cost)
        ends.client.send(STDIN, b"more")
        ends.client.acknowledge()
        self.assertEqual(ends.budgets[1].held, 0)
        self.assertFalse(ends.client.isConnected())
        ends.loop.spend(60)
        self.assertEqual((ends.users[1].lost, ends.users[1].silences), ([], []))
        self.assertTrue(dialing.isClosed)

    def test_lateDeliveryOwesNothing(self) -> None:
        """
        Closing with an acknowledgement due leaves no call to come.
        """
        ends = self.ends()
        ends.connect()
        ends.loop.settle()
        ends.ce.send(STDOUT, b"x")
        ends.loop.settle()
        ends.close()
        self.assertEqual(ends.loop.getDelayedCalls(), [])
