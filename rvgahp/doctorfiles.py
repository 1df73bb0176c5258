# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: who may do what, by the access file, the map file, and by the permissions
of all files.

Layer 6; the files are read as the daemons read them.
"""

from __future__ import annotations

import os
import stat

from rvgahp.accessreader import readAccessRules
from rvgahp.accountnames import accountName
from rvgahp.canonicalnames import loadNames
from rvgahp.doctorcase import Case
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import checkSafe, daemonAccounts
from rvgahp.findings import Findings, ok, warning, wrong
from rvgahp.hostidentity import makeStateDirectory
from rvgahp.separation import separationOf
from rvgahp.statussocket import statusPath

__all__ = ["access", "map_", "permissions", "start"]

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def access(case: Case) -> Findings:
    """
    The access file.

    @raise ConfigurationError: it is refused.
    """
    rules, notes = readAccessRules(case.settings)
    for note in notes:
        yield warning("access file", note, "mend the file, and say rvgahp reload.")
    if rules.isThere:
        yield ok("access file", f"{rules.path} has rules for {', '.join(rules.levels()) or 'none'}")
    elif not notes:
        yield ok("access file", f"there is none ({rules.path}): only owners use their own sites")


def map_(case: Case) -> Findings:
    """
    The map file.

    @raise ConfigurationError: it is refused, or a CE has no account that it could become.
    """
    path = case.settings.get("CERTIFICATE_MAPFILE")
    if case.settings.role == "proxy":
        loadNames(case.settings)
    elif separationOf(case.settings, "", {}) is None:
        yield ok("map file", "not needed: all GAHPs run as the CE's own account")
        return
    yield ok("map file", f"{path} can be used" if path else "none is named")


def permissions(case: Case) -> Findings:
    """
    Who may read keys, and change what daemons go by.

    @raise RvgahpError: a directory is refused.
    """
    yield from _files(case)
    if case.settings.role == "proxy":
        yield from _stateDirectory(case)
        yield from _socketDirectory(case.settings.get("RVGAHP_SOCKET"), case)
        for path in case.settings.get("RVGAHP_SITE_SOCKETS").values():
            yield from _socketDirectory(path, case)
    if path := statusPath(case.settings):
        yield from _socketDirectory(path, case)


def _files(case: Case) -> Findings:
    """
    Files that are read whatever their permissions are; keys and access files are not.
    """
    get = case.settings.get
    wanted = [case.settings.configFile, get("RVGAHP_CERTFILE"), get("RVGAHP_CAFILE")]
    wanted += [get("RVGAHP_CRLFILE")]
    paths = [path for path in wanted if path and os.path.exists(path)]
    isSafe = True
    for path in paths:
        try:
            checkSafe(path, os.stat(path), None)
        except ConfigurationError as e:
            isSafe = False
            yield warning(
                "permissions",
                str(e),
                "else others decide what the daemon does, and whom it believes.",
            )
    if isSafe and paths:
        yield ok("permissions", f"only their owners can write {', '.join(paths)}")
    key = get("RVGAHP_KEYFILE")
    if os.path.exists(key):
        owner = os.stat(key).st_uid
        if owner not in daemonAccounts(case.settings):
            yield warning(
                "permissions",
                f"the key {key} is of {accountName(owner)}",
                f"chown it to the account of {case.daemon}, or run rvgahp doctor as that one.",
            )


def _stateDirectory(case: Case) -> Findings:
    path = case.settings.get("RVGAHP_STATE_DIR")
    if not os.path.isdir(path):
        yield ok("permissions", f"{path} (RVGAHP_STATE_DIR) is not there yet; the proxy makes it")
        return
    owner = os.stat(path).st_uid
    isOurs = owner in daemonAccounts(case.settings)
    makeStateDirectory(path, owner if isOurs else os.geteuid(), -1)  # it is there: only looked at
    yield ok("permissions", f"{path} (RVGAHP_STATE_DIR) is {accountName(owner)}'s alone")


def _socketDirectory(path: str, case: Case) -> Findings:
    directory = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(directory):
        yield wrong(
            "permissions",
            f"the directory {directory} is not there, in which the socket {path} is to be",
            f"make it, for the account of {case.daemon}: install -d -o ACCOUNT {directory}.",
        )
    elif os.stat(directory).st_mode & _OTHERS:
        yield warning(
            "permissions",
            f"the directory {directory} can be written by others, who could put a socket of theirs"
            f" in the place of {path}",
            f"chmod go-w {directory}, or name a socket elsewhere.",
        )
    else:
        yield ok("permissions", f"others can put no socket in the place of {path}")


def start(case: Case) -> Findings:
    """
    Whatever else a daemon looks at before it starts.

    @raise RvgahpError: it would not start.
    """
    if case.settings.role == "proxy":
        from rvgahp.proxytap import Options
    else:
        from rvgahp.cetap import Options  # type: ignore[assignment]
    if case.credentials is None and case.settings.role == "ce":
        return  # that has been said
    options = Options()
    options.settings, options.credentials = case.settings, case.credentials
    before = len(case.settings.notes)
    options.check()
    for note in case.settings.notes[before:]:
        yield warning("start", note, "doc/messages.rst has the cause.")
    yield ok("start", f"{case.daemon} takes these settings and files")
