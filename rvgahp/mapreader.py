# -*- test-case-name: tests.test_mapreader -*-
"""
Reads the files of a map.

Layer 1: the standard library, L{rvgahp.filesafety}, L{rvgahp.mapfile} and below.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from functools import partial

from rvgahp import maplimits
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import checkSafe
from rvgahp.mapfile import MapFile, parse

__all__ = ["readMapFile"]

_IGNORED_BEGINNINGS = (".", "#")
_IGNORED_SCRIPTS = (".pl", ".py", ".sh")
_IGNORED_COPIES = ("~", ".rpmsave", ".rpmnew", ".dpkg-old", ".dpkg-dist", ".cfsaved")
"""Files of a directory that HTCondor does not read: the default of
LOCAL_CONFIG_DIR_EXCLUDE_REGEXP (C{src/condor_utils/param_info.in})."""


def readMapFile(
    path: str, hashKeys: bool = False, owners: Collection[int] | None = None
) -> MapFile:
    """
    Read a map file and what it includes.  Blocks.

    @param path: Its path.
    @param hashKeys: As for L{parse}.
    @param owners: For a daemon that goes by it, as for L{checkSafe}; L{None} for who only
        looks: others may be able to write it.
    @raise ConfigurationError: Something of it cannot be read, or is refused.
    """
    read = partial(_read, owners=owners)
    return parse(read(path), path, hashKeys, partial(_included, read=read))


def _included(path: str, read: Callable[[str], bytes]) -> list[tuple[str, bytes]]:
    """
    What C{@include} of a path stands for: the file, or the files of the directory in the
    order of their paths' bytes (HTCondor: C{get_config_dir_file_list} in
    C{src/condor_utils/condor_config.cpp}).
    """
    if not os.path.isdir(path):
        return [(path, read(path))]
    try:
        names = os.listdir(path)
    except OSError as e:
        raise ConfigurationError(f"{path} cannot be read: {e.strerror}.") from e
    paths = sorted((os.path.join(path, name) for name in names if _isRead(name)), key=os.fsencode)
    return [(found, read(found)) for found in paths if not os.path.isdir(found)]


def _isRead(name: str) -> bool:
    return not name.startswith(_IGNORED_BEGINNINGS) and not name.endswith(
        _IGNORED_SCRIPTS + _IGNORED_COPIES
    )


def _read(path: str, owners: Collection[int] | None) -> bytes:
    """
    @return: The contents of a file, to one byte more than it may have.
    @raise ConfigurationError: It cannot be read, or is no file, or not safe from others.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{path} cannot be read: it is no file.")
            if owners is not None:
                checkSafe(path, status, owners)
            return file.read(maplimits.FILE_BYTES + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from e
