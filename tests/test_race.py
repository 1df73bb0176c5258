"""
Tests of L{rvgahp.race}, without sockets and with a clock of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.race import Race


class Runner:
    """
    An attempt under way.
    """

    def __init__(self, connected: Callable[[Any], object], failed: Callable[[str], object]) -> None:
        self.connected = connected
        self.failed = failed
        self.isClosed = False

    def close(self) -> None:
        self.isClosed = True


class RaceTests(SynchronousTestCase):
    """
    Who is begun when, and what comes of it.
    """

    def setUp(self) -> None:
        """
        Begin a race that nobody runs yet.
        """
        self.clock = Clock()
        self.runners: dict[str, Runner] = {}
        self.results: list[Any] = []
        self.asked = 0
        self.race = Race(
            cast("Any", self.clock),
            self._begin,
            0.25,
            lambda name, connection: self.results.append((name, connection)),
            lambda: self.results.append("all failed"),
        )

    def _begin(self, candidate: Any, connected: Any, failed: Any) -> Runner:
        if candidate == "impossible":
            raise OSError(97, "no such family")
        self.runners[candidate] = Runner(connected, failed)
        return self.runners[candidate]

    def _more(self) -> None:
        self.asked += 1

    def start(self, *names: str) -> None:
        """
        Let these begin, and no others come.
        """
        self.race.start(names, lambda: self.race.end(()))

    def test_first(self) -> None:
        """
        The first that answers in time is alone, and nobody is asked for others.
        """
        self.race.start(["a"], self._more)
        self.runners["a"].connected(1)
        self.assertEqual((self.results, self.asked), ([("a", 1)], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_staggered(self) -> None:
        """
        Each is begun a moment after the one before; when one is connected the others are given
        up, and none is begun.
        """
        self.start("a", "b", "c", "d")
        self.assertEqual(list(self.runners), ["a"])
        self.clock.advance(0.24)
        self.assertEqual(list(self.runners), ["a"])
        self.clock.advance(0.01)
        self.assertEqual(list(self.runners), ["a", "b"])
        self.clock.advance(0.25)
        self.runners["b"].connected(1)
        self.assertEqual(self.results, [("b", 1)])
        closed = {name: one.isClosed for name, one in self.runners.items()}
        self.assertEqual(closed, {"a": True, "b": False, "c": True})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failures(self) -> None:
        """
        After a failure the next is begun at once, also where one cannot even be begun; when all
        have failed that is told once, with each reason.
        """
        self.start("a", "impossible", "b")
        self.runners["a"].failed("refused")
        self.assertEqual(list(self.runners), ["a", "b"])
        self.clock.advance(10)
        self.assertEqual(self.results, [])
        self.runners["b"].failed("late")
        self.assertEqual(self.results, ["all failed"])
        problems = {"a": "refused", "impossible": "no such family", "b": "late"}
        self.assertEqual(self.race.problems, problems)

    def test_more(self) -> None:
        """
        Others are asked for once, when those that are known have failed or are slow; who has
        begun does not begin again.
        """
        self.race.start(["a"], self._more)
        self.clock.advance(0.25)
        self.assertEqual(self.asked, 1)
        self.runners["a"].failed("refused")
        self.assertEqual((self.results, self.asked), ([], 1))
        self.race.end(["a", "b"])
        self.assertEqual(list(self.runners), ["a", "b"])
        self.runners["b"].connected(2)
        self.assertEqual(self.results, [("b", 2)])

    def test_nobody(self) -> None:
        """
        Where there is nobody, all have failed.
        """
        self.start()
        self.assertEqual(self.results, ["all failed"])

    def test_closed(self) -> None:
        """
        When it is given up, so are all; who comes late is not begun.
        """
        self.race.start(["a"], self._more)
        self.race.close()
        self.race.end(["b"])
        self.assertTrue(self.runners["a"].isClosed)
        self.assertEqual((list(self.runners), self.results), (["a"], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
