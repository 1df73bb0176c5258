# -*- test-case-name: tests.test_frontsite -*-
"""
The front toward the site: a GAHP's client, as the gridmanager would be.

Layer 0: no I/O; time is passed in.

A GAHP answers each line with one line, in order.  Between them it may say C{R}, and
whatever line of one token begins with R is taken for that.  A request's result comes
in the answer to RESULTS: C{S}, the number of lines, and the lines (HTCondor:
C{src/condor_gridmanager/gahp-client.cpp}, C{read_argv}, C{now_pending}, C{poll};
C{src/blahp/src/server.c}; C{src/condor_ft-gahp/io_loop.cpp}).
"""

from __future__ import annotations

from collections import deque

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.frontbanner import BannerFinder
from rvgahp.frontqueue import OVER, RUNNING, SENT, Command, CommandQueue
from rvgahp.frontrules import AGAIN, AT_ONCE, FIRST, MUTE
from rvgahp.gahplines import LineSplitter, countTokens, firstTokens, plainLine, splitTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.frontoutput import SiteUser
    from rvgahp.frontrules import Timers

#: The reason with which a GAHP asks for fewer requests at a time (C{GahpOverloadError}).
_OVERLOADED = b"Threads limit reached"

#: What ends a line for the GAHP; the gridmanager's own form.
_END = b"\r\n"

_EVER = float("inf")


