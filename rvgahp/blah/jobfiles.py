# -*- test-case-name: tests.test_blah_jobfiles -*-
"""
The records of the C{fork} manager's jobs: one directory for each job, in a
directory of the account.  Standard library only.

C{DIRECTORY/fork/YYYYMMDD/UNIQUE/start} is written before a job starts,
C{end} when it has ended; both are JSON, appear whole or not at all, and are on
the disk when the call returns.  Room for C{end} is set aside before the job
starts.  No argument and no environment of a job is kept, of its proxy the path.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress

from rvgahp.blah import limits
from rvgahp.blah.errors import NoSuchJob, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["JobDirectories", "JobDirectory", "stateDirectory"]

_JOB_ID = re.compile(r"fork/(\d{8})/([0-9a-f]{16})\Z", re.ASCII)
_RESERVED = "end.reserved"


def stateDirectory() -> str:
    """
    @return: the account's directory: C{RVGAHP_BLAH_DIR}, else
        C{$HOME/.rvgahp/blah}.
    @raise StateError: neither is an absolute path.
    """
    path = os.environ.get("RVGAHP_BLAH_DIR") or os.path.expanduser("~/.rvgahp/blah")
    if not os.path.isabs(path):
        raise StateError(f"RVGAHP_BLAH_DIR must be an absolute path; it is {path!r}.")
    return path


class JobDirectory:
    """
    The records of one job.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: the directory.
        """
        self.path = path

    def read(self, name: str) -> dict[str, Any] | None:
        """
        @param name: C{start} or C{end}.
        @return: the record, or C{None} if there is none.
        @raise StateError: it is there and cannot be read.
        """
        path = os.path.join(self.path, name)
        try:
            with open(path, encoding="ascii") as file:
                record = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError(f"The record {path} cannot be read: {_reason(error)}.") from error
        if not isinstance(record, dict):
            raise StateError(f"The record {path} is damaged.")
        return record

    def write(self, name: str, record: dict[str, Any]) -> None:
        """
        Put a record on the disk.

        @param name: C{start} or C{end}.
        @param record: what to write.
        @raise OSError: it could not be written; there is none then.
        """
        temporary = os.path.join(self.path, f"{name}.{os.urandom(4).hex()}")
        try:
            _writeFile(temporary, json.dumps(record).encode("ascii"), os.O_EXCL)
            self._rename(temporary, name)
        except OSError:
            _remove(temporary)
            raise

    def reserveEnd(self) -> None:
        """
        Set aside the room for the C{end} record.

        @raise OSError: there is none.
        """
        # Not spaces but digits: a file system that compresses would set aside
        # nothing for bytes that are all the same.
        digits = os.urandom(limits.END_RECORD_LENGTH // 2).hex().encode("ascii")
        _writeFile(os.path.join(self.path, _RESERVED), digits, os.O_EXCL)

    def writeEnd(self, record: dict[str, Any]) -> None:
        """
        Write the C{end} record into the room set aside for it.

        @param record: at most L{limits.END_RECORD_LENGTH} bytes of JSON.
        @raise OSError: it could not be written.
        """
        reserved = os.path.join(self.path, _RESERVED)
        text = json.dumps(record).encode("ascii").ljust(limits.END_RECORD_LENGTH)
        # Not truncated: that would give the room away.
        _writeFile(reserved, text)
        self._rename(reserved, "end")

    def remove(self) -> None:
        """
        Forget the job.  What cannot be removed stays for the next time.
        """
        # An error: somebody else is at it, or something in it is not ours.
        with suppress(OSError):
            for entry in os.scandir(self.path):
                os.unlink(entry.path)
            os.rmdir(self.path)

    def _rename(self, temporary: str, name: str) -> None:
        os.rename(temporary, os.path.join(self.path, name))
        _sync(self.path)


class JobDirectories:
    """
    All jobs of the account.
    """

    def __init__(self, directory: str) -> None:
        """
        @param directory: see L{stateDirectory}.
        """
        self._root = os.path.join(directory, "fork")

    def check(self) -> None:
        """
        Look whether a job's records could be written.

        @raise StateError: they could not.
        """
        _, directory = self.create()
        try:
            directory.reserveEnd()
        except OSError as error:
            raise _cannotWrite(self._root, error) from error
        finally:
            directory.remove()

    def create(self) -> tuple[str, JobDirectory]:
        """
        Make the directory of a new job.

        @return: the job's id, and its directory.
        @raise StateError: it cannot be made.
        """
        date, unique = time.strftime("%Y%m%d"), os.urandom(8).hex()
        path = os.path.join(self._root, date, unique)
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            owner = os.stat(self._root).st_uid
            if owner != os.geteuid():
                raise PermissionError(1, f"it belongs to account number {owner}")
            os.mkdir(path, 0o700)
            _sync(os.path.dirname(path))
        except OSError as error:
            raise _cannotWrite(self._root, error) from error
        return f"fork/{date}/{unique}", JobDirectory(path)

    def find(self, jobId: str) -> JobDirectory:
        """
        @param jobId: what a client sent as a job's id.
        @return: the job's directory.
        @raise NoSuchJob: there is none.
        """
        match = _JOB_ID.match(jobId)
        path = os.path.join(self._root, *match.groups()) if match else None
        if path is None or not os.path.isdir(path):
            raise NoSuchJob(
                f"No job {jobId!r} is known here: it was never submitted by this account, "
                f"or it finished over {limits.KEEP_FINISHED / 86400:.0f} days ago."
            )
        return JobDirectory(path)

    def all(self) -> Iterator[JobDirectory]:
        """
        @return: every job's directory.
        """
        for date in _entries(self._root):
            for path in _entries(date):
                yield JobDirectory(path)
            _removeEmpty(date)


def _entries(path: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _removeEmpty(path: str) -> None:
    with suppress(OSError):
        # Not a young one: a submit may be about to make its directory here.
        if time.time() - os.stat(path).st_mtime > 86400:
            os.rmdir(path)


def _writeFile(path: str, content: bytes, exclusively: int = 0) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | exclusively, 0o600)
    try:
        while content:
            content = content[os.write(fd, content) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync(directory: str) -> None:
    """
    Put a directory's entries on the disk.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or "it is damaged"


def _cannotWrite(path: str, error: OSError) -> StateError:
    return StateError(
        f"Records of jobs cannot be written in {path}: {error.strerror}; "
        "make room or set RVGAHP_BLAH_DIR to a directory of this account."
    )
