# -*- test-case-name: tests.test_whole_status -*-
"""
C{rvgahp status}, C{list}, C{kill}, C{drain} and C{resume}.

Layer 6; L{rvgahp.statusclient}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rvgahp.commandparser import addParser
from rvgahp.errors import RvgahpError
from rvgahp.screen import Screen, plain

if TYPE_CHECKING:
    from rvgahp.commandparser import CommandParser, Commands

__all__ = ["Ask", "addCommands", "asking"]

Ask = Callable[..., Awaitable[dict[str, Any]]]

Command = Callable[[argparse.Namespace, Ask, Any], Awaitable[None]]

#: Characters of a session's id that have to be given: a slip is not to end anything.
_SHORTEST = 4

#: What makes a terminal empty.
_CLEAR = "\033[H\033[2J"

_STATUS = """\
Show what a daemon on this host does: what needs attention, the sites or the
proxy, the sessions, and how near the limits are.  It is the proxy that is
asked, or where none is, a CE.

You see what is yours; root, the daemon's account and its administrators
(RVGAHP_ADMINISTRATORS) see all.
"""

_LIST = "List the sessions that rvgahp status shows."

_KILL = """\
End a session: its GAHP is ended at the site, and its client and both logs are
told by whom, and why.  SESSION is its id, or the end of it that rvgahp list
shows.  You can end your own.
"""

_DRAIN = """\
Let nothing new be started: what is wanted is refused with a sentence, and
HTCondor tries again by itself.  What runs goes on.  It lasts until rvgahp
resume, or until the daemon is started again.
"""

_RESUME = "Take rvgahp drain back: for one site, or for all."


def addCommands(subparsers: Commands) -> None:
    """
    Hang the five under the C{rvgahp} command.

    @param subparsers: what C{add_subparsers} returned.
    """
    status = _add(
        subparsers,
        "status",
        "show what a daemon on this host does",
        _STATUS,
        "rvgahp status",
        "rvgahp status --watch",
    )
    status.set_defaults(run=partial(_run, _show), how="overview")
    list_ = _add(subparsers, "list", "list the sessions", _LIST, "rvgahp list")
    list_.set_defaults(run=partial(_run, _show), how="sessionTable")
    for parser in (status, list_):
        parser.add_argument("--json", action="store_true", help="for programs: all of it, as JSON")
        parser.add_argument(
            "--watch",
            metavar="SECONDS",
            nargs="?",
            type=_seconds,
            const=2.0,
            help="show it again and again (default: every 2 s)",
        )
    kill = _add(
        subparsers,
        "kill",
        "end a session",
        _KILL,
        "rvgahp kill 3f2a",
        "rvgahp kill 3f2a --reason 'the node goes down at noon'",
    )
    kill.add_argument("session", metavar="SESSION", help="its id, or the end of it")
    kill.add_argument("--reason", metavar="TEXT", default="", help="why, for those who are told")
    kill.set_defaults(run=partial(_run, _kill))
    drain = _add(
        subparsers,
        "drain",
        "let nothing new be started",
        _DRAIN,
        "rvgahp drain",
        "rvgahp drain alice@login.example.edu",
    )
    drain.set_defaults(run=partial(_run, _drain))
    resume = _add(subparsers, "resume", "take rvgahp drain back", _RESUME, "rvgahp resume")
    resume.set_defaults(run=partial(_run, _resume))
    for parser in (drain, resume):
        parser.add_argument("site", metavar="SITE", nargs="?", default="", help="(default: all)")


def _add(
    subparsers: Commands, name: str, summary: str, about: str, *examples: str
) -> CommandParser:
    parser = addParser(subparsers, name, summary, about, examples=examples, page="status")
    parser.add_argument(
        "--socket", metavar="PATH", help="the daemon's, as its RVGAHP_STATUS_SOCKET says"
    )
    return parser


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{word[:80]!r} is no time: 0.1 to 3600 seconds")
    return seconds


def _run(command: Command, arguments: argparse.Namespace) -> int:
    """
    @return: the exit status.
    @raise RvgahpError: the daemon does not answer, or refuses.
    """
    from rvgahp.statusclient import findStatusSocket

    return asking(findStatusSocket(arguments.socket), command, arguments)


def asking(path: str, command: Command, arguments: argparse.Namespace) -> int:
    """
    @param path: the daemon's socket.
    @return: the exit status.
    @raise RvgahpError: the daemon does not answer, or refuses.
    """
    from twisted.internet.task import react

    from rvgahp.statusclient import ask

    problems: list[RvgahpError] = []

    async def main(reactor: Any) -> None:
        try:
            await command(arguments, partial(ask, reactor, path), reactor)
        except RvgahpError as e:
            problems.append(e)
        except BrokenPipeError:
            # Who reads has seen enough; at the end Python would write there once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as e:
            problems.append(RvgahpError(f"it cannot be printed: {e.strerror}"))

    try:
        react(main, ())
    except SystemExit as e:
        if problems:
            raise problems[0] from None
        return int(e.code or 0)


async def _show(arguments: argparse.Namespace, ask: Ask, reactor: Any) -> None:
    from twisted.internet.task import deferLater

    from rvgahp import statustables

    screen = Screen(sys.stdout)
    show = getattr(statustables, arguments.how)
    while True:
        seen = await ask("GET", "/v1/status")
        lines = [json.dumps(seen)] if arguments.json else show(seen)
        if arguments.watch and not arguments.json and sys.stdout.isatty():
            print(_CLEAR, end="")
        for line in lines:
            screen.line(line)
        if not arguments.watch:
            return
        await deferLater(reactor, arguments.watch)


async def _kill(arguments: argparse.Namespace, ask: Ask, reactor: Any) -> None:
    if len(arguments.session) < _SHORTEST:
        raise RvgahpError(
            f"{plain(arguments.session)!r} is too short for the end of a session's id: give"
            f" {_SHORTEST} characters or more (rvgahp list)"
        )
    seen = await ask("GET", "/v1/status")
    names = [one["session"] for one in seen["sessions"]]
    found = [name for name in names if name.endswith(arguments.session)]
    if len(found) > 1:
        raise RvgahpError(
            f"{len(found)} sessions end with {plain(arguments.session)!r}; say more of the one that"
            " is meant (rvgahp list)"
        )
    session = found[0] if found else arguments.session
    answer = await ask("POST", "/v1/kill", {"session": session, "reason": arguments.reason})
    print(f"session {plain(answer['session'])} is ended at site {plain(answer['site'])}")


async def _drain(arguments: argparse.Namespace, ask: Ask, reactor: Any) -> None:
    answer = await ask("POST", "/v1/drain", {"site": arguments.site})
    print(f"draining: {plain(answer['draining'])}; rvgahp resume takes it back")


async def _resume(arguments: argparse.Namespace, ask: Ask, reactor: Any) -> None:
    answer = await ask("POST", "/v1/resume", {"site": arguments.site})
    still = "; all is drained still (rvgahp resume)" if answer["draining"] else ""
    print(f"resumed: {plain(answer['resumed'])}{still}")
