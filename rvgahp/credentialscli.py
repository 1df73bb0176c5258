# -*- test-case-name: tests.test_credentialscli -*-
"""
C{rvgahp credentials}: an authority, host certificates and CE certificates from
the command line.  Layer 6; L{rvgahp.credentials}.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from rvgahp.certificates import CA_LIFETIME, LEAF_LIFETIME
from rvgahp.commandparser import addParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.commandparser import CommandParser, Commands

__all__ = ["addCommands"]

_LONGEST_DAYS = 36500

_ABOUT = """\
Make the keys and certificates by which proxy and CE know each other.

The proxy shows a host certificate, in which the CE looks for the name that it
dialled.  The CE shows a certificate with the name of its site.  Both are signed
by an authority (CA) that you make once:

  rvgahp credentials ca DIR                once, on a machine that you trust
  rvgahp credentials host DIR HOSTNAME     for the proxy; again before 90 days are over
  rvgahp credentials ce DIR SITE           for each site; again before 90 days are over

Whoever has ca.key can pass for any site and any proxy: keep DIR where it was
made, and give each machine no more than its own three files.
"""

_CA = """\
Make an authority: DIR/ca.crt, which proxies and CEs get, and DIR/ca.key, which
never leaves this machine.
"""

_HOST = """\
Make the credentials of a proxy: host.crt, host.key and ca.crt, signed by the
authority in DIR.  HOSTNAME is what CEs dial, their RVGAHP_BROKER_HOST.
"""

_CE = """\
Make the credentials of a site's CE: ce.crt, ce.key and ca.crt, signed by the
authority in DIR.  SITE is the name that stands in grid_resource.
"""


def addCommands(subparsers: Commands) -> None:
    """
    Hang C{credentials} under the C{rvgahp} command.  Each of its commands sets
    C{run}, a function that takes the parsed arguments, returns an exit status
    and raises L{rvgahp.errors.RvgahpError}.

    @param subparsers: What C{add_subparsers} returned.
    """
    credentials = addParser(
        subparsers,
        "credentials",
        "make certificates by hand, where sites do not enrol themselves",
        _ABOUT,
        page="credentials",
    )
    commands = credentials.add_subparsers(title="what to make", metavar="WHAT", required=True)
    _add(
        commands,
        "ca ~/rvgahp-ca",
        "an authority that signs the others",
        _CA,
        _makeCA,
        CA_LIFETIME,
    )
    host = _add(
        commands,
        "host ~/rvgahp-ca submit.example.org --out ~/for-the-proxy",
        "credentials of a proxy",
        _HOST,
        _makeHost,
        LEAF_LIFETIME,
    )
    host.add_argument("host", metavar="HOSTNAME", help="name or address that CEs dial")
    host.add_argument(
        "--address",
        metavar="IP",
        action="append",
        default=[],
        help="another address or name of the host; may be given more than once",
    )
    ce = _add(
        commands,
        "ce ~/rvgahp-ca alice@login.example.edu --out ~/for-the-site",
        "credentials of a site's CE",
        _CE,
        _makeCE,
        LEAF_LIFETIME,
    )
    ce.add_argument("site", metavar="SITE", help="name of the site")
    for parser in (host, ce):
        parser.add_argument(
            "--out", metavar="DIR", help="where the files go (default: the authority's directory)"
        )


def _add(
    commands: Commands,
    words: str,
    summary: str,
    about: str,
    run: Callable[[argparse.Namespace], int],
    lifetime: timedelta,
) -> CommandParser:
    """
    One command, with what all have in common.

    @param words: the example of it.
    """
    name, examples = words.split(maxsplit=1)[0], (f"rvgahp credentials {words}",)
    parser = addParser(commands, name, summary, about, examples=examples, page="credentials")
    parser.add_argument("directory", metavar="DIR", help="the authority's directory")
    parser.add_argument(
        "--days",
        type=_days,
        default=lifetime,
        metavar="N",
        help=f"for how long it is valid (default: {lifetime.days})",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace files that are there already"
    )
    parser.set_defaults(run=run)
    return parser


def _days(text: str) -> timedelta:
    """
    The type of C{--days}.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _LONGEST_DAYS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1 to {_LONGEST_DAYS}"
        )
    return timedelta(days=int(text))


def _makeCA(arguments: argparse.Namespace) -> int:
    """
    C{rvgahp credentials ca}.
    """
    from rvgahp.credentials import makeCA

    _tell(
        makeCA(arguments.directory, arguments.days, replace=arguments.replace),
        f"Next: rvgahp credentials host {arguments.directory} HOSTNAME",
        f"      rvgahp credentials ce {arguments.directory} SITE",
        "Keep ca.key on this machine: with it anyone can pass for any site and any proxy.",
    )
    return 0


def _makeHost(arguments: argparse.Namespace) -> int:
    """
    C{rvgahp credentials host}.
    """
    from rvgahp.credentials import makeHostCredentials

    _tell(
        makeHostCredentials(
            arguments.directory,
            arguments.host,
            arguments.address,
            arguments.out,
            arguments.days,
            replace=arguments.replace,
        ),
        f"Put host.crt, host.key and ca.crt on {arguments.host}, where RVGAHP_CERTFILE,",
        "RVGAHP_KEYFILE and RVGAHP_CAFILE say: by default beside HTCondor's configuration",
        "file, or in /etc/rvgahp where there is none.  host.key must belong to the proxy's",
        "account, and the directory, which is made for its owner alone, must let that account",
        "in: chown both.",
    )
    return 0


def _makeCE(arguments: argparse.Namespace) -> int:
    """
    C{rvgahp credentials ce}.
    """
    from rvgahp.credentials import makeCECredentials

    _tell(
        makeCECredentials(
            arguments.directory,
            arguments.site,
            arguments.out,
            arguments.days,
            replace=arguments.replace,
        ),
        f"Put ce.crt, ce.key, ca.crt and access into ~/.rvgahp at site {arguments.site}, beside",
        "condor_config.rvgahp; ce.key must be readable by the CE's account alone.  Write into",
        "access who may start GAHPs there: nobody may before that.",
    )
    return 0


def _tell(written: list[str], *advice: str) -> None:
    """
    Say what was written, and what to do with it.
    """
    for path in written:
        print(f"wrote {path}")
    print(*advice, sep="\n")
