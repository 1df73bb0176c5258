# -*- test-case-name: tests.test_notify -*-
"""
Tells who started a daemon that it is ready: systemd's C{sd_notify} protocol, a
datagram of C{NAME=VALUE} lines to the socket named in C{NOTIFY_SOCKET}.

Layer 3.  C{X_...} names are ours; systemd ignores them.
"""

from __future__ import annotations

import os
import socket
import time

from twisted.logger import Logger

log = Logger()


def notify(**fields: str) -> None:
    """
    Send the fields, if anyone wants them.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        try:
            datagram.sendto(lines.encode(), path)
        except OSError as e:
            log.warn("NOTIFY_SOCKET takes nothing: {reason}", reason=e.strerror)


def notifyReloading() -> None:
    """
    Tell that files are read again; C{READY=1} is to follow, whatever comes of it.  The time
    tells this from an older one's, which systemd wants for C{Type=notify-reload}.
    """
    notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
