"""
Tests of L{rvgahp.tracecli}: what is printed; L{tests.test_whole_trace} has the program.
"""

from __future__ import annotations

import io
import json
import os

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.trace import Result
from rvgahp.tracecli import Lines, Plain
from tests.test_screen import Terminal


def results() -> list[Result]:
    """
    @return: one that is good, one that failed, one that was not taken.
    """
    good, failed, skipped = (Result(step) for step in ("proxy", "site", "job"))
    good.facts = {"gahps": ["a", "b"]}
    failed.state, failed.reason, failed.remedy = "failed", "not\nthere", "Start it."
    skipped.state, skipped.reason = "skipped", "site failed"
    return [good, failed, skipped]


def show(observer: Plain | Lines) -> None:
    """
    Have a trace shown.
    """
    good, failed, skipped = results()
    observer.began("proxy")
    observer.saw("proxy", "gahps", ["a", "b\033[2J"])
    observer.saw("proxy", "pid", 7)
    observer.ended(good)
    observer.began("site")
    observer.waits("site", "rain", 30)
    observer.ended(failed)
    observer.ended(skipped)
    observer.summary(failed, 1.25)


class PlainTests(SynchronousTestCase):
    """
    For people.
    """

    def test_plain(self) -> None:
        """
        Each thing is a line; what others say cannot be more than that.
        """
        output = io.StringIO()
        show(Plain(output))
        self.assertEqual(
            output.getvalue().splitlines(),
            [
                "proxy",
                "  gahps      a b [2J",
                "  pid        7",
                "  ok         0.00 s",
                "site",
                "  ...        waiting for rain, 30 s at the most",
                "  FAILED     not there",
                "  remedy     Start it.",
                "Step site failed after 1.2 s.",
            ],
        )

    def test_skipped(self) -> None:
        """
        A step that was begun and has nothing to do says so.
        """
        output = io.StringIO()
        plain = Plain(output)
        plain.began("job")
        plain.ended(results()[2])
        plain.summary(None, 2)
        self.assertEqual(
            output.getvalue(), "job\n  skipped    site failed\nNo step failed; it took 2.0 s.\n"
        )

    def test_coloured(self) -> None:
        """
        Coloured on a terminal, the columns in their places.
        """
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.patch(os, "environ", clean)
        output = Terminal()
        show(Plain(output))
        self.assertIn("\n  \033[1;31mFAILED    \033[0m not there\n", output.getvalue())
        self.assertTrue(output.getvalue().startswith("\033[1mproxy\033[0m\n"))


class LinesTests(SynchronousTestCase):
    """
    For machines.
    """

    def test_lines(self) -> None:
        """
        Each line is an object as --help has it.
        """
        output = io.StringIO()
        show(Lines(output))
        self.assertEqual(
            [json.loads(line) for line in output.getvalue().splitlines()],
            [
                {"step": "proxy", "state": "running"},
                {"step": "proxy", "state": "running", "fact": "gahps", "value": ["a", "b\033[2J"]},
                {"step": "proxy", "state": "running", "fact": "pid", "value": 7},
                {"step": "proxy", "state": "ok", "seconds": 0, "facts": {"gahps": ["a", "b"]}},
                {"step": "site", "state": "running"},
                {"step": "site", "state": "running", "waitingFor": "rain", "limit": 30},
                {
                    "step": "site",
                    "state": "failed",
                    "seconds": 0,
                    "facts": {},
                    "reason": "not\nthere",
                    "remedy": "Start it.",
                },
                {
                    "step": "job",
                    "state": "skipped",
                    "seconds": 0,
                    "facts": {},
                    "reason": "site failed",
                },
                {"result": "failed", "failed": "site", "seconds": 1.25},
            ],
        )

    def test_good(self) -> None:
        """
        The last line of a good trace.
        """
        output = io.StringIO()
        Lines(output).summary(None, 1)
        self.assertEqual(
            json.loads(output.getvalue()), {"result": "ok", "failed": None, "seconds": 1}
        )
