# -*- test-case-name: tests.test_configuration -*-
"""
What condor_config says, had from a process that reads it.  Layer 2; standard
library, L{rvgahp.condorconfig}, L{rvgahp.condorraw} and below.

L{readConfiguration} blocks and is for a daemon's start, before its reactor
runs.  A daemon that runs does the same in three steps: it starts L{command}
with C{reactor.spawnProcess} and C{env=environment()}, collects what comes on its
stdout and stderr until C{processEnded}, and gives that to L{interpret}.  The
process ends by itself at its deadline; but a command that the configuration
includes may outlive it and keep its pipes open, so 2 s later the daemon closes
them and gives C{interpret} the status C{-SIGALRM}.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from rvgahp.condorconfig import DEADLINE
from rvgahp.condorraw import assignmentsIn, cycleFrom, cycleInWords
from rvgahp.errors import ConfigurationError

__all__ = ["Configuration", "command", "environment", "interpret", "readConfiguration"]

_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); "
    "from rvgahp.condorconfig import main; sys.exit(main())"
)
"""C{python -m} would look for modules in the current directory first, whoever's
that is.  The new process is given this one's path instead."""

_SLACK = 2.0
"""Seconds more than its deadline that the process is waited for."""

_WORDS = 4000
"""Bytes of HTCondor's own words that are looked at."""

_SENTENCE = 1000
"""Characters of them in a sentence, at the most."""


@dataclass(frozen=True)
class Configuration:
    """
    What was read.

    @ivar file: The absolute path of the file that HTCondor began with, or
        L{None} where there was none.
    @ivar settings: By name in capitals, the values of rvgahp's settings that a
        file or the environment sets, C{""} for an empty one.
    @ivar others: The names in capitals of what else is set.
    @ivar notes: Sentences for the log: what HTCondor warned of.
    @ivar reader: What read it, and its version.
    """

    file: str | None
    settings: Mapping[str, str]
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reader: str = ""

    @property
    def where(self) -> str:
        """
        Where the settings stand, for a sentence.
        """
        return self.file or "the environment"


def readConfiguration(file: str | None, deadline: float = DEADLINE) -> Configuration:
    """
    Read condor_config, and wait for it.

    @param file: The file to begin with, or L{None} for the one that HTCondor
        finds itself.
    @param deadline: How many seconds it may take.
    @raise ConfigurationError: It cannot be read; the sentence names the file,
        and has HTCondor's own words where it said any.
    """
    try:
        return _read(file, deadline)
    except OSError as e:  # no room for temporary files, no more processes
        what = os.path.abspath(file) if file is not None else "condor_config"
        raise ConfigurationError(
            f"The reading of {what} could not be begun: {e.strerror or e}."
        ) from e


def _read(file: str | None, deadline: float) -> Configuration:
    """
    @raise OSError: There are no means to read it.
    @raise ConfigurationError: It cannot be read.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as words:
        # Not pipes: a command that the file includes may outlive the reader and hold them open.
        process = subprocess.Popen(
            command(file, deadline),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=words,
            env=environment(),
            start_new_session=True,
        )
        try:
            status = process.wait(deadline + _SLACK)
        except subprocess.TimeoutExpired:
            status = -signal.SIGALRM
        if status < 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        words.seek(0)
        return interpret(status, output.read(), words.read(_WORDS), file, deadline)


def command(file: str | None, deadline: float = DEADLINE) -> list[str]:
    """
    The command line that reads condor_config.

    @param file: As for L{readConfiguration}.
    @param deadline: As for L{readConfiguration}.
    """
    line = [sys.executable, "-W", "ignore", "-c", _BOOTSTRAP, "\n".join(map(str, sys.path))]
    line += ["--deadline", str(deadline)]
    if file is not None:
        line += ["--config", os.path.abspath(file)]
    return line


def environment() -> dict[str, str]:
    """
    The environment for that command: ours, with C{HOME} even where a daemon was
    started without, because C{$ENV(HOME)} would be the text C{UNDEFINED}.
    """
    ours = dict(os.environ)
    if not ours.get("HOME"):
        with contextlib.suppress(KeyError):  # No account; then there is no home.
            ours["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    return ours


def interpret(
    status: int, output: bytes, words: bytes, file: str | None, deadline: float = DEADLINE
) -> Configuration:
    """
    What came of the command.

    @param status: Its exit status, or the number of the signal that ended it,
        below zero.
    @param output: What it wrote on stdout.
    @param words: What it wrote on stderr.
    @param file: As for L{command}.
    @param deadline: As for L{command}.
    @raise ConfigurationError: As by L{readConfiguration}.
    """
    what = os.path.abspath(file) if file is not None else "condor_config"
    said = _sentences(words)
    if status in (-signal.SIGXCPU, -signal.SIGALRM):
        raise ConfigurationError(_endless(status, file, what, deadline))
    try:
        answer = json.loads(output)
        error = answer.get("error")
    except (ValueError, AttributeError):
        answer, error = None, None
    if error is not None:
        raise ConfigurationError(error)
    if status != 0 or answer is None:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise ConfigurationError(
            f"HTCondor could not read {what}: "
            f"{'; '.join(said)[:_SENTENCE].rstrip('.') or f'it said nothing ({how})'}."
        )
    return Configuration(
        answer["file"],
        answer["settings"],
        tuple(answer["others"]),
        tuple(f"HTCondor says of {what}: {sentence}" for sentence in said),
        answer["reader"],
    )


def _sentences(words: bytes) -> list[str]:
    """
    What HTCondor said, by lines, fit for a log: without blank lines and control
    characters.
    """
    lines = words.decode("utf-8", "replace").splitlines()
    clean = (" ".join("".join(c if c.isprintable() else " " for c in s).split()) for s in lines)
    return [line for line in clean if line]


def _endless(status: int, file: str | None, what: str, deadline: float) -> str:
    """
    The sentence for a configuration that HTCondor did not get to the end of,
    with the settings that refer to each other where they can be made out.
    """
    cycle = cycleInWords(_cycleIn(file)) if file is not None else ""
    if status == -signal.SIGALRM and not cycle:  # On a very busy machine a circle ends here too.
        return (
            f"Reading {what} took more than {deadline:g} s and was given up: a command or a file "
            "that it includes, or the name server, does not answer."
        )
    likely = "most likely settings refer to each other, as in A = $(B) and B = $(A)"
    return f"HTCondor does not get to the end of {what}: {cycle or likely}."


def _cycleIn(file: str) -> list[str]:
    """
    Settings of one file that refer to each other, as L{cycleFrom} lists them.
    """
    texts = assignmentsIn(file)
    for name in texts:
        cycle = cycleFrom(name, texts.get)
        if len(cycle) > 2:  # A = $(A) is no cycle to HTCondor: it means the value before.
            return cycle
    return []
