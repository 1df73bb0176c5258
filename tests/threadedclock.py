"""
A clock for tests that has threads.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool

from tests.procfs import waitFor


class ThreadedClock(Clock):
    """
    A clock with threads; what they call is called when the test says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPool(0, 2)
        self.pool.start()
        self.fromThreads: list[tuple[object, ...]] = []

    def getThreadPool(self) -> ThreadPool:
        return self.pool

    def callFromThread(self, *call: object) -> None:
        self.fromThreads.append(call)

    def settle(self, count: int) -> None:
        """
        Wait for so many calls from threads, and make them.
        """
        waitFor(lambda: len(self.fromThreads) >= count, "calls from threads")
        calls, self.fromThreads = self.fromThreads, []
        for function, *arguments in calls:
            assert callable(function)
            function(*arguments)
