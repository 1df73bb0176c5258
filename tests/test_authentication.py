"""
Tests of L{rvgahp.authentication}: both ends with nothing between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands, limits
from rvgahp.authentication import Authenticator, ServerAuthentication, authenticate
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.errors import CredentialError, InternalError, NotAuthorized
from rvgahp.iauthentication import AuthenticationContext, Identity, Proof
from rvgahp.mapfile import parse
from rvgahp.peerchain import PeerChain
from rvgahp.sslmethod import SSLMethod
from tests.authplugin import secretMethod
from tests.identities import SITE, authority, ceCredentials
from tests.pki import SiteCA

OURS = authority("ours").certificate
SITE_CA = SiteCA()

NAMES = CanonicalNames(
    parse(b'SECRET "(.*)" \\1@secret.example\nLONG .* long@example.org\n', "/map"), "example.org"
)


def ours() -> PeerChain:
    return PeerChain([ceCredentials().certificate, OURS], [OURS])


def context(peer: PeerChain | None = None, connection: bytes = b"one") -> AuthenticationContext:
    """
    @param connection: tells it from others.
    """
    return AuthenticationContext(
        None, "proxy.example.org", peer, "192.0.2.7", lambda label, size: (connection * size)[:size]
    )


class Long:
    """
    A method of as many messages as its ends like.
    """

    name = "LONG"

    def __init__(
        self,
        answer: Callable[[bytes], Any] = lambda data: data,
        more: Callable[[bytes], Any] = lambda data: data,
        ended: Callable[[bytes], Any] = lambda data: None,
        begin: Callable[[], Any] = lambda: b"x",
    ) -> None:
        self.received = answer
        self.more = more
        self.ended = ended
        self.begin = begin

    def problem(self, settings: Any) -> str:
        return ""

    def server(self, context: AuthenticationContext) -> Any:
        return self

    def client(self, context: AuthenticationContext) -> Any:
        return Long(self.more, ended=self.ended, begin=self.begin)


class ExchangeTestCase(SynchronousTestCase):
    """
    A proxy's end and a CE's.
    """

    def serve(
        self, *methods: Any, peer: PeerChain | None = None, connection: bytes = b"one"
    ) -> ServerAuthentication:
        self.server = ServerAuthentication(Authenticator(methods, NAMES), context(peer, connection))
        self.calls: list[Any] = []
        return self.server

    def call(self, command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        The CE calls.
        """
        self.calls.append(command)
        if command is commands.Authenticate:
            return maybeDeferred(self.server.begin, arguments["methods"], arguments["data"])
        return maybeDeferred(self.server.more, arguments["data"])

    def ask(self, *methods: Any, connection: bytes = b"one") -> Deferred[str]:
        return ensureDeferred(authenticate(self.call, methods, context(None, connection)))

    def identity(self, *methods: Any) -> Identity:
        """
        @return: as whom the CE is known when all is done.
        """
        name = self.successResultOf(self.ask(*methods))
        assert self.server.identity is not None
        self.assertEqual(self.server.identity.method, name)
        return self.server.identity

    def assertFails(
        self, words: str, *methods: Any, error: Any = NotAuthorized, **ask: Any
    ) -> None:
        failure = self.failureResultOf(self.ask(*methods, **ask), error)
        self.assertIn(words, str(failure.value))


