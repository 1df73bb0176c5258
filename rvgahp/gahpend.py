# -*- test-case-name: tests.test_gahpend -*-
"""
How a GAHP's process has ended, as a CE sees it and as its proxy is told.

Layer 3.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NamedTuple

from rvgahp.phase import Phase

__all__ = [
    "CRASHED",
    "ENDED",
    "KILLED",
    "NOT_STARTED",
    "OUTCOMES",
    "GAHPEnd",
    "GAHPLife",
    "describeEnd",
    "toldEnd",
]

ENDED, CRASHED, KILLED = "ended", "crashed", "killed"

OUTCOMES = (ENDED, CRASHED, KILLED)
"""As one should; by itself, and as none should; by the CE."""

NOT_STARTED = "not_started"
"""What a CE counts beside them: one that may be started, and could not be."""

_LONGEST = 2**53 - 1
"""Milliseconds that are believed."""

_HINTS = {
    (False, 126): "a program in it may not be executed",
    (False, 127): "a program in it was not found",
    (True, signal.SIGKILL): "memory may be short at the site",
    (True, signal.SIGXCPU): "its processor time at the site was used up",
}
"""What an end often means: a shell's statuses, and signals of others."""


class GAHPEnd(NamedTuple):
    """
    One.

    @ivar signalled: whether a signal ended it.
    @ivar value: which, or its exit status.
    @ivar outcome: one of L{OUTCOMES}.
    @ivar lived: seconds for which it ran.
    """

    signalled: bool
    value: int
    outcome: str
    lived: float

    @property
    def words(self) -> str:
        """
        It, for people, with what it often means.
        """
        words = describeEnd(self.signalled, self.value)
        hint = _HINTS.get((self.signalled, self.value)) if self.outcome == CRASHED else None
        return f"{words} ({hint})" if hint else words

    def told(self) -> dict[str, Any]:
        """
        @return: it, as fields of L{rvgahp.commands.SessionEnded}.
        """
        how = "signal" if self.signalled else "status"
        return {"outcome": self.outcome, how: self.value, "lived": int(self.lived * 1000)}


def toldEnd(
    outcome: str | None, status: int | None, signal: int | None, lived: int | None
) -> GAHPEnd | None:
    """
    @param outcome: these are fields of L{rvgahp.commands.SessionEnded}.
    @return: what they say; L{None} if that is nothing, or makes no sense.
    """
    value = status if signal is None else signal
    if outcome not in OUTCOMES or value is None or not 0 <= value <= 255:
        return None
    milliseconds = min(max(0, lived or 0), _LONGEST)
    return GAHPEnd(signal is not None, value, outcome, milliseconds / 1000)


class GAHPLife:
    """
    What a CE knows of the life of one GAHP's process.

    @ivar isLaunched: whether its program was executed.
    @ivar exit: whether a signal ended it, and which, or its exit status; L{None} before.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        """
        @param seconds: the reactor's clock.
        """
        self._seconds = seconds
        self._began = self._lived = 0.0
        self._isOurs = self._hadInput = False
        self.isLaunched = False
        self.exit: tuple[bool, int] | None = None

    def launched(self) -> None:
        """
        Its program is executed.
        """
        self.isLaunched = True
        self._began = self._seconds()

    def exited(self, signalled: bool, value: int, why: str, phase: Phase, inputOver: bool) -> str:
        """
        It has ended.

        @param why: what is known of the reason; empty if nothing is.
        @param phase: of its session until now.
        @param inputOver: whether nothing more can come for its stdin.
        @return: how, for people.
        """
        self.exit = signalled, value
        self._lived = self._seconds() - self._began
        self._isOurs = phase is Phase.ENDING or bool(why)
        self._hadInput = not inputOver
        return describeEnd(signalled, value, why)

    def end(self, wasOfUse: bool) -> GAHPEnd | None:
        """
        @param wasOfUse: whether it has said something, and was told something.
        @return: how it ended; L{None} if it has not, or there was no program.
        """
        if self.exit is None or not self.isLaunched:
            return None
        return GAHPEnd(*self.exit, self._outcome(*self.exit, wasOfUse), self._lived)

    def _outcome(self, signalled: bool, value: int, wasOfUse: bool) -> str:
        """
        With its input over any exit status is in order: HTCondor's own GAHPs have 1 then.
        """
        if self._isOurs:
            return KILLED
        isWrong = signalled or (self._hadInput and (value or not wasOfUse))
        return CRASHED if isWrong else ENDED


def describeEnd(signalled: bool, value: int, why: str = "") -> str:
    """
    @param why: what is known of the reason.
    @return: how it ended, for people.
    """
    if not signalled:
        return f"exited with status {value}"
    try:
        words = f"was ended by {signal.Signals(value).name}"
    except ValueError:
        words = f"was ended by signal {value}"
    return f"{words}: {why}" if why else words
