# -*- test-case-name: tests.test_clientfront -*-
"""
A session whose GAHP the front knows: stdin and stdout are the front's, and the
gridmanager is served whatever becomes of the site.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import os
from collections import deque

from rvgahp import frames, limits
from rvgahp.clientsession import ClientSession
from rvgahp.clientstdio import replaceByNull
from rvgahp.front import Front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rvgahp.client import Client
    from rvgahp.clientsession import Grant
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller


class FrontedSession(ClientSession):
    """
    A GAHP behind its front, and the front's L{rvgahp.front.Output}.
    """

    def __init__(self, loop: Poller, grant: Grant, client: Client) -> None:
        super().__init__(loop, grant, client)
        self._front = Front(client.gahp, self, loop.seconds, patience=grant.patience)
        self._stdinLimit = grant.stdinLimit
        self._signal = 0  # the one that told us to end
        self._isLive = self._stdinOver = self._isLetGo = self._isDetached = False
        self._given = 0  # bytes for the GAHP's stdin
        self._unconfirmed: deque[tuple[int, int]] = deque()  # stream offset, bytes given by then
        self._timer: Any = None
        self._due = 0.0
        self._settle()

    def stop(self, number: int) -> bool:
        if self._signal or not self._running:
            return False
        self._signal = number
        if self._isLetGo:
            self.tellStop(number)
        else:
            self._gridmanagerGone()
        return True

    # -- from our stdio -----------------------------------------------------

    def stdinReceived(self, data: bytes) -> None:
        self._front.gridmanagerData(data)
        self._settle()

    def stdinEnded(self) -> None:
        self._gridmanagerGone()

    def stdoutDelivered(self, cost: int) -> None:
        self._finishWhenWritten()
        self._readStdin()

    def stdoutFailed(self, problem: str) -> None:
        self._gridmanagerGone()

    def _gridmanagerGone(self) -> None:
        self._stdinOver = True
        self._stdin.pauseReading()
        self._front.gridmanagerEnded()
        if self._front.owes():
            self._detach()
        self._settle()

    def _detach(self) -> None:
        """
        Stay until what is owed is delivered, out of everybody's way.
        """
        if not self._isDetached:
            self._isDetached = True
            self._stdout.close()
            for fd in (0, 2):
                replaceByNull(fd)
            try:
                os.setsid()
            except PermissionError:
                pass  # we lead a group already: a shell started us

    # -- from the stream ----------------------------------------------------

    def opened(self) -> None:
        pass

    def roomMade(self) -> None:
        confirmed = 0
        while self._unconfirmed and self.carrier.stream.isAcknowledged(self._unconfirmed[0][0]):
            confirmed = self._unconfirmed.popleft()[1]
        if confirmed:
            self._front.confirmed(confirmed)
        self._settle()

    def outputReceived(self, frame: Frame) -> None:
        self.carrier.deliver(frame.cost)
        self._front.siteData(bytes(frame.payload))
        self._settle()

    def outputEnded(self, frame: Frame) -> None:
        self.carrier.deliver(frame.cost)

    def exited(self, status: int, sentence: str) -> None:
        self._front.siteEnded(status, sentence)

    def lost(self, sentence: str) -> None:
        self._front.siteLost(sentence)

    # -- the front's output -------------------------------------------------

    def toGridmanager(self, data: bytes) -> None:
        self._stdout.put(data, len(data))

    def toSite(self, data: bytes) -> None:
        for begin in range(0, len(data), limits.FRAME_PAYLOAD_BYTES):
            self.carrier.send(frames.STDIN, data[begin : begin + limits.FRAME_PAYLOAD_BYTES])
        self._given += len(data)
        self._unconfirmed.append((self.carrier.stream.end, self._given))

    def endSite(self) -> None:
        self._isLetGo = True
        self.endInput()
        if self._signal:
            self.tellStop(self._signal)

    def complain(self, sentence: str) -> None:
        self.say(self._client.describe(sentence))

    def finish(self, status: int | None, sentence: str) -> None:
        if status is None:
            self._client.fail(sentence)
            return
        if sentence:
            self.complain(sentence)
        self.conclude(status)

    # -- time ---------------------------------------------------------------

    def _settle(self) -> None:
        """
        After each event: see whether the site is live, whether stdin may be read, and
        when the front wants to be called.
        """
        if self._isOver or self.hasExited() or self._client.status is not None:
            return
        now = self._loop.seconds()
        quiet = now - self.carrier.lastHeard
        isLive = self.carrier.isConnected() and quiet < limits.FRONT_LIVE
        if isLive != self._isLive:
            self._isLive = isLive
            self._front.linkChanged(isLive)
        self._readStdin()
        due = self._front.nextDeadline()
        check = now + (limits.FRONT_LIVE - quiet if isLive else limits.FRONT_LIFE_POLL)
        self._schedule(now, check if due is None else min(check, due))

    def _readStdin(self) -> None:
        held = max(self._front.heldBytes(), self._stdout.unsent)
        if self._stdinOver:
            return
        if held > self._stdinLimit:
            self._stdin.pauseReading()
        else:
            self._stdin.resumeReading()

    def _schedule(self, now: float, due: float) -> None:
        """
        One timer, which is only ever moved forward: it costs nothing to find that
        nothing is due.
        """
        if self._timer is not None and self._timer.active():
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.callLater(max(0.0, due - now), self._ticked)

    def _ticked(self) -> None:
        self._front.tick()
        self._settle()
