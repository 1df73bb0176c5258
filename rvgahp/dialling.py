# -*- test-case-name: tests.test_dialling -*-
"""
Makes a connection to a proxy: L{dial}.  C{doc/ways.rst}.

Layer 1: driven by any reactor-like loop; who owns that looks names up.  What comes of it is a
plain socket, for control connections and channels alike.
"""

from __future__ import annotations

from functools import partial
from itertools import chain, zip_longest

from rvgahp import limits, waylimits
from rvgahp.gatewayhandshake import GatewayHandshake
from rvgahp.race import Race
from rvgahp.tcpconnect import TCPConnect
from rvgahp.wayout import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from rvgahp.descriptor import Loop
    from rvgahp.race import Begin
    from rvgahp.wayout import Gateway, Order, WayOut

    Place = tuple[str, int]

    #: Looks a host up, and calls back, once, with its addresses, or with a clause that says why
    #: there are none.  Gives back what ends that.
    Resolve = Callable[[str, Callable[[list[str] | str], object]], Callable[[], object]]

__all__ = ["Dialling", "dial"]


def dial(
    loop: Loop,
    resolve: Resolve,
    way: WayOut,
    connected: Callable[[Target, socket.socket], object],
    failed: Callable[[str], object],
) -> Dialling:
    """
    Connect to a proxy.

    @param connected: called with what was dialled and the socket, non-blocking.
    @param failed: called with a sentence.  Either may be called from in here, and is not after
        L{Dialling.close}.
    @return: to give it up by.
    """
    gateway = way.gateway

    def allFailed(problems: dict[Place, str]) -> None:
        clauses = (
            f"{host} port {port} could not be reached: {problems[host, port]}"
            for host, port in way.places
        )
        failed("; ".join(clauses))

    if gateway is None:
        delay = waylimits.NEXT_ADDRESS_DELAY
        direct = _directly(loop)
        dialling = Dialling(loop, way.places, way.order, direct, connected, allFailed, delay)
        dialling.start(resolve)
        return dialling

    def begin(
        candidate: Target,
        connected: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> _Passage:
        return _Passage(loop, resolve, gateway, way.gatewayOrder, candidate, connected, failed)

    delay = waylimits.NEXT_PLACE_DELAY
    dialling = Dialling(loop, way.places, way.order, begin, connected, allFailed, delay)
    dialling.start(_asItIs if gateway.looksUp else resolve)
    return dialling


def _asItIs(host: str, found: Callable[[list[str] | str], object]) -> Callable[[], object]:
    """
    The L{Resolve} of who leaves that to a gateway.
    """
    found([host])
    return lambda: None


def _directly(loop: Loop) -> Begin:
    """
    @return: what dials an address itself.
    """

    def begin(
        candidate: Target,
        connected: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> TCPConnect:
        address, limit = candidate.address, limits.DIAL_TIMEOUT
        return TCPConnect(loop, address, candidate.port, limit, connected, failed)

    return begin


def _alternating(addresses: Sequence[str]) -> list[str]:
    """
    @return: those of IPv4 and those of IPv6 in turn, beginning with the kind of the first (RFC
        8305, section 4); not too many.
    """
    isFirstKind = (":" in addresses[0]) if addresses else False
    kinds = [
        [one for one in addresses if (":" in one) == isFirstKind],
        [one for one in addresses if (":" in one) != isFirstKind],
    ]
    mixed = [one for one in chain(*zip_longest(*kinds)) if one is not None]
    return mixed[: waylimits.ADDRESSES_PER_NAME]


class Dialling:
    """
    Some places are dialled, at all of their addresses, until one is connected.
    """

    def __init__(
        self,
        loop: Loop,
        places: Sequence[Place],
        order: Order,
        begin: Begin,
        connected: Callable[[Target, socket.socket], object],
        failed: Callable[[dict[Place, str]], object],
        delay: float,
    ) -> None:
        """
        @param begin: dials one address.
        @param failed: called with what became of each place.
        @param delay: seconds after which the next is begun.
        """
        self._places = places
        self._order = order
        self._connected = connected
        self._failed = failed
        self._lookups: list[Callable[[], object]] = []
        self._answers: dict[Place, list[str] | str] = {}
        self._race = Race(loop, begin, delay, self._won, self._allFailed)

    def start(self, resolve: Resolve) -> None:
        """
        Begin.  No name is looked up where the best address is known and answers soon.
        """
        self._race.start(self._order.best, partial(self._lookUp, resolve))

    def close(self) -> None:
        """
        Give it up.
        """
        self._race.close()
        for end in self._lookups:
            end()

    def _won(self, target: Target, connection: socket.socket) -> None:
        self.close()
        self._connected(target, connection)

    def _lookUp(self, resolve: Resolve) -> None:
        for place in self._places:
            self._lookups.append(resolve(place[0], partial(self._found, place)))

    def _found(self, place: Place, answer: list[str] | str) -> None:
        self._answers[place] = answer
        if len(self._answers) < len(self._places):
            return
        targets = [
            Target(*each, address)
            for each in self._places
            if not isinstance(found := self._answers[each], str)
            for address in _alternating(found)
        ]
        self._race.end(self._order.sorted(targets))

    def _allFailed(self) -> None:
        problems = {
            place: answer if isinstance(answer, str) else ""
            for place, answer in self._answers.items()
        }
        for target, problem in self._race.problems.items():
            problems[target.host, target.port] = problem
        self._failed(problems)


class _Passage:
    """
    A connection through a gateway to one target.
    """

    def __init__(
        self,
        loop: Loop,
        resolve: Resolve,
        gateway: Gateway,
        order: Order,
        target: Target,
        connected: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> None:
        """
        @param order: of the gateway's addresses.
        """
        self._loop = loop
        self._gateway = gateway
        self._order = order
        self._target = target
        self._connected = connected
        self._report = failed
        self._underway: Any = None
        self._address: Target | None = None  # the gateway's, when it is reached
        # Not from in here: our maker does not know us yet.
        self._timer = loop.callLater(0, self._start, resolve)

    def close(self) -> None:
        """
        Give it up.
        """
        if self._timer.active():
            self._timer.cancel()
        if self._underway is not None:
            self._underway.close()

    def _start(self, resolve: Resolve) -> None:
        self._timer = self._loop.callLater(limits.DIAL_TIMEOUT, self._late)
        self._underway = dialling = Dialling(
            self._loop,
            [self._gateway.place],
            self._order,
            _directly(self._loop),
            self._reached,
            self._unreached,
            waylimits.NEXT_ADDRESS_DELAY,
        )
        dialling.start(resolve)

    def _reached(self, address: Target, connection: socket.socket) -> None:
        self._address = address
        self._underway = GatewayHandshake(
            self._loop,
            connection,
            self._gateway.negotiation(self._target),
            partial(self._passed, address),
            self._refused,
        )

    def _passed(self, address: Target, connection: socket.socket) -> None:
        self._order.accepted(address)
        self._timer.cancel()
        self._connected(connection)

    def _unreached(self, problems: dict[Place, str]) -> None:
        self._fail(f"cannot be reached: {problems[self._gateway.place]}")

    def _refused(self, problem: str) -> None:
        self._fail(f"has not connected us: {problem}")

    def _late(self) -> None:
        what, remedy = "cannot be reached", "see RVGAHP_CONNECT_THROUGH"
        if isinstance(self._underway, GatewayHandshake):
            what, remedy = "has not connected us", "see of what kind it is, and what it reaches"
        self._underway.close()
        self._fail(f"{what}: no answer within {limits.DIAL_TIMEOUT:g} s; {remedy}")

    def _fail(self, problem: str) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self._address is not None:
            self._order.rejected(self._address)  # of several, one may be out of order
        self._report(f"{self._gateway.name} {problem}")
