# -*- test-case-name: tests.test_tcpdial -*-
"""
Dials the proxy and gives back a plain connected socket.

Layer 3.  Twisted's endpoints give a transport, whose socket cannot be had without
its habits.  The name is resolved anew at each dial, and each address tried.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

from rvgahp import limits
from rvgahp.errors import ChannelLost
from rvgahp.tcpconnect import TCPConnect


@implementer(IResolutionReceiver)
class _Addresses:
    """
    Collects what a name resolves to.
    """

    def __init__(self) -> None:
        self.found: list[IPv4Address | IPv6Address] = []
        self.complete: Deferred[list[IPv4Address | IPv6Address]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: Any) -> None:
        self.found.append(address)

    def resolutionComplete(self) -> None:
        self.complete.callback(self.found)


def _attempt(loop: Any, address: IPv4Address | IPv6Address) -> Deferred[socket.socket]:
    """
    @return: fires with a connected socket; fails with L{ChannelLost}; may be cancelled.
    @raise OSError: no descriptor, or no IPv6 on this host.
    """
    done: Deferred[socket.socket] = Deferred(lambda _: attempt.close())
    attempt = TCPConnect(
        loop,
        address.host,
        address.port,
        limits.DIAL_TIMEOUT,
        done.callback,
        lambda problem: done.errback(ChannelLost(problem)),
    )
    return done


def _resolve(reactor: Any, host: str, port: int) -> Deferred[list[IPv4Address | IPv6Address]]:
    """
    @return: fires with the host's addresses, at once where it is one itself: the
        resolver would ask a thread.
    """
    if isIPAddress(host):
        return succeed([IPv4Address("TCP", host, port)])
    if isIPv6Address(host):
        return succeed([IPv6Address("TCP", host, port)])
    addresses = _Addresses()
    reactor.nameResolver.resolveHostName(addresses, host, port)
    return addresses.complete


async def dialTCP(reactor: Any, host: str, port: int) -> socket.socket:
    """
    @param host: a name or an address.
    @return: a connected, non-blocking socket.  The Deferred that is made of this may
        be cancelled.
    @raise ChannelLost: no address of the host could be reached.
    """
    problem = "the name does not resolve"
    for address in await _resolve(reactor, host, port):
        try:
            return await _attempt(reactor, address)
        except ChannelLost as e:
            problem = str(e)
        except OSError as e:  # no descriptor, or no IPv6 on this host
            problem = e.strerror or str(e)
    raise ChannelLost(f"{host} port {port} could not be reached: {problem}")
