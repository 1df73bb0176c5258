"""
A sandbox for tests: real processes on loopback, clients with deadlines, and what is
left of them.

Each class of tests has one sandbox, started for its first test and stopped when
another class begins.  Nothing here sleeps for luck: L{tests.procfs.waitFor} looks
until a deadline.

C{RVGAHP_SOAK=1} in the environment asks for the full numbers (C{make soak}).
"""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.sandbox import SITE, Sandbox
from tests.procfs import (
    PATIENCE,
    childrenOf,
    descriptors,
    isAlive,
    threads,
    waitFor,
    withEnvironment,
)

#: Whether the full numbers are asked for.
SOAK = os.environ.get("RVGAHP_SOAK") == "1"

#: Seconds within which a refusal is said.  A shared machine may be busy with others; in
#: a soak it is ours.
PROMPT = 2.0 if SOAK else 10.0

_GAHPS = Path(__file__).with_name("gahps.py")

#: What a log must never hold: the traces of a bug.
_BUGS = ("Traceback", "A bug in", "Unhandled")


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
    words: list[str], sent: bytes | None = None, seconds: float = PATIENCE, **popen: Any
) -> Run:
    """
    @param sent: bytes for its stdin.
    @raise AssertionError: it did not end in time; it is killed.
    """
    started = time.monotonic()
    popen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
    with subprocess.Popen(words, **popen) as process:
        try:
            output, errors = process.communicate(sent, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            raise AssertionError(
                f"{shlex.join(words)} did not end within {seconds:g} s; it wrote"
                f" {(output or b'')[:200]!r} and {(errors or b'')[:400]!r}"
            ) from None
    return Run(process.returncode, output or b"", errors or b"", time.monotonic() - started)


class Playground:
    """
    A sandbox and its clients.

    @ivar sandbox: the proxy and the CE.
    """

    def __init__(
        self,
        gahps: Mapping[str, str] | None = None,
        proxySettings: str = "",
        ceSettings: str = "",
        **sandbox: Any,
    ) -> None:
        """
        @param gahps: command lines by name.
        @param proxySettings: further lines for the proxy's configuration file.
        @param ceSettings: further lines for the CE's.
        @param sandbox: further arguments for L{Sandbox}.
        """
        extra = {"rvgahp-proxy": proxySettings, "rvgahp-ce": ceSettings}
        self.sandbox = Sandbox(gahps=dict(gahps or {}), extraSettings=extra, **sandbox)
        self._clients: list[subprocess.Popen[bytes]] = []
        self._baseline: dict[str, int] = {}

    def start(self) -> Playground:
        """
        Start proxy and CE.
        """
        self.sandbox.__enter__()
        return self

    def stop(self) -> None:
        """
        End everything that was started here.

        @raise AssertionError: a process of it was left behind; it is killed.
        """
        self.endClients()
        self.sandbox.stop()
        try:
            waitFor(lambda: not self.strays(), "the end of all that this sandbox started")
        finally:
            for pid in self.strays():
                os.kill(pid, signal.SIGKILL)

    def strays(self) -> list[int]:
        """
        @return: the processes that descend from this sandbox's daemons, these included.
        """
        return withEnvironment("RVGAHP_BLAH_DIR", str(self.sandbox.directory / "blah"))

    @property
    def proxyPid(self) -> int:
        """
        The proxy's process.
        """
        assert self.sandbox.proxy.process is not None
        return self.sandbox.proxy.process.pid

    @property
    def cePid(self) -> int:
        """
        The CE's process.
        """
        assert self.sandbox.ce.process is not None
        return self.sandbox.ce.process.pid

    # -- clients ------------------------------------------------------------

    def words(self, name: str, site: str = SITE) -> list[str]:
        """
        @return: the command of a client.
        """
        return [program("rvgahp_client"), "--socket", self.sandbox.socket, site, name]

    def run(
        self,
        name: str,
        sent: bytes = b"",
        site: str = SITE,
        seconds: float = PATIENCE,
        **popen: Any,
    ) -> Run:
        """
        Run a client to its end.

        @raise AssertionError: it did not end in time.
        """
        return runProgram(self.words(name, site), sent, seconds, **popen)

    def client(self, name: str, **popen: Any) -> subprocess.Popen[bytes]:
        """
        Start a client, its stdio on pipes.  L{endClients} ends it.
        """
        options: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process = subprocess.Popen(self.words(name), **{**options, **popen})
        self._clients.append(process)
        return process

    def endClients(self) -> None:
        """
        Kill the clients that still run, and close what leads to them.
        """
        for process in self._clients:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    _closeQuietly(stream)
        self._clients.clear()

    # -- what there is ------------------------------------------------------

    def gahpPids(self) -> list[int]:
        """
        @return: the GAHPs that run.
        """
        return childrenOf(self.cePid)

    def awaitNoGAHP(self, seconds: float = PATIENCE) -> None:
        """
        Wait until no GAHP is left.
        """
        waitFor(lambda: not self.gahpPids(), "the end of the last GAHP", seconds)

    def counts(self) -> dict[str, int]:
        """
        @return: descriptors, threads and children of proxy and CE.
        """
        found = {}
        for name, pid in (("proxy", self.proxyPid), ("CE", self.cePid)):
            found[f"descriptors of the {name}"] = descriptors(pid)
            found[f"threads of the {name}"] = threads(pid)
            found[f"children of the {name}"] = len(childrenOf(pid))
        return found

    def awaitAsBefore(self, before: Mapping[str, int]) -> None:
        """
        Wait until proxy and CE have as much open as they had.
        """
        try:
            waitFor(lambda: self.counts() == before, "what was before")
        except AssertionError:
            raise AssertionError(f"before: {dict(before)}; now: {self.counts()}") from None

    def log(self, daemon: str) -> str:
        """
        @param daemon: C{"proxy"} or C{"ce"}.
        """
        return (self.sandbox.directory / f"rvgahp-{daemon}.log").read_text()

    def awaitLog(self, daemon: str, words: str, start: int = 0, seconds: float = PROMPT) -> str:
        """
        Wait for C{words} in a daemon's log, after its first C{start} characters.

        @return: the line that has them.
        """

        def found() -> str:
            lines = self.log(daemon)[start:].splitlines()
            return next((line for line in lines if words in line), "")

        try:
            return waitFor(found, words, seconds)
        except AssertionError:
            rest = self.log(daemon)[start:]
            raise AssertionError(f"no {words!r} in {daemon}'s log; it has: {rest}") from None


def _closeQuietly(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        pass


_current: dict[type, Playground] = {}


def _stopCurrent() -> None:
    while _current:
        _current.popitem()[1].stop()


atexit.register(_stopCurrent)


class PlaygroundTestCase(SynchronousTestCase):
    """
    Tests that share a sandbox.

    @cvar gahps: command lines by name.
    @cvar proxySettings: further lines for the proxy's configuration file.
    @cvar ceSettings: further lines for the CE's.
    """

    gahps: Mapping[str, str] = {}
    proxySettings = ""
    ceSettings = ""

    def setUp(self) -> None:
        kind = type(self)
        known = _current.get(kind)
        if known is None or known.sandbox.deadDaemon():
            _stopCurrent()
            _current[kind] = self.makePlayground().start()
        self.playground = _current[kind]
        self.addCleanup(self._checkLogs)
        self.addCleanup(self.playground.endClients)
        self._logged = {daemon: len(self.playground.log(daemon)) for daemon in ("proxy", "ce")}

    def makePlayground(self) -> Playground:
        """
        @return: this class's, not started yet.
        """
        return Playground(self.gahps, self.proxySettings, self.ceSettings)

    def before(self, daemon: str) -> int:
        """
        @return: how long the daemon's log was at the beginning of the test.
        """
        return self._logged[daemon]

    def _checkLogs(self) -> None:
        """
        Nothing that a test does may show a bug in a daemon.
        """
        for daemon, start in self._logged.items():
            text = self.playground.log(daemon)[start:]
            for word in _BUGS:
                self.assertNotIn(word, text, f"in the log of the {daemon}: {text}")

    def assertGone(self, pid: int) -> None:
        """
        The process ends.
        """
        waitFor(lambda: not isAlive(pid), f"the end of process {pid}")

    def assertRefused(self, run: Run, *words: str) -> None:
        """
        A client ended as it does where it could not get a GAHP: status 255, nothing on
        stdout, one sentence on stderr, promptly.

        @param words: what the sentence must have.
        """
        self.assertEqual(run.status, 255, run)
        self.assertEqual(run.output, b"", run)
        self.assertEqual(run.errors.count("\n"), 1, run)
        self.assertTrue(run.errors.startswith("rvgahp_client: "), run)
        for word in words:
            self.assertIn(word, run.errors)
        self.assertLess(run.seconds, PROMPT)

    def assertServes(self, name: str = "cat") -> None:
        """
        The sandbox still works.
        """
        run = self.playground.run(name, b"does it still work?\n")
        self.assertEqual((run.status, run.output, run.errors), (0, b"does it still work?\n", ""))
