# -*- test-case-name: tests.test_gahpprocess -*-
"""
A GAHP as a process, its stdin and stdout on sockets, its stderr on a pipe.

Layer 3.  stdin and stdout are two socket pairs: a pipe is small, and one pair for
both would not tell when the GAHP has closed just one of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

from rvgahp.descriptor import Descriptor
from rvgahp.gahpenvironment import Surroundings
from rvgahp.igahp import GAHPCommand
from rvgahp.processlauncher import LaunchUser, ProcessLauncher
from rvgahp.sink import Sink


class ProcessUser(LaunchUser, Protocol):
    """
    Who is told of the process and of what it says.
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


class _Output(Descriptor):
    """
    Its stdout or stderr.
    """

    def __init__(
        self,
        loop: Any,
        fd: int,
        owner: socket.socket | None,
        received: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        super().__init__(loop, fd, owner)
        self._received = received
        self._ended = ended

    def dataReceived(self, data: bytes) -> None:
        self._received(data)

    def readEnded(self, problem: str) -> None:
        self.close()
        self._ended()


class GAHPProcess:
    """
    One GAHP.

    @ivar stdin: where its input goes.
    @ivar received: bytes that came for that.
    @ivar stdout: what is read of it.
    @ivar stderr: the same.
    """

    def __init__(self, loop: Any, launcher: ProcessLauncher, user: ProcessUser) -> None:
        """
        Make its descriptors.

        @raise OSError: there are none left.
        """
        self._launcher = launcher
        self._user = user
        self._name = 0
        self.received = 0
        with ExitStack() as made:
            stdin, childStdin = map(made.enter_context, socket.socketpair())
            stdout, childStdout = map(made.enter_context, socket.socketpair())
            stderr, childStderr = os.pipe2(os.O_CLOEXEC)
            made.pop_all()
        self._streams = [childStdin.detach(), childStdout.detach(), childStderr]
        stdin.shutdown(socket.SHUT_RD)
        stdout.shutdown(socket.SHUT_WR)
        stdin.setblocking(False)
        stdout.setblocking(False)
        os.set_blocking(stderr, False)
        self.stdin = Sink(loop, stdin.fileno(), user.stdinDelivered, self._stdinFailed, stdin)
        self.stdout = _Output(loop, stdout.fileno(), stdout, user.stdoutReceived, user.stdoutEnded)
        self.stderr = _Output(loop, stderr, None, user.stderrReceived, user.stderrEnded)

    def start(self, command: GAHPCommand, environment: Surroundings) -> None:
        """
        @param environment: what it is to find; the command's own variables are added.
        @raise OSError: no process could be made.
        """
        streams, self._streams = self._streams, []
        self._name = self._launcher.launch(self._user, environment.request(command), streams)
        self.stdout.resumeReading()
        self.stderr.resumeReading()

    @property
    def pid(self) -> int | None:
        """
        Its number, as long as it runs.
        """
        return self._launcher.pid(self._name)

    def put(self, data: bytes | memoryview, cost: int) -> None:
        """
        Bytes for its stdin.

        @param cost: of the frame that brought them.
        """
        self.received += len(data)
        self.stdin.put(data, cost)

    def signal(self, number: int) -> None:
        """
        Send a signal to the GAHP and the processes it has started.
        """
        self._launcher.signal(self._name, number)

    def close(self) -> None:
        """
        Let go of its descriptors.
        """
        for fd in self._streams:
            os.close(fd)
        self._streams = []
        self.stdin.close()
        self.stdout.close()
        self.stderr.close()

    def _stdinFailed(self, problem: str) -> None:
        """
        It reads no more; what was for it is gone, as with a pipe.
        """
        self.stdin.close()
