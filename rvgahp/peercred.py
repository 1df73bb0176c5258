# -*- test-case-name: tests.test_peercred -*-
"""
Who is at the other end of a UNIX socket, as the kernel says.

Layer 3.
"""

from __future__ import annotations

import pwd
import socket
import struct

from rvgahp.errors import NotAuthorized

_PEERCRED = struct.Struct("3i")


class LocalUser:
    """
    An account of this host, in the shape of one of its processes.

    @ivar uid: its number.
    @ivar name: its name.
    @ivar pid: the process; 0 if it is not in a namespace that we see.
    """

    def __init__(self, uid: int, name: str, pid: int) -> None:
        self.uid = uid
        self.name = name
        self.pid = pid


def peerOf(connection: socket.socket) -> LocalUser:
    """
    @return: the user whose process connected.
    @raise NotAuthorized: his uid has no account here.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    pid, uid, _ = _PEERCRED.unpack(data)
    try:
        return LocalUser(uid, pwd.getpwuid(uid).pw_name, pid)
    except KeyError:
        raise NotAuthorized(
            f"uid {uid} has no account on this host; ask its administrator"
        ) from None
