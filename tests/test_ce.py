"""
Tests of L{rvgahp.ce}: real TLS and real GAHPs, on a reactor of the test's own.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from traceback import extract_stack
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs
from twisted.protocols.amp import AmpBox
from zope.interface.verify import verifyObject

from rvgahp import commands, limits, waylimits
from rvgahp.access import Access
from rvgahp.accessrules import parse
from rvgahp.accountnames import ownAccount
from rvgahp.backoff import Backoff
from rvgahp.ce import CE
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.configuration import Configuration
from rvgahp.errors import (
    InternalError,
    NotAuthorized,
    PolicyConflict,
    SessionGone,
    SiteTaken,
    StartFailed,
    UnknownGAHP,
    VersionMismatch,
)
from rvgahp.gahpkinds import FileTransferGAHP
from rvgahp.gahpsession import STOPPED
from rvgahp.gahptable import GAHPTable
from rvgahp.handshakemessages import Dial, takeMessage
from rvgahp.session import SecuritySession
from rvgahp.settings import settingsFrom
from rvgahp.sslmethod import SSLMethod
from rvgahp.tls import serverOptions
from rvgahp.trust import Trust
from tests.authplugin import secretMethod
from tests.identities import (
    SITE,
    authority,
    ceCredentials,
    oddCredentials,
    proxyCredentials,
    written,
)
from tests.pki import revocationList
from tests.privatereactor import ReactorTestCase
from tests.procfs import childrenOf
from tests.proxydouble import HOST, ProxyDouble, ProxyPort
from tests.resolver import Resolver
from tests.sessions import KEY
from tests.test_authentication import Long
from tests.tlspair import TWISTED_WARNINGS

#: Where they would stand.
ACCESS_FILE = "/home/ce/.rvgahp/access"

TICKETS = [bytes([number]) * limits.TICKET_BYTES for number in (201, 202, 203)]

START: dict[str, Any] = {
    "session": "s1",
    "key": KEY,
    "keyNumber": 1,
    "gahp": "cat",
    "account": "",
    "tunnel": False,
    "tunnelPort": 0,
    "owner": "alice@submit.example.org",
    "serverPolicy": "R:R:AES",
    "outcome": "encrypt",
    "method": "AES",
    "duration": 86400,
    "lease": 3000,
    "commands": ["gahp"],
    "tickets": TICKETS,
}


class CETestCase(ReactorTestCase):
    """
    A CE, and a port that it dials.

    @ivar ready: the answers to Hello with which the CE has been accepted.
    @ivar methods: the CE's, of authentication.
    @ivar trust: whose word on the proxy counts for the CE.
    """

    suppress = TWISTED_WARNINGS

    #: The CE's settings.
    settings: dict[str, str] = {}

    #: What it is called at its proxies, by their names.
    sites = {"": SITE}

    #: Its access rules.
    rules = "ALLOW START *"

    def namesOf(self, address: str) -> tuple[str, ...]:
        """
        @return: the names of a host, asked for in a thread.
        """
        return ()

    def setUp(self) -> None:
        """
        Begin with the port.
        """
        super().setUp()
        self.reactor.installNameResolver(Resolver(answersAtOnce=True))
        self.patch(limits, "ORPHAN_GRACE", 0.05)
        self.patch(limits, "CLOSE_TIMEOUT", 0.1)
        self.port = ProxyPort(self.reactor)
        self.ready: list[dict[str, Any]] = []
        self.methods: list[Any] = [SSLMethod()]
        self.trust = Trust(())
        self.ce: CE | None = None

    def tearDown(self) -> None:
        """
        The CE stops, then the port.
        """
        if self.ce is not None and self.ce.running:
            self.stop()
        self.port.close()
        self.until(lambda: not self.reactor.getDelayedCalls())
        super().tearDown()

    def make(self, port: int = 0, credentials: Any = None, **settings: str) -> CE:
        """
        Make a CE.
        """
        given = credentials or ceCredentials()
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        values = {
            **written(given, directory),
            "RVGAHP_BROKER_HOST": HOST,
            "RVGAHP_BROKER_PORT": str(port or self.port.number),
            "RVGAHP_KILL_GRACE": "0.1",
            "FT_GAHP": "/bin/cat",
            "RVGAHP_GAHP_NAMES": "cat, none",
            "RVGAHP_GAHP_CAT": "/bin/cat",
            "RVGAHP_GAHP_NONE": "/no/such/program",
            **self.settings,
            **settings,
        }
        made = settingsFrom("ce", Configuration(None, values))
        ce = self.ce = CE(
            self.reactor,
            made,
            GAHPTable(made, [FileTransferGAHP()]),
            0,
            Access(
                self.reactor,
                parse(self.rules, ACCESS_FILE, "ce"),
                lambda address, seconds: self.namesOf(address),
            ),
        )
        for name, own in made.ofProxies().items():
            ce.serve(
                name,
                own,
                self.sites[name],
                CertificateRenewal(self.reactor, own, given, Random(1)),
                self.trust,
                self.methods,
                lambda served, control, answer: self.ready.append(answer),
            )
        verifyObject(IService, ce)
        return ce

    def start(self, *arguments: Any, **settings: Any) -> CE:
        """
        Make and start a CE.
        """
        ce = self.make(*arguments, **settings)
        ce.startService()
        return ce

    def stop(self) -> None:
        """
        Stop it; nothing of it is left.
        """
        assert self.ce is not None
        self.resultOf(self.ce.stopService())
        self.assertEqual(childrenOf(os.getpid()), [])
        self.assertEqual(self.ce.proxies[0].sessions, {})

    def accepted(self, **settings: str) -> ProxyDouble:
        """
        @return: the proxy's end of a CE that has been accepted.
        """
        self.start(**settings)
        self.until(lambda: self.ready)
        return self.port.proxies[-1]

    def called(self, deferred: Deferred[Any]) -> Any:
        """
        @return: what a call came to: a result, or the error.
        """
        deferred.addErrback(lambda failure: failure.value)
        return self.resultOf(deferred)


class ConnectionTests(CETestCase):
    """
    The control connection.
    """

    def logged(self, deeds: Callable[[], object]) -> str:
        """
        @return: the reasons that were logged meanwhile.
        """
        with capturedLogs() as logs:
            deeds()
        return "\n".join(str(event["reason"]) for event in logs if "reason" in event)

    def test_accepted(self) -> None:
        """
        It says Hello with what it is and has, lists its sessions, and is ready.
        """
        proxy = self.accepted()
        (hello,) = proxy.hellos
        assert self.ce is not None
        self.assertEqual(len(hello.pop("instance")), 16)
        self.assertTrue(hello.pop("software").startswith("rvgahp "))
        self.assertEqual(
            hello,
            {
                "versions": [1],
                "site": SITE,
                "gahps": ["cat", "condor_ft-gahp", "none"],
                "policy": "R:R:AES",
            },
        )
        self.assertEqual(proxy.listed, [([], True)])
        self.assertEqual(self.ready, [self.port.accepted()])

    def test_dialsAgain(self) -> None:
        """
        When the connection ends it dials again, at once at first, as the same instance.
        """
        proxy = self.accepted()
        for count in range(2, 5):
            self.port.proxies[-1].control.abort()
            self.until(lambda: len(self.ready) == count)  # noqa: B023  # called at once
        instances = {proxy.hellos[0]["instance"] for proxy in self.port.proxies}
        self.assertEqual(len(instances), 1)
        self.assertEqual(len(proxy.hellos), 1)

    def test_refused(self) -> None:
        """
        Each refusal is logged, and leads to another dial, later each time.
        """
        ce = self.make()
        delays: list[float] = []

        class Recording(Backoff):
            def delay(self) -> float:
                delays.append(super().delay())
                return 0.001

        ce.proxies[0]._backoff = Recording(Random(1))
        errors = [SiteTaken, NotAuthorized, VersionMismatch, InternalError]
        refusals = [error(f"for reason {number}") for number, error in enumerate(errors)]

        def refuse() -> None:
            raise refusals.pop(0)

        def accept() -> Any:
            return self.port.accepted() if not refusals else refuse()

        self.port.answerHello = accept

        def deeds() -> None:
            ce.startService()
            self.until(lambda: self.ready)

        said = self.logged(deeds)
        for number in range(4):
            self.assertIn(f"for reason {number}", said)
        self.assertIn("for reason 0 (trying again)", said)
        self.assertEqual(delays, sorted(delays))
        self.assertGreater(delays[-1], delays[0])
        names = [error.__name__ for error in errors]
        self.assertEqual(ce.runner.counts.losses, dict.fromkeys(names, 1))
        self.assertEqual(ce.runner.counts.dials, 5)
        self.port.proxies[-1].control.abort()
        self.until(lambda: len(self.ready) == 2)
        self.assertEqual(delays[-1], limits.REDIAL_FIRST)

    def test_acceptedAndDropped(self) -> None:
        """
        A bug in what is done when it is accepted does not make it dial again and again
        without a pause.
        """
        ce = self.make()

        def fail(served: object, control: object, answer: object) -> None:
            self.ready.append({})
            raise ZeroDivisionError

        ce.proxies[0]._ready = fail
        ce.startService()
        self.until(lambda: len(self.ready) == 2)
        self.assertGreater(ce.proxies[0]._backoff.delay(), limits.REDIAL_FIRST)

    def assertNotAccepted(self, reason: str, *arguments: Any, **settings: Any) -> None:
        """
        It is not accepted, for this reason, and dials again.
        """
        count = [0]

        def deeds() -> None:
            ce = self.start(*arguments, **settings)
            dial = ce.proxies[0]._connect

            def connect() -> None:
                count[0] += 1
                dial()

            self.patch(ce.proxies[0], "_connect", connect)
            self.until(lambda: count[0])
            self.spend(0.05)
            self.stop()

        self.assertIn(reason, self.logged(deeds))
        self.assertEqual(self.ready, [])

    def test_nobody(self) -> None:
        """
        Where nobody listens.
        """
        with socket.create_server((HOST, 0)) as closed:
            number = closed.getsockname()[1]
        self.assertNotAccepted("refused", number)

    def test_certificates(self) -> None:
        """
        Where one side's certificate is not the other's authority's.
        """
        self.assertNotAccepted(
            "it does not know the authority (CA) that signed our certificate",
            0,
            ceCredentials(signer="others"),
        )
        self.port.options = serverOptions(proxyCredentials(HOST, signer="others"))
        self.assertNotAccepted("its certificate's authority (CA) is not one that we know")

    def test_anotherHost(self) -> None:
        """
        Where the proxy's certificate is for another host, or for none.
        """
        self.port.options = serverOptions(proxyCredentials("proxy.example.net"))
        self.assertNotAccepted(f"its certificate is not for {HOST}")
        self.port.options = serverOptions(oddCredentials())
        self.assertNotAccepted(f"its certificate is not for {HOST}")
        self.flushLoggedErrors()
        self.assertEqual([proxy.hellos for proxy in self.port.proxies if proxy.hellos], [])

    def test_revoked(self) -> None:
        """
        Where either certificate has been revoked, the CE's log says which.
        """
        ours = authority("ours")
        mine = revocationList(ours, ceCredentials())
        self.port.options = serverOptions(
            proxyCredentials(HOST), Trust([ours.certificate], (), [mine])
        )
        self.assertNotAccepted("our certificate has been revoked, it says")
        self.port.options = serverOptions(proxyCredentials(HOST))
        theirs = revocationList(ours, proxyCredentials(HOST))
        self.trust = Trust((), (), [theirs])
        self.assertNotAccepted(f"the certificate of /CN={HOST} has been revoked")

    def test_authentication(self) -> None:
        """
        Where the proxy refuses, or chooses or says what makes no sense, or says nothing.
        """

        def refuse() -> Any:
            raise NotAuthorized("who are you")

        self.port.answerAuthenticate = refuse
        self.assertNotAccepted("who are you")
        for answer, words in (
            ({"method": "KERBEROS"}, "'KERBEROS', which was not offered"),
            ({"done": False}, "method SSL has no messages"),
            ({"data": b"x", "done": False}, "method SSL has no messages"),
        ):
            wrong = {**self.port.authenticated(), **answer}
            self.port.answerAuthenticate = lambda wrong=wrong: wrong  # type: ignore[misc]  # a default
            self.assertNotAccepted(words)
        self.patch(limits, "DIAL_TIMEOUT", 0.5)
        self.patch(limits, "GREETING_TIMEOUT", 0.1)
        self.port.answerAuthenticate = Deferred
        self.assertNotAccepted("no answer within 0.1 s")
        self.assertEqual([proxy.hellos for proxy in self.port.proxies if proxy.hellos], [])

    def test_rubbishAnswers(self) -> None:
        """
        Where the answer to Authenticate is none, or too large.
        """
        good = {b"method": b"SSL", b"data": b"", b"done": b"True"}
        for wrong in (
            {b"done": b"maybe"},
            {b"method": b"\xff"},
            {b"method": b""},
            {b"data": bytes(17 * 1024)},
        ):
            answer = AmpBox({**good, **wrong})
            self.patch(
                ProxyDouble,
                "locateResponder",
                lambda _, name, answer=answer: lambda box: succeed(answer),
            )
            self.assertNotAccepted("")
        self.assertEqual([proxy.hellos for proxy in self.port.proxies if proxy.hellos], [])

    def test_methods(self) -> None:
        """
        With more methods than SSL, the proxy cannot end one before it is done, nor make it
        endless.
        """
        self.methods = [secretMethod({"ce-1": "s"}), SSLMethod()]
        self.port.answerAuthenticate = lambda: {"method": "SECRET", "data": b"", "done": True}
        self.assertNotAccepted("has not proved that it knows the secret")
        self.port.answerAuthenticate = lambda: {"method": "SECRET", "data": b"x", "done": False}
        self.port.answerMore = lambda: {"data": bytes(32), "done": False}
        self.assertNotAccepted("does not know the secret")
        self.methods = [Long()]
        self.port.answerAuthenticate = lambda: {"method": "LONG", "data": b"x", "done": False}
        self.assertNotAccepted("was not done after 16 messages")
        self.assertEqual([proxy.hellos for proxy in self.port.proxies if proxy.hellos], [])

    def test_waiting(self) -> None:
        """
        Where a method of the CE's own waits for something for ever.
        """
        self.patch(limits, "DIAL_TIMEOUT", 0.3)
        self.patch(limits, "GREETING_TIMEOUT", 0.1)
        cancelled: list[Any] = []
        self.methods = [Long(begin=lambda: Deferred(cancelled.append))]
        self.assertNotAccepted("it did not answer Hello in time")
        self.assertTrue(cancelled)

    def test_dismissed(self) -> None:
        """
        A proxy that closes the connection can say why, in a line that is not too long.
        """
        proxy = self.accepted()

        def dismiss() -> None:
            proxy.call(commands.Dismiss, reason="your certificate ends" + "." * 10000)
            proxy.control.close()
            self.until(lambda: len(self.ready) == 2)

        said = self.logged(dismiss)
        self.assertIn("your certificate ends.", said)
        self.assertLess(len(said), 1000)

    def test_silent(self) -> None:
        """
        Where nobody says anything.
        """
        self.patch(limits, "DIAL_TIMEOUT", 0.4)
        self.patch(limits, "GREETING_TIMEOUT", 0.1)
        with socket.create_server((HOST, 0)) as silent:
            self.assertNotAccepted("did not answer Hello in time", silent.getsockname()[1])

    def test_noAnswer(self) -> None:
        """
        Where Hello is not answered.
        """
        self.patch(limits, "DIAL_TIMEOUT", 0.5)
        self.patch(limits, "GREETING_TIMEOUT", 0.1)
        self.port.answerHello = Deferred
        self.assertNotAccepted("no answer within 0.1 s")

    def test_unresolved(self) -> None:
        """
        A name server that does not answer in time is not waited for for ever.
        """
        self.patch(waylimits, "LOOKUP_TIMEOUT", 0.1)
        self.reactor.installNameResolver(Resolver())
        place = "proxy.example.org:41000"
        self.assertNotAccepted("the resolver gave no answer within 0.1 s", RVGAHP_CONNECT_TO=place)

    def test_stoppedWhileDialling(self) -> None:
        """
        A CE that is stopped in the middle of a dial leaves nothing of it.
        """
        self.reactor.installNameResolver(Resolver())
        self.start(RVGAHP_CONNECT_TO="proxy.example.org:41000")
        self.turn()
        self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stoppedWhileWaiting(self) -> None:
        """
        Nor does one that waits for the next dial.
        """
        with socket.create_server((HOST, 0)) as closed:
            number = closed.getsockname()[1]
        ce = self.start(number)
        self.until(lambda: ce.proxies[0]._backoff._failures > 1)
        self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_relay(self) -> None:
        """
        It dials the relay that it is told of, and expects the proxy's certificate there.
        """
        self.accepted(RVGAHP_BROKER_PORT="1", RVGAHP_CONNECT_TO=f"{HOST}:{self.port.number}")


class StartTests(CETestCase):
    """
    Starting GAHPs.
    """

    def startGAHP(self, proxy: ProxyDouble, **changes: Any) -> Any:
        """
        @return: what StartGAHP came to.
        """
        return self.called(proxy.call(commands.StartGAHP, **{**START, **changes}))

    def test_started(self) -> None:
        """
        A GAHP runs when that is answered, its channel is dialled with a ticket, and the
        log has who asked for it and no secret.
        """
        with capturedLogs() as logs:
            proxy = self.accepted()
            self.assertEqual(self.startGAHP(proxy), {"tunnelPort": 0})
            (launcher,) = childrenOf(os.getpid())
            self.assertEqual(len(childrenOf(launcher)), 1)
            self.until(lambda: self.port.channels)
            self.assertEqual(self.port.channels[0][0], TICKETS[0])
            self.stop()
        self.assertIn(START["owner"], [event.get("owner") for event in logs])
        for secret in (KEY, *TICKETS):
            self.assertNotIn(repr(secret)[2:-1], repr(logs))

    def test_account(self) -> None:
        """
        The CE's own account may be asked for.
        """
        proxy = self.accepted()
        self.assertEqual(self.startGAHP(proxy, account=ownAccount()), {"tunnelPort": 0})

    def test_notAllowed(self) -> None:
        """
        Whom no rule lets is refused in a sentence that names the file to be changed, and
        nothing runs; others are started for by the rule that the log has.
        """
        own = ownAccount()
        self.rules = f"ALLOW START gahp=cat account={own} bob@x.org\nDENY START eve@x.org *@y"
        proxy = self.accepted()
        for owner, gahp, words in (
            ("alice@x.org", "cat", f"alice@x.org may not start cat as account {own}: no rule of"),
            ("bob@x.org", "none", "no rule of"),
            ("eve@x.org", "cat", f"{ACCESS_FILE}:2 denies it"),
            ("bob", "cat", "no canonical name"),
            ("\x1b[1m\n", "cat", "'\\x1b[1m\\n' may not"),
        ):
            with capturedLogs() as logs:
                refusal = self.startGAHP(proxy, owner=owner, gahp=gahp)
            self.assertIsInstance(refusal, NotAuthorized)
            for word in (words, f"can change {ACCESS_FILE} there"):
                self.assertIn(word, str(refusal))
            self.assertIn(str(refusal), [event.get("what") for event in logs])
        assert self.ce is not None
        self.assertEqual(self.ce.proxies[0].sessions, {})
        with capturedLogs() as logs:
            self.assertEqual(self.startGAHP(proxy, owner="bob@x.org"), {"tunnelPort": 0})
        (rule,) = (event["rule"] for event in logs if "owner" in event)
        self.assertTrue(rule.startswith(f"{ACCESS_FILE}:1: ALLOW START"), rule)

    def test_addressOfTheProxy(self) -> None:
        """
        Where the proxy dials from counts.
        """
        self.rules = "ALLOW START */192.0.2.1\nALLOW START gahp=cat */127.0.0.1"
        proxy = self.accepted()
        self.assertEqual(self.startGAHP(proxy), {"tunnelPort": 0})
        self.assertIsInstance(self.startGAHP(proxy, gahp="none"), NotAuthorized)

    def test_namesOfTheProxy(self) -> None:
        """
        So does its name, which is looked up where a rule has one; a CE that is stopped meanwhile
        starts nothing.
        """
        self.rules = "ALLOW START proxy.x.org"
        asked: list[str] = []
        go = threading.Event()
        self.addCleanup(go.set)

        def namesOf(address: str) -> tuple[str, ...]:
            asked.append(address)
            go.wait(30)
            return ("proxy.x.org",)

        self.namesOf = namesOf  # type: ignore[method-assign]  # for this test
        pool = self.reactor.getThreadPool()  # it is started by a reactor that runs
        pool.start()
        self.addCleanup(pool.stop)
        proxy = self.accepted()
        starting = proxy.call(commands.StartGAHP, **START)
        self.until(lambda: asked)
        assert self.ce is not None
        self.assertEqual(self.ce.proxies[0].sessions, {})
        go.set()
        self.assertEqual(self.called(starting), {"tunnelPort": 0})
        self.assertEqual(asked, [HOST])

    def test_stoppedWhileAsked(self) -> None:
        """
        A CE that is stopped while the proxy's name is looked up starts nothing.
        """
        self.accepted()
        assert self.ce is not None
        here = self.ce.proxies[0].here
        here.refuseStarts()
        refusal = self.called(here.start(HOST, **START))
        self.assertIsInstance(refusal, StartFailed)
        self.assertIn("is being stopped", str(refusal))
        self.assertEqual(self.ce.proxies[0].sessions, {})

    def test_refusals(self) -> None:
        """
        What cannot be started is refused with its error and a sentence, and nothing runs.
        """
        proxy = self.accepted()
        for changes, error, words in (
            ({"gahp": "emacs"}, UnknownGAHP, "cat, condor_ft-gahp, none"),
            ({"gahp": "none"}, StartFailed, "/no/such/program"),
            ({"account": "else"}, NotAuthorized, f"'else' was asked for, and rvgahp-ce at {SITE}"),
            ({"serverPolicy": "N:N:AES"}, PolicyConflict, "SEC_DEFAULT_ENCRYPTION"),
            ({"serverPolicy": "R:R:BLOWFISH"}, PolicyConflict, "SEC_DEFAULT_CRYPTO_METHODS"),
            ({"outcome": "none", "method": ""}, PolicyConflict, "'encrypt' here and 'none'"),
            ({"serverPolicy": "nonsense"}, InternalError, ""),
            ({"key": b"short"}, InternalError, "32 bytes"),
            ({"session": "x" * 200}, InternalError, "128"),
        ):
            result = self.startGAHP(proxy, **changes)
            self.assertIsInstance(result, error, changes)
            self.assertIn(words, str(result))
        assert self.ce is not None
        self.assertEqual(self.ce.proxies[0].sessions, {})
        self.assertEqual(self.port.channels, [])

    def test_twice(self) -> None:
        """
        A session is started once.
        """
        proxy = self.accepted()
        self.startGAHP(proxy)
        self.assertIsInstance(self.startGAHP(proxy), StartFailed)

    def test_noDescriptors(self) -> None:
        """
        A CE without descriptors refuses that start, and goes on.
        """
        proxy = self.accepted()
        make = socket.socketpair

        def refuse(*arguments: Any) -> None:
            raise OSError(24, "Too many open files")

        self.patch(socket, "socketpair", refuse)
        result = self.startGAHP(proxy)
        self.assertIsInstance(result, StartFailed)
        self.assertIn("descriptors", str(result))
        self.patch(socket, "socketpair", make)
        self.assertEqual(self.startGAHP(proxy), {"tunnelPort": 0})

    def test_ended(self) -> None:
        """
        A session that the proxy ends is ended, and the proxy is told when that is so; one
        that is not known is no matter.
        """
        proxy = self.accepted()
        self.startGAHP(proxy)
        self.assertEqual(
            self.called(proxy.call(commands.EndSession, session="s1", reason="enough")), {}
        )
        self.called(proxy.call(commands.EndSession, session="s2", reason="enough"))
        assert self.ce is not None
        ce = self.ce
        self.until(lambda: not ce.proxies[0].sessions)
        self.until(lambda: proxy.ended)
        self.assertEqual(proxy.ended, [("s1", "enough")])

    def test_over(self) -> None:
        """
        The proxy is told of a session that has ended here, and why.
        """
        self.patch(limits, "FIRST_DIALS_TIMEOUT", 0.05)
        proxy = self.accepted()
        self.startGAHP(proxy)
        while not proxy.ended:
            self.until(lambda: self.port.channels or proxy.ended)
            for _, connection in self.port.channels:
                connection.close()
            self.port.channels.clear()
        ((name, reason),) = proxy.ended
        self.assertEqual(name, "s1")
        self.assertIn("could not open a channel", reason)

    def test_stopped(self) -> None:
        """
        When it is stopped the proxy is told of each session, once; their channels are
        closed after that, and nobody is warned.
        """
        proxy = self.accepted()
        for name in ("s1", "s2"):
            self.startGAHP(proxy, session=name)
        self.until(lambda: len(self.port.channels) == 2)
        answers: list[Deferred[dict[str, Any]]] = [Deferred(), Deferred()]
        self.port.answerEnded = iter(answers).__next__
        assert self.ce is not None
        with capturedLogs() as logs:
            stopped = self.ce.stopService()
            self.until(lambda: len(proxy.ended) == 2)
            self.assertEqual(dict(proxy.ended), {"s1": STOPPED, "s2": STOPPED})
            for _, connection in self.port.channels:
                connection.setblocking(False)
                connection.recv(10000)  # what it has dialled with
                self.assertRaises(BlockingIOError, connection.recv, 1)
            for answer in answers:
                answer.callback({})
            self.resultOf(stopped)
        for _, connection in self.port.channels:
            self.assertEqual(connection.recv(1), b"")
        self.assertEqual(len(proxy.ended), 2)
        self.assertEqual({event["log_level"].name for event in logs}, {"info"})

    def test_stoppedLater(self) -> None:
        """
        It has not been stopped before what is read of the proxy just now has been: the reactor,
        which may end then, ends the connection.
        """
        proxy = self.accepted()
        self.startGAHP(proxy)
        (launcher,) = childrenOf(os.getpid())
        assert self.ce is not None
        stopped = self.ce.stopService()
        os.kill(launcher, signal.SIGKILL)  # so that nothing else is waited for
        frames: list[str] = []
        stopped.addCallback(lambda _: frames.extend(one.name for one in extract_stack()))
        self.until(lambda: frames)
        self.assertNotIn("dataReceived", frames)
        self.assertEqual(len(proxy.ended), 1)

    def test_stoppedUnheard(self) -> None:
        """
        A proxy that does not answer is not waited for for long.
        """
        proxy = self.accepted()
        self.startGAHP(proxy)
        self.port.answerEnded = Deferred
        began = self.reactor.seconds()
        self.stop()
        self.assertEqual(proxy.ended, [("s1", STOPPED)])
        self.assertGreaterEqual(self.reactor.seconds() - began, limits.CLOSE_TIMEOUT)

    def test_listed(self) -> None:
        """
        After a break its sessions live, and are listed, so many in each call; those that
        are gone are ended.
        """
        self.patch(limits, "SESSIONS_PER_CALL", 2)
        proxy = self.accepted()
        names = [f"s{number}" for number in range(5)]
        for name in names:
            self.startGAHP(proxy, session=name, account=ownAccount() if name == "s1" else "")
        self.port.gone = {"s1", "s4"}
        proxy.control.abort()
        self.until(lambda: len(self.ready) == 2)
        proxy = self.port.proxies[-1]
        self.assertEqual(
            proxy.listed, [(["s0", "s1"], False), (["s2", "s3"], False), (["s4"], True)]
        )
        self.assertEqual({owner for owner, _ in proxy.whose}, {START["owner"]})
        self.assertEqual([account for _, account in proxy.whose], ["", ownAccount(), "", "", ""])
        ce = self.ce
        assert ce is not None
        self.until(lambda: set(ce.proxies[0].sessions) == {"s0", "s2", "s3"})

    def test_lostWhileStarting(self) -> None:
        """
        A start whose proxy goes away meanwhile harms nothing.
        """
        proxy = self.accepted()
        starting = proxy.call(commands.StartGAHP, **START)
        proxy.control.abort()
        self.called(starting)
        self.until(lambda: len(self.ready) == 2)

    def test_stop(self) -> None:
        """
        A CE that stops ends its GAHPs, also one that is just being started.
        """
        proxy = self.accepted()
        self.startGAHP(proxy)
        starting = proxy.call(commands.StartGAHP, **{**START, "session": "s2"})
        self.turn()
        self.stop()
        self.called(starting)


class RenewalTests(CETestCase):
    """
    Keys that come while a GAHP runs.
    """

    NEW_KEY = bytes(range(100, 132))

    def renew(self, proxy: ProxyDouble, **changes: Any) -> Any:
        """
        @return: what RenewKey came to.
        """
        values = {"session": "s1", "key": self.NEW_KEY, "keyNumber": 2, "duration": 86400}
        return self.called(proxy.call(commands.RenewKey, **{**values, **changes}))

    def started(self, **changes: Any) -> ProxyDouble:
        """
        @return: the proxy's end of a CE at which a GAHP runs.
        """
        proxy = self.accepted()
        start = proxy.call(commands.StartGAHP, **{**START, **changes})
        self.assertEqual(self.called(start), {"tunnelPort": 0})
        return proxy

    def nextDial(self) -> Dial:
        """
        @return: what the CE says first on the next channel, which then ends.
        """
        self.until(lambda: self.port.channels)
        _, connection = self.port.channels.pop()
        data = b""
        while takeMessage(data)[0] is None:
            data += self.until(lambda: self._read(connection))
        connection.close()
        body, _ = takeMessage(data)
        assert body is not None
        return Dial(body)

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        try:
            return connection.recv(4096)
        except BlockingIOError:
            return b""

    def present(self) -> SecuritySession:
        """
        @return: the session with its present key.
        """
        assert self.ce is not None
        return self.ce.proxies[0].sessions["s1"].keys.present

    def test_renewed(self) -> None:
        """
        The next channel has the new key; the log has its number and nothing of it.
        """
        with capturedLogs() as logs:
            proxy = self.started()
            self.assertEqual(self.nextDial().keyNumber, 1)
            self.assertEqual(self.renew(proxy), {})
            dial = self.nextDial()
            self.stop()
        self.assertEqual(dial.keyNumber, 2)
        self.assertIn(2, [event.get("keyNumber") for event in logs])
        self.assertNotIn(repr(self.NEW_KEY)[2:-1], repr(logs))

    def test_proven(self) -> None:
        """
        That channel is proven by the new key, and by no other.
        """
        proxy = self.started()
        self.nextDial()
        self.renew(proxy)
        dial, new = self.nextDial(), self.present()
        self.assertTrue(dial.verify(new))
        self.assertFalse(dial.verify(new.renewed(KEY, 1)))

    def test_again(self) -> None:
        """
        A key that comes again, because the answer was lost, is answered again.
        """
        proxy = self.started()
        self.assertEqual([self.renew(proxy), self.renew(proxy)], [{}, {}])
        self.assertEqual(self.present().keyNumber, 2)

    def test_claim(self) -> None:
        """
        What it lists of a session with a new key is the claim key of the first.
        """
        proxy = self.started()
        claimKey = self.present().claimKey()
        self.renew(proxy)
        proxy.control.abort()
        self.until(lambda: len(self.ready) == 2)
        self.assertEqual(self.port.proxies[-1].claims, [claimKey])
        self.assertNotEqual(self.present().claimKey(), claimKey)

    def test_impossible(self) -> None:
        """
        What is no next key of a session here is refused and changes nothing; the
        connection lives.
        """
        proxy = self.started()
        for changes, error in (
            ({"session": "s2"}, SessionGone),
            ({"session": "x" * 65000}, SessionGone),
            ({"session": ""}, SessionGone),
            ({"key": self.NEW_KEY[:31]}, InternalError),
            ({"key": self.NEW_KEY * 2000}, InternalError),
            ({"key": b""}, InternalError),
            ({"keyNumber": 1}, InternalError),
            ({"keyNumber": 3}, InternalError),
            ({"keyNumber": -1}, InternalError),
            ({"keyNumber": 65538}, InternalError),
            ({"keyNumber": 10**4000}, InternalError),
            ({"duration": 0}, InternalError),
            ({"duration": -5}, InternalError),
            ({"duration": 2**31}, InternalError),
            ({"duration": 10**4000}, InternalError),
        ):
            with capturedLogs() as logs:
                result = self.renew(proxy, **changes)
            self.assertIsInstance(result, error, changes)
            self.assertNotIn(repr(self.NEW_KEY)[10:20], f"{result} {logs!r}")
            self.assertEqual((self.present().key, self.present().keyNumber), (KEY, 1))
        self.assertEqual(self.renew(proxy), {})
        self.assertEqual(len(self.port.proxies), 1)

    def test_policy(self) -> None:
        """
        If the proxy's policy of today and ours give another result than the session has,
        the key is refused, and both ends' logs can say why.
        """
        proxy = self.started()
        self.port.answerHello = lambda: {**self.port.accepted(), "policy": "R:R:BLOWFISH,AES"}
        proxy.control.abort()
        self.until(lambda: len(self.ready) == 2)
        self.assertEqual(self.renew(self.port.proxies[-1]), {})
        self.port.answerHello = lambda: {**self.port.accepted(), "policy": "N:N:AES"}
        self.port.proxies[-1].control.abort()
        self.until(lambda: len(self.ready) == 3)
        with capturedLogs() as logs:
            result = self.renew(self.port.proxies[-1], keyNumber=3)
        self.assertIsInstance(result, PolicyConflict)
        self.assertIn(str(result), [str(event.get("reason")) for event in logs])
        self.assertEqual(self.present().keyNumber, 2)

    def test_badPolicy(self) -> None:
        """
        A proxy whose answer to Hello has no policy that can be read is not used.
        """
        self.port.answerHello = lambda: {**self.port.accepted(), "policy": "nonsense"}
        with capturedLogs() as logs:
            self.start()
            self.until(lambda: len(self.port.proxies) == 2)
        self.assertEqual(self.ready, [])
        self.assertIn("nonsense", "".join(str(event.get("reason")) for event in logs))

    def test_over(self) -> None:
        """
        With a key whose duration is over no channel is dialled; the reason is told when
        there is no ticket left.
        """
        with capturedLogs() as logs:
            proxy = self.started(duration=1)
            self.nextDial()
            assert self.ce is not None
            keys = self.ce.proxies[0].sessions["s1"].keys
            now = self.reactor.seconds
            self.patch(self.reactor, "seconds", lambda: now() + 2)
            self.assertNotEqual(keys.objection(keys.present, self.reactor.seconds()), "")
            self.until(lambda: proxy.ended)
        ((_, reason),) = proxy.ended
        self.assertIn("key 1 of the session was good for 1 s, which are over", reason)
        for _, connection in self.port.channels:
            self.assertEqual(connection.recv(100), b"")
        self.assertNotIn(repr(KEY)[2:-1], repr(logs))


class PolicyTests(CETestCase):
    """
    A CE that does not ask for protection.
    """

    settings = {
        "RVGAHP.SEC_DEFAULT_ENCRYPTION": "OPTIONAL",
        "RVGAHP.SEC_DEFAULT_INTEGRITY": "OPTIONAL",
    }

    bare = {"serverPolicy": "O:O:AES", "outcome": "none", "method": ""}

    def startGAHP(self, proxy: ProxyDouble, **changes: Any) -> Any:
        """
        @return: what StartGAHP came to.
        """
        return self.called(proxy.call(commands.StartGAHP, **{**START, **self.bare, **changes}))

    def test_cleartext(self) -> None:
        """
        Without protection a GAHP is only started for proxies that are named.
        """
        result = self.startGAHP(self.accepted())
        self.assertIsInstance(result, PolicyConflict)
        self.assertIn(f"does not name {HOST}", str(result))

    def test_cleartextPeer(self) -> None:
        """
        For those it is.
        """
        proxy = self.accepted(RVGAHP_CLEARTEXT_PEERS="127.0.0.0/8")
        self.assertEqual(self.startGAHP(proxy), {"tunnelPort": 0})

    def test_confidential(self) -> None:
        """
        condor_ft-gahp never is, whatever the proxy allows.
        """
        proxy = self.accepted(RVGAHP_CLEARTEXT_PEERS="127.0.0.0/8")
        result = self.startGAHP(proxy, gahp="condor_ft-gahp")
        self.assertIsInstance(result, PolicyConflict)
        self.assertIn("only started where channels are encrypted", str(result))


class TunnelTests(CETestCase):
    """
    GAHPs with tunnels.
    """

    def startGAHP(self, proxy: ProxyDouble, **changes: Any) -> Any:
        """
        @return: what StartGAHP came to.
        """
        wished = {"tunnel": True, "commands": ["gahp", "tunnel"]}
        return self.called(proxy.call(commands.StartGAHP, **{**START, **wished, **changes}))

    def connect(self, number: int) -> socket.socket:
        """
        @return: a connection to the port.
        """
        connection = socket.create_connection(("127.0.0.1", number))
        self.addCleanup(connection.close)
        return connection

    def assertRefused(self, number: int) -> None:
        """
        Nobody listens there.
        """
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", number))

    def test_port(self) -> None:
        """
        The answer has a port that listens; for each connection the CE asks for a ticket and
        dials with that.  With the GAHP the port is closed.
        """
        proxy = self.accepted()
        number = self.startGAHP(proxy)["tunnelPort"]
        self.until(lambda: self.port.channels)
        self.port.channels.pop()[1].close()
        for stream in (1, 2):
            self.connect(number)
            self.until(lambda: self.port.channels)
            ticket, connection = self.port.channels.pop()
            self.assertEqual(ticket, bytes((stream,)) * 16)
            connection.close()
        self.assertEqual(set(proxy.opened), {("s1", 1), ("s1", 2)})
        assert self.ce is not None
        ce = self.ce
        self.called(proxy.call(commands.EndSession, session="s1", reason="enough"))
        self.until(lambda: not ce.proxies[0].sessions)
        self.assertRefused(number)

    def test_wished(self) -> None:
        """
        A port that is wished for is had, or the start is refused and nothing runs.
        """
        proxy = self.accepted()
        number = self.startGAHP(proxy)["tunnelPort"]
        refused = self.startGAHP(proxy, session="s2", tunnelPort=number)
        self.assertIsInstance(refused, StartFailed)
        self.assertIn(f"port {number}, which its gridmanager knows", str(refused))
        assert self.ce is not None
        ce = self.ce
        self.assertEqual(list(ce.proxies[0].sessions), ["s1"])
        self.called(proxy.call(commands.EndSession, session="s1", reason="enough"))
        self.until(lambda: not ce.proxies[0].sessions)
        again = self.startGAHP(proxy, session="s2", tunnelPort=number)
        self.assertEqual(again, {"tunnelPort": number})

    def test_withoutLeave(self) -> None:
        """
        Without the proxy's leave there is no tunnel, and no GAHP.
        """
        proxy = self.accepted()
        refused = self.startGAHP(proxy, commands=["gahp"])
        self.assertIsInstance(refused, NotAuthorized)
        assert self.ce is not None
        self.assertEqual(self.ce.proxies[0].sessions, {})

    def test_notEncrypted(self) -> None:
        """
        Nor is there one whose channels others can read.
        """
        proxy = self.accepted(**{"RVGAHP.SEC_DEFAULT_ENCRYPTION": "OPTIONAL"})
        policy = {"serverPolicy": "N:R:AES", "outcome": "integrity"}
        refused = self.startGAHP(proxy, **policy)
        self.assertIsInstance(refused, NotAuthorized)
        self.assertIn("encrypted", str(refused))
        self.assertEqual(
            self.startGAHP(proxy, **policy, tunnel=False, commands=["gahp"]), {"tunnelPort": 0}
        )

    def test_notStarted(self) -> None:
        """
        A GAHP that cannot be started leaves no port.
        """
        proxy = self.accepted()
        with socket.create_server(("127.0.0.1", 0)) as free:
            number = free.getsockname()[1]
        refused = self.startGAHP(proxy, gahp="none", tunnelPort=number)
        self.assertIsInstance(refused, StartFailed)
        self.assertIn("/no/such/program", str(refused))
        self.assertRefused(number)

    def test_noDescriptors(self) -> None:
        """
        Neither does one for which there are no descriptors.
        """
        proxy = self.accepted()
        with socket.create_server(("127.0.0.1", 0)) as free:
            number = free.getsockname()[1]

        def refuse(*arguments: Any) -> None:
            raise OSError(24, "Too many open files")

        self.patch(socket, "socketpair", refuse)
        self.assertIsInstance(self.startGAHP(proxy, tunnelPort=number), StartFailed)
        self.assertRefused(number)

    def test_withoutProxy(self) -> None:
        """
        A connection that is made while the proxy is not there gets its channel when it is
        there again.
        """
        proxy = self.accepted()
        number = self.startGAHP(proxy)["tunnelPort"]
        self.until(lambda: self.port.channels)
        proxy.control.abort()
        self.until(lambda: proxy.reason)
        self.connect(number)
        self.until(lambda: len(self.port.channels) > 1)
        self.assertEqual(self.port.channels[1][0], bytes((1,)) * 16)
        self.assertEqual(proxy.opened, [])