class ChoiceTests(ExchangeTestCase):
    """
    Which method.
    """

    def test_proxysOrder(self) -> None:
        """
        The proxy's order counts; where the CE's first message was for the chosen method there is
        one call, else one more.
        """
        secret = secretMethod({"ce-1": "s"})
        self.serve(SSLMethod(), secret, peer=ours())
        self.assertEqual(self.identity(SSLMethod(), secret).method, "SSL")
        self.assertEqual(len(self.calls), 1)
        self.serve(SSLMethod(), secret, peer=ours())
        self.assertEqual(self.identity(secret, SSLMethod()).method, "SSL")
        self.assertEqual(self.calls, [commands.Authenticate, commands.AuthenticateMore])
        self.serve(secret, SSLMethod(), peer=ours())
        self.assertEqual(self.identity(SSLMethod(), secret).method, "SECRET")
        self.assertEqual(len(self.calls), 4)

    def test_firstMessageUnread(self) -> None:
        """
        A message that was for another method is not given to the chosen one.
        """
        seen: list[bytes] = []
        self.serve(Long(lambda data: seen.append(data) or Proof("x")))  # type: ignore[func-returns-value]  # the first is None
        answer = self.successResultOf(self.server.begin(["OTHER", "LONG"], b"for OTHER"))
        self.assertEqual(answer, {"method": "LONG", "data": b"", "done": False})
        self.assertEqual(seen, [])
        answer = self.successResultOf(self.server.more(b"for LONG"))
        self.assertEqual((answer, seen), ({"data": b"", "done": True}, [b"for LONG"]))

    def test_none(self) -> None:
        """
        Where there is no common one, the sentence has both lists.
        """
        self.serve(SSLMethod())
        self.assertFails("by SECRET, and the proxy takes SSL", secretMethod({"x": "y"}))
        self.assertIsNone(self.server.identity)

    def test_rubbish(self) -> None:
        """
        Lists that are none are refused.
        """
        for offered in ([], ["ssl"], ["SSL", ""], ["SSL"] * 17, ["SSL\n"], ["X" * 33, "SSL"]):
            self.serve(SSLMethod(), peer=ours())
            e = self.assertRaises(NotAuthorized, self.server.begin, offered, b"")
            self.assertIn("makes no sense", str(e))
            self.assertRaises(NotAuthorized, self.server.begin, ["SSL"], b"")
            self.assertIsNone(self.server.identity)


class SecretTests(ExchangeTestCase):
    """
    The page's example: three messages, and both sides are sure of each other.
    """

    def test_good(self) -> None:
        """
        Who knows the secret is known; its name comes from the map.
        """
        self.serve(secretMethod({"ce-1": "s", "ce-2": "t"}))
        identity = self.identity(secretMethod({"ce-2": "t"}))
        self.assertEqual(identity[:4], ("SECRET", "ce-2", "ce-2@secret.example", "192.0.2.7"))
        self.assertIn("/map:1:", identity.rule)
        self.assertEqual(len(self.calls), 3)

    def test_wrong(self) -> None:
        """
        Nobody else is.
        """
        for secrets in ({"ce-1": "t"}, {"ce-9": "s"}, {"": "s"}):
            self.serve(secretMethod({"ce-1": "s"}))
            name, secret = next(iter(secrets.items()))
            self.assertFails("does not know the secret", secretMethod({name: secret}))
            self.assertIsNone(self.server.identity)

    def test_relayed(self) -> None:
        """
        Who passes on messages between two connections gains nothing: they are bound to one.
        """
        self.serve(secretMethod({"ce-1": "s"}), connection=b"theirs")
        self.assertFails("does not know the secret", secretMethod({"ce-1": "s"}))

    def test_wrongProxy(self) -> None:
        """
        A proxy that does not know the secret is refused, whatever it answers and whenever it
        says that it is done.
        """
        for answer in (
            lambda data: Proof("x"),
            lambda data: Proof("x", bytes(32)),
            lambda data: bytes(32),
        ):
            impostor = Long(answer)
            impostor.name = "SECRET"
            self.serve(impostor)
            failure = self.failureResultOf(self.ask(secretMethod({"ce-1": "s"})), NotAuthorized)
            self.assertIn("secret", str(failure.value))


