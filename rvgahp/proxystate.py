# -*- test-case-name: tests.test_ce -*-
"""
How a CE stands with its proxy.

Layer 4: no more than what is known.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rvgahp.counts import Counts

if TYPE_CHECKING:
    from rvgahp.settings import Settings

__all__ = ["ProxyState"]


class ProxyState:
    """
    One CE's.

    @ivar host: where the proxy is dialled.
    @ivar port: the same.
    @ivar address: its IP address, when it was there last; empty before that.
    @ivar software: what it calls itself; empty before it has accepted us.
    @ivar isAccepted: whether it has, over the present connection.
    @ivar since: since when that is so or not, in seconds since 1970.
    @ivar problem: why the last connection ended, or there was none; empty before that.
    """

    def __init__(self, settings: Settings, counts: Counts) -> None:
        """
        @param counts: has our dials, and how they fail.
        """
        self._counts = counts
        broker = settings.get("RVGAHP_BROKER_HOST"), settings.get("RVGAHP_BROKER_PORT")
        self.host, self.port = settings.get("RVGAHP_CONNECT_TO") or broker
        self.address = self.software = self.problem = ""
        self.isAccepted = False
        self.since = time.time()

    def dialled(self) -> None:
        """
        It is dialled.
        """
        self._counts.dials += 1

    def accepted(self, software: str) -> None:
        """
        It has accepted us.
        """
        self.software = software
        self.isAccepted = True
        self.since = time.time()

    def lost(self, problem: str, error: str) -> None:
        """
        There is no connection, for this reason.

        @param error: the name of what went wrong, for those who count.
        """
        self._counts.losses[error] += 1
        if self.isAccepted:
            self.since = time.time()
        self.isAccepted = False
        self.problem = problem

    def document(self) -> dict[str, Any]:
        """
        @return: this, as a CE shows it.
        """
        return {
            "host": self.host,
            "port": self.port,
            "address": self.address,
            "software": self.software,
            "connected": self.isAccepted,
            "since": int(self.since),
            "reason": "" if self.isAccepted else self.problem,
        }
