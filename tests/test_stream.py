"""
Tests of L{rvgahp.stream}.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections import deque
from functools import partial
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import budget as budgets
from rvgahp import limits
from rvgahp.budget import Budget, Share
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
from rvgahp.stream import Stream
from tests.procfs import PATIENCE
from tests.test_frames import joined, whole

MIB = 1 << 20

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
        self._delivered = 0
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
        if room and payload:
            self.write(kind, payload[:room])
        return payload[room:]

    def shares(self) -> tuple[int, int]:
        """
        What is kept here, and what the peer has been promised.
        """
        return len(self._written) - self.stream._first, self._mayReceive - self._delivered

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
        assert limit >= self._mayReceive, "a limit fell"
        assert limit <= max(self._delivered + self.window, self._mayReceive)
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

    def acknowledgement(self, isFast: bool | None = None) -> Any:
        """
        The next acknowledgement, if one is owing.

        @param isFast: whether what it tells of came fast; unless given, as it is when no
            time goes by.
        """
        if not self.stream.owing():
            return None
        if self.stream.isDue() if isFast is None else isFast:
            self.stream.widen()
        else:
            self.stream.narrow()
        position, limit = self.stream.acknowledgement()
        assert position >= self._acknowledged[0], "an acknowledgement fell"
        self._acknowledged = position, limit
        self._allow(limit)
        assert not self.stream.owing()
        least = min(self.window, budgets.ASSURED_BYTES)
        assert limit - position >= least, "less than what is assured"
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
            cost = self.undelivered.popleft()
            self._delivered += cost
            self.stream.deliver(cost)

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

    def __init__(
        self, window: int, budget: Budget | None = None, another: Budget | None = None
    ) -> None:
        """
        @param budget: the CE's.
        @param another: the client's; the CE's unless given.
        """
        self.ends = (End(window, budget), End(window, another or budget))
        self.said = (bytearray(), bytearray())  # what each end has written
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

    def acknowledge(self, number: int, isFast: bool | None = None) -> bool:
        """
        An end acknowledges.

        @return: whether it did.
        """
        end = self.ends[number]
        make = partial(end.acknowledgement, isFast) if self._isOpen(end) else None
        return self._send(end, make, 1 - number)

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

    def write(self, number: int, size: int) -> int:
        """
        An end writes as much as it has room for.

        @return: how many of C{size} bytes that was.
        """
        said = self.said[number]
        payload = bytes((len(said) + index) % 251 for index in range(size))
        rest = self.ends[number].writeWithRoom((STDOUT, STDIN)[number], payload)
        said.extend(payload[: size - len(rest)])
        return size - len(rest)

    def close(self) -> None:
        """
        The session is over.
        """
        for end in self.ends:
            end.stream.close()

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
                moved |= bool(self.ends[number].undelivered and speed)
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
            self.assertEqual(end.shares()[0], 0, where)

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


def step(dialogue: Dialogue, what: str, number: int, size: int) -> None:
    """
    Let one thing happen, at the CE's end or the client's.
    """
    end = dialogue.ends[number]
    alive = [wire for wire in dialogue.wires if not wire.isCut]
    wire = alive[-1 - size % len(alive)] if alive else Wire(0, (0, 0))
    if what == "dial" and len(alive) < 3:
        dialogue.dial()
    elif what == "write":
        dialogue.write(number, size)
    elif what == "pump":
        dialogue.pump(number)
    elif what == "acknowledge":
        dialogue.acknowledge(number, size % 4 > 0)
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


class ModelTests(SynchronousTestCase):
    """
    Streams over channels that come, go, overlap and lose, step by step in any order.
    """

    def setUp(self) -> None:
        self.patch(budgets, "ASSURED_BYTES", 16)

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
        chance = Random(seed)
        for what in chance.choices(list(STEPS), list(STEPS.values()), k=400):
            step(dialogue, what, chance.randrange(2), chance.randrange(50))
            self._account(budget, [*dialogue.ends[0].shares(), *dialogue.ends[1].shares()])
            self._compare(dialogue, atEnd=False)
        dialogue.connect()
        dialogue.run()
        self._compare(dialogue, atEnd=True)
        dialogue.close()
        self._account(budget, [])

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 2**32),
        st.integers(20, 200),
        st.integers(0, 600),
        st.lists(st.booleans(), min_size=2, max_size=8),
    )
    def test_oneBudget(self, seed: int, window: int, total: int, stuck: list[bool]) -> None:
        """
        Whatever many streams do, they keep and promise together no more than what is
        assured to each and the total; those whose sinks are stuck stop none of the others;
        and whoever has bytes to send gets room when his sink reads.
        """
        budget = Budget(total)
        chance = Random(seed)
        dialogues = [self._connected(window, budget) for _ in stuck]
        for what in chance.choices(list(STEPS), list(STEPS.values()), k=600):
            dialogue = chance.choice(dialogues)
            step(dialogue, what, chance.randrange(2), chance.randrange(window))
            if not chance.randrange(60):
                dialogue.close()
                dialogues.remove(dialogue)
                dialogues.append(self._connected(window, budget))
            self._account(budget, [size for each in dialogues for size in each.ends[0].shares()])
        for number, dialogue in enumerate(dialogues):
            dialogue.connect()
            if stuck[number]:
                dialogue.run(speed=0)
        for isTurnOfStuck in (False, True):
            for number, dialogue in enumerate(dialogues):
                if stuck[number] == isTurnOfStuck:
                    self._sendMore(dialogue)
        self._account(budget, [size for each in dialogues for size in each.ends[0].shares()])
        for dialogue in dialogues:
            dialogue.close()
        self._account(budget, [])

    @staticmethod
    def _connected(window: int, budget: Budget) -> Dialogue:
        dialogue = Dialogue(window, budget, Budget(10**9))
        dialogue.connect()
        return dialogue

    def _sendMore(self, dialogue: Dialogue) -> None:
        """
        However large it is, it comes; each round that leaves nothing on its way leaves
        room for more.
        """
        dialogue.run()
        left = [500, 500]
        while any(left):
            for number in (0, 1):
                written = dialogue.write(number, left[number])
                self.assertEqual(bool(written), bool(left[number]), "no room")
                left[number] -= written
            dialogue.run()
        self._compare(dialogue, atEnd=True)

    def _account(self, budget: Budget, shares: list[int]) -> None:
        above = sum(max(0, size - budgets.ASSURED_BYTES) for size in shares)
        self.assertEqual((budget.held, budget.lent), (sum(shares), above))
        self.assertLessEqual(above, budget.total)

    def _compare(self, dialogue: Dialogue, atEnd: bool) -> None:
        for number, end in enumerate(dialogue.ends):
            heard = b"".join(bytes(frame.payload) for frame in end.heard)
            expected = bytes(dialogue.said[1 - number])
            self.assertEqual(heard, expected if atEnd else expected[: len(heard)])
            if atEnd:
                self.assertTrue(end.isDone())


class RecordSizeTests(SynchronousTestCase):
    """
    How long the records are where channels do not live for long.
    """

    def setUp(self) -> None:
        self.stream = Stream(1 << 24, Budget(1 << 28))
        self.stream.resume(0, 1 << 24)
        for _ in range(8):
            self.stream.send(STDOUT, bytes(limits.FRAME_PAYLOAD_BYTES))

    def _size(self) -> int:
        """
        @return: how many bytes the next record has.
        """
        record = self.stream.nextRecord()
        assert record is not None
        return len(record[1])

    def _sizes(self, received: int, channels: int) -> list[int]:
        """
        @return: the sizes of the first record of as many channels, over each of which one
            is sent and nothing comes back.
        """
        sizes = []
        for _ in range(channels):
            sizes.append(self._size())
            self.stream.resume(received, 1 << 24)
        return sizes

    def test_smaller(self) -> None:
        """
        Each channel over which nothing got makes them four times smaller, down to 4 KiB.
        """
        sizes = [limits.RECORD_DATA_BYTES, 65536, 16384, 4096, 4096]
        self.assertEqual(self._sizes(0, 5), sizes)

    def test_kept(self) -> None:
        """
        When something gets across the size was right: the next channel keeps it.
        """
        self._sizes(0, 3)
        self.assertEqual(self._size(), 4096)
        self.stream.resume(4096, 1 << 24)
        self.assertEqual(self._size(), 4096)

    def test_larger(self) -> None:
        """
        While a channel lives, each acknowledgement of something new doubles it, as far as
        a record may be long; one that tells nothing new does not.
        """
        self._sizes(0, 3)
        position = 0
        sizes = []
        while position < 3 * limits.RECORD_DATA_BYTES:
            sizes.append(self._size())
            position += sizes[-1]
            self.stream.acknowledged(position, 1 << 24)
            self.stream.acknowledged(position, 1 << 24)
        doubled = [4096, 8192, 16384, 32768, 65536, 131072]
        self.assertEqual(sizes[:6], doubled)
        self.assertEqual(sizes[6:], [4096, 262144, 262144])  # the rest of a frame, and whole ones

    def test_idle(self) -> None:
        """
        A stream over which nothing was to be sent keeps its size, however often it is
        dialled.
        """
        while self.stream.nextRecord():
            pass
        for _ in range(5):
            self.stream.resume(self.stream.end, 1 << 24)
        self.stream.send(STDOUT, bytes(limits.FRAME_PAYLOAD_BYTES))
        self.assertEqual(self._size(), limits.RECORD_DATA_BYTES)


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
        self.assertEqual((self.budget.held, self.budget.kept), (len(everything),) * 2)
        once = range(len(everything) + 1)
        self.assertEqual(self.budget.replayed, sum(once))
        self.stream.resume(5, 1000)
        self.assertEqual(self._sent(), everything[5:])

    def test_retracted(self) -> None:
        """
        What the peer has nothing of can be taken back after a resumption: it never comes,
        what is written in its place does, and no byte of it is kept.
        """
        budget = Budget(10**9)
        sending, receiving = Stream(MIB, budget), Stream(MIB, Budget(10**9))
        sending.resume(0, receiving.limit())
        ends = []
        for payload in (b"one", b"two", b"three"):
            sending.send(STDIN, payload)
            ends.append(sending.end)
        for _ in range(3):
            self.assertIsNotNone(sending.nextRecord())
        heard = receiving.receive(0, encodeFrame(STDIN, b"one") + encodeFrame(STDIN, b"two")[:5])
        sending.resume(receiving.received, receiving.limit())
        self.assertEqual(sending.position(), receiving.received)
        self.assertRaises(ProtocolError, sending.retract, ends[0])
        self.assertRaises(ProtocolError, sending.retract, ends[1] + 1)
        sending.retract(ends[1])
        self.assertEqual((sending.end, budget.held), (ends[1], ends[1]))
        sending.send(STDIN, b"other")
        while (record := sending.nextRecord()) is not None:
            heard += receiving.receive(record[0], bytes(record[1]))
        self.assertEqual(joined(heard), [(STDIN, b"onetwoother")])
        sending.acknowledged(sending.end, receiving.limit())
        self.assertEqual(budget.held, 0)

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
        self.assertEqual(self.stream.undelivered(), len(wire))

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
        self.stream.limit()  # a channel comes that was on its way
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


class BudgetTests(SynchronousTestCase):
    """
    Tests of L{Budget} and L{Share}.
    """

    def setUp(self) -> None:
        self.patch(budgets, "ASSURED_BYTES", 100)

    def test_noMoreThanIsLeft(self) -> None:
        """
        One may have what is assured, and above it half of what is free: as much as it
        leaves to others.
        """
        budget = Budget(1000)
        one, other = Share(budget), Share(budget)
        self.assertEqual(one.most(), 600)
        one.resize(600)
        self.assertEqual((one.most(), other.most()), (600, 350))
        other.resize(350)
        self.assertEqual((budget.held, budget.lent), (950, 750))
        one.resize(100)
        self.assertEqual((budget.held, budget.lent), (450, 250))
        self.assertEqual((one.most(), other.most()), (475, 600))

    def test_assured(self) -> None:
        """
        What is assured takes nothing from others, and when nothing is left each still
        has it.
        """
        budget = Budget(1000)
        shares = [Share(budget) for _ in range(100)]
        for share in shares:
            share.resize(100)
        self.assertEqual((budget.held, budget.lent), (10_000, 0))
        shares[0].resize(2000)
        self.assertEqual(shares[1].most(), 100)

    def test_newStreamInATightProcess(self) -> None:
        """
        A stream that begins when others have nearly all offers its peer, and keeps, only
        a little more than is assured; it gets more when others have given theirs back.
        """
        budget = Budget(1000)
        first, second = Stream(5000, budget), Stream(5000, budget)
        first.resume(0, 10**6)
        first.send(STDOUT, bytes(900))
        self.assertEqual(second.limit(), 100)
        second.resume(0, 10**6)
        self.assertEqual(second.room(), 194)
        while first.nextRecord():
            pass
        first.acknowledged(904, 10**6)
        self.assertEqual(second.room(), 596)

    def test_promiseStays(self) -> None:
        """
        What was promised stays promised when the budget gets tight, and counts until it
        has been used; then there is what is assured.
        """
        budget = Budget(1000)
        one, other = Stream(500, budget), Stream(5000, budget)
        one.allowance = 500
        self.assertEqual(one.limit(), 500)
        self.assertEqual((budget.held, budget.lent), (500, 400))
        other.resume(0, 10**6)
        other.send(STDOUT, bytes(5000))
        self.assertEqual(one.limit(), 500)
        one.receive(0, encodeFrame(STDIN, bytes(496)))
        self.assertEqual(budget.lent, 400 + 4904)
        one.deliver(500)
        self.assertEqual(budget.lent, 4904)
        self.assertEqual(one.limit(), 600)

    def test_writtenWithoutRoom(self) -> None:
        """
        What is written in spite of the room counts, so that others get less; and its own
        acknowledgement gives room again.
        """
        one = Stream(5000, Budget(200))
        one.resume(0, 10**6)
        self.assertEqual(one.room(), 196)
        one.send(STDOUT, bytes(496))
        self.assertEqual(one.room(), 0)
        while one.nextRecord():
            pass
        one.acknowledged(500, 10**6)
        self.assertEqual(one.room(), 196)


class Reader:
    """
    A stream that receives from a peer who sends all it may.
    """

    BLOCK = limits.ACK_BYTES

    def __init__(self, budget: Budget, window: int = 16 * MIB) -> None:
        self.stream = Stream(window, budget)
        self._limit = self.stream.limit()

    def promised(self) -> int:
        """
        Bytes that have come and lie here, and those that may come.
        """
        return self._limit - self.stream.received + self.stream.undelivered()

    def come(self, size: int) -> None:
        """
        A frame comes.
        """
        (frame,) = self.stream.receive(self.stream.received, encodeFrame(STDIN, bytes(size - 4)))
        assert frame.cost == size

    def deliver(self, size: int, isFast: bool = True) -> None:
        """
        The sink takes so many bytes, and they are acknowledged.
        """
        self.stream.deliver(size)
        if isFast:
            assert self.stream.isDue()
            self.stream.widen()
        else:
            self.stream.narrow()
        self._limit = self.stream.acknowledgement()[1]

    def blocks(self) -> int:
        """
        How many blocks may come now.
        """
        return (self._limit - self.stream.received) // self.BLOCK

    def roundTrip(self) -> None:
        """
        All comes that may come now; the sink is fast.
        """
        for _ in range(self.blocks()):
            self.come(self.BLOCK)
            self.deliver(self.BLOCK)

    def trickle(self, size: int) -> None:
        """
        Little comes, and time goes by.
        """
        self.come(size)
        self.deliver(size, isFast=False)


class AllowanceTests(SynchronousTestCase):
    """
    Tests of how a stream's allowance follows its use, with the numbers of real life.
    """

    def test_growsFast(self) -> None:
        """
        A peer who sends all it may has four times as much after a round trip, up to the
        window.
        """
        reader = Reader(Budget(256 * MIB))
        seen = []
        for _ in range(4):
            seen.append(reader.promised() // MIB)
            reader.roundTrip()
        self.assertEqual(seen, [1, 4, 16, 16])

    def test_smallWindow(self) -> None:
        """
        A window that is smaller than what is assured is what there is; half of it is
        acknowledged at once.
        """
        reader = Reader(Budget(256 * MIB), 65536)
        for _ in range(10):
            self.assertEqual(reader.promised(), 65536)
            reader.come(32767)
            reader.stream.deliver(32767)
            self.assertFalse(reader.stream.isDue())
            reader.come(4)
            reader.deliver(4)

    def test_slowSink(self) -> None:
        """
        A peer whose bytes only pile up before the sink gets no more than it had.
        """
        reader = Reader(Budget(256 * MIB))
        for _ in range(100):
            for _ in range(reader.blocks()):
                reader.come(reader.BLOCK)
            reader.deliver(reader.BLOCK)
        self.assertEqual(reader.promised(), MIB)

    def test_trickle(self) -> None:
        """
        A stream that was fast and now trickles gives back what it was promised byte for
        byte, down to what is assured.
        """
        budget = Budget(256 * MIB)
        reader = Reader(budget)
        for _ in range(3):
            reader.roundTrip()
        expected = reader.promised()
        for _ in range(4):
            reader.trickle(1000)
        expected -= 4000
        while expected > MIB:
            self.assertEqual((reader.promised(), budget.lent), (expected, expected - MIB))
            reader.trickle(100_000)
            expected -= 100_000
        for _ in range(10):
            self.assertEqual((reader.promised(), budget.lent), (MIB, 0))
            reader.trickle(100_000)

    def test_oneSlowAcknowledgement(self) -> None:
        """
        A pause costs a fast stream little: it never has less than half of what it had.
        """
        reader = Reader(Budget(256 * MIB))
        for _ in range(3):
            reader.roundTrip()
        reader.trickle(1000)
        seen = []
        for _ in range(200):
            reader.come(reader.BLOCK)
            reader.deliver(reader.BLOCK)
            seen.append(reader.promised())
        self.assertGreater(min(seen), 12 * MIB)
        self.assertEqual(seen[-1], 16 * MIB)

    def test_equalShares(self) -> None:
        """
        Streams that are all busy come to equal shares, whoever was first, and leave one
        for the next.
        """
        budget = Budget(30 * MIB)
        readers = []
        for _ in range(9):
            readers.append(Reader(budget))
            for _ in range(20):
                for reader in readers:
                    reader.roundTrip()
                    self.assertLessEqual(budget.lent, budget.total)
        for reader in readers:
            self.assertLess(abs(reader.promised() / MIB - (1 + 30 / 10)), 0.1)

    def test_idleOnes(self) -> None:
        """
        Streams that were fast once and are idle since keep what they were promised: each
        no more than the window, all no more than the total, and never all of it.
        """
        budget = Budget(256 * MIB)
        readers = []
        for _ in range(18):
            reader = Reader(budget)
            readers.append(reader)
            for _ in range(10):
                reader.roundTrip()
        promised = [reader.promised() for reader in readers]
        self.assertEqual(promised[:15], [16 * MIB] * 15)
        self.assertLess(2 * MIB, promised[-1])
        self.assertEqual(budget.lent, sum(promised) - 18 * MIB)
        self.assertLess(budget.lent, budget.total)

    def test_later(self) -> None:
        """
        Who wanted more and found little gets it with an acknowledgement after another
        has closed.
        """
        budget = Budget(20 * MIB)
        first, second = Reader(budget), Reader(budget)
        for reader in (first, first, first, second, second, second):
            reader.roundTrip()
        self.assertEqual((first.promised(), second.promised()), (11 * MIB, 6 * MIB))
        first.stream.close()
        self.assertEqual(budget.lent, 5 * MIB)
        second.roundTrip()
        self.assertEqual(second.promised(), 11 * MIB)


#: Takes and frees what the records of a busy stream do, and tells how many pages the kernel
#: had to give for it, once it has had as many as it needs.
_RECORDS = """
import resource
import rvgahp.stream

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        pieces = [b"x" * 2**18 for _ in range(12)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
print(faults(20))
"""


class HeapTests(SynchronousTestCase):
    """
    The memory that records come from.
    """

    def test_kept(self) -> None:
        """
        The pages of freed records are used for the next ones, and not fetched anew.
        """
        if platform.libc_ver()[0] != "glibc":
            self.skipTest("other allocators have other ways")
        words = [sys.executable, "-c", _RECORDS]
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE)
        self.assertLess(int(done.stdout), 200)