class BoundTests(ExchangeTestCase):
    """
    What is too much, for both ends.
    """

    def test_rounds(self) -> None:
        """
        An endless exchange is ended by whoever first has had enough, and after 16 messages.
        """
        self.serve(Long())
        self.assertFails("was not done after 16 messages", Long())
        self.assertEqual(len(self.calls), 1 + limits.AUTHENTICATION_ROUNDS - 1)
        self.serve(Long())
        self.successResultOf(self.server.begin(["LONG"], b""))
        for _ in range(limits.AUTHENTICATION_ROUNDS):
            self.successResultOf(self.server.more(b"x"))
        for _ in range(3):
            self.assertRaises(NotAuthorized, self.server.more, b"x")
        self.assertIsNone(self.server.identity)

    def test_longest(self) -> None:
        """
        An exchange of as many messages as may be, each as long as may be, is good.
        """
        left = [limits.AUTHENTICATION_ROUNDS - 1]
        data = bytes(limits.AUTHENTICATION_BYTES)

        def answer(received: bytes) -> Any:
            left[0] -= 1
            return data if left[0] >= 0 else Proof("x")

        self.serve(Long(answer))
        self.assertEqual(self.identity(Long(begin=lambda: data)).principal, "x")
        self.assertEqual(left, [-1])

    def test_size(self) -> None:
        """
        Longer messages are refused, and end the exchange.
        """
        big = bytes(limits.AUTHENTICATION_BYTES + 1)
        self.serve(Long())
        self.assertRaises(NotAuthorized, self.server.begin, ["LONG"], big)
        self.assertRaises(NotAuthorized, self.server.more, b"")
        self.serve(Long())
        self.server.begin(["LONG"], b"")
        self.assertRaises(NotAuthorized, self.server.more, big)
        self.assertRaises(NotAuthorized, self.server.more, b"")

    def test_order(self) -> None:
        """
        Authenticate comes once and first, and each message when the one before it is answered.
        """
        self.serve(Long())
        self.assertRaises(NotAuthorized, self.server.more, b"")
        pending: Deferred[Any] = Deferred()
        self.serve(Long(lambda data: pending))
        asked = self.server.begin(["LONG"], b"")
        self.assertNoResult(asked)
        self.assertRaises(NotAuthorized, self.server.more, b"")
        self.assertRaises(NotAuthorized, self.server.begin, ["LONG"], b"")
        pending.callback(Proof("x", b"last"))
        self.assertEqual(
            self.successResultOf(asked), {"method": "LONG", "data": b"last", "done": True}
        )
        for again in (self.server.more, lambda data: self.server.begin(["LONG"], data)):
            self.assertRaises(NotAuthorized, again, b"")
        assert self.server.identity is not None

    def test_afterRefusal(self) -> None:
        """
        After a refusal there is no second try.
        """

        def refuse(data: bytes) -> bytes:
            raise NotAuthorized("no")

        self.serve(Long(refuse))
        self.failureResultOf(self.server.begin(["LONG"], b""), NotAuthorized)
        self.assertRaises(NotAuthorized, self.server.more, b"")
        self.assertRaises(NotAuthorized, self.server.begin, ["LONG"], b"")
        self.assertIsNone(self.server.identity)

    def test_cancelled(self) -> None:
        """
        When the connection ends, what an exchange waits for is cancelled; a late result changes
        nothing.
        """
        cancelled: list[Any] = []
        pending: Deferred[Any] = Deferred(cancelled.append)
        self.serve(Long(lambda data: pending))
        asked = self.server.begin(["LONG"], b"")
        self.server.cancel()
        self.assertEqual(cancelled, [pending])
        self.failureResultOf(asked, NotAuthorized)
        self.assertIsNone(self.server.identity)


