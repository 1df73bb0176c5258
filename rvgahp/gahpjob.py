# -*- test-case-name: tests.test_gahpjob -*-
"""
One batch job by hand: what the gridmanager would say of it to a batch GAHP.

Layer 6.  For C{rvgahp demo} and C{rvgahp trace}.  Commands, results and states are
blahpd's (HTCondor 25.14, C{src/blahp/src/commands.c}, C{job_status.h}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rvgahp.errors import RvgahpError, StartFailed
from rvgahp.gahpdialogue import Dialogue, Ended
from rvgahp.patience import Patience

#: The states of a job, by the digits in which they are told.
STATES = {"1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held"}

_ENDS = ("3", "4", "5")

#: Seconds for a submit, a question about the state, a cancel.  blahpd itself ends a batch
#: system's command that is silent for 30 s; the gridmanager gives up after 300 s.
SUBMIT_LIMIT = 120.0
STATUS_LIMIT = 60.0
CANCEL_LIMIT = 30.0

#: Seconds more for a submit that we no longer want, so that its job can be cancelled.
_LATE_LIMIT = 10.0

#: Questions about the state that may fail one after the other, as the gridmanager has it
#: (BATCH_GAHP_CHECK_STATUS_ATTEMPTS): batch systems may not know a job at once.
_ATTEMPTS = 5

_FIRST_POLL, _LAST_POLL = 0.1, 2.0  # seconds between two questions


class GAHPJob:
    """
    A job.

    @ivar jobId: its id at the site; empty before it has one.
    @ivar state: one of the values of L{STATES}; empty before it is known.
    @ivar ad: what the GAHP last told of it: a ClassAd.
    """

    def __init__(
        self, dialogue: Dialogue, patience: Patience, saw: Callable[[str, Any], object]
    ) -> None:
        """
        @param saw: called with C{"job"} and the id when there is one, with C{"state"} and
            each new state, with C{"trouble"} and a sentence when the state cannot be had.
        """
        self._dialogue = dialogue
        self._patience = patience
        self._saw = saw
        self._request = ""
        self.jobId = self.state = self.ad = ""

    def submit(self, ad: str) -> None:
        """
        @param ad: the submit ad.
        @raise StartFailed: it was refused.
        """
        self._request = self._dialogue.newRequest()
        try:
            self._dialogue.begin(self._request, "BLAH_JOB_SUBMIT", ad)
        except Ended:
            raise  # it may have been submitted
        except StartFailed:
            self._request = ""
            raise
        self._collect(SUBMIT_LIMIT)

    def _collect(self, limit: float) -> None:
        wait = self._patience.wait("the result of BLAH_JOB_SUBMIT", limit)
        rc, error, jobId = self._dialogue.collect(self._request, 3, wait)
        self._request = ""
        if rc != "0":
            raise StartFailed(f"the submit failed: {error}")
        self.jobId = jobId
        self._saw("job", jobId)

    def follow(self, limit: float) -> None:
        """
        Follow it to an end: removed, completed or held.

        @param limit: seconds.
        @raise TookTooLong: it has come to none.
        @raise StartFailed: its state cannot be had.
        """
        wait = self._patience.wait("the end of the job", limit)
        pause, failures = _FIRST_POLL, 0
        while True:
            rc, error, digit, ad = self._dialogue.result(
                "BLAH_JOB_STATUS", self.jobId, fields=4, limit=STATUS_LIMIT
            )
            if rc != "0":
                failures += 1
                self._saw("trouble", error)
                if failures == _ATTEMPTS:
                    raise StartFailed(f"the job's state cannot be had: {error}")
            elif digit in STATES:  # 0 is no news
                failures = 0
                self._changed(STATES[digit], ad)
                if digit in _ENDS:
                    return
            wait.pause(pause)
            pause = min(1.5 * pause, _LAST_POLL)

    def _changed(self, state: str, ad: str) -> None:
        self.ad = ad
        if state != self.state:
            self.state = state
            self._saw("state", state)

    def cancel(self) -> None:
        """
        If it may still be at the site, have it removed; also one whose submit has not been
        answered yet.  C{saw} is told what came of it, as C{"cancelled"} or C{"left"}.
        """
        if not (self.jobId or self._request) or self.state in ("removed", "completed"):
            return
        self._patience.recover()
        try:
            if self._request:
                self._collect(_LATE_LIMIT)
            rc, error = self._dialogue.result(
                "BLAH_JOB_CANCEL", self.jobId, fields=2, limit=CANCEL_LIMIT
            )
        except (RvgahpError, OSError) as e:
            if self._request or self.jobId:
                self._left(str(e))
        else:
            if rc == "0":
                self._saw("cancelled", self.jobId)
            else:
                self._left(error)

    def _left(self, why: str) -> None:
        name = f"job {self.jobId}" if self.jobId else "a job without a known id"
        self._saw("left", f"{name} may still be at the site: it could not be cancelled ({why})")
