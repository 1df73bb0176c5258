# -*- test-case-name: tests.test_tcpdial -*-
"""
Dials the proxy and gives back a plain connected socket.

Layer 3.  Twisted's endpoints give a transport, whose socket cannot be had without
its habits.  The name is resolved anew at each dial, and each address tried.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

from rvgahp import limits
from rvgahp.descriptor import Descriptor
from rvgahp.errors import ChannelLost

_PENDING = (errno.EINPROGRESS, errno.EWOULDBLOCK)


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


class _Attempt(Descriptor):
    """
    One address being dialled.
    """

    def __init__(self, loop: Any, address: IPv4Address | IPv6Address) -> None:
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        self.connection = socket.socket(family, socket.SOCK_STREAM)
        self.connection.setblocking(False)
        super().__init__(loop, self.connection.fileno(), self.connection)
        self.done: Deferred[socket.socket] = Deferred(lambda _: self._giveUp())
        self._deadline = loop.callLater(
            limits.DIAL_TIMEOUT, self._failed, f"no answer within {limits.DIAL_TIMEOUT:g} s"
        )
        problem = self.connection.connect_ex((address.host, address.port))
        if problem and problem not in _PENDING:
            loop.callLater(0, self._failed, os.strerror(problem))
        else:
            self._writing = True
            loop.addWriter(self)

    def doWrite(self) -> None:
        problem = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._failed(os.strerror(problem))
            return
        self._loop.removeWriter(self)
        self._writing = False
        self.isClosed = True  # the socket is the caller's now
        self._deadline.cancel()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.done.callback(self.connection)

    def connectionLost(self, reason: object) -> None:
        self._writing = False
        problem = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._failed(os.strerror(problem) if problem else "the connection was refused")

    def _failed(self, problem: str) -> None:
        if not self.isClosed:
            self._giveUp()
            self.done.errback(ChannelLost(problem))

    def _giveUp(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        self.close()


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
            return await _Attempt(reactor, address).done
        except ChannelLost as e:
            problem = str(e)
        except OSError as e:  # no descriptor, or no IPv6 on this host
            problem = e.strerror or str(e)
    raise ChannelLost(f"{host} port {port} could not be reached: {problem}")
