# -*- test-case-name: tests.test_clientsession -*-
"""
What the client is to its parent: stdin, stdout, stderr and an exit status.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.  A face outlives
sessions: L{rvgahp.clientcopy} has one, L{rvgahp.clientfront} as many as it takes.
"""

from __future__ import annotations

import errno
import os

from rvgahp import limits
from rvgahp.clientstdio import Stderr, Stdin, Stdout
from rvgahp.complaint import FAILURE, encodeComplaint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.clientrun import Client
    from rvgahp.clientsession import ClientSession
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller


class Face:
    """
    Our stdio, and what the sessions have to do with it.  Subclasses say what becomes of
    stdin and stdout.
    """

    def __init__(self, loop: Poller, client: Client) -> None:
        self._loop = loop
        self._client = client
        self._session: ClientSession | None = None
        self._status: int | None = None
        self._stderrAbandoned = self._isOver = self._outputLost = False
        self._stdin = Stdin(loop, self)
        self._stderr = Stderr(loop, self._finishWhenWritten)
        self._stdout = Stdout(loop, self)

    # -- from the client ----------------------------------------------------

    def sessionMade(self, session: ClientSession) -> None:
        """
        The proxy has granted one.
        """
        self._session = session

    def stop(self, number: int) -> bool:
        """
        A signal asks us to end.

        @return: whether there is something to wait for.
        """
        raise NotImplementedError

    def close(self) -> None:
        """
        Leave everything as it was found.
        """
        self._isOver = True
        self._stdout.close()

    # -- from our stdio -----------------------------------------------------

    def stdinReceived(self, data: bytes) -> None:
        """
        Bytes of our stdin.
        """
        raise NotImplementedError

    def stdinEnded(self) -> None:
        """
        End of file on our stdin.
        """
        raise NotImplementedError

    def stdoutDelivered(self, cost: int) -> None:
        """
        Bytes have left our stdout.
        """
        raise NotImplementedError

    def stdoutFailed(self, problem: str) -> None:
        """
        Nothing takes our output any more.  That its reader has gone needs no word.
        """
        if problem != os.strerror(errno.EPIPE):
            self._outputLost = True
            self.say(f"stdout takes no more: {problem}")

    # -- from the session ---------------------------------------------------

    def opened(self) -> None:
        """
        Its first channel is open.
        """
        self._client.sessionRunning()

    def resumed(self) -> None:
        """
        Another channel is open, and has carried nothing yet.
        """

    def proxyChanged(self, isThere: bool) -> None:
        """
        The proxy has gone, or is there again, and with it the site: no new channel can be
        had meanwhile.
        """

    def channelFailed(self, reason: str) -> None:
        """
        A channel did not come to be; another may.
        """
        self._client.channelFailed(reason)

    def roomMade(self) -> None:
        """
        The peer has acknowledged something, or the channel takes more.
        """
        raise NotImplementedError

    def outputReceived(self, frame: Frame) -> None:
        """
        Bytes of the GAHP's stdout.
        """
        raise NotImplementedError

    def outputEnded(self, frame: Frame) -> None:
        """
        The end of the GAHP's stdout.
        """
        raise NotImplementedError

    def errorsReceived(self, data: bytes) -> None:
        """
        Bytes of the GAHP's stderr.
        """
        self._stderr.put(data)

    def exited(self, status: int, sentence: str) -> None:
        """
        The GAHP's last word is here.

        @param status: 128 and more for a signal.
        @param sentence: what the CE says to it, or nothing.
        """
        raise NotImplementedError

    def lost(self, sentence: str) -> None:
        """
        The session is over without the GAHP's exit status.
        """
        raise NotImplementedError

    def stopInVain(self) -> None:
        """
        The GAHP was to end, and it will not be known how it did.
        """
        raise NotImplementedError

    # -- for subclasses -----------------------------------------------------

    def say(self, sentence: str) -> None:
        """
        A line on our stderr, behind those of the GAHP.
        """
        self._stderr.put(encodeComplaint(sentence))

    def conclude(self, status: int) -> None:
        """
        Exit so, when all is written; but not with 0 if some could not be.
        """
        self._status = status or (FAILURE if self._outputLost else 0)
        self._loop.callLater(limits.CLIENT_STDERR_GRACE, self._abandonStderr)
        self._finishWhenWritten()

    def _abandonStderr(self) -> None:
        """
        stderr may be blocked for good.  stdout must be whole.
        """
        self._stderrAbandoned = True
        self._finishWhenWritten()

    def _finishWhenWritten(self) -> None:
        said = self._stderrAbandoned or self._stderr.isEmpty()
        if self._status is None or self._isOver or not said or self._stdout.unsent:
            return
        self._isOver = True
        if self._session is not None:
            self._session.acknowledgeExit()
        self._stderr.linger()
        self._client.finish(self._status)
