"""
Tests of L{tests.shared}.
"""

from __future__ import annotations

from typing import Any

from tests import shared
from tests.privatereactor import ReactorTestCase


class Stoppable:
    """
    In place of a sandbox.
    """

    isStopped = False

    def stop(self) -> None:
        """
        It is asked to stop.
        """
        self.isStopped = True


class SharedTests(ReactorTestCase):
    """
    A sandbox that tests before this one have left running.
    """

    def setUp(self) -> None:
        shared.stopShared()
        left: Any = Stoppable()
        shared.current["left"] = self.left = left
        super().setUp()

    def test_stopped(self) -> None:
        """
        Tests that count our children do not find its daemons among them, whichever ran
        before.
        """
        self.assertTrue(self.left.isStopped)
        self.assertEqual(shared.current, {})
