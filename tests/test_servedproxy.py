"""
Tests of L{rvgahp.servedproxy}: a CE with two proxies, neither of which can touch what is the
other's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from rvgahp import commands, limits, watchlimits
from rvgahp.attention import sentences
from rvgahp.cereload import CEReload
from rvgahp.cestatus import CEStatus
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, NotAuthorized, SessionGone
from rvgahp.gahpsession import STOPPED
from rvgahp.peercred import LocalUser
from rvgahp.servedproxies import Served, Unusable
from rvgahp.settings import settingsFrom
from rvgahp.sslmethod import SSLMethod
from rvgahp.tls import serverOptions
from rvgahp.viewer import Viewer
from tests.identities import SITE, ceCredentials, proxyCredentials, written
from tests.proxydouble import HOST, ProxyDouble, ProxyPort
from tests.sessions import KEY
from tests.test_ce import START, CETestCase

OTHER_SITE = "elsewhere.example"

#: Of another session.
OTHER_KEY = bytes(reversed(KEY))


class TwoProxiesTestCase(CETestCase):
    """
    A CE, and two ports that it dials.

    @ivar other: the port of the second proxy.
    """

    sites = {"": SITE, "b": OTHER_SITE}

    def setUp(self) -> None:
        super().setUp()
        self.other = ProxyPort(self.reactor)
        self.addCleanup(self.other.close)

    def settingsOfB(self) -> dict[str, str]:
        """
        @return: the CE's, of the second proxy.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        files = written(ceCredentials(), directory)
        own = {name.removeprefix("RVGAHP_"): path for name, path in files.items()}
        own |= {"BROKER_HOST": HOST, "BROKER_PORT": str(self.other.number)}
        named = {f"RVGAHP_PROXY_B_{what}": value for what, value in own.items()}
        return {"RVGAHP_PROXY_NAMES": "b", **named}

    def both(self, **settings: str) -> tuple[ProxyDouble, ProxyDouble]:
        """
        @return: the proxies' ends of a CE that both have accepted.
        """
        self.start(**{**self.settingsOfB(), **settings})
        self.until(lambda: len(self.ready) == 2)
        return self.port.proxies[-1], self.other.proxies[-1]

    def startGAHP(self, proxy: ProxyDouble, **changes: Any) -> Any:
        """
        @return: what StartGAHP came to.
        """
        return self.called(proxy.call(commands.StartGAHP, **{**START, **changes}))

    def status(self) -> CEStatus:
        """
        @return: what looks at the CE.
        """
        assert self.ce is not None
        settings = settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": HOST}))
        return CEStatus(self.reactor, settings, self.ce)


