"""
Tests of L{rvgahp.siteconnection}: real TLS in memory, the proxy behind it.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from cryptography import x509
from twisted.logger import capturedLogs, formatEvent

from rvgahp import commands, limits, maplimits
from rvgahp.accessrules import parse
from rvgahp.boxes import encodeBox
from rvgahp.errors import (
    InternalError,
    NotAuthorized,
    SiteTaken,
    StartFailed,
    VersionMismatch,
)
from rvgahp.localnames import LocalNames
from rvgahp.proxyaccess import ProxyAccess
from rvgahp.sitearrival import accept
from rvgahp.tls import clientOptions, serverOptions
from tests.broker import ACCESS_FILE, BrokerTestCase
from tests.identities import HOST, SITE, ceCredentials, oddCredentials, proxyCredentials
from tests.threadedclock import ThreadedClock


class HelloTests(BrokerTestCase):
    """
    Who is accepted.
    """

    def test_accepted(self) -> None:
        """
        A good Hello is answered with the proxy's side of it, the site is known, and takes
        starts once it has listed its sessions.
        """
        ce, connection = self.dialCE()
        self.assertEqual(len(self.room), 1)
        answer = self.successResultOf(ce.hello(gahps=["blahpd", "condor_ft-gahp"]))
        self.assertEqual(answer["version"], 1)
        self.assertEqual(answer["instance"], self.proxy.instance)
        self.assertEqual(answer["policy"], "R:R:AES")
        self.assertIs(self.proxy.sites[SITE], connection)
        self.assertEqual(len(self.room), 0)
        self.assertEqual(
            (connection.gahps, connection.address), (["blahpd", "condor_ft-gahp"], "192.0.2.7")
        )
        self.assertFalse(connection.isReady)
        self.assertEqual(self.successResultOf(ce.list()), {"gone": []})
        self.assertTrue(connection.isReady)

    def test_largeBoxes(self) -> None:
        """
        After Hello a Sessions call may have as much as 200 sessions take.
        """
        ce, _ = self.dialCE()
        ce.hello()
        names = [f"{number}".rjust(limits.SESSION_ID_BYTES, "s") for number in range(200)]
        self.successResultOf(ce.list(*names))

    def assertRefused(self, error: type[Exception], words: str, **hello: Any) -> None:
        """
        Hello is refused in these words, and the site is not known.
        """
        ce, _ = self.dialCE()
        failure = self.failureResultOf(ce.hello(**hello), error)
        self.assertIn(words, str(failure.value))
        self.assertEqual(self.proxy.sites, {})
        ce.control.abort()

    def test_refused(self) -> None:
        """
        Each thing that can be wrong with Hello has its error and its sentence.
        """
        self.assertRefused(VersionMismatch, "[2, 3] are spoken there", versions=[2, 3])
        self.assertRefused(VersionMismatch, "upgrade", versions=[])
        self.assertRefused(
            NotAuthorized,
            f"{SITE}@site.rvgahp may not register site other.example: its certificate is of another"
            " site",
            site="other.example",
        )
        self.assertRefused(NotAuthorized, "16 bytes", instance=b"short")
        self.assertRefused(InternalError, "policy", policy="X:R:AES")

    def test_registered(self) -> None:
        """
        A CE may register the site of its certificate, under its canonical name, unless a rule
        denies it; the sentence and the log say why.
        """
        _, connection = self.dialCE()
        self.assertEqual(connection.canonical, f"{SITE}@site.rvgahp")
        connection.control.abort()
        self.obey(f"DENY REGISTER site=other.* *\nDENY REGISTER {SITE}@site.rvgahp/192.0.2.0/29")
        with capturedLogs() as logs:
            self.assertRefused(NotAuthorized, f"{ACCESS_FILE}:2 denies it")
        rules = [str(event.get("rule")) for event in logs]
        self.assertTrue([rule for rule in rules if rule.startswith(f"{ACCESS_FILE}:2: DENY")])
        self.obey("DENY REGISTER */192.0.2.8/29")
        ce, connection = self.dialCE()
        self.successResultOf(ce.hello())
        self.assertEqual(connection.rule, "built in: the site of its certificate")

    def test_names(self) -> None:
        """
        Where a rule has the name of a host, Hello waits until that of the CE is known.
        """
        clock = ThreadedClock()
        self.addCleanup(clock.pool.stop)
        rules = parse("DENY REGISTER *.evil.example", ACCESS_FILE, "proxy")
        names = {"192.0.2.7": ("h.evil.example",)}
        access = ProxyAccess(
            clock, rules, LocalNames("x.org"), lookup=lambda address, _: names[address]
        )
        self.proxy.access = access
        ce, connection = self.dialCE()
        asked = ce.hello()
        self.settle()
        self.assertNoResult(asked)
        clock.settle(1)
        failure = self.failureResultOf(asked, NotAuthorized)
        self.assertIn(f"{ACCESS_FILE}:1 denies it", str(failure.value))
        self.assertEqual(self.proxy.sites, {})
        clock.advance(maplimits.PEER_NAMES_LIFETIME + 1)
        names["192.0.2.7"] = ("h.x.org",)
        ce, connection = self.dialCE()
        ce.hello()
        self.settle()
        clock.settle(1)
        self.settle()
        self.assertIs(self.proxy.sites[SITE], connection)

    def test_newerCE(self) -> None:
        """
        A CE that speaks newer versions too is answered with the common one.
        """
        ce, _ = self.dialCE()
        self.assertEqual(self.successResultOf(ce.hello(versions=[9, 1, 8]))["version"], 1)

    def test_twice(self) -> None:
        """
        Hello comes once.
        """
        ce, connection = self.dialCE()
        self.successResultOf(ce.hello())
        self.failureResultOf(ce.hello(), NotAuthorized)
        self.failureResultOf(ce.hello(instance=b"j" * 16), NotAuthorized)
        self.assertIs(self.proxy.sites[SITE], connection)
        self.successResultOf(ce.list())

    def test_first(self) -> None:
        """
        Nothing goes before it.
        """
        ce, _ = self.dialCE()
        for called in (
            ce.list(),
            ce.call(commands.OpenChannel, session="s", stream=0),
            ce.call(commands.SessionEnded, session="s", reason="", received=0, sent=0),
            ce.call(commands.Ping),
        ):
            self.failureResultOf(called, NotAuthorized)
        self.assertEqual(self.proxy.sites, {})

    def test_noSite(self) -> None:
        """
        A certificate of our authority that names no site, or two, is not let in, and the
        log says why; nor would it be under the name of nothing.
        """
        uris = [x509.UniformResourceIdentifier(f"rvgahp:site:{name}") for name in ("a", "b")]
        for names, words in (([], "no site"), (uris, "several sites")):
            options = clientOptions(oddCredentials(*names), HOST)
            with capturedLogs() as logs:
                ce, _ = self.dialCE(options=options)
            self.assertIn(words, str(logs[0]["what"]))
            self.failureResultOf(ce.hello(), NotAuthorized)
            self.failureResultOf(ce.hello(site=""), NotAuthorized)
            ce.control.abort()
            self.settle()
        self.assertEqual((self.proxy.sites, len(self.room)), ({}, 0))

    def test_manyCalls(self) -> None:
        """
        One that calls and calls before its Hello goes, and costs the log a line, and its
        address more than one whose Hello is refused; what is said after a Hello has no limit.
        """
        ce, connection = self.dialCE(authenticates=False)
        with capturedLogs() as logs:
            for _ in range(1000):
                ce.call(commands.Ping).addErrback(lambda _: None)
                ce.control.transport.write(encodeBox({b"_command": b"Hello", b"_ask": b"x"}))
            self.settle()
        self.assertIsNotNone(ce.reason)
        self.assertEqual(connection.fault, "garbage")
        self.assertLess(len(logs), 5)
        ready = self.readyCE()
        for _ in range(limits.GREETING_CALLS + 1):
            self.successResultOf(ready.call(commands.Ping))

    def test_senseless(self) -> None:
        """
        A CE's calls without arguments are told in the log once, and then by their number.
        """
        ce = self.readyCE()
        with capturedLogs() as logs:
            for number in range(200):
                tag = b"x%d" % number
                ce.control.transport.write(encodeBox({b"_command": b"OpenChannel", b"_ask": tag}))
            self.settle()
        self.assertLess(len(logs), 5)

    def test_forgedLines(self) -> None:
        """
        What a CE says of itself and of ends has nothing in the log that a terminal would obey,
        and no line of its own; GAHPs have the names that GAHPs can have.
        """
        evil = "1\r\n2026-01-01 forged\x1b[2J\u2028" + "x" * 9000
        with capturedLogs() as logs:
            ce, _ = self.dialCE()
            self.successResultOf(ce.hello(software=evil))
            self.successResultOf(ce.list())
            self.ask()
            session = ce.starts[-1]["session"]
            ended = {"session": session, "reason": evil, "received": 1, "sent": 1}
            self.successResultOf(ce.call(commands.SessionEnded, **ended))

            def refuse() -> None:
                raise StartFailed(evil)

            ce.answer = refuse
            self.ask()
        text = "".join(map(formatEvent, logs))
        self.assertIn("forged", text)
        self.assertTrue(text.isprintable(), ascii(text))
        self.assertLess(len(text), 4 * limits.WORDS)
        other, _ = self.dialCE(instance=b"j" * 16)
        self.failureResultOf(other.hello(gahps=["blahpd", evil]), NotAuthorized)

    def test_silence(self) -> None:
        """
        One that has not said Hello after 10 s goes, whether it has TLS or not.
        """
        ce, _ = self.dialCE()
        self.spend(limits.GREETING_TIMEOUT - 0.1)
        self.assertIsNone(ce.reason)
        with capturedLogs() as logs:
            self.spend(0.2)
        self.assertIsNotNone(ce.reason)
        self.assertIn("no Hello", logs[0]["log_format"])
        self.assertEqual(len(self.room), 0)

    def test_dropped(self) -> None:
        """
        One that must make room for others goes.
        """
        ce, _ = self.dialCE()
        self.room.clear()
        self.settle()
        self.assertIsNotNone(ce.reason)


class TakeOverTests(BrokerTestCase):
    """
    Two for one site.
    """

    def test_alive(self) -> None:
        """
        Another instance is refused where the first one lives; the sentence says where
        that is and what to do, and the log tells of it too.
        """
        first = self.readyCE()
        second, _ = self.dialCE(instance=b"j" * 16)
        with capturedLogs() as logs:
            failure = self.failureResultOf(second.hello(), SiteTaken)
        self.assertIn("at 192.0.2.7", str(failure.value))
        self.assertIn("stop it", str(failure.value))
        self.assertIn(SITE, repr([event.get("site") for event in logs]))
        self.assertEqual(self.proxy.sites[SITE].instance, first.instance)
        self.assertIsNone(first.reason)
        second.control.abort()

    def test_dead(self) -> None:
        """
        A first one that does not answer within 2 s is replaced and dropped.
        """
        first = self.readyCE()
        first.answersPings = False
        second, connection = self.dialCE(instance=b"j" * 16)
        asked = second.hello()
        self.spend(limits.TAKEOVER_PING_TIMEOUT - 0.1)
        self.assertNoResult(asked)
        self.spend(0.2)
        self.successResultOf(asked)
        self.assertIs(self.proxy.sites[SITE], connection)
        self.assertIsNotNone(first.reason)

    def test_sameInstance(self) -> None:
        """
        The same instance, which dials anew, replaces its old connection at once.
        """
        first = self.readyCE()
        first.answersPings = False
        second, connection = self.dialCE()
        self.successResultOf(second.hello())
        self.assertIs(self.proxy.sites[SITE], connection)
        self.assertIsNotNone(first.reason)

    def test_goneWhileAsking(self) -> None:
        """
        A second one that goes while the first is asked takes nobody's place.
        """
        first = self.readyCE()
        first.answersPings = False
        second, _ = self.dialCE(instance=b"j" * 16)
        second.hello().addErrback(lambda _: None)
        self.settle()
        second.control.abort()
        self.settle()
        first.answersPings = True
        self.spend(limits.TAKEOVER_PING_TIMEOUT + 1)
        self.assertEqual(self.proxy.sites[SITE].instance, first.instance)
        self.assertIsNone(first.reason)

    def test_firstGoesWhileAsked(self) -> None:
        """
        If the first goes while it is asked, the second has its place at once.
        """
        first = self.readyCE()
        first.answersPings = False
        second, connection = self.dialCE(instance=b"j" * 16)
        asked = second.hello()
        self.settle()
        first.control.abort()
        self.successResultOf(asked)
        self.assertIs(self.proxy.sites[SITE], connection)

    def test_two(self) -> None:
        """
        Of two that ask for the place of a dead one, one has it and the other is refused.
        """
        first = self.readyCE()
        first.answersPings = False
        second, _ = self.dialCE(instance=b"j" * 16)
        third, _ = self.dialCE(instance=b"k" * 16)
        wanted = second.hello()
        self.spend(0.5)
        refused = third.hello()
        self.spend(limits.TAKEOVER_PING_TIMEOUT + 1)
        self.successResultOf(wanted)
        self.failureResultOf(refused, SiteTaken)
        self.assertIsNone(second.reason)
        third.control.abort()

    def test_oldEndsLater(self) -> None:
        """
        The end of a replaced connection does not take the new one's place away.
        """
        self.readyCE()
        second = self.readyCE()
        self.spend(1)
        self.assertEqual(list(self.proxy.sites), [SITE])
        self.assertIsNone(second.reason)


class SessionsTests(BrokerTestCase):
    """
    What lives at the site.
    """

    def test_severalCalls(self) -> None:
        """
        The site takes starts after the last of several calls, and not before.
        """
        self.spend(limits.YOUTH)  # after which absent sites are not waited for
        ce, connection = self.dialCE()
        ce.hello()
        for number in range(3):
            self.successResultOf(ce.list(f"s{number}", last=False))
            self.assertFalse(connection.isReady)
            (refusal,) = self.ask().boxes
            self.assertEqual(refusal[b"_error_code"], b"NoSuchSite")
        self.successResultOf(ce.list("s3"))
        self.assertTrue(connection.isReady)

    def test_afterTheLast(self) -> None:
        """
        After the last call there is no other.
        """
        ce = self.readyCE()
        self.failureResultOf(ce.list("s"), NotAuthorized)

    def test_lost(self) -> None:
        """
        Clients of sessions that a returning CE does not list any more are told; those of
        listed ones are not.
        """
        self.readyCE()
        kept, lost = self.ask(), self.ask()
        names = [client.boxes[0][b"session"].decode() for client in (kept, lost)]
        self.readyCE(names[0], "s" * 20)
        (box,) = lost.read()
        self.assertEqual(box[b"_command"], b"SessionLost")
        self.assertIn(b"was restarted", box[b"reason"])
        self.assertEqual(kept.read(), [])
        self.assertEqual(list(self.proxy.sessions), names[:1])

    def test_otherSites(self) -> None:
        """
        What one site lists concerns no other's sessions.
        """
        self.readyCE()
        client = self.ask()
        self.readyCE(site="other.example")
        self.assertEqual(client.read(), [])

    def test_gone(self) -> None:
        """
        A CE learns, each time it lists them, which of its sessions have lost their client
        while it was away, and of no other site's.
        """
        ce = self.readyCE()
        clients = [self.ask(), self.ask()]
        names = [client.boxes[0][b"session"].decode() for client in clients]
        ce.control.abort()
        self.settle()
        clients[1].close()
        self.settle()
        for _ in range(2):
            ce, _ = self.dialCE()
            ce.hello()
            listed = self.successResultOf(ce.list(*names, "unknown"))
            self.assertEqual(listed, {"gone": [names[1]]})
        other, _ = self.dialCE(site="other.example")
        other.hello()
        self.assertEqual(self.successResultOf(other.list(*names)), {"gone": []})

    def test_goneWithTheConnection(self) -> None:
        """
        It learns so also of those of whose end it could not be told because its
        connection broke just then.
        """
        ce = self.readyCE()
        client = self.ask()
        name = client.boxes[0][b"session"].decode()
        pair = self.pairs.pop()
        client.close()
        self.loop.settle()
        self.assertEqual(ce.ends, [])
        self.proxy.sites[SITE].control.abort()
        pair.flush()
        ce, _ = self.dialCE()
        ce.hello()
        self.assertEqual(self.successResultOf(ce.list(name)), {"gone": [name]})


class AcceptTests(BrokerTestCase):
    """
    Connections from the gate.
    """

    def test_cannotBeTaken(self) -> None:
        """
        If the reactor cannot take the connection, it is closed, and nobody is left
        waiting.
        """

        def adopt(fd: int, family: int, factory: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.loop.adoptStreamConnection = adopt  # type: ignore[attr-defined]  # a reactor's
        one, other = socket.socketpair()
        options = serverOptions(proxyCredentials())
        known = self.authenticator
        arguments = self.proxy, options, self.room, known, other, "192.0.2.7"
        self.assertRaises(OSError, accept, *arguments)
        self.assertEqual(one.recv(1), b"")
        one.close()
        self.assertEqual(len(self.room), 0)
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def test_brokenOff(self) -> None:
        """
        Who goes before Hello is logged once, with the reason.
        """
        with capturedLogs() as logs:
            ce, _ = self.dialCE(options=clientOptions(ceCredentials(signer="others"), HOST))
        self.assertIsNotNone(ce.reason)
        (event,) = (event for event in logs if event["log_namespace"].startswith("rvgahp"))
        self.assertIn("refused or broken off before Hello", event["log_format"])
        self.assertIn("authority (CA) is not one that we know", event["what"])
