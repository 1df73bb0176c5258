# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: the words of the command, and what it prints.

Layer 6; L{rvgahp.doctor}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from rvgahp.commandparser import addParser
from rvgahp.errors import RvgahpError
from rvgahp.screen import BOLD, GREEN, RED, Screen, plain

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands
    from rvgahp.findings import Finding

__all__ = ["addCommand"]

_ABOUT = """\
Look at a proxy or a CE on this machine: software, settings and where they come
from, clock, names, certificates and their dates, permissions, ports, GAHPs and
what they answer, batch system, and the daemon itself.  It reads what the daemon
reads, by the daemon's own code, and changes nothing.

Each line is ok, warning or WRONG; where it is not ok, what to do stands below.
Run it as the daemon's account, or as root.
"""

_EPILOG = """\
With --json there is one list of objects:

  {"name": WHAT, "level": "ok" | "warning" | "wrong", "sentence": S, "remedy": R}

Exit status: 0 if nothing is wrong, 1 if something is, 2 for a mistake in the words.
"""

_PAINTED = {"ok": ("ok", GREEN), "warning": ("warning", BOLD), "wrong": ("WRONG", RED)}


def addCommand(commands: Commands, wake: Callable[[], int]) -> None:
    """
    Hang C{doctor} under the C{rvgahp} command.

    @param commands: what C{add_subparsers} returned.
    @param wake: makes a descriptor that becomes readable when we are to end.
    """
    parser = addParser(
        commands,
        "doctor",
        "look for what is wrong with the proxy or CE of this machine",
        _ABOUT,
        _EPILOG,
        examples=(
            "rvgahp doctor",
            "rvgahp doctor --role ce --config ~/.rvgahp/condor_config.rvgahp",
        ),
        page="doctor",
    )
    parser.add_argument(
        "--role", choices=("proxy", "ce"), help="which daemon (default: the one that is here)"
    )
    parser.add_argument("--config", metavar="FILE", help="its condor_config, as for twistd")
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")
    parser.set_defaults(run=lambda arguments: _doctor(parser, arguments, wake))


def _doctor(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, wake: Callable[[], int]
) -> int:
    from rvgahp.doctor import examine
    from rvgahp.doctorcase import choose
    from rvgahp.patience import Patience

    if arguments.config == "":
        parser.error("--config needs the path of a file")
    try:
        choice = choose(arguments.role, arguments.config)
    except RvgahpError as e:
        parser.error(plain(str(e)))
    screen = None if arguments.json else Screen(sys.stdout)
    findings = []
    for finding in examine(choice, Patience(wake())):
        findings.append(finding)
        if screen is not None:
            show(finding, screen)
    if screen is not None:
        summary(findings, choice.role, screen)
    else:
        _asJSON(findings, sys.stdout)
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def show(finding: Finding, screen: Screen) -> None:
    """
    Print one, for people.
    """
    word, how = _PAINTED[finding.level]
    label = screen.paint(f"{word:<7}", how)
    screen.line(f"{label}  {plain(finding.name)}: {plain(finding.sentence)}")
    if finding.remedy:
        screen.line(f"{'':9}remedy: {plain(finding.remedy)}")


def summary(findings: list[Finding], role: str, screen: Screen) -> None:
    """
    The last line.
    """
    count = Counter(finding.level for finding in findings)
    words = f"rvgahp-{role}: {count['wrong']} wrong, {count['warning']} to be looked at,"
    how = RED if count["wrong"] else GREEN
    screen.line(screen.paint(f"{words} {count['ok']} ok", how))


def _asJSON(findings: list[Finding], output: TextIO) -> None:
    print(
        json.dumps([{name: plain(text) for name, text in vars(one).items()} for one in findings]),
        file=output,
    )
