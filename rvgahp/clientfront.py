# -*- test-case-name: tests.test_clientfront -*-
"""
The face of a GAHP that the front knows: the gridmanager is served whatever becomes of
the site, and a GAHP that was lost is started again behind the front.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import os
import signal

from rvgahp import frontlimits, limits
from rvgahp.clientface import Face
from rvgahp.clientlink import SiteLink
from rvgahp.complaint import FAILURE
from rvgahp.front import Front
from rvgahp.frontrules import Timers
from rvgahp.names import FILE_TRANSFER_GAHP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rvgahp.clientrun import Client
    from rvgahp.clientsession import ClientSession, Grant
    from rvgahp.frames import Frame
    from rvgahp.poller import Poller


class FrontFace(Face):
    """
    The front, and its L{rvgahp.frontoutput.Output}.
    """

    def __init__(self, loop: Poller, grant: Grant, client: Client) -> None:
        super().__init__(loop, client)
        timers = Timers(grant.callTimeout, grant.responseTimeout)
        self._front = Front(client.role, self, loop.seconds, timers, grant.patience)
        self._stdinLimit = grant.stdinLimit
        self._lease = grant.session.lease
        self._stopNumber = 0
        self._isLive = self._stdinOver = self._isLetGo = self._isDetached = False
        self._link: SiteLink | None = None
        self._timer: Any = None
        self._due = 0.0
        self._halfLine = b""  # of the GAHP's stderr
        self._lastWords = ""

    # -- from the client ----------------------------------------------------

    def sessionMade(self, session: ClientSession) -> None:
        super().sessionMade(session)
        self._link = SiteLink(session.carrier)
        self._front.siteStarted()
        self._settle()

    def proxyChanged(self, isThere: bool) -> None:
        """
        A transfer that is begun now would get no tunnel, and HTCondor's part in it would not
        wait for one: it is held.
        """
        if self._client.role == FILE_TRANSFER_GAHP:
            self._front.queue.isPaused = not isThere
            self._front.tick()
            self._settle()

    def stop(self, number: int) -> bool:
        if self._isDetached and number == signal.SIGHUP:
            return True  # the end of a terminal is nothing to us any more
        if self._stopNumber:
            return False
        self._stopNumber = number
        if not self._isLetGo:
            self._gridmanagerGone()
        elif self._session is not None:
            self._session.tellStop(number)
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
        super().stdoutFailed(problem)
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
        Stay until what is owed is delivered, out of everybody's way; but not longer than
        the site would.
        """
        if self._isDetached:
            return
        self._isDetached = True
        for one in (self._stdin, self._stdout, self._stderr):
            one.close()
        try:
            os.setsid()
        except PermissionError:
            pass  # we lead a group already: a shell started us
        self._loop.callLater(self._lease, self._client.finish, 0)

    # -- from the session ---------------------------------------------------

    def resumed(self) -> None:
        self._front.resumed()
        self._settle()

    def roomMade(self) -> None:
        confirmed = self._link.confirmed() if self._link is not None else 0
        if confirmed:
            self._front.confirmed(confirmed)
        self._settle()

    def outputReceived(self, frame: Frame) -> None:
        assert self._session is not None
        self._session.carrier.deliver(frame.cost)
        self._front.siteData(bytes(frame.payload))
        self._settle()

    def outputEnded(self, frame: Frame) -> None:
        assert self._session is not None
        self._session.carrier.deliver(frame.cost)

    def errorsReceived(self, data: bytes) -> None:
        """
        Whole lines: a gridmanager looks for what it wants to know in one read only.
        """
        lines, end, half = (self._halfLine + data).rpartition(b"\n")
        self._stderr.put(lines + end)
        self._halfLine = half
        if len(half) > limits.STDERR_BYTES:
            self._endLine()

    def _endLine(self) -> None:
        if self._halfLine:
            self._stderr.put(self._halfLine + b"\n")
            self._halfLine = b""

    def exited(self, status: int, sentence: str) -> None:
        self._endLine()
        self._front.siteEnded(status, sentence)
        self._settle()

    def lost(self, sentence: str) -> None:
        self._endLine()
        self._front.siteLost(sentence)
        self._settle()

    def stopInVain(self) -> None:
        self._client.finish(128 + self._stopNumber)

    # -- the front's output -------------------------------------------------

    def toGridmanager(self, data: bytes) -> None:
        self._stdout.put(data, len(data))

    def toSite(self, lines: list[bytes]) -> None:
        assert self._link is not None
        self._link.send(lines)

    def takeBack(self) -> int:
        count = self._link.takeBack() if self._link is not None else 0
        if count and self._isLetGo:
            self._endSite()  # its end was taken back too
        return count

    def endSite(self) -> None:
        self._isLetGo = True
        if self._session is None:
            self._client.leave()  # there is no GAHP now, and none is needed any more
            self.conclude(0)
            return
        self._endSite()

    def _endSite(self) -> None:
        assert self._session is not None
        self._session.endInput()
        if self._stopNumber:
            self._session.tellStop(self._stopNumber)

    def siteOver(self, sentence: str) -> None:
        if sentence != self._lastWords:
            self._lastWords = sentence
            self.complain(f"{sentence}; it is started again when that can be done")
        if self._session is not None and self._session.hasExited:
            self._session.acknowledgeExit()
        self._session = self._link = None
        self._isLive = False
        self._client.restart()

    def ready(self) -> None:
        self._lastWords = ""
        self._client.siteReady()

    def complain(self, sentence: str) -> None:
        self.say(self._client.describe(sentence))

    def finish(self, status: int | None, sentence: str) -> None:
        if sentence:
            self.complain(sentence)
        self.conclude(FAILURE if status is None else status)

    # -- time ---------------------------------------------------------------

    def _settle(self) -> None:
        """
        After each event: see whether the site is live, whether stdin may be read, and
        when the front wants to be called.
        """
        if self._isOver or self._status is not None:
            return
        now = self._loop.seconds()
        quiet = self._link.quiet(now) if self._link is not None else frontlimits.LIVE
        isLive = quiet < frontlimits.LIVE
        if isLive != self._isLive:
            self._isLive = isLive
            self._front.linkChanged(isLive)
        self._readStdin()
        due = self._front.nextDeadline()
        check = now + (frontlimits.LIVE - quiet if isLive else frontlimits.LIFE_POLL)
        self._schedule(now, check if due is None else min(check, due))

    def _readStdin(self) -> None:
        if self._stdinOver:
            return
        held = self._front.heldBytes()
        if self._session is not None:
            held += self._session.carrier.stream.backlog()
        if max(held, self._stdout.unsent) > self._stdinLimit:
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
        if not self._isOver:
            self._front.tick()
            self._settle()
