"""
The gridmanager double's jobs: their states, and what it does about failures.

As HTCondor's C{src/condor_gridmanager/infnbatchjob.cpp}, C{doEvaluateState}, has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.gridmanagerlines import OutOfStep, isNull, number
from tests.gridmanagerloop import Steps
from tests.gridmanagerqueue import (
    COMPLETED,
    HELD,
    IDLE,
    REMOVED,
    RUNNING,
    UNKNOWN,
    UNSUBMITTED,
    QueuedJob,
)

#: Failures of BLAH_JOB_STATUS in a row that hold a job.  BATCH_GAHP_CHECK_STATUS_ATTEMPTS.
STATUS_ATTEMPTS = 5

#: Times that one life of a job in the gridmanager is submitted (MAX_SUBMIT_ATTEMPTS).
SUBMIT_ATTEMPTS = 1

_HOLD_REASON = re.compile(rb'\bHoldReason\s*=\s*"((?:[^"\\]|\\.)*)"', re.I | re.S)


class Job(QueuedJob):
    """
    A job's states.
    """

    def act(self) -> Steps[str | None]:
        """
        Do what is to be done in the state.
        """
        steps = self._STATES[self.state](self)
        return steps if steps is None or isinstance(steps, str) else (yield from steps)

    def _init(self) -> str | None:
        return "START" if self._resource.isKnown else None

    def _start(self) -> str | None:
        if not self.sandboxId:
            return "CLEAR_REQUEST"
        if not self._resource.isStarted:
            return None
        if self.jobId:
            return "SUBMITTED"
        return "DELETE_SANDBOX" if self.status == REMOVED else "TRANSFER_INPUT"

    def _unsubmitted(self) -> str | None:
        if self._isLeaving or self.status == COMPLETED:
            return "DELETE"
        return None if self._resource.isDown else "SAVE_SANDBOX_ID"

    def _saveSandboxId(self) -> str:
        self.sandboxId = self.sandboxId or f"NoPool_double_{self.name}".encode()
        return "TRANSFER_INPUT"

    def _transferInput(self) -> Steps[str | None]:
        if self._submits >= SUBMIT_ATTEMPTS:
            self._error = self._error or "Attempts to submit failed"
            return "HOLD"
        if self._isLeaving and not self._isAsking:
            return "CLEAR_REQUEST"
        if len(self._callers) == 1:
            return "SUBMIT"
        answer = yield from self._transfer(b"DOWNLOAD_SANDBOX", 3)
        if answer is None:
            return None
        self._submits += 1
        if not answer:
            return "CLEAR_REQUEST"
        self._path = b"" if isNull(answer[2]) else answer[2]
        return "SUBMIT"

    def _submit(self) -> Steps[str | None]:
        if self._isLeaving and not self._isAsking:
            return "DELETE_SANDBOX"
        answer = yield from self._askBatch(b"BLAH_JOB_SUBMIT", 4, self._submitAd(self._path))
        if answer is None:
            return None
        if not answer:
            return "HOLD"
        self.jobId = answer[3]
        if isNull(self.jobId) or b"/" not in self.jobId:
            self._loop.trouble(OutOfStep(f"a submit gave the job the id {self.jobId!r}"))
        return "SUBMIT_SAVE"

    def _submitSave(self) -> str:
        return "CANCEL" if self._isLeaving else "SUBMITTED"

    def _submitted(self) -> str | None:
        if self._isLeaving:
            return "CANCEL"
        if self.remote == COMPLETED:
            return "TRANSFER_OUTPUT"
        if self.remote == REMOVED:
            self._error, self.jobId = "Job removed from the batch system by hand", b""
            return "HOLD"
        if self._proxy and self._resource.takesProxies:
            return "TRANSFER_PROXY"
        due = max(self._polled, self._entered) + self._resource.jobPoll
        if due <= self._loop.now():
            return "POLL_ACTIVE"
        self._loop.setTimer(self, due - self._loop.now(), self._evaluate)
        return None

    def _pollActive(self) -> Steps[str | None]:
        answer = yield from self._askBatch(b"BLAH_JOB_STATUS", 5, self.jobId)
        if answer is None:
            return None
        self._polled = self._loop.now()
        if answer:
            self._statusFailures = 0
            self._takeStatus(answer[3], answer[4])
            return "SUBMITTED"
        self._statusFailures += 1
        if self._statusFailures < STATUS_ATTEMPTS:
            return "SUBMITTED"
        self._resource.pingSoon()
        return "HOLD"

    def _takeStatus(self, status: bytes, ad: bytes) -> None:
        """
        Learn from a result of BLAH_JOB_STATUS (C{ij} C{ProcessRemoteAd}); without an ad it
        says nothing.
        """
        if not (ad.startswith(b"[") and ad.endswith(b"]")):
            if not isNull(ad) and ad != b"N/A":
                self._loop.trouble(OutOfStep(f"a status ad is {ad[:200]!r}"))
            return
        remote = number(status)
        if not status.isdigit() or remote > HELD:
            self._loop.trouble(OutOfStep(f"a job's status is {status!r}"))
        self.ad = ad
        if remote in (IDLE, RUNNING) and not self._isLeaving:
            self.status = remote
        elif remote == HELD and self.status != REMOVED and self.remote != UNKNOWN:
            match = _HOLD_REASON.search(ad)
            reason = match.group(1).decode("utf-8", "replace") if match else "no hold reason"
            self.held(reason)
        self.remote = remote

    def _transferProxy(self) -> Steps[str | None]:
        transfers = self._resource.transfers
        if self._isLeaving:
            return "SUBMITTED"
        if transfers is None:
            return "REFRESH_PROXY"
        if not self._path:
            self._path = yield from transfers.sandboxPath(self.sandboxId)
        if not self._path:
            self._error = "GET_SANDBOX_PATH failed"
            return "HOLD"
        answer = yield from self._transfer(b"DOWNLOAD_PROXY", 2)
        if answer is None:
            return None
        return "REFRESH_PROXY" if answer else "HOLD"

    def _refreshProxy(self) -> Steps[str | None]:
        if self._isLeaving:
            return "SUBMITTED"
        path = self._proxy
        if self._resource.transfers is not None:
            path = self._path + b"/" + path.rpartition(b"/")[2]
        answer = yield from self._askBatch(b"BLAH_JOB_REFRESH_PROXY", 3, self.jobId, path)
        if answer is None:
            return None
        if not answer:
            return "HOLD"
        self._proxy = b""
        return "SUBMITTED"

    def _transferOutput(self) -> Steps[str | None]:
        if len(self._callers) == 1:
            return "DONE_SAVE"
        answer = yield from self._transfer(b"UPLOAD_SANDBOX", 2)
        if answer is None:
            return None
        return "DONE_SAVE" if answer else "HOLD"

    def _doneSave(self) -> str:
        if not self._isLeaving:
            self.status = COMPLETED
        return "DELETE_SANDBOX"

    def _cancel(self) -> Steps[str | None]:
        if self.remote != COMPLETED:
            answer = yield from self._askBatch(b"BLAH_JOB_CANCEL", 3, self.jobId)
            if answer is None:
                return None
            if not answer:
                return "CLEAR_REQUEST"
            if self.status != REMOVED:
                self.jobId = b""
        return "DELETE_SANDBOX"

    def _deleteSandbox(self) -> Steps[str | None]:
        if len(self._callers) > 1:
            answer = yield from self._transfer(b"DESTROY_SANDBOX", 2)
            if answer is None:
                return None
            if not answer:
                return "HOLD"
        if self.status in (COMPLETED, REMOVED):
            return "DELETE"
        self.sandboxId = self.jobId = b""
        return "CLEAR_REQUEST"

    def _clearRequest(self) -> str:
        if self.sandboxId and self.status != REMOVED:
            return "HOLD"
        self.sandboxId = self.jobId = self._path = b""
        self._error = ""
        if not self._isLeaving:
            self.status = IDLE
        self.remote = UNSUBMITTED
        return "UNSUBMITTED"

    def _hold(self) -> str:
        if self.status != HELD:
            self.held(self._error or "Unspecified gridmanager error")
        return "DELETE"

    def _delete(self) -> None:
        self.isDone = True
        for caller in self._callers:
            caller.forget()
        self._resource.observers.remove(self.evaluateSoon)

    _STATES: dict[str, Callable[[Job], Steps[str | None] | str | None]] = {
        "INIT": _init,
        "START": _start,
        "UNSUBMITTED": _unsubmitted,
        "SAVE_SANDBOX_ID": _saveSandboxId,
        "TRANSFER_INPUT": _transferInput,
        "SUBMIT": _submit,
        "SUBMIT_SAVE": _submitSave,
        "SUBMITTED": _submitted,
        "POLL_ACTIVE": _pollActive,
        "TRANSFER_PROXY": _transferProxy,
        "REFRESH_PROXY": _refreshProxy,
        "TRANSFER_OUTPUT": _transferOutput,
        "DONE_SAVE": _doneSave,
        "CANCEL": _cancel,
        "DELETE_SANDBOX": _deleteSandbox,
        "CLEAR_REQUEST": _clearRequest,
        "HOLD": _hold,
        "DELETE": _delete,
    }
