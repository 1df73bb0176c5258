# -*- test-case-name: tests.test_penalties -*-
"""
Addresses from which too much has failed.  C{doc/limits.rst} has the rules.

The model is OpenSSH's PerSourcePenalties (C{srclimit.c} and C{sshd_config(5)} of
openssh-portable): each failure adds seconds; below a threshold nothing happens; above it the
address is refused until all of its seconds have passed.  What is different: the weights,
what happens when the table is full, and that who has proved to be a site is never refused.

Layer 0: no clock; the time is passed in as a function.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable

__all__ = ["WEIGHTS", "Penalties"]

WEIGHTS = {
    "gone": 0.5,
    "crowd": 0.5,
    "ticket": 1.0,
    "late": 2.0,
    "tls": 2.0,
    "hello": 2.0,
    "authentication": 2.0,
    "garbage": 5.0,
    "code": 20.0,
}
"""
Seconds for each kind of failure:

  - C{gone}: it went, or was lost, before it had said what it wants;
  - C{crowd}: it had to make room for others before it had said so;
  - C{ticket}: its ticket is unknown, used or too old;
  - C{late}: it did not say in time what it wants, or no Hello;
  - C{tls}: TLS could not be set up;
  - C{hello}: its Hello was refused;
  - C{authentication}: its authentication was refused;
  - C{garbage}: it speaks neither TLS nor our protocol, or calls too often before its Hello;
  - C{code}: it tried to enrol with a wrong secret.

A CE whose network or certificate is broken dials after 0.03 s, then after twice as long each
time, up to 30 s: with 2 s each it comes to the threshold for a moment at the most.  A load
balancer that looks each second whether the port is open stays below it for ever.
"""

_THRESHOLD = 15.0
"""Seconds below which nothing happens: OpenSSH's C{min}."""

_TRUSTED = 3600.0
"""Seconds for which an address is trusted from which a site has proved itself."""

_MOST = 16384
"""Addresses of IPv4, and as many of IPv6, in either table: some megabytes."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def keyOf(address: str) -> str | int:
    """
    @param address: an IP address as text, without the clothes of IPv6.
    @return: what stands for it: an IPv4 address itself, the first 64 bits of one of IPv6,
        for who has one has all that begin so.
    """
    if ":" not in address:
        return address
    return int(ipaddress.IPv6Address(address.partition("%")[0])) >> 64


class _Table:
    """
    Until when each address has something to pay, of one family.

    When it is full, the one goes that has the least left to pay, and only for one that has
    more: a flood of addresses drives out each other, and never those with much on them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # By address, when it has paid all, and whether it is refused until then.
        self._ends: dict[str | int, tuple[float, bool]] = {}
        # The same by time, with what is true no more.
        self._heap: list[tuple[float, str, str | int]] = []

    def __len__(self) -> int:
        return len(self._ends)

    def get(self, key: str | int) -> tuple[float, bool]:
        return self._ends.get(key, (0.0, False))

    def put(self, key: str | int, end: float, isRefused: bool, now: float) -> None:
        if key not in self._ends and len(self._ends) >= self._most and not self._room(end, now):
            return
        self._ends[key] = end, isRefused
        heapq.heappush(self._heap, (end, str(key), key))
        if len(self._heap) > 2 * self._most:
            self._heap = [(e, str(k), k) for k, (e, _) in self._ends.items()]
            heapq.heapify(self._heap)

    def _room(self, end: float, now: float) -> bool:
        """
        Make room for one that ends at C{end}, if that is right.
        """
        while self._heap:
            least, _, key = self._heap[0]
            if self._ends.get(key, (None, False))[0] == least:
                if least > now and least >= end:
                    return False
                del self._ends[key]
                heapq.heappop(self._heap)
                return True
            heapq.heappop(self._heap)
        return True


class Penalties:
    """
    Who may come in.
    """

    def __init__(
        self,
        now: Callable[[], float],
        longest: Callable[[], float],
        exempt: Callable[[], Iterable[Network]],
        most: int = _MOST,
    ) -> None:
        """
        @param now: the time, in seconds.
        @param longest: seconds for which an address is refused at the most; 0: never.
        @param exempt: the networks that are never refused.
        @param most: addresses of each family that are remembered.
        """
        self._now = now
        self._longest = longest
        self._exempt = exempt
        self._most = most
        self._tables = _Table(most), _Table(most)
        self._here: dict[str | int, int] = {}  # connections of sites
        self._proved: OrderedDict[str | int, float] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._tables))

    def failed(self, address: str, kind: str) -> None:
        """
        Something has failed.

        @param address: the IP address from which it came.
        @param kind: one of L{WEIGHTS}.
        """
        weight, longest, now = WEIGHTS[kind], float(self._longest()), self._now()
        if not longest:
            return
        key = keyOf(address)
        table = self._table(key)
        end, isRefused = table.get(key)
        if end <= now:
            isRefused = False
        # The threshold is to be reached even where no penalty is to be so long.
        end = min(max(end, now) + weight, now + max(longest, _THRESHOLD))
        isRefused = isRefused or end - now >= _THRESHOLD
        table.put(key, min(end, now + longest) if isRefused else end, isRefused, now)

    def isRefused(self, address: str) -> bool:
        """
        @return: whether a connection from there is to be closed unheard.
        """
        return self.left(address) > 0

    def left(self, address: str) -> float:
        """
        @return: seconds for which connections from there are closed unheard; 0: they are not.
        """
        key = keyOf(address)
        end, isRefused = self._table(key).get(key)
        now = self._now()
        if not isRefused or end <= now or not self._longest():
            return 0.0
        if key in self._here or self._proved.get(key, 0.0) > now or self._isExempt(address):
            return 0.0
        return min(end - now, float(self._longest()))

    def proved(self, address: str) -> None:
        """
        Somebody there has proved that he is a site, or comes from one.
        """
        key = keyOf(address)
        self._proved[key] = self._now() + _TRUSTED
        self._proved.move_to_end(key)
        while len(self._proved) > self._most:
            self._proved.popitem(last=False)

    def siteCame(self, address: str) -> None:
        """
        A site has been authenticated, and is connected from there.
        """
        key = keyOf(address)
        self._here[key] = self._here.get(key, 0) + 1
        self.proved(address)

    def siteWent(self, address: str) -> None:
        """
        That connection has ended.
        """
        key = keyOf(address)
        self._here[key] -= 1
        if not self._here[key]:
            del self._here[key]
        self.proved(address)

    def _table(self, key: str | int) -> _Table:
        return self._tables[isinstance(key, int)]

    def _isExempt(self, address: str) -> bool:
        peer = ipaddress.ip_address(address.partition("%")[0])
        return any(peer in network for network in self._exempt())
