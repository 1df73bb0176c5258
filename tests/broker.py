"""
A proxy on a clock of its own: its CEs come over TLS in memory, its clients over real
UNIX sockets.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import accessrules, commands, localclients
from rvgahp.accessrules import PROXY
from rvgahp.authentication import Authenticator
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.configuration import Configuration
from rvgahp.control import ControlConnection, Responders
from rvgahp.description import Describer
from rvgahp.gate import WaitingRoom
from rvgahp.localclients import Clients
from rvgahp.localnames import LocalNames
from rvgahp.peercred import LocalUser
from rvgahp.proxy import Proxy
from rvgahp.proxyaccess import ProxyAccess
from rvgahp.settings import settingsFrom
from rvgahp.siteconnection import SiteConnection
from rvgahp.sslmethod import SSLMethod
from rvgahp.tls import clientOptions
from tests.identities import HOST, SITE, ceCredentials
from tests.localclient import LocalClient
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair
from tests.tlspair import TWISTED_WARNINGS, TLSPair

POLICY = "R:R:AES"

#: The domain of this host's users.
DOMAIN = "submit.example.org"

#: The proxy's access file.
ACCESS_FILE = "/etc/rvgahp/access"

#: The canonical name of the one who runs the tests.
OWNER = f"{pwd.getpwuid(os.getuid()).pw_name}@{DOMAIN}"


def entryOf(session: str, **changes: Any) -> dict[str, Any]:
    """
    @return: what a CE lists of a session.
    """
    entry = {
        "session": session,
        "claim": bytes(32),
        "owner": OWNER,
        "gahp": "blahpd",
        "tunnel": False,
        "keyNumber": 1,
        "left": 86400,
        "outcome": "encrypt",
        "method": "AES",
        "account": "",
    }
    return {**entry, **changes}


class CEDouble(Responders):
    """
    A CE that says and answers what a test wants.

    @ivar starts: the arguments of each StartGAHP.
    @ivar ends: session and reason of each EndSession.
    @ivar dismissals: why its connection was to be closed.
    @ivar answer: makes the answer to StartGAHP.
    @ivar renewals: the arguments of each RenewKey.
    @ivar answerRenewal: makes the answer to RenewKey.
    @ivar redials: the arguments of each Redial.
    @ivar answerRedial: makes the answer to Redial.
    @ivar probes: the arguments of each DialTunnel.
    @ivar answerProbe: makes the answer to DialTunnel.
    @ivar answersPings: whether it seems alive.
    @ivar news: of its sessions, for its answers to pings.
    @ivar answersEnds: whether it answers EndSession.
    @ivar reason: why its connection ended, once it has.
    """

    def __init__(self, clock: Any, site: str, instance: bytes) -> None:
        self.site = site
        self.instance = instance
        self.starts: list[dict[str, Any]] = []
        self.ends: list[tuple[str, str]] = []
        self.dismissals: list[str] = []
        self.answer: Callable[[], Any] = lambda: {"tunnelPort": 0}
        self.renewals: list[dict[str, Any]] = []
        self.answerRenewal: Callable[[], Any] = dict
        self.redials: list[dict[str, Any]] = []
        self.answerRedial: Callable[[], Any] = dict
        self.probes: list[dict[str, Any]] = []
        self.answerProbe: Callable[[], Any] = lambda: {"answer": b"", "problem": ""}
        self.answersPings = True
        self.news: list[dict[str, Any]] | None = None
        self.answersEnds = True
        self.reason: Failure | None = None
        self.control = ControlConnection(clock, self, lambda _: None, self._lost)

    def _lost(self, reason: Failure) -> None:
        self.reason = reason

    def call(self, command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        Call the proxy.
        """
        return self.control.caller.call(command, **arguments)

    def authenticate(self, *methods: str, data: bytes = b"") -> Deferred[dict[str, Any]]:
        """
        Say who we are; by default by our certificate.
        """
        return self.call(commands.Authenticate, methods=methods or ("SSL",), data=data)

    def hello(self, **changes: Any) -> Deferred[dict[str, Any]]:
        """
        Say Hello.
        """
        arguments = {
            "versions": [1],
            "instance": self.instance,
            "site": self.site,
            "software": "double 1",
            "gahps": ["blahpd"],
            "policy": POLICY,
        }
        return self.call(commands.Hello, **{**arguments, **changes})

    def list(self, *sessions: str, last: bool = True) -> Deferred[dict[str, Any]]:
        """
        List sessions.
        """
        return self.listEntries([entryOf(name) for name in sessions], last)

    def listEntries(
        self, entries: Sequence[dict[str, Any]], last: bool = True
    ) -> Deferred[dict[str, Any]]:
        """
        List sessions of which more than their names counts.
        """
        return self.call(commands.Sessions, sessions=[*entries], last=last)

    @commands.StartGAHP.responder
    def start(self, **arguments: Any) -> Any:
        self.starts.append(arguments)
        return self.answer()

    @commands.EndSession.responder
    def end(self, session: str, reason: str) -> Any:
        self.ends.append((session, reason))
        return {} if self.answersEnds else Deferred()

    @commands.RenewKey.responder
    def renew(self, **arguments: Any) -> Any:
        self.renewals.append(arguments)
        return self.answerRenewal()

    @commands.Redial.responder
    def redial(self, **arguments: Any) -> Any:
        self.redials.append(arguments)
        return self.answerRedial()

    @commands.DialTunnel.responder
    def dialTunnel(self, **arguments: Any) -> Any:
        self.probes.append(arguments)
        return self.answerProbe()

    @commands.Dismiss.responder
    def dismiss(self, reason: str) -> Any:
        self.dismissals.append(reason)
        return {}

    @commands.Ping.responder
    def ping(self) -> Any:
        return {"sessions": self.news} if self.answersPings else Deferred()


