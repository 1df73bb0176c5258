# -*- test-case-name: tests.test_front -*-
"""
The front: a GAHP server for the gridmanager, and a GAHP's client for the site.

Layer 0: no I/O; bytes and events in, bytes out, a clock passed in.

What it does with each command stands in L{rvgahp.frontrules}; C{doc/front.rst} has the
same in words.  There is no mode for an outage: when the link is not live the queue does
not move, and that is all.

How it is driven, by the client, which makes it when the first GAHP runs:

  - L{Front.gridmanagerData}, L{Front.gridmanagerEnded}: what our stdin brings; SIGTERM
    counts as its end.
  - L{Front.siteStarted}, L{Front.siteData}, L{Front.siteEnded}, L{Front.siteLost}: the
    GAHP, its stdout in any portions, and its end.
  - L{Front.linkChanged}: whether an authenticated byte came in the last 12 s.  It begins
    as not live.
  - L{Front.resumed}: another channel carries the stream, and what the CE has got is known.
  - L{Front.confirmed}: how many more lines of C{toSite} the CE has delivered.
  - L{Front.nextDeadline} and L{Front.tick}: the front starts no timers.  After each of
    the calls above the client asks when C{tick} is due, and calls it then.
  - L{Front.heldBytes}: what it holds of its input; above a limit, read stdin no more.
  - L{Front.owes}: whether the client must stay although the gridmanager has gone.

What comes out goes to the methods of an L{rvgahp.frontoutput.Output}.  They may call the
front again.
"""

from __future__ import annotations

from rvgahp import frontlimits
from rvgahp.errors import ProtocolError
from rvgahp.frontanswers import Answers
from rvgahp.frontqueue import Command
from rvgahp.frontreplies import refusal
from rvgahp.frontresults import END
from rvgahp.frontrules import AT_ONCE, KNOWN_GAHPS, LOCAL, Timers, ruleFor
from rvgahp.gahplines import LineSplitter, firstTokens, joinTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.frontoutput import Output
    from rvgahp.frontsite import Site

_EVER = float("inf")


