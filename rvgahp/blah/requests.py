# -*- test-case-name: tests.test_blah_requests -*-
"""
What the BLAH_ commands do.  Each runs in a thread of its own and makes one
result: a result code, an error text, and the fields that the command has,
always in the number that the gridmanager asserts on
(C{src/condor_gridmanager/gahp-client.cpp}, C{blah_job_submit} and its
neighbours).  May import the standard library, zope.interface and this package.
"""

from __future__ import annotations

import traceback

from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError, NoSuchJob
from rvgahp.blah.ilrm import IProxyRenewer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rvgahp.blah.registry import ManagerRegistry

__all__ = ["Request", "makeRequests"]

#: blahpd's words (src/blahp/src/blahpd.h, commands.c).
_NO_ERROR = b"No error"
_NOT_AVAILABLE = b"N/A"


class Request:
    """
    One asynchronous command: an entry of the command table.

    @ivar name: the command, in capitals.
    @ivar parameters: how many it has, its request id included.
    @ivar changes: whether it must not be abandoned half-way.
    @ivar listed: whether COMMANDS names it.
    """

    def __init__(
        self,
        name: str,
        action: Callable[..., list[bytes]],
        parameters: int = 2,
        failure: tuple[bytes, ...] = (),
        *,
        changes: bool = False,
        listed: bool = True,
    ) -> None:
        """
        @param action: called with the parameters after the id; returns the
            fields after the error text.
        @param failure: those fields where the action fails.
        """
        self.name = name
        self.parameters = parameters
        self.changes = changes
        self.listed = listed
        self._action = action
        self._failure = failure

    def run(self, arguments: list[bytes], complain: Callable[[str], None]) -> list[bytes]:
        """
        Carry it out, whatever happens.

        @param arguments: the parameters after the request id.
        @param complain: told of a fault in a plugin or in us.
        @return: the result's fields after the request id.
        """
        try:
            fields = self._action(*arguments)
            if max(map(len, fields), default=0) > limits.TOKEN_LENGTH:
                raise BatchError(f"The result of {self.name} is too long to be sent.")
            return [b"0", _NO_ERROR, *fields]
        except BatchError as error:
            sentence = str(error)
        # Also a SystemExit of some library: a request without a result would
        # be waited for in vain.
        except BaseException as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            # The exception's text is left out; it may quote somebody's data.
            complain(f"A fault in {self.name}: {type(error).__name__}\n{where.rstrip()}")
            sentence = f"A fault in the site's batch GAHP: {type(error).__name__} in {self.name}."
        return [b"1", _oneLine(sentence), *self._failure]


def makeRequests(managers: ManagerRegistry) -> list[Request]:
    """
    @param managers: the site's local resource managers.
    @return: the table of asynchronous commands.
    """
    work = _Work(managers)
    return [
        Request("BLAH_JOB_SUBMIT", work.submit, failure=(_NOT_AVAILABLE,), changes=True),
        Request("BLAH_JOB_STATUS", work.status, failure=(b"0", _NOT_AVAILABLE)),
        Request("BLAH_JOB_CANCEL", work.cancel, changes=True),
        Request("BLAH_JOB_REFRESH_PROXY", work.renewProxy, 3, changes=True),
        Request("BLAH_PING", work.ping),
        # Known so that they fail as requests: a client that is told E for a
        # request takes the GAHP for broken (gahp-client.cpp, now_pending).
        Request("BLAH_JOB_HOLD", _notYet, listed=False),
        Request("BLAH_JOB_RESUME", _notYet, listed=False),
    ]


class _Work:
    """
    The actions.
    """

    def __init__(self, managers: ManagerRegistry) -> None:
        self._managers = managers

    def submit(self, text: bytes) -> list[bytes]:
        # Not before the first submit: it costs the start of the program.
        from rvgahp.blah.submitad import SubmitAd

        job = SubmitAd(text)
        jobId = self._managers.get(job.manager).submit(job)
        if not (
            isinstance(jobId, str)
            and jobId.startswith(job.manager + "/")
            and len(jobId) <= limits.JOB_ID_LENGTH
        ):
            raise TypeError("not a job id")
        return [jobId.encode("utf-8", "surrogateescape")]

    def status(self, jobIdBytes: bytes) -> list[bytes]:
        jobId = _text(jobIdBytes)
        state = self._managerOf(jobId).status([jobId]).get(jobId)
        if state is None:
            raise NoSuchJob(f"The job {jobId!r} is unknown at the site.")
        if isinstance(state, BatchError):
            raise state
        return [b"%d" % state.status, state.ad(jobId)]

    def cancel(self, jobIdBytes: bytes) -> list[bytes]:
        jobId = _text(jobIdBytes)
        self._managerOf(jobId).cancel(jobId)
        return []

    def renewProxy(self, jobIdBytes: bytes, path: bytes) -> list[bytes]:
        jobId = _text(jobIdBytes)
        manager = self._managerOf(jobId)
        if not IProxyRenewer.providedBy(manager):
            raise BatchError(f"Proxies of {manager.name} jobs cannot be renewed at the site.")
        manager.renewProxy(jobId, path)
        return []

    def ping(self, name: bytes) -> list[bytes]:
        self._managers.get(_text(name)).ping()
        return []

    def _managerOf(self, jobId: str) -> Any:
        name, slash, _ = jobId.partition("/")
        if not slash:
            raise NoSuchJob(f"{jobId!r} is no job id: those begin with a manager and a slash.")
        return self._managers.get(name)


def _notYet(*_: bytes) -> list[bytes]:
    raise BatchError("This command is not supported by the site's batch GAHP.")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _oneLine(sentence: str) -> bytes:
    """
    Make a sentence fit to be a hold reason, whatever went into it.
    """
    printable = "".join([c if c.isprintable() else "?" for c in " ".join(sentence.split())])
    return printable[: limits.SENTENCE_LENGTH].encode("utf-8", "replace")
