# -*- test-case-name: tests.test_accesscli -*-
"""
C{rvgahp access}: whether somebody may do something, and by which rule.

Layer 6; L{rvgahp.accessreader}.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rvgahp.commandparser import addParser
from rvgahp.errors import RvgahpError
from rvgahp.screen import Screen, plain

if TYPE_CHECKING:
    from rvgahp.accessrules import AccessRules, Subject
    from rvgahp.commandparser import Commands

__all__ = ["addCommand"]

_ABOUT = """\
Show whether an access file lets somebody do something, and by which rule.

LEVEL is what he wants to do, and WHO is his canonical name, user@domain:

  REGISTER  a CE registers a site at the proxy.  --site names it; WHO is NAME@site.rvgahp
            for one whose certificate names its site.
  START     a user starts a GAHP.  With --site it is asked whether the proxy lets a user of
            its host do so there; without, whether the CE of this site does.

The first line of the answer is allowed or refused, the second is FILE:LINE: and the rule
that decided, or why none does.
"""

_EPILOG = """\
Which of the proxy's built-in rules allow a START is not known here: they are for the owner
of a site that has been enrolled, for root, and for the account that the proxy runs as.

Exit status: 0 if he may, 1 if he may not or the file is refused, 2 for a mistake in the
words.
"""


def addCommand(commands: Commands) -> None:
    """
    Hang C{access} under the C{rvgahp} command.

    @param commands: What C{add_subparsers} returned.
    """
    parser = addParser(
        commands,
        "access",
        "show whether the access rules let somebody do something",
        _ABOUT,
        _EPILOG,
        examples=(
            "rvgahp access START alice@submit.example.org --site hpc.example.edu",
            "rvgahp access START alice@submit.example.org --file ~/.rvgahp/access",
        ),
        page="access",
    )
    parser.add_argument("level", metavar="LEVEL", choices=("REGISTER", "START"), help="what")
    parser.add_argument("who", metavar="WHO", help="the canonical name, user@domain")
    parser.add_argument(
        "--from",
        dest="address",
        metavar="ADDRESS",
        help="the IP address from which he comes (default: a user of the proxy's host)",
    )
    parser.add_argument("--site", metavar="SITE", help="the site, of a proxy's file")
    parser.add_argument("--gahp", metavar="GAHP", default="blahpd", help="default: blahpd")
    parser.add_argument(
        "--account",
        metavar="ACCOUNT",
        default="",
        help="that he asks for, or as which the CE would start the GAHP (default: none asked"
        " for; of a CE, yours)",
    )
    parser.add_argument(
        "--file", metavar="PATH", help="the access file (default: the one of the configuration)"
    )
    parser.set_defaults(run=_access, refuse=parser.error)


def _access(arguments: argparse.Namespace) -> int:
    from rvgahp.accessreader import SETTING, readAccessFile
    from rvgahp.accessrules import CE, PROXY, REGISTER
    from rvgahp.accountnames import ownAccount
    from rvgahp.names import siteName
    from rvgahp.settings import load

    screen = Screen(sys.stdout)
    if arguments.level == REGISTER and not arguments.site:
        arguments.refuse("REGISTER needs --site")
    role = PROXY if arguments.site else CE
    rules, notes = readAccessFile(arguments.file or load(role, None).get(SETTING), role)
    things = {"gahp": arguments.gahp, "account": arguments.account}
    if role == PROXY:
        things["site"] = arguments.site
    else:
        things["account"] = arguments.account or ownAccount()
    isOwn = arguments.level == REGISTER and arguments.who == siteName(arguments.site)
    builtIn = "the site of its certificate" if isOwn else None
    decision = rules.decide(arguments.level, _subject(arguments, rules), things, builtIn)
    screen.line("allowed" if decision.isAllowed else "refused")
    screen.line(plain(decision.rule or decision.refusal))
    for note in notes:
        screen.line(plain(note))
    return 0 if decision.isAllowed else 1


def _subject(arguments: argparse.Namespace, rules: AccessRules) -> Subject:
    """
    @raise RvgahpError: The address is none.
    """
    from rvgahp import maplimits
    from rvgahp.accessrules import Subject
    from rvgahp.addresspattern import toAddress
    from rvgahp.lookups import namesOf

    address = arguments.address
    if address is None:
        return Subject(arguments.who)
    try:
        toAddress(address)
    except ValueError:
        raise RvgahpError(f"{plain(address)} is no IP address") from None
    names: tuple[str, ...] = ()
    if rules.needsNames(arguments.level):
        try:
            names = namesOf(address, maplimits.PEER_LOOKUP_TIMEOUT)
        except OSError:
            pass  # a daemon takes it for one without a name, too
    return Subject(arguments.who, address, names)
