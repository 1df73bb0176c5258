# -*- test-case-name: tests.test_negotiation -*-
"""
What is said to a gateway, the HTTP proxy or SOCKS server of a site, until it has connected us
to the proxy: HTTP's CONNECT (RFC 9110, section 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

Layer 0: no I/O.  What follows a gateway's last answer is the proxy's or a client's, so a
negotiation is shown what lies in the socket, and says how much of that is its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from ipaddress import ip_address

from rvgahp import waylimits
from rvgahp.errors import ChannelLost

__all__ = ["Connect", "GatewayRefused", "Negotiation", "Socks"]

#: User and password, in bytes.  B{Secret.}
Credentials = tuple[bytes, bytes]

_LOGIN = "RVGAHP_CONNECT_THROUGH_CREDENTIALS"
_FORBIDDEN = "ask those who run it to allow that port, or use one that it allows, such as 443"
_UNREACHED = "see that rvgahp-proxy runs there, and that the firewall there lets it in"
_NO_LOGIN = f"it wants a user and a password: name a file with them by {_LOGIN}"
_WRONG_LOGIN = f"it does not take the user and password of {_LOGIN}"


#: Among the challenges of one field, of which there may be several (RFC 9110, section 11.6.1).
_BASIC = re.compile(rb"(?:^|,)\s*basic(?:[\s,]|$)", re.IGNORECASE)


class GatewayRefused(ChannelLost):
    """
    A gateway has not connected us; a clause says why, and what to do.
    """


class Negotiation:
    """
    One connection through a gateway.

    @ivar isDone: whether we are connected.
    """

    isDone = False

    def begin(self) -> bytes:
        """
        @return: what is to be sent first.  May be B{secret}.
        """
        raise NotImplementedError

    def take(self, seen: bytes) -> tuple[int, bytes]:
        """
        @param seen: what has come and was not taken yet; not empty.
        @return: how many bytes of it are taken, and what is to be sent.  The latter may be
            B{secret}.
        @raise GatewayRefused: we are not connected.
        """
        raise NotImplementedError


def _plain(text: bytes) -> str:
    """
    @return: a gateway's own words, fit for a log.
    """
    shown = "".join(one if " " <= one <= "~" else "?" for one in text.decode("latin-1"))
    return shown.strip()[: waylimits.GATEWAY_WORDS]


class Connect(Negotiation):
    """
    By HTTP's CONNECT.
    """

    def __init__(self, host: str, port: int, credentials: Credentials | None) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: rvgahp"]
        if credentials is not None:
            login = b64encode(b":".join(credentials)).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {login}")
        self._request = "\r\n".join([*lines, "", ""]).encode("ascii")
        self._hasLogin = credentials is not None
        self._head = b""
        self._count = 0

    def begin(self) -> bytes:
        return self._request

    def take(self, seen: bytes) -> tuple[int, bytes]:
        former = len(self._head)
        head = self._head + seen
        # A line may end with LF alone (RFC 9112, section 2.2).
        end = re.search(rb"\r?\n\r?\n", head)
        self._head = head[: end.end()] if end else head
        taken = len(self._head) - former
        self._count += taken
        if not b"HTTP/1.".startswith(head[:7]):
            raise GatewayRefused(_noHTTP(head))
        if self._count > waylimits.GATEWAY_BYTES:
            raise GatewayRefused(f"its answer has more than {waylimits.GATEWAY_BYTES} bytes")
        if end:
            self._answered(self._head)
            self._head = b""
        return taken, b""

    def _answered(self, head: bytes) -> None:
        status = re.match(rb"HTTP/1\.\d\x20([1-9]\d\d)(?:\x20([^\r\n]*))?\r?\n", head)
        if status is None:
            raise GatewayRefused(f"its answer is no answer of HTTP: {_plain(head)}")
        code = int(status[1])
        if code == 101 or code >= 300:
            words = f"{code} {_plain(status[2] or b'')}".strip()
            raise GatewayRefused(self._because(code, words, head))
        self.isDone = code >= 200  # else the answer is still to come

    def _because(self, code: int, words: str, head: bytes) -> str:
        """
        @return: why it has not connected us.
        """
        if code == 407:
            offered = re.findall(rb"(?im)^proxy-authenticate:[ \t]*(\S[^\r\n]*)", head)
            if offered and not any(map(_BASIC.search, offered)):
                ways = _plain(b", ".join(one.split()[0].rstrip(b",") for one in offered))
                return (
                    f"it wants authentication by {ways} ({words}), and only Basic is spoken here:"
                    " ask those who run it for that, or for another way out"
                )
            return f"{_WRONG_LOGIN if self._hasLogin else _NO_LOGIN} ({words})"
        if code in (401, 403):
            return f"it does not allow that ({words}): {_FORBIDDEN}"
        if code in (404, 405, 501):
            return f"it does not know CONNECT ({words}): see that it is an HTTP proxy"
        if code >= 500:  # 500 is what tinyproxy and squid say of this
            return f"it could not reach that itself ({words}): {_UNREACHED}"
        return f"it answers {words}"


def _noHTTP(head: bytes) -> str:
    if head.startswith((b"\x05", b"\x04", b"\x00")):
        return "it does not speak HTTP but seems to be a SOCKS server: try socks5h://"
    if head.startswith((b"\x15", b"\x16")):
        return "it speaks TLS itself: ask for its port without TLS"
    return f"it does not speak HTTP: {_plain(head)}"


#: What replies of SOCKS mean (RFC 1928, section 6).
_REPLIES = {
    1: f"it failed: {_UNREACHED}",
    2: f"it does not allow that: {_FORBIDDEN}",
    3: f"the network cannot be reached from there: {_UNREACHED}",
    4: f"the host cannot be reached from there: {_UNREACHED}",
    5: f"the connection was refused: {_UNREACHED}",
    6: f"nobody answered: {_UNREACHED}",
    7: "it does not know CONNECT: see that it is a SOCKS server for TCP",
    8: "it does not take addresses of this kind: try the other of socks5:// and socks5h://",
}

_ANONYMOUS, _PASSWORD = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4


class Socks(Negotiation):
    """
    By SOCKS 5.
    """

    def __init__(self, host: str, port: int, credentials: Credentials | None) -> None:
        self._request = b"\x05\x01\x00" + _address(host) + port.to_bytes(2, "big")
        self._credentials = credentials
        self._message = b""
        self._size = 2
        self._next = self._chosen

    def begin(self) -> bytes:
        methods = [_ANONYMOUS] if self._credentials is None else [_ANONYMOUS, _PASSWORD]
        return bytes([5, len(methods), *methods])

    def take(self, seen: bytes) -> tuple[int, bytes]:
        taken, answer = 0, b""
        while taken < len(seen) and not self.isDone:
            part = seen[taken : taken + self._size - len(self._message)]
            self._message += part
            taken += len(part)
            if len(self._message) == self._size:
                answer += self._next()
        return taken, answer

    def _expect(self, size: int, following: object) -> None:
        self._message, self._size, self._next = b"", size, following  # type: ignore[assignment]

    def _chosen(self) -> bytes:
        version, method = self._message
        if version != 5:
            raise GatewayRefused(_noSOCKS(self._message))
        if method == _ANONYMOUS:
            self._expect(4, self._replied)
            return self._request
        if self._credentials is None or method != _PASSWORD:
            raise GatewayRefused(_NO_LOGIN if self._credentials is None else _WRONG_LOGIN)
        self._expect(2, self._loggedIn)
        user, password = self._credentials
        return bytes([1, len(user)]) + user + bytes([len(password)]) + password

    def _loggedIn(self) -> bytes:
        if self._message[1]:
            raise GatewayRefused(_WRONG_LOGIN)
        self._expect(4, self._replied)
        return self._request

    def _replied(self) -> bytes:
        version, reply, _, kind = self._message
        if version != 5:
            raise GatewayRefused(_noSOCKS(self._message))
        if reply:
            raise GatewayRefused(_REPLIES.get(reply, f"it answers with code {reply} of SOCKS"))
        if kind == _NAME:
            self._expect(1, self._named)
        elif kind in (_IPV4, _IPV6):
            self._expect((4 if kind == _IPV4 else 16) + 2, self._connected)
        else:
            raise GatewayRefused(f"its answer has an address of kind {kind}, which SOCKS has not")
        return b""

    def _named(self) -> bytes:
        self._expect(self._message[0] + 2, self._connected)
        return b""

    def _connected(self) -> bytes:
        self.isDone = True
        return b""


def _noSOCKS(head: bytes) -> str:
    if head.startswith(b"HT"):
        return "it does not speak SOCKS 5 but HTTP: try http://"
    return f"it does not speak SOCKS 5: {_plain(head)}"


def _address(host: str) -> bytes:
    """
    @return: what a request has for a host: its address, or its name.
    """
    try:
        packed = ip_address(host).packed
    except ValueError:
        name = host.encode("ascii")
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if len(packed) == 4 else _IPV6]) + packed
