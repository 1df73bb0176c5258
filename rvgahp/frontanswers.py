# -*- test-case-name: tests.test_frontanswers -*-
"""
The front's answers: the GAHP's own where they come, and those in its place.

Layer 0: L{rvgahp.frontlimits}, L{rvgahp.gahplines} and the front's own modules below it.

What is never made up: the success of a submit, a cancel, a refresh or a transfer; a
job's state; and the result codes -100 to -103, which the gridmanager takes for its own
(HTCondor: C{src/condor_gridmanager/gahp-client.h}).
"""

from __future__ import annotations

from rvgahp import frontlimits
from rvgahp.errors import ProtocolError
from rvgahp.frontpaths import SandboxPaths
from rvgahp.frontqueue import HELD, Command, CommandQueue
from rvgahp.frontreplies import Deadlines, ReplyQueue, refusal
from rvgahp.frontresults import ResultQueue
from rvgahp.frontrules import (
    AGAIN,
    AT_ONCE,
    CALL,
    FAIL,
    FIRST,
    NO_NEWS,
    NOTHING_NEW,
    PATH_TOKEN,
    PROMISE,
    RECALL,
    REFUSE,
    RULES,
    WAIT,
)
from rvgahp.frontsite import Site
from rvgahp.gahplines import firstTokens, joinTokens, splitTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.frontrules import Timers

_UNSENT = "it never reached the site; it is safe to release the job"
_LATE = "the site did not answer in time"
_OVER = "the GAHP ended before it answered; what it was asked for may have been done"
_NOT_LIVE = "nothing is heard from the site"
_WRONG = "the site's answer was not understood"
_NO_JOB = "the site told of a success and of no job; look there for it before you release this one"

#: Job ids that are none, in capitals.  With a success the gridmanager goes on all the same: it
#: asks after the job by such a name; and NULL and nothing it does not remember, so that at
#: its next start it submits the job once more (HTCondor: C{SetRemoteIds}, C{GM_SUBMIT} and
#: C{GM_START} in C{src/condor_gridmanager/infnbatchjob.cpp}).
_NO_IDS = (b"", b"N/A", b"NULL")


def _nameOf(command: Command) -> str:
    """
    @return: the name for people, if it is a known one; nothing else of a line is said.
    """
    return command.name.decode() if command.name in RULES else "a command"


def _isCode(token: bytes) -> bool:
    """
    @return: whether it can stand for success or failure: a number, and none of those
        that are the gridmanager's own.  It reads any word as 0, which is success, and
        with one of its own it waits for ever (HTCondor:
        C{src/condor_gridmanager/gahp-client.cpp}, C{blah_job_submit}; C{gahp-client.h}).
    """
    digits = token[1:] if token[:1] == b"-" else token
    isNumber = digits.isdigit() and len(digits) < 10
    return isNumber and not -103 <= int(token) <= -100


def _isWithoutJob(line: bytes) -> bool:
    """
    @param line: a result of a submit, its code a number.
    @return: whether it is a success that names no job.
    """
    _, code, _, job = splitTokens(line)
    return int(code) == 0 and job.upper() in _NO_IDS


