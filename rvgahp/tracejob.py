# -*- test-case-name: tests.test_tracejob -*-
"""
The test job of C{rvgahp trace}: it says a word that nobody can guess, and is followed
to its output, or as near to it as can be seen from here.

Layer 6.  The files of the site are not ours: the output is read only if the site is
this machine.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rvgahp.errors import StartFailed
from rvgahp.gahpjob import GAHPJob

#: Seconds for the job, its time in the queue included.
JOB_LIMIT = 600.0

#: Where the output is written at the site.  Every machine has it.
_DIRECTORY = "/tmp"


class EchoJob:
    """
    One job that says a word.
    """

    def __init__(self, job: GAHPJob, lrms: str, saw: Callable[[str, Any], object]) -> None:
        """
        @param lrms: the local resource manager that is to run it.
        @param saw: told of C{"exit"} and C{"output"}, beside what the job tells.
        """
        self._job = job
        self._lrms = lrms
        self._saw = saw
        self._word = secrets.token_hex(16)
        self._path = f"{_DIRECTORY}/rvgahp-trace-{secrets.token_hex(8)}.out"

    def run(self) -> None:
        """
        Submit it and follow it.  Whatever happens it is not left in the queue.

        @raise RvgahpError: it did not do what it should.
        """
        try:
            self._job.submit(
                f'[ Cmd = "/bin/echo"; Arguments = "{self._word}"; gridtype = "{self._lrms}";'
                f' Iwd = "{_DIRECTORY}"; Out = "{self._path}" ]'
            )
            self._job.follow(JOB_LIMIT)
            self._checkEnd()
            self._checkOutput()
        finally:
            self._job.cancel()
            with suppress(OSError):  # there is none here, or it is not ours
                os.unlink(self._path)

    def _checkEnd(self) -> None:
        """
        @raise StartFailed: it was held or removed, or failed.
        """
        ad = _attributes(self._job.ad)
        if self._job.state != "completed":
            reason = ad.get("HoldReason") or "no reason was given"
            raise StartFailed(f"the job was {self._job.state}: {reason}")
        if ad.get("ExitBySignal") is True:
            raise StartFailed(f"the job was ended by signal {ad.get('ExitSignal', 'unknown')}")
        code = ad.get("ExitCode")
        self._saw("exit", "not told" if code is None else code)
        if code not in (None, 0):
            raise StartFailed(f"the job ended with exit code {code}, and echo never does")

    def _checkOutput(self) -> None:
        """
        @raise StartFailed: it can be read, and is not what the job said.
        """
        try:
            output = _readBeginning(self._path)
        except FileNotFoundError:
            self._saw("output", f"not compared: it stayed at the site, in {self._path}")
            return
        except OSError as e:
            self._saw("output", f"not compared: {self._path} cannot be read: {e.strerror}")
            return
        if output != f"{self._word}\n".encode():
            raise StartFailed(
                f"the job's output in {self._path} is not what it said: {len(output)} bytes"
            )
        self._saw("output", "as expected")


def _readBeginning(path: str) -> bytes:
    """
    @return: the first bytes of a file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _attributes(text: str) -> dict[str, Any]:
    """
    Read a status ad.

    @return: those of its attributes that tell how a job has ended.
    @raise StartFailed: it is no ClassAd, or cannot be read here.
    """
    try:
        import classad2
    except ImportError:
        raise StartFailed(
            "how the job ended cannot be read: the Python module classad2 is missing here; install"
            " the htcondor distribution"
        ) from None
    names = ("ExitCode", "ExitBySignal", "ExitSignal", "HoldReason")
    try:
        ad = classad2.ClassAd(text)
        return {name: ad.eval(name) for name in names if name in ad}
    except Exception as e:  # the library has several of its own
        raise StartFailed(f"the job's status ad cannot be read ({type(e).__name__})") from None
