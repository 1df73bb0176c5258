"""
Tests of L{rvgahp.stderrqueue}.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.stderrqueue import StderrQueue, _toldIn

LINE = re.compile(rb"\n?\[rvgahp: (\d+) bytes of stderr dropped\]\n")


class StderrQueueTests(SynchronousTestCase):
    """
    Tests of L{StderrQueue}.
    """

    def test_order(self) -> None:
        """
        Bytes come out in the order in which they were put in, as many as are wanted.
        """
        queue = StderrQueue()
        queue.put(b"one ")
        queue.put(b"two ")
        queue.put(b"three")
        self.assertEqual(len(queue), 13)
        self.assertEqual(queue.take(6), b"one tw")
        self.assertEqual(queue.take(100), b"o three")
        self.assertEqual(queue.take(100), b"")
        self.assertEqual(len(queue), 0)

    def test_lines(self) -> None:
        """
        Where lines are wanted, one is not cut while it fits.
        """
        queue = StderrQueue()
        queue.put(b"one\ntwo\nth")
        queue.put(b"ree\n")
        self.assertEqual(queue.takeLines(9), b"one\ntwo\n")
        self.assertEqual(len(queue), 6)
        self.assertEqual(queue.takeLines(3), b"thr")
        self.assertEqual(queue.takeLines(100), b"ee\n")
        queue.put(b"no end")
        self.assertEqual(queue.takeLines(100), b"no end")

    def test_oldestGo(self) -> None:
        """
        When there are too many, the oldest are dropped, and a line says how many.
        """
        queue = StderrQueue(10)
        queue.put(b"0123456789")
        queue.put(b"abc")
        self.assertEqual(len(queue), 10)
        self.assertEqual(queue.take(100), b"[rvgahp: 3 bytes of stderr dropped]\n" + b"3456789abc")
        queue.put(b"more")
        self.assertEqual(queue.take(100), b"more")

    def test_linesGo(self) -> None:
        """
        Whole lines are dropped where there are any.
        """
        queue = StderrQueue(10)
        queue.put(b"first\nsecond\n")
        self.assertEqual(queue.take(100), b"[rvgahp: 6 bytes of stderr dropped]\nsecond\n")

    def test_numberGoes(self) -> None:
        """
        When a line with a number is dropped, that number is not lost.
        """
        first, second = StderrQueue(10), StderrQueue(40)
        first.put(b"1234567\n" * 1000)
        told = first.take(100)
        self.assertEqual(told, b"[rvgahp: 7992 bytes of stderr dropped]\n1234567\n")
        second.put(told)
        second.put(b"last\n")
        line = b"[rvgahp: %d bytes of stderr dropped]\n" % (7992 + len(told) - 8)
        self.assertEqual(second.take(100), line + b"1234567\nlast\n")
        self.assertEqual(_toldIn(b"[rvgahp: many bytes of stderr dropped]\n[rvgahp: 5"), 0)

    def test_lineOfItsOwn(self) -> None:
        """
        The line begins at the beginning of a line.
        """
        queue = StderrQueue(4)
        queue.put(b"half")
        self.assertEqual(queue.take(2), b"ha")
        queue.put(b"abcdef")
        self.assertEqual(queue.take(100), b"\n[rvgahp: 4 bytes of stderr dropped]\ncdef")
        queue.put(b"x\n")
        queue.take(100)
        queue.put(b"123456")
        self.assertEqual(queue.take(100), b"[rvgahp: 2 bytes of stderr dropped]\n3456")

    def test_oneLargePiece(self) -> None:
        """
        Of a piece larger than the queue, its end is held.
        """
        queue = StderrQueue()
        queue.put(bytes(1000) + b"x" * limits.STDERR_BYTES)
        self.assertEqual(len(queue), limits.STDERR_BYTES)
        self.assertTrue(queue.take(10).startswith(b"[rvgahp: 1000 bytes"))

    def test_emptyPiecesAreNotHeld(self) -> None:
        """
        Any number of empty pieces is nothing.
        """
        queue = StderrQueue()
        for _ in range(100):
            queue.put(b"")
        self.assertEqual(len(queue._parts), 0)

    @given(
        st.integers(1, 30),
        st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 40)), max_size=30),
    )
    def test_nothingUnaccounted(self, longest: int, steps: list[bytes | int]) -> None:
        """
        Every byte put in comes out in order, or is counted in a line at its place.
        """
        queue = StderrQueue(longest)
        put, took = b"", b""
        for step in [*steps, 1000]:
            if isinstance(step, bytes):
                step = step.replace(b"[", b".").replace(b"\n", b".")
                put += step
                queue.put(step)
            else:
                took += queue.take(step)
            self.assertLessEqual(len(queue), longest)
        offset = 0
        parts = LINE.split(took)
        for number, part in enumerate(parts):
            if number % 2:
                offset += int(part)
            else:
                self.assertEqual(put[offset : offset + len(part)], part)
                offset += len(part)
        self.assertEqual(offset, len(put))
