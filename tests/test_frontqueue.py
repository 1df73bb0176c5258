"""
Tests of L{rvgahp.frontqueue}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontqueue import HELD, SENT, Command, CommandQueue
from rvgahp.frontrules import OTHER_COMMAND, RULES


class CommandQueueTests(SynchronousTestCase):
    """
    Tests of L{CommandQueue}.
    """

    def setUp(self) -> None:
        self.queue = CommandQueue()
        self.count = 0

    def put(self, name: str) -> Command:
        """
        Hold a new command.
        """
        self.count += 1
        rule = RULES.get(name.encode(), OTHER_COMMAND)
        command = Command(name.encode(), rule, name.encode(), 0.0, self.count)
        self.queue.put(command)
        return command

    def taken(self, isOpen: bool = True) -> list[str]:
        """
        @return: the names of what can be taken.
        """
        names = []
        while (command := self.queue.take(isOpen)) is not None:
            command.state = SENT
            names.append(command.name.decode())
        return names

    def test_paused(self) -> None:
        """
        In a pause requests wait, and what has no result goes as ever; another GAHP begins
        without one.
        """
        for name in ("DOWNLOAD_SANDBOX", "CONDOR_VERSION"):
            self.put(name)
        self.queue.isPaused = True
        self.assertEqual(self.taken(), ["CONDOR_VERSION"])
        self.queue.isPaused = False
        self.assertEqual(self.taken(), ["DOWNLOAD_SANDBOX"])
        self.queue.isPaused = True
        self.queue.reopen()
        self.assertFalse(self.queue.isPaused)

    def test_order(self) -> None:
        """
        The first, then the urgent ones, then the others, each as they came.
        """
        for name in ("OTHER", "BLAH_JOB_SUBMIT", "BLAH_PING", "CONDOR_VERSION"):
            self.put(name)
        self.put("CREATE_CONDOR_SECURITY_SESSION")
        self.assertEqual(len(self.queue), 5)
        self.assertEqual(
            self.taken(),
            [
                "CONDOR_VERSION",
                "CREATE_CONDOR_SECURITY_SESSION",
                "BLAH_PING",
                "OTHER",
                "BLAH_JOB_SUBMIT",
            ],
        )
        self.assertEqual((len(self.queue), self.queue.held), (0, 0))

    def test_closed(self) -> None:
        """
        When no request may go, those in order wait, and so do commands behind them; not
        those before them, nor the urgent ones.
        """
        for name in ("OTHER", "BLAH_JOB_SUBMIT", "ANOTHER", "BLAH_PING"):
            self.put(name)
        self.assertEqual(self.taken(isOpen=False), ["BLAH_PING", "OTHER"])
        self.assertEqual(self.taken(), ["BLAH_JOB_SUBMIT", "ANOTHER"])

    def test_putBack(self) -> None:
        """
        What is put back goes to the head, in the order it first came, whatever the order
        in which it comes back.
        """
        commands = [self.put(f"BLAH_JOB_CANCEL {number}") for number in range(5)]
        for command in commands:
            command.rule = RULES[b"BLAH_JOB_CANCEL"]
        for command in commands[:3]:
            self.queue.take(True)
            command.state = SENT
        for number in (1, 2, 0):
            self.queue.putBack(commands[number], 7, 100.0)
            self.assertEqual(commands[number].state, HELD)
        self.assertEqual(self.taken(), [f"BLAH_JOB_CANCEL {number}" for number in range(5)])

    def test_putBackUrgent(self) -> None:
        """
        What is urgent waits, too, when the GAHP has had no thread for it; another one goes.
        """
        ping = self.put("BLAH_PING")
        self.assertEqual(self.taken(isOpen=False), ["BLAH_PING"])
        self.queue.putBack(ping, 7, 100.0)
        self.assertEqual(self.taken(isOpen=False), [])
        self.put("BLAH_PING")
        self.assertEqual(self.taken(isOpen=False), ["BLAH_PING"])
        self.assertEqual(self.taken(), ["BLAH_PING"])

    def test_window(self) -> None:
        """
        The window falls to what the GAHP has at work, never to nothing, and never rises;
        and no request goes for a while.
        """
        command = self.put("BLAH_JOB_CANCEL")
        self.assertEqual(self.queue.window, frontlimits.WINDOW)
        for running, window in ((60, 50), (10, 10), (20, 10), (0, 1), (5, 1)):
            self.queue.take(True)
            self.queue.putBack(command, running, 100.0)
            self.assertEqual(self.queue.window, window)
        self.assertEqual(self.queue.closedUntil, 100.0 + frontlimits.BUSY_RETRY)

    def test_withdraw(self) -> None:
        """
        What is withdrawn is not taken, wherever it waits; once more does no harm.
        """
        urgent, ordered, refused = (
            self.put(name) for name in ("BLAH_PING", "OTHER", "BLAH_JOB_CANCEL")
        )
        self.taken()
        self.queue.putBack(refused, 1, 0.0)
        self.put("BLAH_JOB_SUBMIT")
        for command in (urgent, ordered, refused, refused):
            self.queue.withdraw(command)
        self.assertEqual(self.taken(), ["BLAH_JOB_SUBMIT"])
        self.assertEqual(self.queue.held, 0)

    def test_held(self) -> None:
        """
        Each held command counts with its line and something more.
        """
        command = self.put("BLAH_JOB_SUBMIT")
        self.assertEqual(self.queue.held, len(command.line) + frontlimits.COMMAND_COST)
        self.assertEqual([one.name for one in self.queue], [b"BLAH_JOB_SUBMIT"])
