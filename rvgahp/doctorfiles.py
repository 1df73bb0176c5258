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
from rvgahp.doctoraccount import readable
from rvgahp.doctorcase import Case
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import checkSafe, daemonAccounts
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.hostidentity import makeStateDirectory
from rvgahp.proxyenrolment import needsOwnCredentials
from rvgahp.separation import separationOf
from rvgahp.statussocket import statusPath
from rvgahp.tapoptions import DaemonOptions

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
    elif separationOf(case.settings, {}) is None:
        yield ok("map file", "not needed: all GAHPs run as the CE's own account")
        return
    yield ok("map file", f"{path} can be used" if path else "none is named")


def permissions(case: Case) -> Findings:
    """
    Who may read keys, and change what daemons go by.

    @raise RvgahpError: a directory is refused.
    """
    yield from _files(case)
    yield from readable(case)
    sockets = [statusPath(case.settings)]
    if case.settings.role == "proxy":
        yield from _stateDirectory(case)
        sockets.append(case.settings.get("RVGAHP_SOCKET"))
        sockets += case.settings.get("RVGAHP_SITE_SOCKETS").values()
    for directory in dict.fromkeys(os.path.dirname(path) for path in sockets if path):
        yield _socketDirectory(directory, case)


def _files(case: Case) -> Findings:
    """
    Files that are read whatever their permissions are; keys and access files are not.
    """
    get = case.settings.get
    own = [one.settings.get for one in case.proxies]
    wanted = [case.settings.configFile, *(one("RVGAHP_CERTFILE") for one in own)]
    wanted += [*(one("RVGAHP_CAFILE") for one in own), get("RVGAHP_CRLFILE")]
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
    for key in filter(os.path.exists, (one("RVGAHP_KEYFILE") for one in own)):
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


def _socketDirectory(directory: str, case: Case) -> Finding:
    if not os.path.isdir(directory):
        return wrong(
            "permissions",
            f"the directory {directory} is not there, in which sockets of the daemon are to be",
            f"make it, for the account of {case.daemon}: install -d -o ACCOUNT {directory}.",
        )
    if os.stat(directory).st_mode & _OTHERS:
        return warning(
            "permissions",
            f"the directory {directory} can be written by others, who could put a socket of theirs"
            " in the place of one of the daemon's",
            f"chmod go-w {directory}, or name a socket elsewhere.",
        )
    return ok("permissions", f"others can put no socket into {directory}")


def start(case: Case) -> Findings:
    """
    Whatever else a daemon looks at before it starts.

    @raise RvgahpError: it would not start.
    """
    if case.credentials is None and not needsOwnCredentials(case.settings):
        return  # that has been said
    options = _optionsOf(case.settings.role)
    options.settings, options.credentials = case.settings, case.credentials
    before = len(case.settings.notes)
    if case.settings.role == "ce":
        options.readCredentials()  # of all proxies
    options.check()
    for note in case.settings.notes[before:]:
        yield warning("start", note, "doc/messages.rst has the cause.")
    yield ok("start", f"{case.daemon} takes these settings and files")


def _optionsOf(role: str) -> DaemonOptions:
    if role == "proxy":
        from rvgahp import proxytap

        return proxytap.Options()
    from rvgahp import cetap

    return cetap.Options()