class Site:
    """
    One GAHP at the other end of the stream.  Whatever it says that breaks the
    dialogue raises L{ProtocolError}, and it should then be ended.

    @ivar queue: the commands that are held.
    @ivar pending: by request id, the requests sent whose result has not come.
    @ivar isLive: whether commands may be sent.
    @ivar isReady: whether it has been greeted.
    @ivar banner: the GAHP's first line as it came, with its end.
    @ivar commands: what the GAHP says it has.
    """

    def __init__(
        self,
        user: SiteUser,
        greeted: Callable[[], None],
        timers: Timers,
        now: float,
        queue: CommandQueue,
    ) -> None:
        """
        @param greeted: called when the GAHP is ready for commands.
        """
        self.queue = queue
        self.pending: dict[bytes, Command] = {}
        self.isLive = self.isReady = False
        self.banner = b""
        self.commands: list[bytes] = []
        self._user = user
        self._greeted = greeted
        self._timers = timers
        self._finder = BannerFinder()
        self._lines = LineSplitter(limits.SITE_LINE_BYTES, b"\n")
        self._own: deque[tuple[bytes, Callable[[list[bytes]], None]]] = deque()
        self._expected: deque[Command | Callable[[list[bytes]], None]] = deque()
        self._left = 0  # lines of an answer to RESULTS
        self._wantsResults = self._asking = False
        self._asked = self._heard = now
        self._sent = 0
        self._unconfirmed: deque[Command] = deque()

    # -- toward the site ----------------------------------------------------

    def linkChanged(self, isLive: bool, now: float) -> None:
        """
        Commands may be sent, or not any more.
        """
        if isLive and not self.isLive:
            self._heard = now
            for command in self.pending.values():
                if command.owedUntil < _EVER:
                    command.owedUntil = now + limits.FRONT_LAST_RESULT
        self.isLive = isLive

    def send(self, now: float, hasRoom: bool) -> bytes:
        """
        @param hasRoom: whether results are welcome.
        @return: the lines that go to the GAHP now.
        """
        if not self.isLive:
            return b""
        if self._wantsResults and hasRoom and not self._asking:
            self._wantsResults, self._asking, self._asked = False, True, now
            self._own.append((b"RESULTS", self._resultsCounted))
        if not self._owesLine():
            self._heard = now
        lines = []
        while len(self._expected) < limits.FRONT_UNANSWERED:
            line = self._next(now)
            if line is None:
                break
            lines.append(line + _END)
            self._sent += len(lines[-1])
        return b"".join(lines)

    def _next(self, now: float) -> bytes | None:
        if self._own:
            line, handler = self._own.popleft()
            self._expected.append(handler)
            return line
        if not self.isReady or not len(self.queue):
            return None
        command = self.queue.take(self._isOpen(now))
        if command is None:
            return None
        self._expected.append(command)
        command.state = SENT
        line = command.line
        if command.rule.who == AT_ONCE:
            self._remember(command, now)
        elif command.rule.over != AGAIN:
            command.line = b""
        command.end = self._sent + len(line) + len(_END)
        if command.rule.isOwed:
            command.owedUntil = _EVER
            self._unconfirmed.append(command)
        return line

    def _remember(self, command: Command, now: float) -> None:
        """
        A result is to come.
        """
        if not self.pending:
            self._asked = now
        if len(self.pending) >= limits.FRONT_FORGOTTEN:
            oldest = next(
                (one for one in self.pending.values() if not self._isBusy(one, now)), None
            )
            if oldest is not None:
                del self.pending[oldest.requestId]
                self._user.forgotten(oldest)
        self.pending[command.requestId] = command

    def _isBusy(self, command: Command, now: float) -> bool:
        """
        @return: whether the gridmanager still waits for it.
        """
        patience = self._timers.seconds[command.rule.timer]
        return not command.isAnswered and now < command.came + patience

    def _isOpen(self, now: float) -> bool:
        if now < self.queue.closedUntil:
            return False
        if len(self.pending) < self.queue.window:
            return True
        busy = sum([self._isBusy(command, now) for command in self.pending.values()])
        return busy < self.queue.window

    def confirmed(self, count: int, now: float) -> None:
        """
        @param count: bytes of all that L{send} returned that are with the GAHP.
        """
        while self._unconfirmed and self._unconfirmed[0].end <= count:
            self._unconfirmed.popleft().owedUntil = now + limits.FRONT_LAST_RESULT

    def owes(self, now: float) -> bool:
        """
        @return: whether there is something that is owed and that the GAHP has not got,
            or may still be about.
        """
        if any(command.rule.isOwed for command in self.queue):
            return True
        owed = [command for command in self.pending.values() if command.rule.isOwed]
        return any(command.owedUntil > now or not self.isLive for command in owed)

    def graceEnd(self, now: float) -> float | None:
        """
        @return: when the next of what is owed and delivered has had its time.
        """
        times = [command.owedUntil for command in self.pending.values()]
        return min([time for time in times if now < time < _EVER], default=None)

    # -- time ---------------------------------------------------------------

    def nextDeadline(self, now: float) -> float | None:
        """
        @return: when L{tick} and L{send} should be called, if nothing else happens.
        """
        if not self.isLive:
            return None
        times = []
        if self.pending and not self._asking and not self._wantsResults:
            times.append(self._asked + limits.FRONT_POLL)
        if len(self.queue) and self.queue.closedUntil > now:
            times.append(self.queue.closedUntil)
        if self.isReady and self._owesLine():
            times.append(self._heard + self._timers.seconds[MUTE])
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """
        Time has passed.

        @raise ProtocolError: the GAHP has said nothing for too long, and must be ended.
        """
        if self.isReady and self.isLive and self._owesLine():
            self._checkSilence(now)
        if self.pending and now >= self._asked + limits.FRONT_POLL:
            self._wantsResults = True

    def _checkSilence(self, now: float) -> None:
        patience = self._timers.seconds[MUTE]
        due = self._heard + patience  # as in nextDeadline, to the last bit
        if now > due + limits.FRONT_LIVE:
            self._heard = now  # the machine has slept, and nothing could be heard
        elif now >= due:
            raise ProtocolError(f"it has been silent for {patience:g} s, though a reply is due")

    def _owesLine(self) -> bool:
        """
        @return: whether the GAHP has a line to say at once: a reply, or a result that it
            has announced.  A request's result may take as long as it likes.
        """
        return self._left > 0 or len(self._expected) > 0

    # -- from the site ------------------------------------------------------

    def isMidLine(self) -> bool:
        """
        @return: whether the last line is not whole.
        """
        return len(self._lines) > 0

    def dataReceived(self, data: bytes, now: float) -> None:
        """
        @raise ProtocolError: the GAHP must be ended; the sentence says why.
        """
        if not self.banner:
            data = self._finder.feed(data)
            self.banner = self._finder.banner
            if self.banner:
                self._own.append((b"COMMANDS", self._commandsListed))
                self._own.append((b"ASYNC_MODE_ON", self._modeSet))
        for line in self._lines.feed(data):
            if line is None:
                raise ProtocolError("it sent a line without end")
            self._lineReceived(plainLine(line), now)
        if self.isMidLine():
            self._heard = now

    def _commandsListed(self, tokens: list[bytes]) -> None:
        if tokens[0] != b"S":
            raise ProtocolError("it did not say which commands it has")
        self.commands = tokens[1:]

    def _modeSet(self, tokens: list[bytes]) -> None:
        if tokens[0] != b"S":
            raise ProtocolError("it has no asynchronous mode")
        self.isReady = True
        self._greeted()

    def _lineReceived(self, line: bytes, now: float) -> None:
        if not line:
            return
        fields = countTokens(line)
        if len(line) > limits.TOKEN_BYTES:
            longest = max(map(len, splitTokens(line)))
            if longest > limits.TOKEN_BYTES:
                raise ProtocolError(f"it sent a token of {longest} bytes, too long to be passed on")
        if fields == 1 and splitTokens(line)[0][:1] == b"R":
            self._wantsResults = True
            return
        self._heard = now
        if self._left:
            self._left -= 1
            self._asking = self._left > 0
            self._resultReceived(line, fields)
        elif not self._expected:
            raise ProtocolError("it sent a line out of turn")
        else:
            self._answerReceived(self._expected.popleft(), line, now)

    def _answerReceived(
        self, expected: Command | Callable[[list[bytes]], None], line: bytes, now: float
    ) -> None:
        tokens = splitTokens(line)
        if tokens[0] not in (b"S", b"F", b"E"):
            raise ProtocolError("it sent something else than a reply")
        if not isinstance(expected, Command):
            expected(tokens)
        elif expected.rule.who == AT_ONCE:
            self._acknowledged(expected, tokens, now)
        else:
            expected.state = OVER
            if expected.rule.queue != FIRST:
                expected.line = b""
            self._user.replied(expected, line, tokens)

    def _acknowledged(self, command: Command, tokens: list[bytes], now: float) -> None:
        if tokens[0] == b"S":
            command.state = RUNNING
            if command.rule.over != AGAIN:
                command.line = b""
            return
        reason = tokens[1] if len(tokens) > 1 else b""
        self.pending.pop(command.requestId, None)
        command.state = OVER
        if command.isAnswered:
            return
        if reason == _OVERLOADED:
            running = [one for one in self.pending.values() if one.state == RUNNING]
            self.queue.putBack(command, len(running), now)
            self._user.returned(command)
        else:
            self._user.refused(command, reason)

    def _resultsCounted(self, tokens: list[bytes]) -> None:
        isNumber = len(tokens) > 1 and tokens[1].isdigit() and len(tokens[1]) < 10
        if tokens[0] != b"S" or not isNumber:
            raise ProtocolError("its answer to RESULTS was not understood")
        self._left = int(tokens[1])
        self._asking = self._left > 0

    def _resultReceived(self, line: bytes, fields: int) -> None:
        requestId = firstTokens(line, 1)[0]
        if not requestId[:1].isdigit():
            raise ProtocolError("it sent something else than a result")
        command = self.pending.get(requestId)
        if command is None or command.state != RUNNING:
            return  # unknown, or forgotten
        del self.pending[requestId]
        command.state = OVER
        self.queue.closedUntil = 0.0
        if not command.isAnswered:
            self._user.resultReceived(command, line, fields)