class CrossingTests(TwoProxiesTestCase):
    """
    What one proxy cannot do to what the other has started.
    """

    def test_unknown(self) -> None:
        """
        Another's session is one that is not there: it cannot be given a key, redialled, ended, or
        have its tunnel's port dialled, and nothing of it is listed or told.
        """
        first, second = self.both()
        wanted = {"gahp": "condor_ft-gahp", "tunnel": True, "commands": ["gahp", "tunnel"]}
        self.assertIn("tunnelPort", self.startGAHP(first, **wanted))
        assert self.ce is not None
        (session,) = self.ce.proxies[0].sessions.values()
        key, generation = session.keys.present, session.carrier.channels
        for command, arguments in (
            (commands.RenewKey, {"key": OTHER_KEY, "keyNumber": 2, "duration": 100}),
            (commands.Redial, {"stream": 0, "generation": 1}),
            (commands.Redial, {"stream": 1, "generation": 1}),
            (commands.DialTunnel, {"request": b"x"}),
        ):
            refusal = self.called(second.call(command, session="s1", **arguments))
            self.assertIsInstance(refusal, SessionGone, command)
        self.called(second.call(commands.EndSession, session="s1", reason="mine"))
        self.assertEqual(self.called(second.call(commands.Ping)), {"sessions": None})
        self.assertNotEqual(self.called(first.call(commands.Ping)), {"sessions": None})
        self.assertIs(session.keys.present, key)
        self.assertEqual(session.carrier.channels, generation)
        self.assertFalse(session.isAbandoned)
        self.assertEqual(list(self.ce.proxies[0].sessions), ["s1"])

    def test_listed(self) -> None:
        """
        After a loss each is told of its own, with the claim keys of these alone; and what it says
        is gone ends nothing of the other's.
        """
        first, second = self.both()
        self.startGAHP(first)
        self.patch(ProxyDouble, "_gone", lambda double, names: ["s1"])
        second.control.abort()
        self.until(lambda: len(self.ready) == 3)
        again = self.other.proxies[-1]
        self.assertEqual((again.listed, again.claims), ([([], True)], []))
        assert self.ce is not None
        self.assertEqual(list(self.ce.proxies[0].sessions), ["s1"])

    def test_sameId(self) -> None:
        """
        The same id at both is two sessions: keys, channels and ends are told apart.
        """
        first, second = self.both()
        tickets = [bytes([number]) * limits.TICKET_BYTES for number in (101, 102)]
        self.startGAHP(first)
        self.startGAHP(second, key=OTHER_KEY, tickets=tickets)
        self.until(lambda: self.port.channels and self.other.channels)
        self.assertEqual(self.port.channels[0][0], START["tickets"][0])
        self.assertEqual(self.other.channels[0][0], tickets[0])
        assert self.ce is not None
        mine, yours = (one.sessions["s1"] for one in self.ce.proxies)
        self.assertNotEqual(mine.keys.claimKey, yours.keys.claimKey)
        new = {"key": bytes(32), "keyNumber": 2, "duration": 100}
        self.assertEqual(self.called(second.call(commands.RenewKey, session="s1", **new)), {})
        self.assertEqual(yours.keys.present.keyNumber, 2)
        self.assertEqual(mine.keys.present.keyNumber, 1)
        self.called(second.call(commands.EndSession, session="s1", reason="enough"))
        self.until(lambda: second.ended)
        self.assertEqual((second.ended, first.ended), ([("s1", "enough")], []))
        self.assertEqual([len(one.sessions) for one in self.ce.proxies], [1, 0])


class OwnersTests(TwoProxiesTestCase):
    """
    Whom each proxy may name.
    """

    rules = "ALLOW START alice@x.org/a.example.org\nALLOW START bob@x.org/b.example.org"

    def test_provenHost(self) -> None:
        """
        A rule with a host is for the proxy whose certificate has that name, whatever the resolver
        says of addresses; the other cannot start anything in that owner's name.
        """
        pool = self.reactor.getThreadPool()  # it is started by a reactor that runs
        pool.start()
        self.addCleanup(pool.stop)
        hosts = {"a.example.org": self.port, "b.example.org": self.other}
        for host, port in hosts.items():
            port.options = serverOptions(proxyCredentials(host))
        places = [f"{HOST}:{port.number}" for port in hosts.values()]
        first, second = self.both(
            RVGAHP_BROKER_HOST="a.example.org",
            RVGAHP_CONNECT_TO=places[0],
            RVGAHP_PROXY_B_BROKER_HOST="b.example.org",
            RVGAHP_PROXY_B_CONNECT_TO=places[1],
        )
        for proxy, owner, other in (
            (first, "alice@x.org", "bob@x.org"),
            (second, "bob@x.org", "alice@x.org"),
        ):
            self.assertIsInstance(self.startGAHP(proxy, owner=other), NotAuthorized)
            self.assertEqual(self.startGAHP(proxy, owner=owner), {"tunnelPort": 0})


