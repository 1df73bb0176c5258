# -*- test-case-name: tests.test_blah_fork -*-
"""
The C{fork} manager: a job is a process of this account on this host.

No queue and no limits: for tests, for sites that are one machine, and for
what must run on the login node itself.  A job outlives the GAHP, and its state
is told from the records that its supervisor writes (L{rvgahp.blah.jobfiles}).
Where those have no end, a supervisor that was killed or a host that went
down, the job is HELD with the reason: its exit status is lost, and any number
would be made up.

May import the standard library, zope.interface, twisted.plugin and this
package.
"""

from __future__ import annotations

import os
import pwd
import signal
import time
from contextlib import suppress

from twisted.plugin import IPlugin
from zope.interface import implementer

from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError, JobFinished, NoSuchJob
from rvgahp.blah.ilrm import ILocalResourceManager, IProxyRenewer
from rvgahp.blah.jobfiles import JobDirectories, stateDirectory
from rvgahp.blah.jobstate import JobState, Status
from rvgahp.blah.launch import describe, launch
from rvgahp.blah.processes import ProcessIdentity, signalSession
from rvgahp.blah.proxyfile import renewProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from rvgahp.blah.jobfiles import JobDirectory
    from rvgahp.blah.submitad import SubmitAd

__all__ = ["Fork"]

#: What a job inherits of the GAHP's environment, if it is set there.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


@implementer(IPlugin, ILocalResourceManager, IProxyRenewer)
class Fork:
    """
    See the module.
    """

    name = "fork"

    def __init__(self) -> None:
        self._pruned = 0.0

    def submit(self, job: SubmitAd) -> str:
        """
        See L{ILocalResourceManager.submit}.
        """
        jobs = JobDirectories(stateDirectory())
        self._pruneNowAndThen(jobs)
        environment = {**_baseEnvironment(), **job.environment}
        if job.proxy:
            environment.setdefault(b"X509_USER_PROXY", job.proxy)
        jobId, directory = jobs.create()
        try:
            launch(directory, describe(job, environment))
        except BatchError:
            directory.remove()
            raise
        return jobId

    def status(self, jobIds: Sequence[str]) -> dict[str, JobState | BatchError]:
        """
        See L{ILocalResourceManager.status}.
        """
        jobs = JobDirectories(stateDirectory())
        states: dict[str, JobState | BatchError] = {}
        for jobId in jobIds:
            try:
                states[jobId] = _state(_endOf(jobs.find(jobId)))
            except BatchError as error:
                states[jobId] = error
        return states

    def cancel(self, jobId: str) -> None:
        """
        See L{ILocalResourceManager.cancel}.
        """
        directory = JobDirectories(stateDirectory()).find(jobId)
        end = _endOf(directory)
        if end is None:
            end = _kill(directory)
        elif "lost" in end:
            # Nothing runs, but this is how a client is rid of it.
            end = {**end, "removed": True}
            _write(directory, end)
        if not end.get("removed"):
            raise JobFinished(f"The job {jobId} has finished already: {_how(end)}.")

    def renewProxy(self, jobId: str, path: bytes) -> None:
        """
        See L{IProxyRenewer.renewProxy}.
        """
        start = JobDirectories(stateDirectory()).find(jobId).read("start") or {}
        if not start.get("proxy"):
            raise BatchError(f"The job {jobId} was submitted without a proxy.")
        renewProxy(start["proxy"].encode("latin-1"), path)

    def ping(self) -> None:
        """
        See L{ILocalResourceManager.ping}.
        """
        JobDirectories(stateDirectory()).check()

    def _pruneNowAndThen(self, jobs: JobDirectories) -> None:
        if time.monotonic() - self._pruned < limits.PRUNE_INTERVAL and self._pruned:
            return
        self._pruned = time.monotonic()
        for directory in jobs.all():
            try:
                if _expired(directory):
                    directory.remove()
            except (BatchError, OSError, LookupError, TypeError, ValueError):
                # A job of another host, or a damaged record: somebody may
                # still want to see it.
                continue


def endAll(directory: str) -> None:
    """
    End every job that is recorded in a state directory, as a playground does when it
    is cleared away.

    @param directory: what L{stateDirectory} was for them.
    @raise BatchError: one does not end.
    """
    for job in JobDirectories(directory).all():
        if job.read("start") is not None and _endOf(job) is None:
            _kill(job)


