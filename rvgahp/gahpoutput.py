# -*- test-case-name: tests.test_gahpsession -*-
"""
What a GAHP says, as frames of its stream.  C{doc/protocol.rst}, steps 10 and 11.

Layer 4: layers 0 and 1.
"""

from __future__ import annotations

from rvgahp import frames, limits
from rvgahp.carrier import Carrier
from rvgahp.stderrqueue import StderrQueue


class GAHPOutput:
    """
    stdout as it comes, stderr as far as there is room beside it, and the exit status
    when both have ended.

    @ivar isStdoutOpen: whether more may come.
    @ivar sent: bytes of stdout.
    @ivar isComplete: whether all has been sent, the exit status too.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._stderr = StderrQueue()
        self._stderrOpen = True
        self.isStdoutOpen = True
        self.isComplete = False
        self.sent = 0

    def stdout(self, data: bytes) -> bool:
        """
        It wrote to stdout.

        @return: whether there is room for more.
        """
        self.sent += len(data)
        self._carrier.send(frames.STDOUT, data)
        return self._carrier.room() > 0

    def endStdout(self) -> None:
        """
        Its stdout is closed, or nobody waits for more of it.
        """
        if self.isStdoutOpen:
            self.isStdoutOpen = False
            self._carrier.send(frames.END_STDOUT)

    def stderr(self, data: bytes) -> None:
        """
        It wrote to stderr.
        """
        self._stderr.put(data)
        self.sendStderr()

    def endStderr(self) -> None:
        """
        Its stderr is closed, or nobody waits for more of it.
        """
        self._stderrOpen = False

    def sendStderr(self, room: int = 0) -> None:
        """
        There may be room for it now.

        @param room: bytes that are sent even if there is not.
        """
        room = room or self._carrier.room()
        if len(self._stderr) and room and not self.isComplete:
            self._carrier.send(frames.STDERR, self._stderr.take(min(room, limits.STDERR_BYTES)))

    def tellExit(self, signalled: bool, value: int, sentence: str) -> None:
        """
        It has exited so; that is sent when both have ended.
        """
        if self.isStdoutOpen or self._stderrOpen or self.isComplete:
            return
        self.sendStderr(limits.STDERR_BYTES)
        self.isComplete = True
        self._carrier.send(frames.END_STDERR)
        self._carrier.send(frames.EXIT, frames.encodeExit(signalled, value, sentence))
