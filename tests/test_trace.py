"""
Tests of L{rvgahp.trace}: steps that do nothing but succeed, fail and wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import patience
from rvgahp.errors import StartFailed
from rvgahp.trace import Result, Skipped, Trace, Trouble
from rvgahp.tracewords import REMEDIES


class Witness:
    """
    Notes what happens.

    @ivar events: what a person would see, in order.
    @ivar results: the steps' results, by step.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.results: dict[str, Result] = {}

    def began(self, step: str) -> None:
        self.events.append(("began", step))

    def saw(self, step: str, name: str, value: Any) -> None:
        self.events.append(("saw", step, name, value))

    def waits(self, step: str, what: str, limit: float) -> None:
        self.events.append(("waits", step, what, limit))

    def ended(self, result: Result) -> None:
        self.events.append((result.state, result.step))
        self.results[result.step] = result


class TraceTests(SynchronousTestCase):
    """
    Going through steps.
    """

    def setUp(self) -> None:
        wake, self.waker = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, wake)
        self.addCleanup(os.close, self.waker)
        self.witness = Witness()
        self.trace = Trace(wake, self.witness)

    def run_(self, **steps: Callable[[], object]) -> Result | None:
        """
        Run through steps.
        """
        return self.trace.run(steps)

    def raises(self, problem: Exception) -> Callable[[], object]:
        """
        @return: a step that fails so.
        """

        def step() -> None:
            raise problem

        return step

    def test_good(self) -> None:
        """
        All is told as it happens; what was seen twice is there as it was last.
        """

        def second() -> None:
            self.trace.saw("state", "idle")
            self.trace.saw("state", "done")

        self.assertIsNone(self.run_(first=lambda: self.trace.saw("pid", 7), second=second))
        self.assertEqual(
            self.witness.events,
            [
                ("began", "first"),
                ("saw", "first", "pid", 7),
                ("ok", "first"),
                ("began", "second"),
                ("saw", "second", "state", "idle"),
                ("saw", "second", "state", "done"),
                ("ok", "second"),
            ],
        )
        self.assertEqual(self.witness.results["second"].facts, {"state": "done"})

    def test_failed(self) -> None:
        """
        After the first that fails no other is taken; each of them is told as skipped.
        """
        failed = self.run_(first=self.raises(StartFailed("no")), second=self.fail, third=self.fail)
        assert failed is not None
        self.assertEqual((failed.step, failed.reason), ("first", "no"))
        self.assertEqual(
            self.witness.events,
            [("began", "first"), ("failed", "first"), ("skipped", "second"), ("skipped", "third")],
        )
        self.assertEqual(self.witness.results["third"].reason, "first failed")

    def test_skipped(self) -> None:
        """
        A step with nothing to do says why, and is no failure.
        """
        self.assertIsNone(self.run_(first=self.raises(Skipped("why")), second=lambda: None))
        result = self.witness.results["first"]
        self.assertEqual((result.state, result.reason, result.remedy), ("skipped", "why", ""))
        self.assertEqual(self.witness.results["second"].state, "ok")

    def test_remedies(self) -> None:
        """
        A failure's own remedy goes before that of its step.
        """
        for problem, reason, remedy in (
            (StartFailed("bad"), "bad", REMEDIES["ping"]),
            (Trouble("bad", "do this"), "bad", "do this"),
            (FileNotFoundError(2, "No such file", "/a"), "/a: No such file", REMEDIES["ping"]),
            (OSError("odd"), "odd", REMEDIES["ping"]),
        ):
            failed = self.run_(ping=self.raises(problem))
            assert failed is not None
            self.assertEqual((failed.reason, failed.remedy), (reason, remedy))

    def test_waits(self) -> None:
        """
        A wait that lasts is told with its step.
        """
        self.patch(patience, "QUIET", 0.0)
        self.run_(first=lambda: self.trace.patience.wait("rain", 9).pause(0.001))
        self.assertIn(("waits", "first", "rain", 9), self.witness.events)

    def test_interrupted(self) -> None:
        """
        A step that we end ourselves has failed, and its remedy is no advice on the site.
        """
        os.write(self.waker, b"!")
        failed = self.run_(ping=lambda: self.trace.patience.wait("rain", 9).pause(9))
        assert failed is not None
        self.assertEqual(failed.reason, "told to end while waiting for rain")
        self.assertNotEqual(failed.remedy, REMEDIES["ping"])

    def test_bug(self) -> None:
        """
        A bug is no result of a step.
        """
        self.assertRaises(ZeroDivisionError, self.run_, first=lambda: 1 // 0)
