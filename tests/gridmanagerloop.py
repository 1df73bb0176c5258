"""
The gridmanager double's one thread, its timers, its troubles.

A gridmanager has a single thread, which stands still while it waits for a line.  So what may
wait is a generator here: it yields where the real one blocks.  Pure, a clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Protocol, TypeVar

from tests.gridmanagerlines import GridmanagerError, Times

T = TypeVar("T")

#: Something that may wait.
Steps = Generator[None, None, T]


class Waiting(Protocol):
    """
    What the thread waits for, or is woken by: a dialogue.
    """

    def reap(self) -> None:
        """
        Look whether the GAHP has exited.
        """

    def pipeReady(self) -> bool:
        """
        @return: whether there is something to do since bytes, or the end, came unasked.
        """


class Loop:
    """
    The thread, its timers, its troubles.

    @ivar now: the clock, in seconds.
    @ivar times: the L{Times}.
    @ivar troubles: the tolerated ones, in their order.
    @ivar dialogues: all of them.
    @ivar reading: the dialogue of which a line is waited for; only its GAHP is read then.
    """

    def __init__(
        self,
        now: Callable[[], float],
        times: Times,
        tolerate: tuple[type[GridmanagerError], ...],
    ) -> None:
        self.now = now
        self.times = times
        self.troubles: list[GridmanagerError] = []
        self.reading: Waiting | None = None
        self._tolerate = tolerate
        self._until = 0.0
        self._timers: dict[Hashable, tuple[float, Callable[[], Steps[None]]]] = {}
        self.dialogues: list[Waiting] = []
        self._thread = self._run()
        self._dead: GridmanagerError | None = None

    def trouble(self, error: GridmanagerError) -> None:
        """
        Note what the real one survives.

        @raise GridmanagerError: it is not tolerated.
        """
        if not isinstance(error, self._tolerate):
            raise error
        self.troubles.append(error)

    def setTimer(self, key: Hashable, delay: float, work: Callable[[], Steps[None]]) -> None:
        """
        @param key: whose it is; an earlier one of the same key is replaced.
        """
        self._timers[key] = (self.now() + delay, work)

    def cancelTimer(self, key: Hashable) -> None:
        """
        Forget it, if there is one.
        """
        self._timers.pop(key, None)

    @property
    def deadline(self) -> float | None:
        """
        When something is due at the latest; C{None}: never.
        """
        if self.reading is not None:
            return self._until
        return min((when for when, _ in self._timers.values()), default=None)

    def wake(self) -> None:
        """
        Do all that can be done now.

        @raise GridmanagerError: what the real one would not do well after.
        """
        if self._dead is not None:
            raise self._dead
        try:
            next(self._thread)
        except GridmanagerError as error:
            self._dead = error
            raise

    def waitFor(self, dialogue: Waiting, until: float) -> Steps[None]:
        """
        Stand still until something of this GAHP comes.
        """
        self.reading, self._until = dialogue, until
        yield
        self.reading = None

    def _run(self) -> Steps[None]:
        while True:
            for dialogue in self.dialogues:
                dialogue.reap()
            due = min(self._timers.items(), key=lambda item: item[1][0], default=None)
            if due is not None and due[1][0] <= self.now():
                del self._timers[due[0]]
                yield from due[1][1]()
            elif not any(dialogue.pipeReady() for dialogue in self.dialogues):
                yield
