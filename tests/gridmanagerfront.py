"""
The front of rvgahp_client between the gridmanager double and pure GAHPs, in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from rvgahp import frontlimits
from rvgahp.front import Front
from tests.gridmanagermemory import PureGAHP


class FrontedGAHP:
    """
    What a gridmanager has of a client: L{PureGAHP}s, one after the other.  When one is over
    the next is started as the client does it: after 1 s, and then less and less often.

    @ivar status: the client's exit status, once it has one.
    @ivar site: the GAHP at the site; C{None}: there is none now.
    @ivar starts: how many there were.
    @ivar isLive: whether the link is; set it with L{setLive}.
    @ivar over: why GAHPs were over.
    """

    def __init__(self, name: str, make: Callable[[], PureGAHP], now: Callable[[], float]) -> None:
        """
        @param name: of the GAHP.
        @param make: starts it.
        """
        self.status: int | None = None
        self.site: PureGAHP | None = None
        self.starts = 0
        self.isLive = True
        self.over: list[str] = []
        self._make = make
        self._now = now
        self._output = self._errors = b""
        self._toSite: list[bytes] = []
        self._lost = 0
        self._hasEnded = False
        self._delay = frontlimits.SITE_RETRY_FIRST
        self._readySince: float | None = None
        self.front = Front(name, self, now)
        self._startAt: float | None = now()
        self._start()

    def setLive(self, isLive: bool, lost: int = 0) -> None:
        """
        The link is there, or is no more.  What is on its way arrives later.

        @param lost: so many of the lines for the site do not, the last ones.
        """
        self.isLive = isLive
        if self.site is not None:
            if isLive:
                self._lost = min(lost, len(self._toSite))
                self.front.resumed()
            self.front.linkChanged(isLive)

    def endSite(self) -> None:
        """
        The GAHP's stdin is to end.
        """
        self._hasEnded = True
        if self.site is None:
            self.finish(0, "")

    def received(self, data: bytes) -> None:
        """
        Take bytes of the client's stdin.
        """
        self.front.gridmanagerData(data)

    def inputEnded(self) -> None:
        """
        The client's stdin has ended.
        """
        self.front.gridmanagerEnded()

    def elapse(self, now: float) -> None:
        """
        Carry bytes between the front and the site, and do what is due.
        """
        if self._startAt is not None and self._startAt <= now:
            self._start()
        due = self.front.nextDeadline()
        if due is not None and due <= now:
            self.front.tick()
        while self.isLive and self.site is not None and self._carry(self.site, now):
            pass

    def _start(self) -> None:
        """
        Start the GAHP, for the first time or again.
        """
        self._startAt = None
        self.site = self._make()
        self.starts += 1
        self.front.siteStarted()
        self.front.linkChanged(self.isLive)

    def _carry(self, site: PureGAHP, now: float) -> bool:
        """
        @return: whether there was anything.
        """
        toSite, self._toSite = self._toSite, []
        for line in toSite:
            if site.status is None:
                self.deliver(site, line)
            self.front.confirmed(1)
        if self._hasEnded:
            site.inputEnded()
        site.elapse(now)
        output = site.take()
        if output:
            self.front.siteData(output)
        if site.status is not None and self.site is site:
            self.site = None
            self.front.siteEnded(site.status)
        return bool(toSite or output)

    def deliver(self, site: PureGAHP, line: bytes) -> None:
        """
        A line arrives at the site.
        """
        site.received(line)

    def deadline(self) -> float | None:
        """
        @return: when something will be due.
        """
        times = (self.front.nextDeadline(), self._startAt)
        return min([time for time in times if time is not None], default=None)

    def take(self) -> bytes:
        """
        @return: what the client has written to stdout since the last time.
        """
        output, self._output = self._output, b""
        return output

    def takeErrors(self) -> bytes:
        """
        @return: likewise for stderr.
        """
        errors, self._errors = self._errors, b""
        return errors

    # The front's output.

    def toGridmanager(self, data: bytes) -> None:
        """
        Whole lines for stdout.
        """
        self._output += data

    def toSite(self, lines: list[bytes]) -> None:
        """
        Whole lines for the GAHP.
        """
        self._toSite += lines

    def takeBack(self) -> int:
        """
        Those that are lost.
        """
        count, self._lost = self._lost, 0
        if count:
            del self._toSite[-count:]
        return count

    def ready(self) -> None:
        """
        The GAHP has been greeted.
        """
        self._readySince = self._now()

    def siteOver(self, sentence: str) -> None:
        """
        The GAHP is over; start another later.
        """
        self.over.append(sentence)
        self.complain(sentence)
        self.site = None
        self._toSite.clear()
        now = self._now()
        since = self._readySince
        if since is not None and now - since >= frontlimits.SITE_RETRY_LONGEST:
            self._delay = frontlimits.SITE_RETRY_FIRST
        self._readySince = None
        self._startAt = now + self._delay
        self._delay = min(2 * self._delay, frontlimits.SITE_RETRY_LONGEST)

    def complain(self, sentence: str) -> None:
        """
        A line for stderr.
        """
        self._errors += sentence.encode() + b"\n"

    def finish(self, status: int | None, sentence: str) -> None:
        """
        The client ends.
        """
        if sentence:
            self.complain(sentence)
        self.status = 1 if status is None else status
