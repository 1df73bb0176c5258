#!/usr/bin/env python3
"""
Many sites and many sessions at one proxy, in one process: doubles of CEs, which speak the real
control protocol over TLS, and of clients, which ask for GAHPs on the proxy's UNIX socket.  No GAHP
runs, and no channel is dialled.  Words: the directory of a sandbox's authority, the proxy's port
and socket, how many sites, how many sessions.  One line of JSON tells that all are there.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.amp import AMP
from twisted.protocols.tls import TLSMemoryBIOFactory

from rvgahp import commands, limits, localcommands
from rvgahp.certificates import Authority, makeKey
from rvgahp.control import ControlConnection, Responders
from rvgahp.credentials import Credentials, loadAuthority
from rvgahp.descriptorlimit import raiseDescriptorLimit
from rvgahp.tls import clientOptions

HOST = "127.0.0.1"

#: Dials and requests that are under way at a time.
_AT_ONCE = 20

#: Bytes that each session carries between two pings.
_PACE = 1000


class SiteDouble(Responders):
    """
    One CE.  Its sessions carry something all the time.

    @ivar greeted: fires when the proxy takes starts for it.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self._name = name
        self._sessions: list[str] = []
        self._carried = 0
        self.greeted: Deferred[Any] = Deferred()
        self.control = ControlConnection(reactor, self, self._secured, self._lost)

    def _secured(self, control: ControlConnection) -> None:
        Deferred.fromCoroutine(self._greet()).chainDeferred(self.greeted)

    async def _greet(self) -> None:
        call = self.control.caller.call
        await call(commands.Authenticate, limits.GREETING_TIMEOUT, methods=["SSL"], data=b"")
        await call(
            commands.Hello,
            limits.GREETING_TIMEOUT,
            versions=list(limits.PROTOCOL_VERSIONS),
            instance=secrets.token_bytes(16),
            site=self._name,
            software="double 1",
            gahps=["batch_gahp", "blahpd", "condor_ft-gahp"],
            policy="R:R:AES",
        )
        self.control.greeted()
        await call(commands.Sessions, sessions=[], last=True)

    def _lost(self, reason: Any) -> None:
        sys.exit(f"site {self._name} was lost: {reason.getErrorMessage()}")

    @commands.StartGAHP.responder
    def start(self, session: str, **others: Any) -> dict[str, Any]:
        self._sessions.append(session)
        return {"tunnelPort": 0}

    @commands.EndSession.responder
    def end(self, session: str, reason: str) -> dict[str, Any]:
        self._sessions.remove(session)
        return {}

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        self._carried += _PACE
        news = {"phase": "running", "pid": 4711, "stalled": 0, "channels": 1, "tunnels": 0}
        news |= {"received": self._carried, "sent": self._carried}
        news |= {"tunnelsReceived": 0, "tunnelsSent": 0}
        return {"sessions": [{"session": name, **news} for name in self._sessions]}


class Crowd:
    """
    All of them.
    """

    def __init__(self, reactor: Any, directory: Path, port: int, path: str) -> None:
        self._reactor = reactor
        self._port = port
        self._path = path
        self._authority: Authority = loadAuthority(directory)
        self._ca = (directory / "ca.crt").read_bytes()
        self._key = makeKey()
        self._clients: list[AMP] = []

    def _credentials(self, site: str) -> Credentials:
        now = datetime.now(timezone.utc)
        certificate = self._authority.issueCE(self._key.public_key(), site, now)
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Credentials(certificate.public_bytes(Encoding.PEM), key, self._ca, certificate)

    async def addSite(self, number: int) -> None:
        """
        One more site.
        """
        name = f"site{number}.example.edu"
        double = SiteDouble(self._reactor, name)
        options = clientOptions(self._credentials(name), HOST)
        factory = Factory.forProtocol(lambda: double.control)
        secured = TLSMemoryBIOFactory(options, True, factory, clock=self._reactor)
        await HostnameEndpoint(self._reactor, HOST, self._port).connect(secured)
        await double.greeted

    async def addSession(self, number: int, sites: int) -> None:
        """
        One more session, at one site after the other.
        """
        endpoint = UNIXClientEndpoint(self._reactor, self._path)
        client = await connectProtocol(endpoint, AMP())
        self._clients.append(client)
        await client.callRemote(
            localcommands.RequestGAHP,
            versions=list(limits.PROTOCOL_VERSIONS),
            site=f"site{number % sites}.example.edu",
            gahp="blahpd",
            account="",
            tunnel=False,
            tunnelPort=0,
        )


async def inTurn(count: int, make: Callable[[int], Awaitable[None]]) -> None:
    """
    Make so many, some at a time.
    """
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await make(number)

    done = [Deferred.fromCoroutine(some()) for _ in range(_AT_ONCE)]
    await DeferredList(done, fireOnOneErrback=True, consumeErrors=True)


async def main(reactor: Any, directory: str, port: str, path: str, *counts: str) -> None:
    """
    The program, which lives until it is ended.
    """
    sites, sessions = map(int, counts)
    raiseDescriptorLimit()
    crowd = Crowd(reactor, Path(directory), int(port), path)
    await inTurn(sites, crowd.addSite)
    await inTurn(sessions, lambda number: crowd.addSession(number, sites))
    print(json.dumps({"sites": sites, "sessions": sessions}), flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
