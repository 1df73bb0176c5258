"""
Tests of L{rvgahp.frontresults}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontresults import ResultQueue


class ResultQueueTests(SynchronousTestCase):
    """
    Tests of L{ResultQueue}.
    """

    def test_order(self) -> None:
        """
        Results come in their order, whole, and are gone then.
        """
        queue = ResultQueue()
        queue.put(b"3", b"3 a\\ b")
        queue.put(b"2", b"2 c")
        self.assertEqual((len(queue), queue.held), (2, 9))
        self.assertTrue(b"2" in queue and b"3" in queue)
        self.assertEqual(queue.answer(), b"S 2\r\n3 a\\ b\r\n2 c\r\n")
        self.assertEqual(queue.answer(), b"S 0\r\n")
        self.assertEqual((len(queue), queue.held, b"2" in queue), (0, 0, False))

    def test_bytes(self) -> None:
        """
        An answer has no more than 1 MiB of lines, ends included, but at least one line.
        """
        queue = ResultQueue()
        half = frontlimits.RESULTS_BYTES // 2
        for size in (half - 2, half - 2, 3, frontlimits.RESULTS_BYTES, half - 2, half - 1):
            queue.put(b"2", b"x" * size)
        sizes = []
        while len(queue):
            sizes.append([len(line) for line in queue.answer().split(b"\r\n")[1:-1]])
        self.assertEqual(
            sizes, [[half - 2, half - 2], [3], [frontlimits.RESULTS_BYTES], [half - 2], [half - 1]]
        )

    def test_notice(self) -> None:
        """
        R once when it is no longer empty, again after an answer that left something, and
        only in asynchronous mode.
        """
        queue = ResultQueue()
        queue.put(b"2", b"2 a")
        self.assertEqual(queue.notice(), b"")
        queue.setAsynchronous(True)
        self.assertEqual([queue.notice(), queue.notice()], [b"R\r\n", b""])
        queue.setAsynchronous(True)
        self.assertEqual([queue.notice(), queue.notice()], [b"R\r\n", b""])
        for number in range(3, 3 + frontlimits.RESULTS_LINES):
            queue.put(b"%d" % number, b"%d a" % number)
        self.assertEqual(queue.notice(), b"")
        queue.answer()
        self.assertEqual([queue.notice(), queue.notice()], [b"R\r\n", b""])
        queue.answer()
        self.assertEqual(queue.notice(), b"")
        queue.put(b"2", b"2 a")
        queue.setAsynchronous(False)
        self.assertEqual(queue.notice(), b"")
