# -*- test-case-name: tests.test_clientsession -*-
"""
A session whose GAHP's stdin and stdout are copied byte for byte.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import errno
import os
import signal

from rvgahp import frames
from rvgahp.clientsession import ClientSession
from rvgahp.complaint import FAILURE, complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.client import Client
    from rvgahp.clientsession import Grant
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller


class CopyingSession(ClientSession):
    """
    A GAHP that the front does not know.
    """

    def __init__(self, loop: Poller, grant: Grant, client: Client) -> None:
        super().__init__(loop, grant, client)
        self._stdinOpen = True
        self._stopping = self._outputLost = False

    def stop(self, number: int) -> bool:
        if self._stopping or not self._running:
            return False
        self._stopping = True
        self.tellStop(number)
        return True

    # -- from our stdio -----------------------------------------------------

    def stdinReceived(self, data: bytes) -> None:
        self.carrier.send(frames.STDIN, data)
        if not self.carrier.room():
            self._stdin.pauseReading()

    def stdinEnded(self) -> None:
        self._stdinOpen = False
        self.endInput()

    def stdoutDelivered(self, cost: int) -> None:
        self.carrier.deliver(cost)
        self._finishWhenWritten()

    def stdoutFailed(self, problem: str) -> None:
        """
        As if we had been told to end.
        """
        if problem != os.strerror(errno.EPIPE):
            self._outputLost = True
            complain(f"stdout takes no more: {problem}")
        self.stop(signal.SIGPIPE)

    # -- from the stream ----------------------------------------------------

    def opened(self) -> None:
        pass

    def roomMade(self) -> None:
        if self._stdinOpen and self._running and self.carrier.room():
            self._stdin.resumeReading()

    def outputReceived(self, frame: Frame) -> None:
        self._stdout.put(frame.payload, frame.cost)

    def outputEnded(self, frame: Frame) -> None:
        self._stdout.put(b"", frame.cost)
        self._stdout.endWriting()

    def exited(self, status: int, sentence: str) -> None:
        if sentence:
            self.say(sentence)
        self.conclude(status or (FAILURE if self._outputLost else 0))

    def lost(self, sentence: str) -> None:
        self._client.fail(sentence)
