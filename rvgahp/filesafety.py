# -*- test-case-name: tests.test_accessreader -*-
"""
Whether others could change the files by which a daemon decides who may do what.

Layer 1: the standard library, L{rvgahp.accountnames}.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from rvgahp.accountnames import accountName
from rvgahp.errors import ConfigurationError

__all__ = ["checkSafe", "daemonAccounts"]


def daemonAccounts(settings: Any) -> set[int]:
    """
    @param settings: A daemon's.
    @return: The accounts from which nothing is protected: root, and those that it runs as.
    """
    own = {0, os.geteuid()}
    with suppress(KeyError):
        own.add(pwd.getpwnam(settings.get("RVGAHP_ACCOUNT")).pw_uid)
    return own


def checkSafe(path: str, status: os.stat_result, owners: Collection[int] | None) -> None:
    """
    See that nobody but its owner and root can write a file, or put another in its place.

    @param status: Of the file, when it is open.
    @param owners: Whose the file's directory may be, if it is not the file's owner's; L{None}:
        anybody's.
    @raise ConfigurationError: Somebody can.
    """
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"{path} can be written by others than its owner: chmod go-w {path}"
        )
    for way in (os.path.abspath, os.path.realpath):
        directory = os.path.dirname(way(path))
        found = os.stat(directory)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(
                f"the directory {directory} of {path} can be written by others than its owner:"
                f" chmod go-w {directory}"
            )
        if owners is not None and found.st_uid not in (status.st_uid, *owners):
            raise ConfigurationError(
                f"{path} is of {accountName(status.st_uid)}, and its directory {directory} of"
                f" {accountName(found.st_uid)}, who could put another file in its place: chown"
                " the one or the other"
            )
