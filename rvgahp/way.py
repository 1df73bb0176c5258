# -*- test-case-name: tests.test_channeldialer -*-
"""
How a CE's streams reach the proxy.

Layer 4.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rvgahp import waylimits
from rvgahp.logrecord import BoundLogger


class Way:
    """
    Three questions to the CE's connection, and whether channels get through at all.

    @ivar dial: makes a connection to the proxy's port.
    @ivar openChannel: asks the proxy for a ticket, by session and stream.
    @ivar isUp: whether the proxy is there.
    @ivar unanswered: how many channels of any stream ended one after the other before their
        first good answer, while the proxy was there, with none that opened since.
    """

    log = Logger()

    def __init__(
        self,
        dial: Callable[[], Deferred[socket.socket]],
        openChannel: Callable[[str, int], Deferred[bytes]],
        isUp: Callable[[], bool],
        proxy: str = "",
    ) -> None:
        """
        @param proxy: where it is, for people.
        """
        self.log = BoundLogger(self.log, proxy=proxy)
        self.dial = dial
        self.openChannel = openChannel
        self.isUp = isUp
        self.unanswered = 0

    def channelOpened(self) -> None:
        """
        One got through.
        """
        self.unanswered = 0

    def channelUnanswered(self) -> None:
        """
        One ended before its first good answer.  Its client may be gone; but if that is so with
        each, it is something else.
        """
        if self.isUp():
            self.unanswered += 1
            if self.unanswered == waylimits.UNANSWERED_CHANNELS:
                self.log.warn("{reason}", reason=self.doubt())

    def doubt(self) -> str:
        """
        @return: a sentence, without its end, on why no channel may get through; empty if there
            is no reason to think so.
        """
        if self.unanswered < waylimits.UNANSWERED_CHANNELS:
            return ""
        return (
            f"the last {self.unanswered} channels ended before their first good answer, while the"
            " control connection stands: something on the way may let through TLS alone, which"
            " channels are not (doc/ways.rst)"
        )
