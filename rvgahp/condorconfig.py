# -*- test-case-name: tests.test_condorconfig -*-
"""
A program that reads condor_config as HTCondor does and prints what it found.
Layer 2; it may import L{rvgahp.settingtable}, L{rvgahp.condorraw} and below.

    python -m rvgahp.condorconfig [--config FILE] [--deadline SECONDS]

It is a program of its own because HTCondor's library, which does the reading,
ends its process on a bad line and never returns from settings that refer to
each other.  L{rvgahp.configuration} starts it.  On stdout comes one JSON object
on one line:

  - C{reader}: the library or program that did the reading, and its version
  - C{file}: the absolute path of the configuration file, or null
  - C{settings}: by name in capitals, the values of all settings of rvgahp's
    table that a file or the environment sets, and of all whose names begin with
    C{RVGAHP_} or C{RVGAHP.}, an empty text for an empty one; what is merely
    compiled into HTCondor is left out
  - C{others}: the names of what else is set

or one with C{error}, a sentence, and then the exit status is 1.  What HTCondor
itself says comes on stderr.  Where it ends the process, nothing comes on stdout.

Without C{--config} the file is the one that HTCondor finds itself: by
C{CONDOR_CONFIG}, else C{/etc/condor/condor_config} and so on; there may be none.
C{_CONDOR_NAME} in the environment sets NAME, as everywhere in HTCondor.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pwd
import resource
import shutil
import signal
import stat
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from rvgahp.condorraw import DumpedTable, LibraryTable, Table, cycleFrom, cycleInWords
from rvgahp.errors import ConfigurationError
from rvgahp.settingrow import PREFIX, SUBSYSTEM_PREFIX
from rvgahp.settingtable import TABLE

__all__ = ["CPU_SECONDS", "DEADLINE", "main"]

DEADLINE = 10.0
"""Seconds that the reading may take.  It takes 0.1, more only if a file system,
the name server or a command that the configuration includes is slow."""

CPU_SECONDS = 2
"""Seconds of processor time that it may take; only settings that refer to each
other ever do.  The signal, SIGXCPU and not SIGALRM, tells this from L{DEADLINE}."""

_KNOWN = {setting.name: setting for setting in TABLE}
_NO_FILE = ("ONLY_ENV", "/dev/null")


def main(arguments: list[str] | None = None) -> int:
    """
    The program.

    @param arguments: The command line without the program's name.
    @return: The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m rvgahp.condorconfig",
        description="Print what rvgahp finds in condor_config, as one JSON object.",
    )
    parser.add_argument("--config", metavar="FILE", help="read FILE as HTCondor's root file")
    parser.add_argument("--deadline", type=float, default=DEADLINE, metavar="SECONDS")
    options = parser.parse_args(arguments)
    _limit(options.deadline)
    answers = _ownStdout()
    try:
        answer = _read(options.config)
    except ConfigurationError as e:
        answer = {"error": str(e)}
    with answers:
        answers.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


def _limit(deadline: float) -> None:
    """
    See that this process ends by itself, also when its parent is gone.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or hard > CPU_SECONDS:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, hard))
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGXCPU))
    signal.setitimer(signal.ITIMER_REAL, deadline)


def _ownStdout() -> Any:
    """
    Keep stdout for the answer: what a library prints there goes to stderr.

    @return: The text file to write the answer to.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return answers


def _read(config: str | None) -> dict[str, Any]:
    """
    The answer.

    @param config: The path of the file to read, or L{None} for HTCondor's own
        choice.
    @raise ConfigurationError: There is no such file, or it cannot be read, or
        nothing here can read it, or a value is cyclic or no text.
    """
    file = _rootFile(config, os.environ)
    if config is not None:
        os.environ["CONDOR_CONFIG"] = config
    table = _table(file)
    return {
        "reader": table.reader,
        "file": file,
        "settings": _settings(table, file),
        "others": sorted(name for name in table.names if not _isOurs(name)),
    }


def _isOurs(name: str) -> bool:
    """
    Whether a setting, its name in capitals, is one to report with its value.
    """
    return name.startswith((PREFIX, SUBSYSTEM_PREFIX)) or name in _KNOWN


