# -*- test-case-name: tests.test_frontreplies -*-
"""
What the front owes the gridmanager, and when: replies in the order of the commands, and
the times at which the GAHP must be answered for.

Layer 0: L{rvgahp.frontlimits}, L{rvgahp.gahplines} and the front's own modules below it.
"""

from __future__ import annotations

from collections import deque

from rvgahp import frontlimits
from rvgahp.frontqueue import OVER, RUNNING, Command
from rvgahp.frontresults import END
from rvgahp.frontrules import NEVER, WAIT
from rvgahp.gahplines import escapeToken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.frontresults import ResultQueue
    from rvgahp.frontrules import Timers

_EVER = float("inf")


def refusal(sentence: str) -> bytes:
    """
    @return: the reply that refuses a command.
    """
    return b"E " + escapeToken(sentence.encode())


class ReplyQueue:
    """
    One reply for each command of the gridmanager, in order.

    @ivar held: bytes that the commands and replies count for.
    """

    def __init__(self, results: ResultQueue) -> None:
        self.held = 0
        self._results = results
        # A reply, a command that waits for its own, or None: the answer to RESULTS,
        # which is made when its turn comes.
        self._queue: deque[bytes | Command | None] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, reply: bytes | Command | None) -> None:
        """
        @param reply: a line without its end, a command whose reply is to come, or L{None} for
            the answer to RESULTS.
        """
        self._queue.append(reply)
        self.held += frontlimits.COMMAND_COST

    def fill(self, command: Command, reply: bytes) -> None:
        """
        The reply of a command that waits for it has come.
        """
        command.reply = reply
        command.isAnswered = True
        self.held += len(reply)

    def waiting(self) -> list[Command]:
        """
        @return: the commands whose reply has not come.
        """
        return [one for one in self._queue if isinstance(one, Command) and not one.isAnswered]

    def take(self) -> bytes:
        """
        @return: all that can be written now: whole lines, with their ends.
        """
        ready = []
        while self._queue:
            reply = self._queue[0]
            if isinstance(reply, Command):
                if not reply.isAnswered:
                    break
                reply = reply.reply
                self.held -= len(reply)
            self._queue.popleft()
            self.held -= frontlimits.COMMAND_COST
            ready.append(self._results.answer() if reply is None else reply + END)
        return b"".join(ready)


class Deadlines:
    """
    When the GAHP must be answered for, by the rules of the commands.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        # One queue for each limit: in it the first is due first.
        self._queues: dict[str, deque[Command]] = {}

    def add(self, command: Command) -> None:
        """
        A new command, if its rule has a limit.
        """
        if command.rule.limit != NEVER and self._timeOf(command) < _EVER:
            self._queues.setdefault(command.rule.limit, deque()).append(command)

    def isDue(self, command: Command, now: float) -> bool:
        """
        @return: whether the command has a limit and that is over.
        """
        return command.rule.limit != NEVER and self._timeOf(command) <= now

    def _timeOf(self, command: Command) -> float:
        return command.came + self._timers.seconds[command.rule.limit]

    def next(self) -> float | None:
        """
        @return: the next time at which L{due} has something.
        """
        times = []
        for queue in self._queues.values():
            while queue and self._isSettled(queue[0]):
                queue.popleft()
            if queue:
                times.append(self._timeOf(queue[0]))
        return min(times, default=None)

    def due(self, now: float) -> list[Command]:
        """
        @return: those that are due now and not answered; each is told of once.
        """
        found = []
        for queue in self._queues.values():
            while queue and self._timeOf(queue[0]) <= now:
                command = queue.popleft()
                if not command.isAnswered:
                    found.append(command)
        return found

    @staticmethod
    def _isSettled(command: Command) -> bool:
        """
        @return: whether nothing will be done for it at its limit.
        """
        atWork = command.state in (RUNNING, OVER)
        return command.isAnswered or (atWork and command.rule.sent == WAIT)
