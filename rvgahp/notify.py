# -*- test-case-name: tests.test_notify -*-
"""
Tells who started a daemon that it is ready: systemd's C{sd_notify} protocol, a
datagram of C{NAME=VALUE} lines to the socket named in C{NOTIFY_SOCKET}.

Layer 3: the reactor is passed in.  C{X_...} names are ours; systemd ignores them.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import deque
from typing import Any

from twisted.logger import Logger

from rvgahp import watchlimits

__all__ = ["Notifier"]

#: With these it may go better in a moment: whoever listens has not read, or there is no
#: descriptor or memory left.
_FOR_NOW = frozenset(
    (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
)


class Notifier:
    """
    One daemon's.  It never waits for room: what finds none is sent later, in order, and what
    is said twice meanwhile goes once.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        # Datagrams, and until when each is of interest.
        self._waiting: deque[tuple[bytes, float]] = deque(maxlen=watchlimits.NOTIFICATIONS)
        self._call: Any = None

    def tell(self, **fields: str) -> None:
        """
        Send the fields, if anyone wants them.
        """
        if not os.environ.get("NOTIFY_SOCKET"):
            return
        lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in fields.items())
        datagram = lines.encode()
        if not self._waiting or self._waiting[-1][0] != datagram:
            self._waiting.append((datagram, self._reactor.seconds() + watchlimits.NOTIFY_TIMEOUT))
        if self._call is None:
            self._send()

    def reloading(self) -> None:
        """
        Tell that files are read again; C{READY=1} is to follow, whatever comes of it.  The
        time tells this from an older one's, which systemd wants for C{Type=notify-reload}.
        """
        self.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def close(self) -> None:
        """
        Tell no more.
        """
        self._waiting.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _send(self) -> None:
        self._call = None
        while self._waiting:
            datagram, until = self._waiting[0]
            try:
                _sendNow(datagram)
            except OSError as e:
                if e.errno in _FOR_NOW and self._reactor.seconds() < until:
                    self._call = self._reactor.callLater(watchlimits.NOTIFY_RETRY, self._send)
                    return
                self.log.warn("NOTIFY_SOCKET takes nothing: {reason}", reason=e.strerror)
            self._waiting.popleft()


def _sendNow(datagram: bytes) -> None:
    """
    @raise OSError: it cannot be sent, or not now.
    """
    path = os.environ["NOTIFY_SOCKET"]
    if path.startswith("@"):
        path = "\0" + path[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sending:
        sending.sendto(datagram, path)