class PluginTests(ExchangeTestCase):
    """
    Plugins of all sorts.
    """

    def test_asynchronous(self) -> None:
        """
        Either end may take its time, or be a coroutine.
        """
        waits: list[Deferred[bytes]] = []

        async def answer(data: bytes) -> Any:
            return Proof("x") if data == b"second" else b"go on"

        def more(data: bytes) -> Deferred[bytes]:
            waits.append(Deferred())
            return waits[-1]

        self.serve(Long(answer))
        asked = self.ask(Long(more=more))
        self.assertNoResult(asked)
        waits[0].callback(b"second")
        self.assertEqual(self.successResultOf(asked), "LONG")

    def test_refusals(self) -> None:
        """
        What an end of either side refuses is the reason on the CE's side.
        """

        def refuse(*_: object) -> bytes:
            raise NotAuthorized("the moon is full")

        for server, client in (
            (Long(refuse), Long()),
            (Long(), Long(begin=refuse)),
            (Long(), Long(more=refuse)),
            (Long(lambda data: Proof("x")), Long(ended=refuse)),
        ):
            self.serve(server)
            self.assertFails("the moon is full", client)

    def test_otherErrors(self) -> None:
        """
        Another of our errors at the proxy's end is a refusal, too.
        """

        def refuse(data: bytes) -> bytes:
            raise CredentialError("it is old")

        self.serve(Long(refuse))
        self.assertFails("it is old", Long())

    def test_bugs(self) -> None:
        """
        A plugin's bug is told in the log and authenticates nobody.
        """

        def bug(*_: object) -> bytes:
            raise ZeroDivisionError

        for client in (Long(begin=bug), Long(more=bug)):
            self.serve(Long())
            self.assertFails("has a bug here", client, error=InternalError)
        self.serve(Long(lambda data: Proof("x")))
        self.assertFails("has a bug here", Long(ended=bug), error=InternalError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        big = bytes(limits.AUTHENTICATION_BYTES + 1)
        for answer in ("text", None, big, ("x", b"", "a@b", ""), Proof("x", big), Proof("x", "y")):  # type: ignore[arg-type]  # it is wrong
            self.serve(Long(lambda data, answer=answer: answer))  # type: ignore[misc]  # a default
            self.failureResultOf(self.ask(Long()), TypeError)
            self.assertIsNone(self.server.identity)

    def test_principals(self) -> None:
        """
        A principal that is no proper text is nobody.
        """
        for principal in ("", "a\nb", "a\0b", "x" * 100000, "\udc80"):
            for canonical in ("", "a@example.org"):
                proof = Proof(principal, canonical=canonical)
                self.serve(Long(lambda data, proof=proof: proof))  # type: ignore[misc]  # a default
                self.assertFails("principal", Long())
                self.assertIsNone(self.server.identity)

    def test_canonical(self) -> None:
        """
        A method may know the canonical name itself, though never one of an enrolled site.
        """
        self.serve(Long(lambda data: Proof("p", canonical="a@b.example")))
        identity = self.identity(Long())
        self.assertEqual((identity.principal, identity.canonical), ("p", "a@b.example"))
        self.assertEqual(identity.rule, "built in: method LONG")
        for name in (f"{SITE}@site.rvgahp", "x@SITE.rvgahp"):
            for peer in (None, PeerChain([SITE_CA.issue("x").certificate], [OURS])):
                self.serve(Long(lambda data, name=name: Proof("p", canonical=name)), peer=peer)  # type: ignore[misc]  # a default
                self.assertFails("of the proxy's own authority", Long())
        self.serve(Long(lambda data: Proof("p", canonical="other@site.rvgahp")), peer=ours())
        self.assertFails("of the proxy's own authority", Long())


class HostileProxyTests(ExchangeTestCase):
    """
    A proxy that answers what it likes.
    """

    def answer(self, **values: Any) -> Any:
        """
        @return: what the CE makes of this answer to Authenticate.
        """

        def call(command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
            answer = {"method": "LONG", "data": b"", "done": False, **values}
            return maybeDeferred(lambda: answer)

        methods = [SSLMethod(), Long()]
        asked = ensureDeferred(authenticate(call, methods, context()))
        return str(self.failureResultOf(asked, NotAuthorized).value)

    def test_answers(self) -> None:
        """
        What was not offered is refused, and so is what makes no sense.
        """
        self.assertIn("which was not offered", self.answer(method="ANONYMOUS"))
        self.assertIn("which was not offered", self.answer(method=""))
        self.assertLess(len(self.answer(method="X" * 10000)), 200)
        self.assertIn("says more than that", self.answer(done=True))
        self.assertIn("says more than that", self.answer(data=b"x"))
        self.assertIn("has no messages", self.answer(method="SSL"))
        self.assertIn("not done after 16", self.answer())
