# -*- test-case-name: tests.test_sandbox -*-
"""
A twistd as a child process, that tells when it is ready.

Layer 6.  No reactor: what it says is waited for.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rvgahp.errors import StartFailed

#: Seconds for a daemon's start, on a busy machine.
_START = 60.0

#: Seconds for its end, before it is killed.
_STOP = 20.0


class Daemon:
    """
    One twistd, and what it has said of itself.

    @ivar said: the fields of its notification.
    @ivar directory: where it has its files.
    @ivar log: its log.
    """

    def __init__(
        self,
        directory: Path,
        plugin: str,
        config: Path,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param interrupted: tells whether to give up waiting for its start.
        """
        self._interrupted = interrupted
        self._name = plugin
        self.log = directory / f"{plugin}.log"
        self.directory = directory
        twistd = Path(sys.executable).with_name("twistd")
        program = str(twistd) if twistd.exists() else shutil.which("twistd") or "twistd"
        self.command = [
            program,
            "--nodaemon",
            "--no_save",
            "--pidfile=",
            f"--logfile={self.log}",
            plugin,
            f"--config={config}",
        ]
        self.said: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Start it, and wait until it says that it is ready.  One that ended before is
        started again.

        @raise StartFailed: it does not; the sentence has its last words.
        """
        self.stop()
        # A short name, for a socket's path is short; and it may be left of a former run.
        path = str(self.directory / ".ready")
        Path(path).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(path)
            ready.settimeout(0.1)
            environment = {
                **os.environ,
                "NOTIFY_SOCKET": path,
                "RVGAHP_BLAH_DIR": str(self.directory / "blah"),
            }
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._wait(ready, self.process)
            finally:
                os.unlink(path)

    def _wait(self, ready: socket.socket, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _START
        while time.monotonic() < end:
            try:
                lines = ready.recv(65536).decode().splitlines()
            except TimeoutError:
                if self._interrupted():
                    self.stop()
                    raise StartFailed(f"told to end while {self._name} was starting") from None
                if process.poll() is not None:
                    break
                continue
            self.said.update(line.partition("=")[::2] for line in lines)
            if self.said.get("READY") == "1":
                return
        raise StartFailed(f"{self._name} did not come up: {self._lastWords(process)}")

    def _lastWords(self, process: subprocess.Popen[bytes]) -> str:
        self._end(process)
        words = ""
        if process.stdout is not None:
            with process.stdout:
                words = process.stdout.read().decode("utf-8", "replace")
        if not words.strip() and self.log.exists():
            words = self.log.read_text(errors="replace")
        lines = [line for line in words.splitlines() if line.strip()]
        return " / ".join(lines[-3:]) or f"no reason given; see {self.log}"

    def stop(self) -> None:
        """
        End it, by force after a while.
        """
        if self.process is not None:
            self._end(self.process)
            if self.process.stdout is not None:
                self.process.stdout.close()

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
