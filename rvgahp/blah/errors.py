# -*- test-case-name: tests.test_blah_requests -*-
"""
What the batch GAHP refuses or reports.  Each becomes the error text of a
failure result, and then very likely the hold reason of somebody's job: so it
is one sentence, says what to do, and holds no value of the job's environment.
"""

from __future__ import annotations

from rvgahp.errors import RvgahpError


class BatchError(RvgahpError):
    """
    A local resource manager could not do what was asked.
    """


class BadSubmitAd(BatchError):
    """
    The job's description cannot be read, or asks for something impossible.
    """


class NoSuchManager(BatchError):
    """
    The site has no local resource manager of that name.
    """


class NoSuchJob(BatchError):
    """
    No record exists of a job with that id: it was never submitted by this
    account at this host, or it finished so long ago that it is forgotten.
    """


class JobFinished(BatchError):
    """
    The job has ended already, so there is nothing to cancel.
    """


class StateError(BatchError):
    """
    The directory of the jobs' records cannot be used: full, not ours, damaged.
    """
