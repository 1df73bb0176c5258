"""
The proxy's port, with a proxy behind it that says and answers what a test wants.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from rvgahp import commands
from rvgahp.control import ControlConnection, Responders
from rvgahp.gate import Gate, WaitingRoom
from rvgahp.listener import Listener, listenTCP
from rvgahp.tls import serverOptions
from tests.identities import proxyCredentials

HOST = "127.0.0.1"


class ProxyDouble(Responders):
    """
    One control connection as the proxy sees it.

    @ivar authentications: the methods and the message of each C{Authenticate}, and no
        methods and the message of each C{AuthenticateMore}.
    @ivar hellos: the arguments of each Hello.
    @ivar listed: the ids of each Sessions call, and whether it was the last.
    @ivar claims: the claim keys of all.
    @ivar whose: owner and account of all.
    @ivar ended: session and reason of each SessionEnded.
    @ivar carried: the bytes of stdin and stdout that it told, by session.
    @ivar how: the other arguments of SessionEnded, by session.
    @ivar opened: session and stream of each OpenChannel; the ticket is made of the latter.
    @ivar reason: why the connection ended, once it has.
    """

    def __init__(self, port: ProxyPort) -> None:
        self._port = port
        self.authentications: list[tuple[list[str], bytes]] = []
        self.hellos: list[dict[str, Any]] = []
        self.listed: list[tuple[list[str], bool]] = []
        self.claims: list[bytes] = []
        self.whose: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.carried: dict[str, tuple[int, int]] = {}
        self.how: dict[str, dict[str, Any]] = {}
        self.opened: list[tuple[str, int]] = []
        self.reason: Failure | None = None
        self.control = ControlConnection(port.reactor, self, lambda _: None, self._lost)

    def _lost(self, reason: Failure) -> None:
        self.reason = reason

    def call(self, command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        Call the CE.
        """
        return self.control.caller.call(command, **arguments)

    @commands.Authenticate.responder
    def authenticate(self, methods: list[str], data: bytes) -> Any:
        self.authentications.append((methods, data))
        return self._port.answerAuthenticate()

    @commands.AuthenticateMore.responder
    def authenticateMore(self, data: bytes) -> Any:
        self.authentications.append(([], data))
        return self._port.answerMore()

    @commands.Hello.responder
    def hello(self, **arguments: Any) -> Any:
        self.hellos.append(arguments)
        return self._port.answerHello()

    @commands.Sessions.responder
    def sessions(self, sessions: list[dict[str, Any]], last: bool) -> Any:
        names = [entry["session"] for entry in sessions]
        self.listed.append((names, last))
        self.claims += [entry["claim"] for entry in sessions]
        self.whose += [(entry["owner"], entry["account"]) for entry in sessions]
        return {"gone": self._gone(names)}

    def _gone(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self._port.gone]

    @commands.SessionEnded.responder
    def sessionEnded(self, session: str, reason: str, received: int, sent: int, **how: Any) -> Any:
        self.ended.append((session, reason))
        self.how[session] = how
        self.carried[session] = received, sent
        return self._port.answerEnded()

    @commands.OpenChannel.responder
    def openChannel(self, session: str, stream: int) -> dict[str, Any]:
        self.opened.append((session, stream))
        return {"ticket": bytes((stream,)) * 16}

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        return {}


class ProxyPort:
    """
    What CEs dial.

    @ivar number: the port's.
    @ivar proxies: one for each control connection that came.
    @ivar channels: the ticket and the socket of each data connection.
    @ivar answerAuthenticate: makes the answer to Authenticate.
    @ivar answerMore: makes the answer to AuthenticateMore.
    @ivar answerHello: makes the answer to Hello.
    @ivar answerEnded: makes the answer to SessionEnded.
    @ivar gone: sessions of which a CE learns that they are over.
    @ivar options: our half of TLS.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.proxies: list[ProxyDouble] = []
        self.channels: list[tuple[bytes, socket.socket]] = []
        self.answerAuthenticate: Callable[[], Any] = self.authenticated
        self.answerMore: Callable[[], Any] = lambda: {"data": b"", "done": True}
        self.answerHello: Callable[[], Any] = self.accepted
        self.answerEnded: Callable[[], Any] = dict
        self.gone: set[str] = set()
        self.options = serverOptions(proxyCredentials(HOST))
        self._gate = Gate(reactor, WaitingRoom(100, 100), self._secure, self._admit)
        port = listenTCP(HOST, 0)
        self.number: int = port.getsockname()[1]
        self._listener = Listener(reactor, port, self._gate.arrived)

    @staticmethod
    def authenticated() -> dict[str, Any]:
        """
        @return: the usual answer to Authenticate.
        """
        return {"method": "SSL", "data": b"", "done": True}

    @staticmethod
    def accepted() -> dict[str, Any]:
        """
        @return: the usual answer to Hello.
        """
        return {"version": 1, "instance": bytes(16), "software": "double 1", "policy": "R:R:AES"}

    def _secure(self, connection: socket.socket, address: str) -> None:
        proxy = ProxyDouble(self)
        self.proxies.append(proxy)
        factory = Factory.forProtocol(lambda: proxy.control)
        secured = TLSMemoryBIOFactory(self.options, False, factory, clock=self.reactor)
        self.reactor.adoptStreamConnection(connection.fileno(), connection.family, secured)
        connection.close()

    def _admit(self, ticket: bytes, connection: socket.socket) -> bool:
        self.channels.append((ticket, connection))
        return True

    def close(self) -> None:
        """
        No more, and an end to what there is.
        """
        self._listener.close()
        self._gate.waiting.clear()
        for proxy in self.proxies:
            proxy.control.abort()
        for _, connection in self.channels:
            connection.close()
