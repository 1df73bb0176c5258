"""
Tests of L{rvgahp.siteauthentication}: real TLS in memory, and a CE that says what it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.logger import LogEvent, capturedLogs, formatEvent

from rvgahp import commands, limits
from rvgahp.authentication import authenticate
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.errors import InternalError, NotAuthorized
from rvgahp.iauthentication import AuthenticationContext, Proof
from rvgahp.mapfile import parse
from rvgahp.sslmethod import SSLMethod
from rvgahp.tls import clientOptions, serverOptions
from rvgahp.trust import Trust
from tests.authplugin import secretMethod
from tests.broker import BrokerTestCase, CEDouble
from tests.identities import HOST, SITE, authority, ceCredentials, proxyCredentials
from tests.pki import DAY, SiteCA, now
from tests.test_authentication import Long

OURS = authority("ours").certificate


def sentences(events: Sequence[LogEvent]) -> str:
    return "\n".join(formatEvent(event) for event in events)


def contextAt(ce: CEDouble) -> AuthenticationContext:
    """
    @return: what an exchange at this CE knows.
    """
    exporter = ce.control.transport.getHandle().export_keying_material
    return AuthenticationContext(None, HOST, None, "192.0.2.1", exporter)


class AuthenticationTestCase(BrokerTestCase):
    """
    A proxy that trusts a site's authority, too, and takes two methods.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ca = SiteCA()
        self.user = self.ca.issue("alice")
        self.authenticator.methods = [SSLMethod(), secretMethod({"ce-1": "s"})]
        self.authenticator.names = CanonicalNames(
            parse(b"SSL CN=alice$ alice\nSECRET ce-1 one@secret.example", "/map"), "example.org"
        )

    def options(self, *revoked: Any, **options: Any) -> Any:
        trust = Trust([OURS], [self.ca.certificate], revoked)
        return serverOptions(proxyCredentials(), trust, **options)

    def dial(self, entity: Any = None, **options: Any) -> tuple[CEDouble, Any]:
        """
        @return: a CE that has dialled and said nothing, and the proxy's end.
        """
        credentials = (entity or self.user).credentials()
        return self.dialCE(
            options=clientOptions(credentials, HOST),
            proxyOptions=self.options(**options),
            authenticates=False,
        )

    def anonymous(self) -> tuple[CEDouble, Any]:
        """
        @return: the same without a certificate.
        """
        options = optionsForClientTLS(HOST, trustRoot=Certificate.loadPEM(ceCredentials().caPEM))
        return self.dialCE(options=options, authenticates=False)

    def end(self, *ces: CEDouble) -> None:
        for ce in ces:
            ce.control.abort()
        self.settle()


