# -*- test-case-name: tests.test_demo -*-
"""
C{rvgahp demo}: a real job through proxy, CE and client, each step shown.

Layer 6.  What the gridmanager would say is said here by hand, line by line.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from rvgahp.errors import StartFailed
from rvgahp.gahplines import joinTokens, splitTokens
from rvgahp.sandbox import SITE, Sandbox, isReadable

#: Seconds for any one answer of the GAHP.
_ANSWER = 30.0

#: Seconds for the job.
_JOB = 60.0

_STATES = {"1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held"}


class Screen:
    """
    Steps for people to read; coloured only on a terminal.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._colour = output.isatty() and "NO_COLOR" not in os.environ
        self._begin = time.monotonic()

    def step(self, what: str, detail: str = "") -> None:
        """
        Something has happened.
        """
        seconds = time.monotonic() - self._begin
        text = f"{seconds:6.2f} s  {self._bold(f'{what:<14}')} {detail}"
        print(text.rstrip(), file=self._output, flush=True)

    def text(self, text: str) -> None:
        """
        Output of the job itself.
        """
        for line in text.splitlines():
            print(f"          {'':14} | {line}", file=self._output, flush=True)

    def _bold(self, text: str) -> str:
        return f"\033[1;32m{text}\033[0m" if self._colour else text


class Dialogue:
    """
    The gridmanager's part in a conversation with a GAHP.
    """

    def __init__(self, socket: str, wake: int) -> None:
        """
        @param wake: becomes readable when we are to end.
        """
        self._wake = wake
        client = Path(sys.executable).with_name("rvgahp_client")
        program = str(client) if client.exists() else "rvgahp_client"
        self._process = subprocess.Popen(
            [program, "--socket", socket, SITE, "batch_gahp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._heard = b""
        self._count = 1

    def line(self) -> list[str]:
        """
        @return: the tokens of the next line.
        @raise StartFailed: there is none.
        """
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._heard:
            ready = select.select([fd, self._wake], [], [], _ANSWER)[0]
            if self._wake in ready:
                raise StartFailed("told to end in the middle")
            if not ready:
                raise StartFailed(f"the GAHP said nothing for {_ANSWER:g} s")
            data = os.read(fd, 65536)
            if not data:
                status = self._process.wait(_ANSWER)
                raise StartFailed(f"the client ended with status {status}; see above")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return [token.decode() for token in splitTokens(line.rstrip(b"\r"))]

    def ask(self, *words: str) -> list[str]:
        """
        @return: the tokens of the reply.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(joinTokens(word.encode() for word in words) + b"\r\n")
        except BrokenPipeError:
            pass  # its status tells more
        return self.line()

    def result(self, *words: str) -> list[str]:
        """
        A command whose result comes later, through RESULTS.

        @return: the result's tokens, without the request's id.
        @raise StartFailed: it was refused, or took too long.
        """
        self._count += 1
        request = str(self._count)
        reply = self.ask(words[0], request, *words[1:])
        if reply[0] != "S":
            raise StartFailed(f"{words[0]} was answered {' '.join(reply)}")
        end = time.monotonic() + _ANSWER
        while time.monotonic() < end:
            lines = [self.line() for _ in range(int(self.ask("RESULTS")[1]))]
            for tokens in lines:
                if tokens[0] == request:
                    return tokens[1:]
            time.sleep(0.05)  # as the gridmanager does without ASYNC_MODE_ON
        raise StartFailed(f"{words[0]} had no result within {_ANSWER:g} s")

    def quit(self) -> int:
        """
        @return: the client's exit status, which is the GAHP's.
        """
        self.ask("QUIT")
        return self._process.wait(_ANSWER)

    def kill(self) -> None:
        """
        If it still runs, end it.
        """
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _submitAd(directory: Path) -> str:
    script = "echo Hello from a batch job; echo It ran as $(id -un) in $PWD; sleep 1; echo Done."
    return (
        f'[ Cmd = "/bin/sh"; Arguments = "-c \'{script}\'"; gridtype = "fork";'
        f' Iwd = "{directory}"; Out = "{directory / "job.out"}"; Err = "{directory / "job.err"}" ]'
    )


def _job(screen: Screen, dialogue: Dialogue, directory: Path) -> None:
    """
    Submit a job and follow it to its end.
    """
    rc, error, job = dialogue.result("BLAH_JOB_SUBMIT", _submitAd(directory))
    if rc != "0":
        raise StartFailed(f"the submit failed: {error}")
    screen.step("job submitted", job)
    shown = ""
    end = time.monotonic() + _JOB
    while time.monotonic() < end:
        rc, error, state, _ = dialogue.result("BLAH_JOB_STATUS", job)
        if rc != "0":
            raise StartFailed(f"the job's state cannot be had: {error}")
        if state != shown:
            shown = state
            screen.step("job state", f"{state} ({_STATES.get(state, 'unknown')})")
        if state in ("3", "4", "5"):
            screen.step("job output", str(directory / "job.out"))
            screen.text((directory / "job.out").read_text())
            return
        time.sleep(0.2)
    raise StartFailed(f"the job did not end within {_JOB:g} s")


def run(output: TextIO, wake: int) -> int:
    """
    @param wake: a descriptor that becomes readable when we are to end.
    @return: the exit status.
    """
    screen = Screen(output)
    sandbox = Sandbox(interrupted=lambda: isReadable(wake))
    try:
        sandbox.startProxy()
        screen.step("proxy up", f"port {sandbox.port}, socket {sandbox.socket}")
        sandbox.startCE()
        said = sandbox.said
        screen.step("CE accepted", f"{said['X_RVGAHP_TLS']}; site {said['X_RVGAHP_SITE']}")
        screen.step("", f"policy {said['X_RVGAHP_POLICY']}; offers {said['X_RVGAHP_GAHPS']}")
        dialogue = Dialogue(sandbox.socket, wake)
        try:
            screen.step("GAHP banner", " ".join(dialogue.line()))
            screen.step("GAHP commands", " ".join(dialogue.ask("COMMANDS")[1:]))
            screen.step("batch system", dialogue.result("BLAH_PING", "fork")[1])
            _job(screen, dialogue, sandbox.directory)
            screen.step("GAHP exit", f"status {dialogue.quit()}")
        finally:
            dialogue.kill()
    finally:
        sandbox.stop()
    screen.step("all stopped", "nothing is left behind")
    return 0
