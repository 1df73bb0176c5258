"""
What the batch GAHP's tests share: the program as a process, spoken to over
pipes, every wait with an end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from rvgahp.gahplines import joinTokens, splitTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Seconds after which a test gives up waiting.  Long, for a loaded machine;
#: a test that passes never waits so long.
PATIENCE = 60.0

ROOT = Path(__file__).resolve().parent.parent


class BatchGahp:
    """
    One C{rvgahp_blahpd} and the test's side of its dialogue.
    """

    def __init__(self, directory: str, **options: Any) -> None:
        """
        @param directory: the account's state directory.
        @param options: further arguments of L{subprocess.Popen}; C{environment}
            adds to its environment, C{prelude} is Python that it runs first.
        """
        prelude = options.pop("prelude", "")
        extra = options.pop("environment", {})
        path = os.pathsep.join([*extra.pop("path", []), str(ROOT)])
        environment = {**os.environ, "RVGAHP_BLAH_DIR": directory, "PYTHONPATH": path, **extra}
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{prelude}\nfrom rvgahp.blah.main import main\nmain([])"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            **options,
        )
        self._pending = b""
        self._nextId = 1
        self._results: dict[bytes, list[bytes]] = {}
        self.banner = self.readLine()

    def write(self, data: bytes) -> None:
        """
        Send bytes as they are.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def readLine(self) -> bytes:
        """
        @return: the next line, with its end; C{b""} at the end of the output.
        """
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self._pending:
            if not select.select([fd], [], [], PATIENCE)[0]:
                raise AssertionError(f"no line came, only {self._pending!r}")
            data = os.read(fd, 65536)
            if not data:
                return b""
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line + b"\n"

    def ask(self, *tokens: bytes) -> list[bytes]:
        """
        Send one command.

        @return: the tokens of its reply.
        """
        self.write(joinTokens(tokens) + b"\r\n")
        return splitTokens(self.readLine()[:-1])

    def begin(self, command: bytes, *arguments: bytes) -> bytes:
        """
        Send one request, and take its acknowledgement.

        @return: its id.
        """
        self._nextId += 1
        requestId = b"%d" % self._nextId
        reply = self.ask(command, requestId, *arguments)
        assert reply == [b"S"], reply
        return requestId

    def result(self, requestId: bytes) -> list[bytes]:
        """
        @return: the fields of a request's result after the id.
        """
        # Polled as a gridmanager without asynchronous mode does.
        for _ in patiently():
            self.collect()
            if requestId in self._results:
                return self._results.pop(requestId)
        raise AssertionError("unreachable")

    def collect(self) -> None:
        """
        Fetch what results there are.
        """
        reply = self.ask(b"RESULTS")
        assert reply[0] == b"S", reply
        for _ in range(int(reply[1])):
            first, *others = splitTokens(self.readLine()[:-1])
            assert first not in self._results, first
            self._results[first] = others

    def request(self, command: bytes, *arguments: bytes) -> list[bytes]:
        """
        @return: L{result} of L{begin}.
        """
        return self.result(self.begin(command, *arguments))

    def submit(self, ad: bytes) -> bytes:
        """
        @return: the id of the job.
        """
        result = self.request(b"BLAH_JOB_SUBMIT", ad)
        assert result[:2] == [b"0", b"No error"], result
        return result[2]

    def status(self, jobId: bytes) -> tuple[int, dict[str, Any]]:
        """
        @return: the job's status, and its ad.
        """
        import classad2

        result = self.request(b"BLAH_JOB_STATUS", jobId)
        assert result[:2] == [b"0", b"No error"], result
        return int(result[2]), dict(classad2.ClassAd(result[3].decode("ascii")))

    def waitForStatus(self, jobId: bytes, wanted: int) -> dict[str, Any]:
        """
        @return: the job's ad when its status is the wanted one.
        """
        seen: list[tuple[int, dict[str, Any]]] = []
        for _ in patiently(lambda: f"the status is {seen[-1]}"):
            seen.append(self.status(jobId))
            if seen[-1][0] == wanted:
                return seen[-1][1]
        raise AssertionError("unreachable")

    def end(self, data: bytes = b"") -> tuple[int, bytes]:
        """
        Close its input.

        @return: its exit status, and what it wrote to stderr.
        """
        _, errors = self.process.communicate(data or None, timeout=PATIENCE)
        return self.process.returncode, errors

    def kill(self) -> None:
        """
        Kill it outright, if it still runs.
        """
        if self.process.returncode is None:
            self.process.kill()
            self.end()


def patiently(explain: Callable[[], str] = lambda: "") -> Any:
    """
    Go round a loop until its condition holds, not too often and not for ever.
    """
    deadline = time.monotonic() + PATIENCE
    pause = 0.002
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    raise AssertionError(f"it did not come about in {PATIENCE} s: {explain()}")


def forkAd(iwd: str, script: str, **attributes: str) -> bytes:
    """
    @param script: what a shell is to do.
    @return: a submit ad for the C{fork} manager.
    """
    given = {
        "gridtype": "fork",
        "Cmd": "/bin/sh",
        "Arguments": "-c '" + script.replace("'", "''") + "'",
        "Iwd": iwd,
        "Out": "out",
        "Err": "err",
        **attributes,
    }
    # A JSON string is a ClassAd string, for ASCII.
    return (
        "; ".join(f"{name} = {json.dumps(value)}" for name, value in given.items())
        .join("[]")
        .encode()
    )


def recorded(directory: str, jobId: bytes, name: str = "start") -> dict[str, Any]:
    """
    @return: what the C{fork} manager has on record of a job.
    """
    record: dict[str, Any] = json.loads((Path(directory) / jobId.decode() / name).read_text())
    return record


def processesNaming(text: str) -> list[str]:
    """
    @return: the command lines of all living processes that name something in
        their arguments or environment.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
                words += b"\0" + (entry / "environ").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(f"{entry.name}: {words.split(bytes(1) * 2)[0]!r}")
    return found


def killProcess(pid: int) -> None:
    """
    Kill a process of a job, and see it gone.
    """
    os.kill(pid, signal.SIGKILL)
    for _ in patiently():
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
        except OSError:
            return
        if state == b"Z":
            return
