# -*- test-case-name: tests.test_frontqueue -*-
"""
The commands that the front holds for a GAHP, above the stream.

Layer 0: L{rvgahp.limits} and L{rvgahp.frontrules}.
"""

from __future__ import annotations

from collections import OrderedDict

from rvgahp import limits
from rvgahp.frontrules import AT_ONCE, FIRST, URGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvgahp.frontrules import Rule

# How far a command has come.  It only goes back by "Threads limit reached".
HELD = 0  #: not sent, and so it can be withdrawn
SENT = 1  #: its first line of answer has not come
RUNNING = 2  #: acknowledged; the site's result has not come
OVER = 3  #: the site has nothing more to say to it


class Command:
    """
    A line of the gridmanager that is, or was, for the GAHP.

    @ivar line: as it came, without its end; dropped when it cannot be needed again.
        That of CREATE_CONDOR_SECURITY_SESSION is B{secret}.
    @ivar requestId: C{b""} if the command has none.
    @ivar came: when it came, in seconds of the front's clock.
    @ivar number: of all commands, in the order they came.
    @ivar isAnswered: whether there is a result, or a reply if it has no request id.
    @ivar reply: that reply.
    @ivar sandbox: the sandbox id, if it has one.
    @ivar end: how many bytes had been sent when it had been.
    @ivar owedUntil: when it has had its time at the GAHP, if it is owed and sent:
        never, as long as the CE has not acknowledged it.
    """

    __slots__ = (
        "came",
        "end",
        "isAnswered",
        "line",
        "name",
        "number",
        "owedUntil",
        "reply",
        "requestId",
        "rule",
        "sandbox",
        "state",
    )

    def __init__(self, name: bytes, rule: Rule, line: bytes, came: float, number: int) -> None:
        self.name = name
        self.rule = rule
        self.line = line
        self.came = came
        self.number = number
        self.requestId = b""
        self.sandbox = b""
        self.state = HELD
        self.isAnswered = False
        self.reply = b""
        self.end = 0
        self.owedUntil = 0.0

    @property
    def cost(self) -> int:
        """
        @return: bytes that it counts for.
        """
        return len(self.line) + limits.COMMAND_COST


class CommandQueue:
    """
    Held commands: the urgent ones, those that were sent before in vain, and the
    rest, each in the order they came.

    @ivar held: bytes that they count for.
    @ivar window: requests that the GAHP can have at work at one time.
    @ivar closedUntil: no request goes before this time.
    """

    def __init__(self) -> None:
        self.held = 0
        self.window = limits.FRONT_WINDOW
        self.closedUntil = 0.0
        self._urgent: OrderedDict[int, Command] = OrderedDict()
        self._refused: OrderedDict[int, Command] = OrderedDict()
        self._ordered: OrderedDict[int, Command] = OrderedDict()

    def __iter__(self) -> Iterator[Command]:
        for queue in (self._urgent, self._refused, self._ordered):
            yield from queue.values()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._refused) + len(self._ordered)

    def put(self, command: Command) -> None:
        """
        Hold a new command.
        """
        urgent = command.rule.queue in (FIRST, URGENT)
        (self._urgent if urgent else self._ordered)[command.number] = command
        if command.rule.queue == FIRST:
            self._urgent.move_to_end(command.number, last=False)
        self.held += command.cost

    def holdAgain(self, command: Command) -> None:
        """
        Hold what was sent, at the head, behind what came before it and is there too.
        """
        command.state = HELD
        self._refused[command.number] = command
        later = [number for number in self._refused if number > command.number]
        for number in later:
            self._refused.move_to_end(number)
        self.held += command.cost

    def putBack(self, command: Command, running: int, now: float) -> None:
        """
        The GAHP had no thread for it: hold it again.

        @param running: the requests that the GAHP has acknowledged and not finished.
        """
        self.window = max(1, min(self.window, running))
        self.closedUntil = now + limits.FRONT_RETRY
        self.holdAgain(command)

    def reopen(self) -> None:
        """
        Another GAHP: what was learned of the last one's threads does not count.
        """
        self.window = limits.FRONT_WINDOW
        self.closedUntil = 0.0

    def withdraw(self, command: Command) -> None:
        """
        It is not to be sent after all.
        """
        for queue in (self._urgent, self._refused, self._ordered):
            if queue.pop(command.number, None) is not None:
                self.held -= command.cost

    def take(self, isOpen: bool) -> Command | None:
        """
        Take the next one.

        @param isOpen: whether a request in order may go.
        """
        if self._urgent:
            queue = self._urgent
        else:
            queue = self._refused or self._ordered
            if not queue or (not isOpen and next(iter(queue.values())).rule.who == AT_ONCE):
                return None
        command = queue.popitem(last=False)[1]
        self.held -= command.cost
        return command