class IdentityTests(AuthenticationTestCase):
    """
    Who a CE is.
    """

    def test_ours(self) -> None:
        """
        An enrolled CE is its site, and where it came from is known.
        """
        ce, connection = self.dialCE()
        assert connection.identity is not None
        self.assertEqual(
            connection.identity[:4], ("SSL", f"/CN={SITE}", f"{SITE}@site.rvgahp", "192.0.2.7")
        )
        self.successResultOf(ce.hello())

    def test_theirs(self) -> None:
        """
        A CE of the sites' PKI is who the map says; a proxy certificate is its end entity.  No
        rule lets either register a site.
        """
        for entity in (self.user, self.user.proxy(), self.user.proxy().proxy()):
            ce, connection = self.dial(entity)
            self.successResultOf(ce.authenticate())
            self.assertEqual(connection.identity.canonical, "alice@example.org")
            self.assertEqual(connection.identity.principal, "/DC=org/DC=example/CN=alice")
            self.assertIn("/map:1", connection.identity.rule)
            failure = self.failureResultOf(ce.hello(), NotAuthorized)
            self.assertIn(
                f"alice@example.org may not register site {SITE}: no rule of", str(failure.value)
            )
            self.end(ce)
        self.assertEqual(self.proxy.sites, {})

    def test_unmapped(self) -> None:
        """
        Whom the map does not name is unmapped, whatever URI is in the certificate, and may
        not say Hello.
        """
        ce, connection = self.dial(self.ca.issue("bob", uri=f"rvgahp:site:{SITE}"))
        self.successResultOf(ce.authenticate())
        self.assertEqual(connection.identity.canonical, "ssl@unmapped")
        for site in (SITE, "ssl", "bob"):
            self.failureResultOf(ce.hello(site=site), NotAuthorized)
        self.end(ce)

    def test_none(self) -> None:
        """
        A CE without a certificate cannot use SSL, and both logs say so.
        """
        ce, connection = self.anonymous()
        with capturedLogs() as logs:
            failure = self.failureResultOf(ce.authenticate(), NotAuthorized)
        self.assertIn("the CE has shown none: see RVGAHP_CERTFILE", str(failure.value))
        self.assertIn("CE at 192.0.2.7: not authenticated: method SSL needs", sentences(logs))
        self.assertIsNone(connection.identity)
        self.end(ce)

    def test_otherMethod(self) -> None:
        """
        It can use another, in which each side proves to the other over this very connection who
        it is; of that the core knows nothing.
        """
        ce, connection = self.anonymous()
        context = contextAt(ce)
        methods = [secretMethod({"ce-1": "s"})]
        asked = ensureDeferred(authenticate(ce.call, methods, context))
        self.assertEqual(self.successResultOf(asked), "SECRET")
        self.assertEqual(connection.identity[:3], ("SECRET", "ce-1", "one@secret.example"))
        self.end(ce)

    def test_relayed(self) -> None:
        """
        The same messages over two connections with somebody in between prove nothing.
        """
        (ce, connection), (other, _) = self.anonymous(), self.anonymous()
        context = contextAt(other)
        methods = [secretMethod({"ce-1": "s"})]
        self.failureResultOf(ensureDeferred(authenticate(ce.call, methods, context)), NotAuthorized)
        self.assertIsNone(connection.identity)
        self.end(ce, other)

    def test_host(self) -> None:
        """
        The proxy's end knows what name was dialled.
        """
        seen: list[Any] = []

        class Looking(Long):
            def server(self, context: Any) -> Any:
                seen.append(context)
                return self

        self.authenticator.methods = [Looking(lambda data: Proof("x"))]
        ce, _ = self.dial()
        self.successResultOf(ce.authenticate("LONG"))
        (context,) = seen
        self.assertEqual((context.host, context.address), (HOST, "192.0.2.7"))
        self.assertEqual(context.settings.role, "proxy")
        self.end(ce)

    def test_replaced(self) -> None:
        """
        Map and methods can be replaced while the proxy runs; they count from the next
        connection or call on.
        """
        ce, connection = self.dial()
        self.authenticator.names = CanonicalNames(parse(b"SSL . new", "/map"), "example.org")
        self.successResultOf(ce.authenticate())
        self.assertEqual(connection.identity.canonical, "new@example.org")
        self.end(ce)


