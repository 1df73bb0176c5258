# -*- test-case-name: tests.test_frontqueue -*-
"""
The commands that the front holds for a GAHP, above the stream.

Layer 0: L{rvgahp.frontlimits} and L{rvgahp.frontrules}.
"""

from __future__ import annotations

from collections import OrderedDict

from rvgahp import frontlimits
from rvgahp.frontrules import AT_ONCE, FIRST, ORDER, URGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvgahp.frontrules import Rule

# How far a command has come.  It only goes back by "Threads limit reached", when it is taken
# back, and when the GAHP is over.
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
    @ivar owedUntil: when it has had its time at the GAHP, if it is owed and sent:
        never, as long as the CE has not acknowledged it.
    """

    __slots__ = (
        "came",
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
        self.owedUntil = 0.0

    @property
    def cost(self) -> int:
        """
        @return: bytes that it counts for.
        """
        return len(self.line) + frontlimits.COMMAND_COST


class CommandQueue:
    """
    Held commands: the first ones, the urgent ones, those that were sent before in vain, and the
    rest, each in the order they came.

    @ivar held: bytes that they count for.
    @ivar window: requests that the GAHP can have at work at one time.
    @ivar closedUntil: no request goes before this time.
    @ivar isPaused: no request goes: the GAHP could not do it now.
    """

    def __init__(self) -> None:
        self.held = 0
        self.window = frontlimits.WINDOW
        self.closedUntil = 0.0
        self.isPaused = False
        self._refused: OrderedDict[int, Command] = OrderedDict()
        self._kinds: dict[str, OrderedDict[int, Command]] = {
            kind: OrderedDict() for kind in (FIRST, URGENT, ORDER)
        }
        # The first comes first.
        self._queues = (
            self._kinds[FIRST],
            self._kinds[URGENT],
            self._refused,
            self._kinds[ORDER],
        )

    def __iter__(self) -> Iterator[Command]:
        for queue in self._queues:
            yield from queue.values()

    def __len__(self) -> int:
        return sum([len(queue) for queue in self._queues])

    def put(self, command: Command) -> None:
        """
        Hold a command, behind those of its kind that came before it.
        """
        queue = self._kinds[command.rule.queue]
        queue[command.number] = command
        self.held += command.cost

    def holdAgain(self, command: Command) -> None:
        """
        Hold what was sent, at the head, behind what came before it and is there too.
        """
        command.state = HELD
        isFirst = command.rule.who != AT_ONCE and command.rule.queue != ORDER
        queue = self._kinds[command.rule.queue] if isFirst else self._refused
        queue[command.number] = command
        for number in [number for number in queue if number > command.number]:
            queue.move_to_end(number)
        self.held += command.cost

    def putBack(self, command: Command, running: int, now: float) -> None:
        """
        The GAHP had no thread for it: hold it again.

        @param running: the requests that the GAHP has acknowledged and not finished.
        """
        self.window = max(1, min(self.window, running))
        self.closedUntil = now + frontlimits.BUSY_RETRY
        self.holdAgain(command)

    def reopen(self) -> None:
        """
        Another GAHP: what was learned of the last one's threads does not count.
        """
        self.window = frontlimits.WINDOW
        self.closedUntil = 0.0
        self.isPaused = False

    def withdraw(self, command: Command) -> None:
        """
        It is not to be sent after all.
        """
        for queue in self._queues:
            if queue.pop(command.number, None) is not None:
                self.held -= command.cost

    def take(self, isOpen: bool) -> Command | None:
        """
        Take the next one.

        @param isOpen: whether a request in order may go.
        """
        for queue in self._queues:
            if queue:
                break
        else:
            return None
        number, command = next(iter(queue.items()))
        mayGo = isOpen and not self.isPaused
        # What is urgent goes at any time, but not again and again to one who has no thread.
        mustWait = command.rule.queue == ORDER or queue is self._refused
        if mustWait and command.rule.who == AT_ONCE and not mayGo:
            return None
        del queue[number]
        self.held -= command.cost
        return command
