# -*- test-case-name: tests.test_doctorgahps -*-
"""
C{rvgahp doctor}: the GAHPs of a site, what they answer, and the batch system.

Layer 6.  Each GAHP is started as the CE would start it, but with an empty stdin, so that it
ends by itself after its banner; what is left of it is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from twisted.plugin import getPlugins

from rvgahp.doctorcase import Case
from rvgahp.errors import StartFailed
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.gahpenvironment import GAHPEnvironment
from rvgahp.gahpprocess import describeEnd
from rvgahp.gahptable import GAHPTable
from rvgahp.igahp import IGAHPKind
from rvgahp.patience import Patience, TookTooLong
from rvgahp.separation import separationOf

__all__ = ["BANNER_LIMIT", "batchSystem", "gahps"]

#: Seconds for a GAHP's banner: the proxy gives it no more (RVGAHP_START_TIMEOUT).
BANNER_LIMIT = 10.0

#: Seconds for its end, after each of the end of its output, TERM and KILL.
_END_LIMIT = 2.0

#: Bytes of output in which there must be a banner.
_MOST = 1 << 16

_BANNER = b"$GahpVersion"

#: The command by which jobs are submitted, and whose it is.
_BATCH_SYSTEMS = {
    "sbatch": "Slurm",
    "qsub": "PBS or SGE",
    "bsub": "LSF",
    "condor_submit": "HTCondor",
    "flux": "Flux",
}

_INSTALL = "install it, or name another (BATCH_GAHP, FT_GAHP, RVGAHP_BOSCO_DIR, RVGAHP_GAHP_...);"
_BY_HAND = "start it by hand, as the account of the CE:"


def gahps(case: Case) -> Findings:
    """
    What is on offer, and what becomes of it when it is started.
    """
    table = GAHPTable(case.settings, getPlugins(IGAHPKind))
    for problem in table.problems():
        if problem.startswith("No "):  # one that should be on offer
            yield warning("GAHP", problem, "without it use the site by hand, and for rvgahp trace.")
    isOthers = separationOf(case.settings, {}) is not None
    environment = GAHPEnvironment(os.environ, case.settings.get("RVGAHP_UMASK"))
    seen: list[Any] = []
    for name in table.names():
        try:
            command = table.find(name)
        except StartFailed as e:
            yield wrong("GAHP", str(e), f"{_INSTALL} then start rvgahp-ce again.")
            continue
        words = command.words()
        if words in seen:
            continue  # by its other name
        seen.append(words)
        if isOthers:
            yield ok("GAHP", f"{name}: {command.program}, not started here: it runs as its owner")
        else:
            yield _tried(name, environment.request(command), case.patience)


def _tried(name: str, request: Mapping[str, Any], patience: Patience) -> Finding:
    """
    Start one.
    """
    program = request["program"]
    with tempfile.TemporaryFile() as errors:
        try:
            process = _started(request, errors)
        except OSError as e:
            return wrong(
                "GAHP",
                f"{name}: {program} cannot be started: {e.strerror}",
                f"{_BY_HAND} {program}",
            )
        try:
            banner = _banner(process, patience, name)
        except TookTooLong as e:
            return wrong("GAHP", f"{name}: {program}: {e}", f"{_BY_HAND} {program}")
        finally:
            status = _end(process)
        if banner:
            return ok("GAHP", f"{name}: {program} says {banner}")
        errors.seek(0)
        return _silent(name, program, status, errors.read(_MOST).decode("utf-8", "replace"))


def _started(request: Mapping[str, Any], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [request["program"], *request["arguments"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=request["environment"],
        cwd=request["directory"] if os.path.isdir(request["directory"]) else "/",
        umask=request["umask"],
        start_new_session=True,
    )


def _banner(process: subprocess.Popen[bytes], patience: Patience, name: str) -> str:
    """
    @return: it; empty if the output ended without.
    @raise TookTooLong: neither came.
    """
    assert process.stdout is not None
    wait = patience.wait(f"the banner of {name}", BANNER_LIMIT)
    heard = b""
    while len(heard) < _MOST:
        wait.readable(process.stdout.fileno())
        data = os.read(process.stdout.fileno(), 4096)
        heard += data
        for line in heard.splitlines(keepends=True):
            if _BANNER in line and line.endswith(b"\n"):
                return line.decode("utf-8", "replace").strip()
        if not data:
            break
    return ""


def _end(process: subprocess.Popen[bytes]) -> int:
    """
    See it to its end, and what it has started.

    @return: its exit status, negative for a signal.
    """
    assert process.stdout is not None
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_LIMIT)
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    return process.wait()


def _silent(name: str, program: str, status: int, errors: str) -> Finding:
    """
    One without a banner.
    """
    lines = [line for line in errors.splitlines() if line.strip()]
    said = f"; it says {lines[-1].strip()!a}" if lines else ""
    if not status:
        return warning(
            "GAHP",
            f"{name}: {program} runs, and says no version banner{said}",
            "HTCondor takes no GAHP without one; by hand it serves.",
        )
    return wrong(
        "GAHP",
        f"{name}: {program} {describeEnd(status < 0, abs(status))} before its banner{said}",
        f"{_BY_HAND} {program}",
    )


def batchSystem(case: Case) -> Findings:
    """
    What of batch systems is on the path that GAHPs have.
    """
    path = GAHPEnvironment(os.environ).variables["PATH"]
    found = [
        f"{what} ({at})"
        for name, what in _BATCH_SYSTEMS.items()
        if (at := shutil.which(name, path=path)) is not None
    ]
    if found:
        yield ok("batch system", f"found {', '.join(found)}")
    else:
        yield warning(
            "batch system",
            f"none was found: there is none of {', '.join(_BATCH_SYSTEMS)} in {path}",
            "start rvgahp-ce with a PATH that has its commands, as a login shell does: bash -lc"
            " '...' (doc/gahps.rst); with RVGAHP_BOSCO_DIR GAHPs have the login shell's PATH"
            " anyway.",
        )
