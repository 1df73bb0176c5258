"""
The ways to reach a GAHP that are compared.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from gahps import SCRIPTS, Gahps
from launcher import PATIENCE, BenchError, Daemon, Launcher, within
from opensshd import GCM, PrivateSSHD, isInstalled

#: Names of the contestants, as the tables show them.
INTERPRETER = "bare interpreter (its exit)"
PIPE = "local pipe"
SSH = "ssh"
SSH_GCM = "ssh, aes256-gcm"
SSH_SHARED = "ssh, shared connection"
RVGAHP = "rvgahp"


class Contestant:
    """
    One way to reach a GAHP.
    """

    def __init__(self, name: str, words: Callable[[str], list[str]]) -> None:
        """
        @param words: the launcher's command for a GAHP's name.
        """
        self.name = name
        self._words = words

    def launch(self, gahp: str) -> Launcher:
        """
        Start the launcher for C{gahp}.
        """
        return Launcher(self.name, self._words(gahp))


class Sandbox:
    """
    C{rvgahp sandbox}, with the benchmark's GAHPs.
    """

    def __init__(self, gahps: Gahps, log: Path, options: Iterable[str] = ()) -> None:
        """
        @param log: a file for what it says.
        @param options: of its command.
        """
        self._log = log
        words = [*installed("rvgahp", "rvgahp.cli"), "sandbox", *options]
        for name in SCRIPTS:
            words += ["--gahp", f"{name}={shlex.join(gahps.words(name))}"]
        with self._log.open("wb") as stderr:
            self._daemon = Daemon(words, stderr)
        self._client = installed("rvgahp_client", "rvgahp.client")
        self._socket = self._site = ""

    def __enter__(self) -> Sandbox:
        try:
            assert self._daemon.process.stdout is not None
            with within(2 * PATIENCE, "rvgahp sandbox"):
                line = self._daemon.process.stdout.readline()
            if not line:
                raise BenchError(f"rvgahp sandbox did not come up: {self._log.read_text().strip()}")
            answer = json.loads(line)
        except BaseException:
            self._daemon.stop()
            raise
        self._socket, self._site = answer["socket"], answer["site"]
        return self

    def __exit__(self, *exception: object) -> None:
        self._daemon.stop()

    def words(self, gahp: str) -> list[str]:
        """
        @return: the command that starts C{gahp} by rvgahp.
        """
        return [*self._client, "--socket", self._socket, self._site, gahp]


def installed(name: str, module: str) -> list[str]:
    """
    @return: the words that run the program C{name} of this Python's packages.
    """
    beside = Path(sys.executable).with_name(name)
    if os.access(beside, os.X_OK):
        return [str(beside)]
    return [sys.executable, "-c", f"from {module} import main; raise SystemExit(main())"]


def gather(stack: ExitStack, directory: Path, gahps: Gahps, wantsSSH: bool) -> list[Contestant]:
    """
    Set up all contestants that this machine has.

    @param stack: ends what has been started.
    @return: all but the bare interpreter, in the order of the tables.
    """
    contestants = [Contestant(PIPE, gahps.words)]
    if wantsSSH and isInstalled():
        sshd = stack.enter_context(PrivateSSHD(directory / "ssh"))
        contestants += [
            Contestant(SSH, lambda name: sshd.words(gahps.words(name))),
            Contestant(SSH_GCM, lambda name: sshd.words(gahps.words(name), cipher=GCM)),
            Contestant(SSH_SHARED, lambda name: sshd.words(gahps.words(name), shared=True)),
        ]
    sandbox = stack.enter_context(Sandbox(gahps, directory / "sandbox.log"))
    return [*contestants, Contestant(RVGAHP, sandbox.words)]
