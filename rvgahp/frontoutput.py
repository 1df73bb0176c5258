# -*- test-case-name: tests.test_front -*-
"""
Who takes what the front lets out, and what its dialogue with the site brings.

Layer 0: nothing but types, which nobody needs to import in order to run.
"""

from __future__ import annotations

from typing import Protocol

from rvgahp.frontqueue import Command


class Output(Protocol):
    """
    Where the front's output goes.
    """

    def toGridmanager(self, data: bytes) -> None:
        """
        Whole lines for our stdout.
        """

    def toSite(self, lines: list[bytes]) -> None:
        """
        Lines for the GAHP's stdin, with their ends, which are sent now: it is called only
        while the link is live.  They may hold a B{secret}.
        """

    def takeBack(self) -> int:
        """
        Do not send any more what has certainly not reached the CE, not even in part.

        @return: how many lines these are, the last of all that went to L{toSite}.
        """

    def endSite(self) -> None:
        """
        Nothing more will go to the GAHP: close its stdin.  Called once.
        """

    def ready(self) -> None:
        """
        The GAHP has been greeted.
        """

    def siteOver(self, sentence: str) -> None:
        """
        End what is left of the GAHP and its session, and have it started again as soon
        as that can be done: L{Front.siteStarted}.  Nothing of the former may come after
        this, and the lines that go to C{toSite} are counted anew.
        """

    def complain(self, sentence: str) -> None:
        """
        One line for our stderr, to follow C{GAHP at site SITE: }.
        """

    def finish(self, status: int | None, sentence: str) -> None:
        """
        The client ends.  Called once, and nothing is called after it.

        @param status: the exit status, or L{None} for the client's own failure.
        @param sentence: for our stderr as with C{complain}, or nothing.
        """


class SiteUser(Protocol):
    """
    Who is told what came from the site.
    """

    def replied(self, command: Command, line: bytes, tokens: list[bytes]) -> None:
        """
        The reply to a command without a request id.
        """

    def forgotten(self, command: Command) -> None:
        """
        Its result will not be waited for any more.
        """

    def refused(self, command: Command, reason: bytes) -> None:
        """
        The GAHP did not take a request that is not answered yet.
        """

    def returned(self, command: Command) -> None:
        """
        The GAHP had no thread for it; it is held again.
        """

    def resultReceived(self, command: Command, line: bytes, fields: int) -> None:
        """
        The result of a request that is not answered yet.
        """