class Answers:
    """
    Commands of the gridmanager, from their acceptance to their reply or result.

    @ivar site: the GAHP.
    @ivar queue: the commands that are held.
    @ivar results: what the gridmanager has to fetch.
    @ivar replies: what it is told at once, in order.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        timers: Timers,
        greeted: Callable[[], None],
        complain: Callable[[str], None],
    ) -> None:
        """
        @param greeted: called when the GAHP is ready for commands.
        @param complain: told what the operator should know.
        """
        self._greeted = greeted
        self.results = ResultQueue()
        self.replies = ReplyQueue(self.results)
        self._clock = clock
        self._timers = timers
        self.queue = CommandQueue()
        self.site = self._newSite()
        self._complain = complain
        self._first: dict[bytes, Command] = {}  # by name, what each GAHP is to be told
        self._deadlines = Deadlines(timers)
        self._paths = SandboxPaths()
        self._open: dict[bytes, Command] = {}  # requests without a result
        self._actions: dict[str, Callable[[Command, str], None]] = {
            WAIT: lambda command, sentence: None,
            REFUSE: self._refuse,
            PROMISE: lambda command, sentence: self.replies.fill(command, b"S"),
            RECALL: self._recall,
            FAIL: self._fail,
            NO_NEWS: self._tellNothing,
            AGAIN: lambda command, sentence: self.queue.holdAgain(command),
        }

    def _newSite(self) -> Site:
        return Site(self, self._greeted, self._timers, self._clock(), self.queue)

    def siteOver(self) -> None:
        """
        The GAHP is over, and another is to take its place.  What it was about is answered
        for, but what is owed goes to the next, and that gets first what is said only once.
        """
        lost, self.site = self.site, self._newSite()
        self.queue.reopen()
        for command in [*lost.requests, *self.replies.waiting()]:
            if not command.isAnswered and command.state != HELD:
                self._act(command.rule.over, command, _OVER)
        for command in self._first.values():
            if command.state != HELD and command.line:
                self.queue.holdAgain(command)
        self.linkChanged(False)

    # -- commands -----------------------------------------------------------

    def accept(self, command: Command, unfit: str) -> None:
        """
        @param command: one that is for the GAHP.
        @param unfit: why it cannot be sent, or nothing.
        """
        isRequest = command.rule.who == AT_ONCE
        problem = self._problemWith(command.requestId) if isRequest else ""
        if problem:
            self.replies.put(refusal(problem))
            return
        if isRequest:
            self.replies.put(b"S")
            self._open[command.requestId] = command
        else:
            self.replies.put(command)
        place = PATH_TOKEN.get(command.name, 0)
        if place:
            command.sandbox = b"".join(firstTokens(command.line, place + 1)[place:])
        if unfit:
            self._act(FAIL if isRequest else REFUSE, command, unfit)
        else:
            self._hold(command)

    def _hold(self, command: Command) -> None:
        self.site.queue.put(command)
        self._deadlines.add(command)
        if command.rule.queue == FIRST:
            self._first[command.name] = command
        if not self.site.isLive:
            self._act(command.rule.notLive, command, _NOT_LIVE)

    def _problemWith(self, requestId: bytes) -> str:
        if not requestId.isdigit() or len(requestId) > frontlimits.REQUEST_ID_DIGITS:
            return "a request id must be a decimal number"
        for known in (self._open, self.results, self.site.requests):
            if requestId in known:
                return "this request id is in use"
        if len(self.results) >= frontlimits.RESULTS_HELD:
            return "too many results wait to be fetched"
        return ""

    def abandon(self) -> None:
        """
        The gridmanager has gone: drop what is not sent and not owed.
        """
        for command in list(self.site.queue):
            if command.rule.who == AT_ONCE and not command.rule.isOwed:
                self._withdraw(command)
                del self._open[command.requestId]
                command.isAnswered = True

    # -- in place of the GAHP -----------------------------------------------

    def linkChanged(self, isLive: bool) -> None:
        """
        The link has become live, or is not live any more.
        """
        self.site.linkChanged(isLive, self._clock())
        if not isLive:
            for command in [*self._open.values(), *self.replies.waiting()]:
                self._act(command.rule.notLive, command, _NOT_LIVE)

    def takeBack(self, count: int) -> str:
        """
        @param count: so many of the last lines for the GAHP will not reach it.  The rules
            decide anew what becomes of their commands.
        @return: why the GAHP must be ended, or nothing.
        """
        try:
            again = self.site.takeBack(count)
        except ProtocolError as e:
            return str(e)
        for command in again:
            if not command.isAnswered:
                self.returned(command)
        return ""

    def nextDeadline(self) -> float | None:
        """
        @return: when L{tick} has something to do.
        """
        return self._deadlines.next()

    def tick(self) -> None:
        """
        Time has passed.
        """
        for command in self._deadlines.due(self._clock()):
            if command.state == HELD:
                self._act(command.rule.unsent, command, _UNSENT)
            else:
                self._act(command.rule.sent, command, _LATE)

    def _act(self, action: str, command: Command, sentence: str) -> None:
        self._actions[action](command, sentence)

    def _refuse(self, command: Command, sentence: str) -> None:
        if command.state != HELD:
            self._complain(f"no reply to {_nameOf(command)} came: {sentence}")
        self._reply(command, refusal(sentence))

    def _recall(self, command: Command, sentence: str) -> None:
        path = self._paths.get(command.sandbox)
        if path is not None:
            self._reply(command, joinTokens([b"S", path]))
        elif self._deadlines.isDue(command, self._clock()):
            self._refuse(command, sentence)

    def _reply(self, command: Command, reply: bytes) -> None:
        self._withdraw(command)
        self.replies.fill(command, reply)

    def _fail(self, command: Command, sentence: str) -> None:
        self._conclude(command, command.rule.failed(command.requestId, sentence.encode()))

    def _tellNothing(self, command: Command, sentence: str) -> None:
        self._conclude(command, [command.requestId, *NOTHING_NEW])

    def _conclude(self, command: Command, result: list[bytes]) -> None:
        self._withdraw(command)
        self._put(command, joinTokens(result))

    def _withdraw(self, command: Command) -> None:
        self.site.queue.withdraw(command)
        if command.state == HELD or command.rule.queue != FIRST:
            command.line = b""

    def _put(self, command: Command, result: bytes) -> None:
        command.isAnswered = True
        del self._open[command.requestId]
        self.results.put(command.requestId, result)

    # -- from the site ------------------------------------------------------

    def replied(self, command: Command, line: bytes, tokens: list[bytes]) -> None:
        accepted = tokens[0] == b"S"
        if command.isAnswered:
            if command.rule.unsent == PROMISE and not accepted:
                self._complain("it refused the security session; its file transfers will fail")
            return
        if command.name in PATH_TOKEN and accepted:
            if len(tokens) == 2:
                self._paths.learn(command.sandbox, tokens[1])
            else:
                # The gridmanager would die; condor_ft-gahp does not escape the path.
                self._complain(f"its reply to {_nameOf(command)} has {len(tokens)} fields")
                line = refusal(_WRONG)
        self.replies.fill(command, line)

    def forgotten(self, command: Command) -> None:
        if not command.isAnswered:
            command.isAnswered = True
            del self._open[command.requestId]

    def refused(self, command: Command, reason: bytes) -> None:
        self._conclude(command, command.rule.failed(command.requestId, reason or b"refused"))

    def returned(self, command: Command) -> None:
        if self._deadlines.isDue(command, self._clock()):
            self._act(command.rule.unsent, command, _UNSENT)

    def resultReceived(self, command: Command, line: bytes, fields: int) -> None:
        problem, sentence = "", _WRONG
        if not command.rule.fits(fields):
            problem = f"has {fields} fields, which is wrong"
        elif command.rule.hasCode and not _isCode(firstTokens(line, 2)[1]):
            problem = "has a code that is none"
        elif command.name == b"BLAH_JOB_SUBMIT" and _isWithoutJob(line):
            problem, sentence = "is a success without a job", _NO_JOB
        if problem:
            self._complain(f"its result of {_nameOf(command)} {problem}")
            self._fail(command, sentence)
            return
        if command.name in PATH_TOKEN:
            self._paths.learn(command.sandbox, splitTokens(line)[PATH_TOKEN[command.name]])
        elif command.name == b"BLAH_JOB_SUBMIT":
            self._checkSubmit(command, splitTokens(line)[3])
        self._put(command, line)

    def _checkSubmit(self, command: Command, job: bytes) -> None:
        """
        Tell of a job that the gridmanager will not hear of: it has given up.
        """
        isLate = self._clock() >= command.came + self._timers.seconds[CALL]
        if isLate and job.upper() not in _NO_IDS:
            self._complain(
                "its result of BLAH_JOB_SUBMIT came when the gridmanager had given up; the job"
                f" at the site is {job[: frontlimits.JOB_ID_BYTES].decode('utf-8', 'replace')}"
            )
