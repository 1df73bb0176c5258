# -*- test-case-name: tests.test_channeldialer -*-
"""
How a CE's streams reach the proxy.

Layer 4.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred


class Way:
    """
    Three questions to the CE's connection.

    @ivar dial: makes a connection to the proxy's port.
    @ivar openChannel: asks the proxy for a ticket, by session and stream.
    @ivar isUp: whether the proxy is there.
    """

    def __init__(
        self,
        dial: Callable[[], Deferred[socket.socket]],
        openChannel: Callable[[str, int], Deferred[bytes]],
        isUp: Callable[[], bool],
    ) -> None:
        self.dial = dial
        self.openChannel = openChannel
        self.isUp = isUp
