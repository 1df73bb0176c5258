# -*- test-case-name: tests.test_files -*-
"""
Files of credentials: written whole or not at all, and never over another
unasked.  Layer 3; the standard library and L{rvgahp.accountnames}.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from rvgahp.accountnames import accountName, ownAccount
from rvgahp.errors import CredentialError

__all__ = ["makeDirectory", "readFile", "refuseExisting", "writeFile"]

_LARGEST = 4 << 20
"""Bytes of a file of certificates; a whole system's has a quarter of a MiB."""


def readFile(path: str) -> bytes:
    """
    The contents of a file.

    @raise CredentialError: It cannot be read, is no file (a pipe would be waited for), or is
        too large to be what it should be.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CredentialError(f"{path} cannot be read: it is no file.")
            content = file.read(_LARGEST + 1)
    except OSError as e:
        problem = _closedDirectory(path) if isinstance(e, PermissionError) else ""
        raise CredentialError(f"{path} cannot be read: {problem or e.strerror}.") from e
    if len(content) > _LARGEST:
        raise CredentialError(f"{path} is too large to be a file of keys or certificates.")
    return content


def _closedDirectory(path: str) -> str:
    """
    @return: which directory on the way to a file keeps this account out, as a clause;
        empty if none does.
    """
    for directory in reversed(Path(path).absolute().parents):
        if not os.access(directory, os.X_OK, effective_ids=True):
            found = directory.stat()
            return (
                f"account {ownAccount()} may not enter the directory {directory},"
                f" which is of {accountName(found.st_uid)} and has mode"
                f" {stat.S_IMODE(found.st_mode):04o}"
            )
    return ""


def makeDirectory(path: str) -> None:
    """
    Make a directory for its owner alone, if it is not there.  Whatever the umask is, others can
    write to none that is made on the way: they could put another in its place.

    @raise CredentialError: It cannot be made.
    """
    try:
        for parent in reversed(Path(path).absolute().parents):
            if not parent.is_dir():
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parent, 0o755)
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as e:
        raise CredentialError(f"The directory {path} cannot be made: {e.strerror}.") from e


def refuseExisting(*paths: str) -> None:
    """
    See that none of these files is there.

    @raise CredentialError: One is.
    """
    for path in paths:
        if os.path.lexists(path):
            raise CredentialError(_taken(path))


def writeFile(path: str, content: bytes, mode: int, *, replace: bool) -> None:
    """
    Write a file that is there whole and on disk, or not at all.

    @param path: Its path.
    @param content: What is to stand in it.
    @param mode: Its permissions, of which the umask takes away.
    @param replace: Whether it may take the place of another.
    @raise CredentialError: It may not, or it cannot be written.
    """
    temporary = f"{path}.{secrets.token_hex(8)}"
    try:
        try:
            _writeThrough(temporary, content, mode)
            if replace:
                os.rename(temporary, path)
            else:
                os.link(temporary, path)  # Unlike rename it fails where there is one.
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        _syncDirectory(os.path.dirname(path))
    except FileExistsError as e:
        raise CredentialError(_taken(path)) from e
    except OSError as e:
        raise CredentialError(f"{path} cannot be written: {e.strerror}.") from e


def _taken(path: str) -> str:
    """
    The sentence for a file that is there.
    """
    return (
        f"{path} is there already and is not replaced unasked: choose another directory, or say "
        "--replace."
    )


def _writeThrough(path: str, content: bytes, mode: int) -> None:
    """
    Write a new file, to the disk.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _syncDirectory(path: str) -> None:
    """
    Bring a directory's entries to the disk.
    """
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
