"""
Tests of L{rvgahp.sink}.
"""

from __future__ import annotations

import fcntl
import os
import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.sink import Sink
from tests.loops import Driver, Twisted
from tests.looptests import LoopTestCase, readAll
from tests.steppedloop import SteppedLoop, socketPair


class SinkTests(LoopTestCase):
    """
    Tests of L{Sink}.
    """

    def sink(self, buffer: int = 0) -> tuple[Sink, socket.socket]:
        """
        A sink, and where it leads.
        """
        ours, theirs = socketPair(buffer)
        self.sockets += [ours, theirs]
        self.costs: list[int] = []
        self.failures: list[str] = []
        sink = Sink(self.loop, ours.fileno(), self.costs.append, self.failures.append, ours)
        return sink, theirs

    def test_deliveredWhenWritten(self) -> None:
        """
        A frame's cost is told when its last byte is written, and not before.
        """
        sink, theirs = self.sink(8192)
        sink.put(b"small", 9)
        self.assertEqual(self.costs, [9])
        sink.put(bytes(200_000), 200_004)
        sink.put(b"after", 9)
        self.assertEqual(self.costs, [9])
        came = 5
        while sum(self.costs) < 200_022:
            before = sum(self.costs)
            came += len(readAll(theirs))
            self.driver.settle()
            written = 200_010 - sink.unsent
            if written < 200_005:
                self.assertEqual(sum(self.costs), 9)
            self.assertGreaterEqual(sum(self.costs), before)
        self.assertEqual(sink.unsent, 0)
        sink.close()

    def test_lastByte(self) -> None:
        """
        Not even one byte may be missing.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        size = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        costs: list[int] = []
        failures: list[str] = []
        sink = Sink(self.loop, write, costs.append, failures.append)
        sink.put(bytes(size + 1), size + 5)
        self.assertEqual((sink.unsent, costs), (1, []))
        os.read(read, size)
        self.driver.until(lambda: costs)
        self.assertEqual((sink.unsent, costs), (0, [size + 5]))
        sink.close()
        os.close(read)

    def test_emptyPayload(self) -> None:
        """
        A frame without bytes is delivered after those before it.
        """
        sink, theirs = self.sink(8192)
        sink.put(b"", 4)
        self.assertEqual(self.costs, [4])
        sink.put(bytes(100_000), 100_004)
        sink.put(b"", 4)
        self.assertEqual(self.costs, [4])

        def isDone() -> bool:
            readAll(theirs)
            return sum(self.costs) == 100_012

        self.driver.until(isDone)
        sink.close()

    def test_afterTheEnd(self) -> None:
        """
        What comes when the sink has ended, or is closed, counts as delivered at once.
        """
        sink, _ = self.sink()
        sink.endWriting()
        sink.put(b"late", 8)
        self.assertEqual(self.costs, [8])
        sink.close()
        sink.put(b"later", 9)
        self.assertEqual(self.costs, [8, 9])

    def test_failure(self) -> None:
        """
        When nobody reads any more, all that was put counts as delivered, so that its
        stream runs on to its end, and the failure is told once.
        """
        sink, theirs = self.sink(8192)
        sink.put(bytes(200_000), 200_004)
        sink.put(b"more", 8)
        theirs.close()
        self.driver.until(lambda: self.failures)
        self.assertEqual(sum(self.costs), 200_012)
        sink.put(b"late", 8)
        sink.endWriting()
        self.driver.settle()
        self.assertEqual(sum(self.costs), 200_020)
        self.assertEqual(len(self.failures), 1)
        sink.close()

    def test_failureThenEndOfAPipe(self) -> None:
        """
        A pipe that failed and is then told to end still settles its account.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        costs: list[int] = []
        failures: list[str] = []
        sink = Sink(self.loop, write, costs.append, failures.append)
        os.close(read)
        sink.put(b"nobody", 10)
        sink.put(b"", 4)
        sink.endWriting()
        self.driver.until(lambda: failures)
        self.assertEqual(sum(costs), 14)
        sink.close()

    def test_nothingAfterClose(self) -> None:
        """
        Closed, it tells nothing more of what it held, a failure neither.
        """
        sink, theirs = self.sink(8192)
        sink.put(bytes(200_000), 200_004)
        theirs.close()
        sink.write([b"x"])
        sink.close()
        self.driver.settle()
        self.assertEqual((self.costs, self.failures), ([], []))

    def test_smallFramesHeldCheaply(self) -> None:
        """
        Many small frames that wait do not take many times their size.
        """
        import tracemalloc

        sink, theirs = self.sink(4096)
        sink.put(bytes(20_000), 20_004)
        data = bytes(100)
        tracemalloc.start()
        try:
            for number in range(100_000):
                sink.put(memoryview(data)[number % 100 :][:1], 5)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 5_000_000)

        def isDone() -> bool:
            readAll(theirs)
            return not sink.unsent

        self.driver.until(isDone)
        self.assertEqual(sum(self.costs), 20_004 + 500_000)
        sink.close()


class TwistedSinkTests(SinkTests):
    """
    The same in Twisted's loop.
    """

    def makeDriver(self) -> Driver:
        return Twisted()


class SinkAccountTests(SynchronousTestCase):
    """
    The sink's account, over everything that may happen to it.
    """

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.sampled_from([0, 1, 5, 3000, 9000, 70_000])),
                st.tuples(st.just("drain"), st.sampled_from([1, 4000, 100_000])),
                st.tuples(st.just("settle"), st.just(0)),
                st.tuples(st.sampled_from(["end", "break"]), st.just(0)),
            ),
            max_size=25,
        ),
        st.booleans(),
    )
    def test_sum(self, steps: list[tuple[str, int]], isPipe: bool) -> None:
        """
        Never is more delivered than was put, nor a frame before its bytes are
        written; and when all has been drained, or has failed, all is delivered.
        """
        loop = SteppedLoop()
        delivered: list[int] = []
        failures: list[str] = []
        owner = None
        if isPipe:
            read, write = os.pipe2(os.O_NONBLOCK)
        else:
            owner, other = socketPair(4096)
            write, read = owner.fileno(), other.detach()
        sink = Sink(loop, write, delivered.append, failures.append, owner)
        put, isOpen = 0, True
        for what, size in steps:
            if what == "put":
                sink.put(bytes(size), size + 4)
                put += size + 4
            elif what == "drain" and isOpen:
                self._drain(read, size)
            elif what == "settle":
                loop.settle()
            elif what == "end":
                sink.endWriting()
            elif what == "break" and isOpen:
                os.close(read)
                isOpen = False
            self.assertLessEqual(sum(delivered), put)
            if isOpen:
                self.assertLessEqual(put - sum(delivered), sink.unsent + 4 * len(steps) + 70_000)
        while isOpen and sink.unsent:
            self._drain(read, 1 << 20)
            loop.settle()
        loop.settle()
        self.assertEqual(sum(delivered), put)
        self.assertLessEqual(len(failures), 1)
        sink.close()
        if isOpen:
            os.close(read)

    @staticmethod
    def _drain(read: int, size: int) -> None:
        try:
            os.read(read, size)
        except BlockingIOError:
            pass
