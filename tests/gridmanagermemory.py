"""
The gridmanager double and its GAHPs in memory: no process, no time that passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tests.gridmanagerbrain import Brain
from tests.gridmanagerdialogue import Dialogue, Wire

#: Seconds that one round takes, so that one who goes round for ever does so in time.
ROUND = 0.001


class PureGAHP(Protocol):
    """
    A GAHP without a process, or the front of rvgahp_client with all behind it.

    @ivar status: its exit status, as L{subprocess} has it; C{None} while it lives.
    """

    status: int | None

    def received(self, data: bytes) -> None:
        """
        Take bytes of its stdin.
        """

    def inputEnded(self) -> None:
        """
        Its stdin has ended.
        """

    def elapse(self, now: float) -> None:
        """
        Do what is due.
        """

    def deadline(self) -> float | None:
        """
        @return: when something will be due.
        """

    def take(self) -> bytes:
        """
        @return: what it has written to stdout since the last time.
        """

    def takeErrors(self) -> bytes:
        """
        @return: likewise for stderr.
        """


class MemoryWire:
    """
    A start of a pure GAHP.
    """

    def __init__(self, pid: int, gahp: PureGAHP) -> None:
        self.pid = pid
        self.gahp = gahp
        self.isOpen = True

    def write(self, data: bytes) -> None:
        """
        Give it bytes.
        """
        if self.gahp.status is None:
            self.gahp.received(data)

    def close(self) -> None:
        """
        End its stdin; its output goes nowhere.
        """
        if self.isOpen:
            self.isOpen = False
            self.gahp.inputEnded()


class Memory:
    """
    A gridmanager and its GAHPs in memory, with a clock that leaps.

    @ivar brain: the gridmanager.
    @ivar time: the clock.
    @ivar wires: all starts of GAHPs.
    @ivar make: makes the GAHP of that name.
    """

    def __init__(self, make: Callable[[str], PureGAHP], **brain: Any) -> None:
        """
        @param make: makes the GAHP of that name.
        @param brain: further arguments of L{Brain}.
        """
        self.time = 1000.0
        self.wires: list[MemoryWire] = []
        self.make = make
        self._dialogues: list[Dialogue] = []
        self.brain = Brain(self._launch, lambda: self.time, **brain)

    def run(self, until: Callable[[], bool], seconds: float = 1e6) -> None:
        """
        Let all go on.

        @raise AssertionError: it has not come about after so many seconds of the clock.
        """
        end = self.time + seconds
        while not until():
            self.brain.wake()
            self.time += ROUND
            if not self._pump() and not until():
                times = [wire.gahp.deadline() for wire in self.wires if wire.gahp.status is None]
                due = [time for time in (*times, self.brain.deadline) if time is not None]
                self.time = max(self.time, min(due, default=end))
            if self.time >= end and not until():
                raise AssertionError(f"it has not come about in {seconds:g} s")

    def close(self) -> None:
        """
        End all dialogues.
        """
        for wire in self.wires:
            wire.close()

    def _launch(self, dialogue: Dialogue) -> Wire:
        wire = MemoryWire(len(self.wires) + 1, self.make(dialogue.name))
        self.wires.append(wire)
        self._dialogues.append(dialogue)
        return wire

    def _pump(self) -> bool:
        """
        @return: whether anything came.
        """
        came = False
        for dialogue, wire in zip(self._dialogues, self.wires, strict=True):
            if not wire.isOpen or dialogue.wire is not wire:
                continue
            wire.gahp.elapse(self.time)
            dialogue.receivedError(errors := wire.gahp.takeErrors())
            dialogue.received(output := wire.gahp.take())
            came = came or bool(errors or output)
            if wire.gahp.status is not None:
                wire.isOpen, came = False, True
                dialogue.ended()
                dialogue.exited(wire, wire.gahp.status)
        return came
