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

from rvgahp import frontlimits
from rvgahp.errors import ProtocolError
from rvgahp.frontbanner import BannerFinder
from rvgahp.frontqueue import OVER, RUNNING, SENT, Command, CommandQueue
from rvgahp.frontrules import AGAIN, AT_ONCE, FIRST, MUTE, PROMISE
from rvgahp.frontsent import Lines, Requests
from rvgahp.gahplines import LineSplitter, countTokens, firstTokens, plainLine, splitTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.frontoutput import SiteUser
    from rvgahp.frontrules import Timers
    from rvgahp.frontsent import Sent

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
    @ivar requests: those that were sent and whose results have not come.
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
        self.requests = Requests(timers)
        self.isLive = self.isReady = False
        self.banner = b""
        self.commands: list[bytes] = []
        self._user = user
        self._greeted = greeted
        self._timers = timers
        self._finder = BannerFinder()
        self._lines = LineSplitter(frontlimits.SITE_LINE_BYTES, b"\n")
        self._own: deque[tuple[bytes, Callable[[list[bytes]], None]]] = deque()
        self._expected: deque[Sent] = deque()
        self._left = 0  # lines of an answer to RESULTS
        self._wantsResults = self._asking = False
        self._asked = self._heard = now
        self._sent = Lines()

    # -- toward the site ----------------------------------------------------

    def linkChanged(self, isLive: bool, now: float) -> None:
        """
        Commands may be sent, or not any more.
        """
        if isLive and not self.isLive:
            self._heard = now
            self.requests.renew(now)
        self.isLive = isLive

    def send(self, now: float, hasRoom: bool) -> list[bytes]:
        """
        @param hasRoom: whether results are welcome.
        @return: the lines that go to the GAHP now, with their ends.
        """
        if not self.isLive:
            return []
        if self._wantsResults and hasRoom and not self._asking:
            self._wantsResults, self._asking, self._asked = False, True, now
            self._own.append((b"RESULTS", self._resultsCounted))
        if not self._owesLine():
            self._heard = now
        lines = []
        while len(self._expected) < frontlimits.UNANSWERED:
            sending = self._next(now)
            if sending is None:
                break
            self._sent.add(*sending)
            self._expected.append(sending[1])
            lines.append(sending[0] + _END)
        return lines

    def _next(self, now: float) -> tuple[bytes, Sent] | None:
        if self._own:
            return self._own.popleft()
        if not self.isReady or not len(self.queue):
            return None
        isOpen = now >= self.queue.closedUntil and self.requests.hasRoom(self.queue.window, now)
        command = self.queue.take(isOpen)
        if command is None:
            return None
        command.state = SENT
        line = command.line
        if command.rule.who == AT_ONCE:
            self._remember(command, now)
        elif command.rule.over != AGAIN:
            command.line = b""
        if command.rule.isOwed:
            command.owedUntil = _EVER
        return line, command

    def _remember(self, command: Command, now: float) -> None:
        """
        A result is to come.
        """
        if not len(self.requests):
            self._asked = now
        forgotten = self.requests.add(command, now)
        if forgotten is not None:
            self._user.forgotten(forgotten)

    def confirmed(self, count: int, now: float) -> None:
        """
        @param count: so many more of the lines that L{send} returned are with the GAHP.
        """
        for sent in self._sent.confirmed(count):
            if isinstance(sent, Command) and sent.rule.isOwed:
                sent.owedUntil = now + frontlimits.LAST_RESULT

    def takeBack(self, count: int) -> list[Command]:
        """
        @param count: so many of the last lines that L{send} returned are not with the GAHP,
            and will not be: it is as if they had not been sent.
        @return: the commands that are held again for it; those that have been answered
            for meanwhile are not.
        @raise ProtocolError: the GAHP has answered some, and must be ended.
        """
        if count > len(self._expected):
            raise ProtocolError("it has answered a line that it was not sent")
        again = []
        for line, sent in self._sent.takeBack(count):
            self._expected.pop()
            if not isinstance(sent, Command):
                self._own.appendleft((line, sent))
            elif self._holdAgain(sent, line):
                again.append(sent)
        return again

    def _holdAgain(self, command: Command, line: bytes) -> bool:
        self.requests.remove(command)
        command.owedUntil = 0.0
        if command.isAnswered and command.rule.unsent != PROMISE:
            command.state = OVER
            command.line = b""
            return False
        command.line = line
        self.queue.holdAgain(command)
        return True

    def owes(self, now: float) -> bool:
        """
        @return: whether there is something that is owed and that the GAHP has not got,
            or may still be about.
        """
        if any(command.rule.isOwed for command in self.queue):
            return True
        return self.requests.owe(now, self.isLive)

    # -- time ---------------------------------------------------------------

    def nextDeadline(self, now: float) -> float | None:
        """
        @return: when L{tick} and L{send} should be called, if nothing else happens.
        """
        if not self.isLive:
            return None
        times = []
        if len(self.requests) and not self._asking and not self._wantsResults:
            times.append(self._asked + frontlimits.POLL)
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
        if len(self.requests) and now >= self._asked + frontlimits.POLL:
            self._wantsResults = True

    def _checkSilence(self, now: float) -> None:
        patience = self._timers.seconds[MUTE]
        due = self._heard + patience  # as in nextDeadline, to the last bit
        if now > due + frontlimits.LIVE:
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
        if len(line) > frontlimits.TOKEN_BYTES:
            longest = max(map(len, splitTokens(line)))
            if longest > frontlimits.TOKEN_BYTES:
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

    def _answerReceived(self, expected: Sent, line: bytes, now: float) -> None:
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
        self.requests.remove(command)
        command.state = OVER
        if command.isAnswered:
            return
        if reason == _OVERLOADED:
            self.queue.putBack(command, self.requests.running(), now)
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
        command = self.requests.get(requestId)
        if command is None or command.state != RUNNING:
            return  # unknown, or forgotten
        self.requests.remove(command)
        command.state = OVER
        self.queue.closedUntil = 0.0
        if not command.isAnswered:
            self._user.resultReceived(command, line, fields)
