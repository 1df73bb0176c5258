"""
Tests of L{rvgahp.stream}.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import stream
from rvgahp.errors import ProtocolError
from rvgahp.frames import (
    END_STDIN,
    END_STDOUT,
    EXIT,
    FIRST_IGNORED,
    STDERR,
    STDIN,
    STDOUT,
    Frame,
    FrameReader,
    encodeFrame,
)
from rvgahp.stream import Budget, Stream
from tests.test_frames import joined, whole

#: Bytes of a record besides those of the stream: header and tag.
OVERHEAD = 28


class End:
    """
    One end of a stream under test: what it has still to say, what it has heard, and
    an account of its own of all that must hold.
    """

    def __init__(self, window: int, budget: Budget | None = None) -> None:
        self.budget = budget or Budget(10**9)
        self.stream = Stream(window, self.budget)
        self.window = window
        self.heard: list[Frame] = []
        self.undelivered: deque[int] = deque()
        self.wire: Wire | None = None
        self._acknowledged = (0, 0)  # the last we told
        self._mayReceive = 0  # the highest limit we told
        self._told = (0, 0)  # the last we were told
        self._written = bytearray()

    def write(self, kind: int, payload: bytes) -> None:
        """
        Append a frame.
        """
        self.stream.send(kind, payload)
        self._written += encodeFrame(kind, payload)
        assert self.stream.end == len(self._written)

    def writeWithRoom(self, kind: int, payload: bytes) -> bytes:
        """
        Append as much as there is room for.

        @return: the rest.
        """
        room = self.stream.room()
        if room:
            self.write(kind, payload[:room])
        return payload[room:]

    def snapshot(self) -> tuple[int, int]:
        """
        Our offset and limit, as a handshake carries them.
        """
        received, limit = self.stream.received, self.stream.limit()
        self._allow(limit)
        return received, limit

    def resume(self, snapshot: tuple[int, int]) -> None:
        """
        A handshake is done.
        """
        self.stream.resume(*snapshot)
        self._told = (self._told[0], max(self._told[1], snapshot[1]))

    def _allow(self, limit: int) -> None:
        delivered = self.stream.received - self.stream.undelivered()
        assert limit >= self._mayReceive, "a limit fell"
        assert limit - delivered <= max(self.window, self._mayReceive - delivered)
        self._mayReceive = limit

    def record(self) -> Any:
        """
        The next record that we send of the stream, if we may.
        """
        record = self.stream.nextRecord()
        if record is None:
            return None
        position, body = record[0], bytes(record[1])
        assert body, "an empty record"
        assert position + len(body) <= self._told[1], "sent beyond the limit"
        assert body == self._written[position : position + len(body)], "not what was written"
        return "data", position, body

    def acknowledgement(self) -> Any:
        """
        The next acknowledgement, if one is owing.
        """
        if not self.stream.owing():
            return None
        position, limit = self.stream.acknowledgement()
        assert position >= self._acknowledged[0], "an acknowledgement fell"
        self._acknowledged = position, limit
        self._allow(limit)
        assert not self.stream.owing()
        return "ack", position, limit

    def take(self, kind: str, position: int, content: Any) -> None:
        """
        A record came.
        """
        if kind == "ack":
            self.stream.acknowledged(position, content)
            self._told = max(self._told[0], position), max(self._told[1], content)
            return
        assert position + len(content) <= self._mayReceive, "came beyond the limit"
        frames = self.stream.receive(position, content)
        self.heard += frames
        self.undelivered += [frame.cost for frame in frames]
        assert self.stream.undelivered() <= self.window

    def sink(self, count: int) -> None:
        """
        The sink takes so many of the frames that wait.
        """
        for _ in range(min(count, len(self.undelivered))):
            self.stream.deliver(self.undelivered.popleft())

    def isDone(self) -> bool:
        """
        Whether all is sent, acknowledged and delivered.
        """
        quiet = not self.undelivered and not self.stream.backlog()
        return quiet and self.stream.isAcknowledged()


class Wire:
    """
    One channel between two ends: what is on its way, in order.

    @ivar generation: which dial this is.
    @ivar ways: the records to each end.
    """

    def __init__(self, generation: int, dialled: tuple[int, int]) -> None:
        self.generation = generation
        self.dialled = dialled  # the CE's snapshot
        self.accepted: tuple[int, int] | None = None  # the client's
        self.ways: tuple[deque[Any], deque[Any]] = (deque(), deque())
        self.isCut = False

    def cut(self) -> None:
        """
        All that is on its way is lost.
        """
        self.isCut = True
        for way in self.ways:
            way.clear()


class Dialogue:
    """
    The CE's end (0) and the client's (1), and the channels between them, one step at
    a time in any order.
    """

    def __init__(self, window: int, budget: Budget | None = None) -> None:
        self.ends = (End(window, budget), End(window, budget))
        self.wires: list[Wire] = []
        self._dials = 0

    def dial(self) -> None:
        """
        The CE dials; its Dial arrives at once.
        """
        self._dials += 1
        self.wires.append(Wire(self._dials, self.ends[0].snapshot()))

    def accept(self, wire: Wire) -> None:
        """
        The client answers a Dial.
        """
        newest = self.ends[1].wire
        if wire.accepted is None and (newest is None or wire.generation > newest.generation):
            wire.accepted = self.ends[1].snapshot()

    def confirm(self, wire: Wire) -> None:
        """
        The CE gets the answer, confirms, and sends on this channel from now on.
        """
        ce = self.ends[0]
        newer = ce.wire is None or wire.generation > ce.wire.generation
        if not wire.isCut and wire.accepted is not None and newer:
            ce.resume(wire.accepted)
            ce.wire = wire
            wire.ways[1].append(("confirm", 0, 0))

    def carry(self, wire: Wire, number: int) -> bool:
        """
        Bring the next record of a channel to an end.

        @return: whether there was one.
        """
        way, end = wire.ways[number], self.ends[number]
        if not way:
            return False
        kind, position, content = way.popleft()
        if kind == "confirm":
            if end.wire is None or wire.generation > end.wire.generation:
                end.resume(wire.dialled)
                end.wire = wire
            return True
        if end.wire is wire:
            for other in self.wires:  # the first record ends the former channels
                if other.generation < wire.generation:
                    other.cut()
        end.take(kind, position, content)
        return True

    def pump(self, number: int) -> bool:
        """
        An end sends one record of the stream.

        @return: whether it did.
        """
        end = self.ends[number]
        return self._send(end, end.record if self._isOpen(end) else None, 1 - number)

    def acknowledge(self, number: int) -> bool:
        """
        An end acknowledges.

        @return: whether it did.
        """
        end = self.ends[number]
        return self._send(end, end.acknowledgement if self._isOpen(end) else None, 1 - number)

    @staticmethod
    def _isOpen(end: End) -> bool:
        return end.wire is not None and not end.wire.isCut

    @staticmethod
    def _send(end: End, make: Any, to: int) -> bool:
        record = make() if make else None
        if record is not None and end.wire is not None:
            end.wire.ways[to].append(record)
        return record is not None

    def connect(self) -> None:
        """
        Cut all channels, and make a new one.
        """
        for wire in self.wires:
            wire.cut()
        self.dial()
        wire = self.wires[-1]
        self.accept(wire)
        self.confirm(wire)
        self.carry(wire, 1)

    def run(self, speed: int = 1000) -> None:
        """
        Go on until nothing moves any more; the sinks take C{speed} frames a turn.
        """
        moved = True
        while moved:
            moved = False
            for number in (0, 1):
                while self.pump(number):
                    moved = True
                moved |= self.acknowledge(number)
            for number in (0, 1):
                for wire in self.wires:
                    while self.carry(wire, number):
                        moved = True
                moved |= bool(self.ends[number].undelivered)
                self.ends[number].sink(speed)


#: What may happen next, and how often it does.
STEPS = {
    "write": 6,
    "pump": 6,
    "carry": 8,
    "sink": 4,
    "acknowledge": 4,
    "dial": 1,
    "accept": 2,
    "confirm": 2,
    "cut": 1,
}


class ScriptedTests(SynchronousTestCase):
    """
    One scripted dialogue, cut everywhere.
    """

    SCRIPT = [
        (0, STDOUT, b"$GahpVersion: 1.8.0 $\r\n"),
        (1, STDIN, b"COMMANDS\r\n"),
        (0, STDOUT, b"S ASYNC_MODE_ON BLAH_JOB_SUBMIT QUIT\r\n"),
        (1, STDIN, b'BLAH_JOB_SUBMIT 1 [Cmd="/bin/true"]\r\n'),
        (0, STDERR, b"a word of warning\n"),
        (0, STDOUT, b"S\r\nR\r\n"),
        (1, STDIN, b"QUIT\r\n"),
        (1, END_STDIN, b""),
        (0, STDOUT, b"S\r\n"),
        (0, END_STDOUT, b""),
        (0, EXIT, b"\0\0"),
    ]

    def _play(self, window: int, cutEnd: int, cutAt: int, speed: int) -> tuple[Dialogue, bool]:
        """
        Play the script, cutting the first channel when C{cutAt} bytes have gone to
        C{cutEnd}.

        @return: the dialogue, and whether it was cut.
        """
        dialogue = Dialogue(window)
        dialogue.connect()
        first = dialogue.wires[0]
        carried = [0]
        original = dialogue.carry

        def carry(wire: Wire, number: int) -> bool:
            if wire is first and number == cutEnd and wire.ways[number]:
                kind, _, content = wire.ways[number][0]
                carried[0] += OVERHEAD + (len(content) if kind == "data" else 8)
                if carried[0] > cutAt:
                    dialogue.connect()
                    return False
            return original(wire, number)

        self.patch(dialogue, "carry", carry)
        for number, kind, payload in self.SCRIPT:
            end = dialogue.ends[number]
            while True:
                if kind in (STDIN, STDOUT, STDERR):
                    rest = end.writeWithRoom(kind, payload)
                    self.assertLess(len(rest), len(payload), f"no room after a cut at {cutAt}")
                    payload = rest
                else:
                    end.write(kind, payload)
                    payload = b""
                dialogue.run(speed)
                if not payload:
                    break
        return dialogue, first.isCut

    def _everywhere(self, window: int, speed: int) -> int:
        """
        Cut at every byte to either end.

        @return: how often.
        """
        cuts = 0
        for end in (0, 1):
            at, wasCut = 0, True
            while wasCut:
                dialogue, wasCut = self._play(window, end, at, speed)
                self._check(dialogue, f"cut to {end} at {at}")
                at += 1
                cuts += wasCut
        return cuts

    def _check(self, dialogue: Dialogue, where: str) -> None:
        for number, end in enumerate(dialogue.ends):
            script = [(kind, payload) for who, kind, payload in self.SCRIPT if who != number]
            self.assertEqual(joined(end.heard), whole(script), where)
            self.assertTrue(end.isDone(), where)
            self.assertEqual(end.budget.held, 0, where)

    def test_cutEverywhere(self) -> None:
        """
        Cut at any byte, in either direction, and resumed, every frame comes once and
        in order, all is acknowledged, and nothing is held.
        """
        self.assertGreater(self._everywhere(16384, 1000), 600)

    def test_cutEverywhereWithSmallWindow(self) -> None:
        """
        The same where the window is smaller than a frame.
        """
        self.assertGreater(self._everywhere(17, 1), 600)


class ModelTests(SynchronousTestCase):
    """
    Two streams over channels that come, go, overlap and lose, step by step in any
    order.
    """

    def setUp(self) -> None:
        self.patch(stream, "ASSURED_BYTES", 16)

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 2**32), st.integers(20, 90), st.integers(0, 100))
    def test_anyOrder(self, seed: int, window: int, total: int) -> None:
        """
        Whatever happens in whatever order, the bytes come as they were written, once
        and in order; no window is exceeded; and at the end nothing is held.
        """
        budget = Budget(total)
        dialogue = Dialogue(window, budget)
        dialogue.connect()
        said: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        chance = Random(seed)
        for what in chance.choices(list(STEPS), list(STEPS.values()), k=400):
            self._step(dialogue, said, what, chance.randrange(2), chance.randrange(50))
            held = sum(
                end.stream.end - end.stream._first + end.stream.undelivered()
                for end in dialogue.ends
            )
            self.assertEqual(budget.held, held)
            self._compare(dialogue, said, atEnd=False)
        dialogue.connect()
        dialogue.run()
        self._compare(dialogue, said, atEnd=True)
        self.assertEqual(budget.held, 0)

    def _step(
        self,
        dialogue: Dialogue,
        said: tuple[bytearray, bytearray],
        what: str,
        number: int,
        size: int,
    ) -> None:
        end = dialogue.ends[number]
        alive = [wire for wire in dialogue.wires if not wire.isCut]
        wire = alive[-1 - size % len(alive)] if alive else Wire(0, (0, 0))
        if what == "dial" and len(alive) < 3:
            dialogue.dial()
        elif what == "write":
            payload = bytes((len(said[number]) + index) % 251 for index in range(size))
            rest = end.writeWithRoom((STDOUT, STDIN)[number], payload)
            said[number].extend(payload[: len(payload) - len(rest)])
        elif what == "pump":
            dialogue.pump(number)
        elif what == "acknowledge":
            dialogue.acknowledge(number)
        elif what == "sink":
            end.sink(size)
        elif what == "cut":
            wire.cut()
        elif what == "accept":
            dialogue.accept(dialogue.wires[-1])
        elif what == "confirm":
            dialogue.confirm(dialogue.wires[-1])
        else:
            for _ in range(size % 4 + 1):
                dialogue.carry(wire, number)

    def _compare(self, dialogue: Dialogue, said: tuple[bytearray, bytearray], atEnd: bool) -> None:
        for number, end in enumerate(dialogue.ends):
            heard = b"".join(bytes(frame.payload) for frame in end.heard)
            expected = bytes(said[1 - number])
            self.assertEqual(heard, expected if atEnd else expected[: len(heard)])
            if atEnd:
                self.assertTrue(end.isDone())


class StreamTests(SynchronousTestCase):
    """
    Tests of L{Stream} alone.
    """

    def setUp(self) -> None:
        self.budget = Budget(10**9)
        self.stream = Stream(1000, self.budget)

    def _sent(self) -> bytes:
        """
        All that it sends now.
        """
        sent = b""
        while record := self.stream.nextRecord():
            sent += bytes(record[1])
        return sent

    def test_nothingBeforeAChannel(self) -> None:
        """
        Before the peer has said what it takes there is no room, and nothing is sent.
        """
        self.assertEqual(self.stream.room(), 0)
        self.stream.send(STDOUT, b"early")
        self.assertIsNone(self.stream.nextRecord())
        self.assertEqual(self.stream.backlog(), 9)

    def test_roomIsForPayload(self) -> None:
        """
        A frame with as many bytes as there is room for is just within the limit.
        """
        self.stream.resume(0, 50)
        self.assertEqual(self.stream.room(), 46)
        self.stream.send(STDOUT, bytes(46))
        self.assertEqual(self.stream.room(), 0)
        self.assertEqual(len(self._sent()), 50)

    def test_roomIsForWhatIsKept(self) -> None:
        """
        However much the peer takes, no more is kept than our own window.
        """
        self.stream.resume(0, 10**6)
        self.assertEqual(self.stream.room(), 996)
        self.stream.send(STDOUT, bytes(996))
        self._sent()
        self.assertEqual(self.stream.room(), 0)
        self.stream.acknowledged(500, 10**6)
        self.assertEqual(self.stream.room(), 496)

    def test_recordsEndAtTheLimit(self) -> None:
        """
        A frame beyond the limit is sent up to it, and the rest when there is more.
        """
        self.stream.resume(0, 10)
        self.stream.send(STDOUT, b"0123456789")
        self.assertEqual(self._sent(), encodeFrame(STDOUT, b"0123456789")[:10])
        self.assertEqual(self.stream.backlog(), 4)
        self.stream.acknowledged(0, 12)
        self.assertEqual(self._sent(), b"67")
        self.stream.acknowledged(0, 100)
        self.assertEqual(self._sent(), b"89")

    def test_limitNeverFalls(self) -> None:
        """
        A smaller limit than one told before is ignored.
        """
        self.stream.resume(0, 100)
        self.stream.acknowledged(0, 7)
        self.stream.send(STDOUT, bytes(50))
        self.assertEqual(len(self._sent()), 54)

    def test_acknowledgedNonsense(self) -> None:
        """
        What was never sent cannot be acknowledged, nor be claimed by a new channel.
        """
        self.stream.resume(0, 6)
        self.stream.send(STDOUT, bytes(50))
        self._sent()
        with self.assertRaises(ProtocolError):
            self.stream.acknowledged(7, 100)
        with self.assertRaises(ProtocolError):
            self.stream.resume(7, 100)
        self.stream.acknowledged(6, 100)

    def test_olderAcknowledgement(self) -> None:
        """
        An acknowledgement that comes late changes nothing.
        """
        self.stream.resume(0, 100)
        self.stream.send(STDOUT, bytes(6))
        self.stream.send(STDOUT, bytes(6))
        self._sent()
        self.stream.acknowledged(20, 100)
        self.stream.acknowledged(10, 100)
        self.assertTrue(self.stream.isAcknowledged())
        self.assertEqual(self.budget.held, 0)

    def test_acknowledgedOverTheFormerChannel(self) -> None:
        """
        While a new channel shakes hands the old one goes on: what is acknowledged
        over it meanwhile is neither an error nor sent again.
        """
        self.stream.resume(0, 100)
        self.stream.send(STDOUT, b"before")
        self._sent()
        self.stream.acknowledged(10, 100)
        self.stream.resume(0, 100)  # the Dial said 0: it was made before
        self.assertEqual(self._sent(), b"")
        self.stream.send(STDOUT, b"after")
        self.assertEqual(self.stream.nextRecord(), (10, encodeFrame(STDOUT, b"after")))

    def test_acknowledgedBeforeItIsSentAgain(self) -> None:
        """
        What went over the old channel may be acknowledged over the new one before it
        has been sent over that.
        """
        self.stream.resume(0, 100)
        self.stream.send(STDOUT, b"before")
        self._sent()
        self.stream.resume(0, 100)
        self.stream.acknowledged(10, 100)
        self.assertTrue(self.stream.isAcknowledged())

    def test_resumedInAFrame(self) -> None:
        """
        It goes on at the very byte where the peer's bytes end, and keeps the others
        until they are acknowledged.
        """
        self.stream.resume(0, 1000)
        for text in (b"one", b"two", b"three"):
            self.stream.send(STDOUT, text)
        everything = self._sent()
        for received in range(len(everything) + 1):
            self.stream.resume(received, 1000)
            record = self.stream.nextRecord()
            if record is not None:
                self.assertEqual(record[0], received)
                again = bytes(record[1]) + self._sent()
                self.assertEqual(again, everything[received:])
        self.assertEqual(self.budget.held, len(everything))
        self.stream.resume(5, 1000)
        self.assertEqual(self._sent(), everything[5:])

    def test_lastAcknowledgementLost(self) -> None:
        """
        On a new channel what was delivered is owed again: who told it on the old one
        cannot know whether it was heard.
        """
        self.stream.limit()
        (frame,) = self.stream.receive(0, encodeFrame(STDIN, b"data"))
        self.stream.deliver(frame.cost)
        self.assertEqual(self.stream.acknowledgement(), (8, 1008))
        self.assertEqual(self.stream.owing(), 0)
        self.stream.resume(0, 100)
        self.assertEqual(self.stream.owing(), 8)

    def test_twice(self) -> None:
        """
        Bytes that come again, wholly or in part, are dropped.
        """
        self.stream.limit()
        wire = encodeFrame(STDIN, b"abcdefgh")
        first = self.stream.receive(0, wire[:7])
        again = self.stream.receive(2, wire[2:9])
        self.assertEqual(self.stream.receive(0, wire[:9]), [])
        rest = self.stream.receive(0, wire)
        self.assertEqual(joined(first + again + rest), [(STDIN, b"abcdefgh")])
        self.assertEqual(self.stream.received, len(wire))
        self.assertEqual(self.budget.held, len(wire))

    def test_missing(self) -> None:
        """
        Bytes with a gap before them are refused.
        """
        self.stream.limit()
        with self.assertRaises(ProtocolError):
            self.stream.receive(1, b"x")

    def test_beyondTheLimit(self) -> None:
        """
        The last byte that was allowed is taken and the next is not; and before a limit
        has been told nothing is.
        """
        with self.assertRaises(ProtocolError):
            self.stream.receive(0, b"x")
        self.assertEqual(self.stream.limit(), 1000)
        self.stream.receive(0, encodeFrame(STDIN, bytes(996)))
        with self.assertRaises(ProtocolError):
            self.stream.receive(1000, b"x")

    def test_badFrames(self) -> None:
        """
        Bytes that are no frames are refused, and nothing after them is taken.
        """
        self.stream.limit()
        with self.assertRaises(ProtocolError):
            self.stream.receive(0, b"\x4d\0\0\0")
        with self.assertRaises(ProtocolError):
            self.stream.receive(4, encodeFrame(STDIN, b"fine"))

    def test_closed(self) -> None:
        """
        A closed stream gives back all it held, and whatever is done to it then, by a
        sink that is late or a GAHP that still talks, it holds nothing.
        """
        self.stream.limit()
        self.stream.resume(0, 100)
        self.stream.send(STDOUT, bytes(500))
        self.stream.nextRecord()
        (frame,) = self.stream.receive(0, encodeFrame(STDIN, b"data"))
        self.stream.close()
        self.assertEqual(self.budget.held, 0)
        self.stream.deliver(frame.cost)
        self.stream.send(STDERR, b"more")
        self.assertEqual(self.stream.receive(8, encodeFrame(STDIN, b"data")), [])
        self.stream.acknowledged(50, 2000)
        self.assertIsNone(self.stream.nextRecord())
        self.stream.close()
        self.assertEqual(self.budget.held, 0)

    def test_ignoredFramesAreCharged(self) -> None:
        """
        Frames of kinds that mean nothing yet come with their cost, so that a peer who
        sends many of them is not left without its window.
        """
        self.stream.limit()
        wire = encodeFrame(FIRST_IGNORED, b"abc") * 3
        frames = self.stream.receive(0, wire)
        self.assertEqual(sum(frame.cost for frame in frames), len(wire))


class BudgetTests(SynchronousTestCase):
    """
    Tests of L{Budget}.
    """

    def setUp(self) -> None:
        self.patch(stream, "ASSURED_BYTES", 100)

    def test_assured(self) -> None:
        """
        When all together hold too much, each has what is assured, and no more.
        """
        budget = Budget(1000)
        self.assertEqual(budget.allowance(500), 500)
        budget.held = 1000
        self.assertEqual(budget.allowance(500), 100)
        self.assertEqual(budget.allowance(50), 50)

    def test_newStreamInATightProcess(self) -> None:
        """
        A stream that begins when too much is held offers its peer only what is
        assured, and its whole window when others have given theirs back.
        """
        budget = Budget(1000)
        first, second = Stream(5000, budget), Stream(5000, budget)
        first.resume(0, 10**6)
        first.send(STDOUT, bytes(2000))
        self.assertEqual(second.limit(), 100)
        second.resume(0, 10**6)
        self.assertEqual(second.room(), 96)
        while first.nextRecord():
            pass
        first.acknowledged(2004, 10**6)
        self.assertEqual(budget.held, 0)
        self.assertEqual(second.limit(), 5000)
        self.assertEqual(second.room(), 4996)

    def test_limitStays(self) -> None:
        """
        What was promised stays promised when the budget gets tight.
        """
        budget = Budget(1000)
        held = Stream(500, budget)
        self.assertEqual(held.limit(), 500)
        budget.held = 5000
        self.assertEqual(held.limit(), 500)
        held.receive(0, encodeFrame(STDIN, bytes(496)))
        held.deliver(500)
        self.assertEqual(held.limit(), 600)

    def test_manyFrames(self) -> None:
        """
        A hundred thousand small frames, sent, resumed and acknowledged, take no more
        steps than there are frames.
        """
        one, reader = Stream(10**7, Budget(10**9)), FrameReader()
        one.resume(0, 10**7)
        count = 100_000
        for _ in range(count):
            one.send(STDOUT, b"x")
        one.resume(0, 10**7)
        frames = 0
        while record := one.nextRecord():
            frames += len(reader.read(bytes(record[1])))
            one.acknowledged(record[0] + len(record[1]), 10**7)
        self.assertEqual(frames, count)
        self.assertTrue(one.isAcknowledged())
