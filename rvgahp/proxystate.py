# -*- test-case-name: tests.test_ce -*-
"""
How a CE stands with its proxy.

Layer 4: no more than what is known.
"""

from __future__ import annotations

import time
from typing import Any

from rvgahp.counts import Counts
from rvgahp.wayout import Target, WayOut, placeOf

__all__ = ["ProxyState"]


class ProxyState:
    """
    One CE's.

    @ivar host: where the proxy was dialled last, or will be first.
    @ivar port: the same.
    @ivar address: its IP address, when it was there last; empty before that.
    @ivar software: what it calls itself; empty before it has accepted us.
    @ivar isAccepted: whether it has, over the present connection.
    @ivar since: since when that is so or not, in seconds since 1970.
    @ivar problem: why the last connection ended, or there was none; empty before that.
    """

    def __init__(self, way: WayOut, counts: Counts) -> None:
        """
        @param counts: has our dials, and how they fail.
        """
        self._way = way
        self._counts = counts
        self.host, self.port = way.places[0]
        self._target: Target | None = None  # of the present connection
        self.address = self.software = self.problem = ""
        self.isAccepted = False
        self.since = time.time()

    def dials(self) -> None:
        """
        It is dialled.
        """
        self._counts.dials += 1

    def dialled(self, target: Target) -> None:
        """
        Something has answered there.
        """
        self._target = target
        self.host, self.port = target.host, target.port

    def where(self, peer: str) -> str:
        """
        @param peer: to whom our connection goes.
        @return: where the proxy is, for people.
        """
        if self._way.gateway is None:
            return peer
        return f"{placeOf(self.host, self.port)} through {self._way.gateway.name}"

    def accepted(self, software: str) -> None:
        """
        It has accepted us.
        """
        if self._target is not None:
            self._way.order.accepted(self._target)
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
        elif self._target is not None:
            self._way.order.rejected(self._target)
        self._target = None
        self.isAccepted = False
        self.problem = problem

    def document(self) -> dict[str, Any]:
        """
        @return: this, as a CE shows it.
        """
        return {
            "host": self.host,
            "port": self.port,
            "through": self._way.gateway.name if self._way.gateway is not None else "",
            "address": self.address,
            "software": self.software,
            "connected": self.isAccepted,
            "since": int(self.since),
            "reason": "" if self.isAccepted else self.problem,
        }
