# -*- test-case-name: tests.test_authentication -*-
"""
How a CE proves to the proxy who it is: the choice of a method, and its exchange, on both
sides.  C{doc/protocol.rst}, step 3.

Layer 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, limits
from rvgahp.canonicalnames import CanonicalNames, refuseReserved
from rvgahp.errors import InternalError, NotAuthorized, RvgahpError
from rvgahp.iauthentication import AuthenticationContext, Identity, Proof
from rvgahp.mapfile import problemWith
from rvgahp.methodtable import find, isMethodName
from rvgahp.names import SITE_DOMAIN
from rvgahp.tls import peerOf, utcNow

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection

__all__ = ["Authenticator", "ServerAuthentication", "authenticate", "contextOf"]


def contextOf(
    connection: Connection, settings: Any, host: str, address: str
) -> AuthenticationContext:
    """
    @param connection: TLS, after its handshake.
    @param host: the proxy's, as it was dialled.
    @param address: the other side's.
    @return: what an exchange over this connection may know.
    @raise rvgahp.errors.CredentialError: the other side's certificate cannot be read.
    """
    return AuthenticationContext(
        settings, host, peerOf(connection), address, connection.export_keying_material
    )


class Authenticator:
    """
    What the proxy goes by.

    @ivar methods: the methods that it takes, the best first.
    @ivar names: makes canonical names.
    @ivar now: tells the time, with its zone.
    @ivar edition: how often L{adopt} was called.
    """

    def __init__(
        self,
        methods: Sequence[Any],
        names: CanonicalNames,
        now: Callable[[], datetime] = utcNow,
    ) -> None:
        self.methods = methods
        self.names = names
        self.now = now
        self.edition = 0

    def adopt(self, methods: Sequence[Any], names: CanonicalNames) -> None:
        """
        The proxy has read its files again: other certificates may count, too.
        """
        self.methods = methods
        self.names = names
        self.edition += 1

    def choose(self, offered: Sequence[str]) -> Any:
        """
        @return: the first of our methods that is among those.
        @raise NotAuthorized: there is none, or these are no names of methods.
        """
        if not 0 < len(offered) <= limits.AUTHENTICATION_METHODS or not all(
            map(isMethodName, offered)
        ):
            raise NotAuthorized("the list of methods in Authenticate makes no sense")
        for method in self.methods:
            if method.name in offered:
                return method
        raise NotAuthorized(
            f"the CE can be authenticated by {', '.join(offered)}, and the proxy takes"
            f" {', '.join(one.name for one in self.methods)}: change"
            " SEC_DEFAULT_AUTHENTICATION_METHODS at one of them"
        )

    def identify(self, method: str, proof: Proof, context: AuthenticationContext) -> Identity:
        """
        @raise NotAuthorized: the CE can have no such name.
        """
        problem = problemWith(proof.principal)
        if problem:
            raise NotAuthorized(problem)
        if proof.canonical:
            canonical, rule = proof.canonical, proof.rule or f"built in: method {method}"
            if context.peer is None or canonical != f"{context.peer.site}@{SITE_DOMAIN}":
                refuseReserved(canonical)
        else:
            canonical, rule = self.names.of(method, proof.principal)
        isMapped = not proof.canonical
        return Identity(method, proof.principal, canonical, context.address, rule, isMapped)


class ServerAuthentication:
    """
    The proxy's end of one CE's authentication.

    @ivar identity: who the CE is, once that is proved.
    """

    def __init__(self, authenticator: Authenticator, context: AuthenticationContext) -> None:
        self._authenticator = authenticator
        self._context = context
        self._isBegun = False
        self._method: Any = None
        self._exchange: Any = None
        self._asked: Deferred[Any] | None = None
        self._rounds = 0
        self.identity: Identity | None = None

    def begin(self, methods: Sequence[str], data: bytes) -> Deferred[dict[str, Any]]:
        """
        @return: fires with the answer to C{Authenticate}; fails, as all here, with
            L{NotAuthorized}.
        """
        if self._isBegun:
            raise NotAuthorized("Authenticate has been called already; dial again")
        self._isBegun = True
        self._method = self._authenticator.choose(methods)
        self._exchange = self._method.server(self._context)
        name = {"method": self._method.name}
        if methods[0] != self._method.name:
            return succeed({**name, "data": b"", "done": False})
        return self._step(data).addCallback(lambda answer: {**name, **answer})

    def more(self, data: bytes) -> Deferred[dict[str, Any]]:
        """
        @return: fires with the answer to C{AuthenticateMore}.
        """
        self._rounds += 1
        if self._exchange is None:
            raise NotAuthorized("AuthenticateMore is not expected now")
        if self._rounds > limits.AUTHENTICATION_ROUNDS:
            self._exchange = None
            raise NotAuthorized(
                f"authentication was not done after {limits.AUTHENTICATION_ROUNDS} messages"
            )
        return self._step(data)

    def cancel(self) -> None:
        """
        The connection has ended.
        """
        self._exchange = None
        if self._asked is not None:
            self._asked.cancel()

    def _step(self, data: bytes) -> Deferred[dict[str, Any]]:
        # None while an answer is waited for, and after a failure.
        exchange, self._exchange = self._exchange, None
        if len(data) > limits.AUTHENTICATION_BYTES:
            raise NotAuthorized(
                f"a message of authentication has more than {limits.AUTHENTICATION_BYTES} bytes"
            )
        asked = self._asked = maybeDeferred(exchange.received, data)
        asked.addBoth(self._heard)
        asked.addCallbacks(lambda result: self._answer(result, exchange), _refused)
        return asked

    def _heard(self, result: Any) -> Any:
        self._asked = None
        return result

    def _answer(self, result: object, exchange: Any) -> dict[str, Any]:
        if isinstance(result, Proof):
            answer = {"data": _checked(result.data), "done": True}
            identify = self._authenticator.identify
            self.identity = identify(self._method.name, result, self._context)
            return answer
        self._exchange = exchange
        return {"data": _checked(result), "done": False}


def _checked(data: object) -> bytes:
    """
    @raise TypeError: a plugin has a bug.
    """
    if not isinstance(data, bytes) or len(data) > limits.AUTHENTICATION_BYTES:
        raise TypeError(
            f"an exchange gave {type(data).__name__} in place of bytes, or more than"
            f" {limits.AUTHENTICATION_BYTES}"
        )
    return data


def _refused(failure: Failure) -> Failure:
    if failure.check(CancelledError):
        raise NotAuthorized("the connection has ended")
    if failure.check(RvgahpError):
        raise NotAuthorized(failure.getErrorMessage())
    return failure


async def _ask(method: Any, function: Callable[..., Any], *arguments: bytes) -> Any:
    """
    Ask the CE's end of an exchange.

    @raise InternalError: it has a bug.
    """
    try:
        return await maybeDeferred(function, *arguments)
    except (RvgahpError, CancelledError):
        raise
    except Exception:
        Logger().failure("A bug in authentication method {name}", name=method.name)
        raise InternalError(
            f"authentication method {method.name} has a bug here; the log has the details"
        ) from None


async def authenticate(
    call: Callable[..., Deferred[dict[str, Any]]],
    methods: Sequence[Any],
    context: AuthenticationContext,
) -> str:
    """
    The CE's end.

    @param call: calls the proxy's commands.
    @param methods: the methods that the CE can use, the best first.
    @return: the name of the method by which the proxy knows us now.
    @raise NotAuthorized: it does not, or what it says makes no sense, or it has not proved
        who it is.  Calls fail in their own ways, too.
    """
    first = methods[0]
    exchange = first.client(context)
    data = _checked(await _ask(first, exchange.begin))
    names = [one.name for one in methods]
    answer = await call(commands.Authenticate, methods=names, data=data)
    chosen = find(methods, answer["method"])
    if chosen is None:
        raise NotAuthorized(
            f"it wants authentication method {answer['method'][:80]!a}, which was not offered"
        )
    if chosen is not first:
        if answer["data"] or answer["done"]:
            raise NotAuthorized("it has chosen a method, and says more than that")
        exchange = chosen.client(context)
        data = _checked(await _ask(chosen, exchange.begin))
        answer = await call(commands.AuthenticateMore, data=data)
    rounds = 0
    while not answer["done"]:
        rounds += 1
        if rounds >= limits.AUTHENTICATION_ROUNDS:
            raise NotAuthorized(f"authentication was not done after {rounds} messages")
        data = _checked(await _ask(chosen, exchange.received, answer["data"]))
        answer = await call(commands.AuthenticateMore, data=data)
    await _ask(chosen, exchange.ended, answer["data"])
    name: str = chosen.name
    return name
