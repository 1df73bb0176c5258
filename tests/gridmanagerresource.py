"""
The gridmanager double's resource: a site, pinged, up or down.

C{br} is HTCondor's C{src/condor_gridmanager/baseresource.cpp}, C{ir} C{infnbatchresource.cpp}.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.gridmanagerlines import OutOfStep, ResourceDown, number
from tests.gridmanagerloop import Loop, Steps
from tests.gridmanagerrequests import PENDING, TIMED_OUT, Caller, Requests

#: Jobs asked for their status each second.  GRIDMANAGER_JOB_PROBE_RATE.
POLL_RATE = 5


def codeOf(loop: Loop, answer: list[bytes]) -> int:
    """
    @return: the code of a result of the batch GAHP; 0: it is good.
    """
    code = number(answer[1])
    if not answer[1].lstrip(b"-").isdigit() or PENDING >= code >= TIMED_OUT:
        loop.trouble(OutOfStep(f"the code of a result is {answer[1]!r}"))
    return code


class Resource:
    """
    A site, as far as the gridmanager knows.

    @ivar isKnown: whether it was pinged.
    @ivar isDown: whether the last ping failed.
    @ivar reason: why.
    @ivar batchType: the name of its batch system.
    @ivar pings: how many have ended, well or not.
    @ivar observers: called after each ping; one for each job that is not done.
    """

    def __init__(
        self, loop: Loop, batch: Requests, transfers: Requests | None, batchType: bytes
    ) -> None:
        self.loop = loop
        self.batch = batch
        self.transfers = transfers
        self.isKnown = self.isDown = False
        self.reason = ""
        self.pings = 0
        self.observers: list[Callable[[], None]] = []
        self.batchType = batchType
        self._lastPing = -float("inf")
        self._caller = Caller(batch, loop.times.call, self.pingSoon)
        self.pingSoon()

    def pingSoon(self) -> None:
        """
        Ping as soon as may be, or look whether the answer is there.
        """
        self.loop.setTimer(self, 0, self._ping)

    @property
    def isStarted(self) -> bool:
        """
        Whether its GAHPs run.
        """
        return self.batch.isRunning and (self.transfers is None or self.transfers.isRunning)

    @property
    def takesProxies(self) -> bool:
        """
        Whether a renewed proxy certificate can be sent there (C{ir} C{GahpCanRefreshProxy}).
        """
        return self.transfers is None or self.transfers.lists(b"DOWNLOAD_PROXY")

    @property
    def jobPoll(self) -> float:
        """
        Seconds between two questions for one job's status.
        """
        return max(
            self.loop.times.jobPoll, len(self.observers) / POLL_RATE * self.loop.times.second
        )

    def _ping(self) -> Steps[None]:
        times = self.loop.times
        delay = self._lastPing + (times.probeInterval if self.isDown else times.probeDelay)
        if delay > self.loop.now():
            return self.loop.setTimer(self, delay - self.loop.now(), self._ping)
        reason = yield from self._probe()
        if reason is None:
            return None
        self.pings += 1
        self._lastPing = self.loop.now()
        self.isKnown, self.isDown, self.reason = True, bool(reason), reason
        if reason:
            self.loop.setTimer(self, times.probeInterval, self._ping)
            self.loop.trouble(ResourceDown(reason))
        for observer in self.observers:
            observer()
        return None

    def _probe(self) -> Steps[str | None]:
        """
        @return: why the resource is down; C{""}: it is not; C{None}: not known yet.
        """
        for dialogue in (self.batch, self.transfers):
            if dialogue is not None and not dialogue.isRunning:
                if not (yield from dialogue.start()):
                    said = b"\\n".join([*dialogue.stderr, b""]).decode("utf-8", "replace")
                    return f"could not start {dialogue.name}: {said}"
                if dialogue is self.transfers:
                    yield from dialogue.createSession()
        answer = yield from self._caller.call(b"BLAH_PING", 3, self.batchType)
        if answer == PENDING:
            return None
        if answer == TIMED_OUT:
            return "BLAH_PING timed out"
        if isinstance(answer, int) or codeOf(self.loop, answer) == 0:
            return ""
        return answer[2].decode("utf-8", "replace") or "BLAH_PING failed"