class BrokerTestCase(SynchronousTestCase):
    """
    A proxy, with as many CEs and clients as a test wants.  When all of them have gone,
    nothing may be left of them.
    """

    suppress = TWISTED_WARNINGS

    #: The proxy's settings.
    settings: dict[str, str] = {}

    #: Its access rules.  Without any, those who are built in may do all: the CEs, and the one
    #: who runs the tests.
    rules = ""

    def setUp(self) -> None:
        """
        Start the proxy.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        settings = settingsFrom("proxy", Configuration(None, self.settings))
        rules = accessrules.parse(self.rules, ACCESS_FILE, PROXY)
        self.access = ProxyAccess(self.loop, rules, LocalNames(DOMAIN))
        self.proxy = Proxy(self.loop, settings, self.access)
        self.room = WaitingRoom(100, 100)
        self.authenticator = Authenticator([SSLMethod()], CanonicalNames(None, "example.org"))
        self.clients = Clients(
            self.loop,
            self.proxy.watch.requestGAHP,
            100,
            Describer(self.proxy),
            self.proxy.claims,
            self.proxy.watch.warnings,
        )
        self.local: list[LocalClient] = []
        self.pairs: list[TLSPair] = []
        self.kept: list[socket.socket] = []

    def tearDown(self) -> None:
        """
        All go.
        """
        for client in self.local:
            client.close()
        for kept in self.kept:
            kept.close()
        self.settle()
        for site in list(self.proxy.sites.values()):
            site.control.close()
        self.room.clear()
        self.settle()
        self.proxy.watch.close()
        self.assertEqual((self.proxy.sites, self.proxy.sessions), ({}, {}))
        self.assertEqual((len(self.clients), len(self.room)), (0, 0))
        self.assertEqual(descriptorCount(), self.before)
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(self.loop.getDelayedCalls(), [])

    # -- time ---------------------------------------------------------------

    def settle(self) -> None:
        """
        Let all say what they have to say now.
        """
        while any(pair.flush() for pair in self.pairs) or self.loop.turn():
            pass

    def spend(self, seconds: float) -> None:
        """
        Let time pass.
        """
        end = self.loop.seconds() + seconds
        self.settle()
        while self.loop.nextCall() <= end:
            self.loop.advance(self.loop.nextCall() - self.loop.seconds())
            self.settle()
        self.loop.advance(max(0.0, end - self.loop.seconds()))
        self.settle()

    # -- who comes ----------------------------------------------------------

    def become(self, name: str, uid: int = 4242) -> None:
        """
        From now on the kernel says of clients that they are this user.
        """
        self.patch(localclients, "peerOf", lambda connection: LocalUser(uid, name, os.getpid()))

    def obey(self, rules: str) -> None:
        """
        The proxy's access file is read again, and has these rules.
        """
        self.access.rules = accessrules.parse(rules, ACCESS_FILE, PROXY)

    def dialCE(
        self,
        site: str = SITE,
        instance: bytes = b"i" * 16,
        options: Any = None,
        proxyOptions: Any = None,
        authenticates: bool = True,
    ) -> tuple[CEDouble, SiteConnection]:
        """
        @return: a CE that has dialled, and said nothing yet but who it is, and the proxy's end.
        """
        ce = CEDouble(self.loop, site, instance)
        connection = SiteConnection(self.proxy, "192.0.2.7", self.room, self.authenticator)
        options = options or clientOptions(ceCredentials(site), HOST)
        pair = TLSPair(connection.control, ce.control, self.loop, proxyOptions, options)
        self.pairs.append(pair)
        self.settle()
        if authenticates:
            ce.authenticate().addErrback(lambda _: None)
            self.settle()
        return ce, connection

    def readyCE(self, *sessions: str, **dial: Any) -> CEDouble:
        """
        @param sessions: what it lists.
        @return: a CE that takes starts.
        """
        ce, _ = self.dialCE(**dial)
        ce.hello()
        self.settle()
        self.successResultOf(ce.list(*sessions))
        return ce

    def successResultOf(self, deferred: Any) -> Any:
        """
        As ever, after things have settled.
        """
        self.settle()
        return super().successResultOf(deferred)

    def failureResultOf(self, deferred: Any, *errors: Any) -> Any:
        """
        As ever, after things have settled.
        """
        self.settle()
        return super().failureResultOf(deferred, *errors)

    def client(self, site: str = "") -> LocalClient:
        """
        @param site: the site that the socket is for; empty: for all.
        @return: a client that has connected.
        """
        ours, theirs = socketPair()
        self.clients.arrived(ours, site)
        client = LocalClient(theirs)
        self.local.append(client)
        return client

    def ask(self, **changes: Any) -> LocalClient:
        """
        @return: a client that has asked for a GAHP; what was to be said has been said.
        """
        client = self.client()
        client.request(**changes)
        self.settle()
        client.read()
        return client

    def admit(self, ticket: bytes, token: bytes = b"token") -> tuple[bool, socket.socket]:
        """
        The CE dials a channel.

        @return: whether it was let in, and the CE's end, on which C{token} was sent.
        """
        kept, shown = socket.socketpair()
        kept.settimeout(5)
        kept.sendall(token)
        self.kept.append(kept)
        good = self.proxy.admit(ticket, shown)
        if not good:
            shown.close()
        self.settle()
        return good, kept
