"""
A job as the gridmanager double's queue has it, what its owner does with it, and how it asks
the GAHPs.

C{ij} is HTCondor's C{src/condor_gridmanager/infnbatchjob.cpp}, C{bj} C{basejob.cpp}.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.gridmanagerlines import JobHeld, isNull
from tests.gridmanagerloop import Steps
from tests.gridmanagerrequests import NOT_SUBMITTED, NOT_SUPPORTED, PENDING, TIMED_OUT, Caller
from tests.gridmanagerresource import Resource, codeOf

#: A job's states, in the queue and at the site (C{src/blahp/src/job_status.h}).
IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5

#: And what else it may be at the site, as C{ij} has it.
UNKNOWN, UNSUBMITTED = -1, 0


class QueuedJob:
    """
    A job, from its arrival in the gridmanager to its end in the queue.

    @ivar state: where it is in C{ij}'s machine.
    @ivar status: its state in the queue.
    @ivar remote: its state at the site.
    @ivar isDone: whether the gridmanager has nothing more to do with it.
    @ivar holdReason: the last one.
    @ivar sandboxId: together with C{jobId} what the queue remembers of it (GridJobId).
    @ivar ad: the last status ad.
    @ivar states: all C{state}s, in their order.
    """

    def __init__(
        self,
        resource: Resource,
        name: str,
        submitAd: Callable[[bytes], bytes],
        transferAd: Callable[[int], bytes],
        gridJobId: tuple[bytes, bytes],
    ) -> None:
        """
        @param submitAd: makes the ad for BLAH_JOB_SUBMIT, given the sandbox's path, empty
            where there is no transfer GAHP.
        @param transferAd: makes the ad for transfers, given the tunnel's port or 0.
        @param gridJobId: see C{sandboxId}; empty for a new job.
        """
        self.name = name
        self.status = IDLE
        self.holdReason = ""
        self.sandboxId, self.jobId = gridJobId
        self.ad = b""
        self.states: list[str] = []
        self._resource = resource
        self._loop = resource.loop
        self._submitAd = submitAd
        self._transferAd = transferAd
        self._removedOnRelease = False
        self._proxy = b""
        self._arrive()

    def hold(self) -> None:
        """
        As by condor_hold.
        """
        if self.status not in (HELD, REMOVED):
            self._setStatus(HELD)

    def release(self) -> None:
        """
        As by condor_release, when the gridmanager is done with it.
        """
        assert self.isDone and self.status == HELD, (self.isDone, self.status)
        self.status = REMOVED if self._removedOnRelease else IDLE
        self._removedOnRelease = False
        self._arrive()

    def remove(self) -> None:
        """
        As by condor_rm.
        """
        if self.isDone and self.status == HELD:
            self.status = REMOVED
            self._arrive()
        elif not self.isDone:
            self._setStatus(REMOVED)

    def renewProxy(self, path: bytes) -> None:
        """
        Its proxy certificate has been renewed.
        """
        self._proxy = path
        self.evaluateSoon()

    def evaluateSoon(self) -> None:
        """
        Look what is to be done.
        """
        self._loop.setTimer(self, 0, self._evaluate)

    def _arrive(self) -> None:
        times, resource = self._loop.times, self._resource
        self.isDone = False
        self.state = "INIT"
        self.states.append(self.state)
        self.remote = UNKNOWN if self.sandboxId else UNSUBMITTED
        self._error = ""
        self._path = b""
        self._isAsking = False
        self._submits = self._statusFailures = 0
        self._entered = self._polled = self._loop.now()
        self._batch = Caller(resource.batch, times.call, self.evaluateSoon)
        self._callers = [self._batch]
        if resource.transfers is not None:
            self._callers.append(Caller(resource.transfers, times.transfer, self.evaluateSoon))
        resource.observers.append(self.evaluateSoon)
        self.evaluateSoon()

    def _setStatus(self, status: int) -> None:
        self.status = status
        self.evaluateSoon()

    def _evaluate(self) -> Steps[None]:
        for caller in self._callers:
            caller.resultsOnly = not self._resource.isKnown or self._resource.isDown
        while not self.isDone:
            remote = self.remote
            state = yield from self.act()
            if state is not None:
                self.state = state
                self.states.append(state)
                self._entered = self._loop.now()
                self._batch.forget()
                self._isAsking = False
            elif remote == self.remote:
                return

    @property
    def _isLeaving(self) -> bool:
        return self.status in (REMOVED, HELD)

    def _ask(
        self, caller: Caller, command: bytes, count: int, *arguments: bytes
    ) -> Steps[list[bytes] | None]:
        """
        @return: the result; C{None}: there is none yet; empty: it failed.
        """
        self._isAsking = True
        answer = yield from caller.call(command, count, *arguments)
        if answer in (PENDING, NOT_SUBMITTED):
            return None
        if isinstance(answer, int):
            reasons = {TIMED_OUT: "timed out", NOT_SUPPORTED: "is not supported"}
            self._error = f"{command.decode()} {reasons[answer]}"
            return []
        if caller is self._batch:
            code = codeOf(self._loop, answer)
            if code in (PENDING, NOT_SUBMITTED):
                # The real one takes its own code out of a result, and waits for ever.
                return None
            failed, reason = code != 0, answer[2]
        else:
            failed, reason = not isNull(answer[1]), answer[1]
        self._error = reason.decode("utf-8", "replace") if failed else ""
        return [] if failed else answer

    def _askBatch(self, command: bytes, count: int, *arguments: bytes) -> Steps[list[bytes] | None]:
        answer = yield from self._ask(self._batch, command, count, *arguments)
        if answer == [] and command != b"BLAH_JOB_STATUS":
            self._resource.pingSoon()
        return answer

    def _transfer(self, command: bytes, count: int) -> Steps[list[bytes] | None]:
        assert self._resource.transfers is not None
        ad = self._transferAd(self._resource.transfers.port)
        return (yield from self._ask(self._callers[1], command, count, self.sandboxId, ad))

    def held(self, reason: str) -> None:
        """
        Put it on hold (C{bj} C{JobHeld}).
        """
        if self.status != HELD:
            self._removedOnRelease = self.status == REMOVED
            self.status, self.holdReason = HELD, reason
            self._loop.trouble(JobHeld(f"{self.name}: {reason}"))

    def act(self) -> Steps[str | None]:
        """
        Do what is to be done in the state.

        @return: the next state; C{None}: it stays.
        """
        raise NotImplementedError
