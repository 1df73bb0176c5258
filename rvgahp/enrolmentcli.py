# -*- test-case-name: tests.test_enrolmentcli -*-
"""
C{rvgahp invite}, C{join} and C{revoke}: the words of the commands, and what they print.

Layer 6; L{rvgahp.join}, L{rvgahp.inquiry}.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rvgahp.commandparser import addParser

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands
    from rvgahp.join import Joined

__all__ = ["addCommands"]

_DIRECTORY = "~/.rvgahp"

_INVITE = """\
Invite a site to this host's proxy.  SITE is the name that will stand in
grid_resource: that of the login host for all its users, or USER@HOST for
yours alone.

The code that is printed is given to rvgahp join at the site.  It works once,
for an hour.  Whoever has it can be that site, so let nobody else see it.  The
site's owner is who has invited it: the CE there starts GAHPs for nobody else,
unless its file ~/.rvgahp/access is changed.
"""

_JOIN = """\
At the site, as the account that jobs are to run as: get what the CE needs to
be let in by the proxy, with a code of rvgahp invite.  Without CODE it is asked
for, so that it does not stand in the list of processes.

Written are ce.key and ce.crt, ca.crt, condor_config.rvgahp and access.  None
is replaced unasked.  With --replace a site that is enrolled anew under the
same name keeps condor_config.rvgahp and access.

With --as the CE that is there gets one proxy more, by a name of your choice:
its credentials go to proxies/NAME, and a few lines are added to
condor_config.rvgahp and access.  What is there is kept.