class HostileTests(AuthenticationTestCase):
    """
    What a CE might try.
    """

    def test_before(self) -> None:
        """
        Before it is authenticated, nothing but that is answered.
        """
        ce, connection = self.dial()
        for called in (
            ce.hello(),
            ce.hello(site=SITE),
            ce.list("s"),
            ce.call(commands.OpenChannel, session="s", stream=0),
            ce.call(commands.Ping),
            ce.call(commands.AuthenticateMore, data=b""),
        ):
            self.failureResultOf(called, NotAuthorized)
        self.successResultOf(ce.authenticate())
        self.failureResultOf(ce.call(commands.Ping), NotAuthorized)
        self.failureResultOf(ce.list("s"), NotAuthorized)
        self.assertEqual((self.proxy.sites, connection.site), ({}, ""))
        self.end(ce)

    def test_twice(self) -> None:
        """
        Nobody is authenticated twice: not after a success, nor after a refusal.
        """
        ce, connection = self.dialCE()
        identity = connection.identity
        self.failureResultOf(ce.authenticate(), NotAuthorized)
        self.failureResultOf(ce.call(commands.AuthenticateMore, data=b""), NotAuthorized)
        self.assertIs(connection.identity, identity)
        self.successResultOf(ce.hello())
        self.failureResultOf(ce.authenticate(), NotAuthorized)
        other, connection = self.dial()
        self.failureResultOf(other.authenticate("KERBEROS"), NotAuthorized)
        self.failureResultOf(other.authenticate(), NotAuthorized)
        self.assertIsNone(connection.identity)
        self.end(other)

    def test_changesItsMind(self) -> None:
        """
        Who has listed several methods has the proxy's choice, and cannot jump to another.
        """
        self.authenticator.methods = self.authenticator.methods[::-1]
        ce, connection = self.dialCE(authenticates=False)
        answer = self.successResultOf(ce.authenticate("SSL", "SECRET"))
        self.assertEqual(answer, {"method": "SECRET", "data": b"", "done": False})
        self.failureResultOf(ce.authenticate("SSL"), NotAuthorized)
        self.failureResultOf(ce.hello(), NotAuthorized)
        self.assertIsNone(connection.identity)
        self.end(ce)

    def test_endless(self) -> None:
        """
        Endless messages have an end, and so have those that nobody answers.
        """
        self.authenticator.methods = [Long()]
        ce, connection = self.dial()
        self.successResultOf(ce.authenticate("LONG", data=b"x"))
        for _ in range(limits.AUTHENTICATION_ROUNDS):
            self.successResultOf(ce.call(commands.AuthenticateMore, data=b"x" * 12 * 1024))
        with capturedLogs() as logs:
            failure = self.failureResultOf(
                ce.call(commands.AuthenticateMore, data=b""), NotAuthorized
            )
            for _ in range(10):
                self.failureResultOf(ce.call(commands.AuthenticateMore, data=b""), NotAuthorized)
        self.assertEqual(sentences(logs).count("not authenticated"), 1)
        self.assertIn("not done after 16", str(failure.value))
        self.assertIsNone(connection.identity)
        self.spend(limits.GREETING_TIMEOUT + 1)
        self.assertIsNotNone(ce.reason)

    def test_slow(self) -> None:
        """
        Authentication and Hello have 10 s together; what an exchange waits for then is
        cancelled.
        """
        cancelled: list[Any] = []
        self.authenticator.methods = [Long(lambda data: Deferred(cancelled.append))]
        ce, _ = self.dial()
        ce.authenticate("LONG").addErrback(lambda _: None)
        self.spend(limits.GREETING_TIMEOUT - 0.5)
        self.assertEqual((cancelled, ce.reason), ([], None))
        with capturedLogs() as logs:
            self.spend(1)
        self.assertIsNotNone(ce.reason)
        self.assertEqual(len(cancelled), 1)
        self.assertIn("no Hello within", sentences(logs))
        self.assertEqual(len(self.room), 0)

    def test_bigBoxes(self) -> None:
        """
        A message of more than 12 KiB is refused, and a box of more than 16 KiB ends the
        connection.
        """
        self.authenticator.methods = [Long()]
        ce, _ = self.dial()
        self.failureResultOf(ce.authenticate("LONG", data=bytes(12 * 1024 + 1)), NotAuthorized)
        self.failureResultOf(ce.authenticate("LONG", data=bytes(16 * 1024 + 1)))
        self.assertIsNotNone(ce.reason)

    def test_rubbish(self) -> None:
        """
        Calls whose arguments are no arguments are refused, and cost nothing else.
        """
        ce, connection = self.dial()
        for box in (
            {b"methods": b"\0\3SSL"},  # without data
            {b"data": b""},
            {b"methods": b"\0\xffSSL", b"data": b""},
            {b"methods": b"\0\2\xff\xff", b"data": b""},
            {b"methods": b"", b"data": b""},
        ):
            wire = {b"_command": b"Authenticate", **box}
            ce.control.transport.write(_serialized(wire))
            self.settle()
        self.assertIsNone(ce.reason)
        self.assertIsNone(connection.identity)
        self.end(ce)
        self.flushLoggedErrors()

    def test_bug(self) -> None:
        """
        A plugin's bug costs this authentication, is in the log, and its words go nowhere else.
        """

        def bug(data: bytes) -> bytes:
            raise ZeroDivisionError("inside")

        self.authenticator.methods = [Long(bug)]
        ce, connection = self.dial()
        failure = self.failureResultOf(ce.authenticate("LONG"), InternalError)
        self.assertNotIn("inside", str(failure.value))
        self.assertIsNone(connection.identity)
        self.failureResultOf(ce.hello(), NotAuthorized)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.end(ce)


def _serialized(box: dict[bytes, bytes]) -> bytes:
    parts = [len(part).to_bytes(2, "big") + part for pair in box.items() for part in pair]
    return b"".join(parts) + b"\0\0"


