# -*- test-case-name: tests.test_socketowner -*-
"""
Whose process made a TCP connection on the loopback interface, as the kernel says.

Layer 3: the standard library and L{rvgahp.errors}.  IPv4 only: a tunnel's port is on
127.0.0.1, to which HTCondor's gridmanager sends condor_ft-gahp; a peer that has an IPv6
socket, mapped to IPv4, is found all the same.

The kernel is asked by C{NETLINK_SOCK_DIAG} for the one socket that has the peer's four
numbers.  To read C{/proc/net/tcp} is a thousand times as slow, and a peer with an IPv6
socket is not in it.  A kernel without the module C{tcp_diag} says that there is no such
file or directory, as for a socket that is gone: then nobody is let in.
"""

from __future__ import annotations

import os
import pwd
import socket
from struct import Struct, error

from rvgahp.errors import NotAuthorized

__all__ = ["Owner", "checkOwner", "ownerOf"]

#: linux/netlink.h: C{NETLINK_SOCK_DIAG}, C{NLM_F_REQUEST}, C{NLMSG_ERROR}.
_SOCK_DIAG = 4
_REQUEST = 1
_ERROR = 2

#: linux/sock_diag.h: C{SOCK_DIAG_BY_FAMILY}.
_BY_FAMILY = 20

#: linux/inet_diag.h: C{INET_DIAG_NOCOOKIE}.
_NO_COOKIE = 0xFFFFFFFF

#: linux/netlink.h, C{struct nlmsghdr}: length with itself, type, flags, sequence, port.
_HEADER = Struct("=IHHII")

#: linux/inet_diag.h, C{struct inet_diag_req_v2} with its C{inet_diag_sockid}: family,
#: protocol, extensions, nothing, states; source and destination port, source and
#: destination address (16 bytes each), interface, cookie (2).  Ports and addresses are
#: in the network's order, here as bytes.
_QUESTION = Struct("=BBBxI2s2s16s16sI2I")

#: linux/inet_diag.h, C{struct inet_diag_msg}: family, state, timer, retransmissions; the
#: same C{inet_diag_sockid}; expiry, receive and send queue, uid, inode.
_ANSWER = Struct("=4B2s2s16s16sI2I5I")

#: linux/netlink.h, C{struct nlmsgerr}: it begins with the number of the error, negative.
_NEGATIVE = Struct("=i")

#: Any number will do: a netlink socket is used for one question.
_SEQUENCE = 1

#: What comes before an IPv4 address in an IPv6 one.
_MAPPED = bytes(10) + b"\xff\xff"

#: C{TCP_SYN_SENT} (include/net/tcp_states.h): it has not reached us, or not yet.
_CONNECTING = 2


class Owner:
    """
    Who made a socket.

    @ivar uid: the account that created it; who was given it since is not known.
    @ivar inode: its number in C{/proc/PID/fd}.
    """

    def __init__(self, uid: int, inode: int) -> None:
        self.uid = uid
        self.inode = inode


def ownerOf(connection: socket.socket) -> Owner:
    """
    Find out who is at the other end of an accepted connection.  Ask before its first
    byte is used, and while the peer can be expected to have it open.

    @param connection: an C{AF_INET} connection whose peer is a process of this host, in
        our own network namespace.  Never blocks.
    @return: who made the peer's socket.
    @raise NotAuthorized: the kernel does not tell, for whatever reason.  The peer may have
        closed the socket.
    """
    if connection.family != socket.AF_INET:
        raise _unknown("it is not of IPv4")
    try:
        peer = _packed(connection.getpeername())
        own = _packed(connection.getsockname())
        owner = _parse(_ask(peer, own), peer, own)
        # Reset before the kernel answered, it would not be the one that was found: the
        # peer's port was free for another.
        connection.getpeername()
    except OSError as e:
        raise _unknown(str(e.strerror or e)) from e
    return owner


def checkOwner(connection: socket.socket, uid: int) -> None:
    """
    Let one account only come in.

    @param connection: as of L{ownerOf}.
    @param uid: the account.
    @raise NotAuthorized: another made the connection, or it is not known which.
    """
    found = ownerOf(connection).uid
    if found != uid:
        raise NotAuthorized(
            f"a tunnel's connection must come from {_named(uid)}, and this one comes from"
            f" {_named(found)}"
        )


def _packed(address: tuple[str, int]) -> tuple[bytes, bytes]:
    """
    @return: port and IPv4 address in the network's order.
    """
    host, port = address
    return port.to_bytes(2, "big"), socket.inet_aton(host)


def _ask(peer: tuple[bytes, bytes], own: tuple[bytes, bytes]) -> bytes:
    """
    @param peer: port and address of the socket that is meant.
    @param own: those of the one that it is connected to.
    @return: the kernel's answer, one message: without C{NLM_F_DUMP} it looks for one
        socket, and answers before C{sendto} returns.
    @raise OSError: there is none.
    """
    sockid = (peer[0], own[0], peer[1], own[1], 0, _NO_COOKIE, _NO_COOKIE)
    question = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, *sockid)
    header = _HEADER.pack(_HEADER.size + _QUESTION.size, _BY_FAMILY, _REQUEST, _SEQUENCE, 0)
    # One for each question: 13 microseconds in all, and no late answer to another one.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        # (0, 0) is the kernel.  For another to answer it would need CAP_NET_ADMIN.
        kernel.sendto(header + question, socket.MSG_DONTWAIT, (0, 0))
        return kernel.recv(4096, socket.MSG_DONTWAIT)


def _parse(message: bytes, peer: tuple[bytes, bytes], own: tuple[bytes, bytes]) -> Owner:
    """
    @param message: the kernel's answer to L{_ask} with C{peer} and C{own}.
    @return: who made the socket that it tells of.
    @raise NotAuthorized: it is not the one that was asked for (the kernel takes a listener
        where there is none), or nobody has it.
    @raise OSError: the kernel's error.
    """
    try:
        _, kind, _, sequence, _ = _HEADER.unpack_from(message)
        if kind == _ERROR:
            number = -_NEGATIVE.unpack_from(message, _HEADER.size)[0]
            raise OSError(number, os.strerror(number))
        fields = _ANSWER.unpack_from(message, _HEADER.size)
    except error:
        raise _unknown("its answer is too short") from None
    family, state, _, _, *ports, source, destination = fields[:8]
    uid, inode = fields[-2:]
    found = list(zip(ports, [_mapped(family, source), _mapped(family, destination)], strict=True))
    wanted = [(port, _MAPPED + address) for port, address in (peer, own)]
    if (kind, sequence, found) != (_BY_FAMILY, _SEQUENCE, wanted) or state == _CONNECTING:
        raise _unknown("its answer is about another socket")
    if not inode:
        # Closed and with bytes under way, or in TIME_WAIT: its uid of 0 means nothing
        # (sock_i_uid in net/core/sock.c, inet_twsk_diag_fill in net/ipv4/inet_diag.c).
        # Another, which Linux 6.18 keeps, is good enough for a log.
        if uid:
            raise _unknown(f"{_named(uid)} made it and has closed it")
        raise _unknown("whoever made it has closed it")
    return Owner(uid, inode)


def _mapped(family: int, address: bytes) -> bytes:
    """
    @return: an address as IPv6 has it.
    """
    return _MAPPED + address[:4] if family == socket.AF_INET else address


def _unknown(reason: str) -> NotAuthorized:
    return NotAuthorized(f"the kernel does not tell whose connection it is: {reason}")


def _named(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
