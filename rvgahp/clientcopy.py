# -*- test-case-name: tests.test_clientsession -*-
"""
The face of a GAHP that the front does not know: its stdin and stdout are copied byte
for byte.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import signal

from rvgahp import frames
from rvgahp.clientface import Face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.clientrun import Client
    from rvgahp.clientsession import ClientSession, Grant
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller


class CopyFace(Face):
    """
    One GAHP, and nothing of our own.
    """

    _session: ClientSession

    def __init__(self, loop: Poller, grant: Grant, client: Client) -> None:
        super().__init__(loop, client)
        self._stdinOpen = True
        self._stopNumber = 0

    def stop(self, number: int) -> bool:
        if self._stopNumber or not self._session.isRunning:
            return False
        self._stopNumber = number
        self._session.tellStop(number)
        return True

    # -- from our stdio -----------------------------------------------------

    def stdinReceived(self, data: bytes) -> None:
        self._session.carrier.send(frames.STDIN, data)
        if not self._session.carrier.room():
            self._stdin.pauseReading()

    def stdinEnded(self) -> None:
        self._stdinOpen = False
        self._session.endInput()

    def stdoutDelivered(self, cost: int) -> None:
        self._session.carrier.deliver(cost)
        self._finishWhenWritten()

    def stdoutFailed(self, problem: str) -> None:
        """
        As if we had been told to end.
        """
        super().stdoutFailed(problem)
        self.stop(signal.SIGPIPE)

    # -- from the session ---------------------------------------------------

    def roomMade(self) -> None:
        if self._stdinOpen and self._session.isRunning and self._session.carrier.room():
            self._stdin.resumeReading()

    def outputReceived(self, frame: Frame) -> None:
        self._stdout.put(frame.payload, frame.cost)

    def outputEnded(self, frame: Frame) -> None:
        self._stdout.put(b"", frame.cost)
        self._stdout.endWriting()

    def exited(self, status: int, sentence: str) -> None:
        if sentence:
            self.say(sentence)
        self.conclude(status)

    def lost(self, sentence: str) -> None:
        self._client.fail(sentence)

    def stopInVain(self) -> None:
        self._client.finish(128 + self._stopNumber)
