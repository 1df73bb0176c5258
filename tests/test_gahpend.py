"""
Tests of L{rvgahp.gahpend}, and of what of it goes over the control connection, to older
peers and from them.
"""

from __future__ import annotations

import signal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.protocols.amp import Command, Integer, Unicode
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands
from rvgahp.gahpend import CRASHED, ENDED, KILLED, GAHPEnd, GAHPLife, describeEnd, toldEnd
from rvgahp.phase import Phase

UNTOLD = {"outcome": None, "status": None, "signal": None, "lived": None}


class OldSessionEnded(Command):
    """
    As peers have it that are older than how a GAHP ended.
    """

    commandName = b"SessionEnded"
    arguments = [
        (b"session", Unicode()),
        (b"reason", commands.Words()),
        (b"received", Integer()),
        (b"sent", Integer()),
    ]


class LifeTests(SynchronousTestCase):
    """
    What a CE sees.
    """

    def end(self, signalled: bool, value: int, **changes: Any) -> GAHPEnd | None:
        """
        @return: how a GAHP ended that had said and heard something, and whose input was open.
        """
        how = {"phase": Phase.RUNNING, "inputOver": False, "why": "", **changes}
        wasOfUse = how.pop("wasOfUse", True)
        clock = Clock()
        life = GAHPLife(clock.seconds)
        clock.advance(5)
        life.launched()
        clock.advance(1.5)
        life.exited(signalled, value, **how)
        clock.advance(5)
        end = life.end(wasOfUse)
        assert end is not None
        self.assertEqual(end.lived, 1.5)
        return end

    def test_outcome(self) -> None:
        """
        By itself, with its input open, only status 0 is in order, and not if it was of no use;
        with its input over any status is; a signal is none; what the CE does is its own.
        """
        for outcome, how, changes in (
            (ENDED, (False, 0), {}),
            (CRASHED, (False, 0), {"wasOfUse": False}),
            (CRASHED, (False, 1), {}),
            (CRASHED, (True, 11), {}),
            (ENDED, (False, 1), {"inputOver": True}),
            (ENDED, (False, 0), {"inputOver": True, "wasOfUse": False}),
            (CRASHED, (True, 11), {"inputOver": True}),
            (KILLED, (True, 15), {"phase": Phase.ENDING}),
            (KILLED, (False, 0), {"phase": Phase.ENDING}),
            (KILLED, (True, 9), {"why": "the launcher is gone"}),
        ):
            end = self.end(*how, **changes)
            assert end is not None
            self.assertEqual((end[:2], end.outcome), (how, outcome), changes)

    def test_none(self) -> None:
        """
        One that lives has no end, nor has a program that was never executed.
        """
        life = GAHPLife(Clock().seconds)
        self.assertIsNone(life.end(True))
        life.exited(False, 1, "", Phase.STARTING, False)
        self.assertIsNone(life.end(True))
        life = GAHPLife(Clock().seconds)
        life.launched()
        self.assertIsNone(life.end(True))


class WordsTests(SynchronousTestCase):
    """
    Ends in words.
    """

    def test_words(self) -> None:
        """
        Signals have their names where they have one.
        """
        self.assertEqual(describeEnd(False, 3), "exited with status 3")
        self.assertEqual(describeEnd(True, 9), "was ended by SIGKILL")
        self.assertEqual(describeEnd(True, 42), "was ended by signal 42")
        self.assertEqual(describeEnd(True, 9, "so"), "was ended by SIGKILL: so")

    def test_hint(self) -> None:
        """
        What an end often means stands after it, unless the CE has ended the GAHP.
        """
        self.assertEqual(
            GAHPEnd(False, 127, CRASHED, 1).words,
            "exited with status 127 (a program in it was not found)",
        )
        killed = GAHPEnd(True, signal.SIGKILL, KILLED, 1)
        self.assertEqual(killed.words, "was ended by SIGKILL")
        self.assertIn("memory", killed._replace(outcome=CRASHED).words)


class ToldTests(SynchronousTestCase):
    """
    What goes over the wire.
    """

    def box(self, command: type[Command], **arguments: Any) -> Any:
        """
        @return: what a caller with this vocabulary sends.
        """
        whole = {"session": "s", "reason": "", "received": 1, "sent": 2, **arguments}
        return command.makeArguments(whole, None)

    def test_there(self) -> None:
        """
        What is told is what is understood.
        """
        for end in (GAHPEnd(False, 0, ENDED, 2.5), GAHPEnd(True, 11, CRASHED, 0.125)):
            box = self.box(commands.SessionEnded, **end.told())
            heard = commands.SessionEnded.parseArguments(box, None)
            self.assertEqual(toldEnd(**{name: heard[name] for name in UNTOLD}), end)

    def test_olderProxy(self) -> None:
        """
        An older proxy reads what it knows.
        """
        box = self.box(commands.SessionEnded, **GAHPEnd(False, 127, CRASHED, 1).told())
        heard = OldSessionEnded.parseArguments(box, None)
        self.assertEqual(heard, {"session": "s", "reason": "", "received": 1, "sent": 2})

    def test_olderCE(self) -> None:
        """
        An older CE tells nothing, and nothing is made of it.
        """
        heard = commands.SessionEnded.parseArguments(self.box(OldSessionEnded), None)
        told = {name: heard[name] for name in UNTOLD}
        self.assertEqual(told, UNTOLD)
        self.assertIsNone(toldEnd(**told))

    @given(
        st.sampled_from([None, "", ENDED, CRASHED, KILLED, "else"]),
        *[st.none() | st.integers(-1, 300) | st.integers()] * 3,
    )
    def test_senseless(
        self, outcome: str | None, status: int | None, number: int | None, lived: int | None
    ) -> None:
        """
        Whatever a CE says, it is an end that there can be, or none.
        """
        end = toldEnd(outcome, status, number, lived)
        if end is not None:
            self.assertIn(end.outcome, (ENDED, CRASHED, KILLED))
            self.assertIn(end.value, range(256))
            self.assertTrue(0 <= end.lived < 2**53)
            self.assertTrue(end.words.isprintable())