def _settings(table: Table, file: str | None) -> dict[str, str]:
    """
    The values to report, by name.
    """
    found = {}
    for name in sorted(filter(_isOurs, table.names)):
        cycle = cycleFrom(name, table.raw)
        if cycle:
            raise ConfigurationError(
                f"The setting {name} in {file or 'the environment'} has no value, because "
                f"{cycleInWords(cycle)}."
            )
        value = table.value(name)
        setting = _KNOWN.get(name.removeprefix(SUBSYSTEM_PREFIX))
        found[name] = _evaluated(value) if setting is not None and setting.kind.numeric else value
    return found


def _table(file: str | None) -> Table:
    """
    Everything that is set, read by whatever is here to read it.

    @raise ConfigurationError: Nothing is.
    """
    library: ModuleType | None
    root = os.environ.get("CONDOR_CONFIG")
    os.environ["CONDOR_CONFIG"] = "/dev/null"  # Importing it reads a file, not yet as RVGAHP.
    try:
        library = importlib.import_module("htcondor2")
    except ImportError as e:
        library, problem = None, str(e)
    if root is not None:
        os.environ["CONDOR_CONFIG"] = root
    elif file is not None:
        del os.environ["CONDOR_CONFIG"]
    if library is not None:
        return LibraryTable(library, file)
    program = shutil.which("condor_config_val")
    if program is None:
        raise ConfigurationError(
            "Nothing here can read condor_config: the Python package htcondor (pip install "
            f"htcondor) cannot be imported ({problem}), and there is no condor_config_val on PATH."
        )
    return DumpedTable(program, file)


def _evaluated(text: str) -> str:
    """
    A numeric setting's text, with the result in the place of a ClassAd
    expression such as C{2 * 3600}, as HTCondor evaluates its own numbers.  Any
    other text is left to be judged, and named, by whoever knows the kind.
    """
    if text.strip("+-0123456789.") == "" or "classad2" not in sys.modules:
        return text
    classad2 = sys.modules["classad2"]
    try:
        result = classad2.ExprTree(text).eval()
    except classad2.ClassAdException:
        return text
    return str(result) if type(result) in (int, float) else text


def _rootFile(config: str | None, environment: Mapping[str, str]) -> str | None:
    """
    The file that HTCondor begins with (C{src/condor_utils/condor_config.cpp},
    C{find_file}), tested here because the library takes a file that is not
    there, or that it may not read, for an empty one.

    @return: An absolute path; L{None} for no file, or for a command.
    @raise ConfigurationError: The file cannot be read.
    """
    if config is not None:
        return _readable(config, "The configuration file")
    named = environment.get("CONDOR_CONFIG")
    if named is not None:
        if named.upper() == "ONLY_ENV" or named in _NO_FILE or named.rstrip().endswith("|"):
            return None
        return _readable(named, "The file that CONDOR_CONFIG names,")
    usual = [path for path in _usualFiles() if os.path.exists(path)]
    for path in usual:
        if os.access(path, os.R_OK):
            return _readable(path, "HTCondor's configuration file")
    return _readable(usual[0], "HTCondor's configuration file") if usual else None


def _usualFiles() -> list[str]:
    """
    Where HTCondor looks, in its order.
    """
    files = ["/etc/condor/condor_config", "/usr/local/etc/condor_config"]
    with contextlib.suppress(KeyError):  # No such account: HTCondor does not look there either.
        files.append(os.path.join(pwd.getpwnam("condor").pw_dir, "condor_config"))
    return files


def _readable(path: str, what: str) -> str:
    """
    See that a configuration file can be read.

    @param path: Its path.
    @param what: What it is, to begin the refusal with.
    @return: Its absolute path.
    @raise ConfigurationError: It cannot.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        raise ConfigurationError(f"{what} {path} cannot be read: {reason}.") from e
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"{what} {path} cannot be read: it is a directory.")
    finally:
        os.close(descriptor)
    return os.path.abspath(path)


if __name__ == "__main__":
    sys.exit(main())
