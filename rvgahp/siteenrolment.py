# -*- test-case-name: tests.test_enrolment -*-
"""
What a CE may ask of the proxy about its certificate, over its control connection.
C{doc/protocol.rst}, steps 2a and 2b.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp import commands
from rvgahp.control import ControlConnection
from rvgahp.errors import Busy, NotAuthorized, RvgahpError, WrongCode
from rvgahp.siteauthentication import SiteAuthentication
from rvgahp.watch import peerFields

if TYPE_CHECKING:
    from rvgahp.proxy import Proxy


class EnrolledSite(SiteAuthentication):
    """
    The part of a L{rvgahp.siteconnection.SiteConnection} that has to do with its enrolment.

    @ivar since: when Hello was accepted, in seconds since 1970; 0 before.
    @ivar hasAnswer: it has got a certificate, or the log says why not, or why it may not say
        Hello.
    @ivar fault: what its end counts as before Hello (L{rvgahp.penalties}); empty: as nothing.
    """

    log = Logger()
    _proxy: Proxy
    control: ControlConnection
    since = 0.0
    hasAnswer = False
    fault = "gone"

    @commands.Enrol.responder
    def enrol(self, secret: bytes, request: bytes) -> dict[str, Any]:
        # Whatever comes of it, this connection is good for nothing else.
        self._proxy.reactor.callLater(0, self.control.close)
        self.fault = "hello"
        if self.chain is not None:
            raise NotAuthorized("who shows a certificate is enrolled already")
        try:
            answer: dict[str, Any] = self._logged(self._proxy.enrolment.enrol, secret, request)
        except WrongCode:
            self.fault = "code"
            raise
        except Busy:
            self.fault = ""  # not his
            raise
        self.fault = ""
        audit, site = self._proxy.watch.audit, answer["site"]
        audit.record("enrol", decision="allowed", site=site, **peerFields(self))
        return answer

    @commands.RenewCertificate.responder
    def renewCertificate(self, request: bytes) -> dict[str, Any]:
        if not self.since:
            self.checkCurrent()
        if self.identity is None:
            raise NotAuthorized("Authenticate comes first")
        if self.chain is None or not self.chain.site:
            raise NotAuthorized("who shows no certificate of ours can renew none")
        renew, chain = self._proxy.enrolment.renew, self.chain
        answer: dict[str, Any] = self._logged(renew, chain.site, chain.endEntity, request)
        self.fault = ""
        audit = self._proxy.watch.audit
        audit.record("renew", decision="allowed", site=chain.site, **peerFields(self))
        # By the time that it ends, this connection could be one with the new certificate.
        lifetime = timedelta(seconds=self._proxy.settings.get("RVGAHP_CERTIFICATE_LIFETIME"))
        self.until = max(self.chain.end, self._authenticator.now() + lifetime)
        return answer

    def checkCertificate(self, site: str) -> None:
        """
        See that a site may come with what this CE has shown.

        @raise NotAuthorized: it may not.
        """
        certificate = self.chain.endEntity if self.chain is not None else None
        self._logged(self._proxy.enrolment.checkHello, site, certificate)

    def _logged(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """
        @return: the answer to a question, of which the log has the refusal.
        """
        self.hasAnswer = True
        try:
            return question(*arguments)
        except RvgahpError as e:
            self.warn("CE at {address}: refused: {what}", str(e))
            raise
