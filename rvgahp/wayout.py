# -*- test-case-name: tests.test_wayout -*-
"""
How a machine reaches a proxy: at which places, in which order, and through what.
C{doc/ways.rst}.

Layer 0: nothing is dialled here, but by L{rvgahp.dialling}.
"""

from __future__ import annotations

from typing import NamedTuple

from rvgahp import waylimits
from rvgahp.negotiation import Connect, Socks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from rvgahp.negotiation import Credentials, Negotiation

__all__ = ["Gateway", "Order", "Target", "WayOut", "placeOf"]

#: The schemes of gateways: what each is, and whether it looks names up for us.
_KINDS = {
    "http": ("HTTP proxy", True),
    "socks5": ("SOCKS server", False),
    "socks5h": ("SOCKS server", True),
}


def placeOf(host: str, port: int) -> str:
    """
    @return: C{HOST:PORT}, an IPv6 address in brackets.
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Target(NamedTuple):
    """
    What is dialled.

    @ivar host: as it was written.
    @ivar port: the same.
    @ivar address: one of the host's IP addresses; where a gateway looks it up, the host again.
    """

    host: str
    port: int
    address: str


class Gateway:
    """
    The HTTP proxy or SOCKS server through which a site's connections go.

    @ivar looksUp: whether hosts' names are left to it.
    @ivar name: for people.
    """

    def __init__(
        self, scheme: str, host: str, port: int, credentials: Credentials | None = None
    ) -> None:
        """
        @param scheme: C{"http"}, C{"socks5"} or C{"socks5h"}.
        @param credentials: B{secret}.
        """
        self.place = host, port
        self._scheme = scheme
        kind, self.looksUp = _KINDS[scheme]
        self._negotiation = Connect if scheme == "http" else Socks
        self._credentials = credentials
        self.name = f"the {kind} {placeOf(host, port)} (RVGAHP_CONNECT_THROUGH)"

    def __eq__(self, other: object) -> bool:
        """
        Whether it is the same one, with the same credentials.
        """
        return isinstance(other, Gateway) and self._facts() == other._facts()

    def __hash__(self) -> int:
        """
        The same for equal ones.
        """
        return hash(self._facts())

    def _facts(self) -> tuple[object, ...]:
        return self._scheme, self.place, self._credentials

    def isLike(self, other: Gateway | None) -> bool:
        """
        @return: whether it is the same one, whatever the login.
        """
        return other is not None and (self._scheme, self.place) == (other._scheme, other.place)

    def negotiation(self, target: Target) -> Negotiation:
        """
        @return: what is to be said to it.
        """
        return self._negotiation(target.address, target.port, self._credentials)


class Order:
    """
    In which order targets are dialled.
    """

    def __init__(self) -> None:
        self.best: list[Target] = []  # none or one
        self._worst: dict[Target, None] = {}

    def accepted(self, target: Target) -> None:
        """
        The right one has answered there: it comes first.
        """
        self.best = [target]
        self._worst.pop(target, None)

    def rejected(self, target: Target) -> None:
        """
        What has answered there was not: it comes last.
        """
        if target in self.best:
            self.best = []
        self._worst.pop(target, None)
        self._worst[target] = None
        while len(self._worst) > waylimits.PLACES * waylimits.ADDRESSES_PER_NAME:
            del self._worst[next(iter(self._worst))]

    def sorted(self, targets: Iterable[Target]) -> list[Target]:
        """
        @return: these, those last that were rejected, the latest at the end.
        """
        worst = {target: number for number, target in enumerate(self._worst, 1)}
        return sorted(targets, key=lambda target: worst.get(target, 0))


class WayOut:
    """
    One machine's way to one proxy.

    @ivar places: host and port of each place where it may be dialled.
    @ivar order: of the targets.
    @ivar gatewayOrder: of the gateway's addresses.
    @ivar lookups: of names, those that are under way, by name; of who looks them up.
    """

    def __init__(self, places: Sequence[tuple[str, int]], gateway: Gateway | None = None) -> None:
        self.places = places
        self.lookups: dict[str, Any] = {}
        self._gateway = gateway
        self.order, self.gatewayOrder = Order(), Order()

    @property
    def gateway(self) -> Gateway | None:
        """
        What is in between.  Another counts from the next dial on.
        """
        return self._gateway

    @gateway.setter
    def gateway(self, gateway: Gateway | None) -> None:
        former, self._gateway = self._gateway, gateway
        isSame = former is None if gateway is None else gateway.isLike(former)
        if not isSame:  # else a reload would forget which address is good
            self.order, self.gatewayOrder = Order(), Order()