class EndTests(AuthenticationTestCase):
    """
    Certificates that end.
    """

    def setUp(self) -> None:
        super().setUp()
        begun, zero = now(), self.loop.seconds()
        self.offset = 0 * DAY

        def moment() -> datetime:
            return begun + self.offset + (self.loop.seconds() - zero) * (DAY / 86400)

        self.authenticator.now = moment

    def dismissals(self, ce: CEDouble) -> list[str]:
        """
        @return: the reasons that the CE is going to be told.
        """
        told: list[str] = []
        locate = ce.locateResponder

        def located(name: bytes) -> Any:
            if name != b"Dismiss":
                return locate(name)

            def dismissed(box: Any) -> Deferred[Any]:
                told.append(box[b"reason"].decode())
                return Deferred()

            return dismissed

        ce.locateResponder = located  # type: ignore[method-assign]  # one command more
        return told

    def test_end(self) -> None:
        """
        The connection is closed when the certificate ends, not before, and both sides hear
        why.  The site's sessions go on.
        """
        ce = self.readyCE()
        client = self.ask()
        told = self.dismissals(ce)
        end = ceCredentials(SITE).certificate.not_valid_after_utc
        left = (end - self.authenticator.now()).total_seconds()
        self.spend(5)
        self.offset += (left - 60) * (DAY / 86400)
        self.spend(50)
        self.assertIsNone(ce.reason)
        self.spend(limits.CERTIFICATE_LOOK)
        self.assertIn(f"is valid until {end:%Y-%m-%d %H:%M} UTC, and no newer one", told[0])
        self.assertIsNotNone(ce.reason)
        self.assertEqual(self.proxy.sites, {})
        self.assertEqual(client.read(), [])
        self.assertEqual(len(self.proxy.sessions), 1)

    def test_exactly(self) -> None:
        """
        A clock that nobody moves has the second right.
        """
        left = 7000.0
        self.offset += (
            ceCredentials(SITE).certificate.not_valid_after_utc - self.authenticator.now()
        ) - left * (DAY / 86400)
        ce = self.readyCE()
        told = self.dismissals(ce)
        self.spend(left - 5)
        self.assertEqual((told, ce.reason), ([], None))
        with capturedLogs() as logs:
            self.spend(10)
        self.assertEqual(len(told), 1)
        self.assertIsNotNone(ce.reason)
        self.assertIn(f"Site {SITE}: closed: the CE's certificate is valid until", sentences(logs))

    def test_renewed(self) -> None:
        """
        A CE that has dialled with a newer certificate is not closed.
        """
        self.readyCE()
        other = self.readyCE()  # its first connection is dropped
        self.spend(10)
        self.assertIsNone(other.reason)
        self.assertEqual(len(self.proxy.sites), 1)

    def test_expired(self) -> None:
        """
        One that has expired within the grace proves who the CE is, and is good for neither
        Hello nor anything after it.
        """
        late = ceCredentials(expired=True)
        ce, connection = self.dialCE(
            options=clientOptions(late, HOST), proxyOptions=self.options(grace=1e9)
        )
        assert connection.identity is not None
        self.assertEqual(connection.identity.canonical, f"{SITE}@site.rvgahp")
        self.assertIn("expired on", connection.untimely)
        failure = self.failureResultOf(ce.hello(), NotAuthorized)
        self.assertIn("is good for its own renewal only", str(failure.value))
        self.failureResultOf(ce.list("s"), NotAuthorized)
        self.assertEqual(self.proxy.sites, {})
        self.end(ce)

    def test_early(self) -> None:
        """
        One that is not valid yet is as good, and both sides are told of clocks.
        """
        self.offset -= 20 * DAY
        ce, connection = self.dialCE()
        assert connection.identity is not None
        with capturedLogs() as logs:
            failure = self.failureResultOf(ce.hello(), NotAuthorized)
        words = f"at the proxy it is {self.authenticator.now():%Y-%m-%d %H:%M} UTC: are both clocks"
        self.assertIn(words, str(failure.value))
        self.assertIn(words, sentences(logs))
        self.assertEqual(self.proxy.sites, {})
        self.end(ce)

    def test_setBack(self) -> None:
        """
        Where the clock is set back while a site is connected, that stays.
        """
        ce = self.readyCE()
        self.offset -= 400 * DAY
        self.spend(3 * limits.CERTIFICATE_LOOK)
        self.assertIsNone(ce.reason)

    def test_told(self) -> None:
        """
        Who is told to look sees the end at once, and says it once.
        """
        ce = self.readyCE()
        told = self.dismissals(ce)
        (site,) = self.proxy.sites.values()
        self.assertEqual(site.look(), "")
        self.offset += 100 * DAY
        self.assertIn("no newer one has come", site.look())
        self.assertEqual(site.look(), "")
        self.settle()
        self.assertEqual(len(told), 1)
        self.assertIsNotNone(ce.reason)

    def test_notExpired(self) -> None:
        """
        Others are not expired, with or without a certificate.
        """
        (ce, connection), (other, none) = self.dialCE(), self.anonymous()
        self.assertEqual(connection.untimely, "")
        self.assertEqual(none.untimely, "")
        self.end(ce, other)

    def test_proxyCertificate(self) -> None:
        """
        A proxy certificate ends before its owner's does.
        """
        ce, connection = self.dial(self.user.proxy(lifetime=DAY / 4))
        self.assertEqual(connection.untimely, "")
        self.offset += DAY / 3
        self.assertIn("expired on", connection.untimely)
        self.end(ce)