class TroubleTests(TwoProxiesTestCase):
    """
    One proxy that is away, or does not want us, or wants too much.
    """

    def test_gone(self) -> None:
        """
        What runs for the other goes on, more is started, and the status tells which is away; it
        is dialled again at its own pace.
        """
        first, second = self.both()
        self.startGAHP(second)
        self.port.answerHello = Deferred  # no answer, for as long as we look
        first.control.abort()
        assert self.ce is not None
        proxies = self.ce.proxies
        self.until(lambda: not proxies[0].state.isAccepted)
        self.assertEqual(self.startGAHP(second, session="s2"), {"tunnelPort": 0})
        self.assertTrue(proxies[1].state.isAccepted)
        self.assertEqual(proxies[1]._backoff._failures, 0)
        self.assertEqual(len(proxies[1].sessions), 2)
        viewer = Viewer(LocalUser(0, "root", 0), True)
        shown = self.status().document(viewer)
        self.assertEqual([one["connected"] for one in shown["proxies"]], [False, True])
        (sentence,) = [one for one in shown["attention"] if "is away" in one]
        self.assertIn(f"{HOST} port {self.port.number}", sentence)

    def test_refused(self) -> None:
        """
        A proxy that does not take our certificate, or shows one of a stranger, is dialled again
        and again, and the other is served.
        """
        self.other.options = serverOptions(proxyCredentials(HOST, signer="others"))
        self.start(**self.settingsOfB())
        assert self.ce is not None
        second = self.ce.proxies[1]
        self.until(lambda: self.ready and second._backoff._failures > 1)
        self.assertIn("is not one that we know", second.state.problem)
        self.assertEqual(self.startGAHP(self.port.proxies[-1]), {"tunnelPort": 0})

    def test_limits(self) -> None:
        """
        A proxy has its own limit of sessions, an owner and the CE one for all.
        """
        first, second = self.both(
            RVGAHP_PROXY_B_MAX_SESSIONS="1",
            RVGAHP_MAX_SESSIONS_PER_OWNER="2",
            RVGAHP_MAX_SESSIONS="3",
        )
        self.assertEqual(self.startGAHP(second), {"tunnelPort": 0})
        self.assertIn("for this proxy", str(self.startGAHP(second, session="s2")))
        self.assertEqual(self.startGAHP(first), {"tunnelPort": 0})
        busy = self.startGAHP(first, session="s2")
        self.assertIsInstance(busy, Busy)
        self.assertIn("has 2 GAHPs", str(busy))
        self.assertEqual(self.startGAHP(first, session="s3", owner="bob@x.org"), {"tunnelPort": 0})
        busy = self.startGAHP(first, session="s4", owner="eve@x.org")
        self.assertIn("its administrator allows 3", str(busy))

    def test_rate(self) -> None:
        """
        One that has too much started at once keeps nobody else from a start.
        """
        self.patch(watchlimits, "STARTS_BURST", 2)
        first, second = self.both(RVGAHP_MAX_STARTS_PER_SECOND="1")
        refusals = [self.startGAHP(second, session=f"s{number}") for number in range(4)]
        self.assertIsInstance(refusals[-1], Busy)
        self.assertEqual(self.startGAHP(first), {"tunnelPort": 0})

    def test_stopped(self) -> None:
        """
        When the CE is stopped each is told of its own sessions, also where the other does not
        answer.
        """
        first, second = self.both()
        self.startGAHP(first)
        self.startGAHP(second, session="s2")
        self.port.answerEnded = Deferred
        with capturedLogs():
            self.stop()
        self.assertEqual(first.ended, [("s1", STOPPED)])
        self.assertEqual(second.ended, [("s2", STOPPED)])


