"""
Mutants of the front: the gridmanager double, and what is looked at around it, must not bear
them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontanswers, frontlimits
from rvgahp.front import Front
from rvgahp.frontanswers import Answers
from rvgahp.frontqueue import HELD, CommandQueue
from rvgahp.frontreplies import Deadlines, ReplyQueue
from rvgahp.frontresults import ResultQueue
from rvgahp.frontrules import AGAIN, ORDER, RULES, Rule
from rvgahp.frontsite import Site
from tests.gridmanagerlife import Life
from tests.gridmanagerlines import GridmanagerDied, GridmanagerHung, OutOfStep

#: Lives in which a mutant must have been found.
LIVES = 300


def _restart(front: Any, status: int | None, sentence: str) -> None:
    front._readyBy = float("inf")
    front._answers.siteOver()
    front._output.siteOver(sentence)


def _acceptSilently(replies: Any, reply: Any) -> None:
    if reply != b"S":
        _put(replies, reply)


def _keep(results: Any) -> bytes:
    lines = [line for _, line in results._lines]
    return b"\r\n".join([b"S %d" % len(lines), *lines, b""])


def _forgetHeld(queue: Any) -> None:
    for command in list(queue):
        if command.requestId:
            queue.withdraw(command)


def _forgetSent(answers: Any) -> None:
    answers.site = answers._newSite()
    answers.linkChanged(False)


def _answerAgain(answers: Any, command: Any, result: bytes) -> None:
    answers.results.put(command.requestId, result)


def _holdLast(queue: Any, command: Any) -> None:
    command.state = HELD
    queue._kinds[ORDER][command.number] = command
    queue.held += command.cost


def _forgetSession(answers: Any) -> None:
    answers._first.clear()
    _siteOver(answers)


def _outOfTurn(site: Any, line: bytes, now: float) -> None:
    """
    What stands where nothing is due goes to the gridmanager.
    """
    if site._expected or site._left or not line or line[:1] == b"R":
        _lineReceived(site, line, now)
    else:
        site._user.replies._queue.append(line)


def _miscount(results: Any) -> bytes:
    return _answer(results).replace(b"S 1\r\n", b"S 2\r\n")


_put = ReplyQueue.put
_answer = ResultQueue.answer
_siteOver = Answers.siteOver
_lineReceived = Site._lineReceived

Kind: TypeAlias = type[Exception] | tuple[type[Exception], ...]

#: What is put in whose place, and what becomes of the gridmanager: its end by kind and
#: reason, or what else is seen to be wrong.
MUTANTS: dict[str, tuple[object, str, object, Kind, str]] = {
    "the GAHP's end is the client's": (
        Front,
        "_siteOver",
        Front._finish,
        (GridmanagerDied, AssertionError),
        "exited with status|ended after the banner",
    ),
    "one that never was ready is started again": (
        Front,
        "_siteOver",
        _restart,
        GridmanagerHung,
        "no banner within",
    ),
    "no acknowledgements": (
        ReplyQueue,
        "put",
        _acceptSilently,
        GridmanagerDied,
        "no line for 20 s after",
    ),
    "nobody answers for the GAHP": (
        Deadlines,
        "due",
        lambda deadlines, now: [],
        GridmanagerDied,
        "no line for 20 s after",
    ),
    "any number of fields": (
        Rule,
        "fits",
        lambda rule, fields: True,
        (GridmanagerDied, IndexError, ValueError),
        "not . fields|list index|to unpack",
    ),
    "any code": (
        frontanswers,
        "_isCode",
        lambda token: True,
        OutOfStep,
        "the code of a result is",
    ),
    "tokens of any length": (frontlimits, "TOKEN_BYTES", 1 << 30, GridmanagerDied, "a token of"),
    "lines out of turn": (
        Site,
        "_lineReceived",
        _outOfTurn,
        Exception,
        "said unasked|RESULTS answered with|bad .* request|result of nothing",
    ),
    "results are kept": (ResultQueue, "answer", _keep, OutOfStep, "the result of nothing"),
    "results are miscounted": (
        ResultQueue,
        "answer",
        _miscount,
        GridmanagerDied,
        "no line for 20 s after RESULTS",
    ),
    "a longer notice": (
        ResultQueue,
        "notice",
        lambda results: b"Results are there\r\n" if results._lines else b"",
        Exception,
        "said unasked|RESULTS answered with|bad .* request",
    ),
    "nothing escaped": (
        frontanswers,
        "joinTokens",
        b" ".join,
        GridmanagerDied,
        "not . fields",
    ),
    "no news of four fields": (
        frontanswers,
        "NOTHING_NEW",
        (b"0", b"No error", b"0"),
        GridmanagerDied,
        "not 5 fields",
    ),
    "a second answer": (
        Answers,
        "_put",
        _answerAgain,
        (OutOfStep, AssertionError),
        "the result of nothing|, 2\\)",
    ),
    "a GAHP that says nothing stays": (
        Site,
        "_owesLine",
        lambda site: False,
        AssertionError,
        "silent for ever",
    ),
    "what was sent is forgotten": (
        Answers,
        "siteOver",
        _forgetSent,
        AssertionError,
        "no result: |the (version|security session): ",
    ),
    "what was held is forgotten": (
        CommandQueue,
        "reopen",
        _forgetHeld,
        AssertionError,
        "no result: ",
    ),
    "transfers are repeated": (
        RULES[b"UPLOAD_SANDBOX"],
        "over",
        AGAIN,
        AssertionError,
        "repeated: b'UPLOAD_SANDBOX",
    ),
    "the security session is not repeated": (
        Answers,
        "siteOver",
        _forgetSession,
        AssertionError,
        "the security session: ",
    ),
    "the security session comes last": (
        CommandQueue,
        "holdAgain",
        _holdLast,
        AssertionError,
        "the (version|security session): ",
    ),
}


class MutantTests(SynchronousTestCase):
    """
    The front, changed in one place each.
    """

    def trouble(self, lives: int) -> Exception | None:
        """
        @return: the first that a gridmanager has, in any of its lives.
        """
        for seed in range(lives):
            try:
                Life(seed).live()
            except Exception as error:
                return error
        return None

    def test_none(self) -> None:
        """
        The front as it is has no trouble in these lives.
        """
        self.assertIsNone(self.trouble(LIVES // 3))

    def test_mutants(self) -> None:
        """
        A front that is changed in any of these ways is found out.
        """
        for name, (where, attribute, value, kind, reason) in MUTANTS.items():
            patcher = MonkeyPatcher((where, attribute, value))
            patcher.patch()
            try:
                error = self.trouble(LIVES)
            finally:
                patcher.restore()
            self.assertIsInstance(error, kind, f"{name}: {error!r}")
            self.assertRegex(str(error), reason, name)
