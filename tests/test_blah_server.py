# -*- test-case-name: tests.test_blah_server -*-
"""
Tests of L{rvgahp.blah.server}: lines in and lines out, with requests that do
what the test says.
"""

from __future__ import annotations

import queue
import threading

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah import limits
from rvgahp.blah.requests import Request
from rvgahp.blah.server import GahpServer
from rvgahp.gahplines import splitTokens
from tests.blahdriver import PATIENCE

BANNER = b"$GahpVersion: 1 Jan 01 2026 test\\ (x) $"


class GahpServerTests(SynchronousTestCase):
    """
    L{GahpServer}.
    """

    def setUp(self) -> None:
        """
        A server with a request that returns its argument, one that waits for
        the test, and one that changes something and waits.
        """
        self.written: queue.Queue[bytes] = queue.Queue()
        self.gone = False
        self.complaints: list[str] = []
        self.letGo = threading.Event()
        self.addCleanup(self.letGo.set)
        self.server = GahpServer(
            self.write,
            self.complaints.append,
            [
                Request("ECHO", lambda argument: [argument]),
                Request("WAIT", self.wait, 1),
                Request("CHANGE", self.wait, 1, changes=True),
                Request("SECRET", self.wait, 1, listed=False),
            ],
            BANNER,
        )

    def write(self, data: bytes) -> None:
        """
        Take what the server writes.
        """
        if self.gone:
            raise BrokenPipeError
        for line in data.splitlines(keepends=True):
            self.written.put(line)

    def wait(self) -> list[bytes]:
        """
        The action of a request that takes its time.
        """
        self.assertTrue(self.letGo.wait(PATIENCE))
        return []

    def say(self, line: bytes) -> bytes:
        """
        @return: the answer to one line.
        """
        self.server.lineReceived(line)
        return self.written.get(timeout=PATIENCE)

    def results(self, count: int) -> set[bytes]:
        """
        @return: that many results, when they are there.
        """
        results: set[bytes] = set()
        while len(results) < count:
            first = self.say(b"RESULTS")
            results.update(self.written.get_nowait() for _ in range(int(first.split()[1])))
        return results

    def assertReason(self, reply: bytes) -> None:
        """
        A reply is E and a reason, which is one token.
        """
        self.assertTrue(reply.endswith(b"\r\n"))
        code, reason = splitTokens(reply[:-2])
        self.assertEqual(code, b"E")
        self.assertIn(b" ", reason)

    def assertSilent(self) -> None:
        """
        Nothing more has been written.
        """
        self.assertTrue(self.written.empty())

    def test_synchronous(self) -> None:
        """
        The commands without a request id have blahpd's answers, in any case
        of letters.
        """
        self.assertEqual(self.say(b"VERSION"), b"S " + BANNER + b"\r\n")
        self.assertEqual(
            self.say(b"commands"),
            b"S ASYNC_MODE_OFF ASYNC_MODE_ON CHANGE COMMANDS ECHO QUIT RESULTS VERSION WAIT\r\n",
        )
        self.assertEqual(self.say(b"Results"), b"S 0\r\n")
        self.assertFalse(self.server.ended)
        self.assertEqual(self.say(b"quit"), b"S Server\\ exiting\r\n")
        self.assertTrue(self.server.ended)

    def test_request(self) -> None:
        """
        A request is acknowledged, and its result fetched once.
        """
        self.assertEqual(self.say(b"Echo 7 a\\ b\\\\"), b"S\r\n")
        self.assertEqual(self.results(1), {b"7 0 No\\ error a\\ b\\\\\r\n"})
        self.assertEqual(self.say(b"RESULTS"), b"S 0\r\n")

    def test_mistakes(self) -> None:
        """
        What cannot be obeyed gets E and a reason, and the next line is
        obeyed.
        """
        for line, answer in {
            b"NONSENSE": b"E Unknown\\ command\r\n",
            b" VERSION": b"E Unknown\\ command\r\n",
            b"\xff\xfe": b"E Unknown\\ command\r\n",
            b"VERSION 1": b"E expected\\ 0\\ parameters,\\ 1\\ found\r\n",
            b"ECHO": b"E expected\\ 2\\ parameters,\\ 0\\ found\r\n",
            b"ECHO 2 a b": b"E expected\\ 2\\ parameters,\\ 3\\ found\r\n",
            b"ECHO 2  a": b"E expected\\ 2\\ parameters,\\ 3\\ found\r\n",
        }.items():
            self.assertEqual(self.say(line), answer)
        for line in (b"ECHO two a", b"ECHO  a", b"ECHO -1 a", b"ECHO " + b"1" * 21 + b" a", b"A\\"):
            self.assertReason(self.say(line))
        self.server.lineTooLong()
        self.assertReason(self.written.get_nowait())
        self.assertSilent()
        self.assertEqual(self.say(b"RESULTS"), b"S 0\r\n")

    def test_limit(self) -> None:
        """
        Fifty requests are at work at once; the next is refused with the words
        that the gridmanager knows, and welcome when one has ended.
        """
        for number in range(limits.REQUESTS):
            self.assertEqual(self.say(b"WAIT %d" % number), b"S\r\n")
        for line in (b"WAIT 50", b"ECHO 51 x"):
            self.assertEqual(self.say(line), b"F Threads\\ limit\\ reached\r\n")
        self.letGo.set()
        self.assertEqual(
            self.results(limits.REQUESTS),
            {b"%d 0 No\\ error\r\n" % number for number in range(limits.REQUESTS)},
        )
        self.assertEqual(self.say(b"WAIT 50"), b"S\r\n")
        self.results(1)

    def test_resultsLimit(self) -> None:
        """
        Who never fetches results is refused when there are very many.
        """
        self.patch(limits, "RESULTS", 3)
        self.letGo.set()
        for number in range(3):
            self.assertEqual(self.say(b"CHANGE %d" % number), b"S\r\n")
        self.server.finishChanges(PATIENCE)
        self.assertEqual(self.say(b"ECHO 3 x"), b"F Threads\\ limit\\ reached\r\n")
        self.assertEqual(len(self.results(3)), 3)
        self.assertEqual(self.say(b"ECHO 3 x"), b"S\r\n")
        self.results(1)

    def test_notice(self) -> None:
        """
        In asynchronous mode one R tells of results, until they are fetched;
        then another can.  It comes after the acknowledgement.
        """
        self.assertEqual(self.say(b"ASYNC_MODE_ON"), b"S\r\n")
        for first in (10, 20):
            for number in (first, first + 1):
                self.assertEqual(self.say(b"CHANGE %d" % number), b"S\r\n")
            self.assertSilent()
            self.letGo.set()
            self.server.finishChanges(PATIENCE)
            self.assertEqual(self.written.get_nowait(), b"R\r\n")
            self.assertSilent()
            self.assertEqual(len(self.results(2)), 2)
            self.letGo.clear()

    def test_noticeOfEarlierResults(self) -> None:
        """
        Results from before asynchronous mode are noticed when it begins, and
        none when it has ended.
        """
        self.say(b"CHANGE 2")
        self.letGo.set()
        self.server.finishChanges(PATIENCE)
        self.assertSilent()
        self.assertEqual(self.say(b"ASYNC_MODE_ON"), b"S\r\n")
        self.assertEqual(self.written.get_nowait(), b"R\r\n")
        self.assertEqual(self.say(b"ASYNC_MODE_OFF"), b"S\r\n")
        self.results(1)
        self.say(b"CHANGE 3")
        self.server.finishChanges(PATIENCE)
        self.assertSilent()

    def test_finishChanges(self) -> None:
        """
        At the end, changes are waited for, to a limit, and looking is not.
        """
        self.say(b"WAIT 2")
        self.server.finishChanges(PATIENCE)
        self.say(b"CHANGE 3")
        self.server.finishChanges(0.01)
        self.assertEqual(self.say(b"RESULTS"), b"S 0\r\n")
        threading.Timer(0.05, self.letGo.set).start()
        self.server.finishChanges(PATIENCE)
        self.assertIn(b"3 0 No\\ error\r\n", self.results(2))

    def test_clientGone(self) -> None:
        """
        A request that ends when the client has gone disturbs nobody; whoever
        reads the input is told.
        """
        self.say(b"ASYNC_MODE_ON")
        self.say(b"CHANGE 2")
        self.gone = True
        self.letGo.set()
        self.server.finishChanges(PATIENCE)
        self.assertRaises(OSError, self.server.lineReceived, b"VERSION")
        self.assertEqual(self.complaints, [])
