# -*- test-case-name: tests.test_siteauthentication -*-
"""
Who the CE of a control connection is, from TLS to Hello, and for how long that counts.
C{doc/protocol.rst}, steps 2 and 3.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, limits
from rvgahp.authentication import Authenticator, ServerAuthentication, contextOf
from rvgahp.control import Responders
from rvgahp.errors import Busy, NotAuthorized
from rvgahp.iauthentication import Identity
from rvgahp.peerchain import PeerChain

__all__ = ["SiteAuthentication"]


class SiteAuthentication(Responders):
    """
    What a CE may call before Hello.

    @ivar address: where it dialled from.
    @ivar chain: the certificates that it has shown, L{None} for none.
    @ivar until: when what it has shown ends, or what it has got in its place since.
    """

    log = Logger()

    def __init__(
        self, authenticator: Authenticator, settings: Any, clock: IReactorTime, address: str
    ) -> None:
        self._authenticator = authenticator
        self._settings = settings
        self._clock = clock
        self.address = address
        self._exchange: ServerAuthentication | None = None
        self._timer: Any = None
        self._over: Callable[[str], object] | None = None
        self._isTold = False
        self._edition = authenticator.edition
        self.chain: PeerChain | None = None
        self.until: datetime | None = None

    def readCertificate(self, transport: Any) -> None:
        """
        TLS is set up.

        @raise rvgahp.errors.CredentialError: what the CE has shown cannot be read.
        """
        connection = transport.getHandle()
        host = (connection.get_servername() or b"").decode("ascii", "replace")
        context = contextOf(connection, self._settings, host, self.address)
        self.chain = context.peer
        self.until = context.peer.end if context.peer is not None else None
        self._exchange = ServerAuthentication(self._authenticator, context)

    @property
    def identity(self) -> Identity | None:
        """
        Who the CE is, once it has proved that.
        """
        return self._exchange.identity if self._exchange is not None else None

    @property
    def canonical(self) -> str:
        """
        The canonical name of the CE, once it has proved that; empty before.
        """
        return self.identity.canonical if self.identity is not None else ""

    @property
    def untimely(self) -> str:
        """
        Why the certificate that the CE has shown is good for C{RenewCertificate} only; empty
        if it is valid now, or there is none.
        """
        now, chain = self._authenticator.now(), self.chain
        if chain is not None and chain.end <= now:
            return (
                f"the CE's certificate expired on {chain.end:%Y-%m-%d %H:%M} UTC, and is good for"
                f" its own renewal only; at the proxy it is {now:%Y-%m-%d %H:%M} UTC"
            )
        if chain is not None and now < chain.begin:
            return (
                f"the CE's certificate is not valid before {chain.begin:%Y-%m-%d %H:%M} UTC, and at"
                f" the proxy it is {now:%Y-%m-%d %H:%M} UTC: are both clocks right?"
            )
        return ""

    def checkCurrent(self) -> None:
        """
        See that what lets the CE in is what the proxy goes by today.  For one that has been
        let in a reload does so (L{rvgahp.proxyreload}).

        @raise Busy: the proxy has read its files again since the CE came.
        """
        if self._authenticator.edition != self._edition:
            raise Busy("the proxy has read its files again meanwhile; dial again")

    def checkAuthenticated(self) -> Identity:
        """
        @return: who the CE is.
        @raise NotAuthorized: it has not proved that, or its certificate is only good for
            being renewed.
        @raise Busy: as L{checkCurrent}.
        """
        self.checkCurrent()
        identity = self.identity
        if identity is None:
            raise NotAuthorized("Authenticate comes first")
        if self.untimely:
            raise NotAuthorized(self.untimely)
        return identity

    # -- the CE calls -------------------------------------------------------

    @commands.Authenticate.responder
    def authenticate(self, methods: list[str], data: bytes) -> Deferred[dict[str, Any]]:
        return self._told(lambda exchange: exchange.begin(methods, data))

    @commands.AuthenticateMore.responder
    def authenticateMore(self, data: bytes) -> Deferred[dict[str, Any]]:
        return self._told(lambda exchange: exchange.more(data))

    def _told(
        self, step: Callable[[ServerAuthentication], Deferred[dict[str, Any]]]
    ) -> Deferred[dict[str, Any]]:
        """
        Take a step; the first that is refused is told in the log, too.
        """
        assert self._exchange is not None  # no call comes before TLS is set up
        try:
            return step(self._exchange).addErrback(self._refused)
        except NotAuthorized:
            self._refused(Failure())
            raise

    def _refused(self, failure: Failure) -> Failure:
        if failure.check(NotAuthorized) and not self._isTold:
            self._isTold = True  # one who goes on and on shall not fill the log
            self.warn("CE at {address}: not authenticated: {what}", failure.getErrorMessage())
        return failure

    def warn(self, form: str, what: str) -> None:
        """
        Say something in the log that a stranger may have caused.

        @param form: has C{{address}}, the CE's, and C{{what}}.
        """
        self.log.warn(form, address=self.address, what=what)

    def misread(self, problem: str, kind: str) -> None:
        self.warn("CE at {address}: refused: {what}", f"{problem} ({kind})")

    # -- the end ------------------------------------------------------------

    def awaitEnd(self, over: Callable[[str], object]) -> None:
        """
        @param over: called with a sentence when the validity of what the CE has shown ends.
        """
        self._over = over
        self.look()

    def look(self) -> str:
        """
        See at once whether that is so.

        @return: the sentence, if it is.
        """
        self._cancel()
        if self.until is None or self._over is None:
            return ""
        left = (self.until - self._authenticator.now()).total_seconds()
        if left > 0:
            self._timer = self._clock.callLater(min(left, limits.CERTIFICATE_LOOK), self.look)
            return ""
        over, self._over = self._over, None
        sentence = (
            f"the CE's certificate is valid until {self.until:%Y-%m-%d %H:%M} UTC, and no newer"
            " one has come"
        )
        over(sentence)
        return sentence

    def _cancel(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def forget(self) -> None:
        """
        The connection has ended.
        """
        self._over = None
        self._cancel()
        if self._exchange is not None:
            self._exchange.cancel()
