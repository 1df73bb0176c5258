"""
Short sessions of known bytes, for tests with faults, and what must hold of each whatever
happens: what an end received is the beginning of what the other sent, and all of it unless
one of them was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.tunnelcase import Gridmanager, connectRequest

#: Seconds after which a session hangs.
LIMIT = 100.0

#: The exit status of a client that could not get a GAHP.
FAILURE = 255

#: What a client says where the site was silent for long, and all may still be whole; and that
#: outcome, which must be rare.
_SILENCE = b"rvgahp_client: nothing heard from the site for 15 s; still waiting\n"
SILENT = "whole, after a silence of 15 s"

#: The outcome that is right only where the site was away for so long.
LEASE_OVER = "ended by its lease, and the site was away for it"


class Violation(AssertionError):
    """
    Something was lost, came twice, or did not end.
    """


class Flow:
    """
    One direction of bytes from one end to the other.

    @ivar sent: all that is to be sent.
    @ivar came: how many bytes have come.
    @ivar hasEnded: whether the end has come.
    """

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.came = 0
        self.hasEnded = False

    def take(self, data: bytes) -> None:
        """
        Bytes came, or with none the end.
        """
        if self.hasEnded:
            raise Violation("something came after the end")
        if not data:
            self.hasEnded = True
        elif self.sent[self.came : self.came + len(data)] != data:
            raise Violation(f"wrong bytes at {self.came}")
        self.came += len(data)

    def isWhole(self) -> bool:
        """
        @return: whether all has come, and the end.
        """
        return self.hasEnded and self.came == len(self.sent)


class Session:
    """
    One client and its GAHP.

    @ivar killed: which ends were killed.
    @ivar outcome: what became of it, for the count.
    """

    name = ""

    def __init__(self, words: list[str], directory: Path, number: int, random: Random) -> None:
        """
        @param words: the client's command, but for the GAHP's name.
        @param directory: for reports.
        """
        self._words = [*words, self.name]
        self._random = random
        self._end = time.monotonic() + LIMIT
        self.number = number
        self.report = directory / f"report{number}"
        self.killed: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None
        self.gahpPid = 0
        self.errors = b""
        self.outcome = ""

    def run(self) -> None:
        """
        From start to end.

        @raise Violation: what must hold does not.
        """
        self.process = self._start()
        try:
            self._play(self.process)
            status = self.process.wait(max(0.1, self._end - time.monotonic()))
            self.outcome = self._judge(status)
        except subprocess.TimeoutExpired:
            raise Violation("the client does not end") from None
        finally:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self.process = None
            self.report.unlink(missing_ok=True)

    def _start(self, **popen: Any) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, **popen
        )

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise Violation(f"it hangs: {self._state()}")
        return left

    def _state(self) -> str:
        """
        @return: how far it has come, for people.
        """
        status = self.process.poll() if self.process is not None else None
        return f"client's status {status}, killed {sorted(self.killed)}, said {self.errors!r}"

    def _play(self, process: subprocess.Popen[bytes]) -> None:
        raise NotImplementedError

    def _judge(self, status: int) -> str:
        raise NotImplementedError

    def _isLeaseOver(self, status: int) -> bool:
        return status == FAILURE and b" for the lease of " in self.errors

    def _refusal(self, said: bytes) -> str:
        """
        @param said: on stderr.
        @return: what the client said, without what is different each time.
        """
        lines = said.decode(errors="replace").splitlines()
        if len(lines) != 1 or not lines[0].startswith("rvgahp_client: "):
            raise Violation(f"a client that gets no GAHP says {said!r}")
        sentence = lines[0].split(": ", 2)[-1]
        return "refused: " + "".join("#" if one.isdigit() else one for one in sentence)[:70]


class EchoSession(Session):
    """
    A GAHP that gives back what it gets, says some lines and exits.
    """

    name = "mirror"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        random = self._random
        size = int(10 ** random.uniform(0, 6 if random.random() < 0.3 else 4))
        self._status = random.choice((0, 0, 0, 1, 7, 99, 128 + 15, 128 + 9))
        self._lines = random.choice((0, 1, 50))
        data = random.randbytes(size)
        self._header = f"{self.report} {self._status} {self._lines}\n".encode()
        self._input = self._header + data
        self._back = Flow(data)
        self._pid = b""
        self._pieces = random.randrange(1, 8)

    def _play(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        pipe, stdin = process.stdin, process.stdin.fileno()
        os.set_blocking(stdin, False)
        written, due = 0, time.monotonic()
        size = len(self._input) // self._pieces + 1
        upTo = size
        streams = {one.fileno() for one in (process.stdout, process.stderr) if one is not None}
        stderr = process.stderr.fileno() if process.stderr is not None else -1
        while streams:
            wait = min(self._left(), 1.0)
            mayWrite = written < len(self._input) and time.monotonic() >= due
            if written < len(self._input) and not mayWrite:
                wait = min(wait, max(0.0, due - time.monotonic()))
            readable, writable, _ = select.select(streams, [stdin] if mayWrite else [], [], wait)
            for fd in readable:
                data = os.read(fd, 1 << 16)
                if not data:
                    streams.discard(fd)
                if fd == stderr:
                    self.errors += data
                else:
                    self._took(data)
            if writable:
                try:
                    written += os.write(stdin, self._input[written:upTo])
                except BrokenPipeError:
                    written = len(self._input)
                if written >= upTo:
                    upTo += size
                    due = time.monotonic() + self._random.uniform(0, 0.15)
                if written >= len(self._input):
                    pipe.close()
                    process.stdin = None

    def _took(self, data: bytes) -> None:
        if not self.gahpPid and data:
            self._pid += data
            if b"\n" not in self._pid:
                return
            line, _, data = self._pid.partition(b"\n")
            self.gahpPid = int(line)
            if not data:
                return
        self._back.take(data)

    def _judge(self, status: int) -> str:
        lines = self.report.read_text().splitlines() if self.report.exists() else []
        if "double" in lines or lines.count("start") > 1:
            raise Violation(f"the session had two GAHPs: {lines}")
        for line in lines[1:]:
            _, size, digest = line.split()
            sent = self._back.sent[: int(size)]
            if hashlib.sha256(sent).hexdigest() != digest:
                raise Violation(f"the GAHP got other bytes than were sent: {line}")
        if self.killed:
            return "with an end killed"
        if status == FAILURE and not lines and not self._pid:
            return self._refusal(self.errors)
        if self._isLeaseOver(status):
            return LEASE_OVER
        said = b"".join(b"line %d\n" % number for number in range(self._lines))
        errors = self.errors.replace(_SILENCE, b"")
        found = self._back.isWhole(), len(lines), errors, status
        if found != (True, 2, said, self._status):
            raise Violation(
                f"{self._back.came} of {len(self._back.sent)} bytes came back, the end"
                f" {self._back.hasEnded}; report {lines}; status {status}, not {self._status};"
                f" on stderr {self.errors[:500]!r}"
            )
        return "whole" if errors == self.errors else SILENT


class TunnelSession(Session):
    """
    A GAHP with a tunnel, through which something goes each way at once.
    """

    name = "condor_ft-gahp"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        random = self._random
        sizes = [int(10 ** random.uniform(0, 6 if random.random() < 0.3 else 4)) for _ in "ab"]
        self._there = Flow(connectRequest() + random.randbytes(sizes[0]))
        self._back = Flow(random.randbytes(sizes[1]))
        self._isAnnounced = self._hasStarted = self._isBroken = False
        self._gridmanager = Gridmanager()

    def _start(self, **popen: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "CONDOR_INHERIT": self._gridmanager.inherit()}
        return super()._start(env=environment, **popen)

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._gridmanager.close()

    def _play(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stderr is not None
        port = self._announcement(process.stderr.fileno())
        if port:
            self._isAnnounced = True
        # As with the real one: it connects when it was told to, which needs its own stream.
        if port and self._banner(process):
            site: socket.socket | None = None
            try:
                site = socket.create_connection(("127.0.0.1", port), self._left())
                self._exchange(site, process)
            except OSError:
                self._isBroken = True
            finally:
                if site is not None:
                    site.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None
        self.errors += process.communicate(timeout=self._left())[1]

    def _state(self) -> str:
        flows = [(one.came, len(one.sent), one.hasEnded) for one in (self._there, self._back)]
        near = len(self._gridmanager.connections)
        return f"{super()._state()}, started {self._hasStarted}, {near} connections, {flows}"

    def _announcement(self, fd: int) -> int:
        while b"\n" not in self.errors:
            if select.select([fd], [], [], self._left())[0]:
                data = os.read(fd, 4096)
                if not data:
                    return 0
                self.errors += data
        if not self.errors.startswith(b"Allocated port "):
            return 0
        return int(self.errors.split()[2])

    def _banner(self, process: subprocess.Popen[bytes]) -> bool:
        """
        @return: whether the GAHP has said its first line.
        """
        assert process.stdout is not None
        said, fd = b"", process.stdout.fileno()
        while b"\n" not in said:
            if select.select([fd], [], [], self._left())[0]:
                data = os.read(fd, 4096)
                if not data:
                    return False
                said += data
        self._hasStarted = True
        return True

    def _exchange(self, site: socket.socket, process: subprocess.Popen[bytes]) -> None:
        port = self._gridmanager.port
        near: socket.socket | None = None
        waiting = {site: self._there.sent}
        reading: dict[socket.socket, Flow] = {site: self._back}
        site.setblocking(False)
        port.setblocking(False)
        while reading or near is None:
            # The CE may be killed before the other end is there: then it never comes.
            if near is None and (process.poll() is not None or self._back.hasEnded):
                raise OSError("one end is gone")
            ears = [*reading, *([port] if near is None else [])]
            readable, writable, _ = select.select(ears, list(waiting), [], min(1, self._left()))
            for one in readable:
                if one is port:
                    near, _ = port.accept()
                    self._gridmanager.connections.append(near)
                    near.setblocking(False)
                    waiting[near] = self._back.sent
                    reading[near] = self._there
                    continue
                data = one.recv(1 << 16)
                reading[one].take(data)
                if not data:
                    del reading[one]
            for one in writable:
                if one not in waiting:
                    continue
                count = one.send(waiting[one][: self._random.randrange(1, 1 << 16)])
                waiting[one] = waiting[one][count:]
                if not waiting[one]:
                    del waiting[one]
                    one.shutdown(socket.SHUT_WR)

    def _judge(self, status: int) -> str:
        if self.killed:
            return "tunnel, with an end killed"
        _, _, said = self.errors.rpartition(b"forward to ")
        said = said.partition(b"\n")[2] if self._isAnnounced else self.errors
        if status == FAILURE and not self._hasStarted:
            return f"tunnel {self._refusal(said)}"
        if self._isLeaseOver(status):
            return LEASE_OVER
        if self._isBroken or not (self._there.isWhole() and self._back.isWhole()):
            raise Violation(
                f"tunnel: {self._there.came} of {len(self._there.sent)} bytes came there,"
                f" {self._back.came} of {len(self._back.sent)} back; status {status};"
                f" {self.errors!r}"
            )
        return "tunnel, whole"
