# -*- test-case-name: tests.test_doctorgahps -*-
"""
C{rvgahp doctor}: the GAHPs of a site, what they answer, and the batch system.

Layer 6.  Each GAHP is started as the CE would start it, in the environment of the CE that runs,
but with an empty stdin, so that it ends by itself after its banner (L{rvgahp.doctorprograms}).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.plugin import getPlugins

from rvgahp.doctorcase import Case
from rvgahp.doctordaemon import environmentOf
from rvgahp.doctorprograms import hear
from rvgahp.errors import StartFailed
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.gahpend import describeEnd
from rvgahp.gahpenvironment import GAHPEnvironment
from rvgahp.gahptable import GAHPTable
from rvgahp.igahp import GAHPCommand, IGAHPKind
from rvgahp.launcherchild import reasonOf
from rvgahp.patience import Patience
from rvgahp.separation import separationOf
from rvgahp.serviceunits import startCommand

__all__ = ["BANNER_LIMIT", "batchSystem", "gahps"]

#: Seconds for a GAHP's banner: the proxy gives it no more (RVGAHP_START_TIMEOUT).
BANNER_LIMIT = 10.0

#: Characters of its words that are shown.
_SHOWN = 200

_BANNER = b"$GahpVersion"

#: The command by which jobs are submitted, and whose it is.
_BATCH_SYSTEMS = {
    "sbatch": "Slurm",
    "qsub": "PBS or SGE",
    "bsub": "LSF",
    "condor_submit": "HTCondor",
    "flux": "Flux",
}

_MEND = (
    "install it, make it executable (chmod +x), or name another in the CE's configuration"
    " (BATCH_GAHP, FT_GAHP, RVGAHP_BOSCO_DIR, RVGAHP_GAHP_...); then"
)
_BY_HAND = "start it by hand, as the account of the CE:"


def gahps(case: Case) -> Findings:
    """
    What is on offer, and what becomes of it when it is started.
    """
    table = GAHPTable(case.settings, getPlugins(IGAHPKind))
    isOthers = separationOf(case.settings, {}) is not None
    for problem in table.problems():
        if problem.startswith("No "):  # one that should be on offer
            yield warning("GAHP", problem, "without it use the site by hand, and for rvgahp trace.")
        else:
            yield wrong("GAHP", problem, f"{_MEND} {startCommand('ce')}")
    environment = GAHPEnvironment(_environ(case)[0], case.settings.get("RVGAHP_UMASK"))
    for names, command in _whole(table):
        if isOthers:
            yield ok("GAHP", f"{names}: {command.program}, not started here: it runs as its owner")
        else:
            yield _tried(names, environment.request(command), case.patience)


def _whole(table: GAHPTable) -> list[tuple[str, GAHPCommand]]:
    """
    @return: those that can be started, each once, with its names.
    """
    found: dict[tuple[str, ...], tuple[str, GAHPCommand]] = {}
    for name in table.names():
        with suppress(StartFailed):
            command = table.find(name)
            words = tuple(command.words())
            before = f"{found[words][0]} and " if words in found else ""
            found[words] = f"{before}{name}", command
    return list(found.values())


def _environ(case: Case) -> tuple[Mapping[str, str], str]:
    """
    @return: the environment of the CE that runs, else ours; and whose it is.
    """
    theirs = environmentOf(case.seen["pid"]) if case.seen is not None else None
    if case.seen is None or theirs is None:
        return os.environ, "this shell"
    return theirs, f"the CE that runs, process {case.seen['pid']}"


def _tried(names: str, request: Mapping[str, Any], patience: Patience) -> Finding:
    """
    Start one.
    """
    program = request["program"]
    hand = f"{_BY_HAND} {shlex.join([program, *request['arguments']])}"
    try:
        wait = patience.wait(f"the banner of {names}", BANNER_LIMIT)
        heard = hear(request, _BANNER, wait)
    except OSError as e:
        return wrong("GAHP", f"{names}: it cannot be started: {reasonOf(e, program)}", hand)
    if heard.line:
        return ok("GAHP", f"{names}: {program} says {heard.line[:_SHOWN]}")
    said = f"; it says {heard.errors[:_SHOWN]!a}" if heard.errors else ""
    if heard.problem:
        return wrong("GAHP", f"{names}: {program}: {heard.problem}{said}", hand)
    if not heard.status:
        return warning(
            "GAHP",
            f"{names}: {program} runs, and says no version banner{said}",
            "HTCondor takes no GAHP without one; by hand it serves.",
        )
    end = describeEnd(heard.status < 0, abs(heard.status))
    return wrong("GAHP", f"{names}: {program} {end} before its banner{said}", hand)


def batchSystem(case: Case) -> Findings:
    """
    What of batch systems is on the path that GAHPs have.  No command is started: some ask a
    server that does not answer.
    """
    environ, whose = _environ(case)
    path = GAHPEnvironment(environ).variables["PATH"]
    found = _commandsOn(path)
    if found:
        yield ok("batch system", f"on the PATH of {whose} there is {', '.join(found)}")
        return
    here = _commandsOn(GAHPEnvironment(os.environ).variables["PATH"])
    known = f"; this shell has {', '.join(here)}" if here else ""
    yield warning(
        "batch system",
        f"none was found: there is none of {', '.join(_BATCH_SYSTEMS)} on the PATH of {whose},"
        f" {path}{known}",
        "in a shell that finds them (module load ...), say rvgahp ce install --replace and do what"
        " it prints, or start rvgahp-ce from there (doc/gahps.rst); with RVGAHP_BOSCO_DIR GAHPs"
        " have the login shell's PATH anyway.",
    )


def _commandsOn(path: str) -> list[str]:
    return [
        f"{what} ({at})"
        for name, what in _BATCH_SYSTEMS.items()
        if (at := shutil.which(name, path=path)) is not None
    ]
