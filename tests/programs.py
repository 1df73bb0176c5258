"""
Programs for tests: where they are, and one run of one.

C{RVGAHP_SOAK=1} in the environment asks for the full numbers (C{make soak}).
"""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application import app

from tests.procfs import PATIENCE

#: Whether the full numbers are asked for.
SOAK = os.environ.get("RVGAHP_SOAK") == "1"

#: Seconds within which a refusal is said.  A shared machine may be busy with others; in
#: a soak it is ours.
PROMPT = 2.0 if SOAK else 10.0

#: Whether twistd exits with a status other than 0 where its words or a daemon's settings
#: are wrong: before https://github.com/twisted/twisted/issues/12656 it did not.
TWISTD_TELLS = "exit" in inspect.getsource(app.run)

_GAHPS = Path(__file__).with_name("gahps.py")


def program(name: str) -> str:
    """
    @return: the path of one of our programs, which lie beside the interpreter.
    """
    return str(Path(sys.executable).with_name(name))


def gahp(name: str) -> str:
    """
    @return: the command line of one of L{tests.gahps}.
    """
    return shlex.join([sys.executable, "-I", "-S", str(_GAHPS), name])


class Run:
    """
    A program that has ended.

    @ivar status: its exit status; negative for a signal.
    @ivar output: what it wrote to stdout.
    @ivar errors: what it wrote to stderr.
    @ivar seconds: how long it took.
    """

    def __init__(self, status: int, output: bytes, errors: bytes, seconds: float) -> None:
        self.status = status
        self.output = output
        self.errors = errors.decode("utf-8", "replace")
        self.seconds = seconds

    def __repr__(self) -> str:
        return (
            f"<Run: status {self.status}, {len(self.output)} bytes {self.output[:80]!r},"
            f" {self.errors!r}, {self.seconds:.2f} s>"
        )


def runProgram(
    words: Sequence[str | bytes], sent: bytes | None = None, seconds: float = PATIENCE, **popen: Any
) -> Run:
    """
    @param sent: bytes for its stdin.
    @raise AssertionError: it did not end in time; it is killed.
    """
    started = time.monotonic()
    popen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
    process: Any  # of bytes, unless popen says otherwise
    with subprocess.Popen(words, **popen) as process:
        try:
            output, errors = process.communicate(sent, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate(timeout=PATIENCE)
            raise AssertionError(
                f"{words!r} did not end within {seconds:g} s; it wrote"
                f" {(output or b'')[:200]!r} and {(errors or b'')[:400]!r}"
            ) from None
    return Run(process.returncode, output or b"", errors or b"", time.monotonic() - started)


def speaker(banner: str, prelude: str = "") -> str:
    """
    @param banner: a GAHP's, without what a shell would expand.
    @param prelude: what is done before that, in the shell's language.
    @return: a shell script that is a GAHP, as far as a front asks; its VERSION is its
        banner.
    """
    return f"""#!/bin/sh
{prelude}
echo '$GahpVersion: 1.0 {banner} $'
while read -r line; do
  case $line in
    COMMANDS*) echo 'S ASYNC_MODE_ON COMMANDS RESULTS VERSION' ;;
    VERSION*) echo 'S $GahpVersion: 1.0 {banner} $' ;;
    RESULTS*) echo 'S 0' ;;
    *) echo S ;;
  esac
done
"""
