# -*- test-case-name: tests.test_gahpprocess -*-
"""
A GAHP as a child process, its stdin and stdout on sockets, its stderr on a pipe.

Layer 3.  stdin and stdout are two socket pairs: a pipe is read 8 KiB at a time by
Twisted, and one pair for both would not tell when the GAHP has closed just one of
them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import launch
from rvgahp.descriptor import Descriptor, Sink
from rvgahp.igahp import GAHPCommand

_UMASK = "022"


class ProcessUser(Protocol):
    """
    Who is told of the process.
    """

    def launched(self) -> None:
        """
        The program runs.
        """

    def launchFailed(self, problem: str) -> None:
        """
        The program could not be executed.  Nothing else is called.
        """

    def stdoutReceived(self, data: bytes) -> None:
        """
        It wrote to stdout.
        """

    def stdoutEnded(self) -> None:
        """
        Its stdout is closed.
        """

    def stderrReceived(self, data: bytes) -> None:
        """
        It wrote to stderr.
        """

    def stderrEnded(self) -> None:
        """
        Its stderr is closed.
        """

    def stdinDelivered(self, cost: int) -> None:
        """
        Frames that cost C{cost} have reached its stdin, or cannot any more.
        """

    def exited(self, signalled: bool, value: int) -> None:
        """
        It ended: with status C{value}, or by signal C{value}.
        """


class _Stdout(Descriptor):
    def __init__(self, loop: Any, connection: socket.socket, user: ProcessUser) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self._user = user

    def dataReceived(self, data: bytes) -> None:
        self._user.stdoutReceived(data)

    def readEnded(self, problem: str) -> None:
        self.close()
        self._user.stdoutEnded()


class GAHPProcess(ProcessProtocol):
    """
    One GAHP.

    @ivar stdin: where its input goes.
    @ivar stdout: what is read of it.
    @ivar isAlive: it was started and has not been reaped.
    """

    log = Logger()

    def __init__(self, loop: Any, user: ProcessUser) -> None:
        self._loop = loop
        self._user = user
        self._problem = b""
        self.isAlive = False
        self._launched = False

    def start(self, command: GAHPCommand, environment: Mapping[str, str], descriptors: int) -> None:
        """
        @param environment: what it inherits; the command's own is added.
        @param descriptors: its soft RLIMIT_NOFILE; 0 leaves ours.
        @raise OSError: no process could be made.
        """
        stdin, childStdin = socket.socketpair()
        stdout, childStdout = socket.socketpair()
        stdin.shutdown(socket.SHUT_RD)
        stdout.shutdown(socket.SHUT_WR)
        for ours in (stdin, stdout):
            ours.setblocking(False)
        self.stdin = Sink(
            self._loop, stdin.fileno(), self._user.stdinDelivered, self._stdinFailed, stdin
        )
        self.stdout = _Stdout(self._loop, stdout, self._user)
        home = environment.get("HOME", "/")
        try:
            self._loop.spawnProcess(
                self,
                sys.executable,
                [
                    sys.executable,
                    "-I",
                    "-S",
                    launch.__file__,
                    str(descriptors),
                    _UMASK,
                    home if os.path.isdir(home) else "/",
                    command.program,
                    *command.arguments,
                ],
                {**environment, **command.environment},
                childFDs={
                    0: childStdin.fileno(),
                    1: childStdout.fileno(),
                    2: "r",
                    launch.STATUS: "r",
                },
            )
        except BaseException:
            self.close()
            raise
        finally:
            childStdin.close()
            childStdout.close()
        self.stdout.resumeReading()

    def signal(self, number: int) -> None:
        """
        Send a signal to the GAHP and the processes it has started.
        """
        pid = self.transport.pid if self.transport is not None else None
        if not self.isAlive or pid is None:
            return
        for send in (os.killpg, os.kill):  # it may have no group of its own yet
            try:
                send(pid, number)
                return
            except ProcessLookupError:
                pass  # or be about to be reaped

    def close(self) -> None:
        """
        Let go of its descriptors.
        """
        self.stdin.close()
        self.stdout.close()
        if self.transport is not None:
            self.transport.loseConnection()

    def _stdinFailed(self, problem: str) -> None:
        """
        It reads no more; what was for it is gone, as with a pipe.
        """
        self.stdin.close()

    # -- ProcessProtocol ----------------------------------------------------

    def connectionMade(self) -> None:
        self.isAlive = True

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == launch.STATUS:
            self._problem += data
        else:
            self._user.stderrReceived(data)

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == launch.STATUS:
            if not self._problem:
                self._launched = True
                self._user.launched()
        elif self._launched:
            self._user.stderrEnded()

    def processExited(self, reason: Failure) -> None:
        self.isAlive = False
        if self._problem or not self._launched:
            self.close()
            text = self._problem.decode("utf-8", "replace") or "its start failed"
            self._user.launchFailed(text)
            return
        end = reason.value
        if not isinstance(end, ProcessTerminated):
            self._user.exited(False, 0)
        elif end.signal is not None:
            self._user.exited(True, end.signal)
        else:
            self._user.exited(False, end.exitCode or 0)


def describeEnd(signalled: bool, value: int) -> str:
    """
    @return: how it ended, for people.
    """
    if not signalled:
        return f"exited with status {value}"
    try:
        return f"was ended by {signal.Signals(value).name}"
    except ValueError:
        return f"was ended by signal {value}"
