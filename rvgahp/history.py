# -*- test-case-name: tests.test_history -*-
"""
What was at the proxy and is no more, for people who ask why: sites that went, and sessions that
have ended.  It lives as long as the proxy, and has bounds.

Layer 3: a clock is passed in.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rvgahp import watchlimits
from rvgahp.gahpend import GAHPEnd
from rvgahp.peerchain import Validity

__all__ = ["LARGEST", "Departure", "End", "History"]

LARGEST = 2**53 - 1
"""What is believed of a number that a CE tells: the largest that all programs know."""


class Departure(NamedTuple):
    """
    A site that was connected.

    @ivar when: it went, in seconds since 1970.
    @ivar address: where it had dialled from.
    @ivar reason: why its connection ended.
    @ivar validity: of its certificate; L{None}: it has none.
    """

    when: float
    address: str
    reason: str
    validity: Validity | None


class End(NamedTuple):
    """
    A session that has ended.

    @ivar when: that was, in seconds since 1970.
    @ivar session: its id.
    @ivar site: where its GAHP ran.
    @ivar gahp: which that was.
    @ivar owner: the canonical name of its user.
    @ivar uid: his account's number; -1: not known.
    @ivar user: its name.
    @ivar seconds: how long it lived; L{None}: it is older than the proxy.
    @ivar by: what has ended it, as in the audit log (C{doc/audit.rst}).
    @ivar reason: why; empty: all was in good order.
    @ivar received: bytes of the GAHP's stdin; L{None}: not known.
    @ivar sent: bytes of its stdout; L{None}: not known.
    @ivar how: the GAHP ended; L{None}: not known.
    """

    when: float
    session: str
    site: str
    gahp: str
    owner: str
    uid: int
    user: str
    seconds: float | None
    by: str
    reason: str
    received: int | None
    sent: int | None
    how: GAHPEnd | None


class History:
    """
    One proxy's.

    @ivar departures: of the sites that are away, by name; who went last stands last.
    @ivar ends: the last sessions that have ended, the newest last.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """
        @param now: seconds since 1970.
        """
        self._now = now
        self.departures: OrderedDict[str, Departure] = OrderedDict()
        self.ends: deque[End] = deque(maxlen=watchlimits.REMEMBERED_ENDS)

    def siteCame(self, site: str) -> None:
        """
        A site is connected.
        """
        self.departures.pop(site, None)

    def siteWent(
        self, site: str, address: str, reason: str, validity: Validity | None = None
    ) -> None:
        """
        A site is not any more.
        """
        self.departures.pop(site, None)
        self.departures[site] = Departure(self._now(), address, reason, validity)
        while len(self.departures) > watchlimits.REMEMBERED_SITES:
            self.departures.popitem(last=False)

    def forget(self, kept: Collection[str]) -> None:
        """
        Forget sites that have been away for so long that they will hardly come again.

        @param kept: those that are known to be expected still.
        """
        first = self._now() - watchlimits.SITE_REMEMBERED
        for name in [name for name, one in self.departures.items() if one.when < first]:
            if name not in kept:
                del self.departures[name]

    def ended(self, fields: dict[str, Any]) -> None:
        """
        A session has ended.

        @param fields: what the audit log has of it; and C{end}: how its GAHP has ended, if that
            is known.
        """
        self.ends.append(
            End(
                self._now(),
                fields["session"],
                fields["site"],
                fields.get("gahp", ""),
                fields.get("who", ""),
                fields.get("uid", -1),
                fields.get("user", ""),
                fields["seconds"],
                fields["by"],
                fields["reason"],
                _bytes(fields["received"]),
                _bytes(fields["sent"]),
                fields.get("end"),
            )
        )


def _bytes(told: int | None) -> int | None:
    """
    @return: what is believed of it.
    """
    return None if told is None else min(max(0, told), LARGEST)
