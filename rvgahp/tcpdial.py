# -*- test-case-name: tests.test_tcpdial -*-
"""
Dials the proxy and gives back a plain connected socket: L{rvgahp.dialling}, with Twisted's
resolver, and for those who have no reactor.

Layer 3.  Twisted's endpoints give a transport, whose socket cannot be had without
its habits.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

from rvgahp import waylimits
from rvgahp.dialling import Dialling, dial
from rvgahp.errors import ChannelLost
from rvgahp.lookups import addressesOf
from rvgahp.poller import Poller
from rvgahp.wayout import Target, WayOut

__all__ = ["Found", "dialTCP", "dialWaiting"]

#: What was dialled, and the socket.
Found = tuple[Target, socket.socket]

Answer = Callable[[list[str] | str], object]

_UNKNOWN = "the name does not resolve"


class _Question:
    """
    Who wants to know the addresses of a name, for as long as it may take.
    """

    def __init__(self, lookup: _Lookup, reactor: Any, found: Answer) -> None:
        self._lookup = lookup
        self._found = found
        self._deadline = reactor.callLater(waylimits.LOOKUP_TIMEOUT, self._late)

    def end(self) -> None:
        """
        Nobody wants to know any more.
        """
        self._lookup.questions.discard(self)
        if self._deadline.active():
            self._deadline.cancel()

    def answer(self, answer: list[str] | str) -> None:
        """
        @param answer: as for C{found}.
        """
        self.end()
        self._found(answer)

    def _late(self) -> None:
        self.answer(f"the resolver gave no answer within {waylimits.LOOKUP_TIMEOUT:g} s")


@implementer(IResolutionReceiver)
class _Lookup:
    """
    One name that is looked up, for all who ask meanwhile.  While no server answers, each look-up
    has one of the reactor's few threads for longer than anybody waits; were there one for each
    dial, thousands would stand in a queue, and a daemon that is stopped would wait for all.

    @ivar began: when, by the reactor's clock.
    @ivar questions: of those who wait.
    """

    def __init__(self, reactor: Any, lookups: dict[str, Any], host: str) -> None:
        self._reactor = reactor
        self._lookups = lookups
        self._host = host
        self._addresses: list[str] = []
        self.began: float = reactor.seconds()
        self.questions: set[_Question] = set()

    def ask(self, found: Answer) -> Callable[[], object]:
        """
        @return: what ends that.
        """
        question = _Question(self, self._reactor, found)
        self.questions.add(question)
        return question.end

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: Any) -> None:
        self._addresses.append(address.host)

    def resolutionComplete(self) -> None:
        if self._lookups.get(self._host) is self:
            del self._lookups[self._host]
        for question in list(self.questions):
            if question in self.questions:  # what one does may end another
                question.answer(self._addresses or _UNKNOWN)


def _nothing() -> None:
    """
    Ends what is over.
    """


def _resolve(
    reactor: Any, lookups: dict[str, Any], host: str, found: Answer
) -> Callable[[], object]:
    """
    @param lookups: those that are under way, by name.
    @param found: called with the host's addresses, at once where it is one itself: the
        resolver would ask a thread.
    """
    if isIPAddress(host) or isIPv6Address(host):
        found([host])
        return _nothing
    lookup = lookups.get(host)
    if lookup is not None and reactor.seconds() - lookup.began < waylimits.LOOKUP_LOST:
        end: Callable[[], object] = lookup.ask(found)
        return end
    lookup = lookups[host] = _Lookup(reactor, lookups, host)
    end = lookup.ask(found)
    reactor.nameResolver.resolveHostName(lookup, host)
    return end


def dialTCP(reactor: Any, way: WayOut) -> Deferred[Found]:
    """
    @return: fires with what was dialled, and a connected, non-blocking socket; fails with
        L{ChannelLost} if nothing could be reached; may be cancelled.
    """
    done: Deferred[Found] = Deferred(lambda _: diallings[0].close())
    diallings: list[Dialling] = []

    def connected(target: Target, connection: socket.socket) -> None:
        done.callback((target, connection))

    def failed(problem: str) -> None:
        done.errback(ChannelLost(problem))

    resolve = partial(_resolve, reactor, way.lookups)
    diallings.append(dial(reactor, resolve, way, connected, failed))
    return done


def dialWaiting(way: WayOut) -> Found:
    """
    The same for programs without a reactor: blocks.

    @return: what was dialled, and a connected, blocking socket.
    @raise ChannelLost: nothing could be reached.
    """
    loop = Poller()
    results: list[Found | str] = []

    def over(result: Found | str) -> None:
        results.append(result)
        loop.stop()

    def resolve(host: str, found: Answer) -> Callable[[], object]:
        if isIPAddress(host) or isIPv6Address(host):
            found([host])
        else:
            found(addressesOf([host], waylimits.LOOKUP_TIMEOUT)[host])
        return _nothing

    dialling = dial(loop, resolve, way, lambda *found: over(found), over)
    try:
        if not results:
            loop.run()
    finally:
        dialling.close()
    (result,) = results
    if isinstance(result, str):
        raise ChannelLost(result)
    result[1].setblocking(True)
    return result
