"""
A sandbox for tests: real processes on loopback, clients with deadlines, and what is
left of them.  Nothing here sleeps for luck: L{tests.procfs.waitFor} looks
until a deadline.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import IO, Any

from rvgahp.credentials import makeCECredentials
from rvgahp.daemonprocess import Daemon
from rvgahp.sandbox import SITE, STAYS_ROOT, Sandbox
from tests.procfs import (
    PATIENCE,
    catches,
    childrenOf,
    descriptors,
    isAlive,
    threads,
    waitFor,
    withEnvironment,
)
from tests.programs import PROMPT, Run, program, runProgram
from tests.relay import Relay


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
        relay: Relay | None = None,
    ) -> None:
        """
        @param gahps: command lines by name.
        @param proxySettings: further lines for the proxy's configuration file.
        @param ceSettings: further lines for the CE's.
        @param relay: what the CE is to dial in place of the proxy.
        """
        self.sandbox = Sandbox(
            gahps=dict(gahps or {}),
            connect=relay.address if relay else None,
            extraSettings={"rvgahp-proxy": proxySettings, "rvgahp-ce": ceSettings},
        )
        self._relay = relay
        self._clients: list[subprocess.Popen[bytes]] = []
        self._further: list[Daemon] = []
        self._launchers: list[int] = []

    def start(self) -> Playground:
        """
        Start proxy and CE.
        """
        try:
            self.sandbox.startProxy()
            if self._relay is not None:
                self._relay.target = ("127.0.0.1", self.sandbox.port)
            self.sandbox.startCE()
            self._launchers = childrenOf(self.cePid)
            for pid in self._launchers:
                waitFor(partial(catches, pid, signal.SIGCHLD), "the launcher's handler")
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def relay(self) -> Relay:
        """
        What lies between the CE and the proxy.
        """
        assert self._relay is not None
        return self._relay

    def stop(self) -> None:
        """
        End everything that was started here.

        @raise AssertionError: a process of it was left behind; it is killed.
        """
        self.endClients()
        self.endFurther()
        self.sandbox.stop()
        if self._relay is not None:
            self._relay.stop()
        try:
            waitFor(lambda: not self.strays(), "the end of all that this sandbox started")
        finally:
            for pid in self.strays():
                os.kill(pid, signal.SIGKILL)

    def strays(self) -> list[int]:
        """
        @return: the processes that descend from this sandbox's daemons, these included.
        """
        launchers = {pid for pid in self._launchers if isAlive(pid)}
        found = withEnvironment("RVGAHP_BLAH_DIR", f"{self.sandbox.directory}/")
        return sorted(launchers.union(found))

    def addCE(
        self, site: str, gahps: Mapping[str, str] | None = None, settings: str = ""
    ) -> Daemon:
        """
        @param site: its name; its credentials are made by the sandbox's authority.
        @return: one more CE, not started yet.  It ends with the sandbox.
        """
        directory = self.sandbox.directory / f"ce{len(self._further)}"
        if not directory.exists():
            makeCECredentials(self.sandbox.directory, site, directory)
        names = "".join(f"RVGAHP_GAHP_{name} = {line}\n" for name, line in (gahps or {}).items())
        config = directory / "condor_config"
        config.write_text(
            f"RVGAHP_BROKER_HOST = 127.0.0.1\nRVGAHP_BROKER_PORT = {self.sandbox.port}\n"
            f"RVGAHP_GAHP_NAMES = {' '.join(gahps or {})}\n"
            f"{'' if os.geteuid() else STAYS_ROOT}{names}{settings}"
        )
        (directory / "access").write_text("ALLOW START *\n")
        daemon = Daemon(directory, "rvgahp-ce", config)
        self._further.append(daemon)
        return daemon

    def endFurther(self) -> None:
        """
        End the CEs that were added.
        """
        for daemon in self._further:
            daemon.stop()
            shutil.rmtree(daemon.directory)
        self._further.clear()

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

    def client(self, name: str, site: str = SITE, **popen: Any) -> subprocess.Popen[bytes]:
        """
        Start a client, its stdio on pipes.  L{endClients} ends it.
        """
        options: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process = subprocess.Popen(self.words(name, site), **{**options, **popen})
        self._clients.append(process)
        return process

    def endClients(self) -> None:
        """
        Kill the clients that still run, and close what leads to them.
        """
        for process in self._clients:
            process.kill()
            process.wait(PATIENCE)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    _closeQuietly(stream)
        self._clients.clear()

    # -- what there is ------------------------------------------------------

    def gahpPids(self) -> list[int]:
        """
        @return: the GAHPs that run: they are the children of the CE's launcher.
        """
        return [pid for child in childrenOf(self.cePid) for pid in childrenOf(child)]

    def awaitNoGAHP(self, seconds: float = PATIENCE) -> None:
        """
        Wait until no GAHP is left.
        """
        waitFor(lambda: not self.gahpPids(), "the end of the last GAHP", seconds)

    def quiet(self) -> dict[str, int]:
        """
        Wait until no GAHP is left of what went before.

        @return: L{counts}, for L{awaitAsBefore}.
        """
        self.awaitNoGAHP()
        return self.counts()

    def counts(self) -> dict[str, int]:
        """
        @return: descriptors, threads and children of proxy, CE and the CE's launcher.
        """
        pids = {"proxy": self.proxyPid, "CE": self.cePid}
        for pid in childrenOf(self.cePid):
            pids["launcher"] = pid
        found = {}
        for name, pid in pids.items():
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
