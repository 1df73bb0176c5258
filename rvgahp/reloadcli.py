# -*- test-case-name: tests.test_reloadcli -*-
"""
C{rvgahp reload}: a daemon reads its files again.

Layer 6; L{rvgahp.inquiry}.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rvgahp.commandparser import addParser
from rvgahp.errors import ConfigurationError, RvgahpError
from rvgahp.names import CE_FILE
from rvgahp.screen import plain

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands
    from rvgahp.statuscli import Ask

__all__ = ["addCommand"]

#: What the command line of a CE has in it.
_CE = b"rvgahp-ce"

#: What a CE has; one that has not says so with these words.
_PATH = "/v1/reload"

_ABOUT = """\
Have a daemon read its configuration again, and all files that it names: access
rules, maps, certificates, authorities, revocation lists, limits.  Nothing that
runs is disturbed, except what may not run any more: it is ended, and those who
are at it are told why.  If anything is wrong with one file, everything stays as
it was, and the exit status is 1.

Without words it is the proxy of this host, which root and the proxy's account
may reload; with --ce it is a CE of this host, which root, its account and its
administrators (RVGAHP_ADMINISTRATORS) may.  What has changed is printed.
With --pidfile a CE is only sent SIGHUP, and its log says what came of it.
"""


def addCommand(subparsers: Commands, wake: Callable[[], int]) -> None:
    """
    Hang C{reload} under the C{rvgahp} command.

    @param subparsers: what C{add_subparsers} returned.
    @param wake: makes a descriptor that becomes readable when we are to end.
    """
    parser = addParser(
        subparsers,
        "reload",
        "have a daemon read its files again",
        _ABOUT,
        examples=("rvgahp reload", "rvgahp reload --ce"),
        page="settings",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--socket", metavar="PATH", help="the proxy's, as for rvgahp_client")
    which.add_argument(
        "--ce",
        metavar="FILE",
        nargs="?",
        const=CE_FILE,
        help=f"a CE, by its condor_config (default: {CE_FILE})",
    )
    which.add_argument("--pidfile", metavar="FILE", help="of a CE that runs on this host")
    parser.set_defaults(run=lambda arguments: _reload(arguments, wake))


def _reload(arguments: argparse.Namespace, wake: Callable[[], int]) -> int:
    if arguments.pidfile is not None:
        return _signal(arguments.pidfile)
    if arguments.ce is not None:
        return _reloadCE(arguments)
    from rvgahp import limits, localcommands
    from rvgahp.inquiry import askProxy

    answer = askProxy(arguments.socket, wake, limits.RELOAD_TIMEOUT, localcommands.Reload)
    if not answer["problems"]:
        _tell(answer["changes"])
    for problem in answer["problems"]:
        print(f"rvgahp: nothing was changed: {problem}", file=sys.stderr)
    return 1 if answer["problems"] else 0


def _tell(changes: Sequence[str]) -> None:
    for change in changes or ("read again; nothing is new",):
        print(plain(change))


def _reloadCE(arguments: argparse.Namespace) -> int:
    """
    @raise RvgahpError: the CE does not answer, or refuses.
    """
    from rvgahp.statuscli import asking

    return asking(_socketOf(os.path.expanduser(arguments.ce)), _askCE, arguments)


async def _askCE(arguments: argparse.Namespace, ask: Ask, reactor: object) -> None:
    from rvgahp import limits

    try:
        answer = await ask("POST", _PATH, timeout=limits.RELOAD_TIMEOUT)
    except RvgahpError as e:
        if _PATH not in str(e):
            raise
        raise RvgahpError(
            "the CE that runs is older than this rvgahp, and cannot be told so: start it again, or"
            " send it SIGHUP"
        ) from None
    _tell(answer["changes"])


def _socketOf(config: str) -> str:
    """
    @param config: a CE's configuration file, which may be broken.
    @return: where it is asked.
    @raise ConfigurationError: that is not known.
    """
    from rvgahp.settings import load
    from rvgahp.statussocket import defaultPath, statusPath

    path = defaultPath(os.path.abspath(config))
    if os.path.exists(config) and os.stat(config).st_uid not in (0, os.geteuid()):
        return path  # it is not read: the commands that it includes would run as us
    try:
        return statusPath(load("ce", os.path.abspath(config)))
    except ConfigurationError:
        if not os.path.exists(path):
            raise
        return path  # the CE says what is wrong, and its log has it, too


def _signal(pidfile: str) -> int:
    """
    @raise RvgahpError: no CE runs with this pid file.
    """
    try:
        with open(pidfile) as file:
            pid = int(file.read(32))
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (ValueError, FileNotFoundError, ProcessLookupError):
        raise RvgahpError(f"no CE runs with the pid file {pidfile}") from None
    if _CE not in words:
        raise RvgahpError(f"process {pid}, of the pid file {pidfile}, is no rvgahp-ce")
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise RvgahpError(f"process {pid} is another account's: ask that one, or root") from None
    print(f"rvgahp-ce, process {pid}, was told to; its log says what came of it")
    return 0
