# -*- test-case-name: tests.test_cli -*-
"""
C{rvgahp}: the command for people.

Layer 6.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from rvgahp import __version__
from rvgahp.commandparser import CommandParser, addParser, overview
from rvgahp.errors import RvgahpError
from rvgahp.screen import plain

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands

_ABOUT = """\
Reverse GAHP: HTCondor's gridmanager reaches sites that cannot be dialled.

"""

GROUPS = (
    ("try it on this machine", "demo sandbox"),
    ("take in a site", "invite join ce revoke credentials"),
    ("find out what is wrong", "doctor trace"),
    ("see and change what a daemon does", "status list kill drain resume reload"),
    ("see who may do what", "access map"),
    ("for your shell", "completion"),
)
"""All commands, by what one wants."""

_FURTHER = """\
'rvgahp COMMAND --help' has each command's words and an example.  The daemons are
twistd plugins: 'twistd rvgahp-proxy' on the submit host, 'twistd rvgahp-ce' at the
site; each has its own --help.  The gridmanager starts rvgahp_client.
"""

_EXAMPLES = (
    "rvgahp demo",
    "rvgahp invite alice@login.example.edu",
    "rvgahp trace --job alice@login.example.edu",
)

_SANDBOX = """\
Make throw-away credentials, start a proxy and a CE, and when the proxy has
accepted the CE print one line of JSON that tells where everything is.  It runs
until stdin ends or SIGTERM comes, and leaves no process behind.  In the
directory lie the configuration files, with the commands to start both by hand.
"""

_DEMO = """\
Run a real job through a throw-away proxy, CE and client on this machine, and
show each step as it happens.
"""


def _sandbox(arguments: argparse.Namespace) -> int:
    """
    Run a sandbox until stdin ends or a signal comes.
    """
    from rvgahp.sandbox import Sandbox, isReadable, parseAddress, parseGAHP

    wake = _wakeBySignals()
    sandbox = Sandbox(
        arguments.dir,
        arguments.port,
        dict(parseGAHP(word) for word in arguments.gahp),
        parseAddress(arguments.ce_connect) if arguments.ce_connect else None,
        interrupted=lambda: isReadable(wake),
    )
    with sandbox:
        print(json.dumps(sandbox.description()), flush=True)
        dead = _waitForEnd(wake, sandbox.deadDaemon)
    if dead:
        raise RvgahpError(f"{dead} ended by itself; the rest of the sandbox was stopped")
    return 0


def _wakeBySignals() -> int:
    """
    @return: a descriptor that becomes readable when we are to end.
    """
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(write, b"!"))
    return read


def _waitForEnd(wake: int, deadDaemon: object) -> str:
    """
    @return: the name of a daemon that ended by itself, or nothing.
    """
    assert callable(deadDaemon)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        for fd, _ in poll.poll(500):
            if fd == wake or not os.read(0, 4096):
                return ""
        dead = deadDaemon()
        if dead:
            return str(dead)


def _demo(arguments: argparse.Namespace) -> int:
    from rvgahp.demo import run

    return run(sys.stdout, _wakeBySignals())


def makeParser() -> CommandParser:
    """
    @return: the parser of the whole command.
    """
    parser = CommandParser(prog="rvgahp", usage="%(prog)s [-h] [--version] COMMAND ...")
    parser.add_argument("--version", action="version", version=f"rvgahp {__version__}")
    commands = parser.add_subparsers(
        prog="rvgahp", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    _addCommands(commands)
    parser.description = _ABOUT + overview(commands, GROUPS)
    parser.addEnd(_FURTHER, _EXAMPLES, "start")
    return parser


def _addCommands(commands: Commands) -> None:
    """
    Hang all commands under the C{rvgahp} command.
    """
    from rvgahp.accesscli import addCommand as addAccess
    from rvgahp.cecli import addCommand as addCE
    from rvgahp.completioncli import addCommand as addCompletion
    from rvgahp.credentialscli import addCommands as addCredentials
    from rvgahp.doctorcli import addCommand as addDoctor
    from rvgahp.enrolmentcli import addCommands as addEnrolment
    from rvgahp.mapcli import addCommand as addMap
    from rvgahp.reloadcli import addCommand as addReload
    from rvgahp.statuscli import addCommands as addStatus
    from rvgahp.tracecli import addCommand as addTrace

    _addPlayground(commands)
    for add in (addCredentials, addMap, addAccess, addStatus, addCE):
        add(commands)
    for addWaiting in (addTrace, addEnrolment, addReload, addDoctor):
        addWaiting(commands, _wakeBySignals)
    addCompletion(commands, makeParser)


def _addPlayground(commands: Commands) -> None:
    summary = "run a real job through proxy, CE and client, and show each step"
    demo = addParser(commands, "demo", summary, _DEMO, examples=("rvgahp demo",), page="start")
    demo.set_defaults(run=_demo)
    sandbox = addParser(
        commands,
        "sandbox",
        "a private playground: credentials, a proxy and a CE",
        _SANDBOX,
        examples=("rvgahp sandbox", "rvgahp sandbox --dir /tmp/play --gahp echo=/bin/cat"),
        page="start",
    )
    sandbox.add_argument("--dir", metavar="DIR", help="where its files go (default: temporary)")
    sandbox.add_argument(
        "--port", type=_port, default=0, metavar="N", help="the proxy's port (default: any)"
    )
    sandbox.add_argument(
        "--gahp",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="offer this GAHP too; may be given again",
    )
    sandbox.add_argument(
        "--ce-connect",
        metavar="HOST:PORT",
        help="what the CE dials in place of the proxy's address: a relay of yours",
    )
    sandbox.set_defaults(run=_sandbox)


def _port(word: str) -> int:
    if not word.isdecimal() or len(word) > 5 or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word[:80]!r} is no port: 0 to 65535")
    return int(word)


def main() -> int:
    """
    The program.
    """
    if sys.stdout is None:  # whoever has closed it wants to hear nothing
        sys.stdout = open(os.devnull, "w")
    arguments = makeParser().parse_args()
    try:
        return int(arguments.run(arguments))
    except RvgahpError as e:
        print(f"rvgahp: {plain(str(e))}", file=sys.stderr)  # perhaps in another's words
        return 1
    except OSError as e:
        what = f"{e.filename}: " if e.filename else ""
        print(f"rvgahp: {what}{e.strerror or e}", file=sys.stderr)
        _flushNoMore()
        return 1


def _flushNoMore() -> None:
    """
    If nothing can be printed, have Python not try again at the end, with a traceback.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
