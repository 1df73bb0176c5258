# -*- test-case-name: tests.test_siteconnection -*-
"""
A connection that begins with TLS has arrived: from now on Twisted has it.

Layer 4.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.protocols.tls import TLSMemoryBIOFactory

from rvgahp.control import QuietFactory
from rvgahp.siteconnection import SiteConnection

if TYPE_CHECKING:
    from rvgahp.authentication import Authenticator
    from rvgahp.gate import WaitingRoom
    from rvgahp.proxy import Proxy


def accept(
    proxy: Proxy,
    contextFactory: Any,
    waiting: WaitingRoom,
    authenticator: Authenticator,
    connection: socket.socket,
    address: str,
) -> None:
    """
    A connection that begins with TLS has arrived; it is taken over.

    @param contextFactory: makes the proxy's half of TLS.
    """
    site = SiteConnection(proxy, address, waiting, authenticator)
    factory = QuietFactory.forProtocol(lambda: site.control)
    secured = TLSMemoryBIOFactory(contextFactory, False, factory, clock=proxy.reactor)
    try:
        proxy.reactor.adoptStreamConnection(connection.fileno(), connection.family, secured)
    except OSError:
        site.abandon()
        raise
    finally:
        connection.close()  # Twisted has its own copy
