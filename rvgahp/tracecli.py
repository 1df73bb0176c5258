# -*- test-case-name: tests.test_tracecli -*-
"""
C{rvgahp trace}: the words of the command, and what it prints.

Layer 6; L{rvgahp.tracesteps}.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from rvgahp.commandparser import addParser
from rvgahp.screen import BOLD, GREEN, RED, Screen, plain

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands
    from rvgahp.trace import Result

_ABOUT = """\
Take the way of the gridmanager to a site, step by step, and show what is seen at each:

  settings   where the proxy's socket and rvgahp_client are
  socket     who listens there
  proxy      what it is, and whom it takes you for
  site       since when and from where the site is connected
  policy     the site's identity, and what both policies lead to
  gahp       rvgahp_client starts the GAHP, and its banner comes
  commands   what the GAHP can do
  ping       whether it can use the batch system
  files      where the site offers condor_ft-gahp: it is started too
  tunnel     the port at the site for its connections, and where they lead
  passage    a connection from that port comes here, and an answer goes back
  guard      one that asks for another daemon is refused
  job        with --job: a small job, from the submit to its output

The first step that fails is shown at once, with what to do.  Run it as the user who has
the trouble.  What is waited for has a limit, and is shown after one second.
"""

_EPILOG = """\
With --json each line is an object, written when it happens:

  {"step": S, "state": "running"}                         S begins
  {"step": S, "state": "running", "fact": N, "value": V}  something was seen
  {"step": S, "state": "running", "waitingFor": W, "limit": SECONDS}
  {"step": S, "state": "ok" | "failed" | "skipped", "seconds": SECONDS,
   "facts": {N: V, ...}, "reason": R, "remedy": R}        S is over
  {"result": "ok" | "failed", "failed": S | null, "seconds": SECONDS}   the last line

reason stands where a step failed or was skipped, remedy where it failed.

Exit status: 0 if no step failed, 1 if one did, 2 for a mistake in the words.
"""


class Plain:
    """
    Tells people.
    """

    def __init__(self, output: TextIO) -> None:
        self._screen = Screen(output)
        self._step = ""

    def began(self, step: str) -> None:
        self._step = step
        self._screen.line(self._screen.paint(step, BOLD))

    def saw(self, step: str, name: str, value: Any) -> None:
        self._fact(name, " ".join(value) if isinstance(value, list) else str(value))

    def waits(self, step: str, what: str, limit: float) -> None:
        self._fact("...", f"waiting for {what}, {limit:g} s at the most")

    def ended(self, result: Result) -> None:
        if result.state == "ok":
            self._fact("ok", f"{result.seconds:.2f} s", GREEN)
        elif result.state == "failed":
            self._fact("FAILED", result.reason, RED)
            self._fact("remedy", result.remedy, BOLD)
        elif result.step == self._step:
            self._fact("skipped", result.reason)

    def summary(self, failed: Result | None, seconds: float) -> None:
        """
        The end.
        """
        if failed is None:
            text, how = f"No step failed; it took {seconds:.1f} s.", GREEN
        else:
            text, how = f"Step {failed.step} failed after {seconds:.1f} s.", RED
        self._screen.line(self._screen.paint(text, how))

    def _fact(self, name: str, text: str, how: str = "") -> None:
        label = f"{plain(name):<10}"
        self._screen.line(f"  {self._screen.paint(label, how) if how else label} {plain(text)}")


class Lines:
    """
    Tells machines.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def began(self, step: str) -> None:
        self._write(step=step, state="running")

    def saw(self, step: str, name: str, value: Any) -> None:
        self._write(step=step, state="running", fact=name, value=value)

    def waits(self, step: str, what: str, limit: float) -> None:
        self._write(step=step, state="running", waitingFor=what, limit=limit)

    def ended(self, result: Result) -> None:
        words = {"reason": result.reason, "remedy": result.remedy}
        self._write(
            step=result.step,
            state=result.state,
            seconds=round(result.seconds, 3),
            facts=result.facts,
            **{name: text for name, text in words.items() if text},
        )

    def summary(self, failed: Result | None, seconds: float) -> None:
        """
        The end.
        """
        self._write(
            result="failed" if failed else "ok",
            failed=failed.step if failed else None,
            seconds=round(seconds, 3),
        )

    def _write(self, **values: Any) -> None:
        print(json.dumps(values), file=self._output, flush=True)


def addCommand(commands: Commands, wake: Callable[[], int]) -> None:
    """
    Hang C{trace} under the C{rvgahp} command.

    @param commands: what C{add_subparsers} returned.
    @param wake: makes a descriptor that becomes readable when we are to end.
    """
    parser = addParser(
        commands,
        "trace",
        "follow the way to a site step by step, to the first that fails",
        _ABOUT,
        _EPILOG,
        examples=(
            "rvgahp trace alice@login.example.edu",
            "rvgahp trace --lrms slurm --job alice@login.example.edu",
        ),
        page="trace",
    )
    parser.add_argument("place", metavar="[user@]SITE", help="as it stands in grid_resource")
    parser.add_argument("--socket", metavar="PATH", help="the proxy's, as for rvgahp_client")
    parser.add_argument("--gahp", metavar="NAME", default="blahpd", help="default: blahpd")
    parser.add_argument(
        "--lrms",
        metavar="NAME",
        type=_lrms,
        help="the batch system for ping and job: the word after 'batch' in grid_resource"
        " (default: fork, where the GAHP is rvgahp's own)",
    )
    parser.add_argument("--job", action="store_true", help="run a test job too")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each event")
    parser.set_defaults(run=lambda arguments: _trace(parser, arguments, wake))


def _lrms(word: str) -> str:
    """
    The type of C{--lrms}: it stands in a file's name at the site, and in a ClassAd.
    """
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", word):
        raise argparse.ArgumentTypeError(f"{word[:80]!a} cannot be the name of a batch system")
    return word


def _trace(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, wake: Callable[[], int]
) -> int:
    from rvgahp.clientwords import Misuse
    from rvgahp.tracesteps import SiteTrace

    began = time.monotonic()
    words = ["--socket", arguments.socket] if arguments.socket else []
    words += [arguments.place, arguments.gahp]
    observer = Lines(sys.stdout) if arguments.json else Plain(sys.stdout)
    try:
        trace = SiteTrace(words, arguments.lrms or "", arguments.job, wake(), observer)
    except Misuse as e:
        parser.error(str(e))
    failed = trace.run()
    observer.summary(failed, time.monotonic() - began)
    return 1 if failed else 0
