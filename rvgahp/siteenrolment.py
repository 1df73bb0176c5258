# -*- test-case-name: tests.test_enrolment -*-
"""
What a CE may ask of the proxy about its certificate, over its control connection.
C{doc/protocol.rst}, steps 2a and 2b.

Layer 4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp import commands, enrolmentlimits
from rvgahp.control import ControlConnection, Responders
from rvgahp.errors import NotAuthorized, RvgahpError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from rvgahp.proxy import Proxy


class EnrolledSite(Responders):
    """
    The part of a L{rvgahp.siteconnection.SiteConnection} that has to do with its
    certificate.

    @ivar certificate: what it showed; L{None}: nothing, or TLS is not set up yet.
    @ivar hasAnswer: it has got a certificate, or the log says why not, or why it may not say
        Hello.
    """

    log = Logger()
    _proxy: Proxy
    control: ControlConnection
    site: str
    address: str
    certificate: Certificate | None = None
    hasAnswer = False
    _ends = 0.0
    _watch: Any = None

    @commands.Enrol.responder
    def enrol(self, secret: bytes, request: bytes) -> dict[str, Any]:
        # Whatever comes of it, this connection is good for nothing else.
        self._proxy.reactor.callLater(0, self.control.close)
        if self.certificate is not None:
            raise NotAuthorized("who shows a certificate is enrolled already")
        answer: dict[str, Any] = self._logged(self._proxy.enrolment.enrol, secret, request)
        return answer

    @commands.RenewCertificate.responder
    def renewCertificate(self, request: bytes) -> dict[str, Any]:
        if self.certificate is None or not self.site:
            raise NotAuthorized("who shows no certificate can renew none")
        enrolment = self._proxy.enrolment
        answer: dict[str, Any] = self._logged(enrolment.renew, self.site, self.certificate, request)
        # By the time that it ends, this connection could be one with the new certificate.
        lifetime: int = self._proxy.settings.get("RVGAHP_CERTIFICATE_LIFETIME")
        self._ends = time.time() + lifetime
        return answer

    def checkCertificate(self) -> None:
        """
        See that the site may come with this certificate.

        @raise NotAuthorized: it may not.
        """
        self._logged(self._proxy.enrolment.checkHello, self.site, self.certificate)

    def _logged(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """
        @return: the answer to a question, of which the log has the refusal.
        """
        self.hasAnswer = True
        try:
            return question(*arguments)
        except RvgahpError as e:
            self.log.warn(
                "CE at {address}: refused: {problem}",
                address=f"{self.address}, site {self.site}" if self.site else self.address,
                problem=e,
            )
            raise

    def watchCertificate(self) -> None:
        """
        Hello has been accepted: the connection ends with the certificate, unless that is
        renewed.
        """
        if self.certificate is not None:
            self._ends = max(self._ends, self.certificate.not_valid_after_utc.timestamp())
            self._look()

    def unwatchCertificate(self) -> None:
        """
        The connection has ended.
        """
        if self._watch is not None and self._watch.active():
            self._watch.cancel()

    def _look(self) -> None:
        left = self._ends - time.time()
        if left > 0:
            delay = min(left, enrolmentlimits.CERTIFICATE_POLL)
            self._watch = self._proxy.reactor.callLater(delay, self._look)
            return
        self.log.warn(
            "Site {site}: its certificate has ended and was not renewed; disconnected",
            site=self.site,
        )
        self.control.close()
