"""
Tests of L{rvgahp.frontreplies}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.frontqueue import HELD, OVER, RUNNING, SENT, Command
from rvgahp.frontreplies import Deadlines, ReplyQueue, refusal
from rvgahp.frontresults import ResultQueue
from rvgahp.frontrules import RULES, Timers


def command(name: bytes, came: float = 0.0, number: int = 1) -> Command:
    """
    @return: a command that came at that time.
    """
    return Command(name, RULES[name], name, came, number)


class ReplyQueueTests(SynchronousTestCase):
    """
    Tests of L{ReplyQueue}.
    """

    def test_order(self) -> None:
        """
        A reply waits for those before it; the answer to RESULTS is made when its turn
        comes, so that a result does not wait longer than it must.
        """
        results = ResultQueue()
        queue = ReplyQueue(results)
        first, second = command(b"CONDOR_VERSION"), command(b"GET_SANDBOX_PATH")
        for reply in (b"S", first, None, second, b"S last"):
            queue.put(reply)
        self.assertEqual(queue.take(), b"S\r\n")
        queue.fill(second, b"S second")
        self.assertEqual(queue.take(), b"")
        self.assertEqual(queue.waiting(), [first])
        results.put(b"2", b"2 late")
        queue.fill(first, b"S first")
        self.assertEqual(queue.take(), b"S first\r\nS 1\r\n2 late\r\nS second\r\nS last\r\n")
        self.assertEqual((len(queue), queue.held), (0, 0))

    def test_refusal(self) -> None:
        """
        A refusal has its sentence in one token.
        """
        self.assertEqual(refusal("no such thing"), b"E no\\ such\\ thing")


class DeadlinesTests(SynchronousTestCase):
    """
    Tests of L{Deadlines}.
    """

    def setUp(self) -> None:
        self.deadlines = Deadlines(Timers())

    def test_due(self) -> None:
        """
        Each is due once, at its own time, the different limits beside one another.
        """
        status, submit = command(b"BLAH_JOB_STATUS"), command(b"BLAH_JOB_SUBMIT")
        version = command(b"CONDOR_VERSION", 100.0)
        for one in (status, submit, version, command(b"BLAH_PING")):
            self.deadlines.add(one)
        found = []
        while (when := self.deadlines.next()) is not None:
            self.assertEqual(self.deadlines.due(when - 0.001), [])
            found.append((when, self.deadlines.due(when)))
        self.assertEqual(found, [(112.0, [version]), (240.0, [status]), (270.0, [submit])])

    def test_answered(self) -> None:
        """
        What is answered is not due.
        """
        status = command(b"BLAH_JOB_STATUS")
        self.deadlines.add(status)
        status.isAnswered = True
        self.assertIsNone(self.deadlines.next())
        self.assertEqual(self.deadlines.due(1000.0), [])

    def test_settled(self) -> None:
        """
        A submit that the GAHP has taken asks for no tick; one that is out may come back,
        and one that is held must be withdrawn.
        """
        for state, isDue in ((HELD, True), (SENT, True), (RUNNING, False), (OVER, False)):
            deadlines = Deadlines(Timers())
            submit = command(b"BLAH_JOB_SUBMIT")
            submit.state = state
            deadlines.add(submit)
            self.assertEqual(deadlines.next() is not None, isDue)

    def test_isDue(self) -> None:
        """
        A command without a limit is never due.
        """
        self.assertFalse(self.deadlines.isDue(command(b"BLAH_JOB_CANCEL"), 1e9))
        self.assertTrue(self.deadlines.isDue(command(b"BLAH_JOB_SUBMIT"), 270.0))
        self.assertFalse(self.deadlines.isDue(command(b"BLAH_JOB_SUBMIT"), 269.0))
