# -*- test-case-name: tests.test_demo -*-
"""
C{rvgahp demo}: a real job through proxy, CE and client, each step shown.

Layer 6.  What the gridmanager would say is said here by hand, line by line.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

from rvgahp.errors import StartFailed
from rvgahp.gahpdialogue import Dialogue, findClient
from rvgahp.gahpjob import GAHPJob
from rvgahp.patience import Patience
from rvgahp.sandbox import SITE, Sandbox, isReadable
from rvgahp.screen import GREEN, Screen, plain

#: Seconds for a look at the batch system, and for the job.
_PING = 30.0
_JOB = 60.0


class Steps:
    """
    What has happened so far, and when.
    """

    def __init__(self, output: TextIO) -> None:
        self._screen = Screen(output)
        self._begin = time.monotonic()

    def step(self, what: str, detail: str = "") -> None:
        """
        Something has happened.
        """
        seconds = time.monotonic() - self._begin
        title = self._screen.paint(f"{what:<14}", GREEN)
        self._screen.line(f"{seconds:6.2f} s  {title} {plain(detail)}")

    def text(self, text: str) -> None:
        """
        Output of the job itself.
        """
        for line in text.splitlines():
            self._screen.line(f"          {'':14} | {plain(line)}")


def _submitAd(directory: Path) -> str:
    script = "echo Hello from a batch job; echo It ran as $(id -un) in $PWD; sleep 1; echo Done."
    return (
        f'[ Cmd = "/bin/sh"; Arguments = "-c \'{script}\'"; gridtype = "fork";'
        f' Iwd = "{directory}"; Out = "{directory / "job.out"}"; Err = "{directory / "job.err"}" ]'
    )


def _job(steps: Steps, dialogue: Dialogue, patience: Patience, directory: Path) -> None:
    """
    Submit a job and follow it to its end.
    """
    titles = {"job": "job submitted", "state": "job state", "trouble": "job trouble"}
    job = GAHPJob(dialogue, patience, lambda name, value: steps.step(titles[name], value))
    job.submit(_submitAd(directory))
    job.follow(_JOB)
    if job.state != "completed":
        raise StartFailed(f"the job was {job.state}")
    steps.step("job output", str(directory / "job.out"))
    steps.text((directory / "job.out").read_text())


def run(output: TextIO, wake: int) -> int:
    """
    @param wake: a descriptor that becomes readable when we are to end.
    @return: the exit status.
    """
    steps = Steps(output)
    sandbox = Sandbox(interrupted=lambda: isReadable(wake))
    try:
        sandbox.startProxy()
        steps.step("proxy up", f"port {sandbox.port}, socket {sandbox.socket}")
        sandbox.startCE()
        said = sandbox.said
        steps.step("CE accepted", f"{said['X_RVGAHP_TLS']}; site {said['X_RVGAHP_SITE']}")
        steps.step("", f"policy {said['X_RVGAHP_POLICY']}; offers {said['X_RVGAHP_GAHPS']}")
        patience = Patience(wake)
        words = [findClient(), "--socket", sandbox.socket, SITE, "batch_gahp"]
        dialogue = Dialogue(words, patience)
        try:
            steps.step("GAHP banner", dialogue.banner())
            steps.step("GAHP commands", " ".join(dialogue.ask("COMMANDS")[1:]))
            _, answer = dialogue.result("BLAH_PING", "fork", fields=2, limit=_PING)
            steps.step("batch system", answer)
            _job(steps, dialogue, patience, sandbox.directory)
            steps.step("GAHP exit", f"status {dialogue.quit()}")
        finally:
            dialogue.close()
    finally:
        sandbox.stop()
    steps.step("all stopped", "nothing is left behind")
    return 0