def _baseEnvironment() -> dict[bytes, bytes]:
    """
    @return: what every job has.  Not the GAHP's whole environment, which is
        the CE's, and may hold what is no business of a job.
    """
    account = pwd.getpwuid(os.geteuid())
    environment = {
        "PATH": os.defpath,
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell,
    }
    environment.update((name, os.environ[name]) for name in _INHERITED if name in os.environ)
    return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}


def _endOf(directory: JobDirectory) -> dict[str, Any] | None:
    """
    Find out how a job has ended, and put it on record if nobody else will.

    @return: its end record; C{None} if it has not ended.
    @raise BatchError: it cannot be told.
    """
    end = directory.read("end")
    if end is not None:
        return end
    start = directory.read("start")
    if start is None:
        raise NoSuchJob("The job was never started.")
    supervisor = ProcessIdentity.fromRecord(start["supervisor"])
    here = os.uname().nodename
    if start["host"] != here and not supervisor.ofThisBoot():
        raise BatchError(
            f"The job was started on the host {start['host']} and this is {here}: "
            "while it runs, only a GAHP on that host can see it."
        )
    if supervisor.alive() or ProcessIdentity.fromRecord(start["job"]).alive():
        return None
    # It may have written the record and ended since we looked.
    return directory.read("end") or _write(directory, _lost(supervisor))


def _lost(supervisor: ProcessIdentity) -> dict[str, Any]:
    why = "its supervisor process was killed" if supervisor.ofThisBoot() else "the host went down"
    return {**_ended(), "lost": f"The job's exit status is lost, for {why}."}


def _ended() -> dict[str, Any]:
    return {"host": os.uname().nodename, "ended": time.time()}


def _write(directory: JobDirectory, end: dict[str, Any]) -> dict[str, Any]:
    # An error: the next who asks will come to the same conclusion.
    with suppress(OSError):
        directory.writeEnd(end)
    return end


def _kill(directory: JobDirectory) -> dict[str, Any]:
    """
    End a running job.

    @return: its end record, which may say that it ended otherwise.
    @raise BatchError: it does not end.
    """
    start = directory.read("start") or {}
    supervisor = ProcessIdentity.fromRecord(start["supervisor"])
    if supervisor.signal(signal.SIGUSR1):
        supervisor.waitForEnd(limits.CANCEL_WAIT)
    end = _endOf(directory)
    if end is None and not supervisor.alive():
        end = _killOrphan(directory, ProcessIdentity.fromRecord(start["job"]))
    if end is None:
        raise BatchError("The job was told to end and has not: a process of it cannot be killed.")
    return end


def _killOrphan(directory: JobDirectory, job: ProcessIdentity) -> dict[str, Any] | None:
    """
    End a job whose supervisor is gone.
    """
    for number, patience in ((signal.SIGTERM, limits.KILL_GRACE), (signal.SIGKILL, 5.0)):
        # While its leader lives the session is surely the job's.
        if job.alive():
            signalSession(job.pid, number)
            job.waitForEnd(patience)
    if job.alive():
        return None
    return _write(directory, {**_ended(), "removed": True})


def _expired(directory: JobDirectory) -> bool:
    try:
        end = _endOf(directory)
        since = time.time() if end is None else float(end["ended"])
    except NoSuchJob:
        # A submit that was killed before it started anything.
        since = os.stat(directory.path).st_mtime
    return time.time() - since > limits.KEEP_FINISHED


def _state(end: dict[str, Any] | None) -> JobState:
    """
    @param end: the end record, if there is one.
    @return: the state that it means.
    """
    if end is None:
        return JobState(Status.RUNNING, {"WorkerNode": os.uname().nodename})
    attributes: dict[str, Any] = {"WorkerNode": end["host"]}
    if end.get("removed"):
        return JobState(Status.REMOVED, attributes)
    if "lost" in end:
        return JobState(Status.HELD, {**attributes, "HoldReason": end["lost"]})
    attributes["RemoteWallClockTime"] = float(end["wall"])
    attributes["RemoteUserCpu"] = float(end["user"])
    attributes["RemoteSysCpu"] = float(end["system"])
    attributes["ExitBySignal"] = end["signal"] is not None
    if end["signal"] is None:
        attributes["ExitCode"] = int(end["code"])
    else:
        attributes["ExitSignal"] = int(end["signal"])
        attributes["ExitReason"] = _how(end)
    return JobState(Status.COMPLETED, attributes)


def _how(end: dict[str, Any]) -> str:
    number = end.get("signal")
    if number is None:
        return f"exit code {end.get('code')}"
    try:
        return f"died on signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"died on signal {number}"