class Front:
    """
    A GAHP for the gridmanager, whichever are behind it, one after the other.
    """

    def __init__(
        self,
        gahp: str,
        output: Output,
        clock: Callable[[], float],
        timers: Timers | None = None,
        patience: float = frontlimits.GREETING,
    ) -> None:
        """
        @param gahp: a name for which L{rvgahp.frontrules.hasFront} is true.
        @param clock: seconds, never going back.
        @param timers: by the gridmanager's settings, where they are known.
        @param patience: seconds that the GAHP may take to be ready.
        """
        self._longest, self._unsendable = KNOWN_GAHPS[gahp]
        self._output = output
        self._clock = clock
        self._patience = patience
        self._readyBy = clock() + patience
        self._answers = Answers(clock, timers or Timers(), self._greeted, self._complain)
        self.queue = self._answers.queue  # of what is held
        self._lines = LineSplitter(frontlimits.COMMAND_BYTES)
        self._early = bytearray()  # input before the banner
        self._banner = b""
        self._commands: list[bytes] = []
        self._offered: set[bytes] = set()  # the same in capitals
        self._count = 0
        self._isGreeted = self._hasEnded = self._hasQuit = self._isLetGo = self._isOver = False
        self._local: dict[bytes, Callable[[], bytes | None]] = {
            b"COMMANDS": self._listCommands,
            b"ASYNC_MODE_ON": lambda: self._setAsynchronous(True),
            b"ASYNC_MODE_OFF": lambda: self._setAsynchronous(False),
            b"VERSION": lambda: b"S " + self._banner.rstrip(END),
            b"QUIT": self._quit,
            b"RESULTS": lambda: None,
            b"RESPONSE_PREFIX": lambda: refusal("Unknown command"),
        }

    @property
    def _site(self) -> Site:
        return self._answers.site

    # -- from the client ----------------------------------------------------

    def gridmanagerData(self, data: bytes) -> None:
        """
        Bytes of our stdin.
        """
        if self._isGreeted:
            self._obey(data)
        else:
            self._early += data
        self._settle()

    def gridmanagerEnded(self) -> None:
        """
        The gridmanager has gone.  What was not sent for it is not, except what is owed;
        when that is delivered, and each command has its reply, the GAHP's stdin ends.
        """
        self._hasEnded = True
        self._settle()

    def siteData(self, data: bytes) -> None:
        """
        Bytes of the GAHP's stdout.
        """
        if self._isOver:
            return
        try:
            self._site.dataReceived(data, self._clock())
        except ProtocolError as e:
            self._siteOver(None, str(e))
        self._settle()

    def siteEnded(self, status: int, sentence: str = "") -> None:
        """
        The GAHP has exited, and all its output has been here.

        @param status: 128 and more for a signal.
        @param sentence: what the site says of it, or nothing.
        """
        if self._isLetGo:
            half = "the end of its output was no whole line" if self._site.isMidLine() else ""
            self._finish(0 if self._hasQuit else status, sentence or half)
        else:
            ready = "" if self._site.isReady else " before it was ready"
            self._siteOver(status or None, sentence or f"it ended with status {status}{ready}")
        self._settle()

    def siteLost(self, sentence: str) -> None:
        """
        The stream is over without an exit status, or none could be had.
        """
        self._siteOver(None, sentence)
        self._settle()

    def siteStarted(self) -> None:
        """
        A GAHP has been started, for the first time or again.
        """
        self._readyBy = self._clock() + self._patience

    def linkChanged(self, isLive: bool) -> None:
        """
        The link has become live, or is not live any more.
        """
        self._answers.linkChanged(isLive)
        self.resumed()

    def resumed(self) -> None:
        """
        The stream has another channel, which has carried nothing yet.
        """
        problem = self._takeBack()
        if problem:
            self._siteOver(None, problem)
        self._settle()

    def confirmed(self, count: int) -> None:
        """
        @param count: so many more of the lines that went to C{toSite} the CE has delivered.
        """
        self._site.confirmed(count, self._clock())
        self._settle()

    def tick(self) -> None:
        """
        Time has passed.
        """
        now = self._clock()
        if self._isAwaited() and now >= self._readyBy:
            self._siteOver(None, f"it was not ready within {self._patience:g} s")
        self._answers.tick()
        if not self._isLetGo:
            try:
                self._site.tick(now)
            except ProtocolError as e:
                self._siteOver(None, str(e))
        self._settle()

    def nextDeadline(self) -> float | None:
        """
        @return: when, by the clock, L{tick} is due; L{None} for never.
        """
        if self._isOver:
            return None
        now = self._clock()
        times = [self._answers.nextDeadline()]
        if not self._isLetGo:
            times.append(self._site.nextDeadline(now))
        if self._isAwaited():
            times.append(self._readyBy)
        if self._hasEnded:
            times.append(self._site.requests.graceEnd(now))
        return min([time for time in times if time is not None], default=None)

    def owes(self) -> bool:
        """
        @return: whether there is a cancel or the like that the GAHP has not got, or has
            had for so short a time that it may be about it.
        """
        return not self._isLetGo and self._site.owes(self._clock())

    def heldBytes(self) -> int:
        """
        @return: bytes of input and of unwritten replies that are held here.
        """
        queued = self._site.queue.held + self._answers.replies.held
        return len(self._early) + len(self._lines) + queued

    # -- commands -----------------------------------------------------------

    def _obey(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            if self._hasQuit:
                return
            if line is None:
                self._answers.replies.put(refusal("the line is too long"))
            else:
                self._lineReceived(line)

    def _lineReceived(self, line: bytes) -> None:
        name, argument = [*firstTokens(line, 2), b""][:2]
        name = name.upper()
        rule = ruleFor(name, argument, self._offered)
        if rule.who == LOCAL:
            self._answers.replies.put(self._local[name]())
            return
        self._count += 1
        command = Command(name, rule, line, self._clock(), self._count)
        if rule.who == AT_ONCE:
            command.requestId = argument
        self._answers.accept(command, self._unfit(line))

    def _unfit(self, line: bytes) -> str:
        """
        @return: why a line must not be sent to the GAHP, or nothing.
        """
        if len(line) > self._longest:
            return f"the command is longer than the {self._longest} bytes that the GAHP takes"
        if any(byte in line for byte in self._unsendable):
            return "the command has a byte that the GAHP does not take"
        return ""

    def _listCommands(self) -> bytes:
        names = [one for one in self._commands if one.upper() != b"RESPONSE_PREFIX"]
        return joinTokens([b"S", *names])

    def _setAsynchronous(self, isAsynchronous: bool) -> bytes:
        self._answers.results.setAsynchronous(isAsynchronous)
        return b"S"

    def _quit(self) -> bytes:
        self._hasQuit = self._hasEnded = True
        return b"S"

    # -- what follows -------------------------------------------------------

    def _isAwaited(self) -> bool:
        """
        @return: whether a GAHP is being started.
        """
        return self._readyBy < _EVER and not self._site.isReady

    def _siteOver(self, status: int | None, sentence: str) -> None:
        """
        The GAHP has ended, or must be.  The gridmanager need not know: it dies when its
        GAHP does.

        @param status: as with C{finish}.
        """
        if not self._isGreeted or (self._hasEnded and not self.owes()):
            self._finish(status, sentence)
        elif not self._isOver:
            self._readyBy = _EVER
            self._takeBack()
            self._answers.siteOver()
            self._output.siteOver(sentence)

    def _takeBack(self) -> str:
        """
        Hold again what has certainly not reached the site.

        @return: why the GAHP must be ended, or nothing.
        """
        count = 0 if self._isOver else self._output.takeBack()
        return self._answers.takeBack(count) if count and not self._isLetGo else ""

    def _greeted(self) -> None:
        self._output.ready()
        self._banner, self._commands = self._site.banner, self._site.commands
        self._offered = {name.upper() for name in self._commands}
        if self._isGreeted:
            return
        self._isGreeted = True
        self._output.toGridmanager(self._banner)
        early, self._early = bytes(self._early), bytearray()
        self._obey(early)

    def _settle(self) -> None:
        """
        Let out what can go out now.
        """
        if self._isOver:
            return
        if self._hasEnded:
            self._answers.abandon()
        lines = self._answers.replies.take() + self._answers.results.notice()
        if lines:
            self._output.toGridmanager(lines)
        if not self._isLetGo:
            hasRoom = self._answers.results.held < frontlimits.RESULTS_HELD_BYTES
            commands = self._site.send(self._clock(), hasRoom)
            if commands:
                self._output.toSite(commands)
            self._letGo()

    def _letGo(self) -> None:
        """
        The gridmanager has gone; when all is done, so does the GAHP.
        """
        isDone = self._hasEnded and not self._early and not self._answers.replies
        if isDone and not self._isOver and not self._isLetGo and not self.owes():
            self._isLetGo = True
            self._output.endSite()

    def _complain(self, sentence: str) -> None:
        if not self._isOver:
            self._output.complain(sentence)

    def _finish(self, status: int | None, sentence: str) -> None:
        if not self._isOver:
            self._isOver = True
            self._output.finish(status, sentence)