If it was interrupted, give the same command again: the code works for an hour
for the key that was made here, and for no other.
"""

_REVOKE = """\
Shut a site out.  What runs there is ended at once, its jobs' GAHPs are told
why, and it is not let in again until it is invited again.  You can revoke
what you have invited; root and the proxy's account can revoke all.
"""


def addCommands(subparsers: Commands, wake: Callable[[], int]) -> None:
    """
    Hang the three under the C{rvgahp} command.

    @param subparsers: what C{add_subparsers} returned.
    @param wake: makes a descriptor that becomes readable when we are to end.
    """
    invite = addParser(
        subparsers,
        "invite",
        "on the submit host: let a site enrol itself",
        _INVITE,
        examples=("rvgahp invite alice@login.example.edu",),
        page="enrolment",
    )
    invite.set_defaults(run=lambda arguments: _invite(arguments, wake))
    join = addParser(
        subparsers,
        "join",
        "at the site: enrol it with a code of rvgahp invite",
        _JOIN,
        examples=(
            "rvgahp join submit.example.org:41000/4S1GDR-M2XA36-9RN1MD-...",
            "rvgahp join --as physics submit.physics.example.org:41000/7T2KQ9-...",
        ),
        page="enrolment",
    )
    join.set_defaults(run=_join)
    revoke = addParser(
        subparsers,
        "revoke",
        "on the submit host: shut a site out that was enrolled",
        _REVOKE,
        examples=("rvgahp revoke alice@login.example.edu",),
        page="enrolment",
    )
    revoke.set_defaults(run=lambda arguments: _revoke(arguments, wake))
    for parser in (invite, revoke):
        parser.add_argument("site", metavar="SITE", help="name of the site")
        parser.add_argument("--socket", metavar="PATH", help="the proxy's, as for rvgahp_client")
    join.add_argument("code", metavar="CODE", nargs="?", help="what rvgahp invite has printed")
    join.add_argument(
        "--dir",
        metavar="DIR",
        default=_DIRECTORY,
        help=f"where the files go (default: {_DIRECTORY})",
    )
    join.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="one proxy more for the CE that is there, by this name",
    )
    join.add_argument("--replace", action="store_true", help="replace files that are there already")
    join.add_argument(
        "--connect-to",
        metavar="HOST:PORT",
        type=_hostPorts,
        default=(),
        help="what to dial in place of the code's host and port, now and later",
    )
    join.add_argument(
        "--connect-through",
        metavar="URL",
        type=_gateway,
        help="an HTTP proxy or SOCKS server to dial through, now and later",
    )
    join.add_argument(
        "--connect-through-credentials",
        metavar="FILE",
        default="",
        help="file with the line USER:PASSWORD for that one",
    )


def _hostPorts(word: str) -> tuple[tuple[str, int], ...]:
    """
    The type of C{--connect-to}.
    """
    from rvgahp.listkinds import HOST_PORTS

    try:
        places: tuple[tuple[str, int], ...] = HOST_PORTS.parse(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word[:80]!a} is not {HOST_PORTS.allowed}") from None
    return places


def _gateway(word: str) -> tuple[str, str, int]:
    """
    The type of C{--connect-through}.
    """
    from rvgahp.settingkinds import GATEWAY

    try:
        gateway: tuple[str, str, int] = GATEWAY.parse(word)
    except ValueError:  # without the word: there may be a password in it
        raise argparse.ArgumentTypeError(f"it must be {GATEWAY.allowed}") from None
    return gateway


def _invite(arguments: argparse.Namespace, wake: Callable[[], int]) -> int:
    from rvgahp import limits, localcommands
    from rvgahp.inquiry import askProxy

    limit, command = limits.CALL_TIMEOUT, localcommands.Invite
    answer = askProxy(arguments.socket, wake, limit, command, site=arguments.site)
    until = time.strftime("%H:%M", time.localtime(time.time() + answer["seconds"]))
    print(
        f"This lets in site {arguments.site}, once, until {until}.  At the site, as the account",
        "that jobs are to run as:",
        "",
        f"    rvgahp join {answer['code']}",
        "",
        "Let nobody else see it.",
        sep="\n",
    )
    return 0


def _revoke(arguments: argparse.Namespace, wake: Callable[[], int]) -> int:
    from rvgahp import limits, localcommands
    from rvgahp.inquiry import askProxy

    limit, command = 2 * limits.CALL_TIMEOUT, localcommands.Revoke
    answer = askProxy(arguments.socket, wake, limit, command, site=arguments.site)
    print(
        f"Site {arguments.site} is revoked; {answer['ended']} GAHPs were ended.  To let it in"
        f" again: rvgahp invite {arguments.site}"
    )
    return 0


def _join(arguments: argparse.Namespace) -> int:
    from rvgahp.errors import RvgahpError
    from rvgahp.invitecode import InviteCode
    from rvgahp.join import join
    from rvgahp.joinfurther import FurtherProxy
    from rvgahp.joinroute import Route

    path = os.path.abspath(os.path.expanduser(arguments.dir))
    file = arguments.connect_through_credentials
    route = Route(
        arguments.connect_to,
        arguments.connect_through,
        file and os.path.abspath(os.path.expanduser(file)),
    )
    try:
        code = InviteCode.decode(arguments.code or input("Code: "))
        further = FurtherProxy(path, arguments.name) if arguments.name is not None else None
        joined = join(code, path, route, replace=arguments.replace, further=further)
    except KeyboardInterrupt:
        raise RvgahpError("interrupted; the same command may be given again") from None
    except EOFError:
        raise RvgahpError("no code was given") from None
    if further is None:
        _tell(joined, path)
    else:
        _tellFurther(joined, further.name, path)
    return 0


def _tellFiles(joined: Joined) -> None:
    for name in joined.written:
        print(f"wrote {name}")
    for name in joined.kept:
        print(f"kept {name}: see that it still fits")


def _tellFurther(joined: Joined, name: str, path: str) -> None:
    """
    Say what was done for one proxy more, and what is to be done.
    """
    from rvgahp.serviceunits import typed

    _tellFiles(joined)
    isUsual = path == os.path.expanduser(_DIRECTORY)
    file = "" if isUsual else f"={shlex.quote(path)}/condor_config.rvgahp"
    print(
        f"This is site {joined.site} for the proxy {name}, too, and there for {joined.owner}.  The",
        f"certificate is good until {joined.ends:%Y-%m-%d %H:%M} UTC, and is renewed by itself.",
        "Have the CE read its files again, and it serves that one as well; what runs goes on:",
        "",
        f"    {typed('rvgahp')} reload --ce{file}",
        "",
        "Rules of the access file without a host believe each proxy what it says of owners.",
        sep="\n",
    )


def _tell(joined: Joined, path: str) -> None:
    """
    Say what was done, and what is to be done.
    """
    from rvgahp.serviceunits import typed

    _tellFiles(joined)
    isUsual = path == os.path.expanduser(_DIRECTORY)
    place = shlex.quote(path)
    option = "" if isUsual else f" --config {place}/condor_config.rvgahp"
    print(
        f"This is site {joined.site} now, for {joined.owner}.  The certificate is good until",
        f"{joined.ends:%Y-%m-%d %H:%M} UTC, and is renewed by itself while the CE runs.  See to",
        f"the programs in {place}/condor_config.rvgahp, then start the CE:",
        "",
        f"    {typed('twistd')} --pidfile={place}/ce.pid --logfile={place}/ce.log"
        f" rvgahp-ce{option}",
        "",
        "or have this machine keep it running:",
        "",
        f"    {typed('rvgahp')} ce install{option}",
        sep="\n",
        file=sys.stdout,
    )
