# -*- test-case-name: tests.test_trace -*-
"""
Steps that are taken one after the other up to the first that fails, and who is told of
them.

Layer 6.  L{rvgahp.tracesteps} has the steps of C{rvgahp trace}.  Nothing is printed here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rvgahp.errors import RvgahpError
from rvgahp.patience import Interrupted, Patience
from rvgahp.tracewords import REMEDIES


class Trouble(RvgahpError):
    """
    A step failed, and what to do is known.

    @ivar remedy: a sentence.
    """

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.remedy = remedy


class Skipped(RvgahpError):
    """
    A step has nothing to do.
    """


class Observer(Protocol):
    """
    Who is told of the steps as they happen.
    """

    def began(self, step: str) -> None:
        """
        A step begins.
        """

    def saw(self, step: str, name: str, value: Any) -> None:
        """
        Something was seen: a text, a number, or a list of texts.
        """

    def waits(self, step: str, what: str, limit: float) -> None:
        """
        A wait lasts; it will at the most for C{limit} seconds in all.
        """

    def ended(self, result: Result) -> None:
        """
        A step has ended, or will not be taken.
        """


class Result:
    """
    What became of a step.

    @ivar step: its name.
    @ivar state: C{"ok"}, C{"failed"} or C{"skipped"}.
    @ivar seconds: how long it took.
    @ivar facts: what was seen, by name; of what was seen several times the last.
    @ivar reason: why it failed or was skipped.
    @ivar remedy: what to do.
    """

    def __init__(self, step: str) -> None:
        self.step = step
        self.state = "ok"
        self.seconds = 0.0
        self.facts: dict[str, Any] = {}
        self.reason = self.remedy = ""


class Trace:
    """
    One run through the steps.

    @ivar patience: by which a step is to wait.
    """

    def __init__(self, wake: int, observer: Observer) -> None:
        """
        @param wake: a non-blocking descriptor that becomes readable when we are to end.
        """
        self._observer = observer
        self._result = Result("")
        self.patience = Patience(wake, self._waits)

    def run(self, steps: Mapping[str, Callable[[], object]]) -> Result | None:
        """
        @param steps: by name and in order; each may raise L{Skipped}, and to fail
            L{RvgahpError} or L{OSError}.
        @return: the one that failed, or L{None}.
        """
        failed: Result | None = None
        for step, take in steps.items():
            self._result = Result(step)
            if failed is None:
                self._take(take)
                failed = self._result if self._result.state == "failed" else None
            else:
                self._result.state = "skipped"
                self._result.reason = f"{failed.step} failed"
            self._observer.ended(self._result)
        return failed

    def saw(self, name: str, value: Any) -> None:
        """
        For a step: it has seen something.
        """
        self._result.facts[name] = value
        self._observer.saw(self._result.step, name, value)

    def _take(self, take: Callable[[], object]) -> None:
        result = self._result
        began = time.monotonic()
        self._observer.began(result.step)
        try:
            take()
        except Skipped as e:
            result.state, result.reason = "skipped", str(e)
        except (RvgahpError, OSError) as e:
            result.state, result.reason = "failed", _sentence(e)
            result.remedy = _remedy(e, result.step)
        result.seconds = time.monotonic() - began

    def _waits(self, what: str, limit: float) -> None:
        self._observer.waits(self._result.step, what, limit)


def _remedy(problem: Exception, step: str) -> str:
    if isinstance(problem, Trouble):
        return problem.remedy
    if isinstance(problem, Interrupted):
        return "Run it again, and let it wait."
    return REMEDIES.get(step, "")


def _sentence(problem: Exception) -> str:
    if isinstance(problem, OSError):
        what = f"{problem.filename}: " if problem.filename else ""
        return f"{what}{problem.strerror or problem}"
    return str(problem)
