# -*- test-case-name: tests.test_mapcli -*-
"""
C{rvgahp map}: how an identity is mapped, and by which line.

Layer 6; L{rvgahp.mapreader}.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rvgahp.commandparser import addParser
from rvgahp.errors import NotAuthorized
from rvgahp.screen import Screen, plain

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands
    from rvgahp.mapfile import MapFile

__all__ = ["addCommand"]

_ABOUT = """\
Show which canonical name a map file gives an identity, and by which line.

PRINCIPAL is what METHOD proves:

  SSL         the certificate's subject as OpenSSL writes it, /DC=org/CN=alice
  FS          the name of the local account
  SCITOKENS   the token's issuer and subject with a comma between them
  KERBEROS    the Kerberos principal, alice@REALM

The first line of the answer is the name, the second is FILE:LINE: and the line that
decided, the first that matches.  Put what has blanks between quotes.
"""

_EPILOG = """\
--hash-keys is CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = True, as HTCondor-CE has it: what
is not written between slashes is a literal.  Without it each principal in the file is a
regular expression, which matches anywhere unless it has ^ and $.

'condor_config_val CERTIFICATE_MAPFILE' tells what HTCondor's file is; it is not read from
there.

Exit status: 0 if the identity has a name, 1 if it has none or the file is refused, 2 for
a mistake in the words.
"""


def addCommand(commands: Commands) -> None:
    """
    Hang C{map} under the C{rvgahp} command.

    @param commands: What C{add_subparsers} returned.
    """
    parser = addParser(
        commands,
        "map",
        "show how a map file maps an identity",
        _ABOUT,
        _EPILOG,
        examples=(
            "rvgahp map --file /etc/condor/mapfile FS alice",
            "rvgahp map --file /etc/condor/mapfile --hash-keys SSL '/DC=org/CN=alice'",
        ),
        page="mapping",
    )
    parser.add_argument("method", metavar="METHOD", help="SSL, FS, ...; case does not count")
    parser.add_argument("principal", metavar="PRINCIPAL", help="what the method proves")
    parser.add_argument("--file", metavar="PATH", required=True, help="the map file")
    parser.add_argument(
        "--hash-keys", action="store_true", help="principals are literals, or between slashes"
    )
    parser.add_argument(
        "--domain",
        metavar="UID_DOMAIN",
        default="",
        help="added to a name without @ (default: nothing is added)",
    )
    parser.set_defaults(run=_map)


def _map(arguments: argparse.Namespace) -> int:
    from rvgahp.authorizationlist import BANNED, parse
    from rvgahp.mapreader import readMapFile

    mapFile = readMapFile(arguments.file, arguments.hash_keys)
    match = mapFile.lookup(arguments.method, arguments.principal, arguments.domain)
    if match is None:
        raise NotAuthorized(_unmapped(mapFile, arguments))
    screen = Screen(sys.stdout)
    screen.line(plain(match.canonical))
    screen.line(plain(f"{match.path}:{match.number}: {match.text}"))
    entry = parse(BANNED, "BANNED").match(match.canonical, None)
    if entry is not None:
        screen.line(f"This name is banned, as one of {entry}.")
    return 0


def _unmapped(mapFile: MapFile, arguments: argparse.Namespace) -> str:
    """
    The sentence for an identity that no line has.
    """
    methods = mapFile.methods
    if arguments.method.upper() in methods:
        return (
            f"no line for {plain(arguments.method)} in {arguments.file}, and what it includes,"
            f" matches {plain(arguments.principal)}"
        )
    return (
        f"{arguments.file}, and what it includes, has no line for {plain(arguments.method)};"
        f" it has {', '.join(sorted(methods)) or 'none at all'}"
    )