class ReloadTests(TwoProxiesTestCase):
    """
    Files that are read again.
    """

    def test_mended(self) -> None:
        """
        A proxy that could not be served, and can, is taken up, with the settings that later
        reloads change; one that still cannot be is told, and stays in the status.
        """
        ce = self.make(0, None, **self.settingsOfB())
        second = ce.proxies.pop()
        second.disownServiceParent()
        settings = ce.runner._settings
        own = settings.ofProxies()["b"]
        broken = [Unusable("b", HOST, self.other.number, "It is broken.", 0.0)]
        ce.unusable = broken
        ce.startService()
        self.until(lambda: self.ready)

        def serve(files: Any, one: Served) -> None:
            ready = self.ready.append
            methods = [SSLMethod()]
            renewal = second.renewal
            ce.serve(
                one.name,
                one.settings,
                one.site,
                renewal,
                self.trust,
                methods,
                lambda served, control, answer: ready(answer),
            )

        again = self.make(0, None, **self.settingsOfB()).runner._settings
        self.ce = ce
        files: Any = SimpleNamespace(
            settings=again,
            rules=ce.runner.access.rules,
            accounts=None,
            trust=self.trust,
            methods=SimpleNamespace(methods=[SSLMethod()]),
            gateway=None,
            served=[],
            unusable=broken,
        )
        reload = CEReload(settings, ce, ce.runner.access, None, serve, files)
        self.assertIn(f"the proxy {HOST}:{self.other.number}: It is broken.", reload.adopt(files))
        self.assertEqual(len(ce.proxies), 1)
        files.served = [Served("b", again.ofProxies()["b"], OTHER_SITE, ceCredentials())]
        files.unusable = []
        said = reload.adopt(files)
        self.assertIn(f"the proxy {HOST}:{self.other.number} is served, too", said)
        self.until(lambda: len(self.ready) == 2)
        self.assertEqual(ce.unusable, [])
        self.assertIs(ce.proxies[1]._settings, own)
        self.assertNotIn("served", "; ".join(reload.adopt(files)))

    def test_awayAndAnother(self) -> None:
        """
        That a certificate is another is told also while the proxy is away.
        """
        ce = self.make(0, None)
        (served,) = ce.proxies
        self.ce = ce
        read = self.trust, [SSLMethod()], None
        self.assertFalse(served.renew(*read))
        other = replace(served.renewal.credentials, caPEM=b"another")
        self.patch(served.renewal, "reread", lambda: other)
        self.assertTrue(served.renew(*read))


class StatusTests(TwoProxiesTestCase):
    """
    What the CE shows, and what people tell it.
    """

    def test_shown(self) -> None:
        """
        Each proxy has its line, and each session names its own; C{kill} ends what has that id,
        and a drain can be one site's.
        """
        first, second = self.both()
        for proxy, name in ((first, "one"), (second, "two"), (second, "three")):
            self.startGAHP(proxy, session=name)
        viewer = Viewer(LocalUser(0, "root", 0), True)
        status = self.status()
        shown = status.document(viewer)
        self.assertEqual([one["name"] for one in shown["proxies"]], ["", "b"])
        self.assertEqual([one["site"] for one in shown["proxies"]], [SITE, OTHER_SITE])
        self.assertEqual([one["sessions"] for one in shown["proxies"]], [1, 2])
        places = {one["session"]: one["proxy"] for one in shown["sessions"]}
        here, there = (f"{HOST}:{port.number}" for port in (self.port, self.other))
        self.assertEqual(places, {"one": here, "two": there, "three": there})
        answer = status.kill(viewer, "two", "")
        self.assertEqual(answer, {"session": "two", "site": OTHER_SITE})
        self.until(lambda: second.ended)
        self.assertEqual(first.ended, [])
        self.assertEqual(status.drain(viewer, OTHER_SITE), {"draining": OTHER_SITE})
        said = [one for one in status.document(viewer)["attention"] if "is drained" in one]
        self.assertEqual(said, [f"Nothing new is started at site {OTHER_SITE}: it is drained."])
        self.assertIsInstance(self.startGAHP(second, session="four"), Busy)
        self.assertEqual(self.startGAHP(first, session="four"), {"tunnelPort": 0})
        self.assertEqual(
            status.resume(viewer, OTHER_SITE), {"resumed": OTHER_SITE, "draining": False}
        )
        self.assertEqual(self.startGAHP(second, session="five"), {"tunnelPort": 0})
        self.assertRaises(NotAuthorized, status.drain, viewer, "no.such.site")

    def test_certificates(self) -> None:
        """
        Where there are two, a sentence on a certificate says for which proxy it is.
        """
        proxy = {"name": "", "host": "h", "port": 1, "connected": True, "reason": ""}
        rows = [{**proxy, "certificateExpires": end} for end in (10, 10**7)]
        seen = {"now": 0, "proxies": rows, "certificateExpires": 10}
        (sentence,) = sentences(seen)
        self.assertIn("of this daemon for the proxy h port 1 ends in 10 s", sentence)
