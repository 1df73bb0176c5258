"""
The front of rvgahp_client between the gridmanager double and a pure GAHP, in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from rvgahp.front import Front
from tests.gridmanagermemory import PureGAHP


class FrontedGAHP:
    """
    What a gridmanager has of a client: a L{PureGAHP}.

    @ivar status: the client's exit status, once it has one.
    @ivar site: the GAHP at the site.
    @ivar isLive: whether the link is; set it with L{setLive}.
    """

    def __init__(self, name: str, site: PureGAHP, now: Callable[[], float]) -> None:
        """
        @param name: of the GAHP.
        """
        self.status: int | None = None
        self.site = site
        self.isLive = False
        self._output = self._errors = b""
        self._toSite: list[bytes] = []
        self._sent = 0
        self._hasEnded = self._hasSiteEnded = False
        self._front = Front(name, self, now)
        self.setLive(True)

    def setLive(self, isLive: bool) -> None:
        """
        The link is there, or is no more.  What is on its way arrives later.
        """
        self.isLive = isLive
        self._front.linkChanged(isLive)

    def received(self, data: bytes) -> None:
        """
        Take bytes of the client's stdin.
        """
        self._front.gridmanagerData(data)

    def inputEnded(self) -> None:
        """
        The client's stdin has ended.
        """
        self._front.gridmanagerEnded()

    def elapse(self, now: float) -> None:
        """
        Carry bytes between the front and the site, and do what is due.
        """
        due = self._front.nextDeadline()
        if due is not None and due <= now:
            self._front.tick()
        while self.isLive and not self._hasSiteEnded and self._carry(now):
            pass

    def _carry(self, now: float) -> bool:
        """
        @return: whether there was anything.
        """
        toSite, self._toSite = self._toSite, []
        for data in toSite:
            if self.site.status is None:
                self.site.received(data)
            self._sent += len(data)
            self._front.confirmed(self._sent)
        if self._hasEnded:
            self.site.inputEnded()
        self.site.elapse(now)
        output = self.site.take()
        if output:
            self._front.siteData(output)
        if self.site.status is not None:
            self._hasSiteEnded = True
            self._front.siteEnded(self.site.status)
        return bool(toSite or output)

    def deadline(self) -> float | None:
        """
        @return: when something will be due.
        """
        return self._front.nextDeadline()

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

    def toSite(self, data: bytes) -> None:
        """
        Whole lines for the GAHP.
        """
        self._toSite.append(data)

    def endSite(self) -> None:
        """
        The GAHP's stdin is to end.
        """
        self._hasEnded = True

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
