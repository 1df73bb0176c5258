"""
One started launcher: the program that is to reach a GAHP, its stdin and stdout on
pipes of equal size, and an end to every wait.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: Bytes of every pipe between the benchmark and a launcher, for all alike: the
#: most that an ordinary user may have.
PIPE_BYTES = 1 << 20

#: Seconds for anything that takes milliseconds where it works.
PATIENCE = 30.0

_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # named since Python 3.10, on Linux


class BenchError(Exception):
    """
    The benchmark cannot go on.  Its text is a sentence for people.
    """


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """
    Raise L{BenchError} where the block takes longer.  Blocking reads and writes of
    the main thread are interrupted; they cost no C{poll} for that.  Not nested.
    """

    def late(number: int, frame: object) -> None:
        raise BenchError(f"{what}: nothing came of it within {seconds:g} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def waitUntil(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """
    @return: the first true answer of C{done}.
    @raise BenchError: there was none in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = done()
        if answer:
            return answer
        time.sleep(0.01)
    raise BenchError(f"{what}: it did not come up within {seconds:g} s")


def freePort() -> int:
    """
    @return: a port of loopback that nobody has now.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Launcher:
    """
    One run of a launcher.

    @ivar begun: C{time.perf_counter} just before it was started.
    """

    def __init__(
        self, name: str, words: list[str], environ: Mapping[str, str] | None = None
    ) -> None:
        """
        @param name: whose it is, for sentences.
        @param words: the command.
        @param environ: its environment; L{None}: ours.
        """
        self.name = name
        self._stderr = tempfile.TemporaryFile()
        self.begun = time.perf_counter()
        self._process = subprocess.Popen(
            words,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environ,
            start_new_session=True,  # Ctrl-C is for us, and a terminal is for nobody
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._ends = self._process.stdin, self._process.stdout
        self.input, self.output = (end.fileno() for end in self._ends)

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def enlarge(self) -> None:
        """
        Give its two pipes the size that all have.
        """
        for fd in (self.input, self.output):
            fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)

    def banner(self) -> float:
        """
        Wait for the GAHP's first line.

        @return: seconds from the start of the launcher to it.
        @raise BenchError: it ended without one.
        """
        line = b""
        with within(PATIENCE, f"{self.name}: the banner of a GAHP"):
            while not line.endswith(b"\n"):
                data = os.read(self.output, 4096)
                if not data:
                    raise BenchError(f"{self.name} ended without a banner: {self.complaint()}")
                line += data
        return time.perf_counter() - self.begun

    def closeInput(self) -> None:
        """
        Say end of file to the GAHP.
        """
        self._ends[0].close()

    def drain(self) -> bytes:
        """
        @return: what there is up to the end of its output.
        """
        with within(PATIENCE, f"{self.name}: the end of a GAHP's output"):
            pieces = iter(lambda: os.read(self.output, 65536), b"")
            return b"".join(pieces)

    def status(self) -> int:
        """
        @return: its exit status; negative for a signal.
        """
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.name} does not exit") from None

    def finish(self) -> None:
        """
        Close its input and see it end well.

        @raise BenchError: it does not.
        """
        self.closeInput()
        rest = self.drain()
        status = self.status()
        if rest or status:
            raise BenchError(
                f"{self.name} exited with status {status} and {len(rest)} bytes more than"
                f" expected: {self.complaint()}"
            )

    def said(self) -> bytes:
        """
        @return: what it has said on stderr.
        """
        # Not by seek: the offset is the launcher's too.
        return os.pread(self._stderr.fileno(), 1 << 20, 0)

    def complaint(self) -> str:
        """
        @return: the last of what it said on stderr.
        """
        self._process.poll()
        lines = self.said().decode("utf-8", "replace").split("\n")
        return (
            " / ".join([line.strip() for line in lines if line.strip()][-3:]) or "no reason given"
        )

    def kill(self) -> None:
        """
        End it if it runs still, and let go of everything.
        """
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for end in self._ends:
            end.close()
        self._stderr.close()


class Daemon:
    """
    A program that runs beside the measurements.
    """

    def __init__(self, words: list[str], stderr: Any = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    def stop(self) -> None:
        """
        Close its stdin, ask it to end, and see to it.
        """
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
