"""
The gridmanager double's dialogue with one GAHP: its start, lines, notices, what is answered
at once.  Pure: bytes in and out.  C{gc} is HTCondor's
C{src/condor_gridmanager/gahp-client.cpp}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import Protocol

from tests.gridmanagerlines import (
    BANNER_LENGTH,
    READ_SIZE,
    CommandRefused,
    GridmanagerDied,
    GridmanagerError,
    GridmanagerHung,
    LineReader,
    OutOfStep,
    escape,
    isNotice,
    isNull,
    number,
)
from tests.gridmanagerloop import Loop, Steps

#: Lines of stderr that are kept (C{gc} C{err_pipe_ready}).
STDERR_LINES = 4

#: What the gridmanager says of itself, and of GAHPs that know RESPONSE_PREFIX it wants.
VERSION = b"$CondorVersion: 25.14.0 2026-11-20 gridmanager double $"
PREFIX = b"GAHP:"

_ALLOCATED = b"Allocated port "


class Wire(Protocol):
    """
    What leads to one running GAHP.

    @ivar pid: its process id.
    """

    pid: int

    def write(self, data: bytes) -> None:
        """
        Write to its stdin, as if by one blocking write; that it is gone is no error.
        """

    def close(self) -> None:
        """
        Close all three pipes.
        """


class Dialogue:
    """
    One GAHP, from its start on.

    @ivar name: C{blahpd} or C{condor_ft-gahp}.
    @ivar isRunning: whether it was started well.
    @ivar commands: what it says it can do.
    @ivar port: of the tunnel, from its stderr; 0: none.
    @ivar stderr: the last lines of it.
    @ivar claimId: the secret of the last security session.
    """

    def __init__(self, loop: Loop, name: str, launch: Callable[[Dialogue], Wire]) -> None:
        self.name = name
        self.isRunning = False
        self.wire: Wire | None = None
        self.loop = loop
        self.commands: set[bytes] = set()
        self.port = 0
        self.stderr: deque[bytes] = deque(maxlen=STDERR_LINES)
        self.claimId = b""
        self._launch = launch
        self.reader = LineReader()
        self._chunks: deque[bytes] = deque()
        self._ended = self._endSeen = False
        self._exit: int | None = None
        self._stderrTail = b""
        self._notices = self._isPrefixed = False
        self.skipNotice = self.inResults = self.pollPending = False
        loop.dialogues.append(self)

    def received(self, data: bytes) -> None:
        """
        Take what one read of its stdout gave.
        """
        self._chunks.extend(data[at : at + READ_SIZE] for at in range(0, len(data), READ_SIZE))

    def receivedError(self, data: bytes) -> None:
        """
        Take what one read of its stderr gave.
        """
        *lines, tail = data.split(b"\n")
        for line in lines:
            if not self.port and line.startswith(_ALLOCATED):
                self.port = number(line[len(_ALLOCATED) :])
            self.stderr.append(self._stderrTail + line.rstrip(b"\r"))
            self._stderrTail = b""
        self._stderrTail += tail

    def ended(self) -> None:
        """
        Its stdout has ended.
        """
        self._ended = True

    def exited(self, wire: Wire, status: int) -> None:
        """
        @param wire: which start of it.
        @param status: as L{subprocess} has it, negative for a signal.
        """
        if wire is self.wire:
            self._exit = status

    def reap(self) -> None:
        """
        Look whether it has exited; where the start was good, that is the end.
        """
        if self._exit is not None and self.isRunning:
            raise self.died(f"EXCEPT: exited with status {self._exit}")

    def pipeReady(self) -> bool:
        """
        @return: whether there is something to do since bytes, or the end, came unasked.
        """
        if self._ended and not self._chunks and not self._endSeen and self.isRunning:
            self._endSeen = True
            self.loop.setTimer((self, "end"), self.loop.times.leave, self._hang)
        elif not self._notices or not self._chunks:
            return False
        self.skipNotice = True
        self.pollSoon()
        return True

    def start(self) -> Steps[bool]:
        """
        Start it, unless it runs, and shake hands (C{gc} C{Startup}).

        @return: whether it runs.
        """
        if self.isRunning:
            return True
        self._chunks.clear()
        self._ended, self._exit = False, None
        self.wire = self._launch(self)
        if not (yield from self._readBanner()) or not (yield from self._readCommands()):
            self.wire.close()
            self.wire = None
            self.port = 0
            return False
        self.isRunning = True
        version = yield from self._demand(b"CONDOR_VERSION", VERSION)
        if version is not None and len(version) != 2:
            self.loop.trouble(CommandRefused(f"{self.name}: CONDOR_VERSION: {version}"))
        self._isPrefixed = (yield from self._demand(b"RESPONSE_PREFIX", PREFIX)) is not None
        self._notices = (yield from self._demand(b"ASYNC_MODE_ON")) is not None
        times = self.loop.times
        self._pollEvery(times.poll if self._notices else times.pollWithout)
        return True

    def lists(self, command: bytes) -> bool:
        """
        @return: whether the GAHP says that it knows it.
        """
        return command in self.commands

    def createSession(self) -> Steps[bool]:
        """
        Give the GAHP a security session.
        """
        digits = SystemRandom()
        info = b'[Encryption="YES";Integrity="YES";CryptoMethods="AES";ShortVersion="25.14.0";]'
        self.claimId = b"%048x#%s%064x" % (digits.getrandbits(192), info, digits.getrandbits(256))
        reply = yield from self._demand(b"CREATE_CONDOR_SECURITY_SESSION", self.claimId)
        return reply is not None

    def sandboxPath(self, sandboxId: bytes) -> Steps[bytes]:
        """
        @return: the GAHP's answer to GET_SANDBOX_PATH; empty where there is none.
        """
        reply = yield from self._demand(b"GET_SANDBOX_PATH", sandboxId)
        if reply is None:
            return b""
        self.expect(reply, b"GET_SANDBOX_PATH", 2)
        return b"" if isNull(reply[1]) else reply[1]

    def ask(self, command: bytes, *arguments: bytes) -> Steps[list[bytes]]:
        """
        @return: the tokens of the one line that answers; none at the end of stdout.
        """
        self.write([b" ".join([command, *map(escape, arguments)]), b"\r\n"])
        return (yield from self.readLine(command))

    def _demand(self, command: bytes, *arguments: bytes) -> Steps[list[bytes] | None]:
        """
        Ask what is answered at once, if the GAHP knows it.

        @return: the answer; C{None}: it does not know it, or refused, or has ended.
        """
        if not self.lists(command):
            return None
        reply = yield from self.ask(command, *arguments)
        if self.isGood(reply):
            return reply
        if reply or not self._ended:
            self.loop.trouble(CommandRefused(f"{self.name}: {command.decode()}: {reply}"))
        return None

    def expect(self, line: list[bytes], command: bytes, count: int) -> None:
        """
        @raise GridmanagerDied: the line has another number of fields.
        """
        if len(line) != count:
            raise self.died(f"ASSERT: {command.decode()} answered with {line}, not {count} fields")

    def write(self, fragments: Sequence[bytes]) -> None:
        """
        Write to its stdin, piece by piece as the real one does.  What it has said since the
        last answer must be notices: the real one would take the rest for the next answer.
        """
        unread = b"" if self._isPrefixed else self.reader.rest + b"".join(self._chunks)
        for line in unread.split(b"\n"):
            if line and not isNotice(line.split(b" ")):
                self.loop.trouble(OutOfStep(f"{self.name} said unasked: {line[:200]!r}"))
        assert self.wire is not None, self.name
        for fragment in fragments:
            if fragment:
                self.wire.write(fragment)

    def _fill(self, until: float, error: GridmanagerError) -> Steps[bool]:
        """
        See that there is a byte to use.

        @return: whether there is; if not, stdout has ended.
        """
        while self.reader.isEmpty:
            if self._chunks:
                self.reader.feed(self._chunks.popleft())
            elif self._ended:
                return False
            elif self.loop.now() >= until:
                raise error
            else:
                yield from self.loop.waitFor(self, until)
        return True

    def readLine(self, command: bytes) -> Steps[list[bytes]]:
        """
        @param command: what is to be answered.
        @return: the next line that is no notice; nothing at the end of stdout.
        @raise GridmanagerDied: it does not come in time.
        """
        seconds = self.loop.times.response
        until = self.loop.now() + seconds
        error = self.died(f"EXCEPT: no line for {seconds:g} s after {command.decode()}")
        while (yield from self._fill(until, error)):
            line = self.reader.line()
            if line is None or (self._isPrefixed and not line[0].startswith(PREFIX)):
                continue
            if self._isPrefixed:
                line[0] = line[0][len(PREFIX) :]
            if not isNotice(line):
                if not self.inResults:
                    self.lookForMore()
                return line
            if self.skipNotice:
                self.skipNotice = False
            else:
                self.pollSoon()
        self.reader.forget()
        return []

    def _readBanner(self) -> Steps[bool]:
        seconds = self.loop.times.banner
        error = GridmanagerHung(f"{self.name}: no banner within {seconds:g} s")
        until = self.loop.now() + seconds
        kept = b""
        while len(kept) < BANNER_LENGTH:
            if not (yield from self._fill(until, error)):
                return False
            byte = self.reader.byte()
            if kept and byte == b"\n":
                return True
            if (kept and byte != b"\\") or byte == b"$":
                kept += byte
        return False

    def _readCommands(self) -> Steps[bool]:
        reply = yield from self.ask(b"COMMANDS")
        self.commands = {command.upper() for command in reply[1:]}
        return self.isGood(reply)

    def _pollEvery(self, interval: float) -> None:
        def work() -> Steps[None]:
            self._pollEvery(interval)
            yield from self.poll()

        self.loop.setTimer((self, "poll"), interval, work)

    def lookForMore(self) -> None:
        """
        What was read with the line before is a notice, the real one thinks.
        """
        if not self.reader.isEmpty:
            self.skipNotice = True
            self.pollSoon()

    def pollSoon(self) -> None:
        """
        Fetch results as soon as the thread is free.
        """
        if not self.pollPending:
            self.pollPending = True
            self.loop.setTimer((self, "soon"), 0, self.poll)

    def poll(self) -> Steps[None]:
        """
        Fetch results.
        """
        raise NotImplementedError

    def isGood(self, reply: list[bytes]) -> bool:
        """
        @return: whether it says yes.
        """
        return bool(reply) and reply[0][:1] == b"S"

    def died(self, reason: str) -> GridmanagerDied:
        """
        @return: the error to raise.
        """
        pid = self.wire.pid if self.wire else 0
        return GridmanagerDied(f"{self.name} ({pid}): {reason}")

    def _hang(self) -> Steps[None]:
        yield from ()
        raise GridmanagerHung(f"{self.name}: its stdout has ended, and it does not exit")
