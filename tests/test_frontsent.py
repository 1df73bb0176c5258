"""
Tests of L{rvgahp.frontsent}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontqueue import RUNNING, SENT, Command
from rvgahp.frontrules import RULES, Timers
from rvgahp.frontsent import Lines, Requests


def command(number: int, name: bytes = b"BLAH_JOB_STATUS", came: float = 0.0) -> Command:
    """
    @return: a request that was sent, its id its number.
    """
    one = Command(name, RULES[name], b"%s %d x" % (name, number), came, number)
    one.requestId = b"%d" % number
    one.state = SENT
    return one


class LinesTests(SynchronousTestCase):
    """
    L{Lines}.
    """

    def test_ends(self) -> None:
        """
        Lines are confirmed from the first on, and taken back from the last on; each once.
        """
        lines = Lines()
        commands = [command(number) for number in range(5)]
        for one in commands:
            lines.add(one.line, one)
        self.assertEqual(lines.confirmed(2), commands[:2])
        self.assertEqual(lines.takeBack(1), [(commands[4].line, commands[4])])
        self.assertEqual(lines.takeBack(2), [(one.line, one) for one in commands[3:1:-1]])
        self.assertEqual((lines.confirmed(1), lines.takeBack(1)), ([], []))


class RequestsTests(SynchronousTestCase):
    """
    L{Requests}.
    """

    def setUp(self) -> None:
        self.requests = Requests(Timers())

    def test_known(self) -> None:
        """
        A request is there until it is removed; one with the same id that came later is not
        removed in its stead.
        """
        first, second = command(7), command(7)
        self.requests.add(first, 0.0)
        self.assertIn(b"7", self.requests)
        self.assertIs(self.requests.get(b"7"), first)
        self.requests.add(second, 0.0)
        self.requests.remove(first)
        self.assertEqual(list(self.requests), [second])
        self.requests.remove(second)
        self.assertEqual((len(self.requests), self.requests.get(b"7")), (0, None))

    def test_room(self) -> None:
        """
        Those for which the gridmanager does not wait do not take room: its time is over, or
        they have been answered.
        """
        for number in (1, 2):
            self.requests.add(command(number, came=100.0 * number), 0.0)
        self.assertEqual([self.requests.hasRoom(2, now) for now in (0.0, 399.9, 400.0)], [0, 0, 1])
        requests = list(self.requests)
        requests[1].isAnswered = True
        self.assertTrue(self.requests.hasRoom(2, 0.0))
        self.assertEqual(self.requests.running(), 0)
        requests[1].state = RUNNING
        self.assertEqual(self.requests.running(), 1)

    def test_forgotten(self) -> None:
        """
        When they are too many, the oldest is forgotten for which nobody waits.
        """
        self.patch(frontlimits, "FORGOTTEN", 2)
        first, second = command(1, came=200.0), command(2)
        for one in (first, second):
            self.assertIsNone(self.requests.add(one, 300.0))
        self.assertIs(self.requests.add(command(3), 300.0), second)

    def test_owed(self) -> None:
        """
        What is owed is owed until it has had its time, which begins anew when the link is live
        again, and does not end while it is not; but never begins while it is undelivered.
        """
        cancel = command(1, b"BLAH_JOB_CANCEL")
        self.requests.add(cancel, 0.0)
        self.requests.add(command(2), 0.0)
        cancel.owedUntil = float("inf")
        self.requests.renew(5.0)
        self.assertTrue(self.requests.owe(1e9, True))
        self.assertIsNone(self.requests.graceEnd(0.0))
        cancel.owedUntil = 10.0
        self.assertEqual((self.requests.graceEnd(9.0), self.requests.graceEnd(10.0)), (10.0, None))
        self.assertEqual((self.requests.owe(10.0, True), self.requests.owe(10.0, False)), (0, 1))
        self.requests.renew(20.0)
        self.assertEqual(self.requests.graceEnd(20.0), 20.0 + frontlimits.LAST_RESULT)
