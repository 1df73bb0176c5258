# -*- test-case-name: tests.test_ce -*-
"""
Dials the CE's control connections.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.tls import TLSMemoryBIOFactory

from rvgahp.control import ControlConnection, QuietFactory
from rvgahp.credentials import Credentials
from rvgahp.tcpdial import Found, dialTCP
from rvgahp.tls import clientOptions
from rvgahp.trust import Trust, certificatesIn
from rvgahp.wayout import Target, WayOut

__all__ = ["dialControl"]


def dialControl(
    reactor: Any,
    way: WayOut,
    control: ControlConnection,
    credentials: Credentials,
    host: str,
    trust: Trust,
) -> Deferred[Target]:
    """
    @param control: gets the connection.
    @param host: that of the proxy's certificate.
    @param trust: whose word on that counts, beside our credentials' authorities.
    @return: fires with what was dialled, when TLS has begun; fails with L{ChannelLost} or an
        C{OSError}; may be cancelled before.
    """
    trusted = trust.withOurs(certificatesIn(credentials.caPEM))
    options = clientOptions(credentials, host, trusted)
    factory = QuietFactory.forProtocol(lambda: control)
    # wrapClientTLS would take the global reactor for its timers.
    secured = TLSMemoryBIOFactory(options, True, factory, clock=reactor)

    def dialled(found: Found) -> Target:
        target, connection = found
        with connection:  # the reactor makes a copy
            reactor.adoptStreamConnection(connection.fileno(), connection.family, secured)
        return target

    return dialTCP(reactor, way).addCallback(dialled)
