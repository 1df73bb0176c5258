# -*- test-case-name: tests.test_certificaterenewal -*-
"""
The CE's certificate: renewed by the proxy before it ends, or soon after, with a new key each
time.  C{doc/protocol.rst}, step 2b.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import commands, enrolmentlimits
from rvgahp.certificaterequests import makeRequest, readAnswer
from rvgahp.certificates import BACKDATED, makeKey, renewalTime, siteOf
from rvgahp.control import ControlConnection
from rvgahp.credentials import Credentials, loadCredentials
from rvgahp.errors import CredentialError, NotAuthorized
from rvgahp.files import readFile, writeFile
from rvgahp.keyexchange import PUBLIC, exchange, pemOf
from rvgahp.logrecord import BoundLogger
from rvgahp.peerchain import Validity
from rvgahp.settings import Settings
from rvgahp.trust import Trust, certificatesIn
from rvgahp.waysettings import placeIn

__all__ = ["CertificateRenewal"]

#: How far the time of a renewal is from its mean, at the most: sites that were enrolled
#: together do not come together.
_JITTER = 0.1


class CertificateRenewal:
    """
    Sees to it that a CE has a certificate that is good.

    @ivar credentials: those in force.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        credentials: Credentials,
        random: Random,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        """
        @param credentials: those that were read at the start.
        @param now: tells the time.
        """
        self._reactor = reactor
        self._files = [
            settings.get(name) for name in ("RVGAHP_CERTFILE", "RVGAHP_KEYFILE", "RVGAHP_CAFILE")
        ]
        self.log = BoundLogger(self.log, proxy=placeIn(settings))
        self._grace = timedelta(seconds=settings.get("RVGAHP_RENEWAL_GRACE"))
        self._random = random
        self._now = now
        self._failures = 0
        self._rest = 0.0
        self._timer: Any = None
        self._control: ControlConnection | None = None
        self._isAsking = False
        self._take(credentials)

    def _take(self, credentials: Credentials) -> None:
        self.credentials = credentials
        certificate = credentials.certificate
        begin = certificate.not_valid_before_utc + BACKDATED
        share = self._random.uniform(1 - _JITTER, 1 + _JITTER)
        self._due = begin + (renewalTime(certificate) - begin) * share
        self._lifetime = (certificate.not_valid_after_utc - begin).total_seconds()

    @property
    def validity(self) -> Validity:
        """
        That of the certificate.
        """
        certificate = self.credentials.certificate
        return Validity.of(certificate, bool(_siteOf(certificate)))

    @property
    def isExpired(self) -> bool:
        """
        Whether the validity of the certificate is over.
        """
        return self._now() > self.credentials.certificate.not_valid_after_utc

    @property
    def isEarly(self) -> bool:
        """
        Whether it has not begun, by a clock that is behind, or was ahead.
        """
        return self._now() < self.credentials.certificate.not_valid_before_utc

    @property
    def isUntimely(self) -> bool:
        """
        Whether the certificate will do for nothing but its renewal.  One of the site's own PKI
        is renewed there.
        """
        isOurs = bool(_siteOf(self.credentials.certificate))
        return isOurs and (self.isExpired or self.isEarly)

    def reread(self) -> Credentials:
        """
        The CE is about to dial: take what lies in the files, which others may have changed
        (C{rvgahp join --replace}).

        @return: what is in force then.
        """
        try:
            cert, key, ca = self._files
            found = loadCredentials(cert, key, ca, "ce", self._now(), self._grace)
            if _siteOf(found.certificate) != _siteOf(self.credentials.certificate):
                raise CredentialError(
                    f"The certificate {self._files[0]} is of another site by now: restart the CE."
                )
        except CredentialError as e:
            self.log.warn("Going on with the credentials of before: {reason}", reason=e)
            return self.credentials
        if found != self.credentials:
            self._take(found)
        return found

    # -- when ---------------------------------------------------------------

    def connected(self, control: ControlConnection) -> None:
        """
        The proxy has accepted us.
        """
        self.disconnected()
        if not _siteOf(self.credentials.certificate):
            return  # the site's own PKI renews it
        self._control = control
        self.look()

    def look(self) -> None:
        """
        See at once whether it is time: somebody may have set the clock.
        """
        if self._control is None or self._isAsking:
            return
        self._rest = 0.0
        self._cancel()
        self._wait()

    def disconnected(self) -> None:
        """
        The connection is lost, or the CE ends.
        """
        self._control = None
        self._isAsking = False
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    @property
    def _left(self) -> float:
        """
        Seconds until the certificate is to be renewed.
        """
        due = 0.0 if self.isEarly else (self._due - self._now()).total_seconds()
        rest: float = self._rest - self._reactor.seconds()
        return max(due, rest)

    def _wait(self) -> None:
        delay = max(0.0, min(self._left, enrolmentlimits.CERTIFICATE_POLL))
        self._timer = self._reactor.callLater(delay, self._look)

    def _look(self) -> None:
        if self._left > 0:
            self._wait()
        elif self._control is not None:
            control = self._control
            self._isAsking = True
            self.renew(control).addCallbacks(
                self._renewed, self._notRenewed, (control,), errbackArgs=(control,)
            )

    def _renewed(self, _: object, control: ControlConnection) -> None:
        self._failures = 0
        # Not at once, whatever life the proxy gives it: their clocks may differ by more.
        self._rest = self._reactor.seconds() + self._longestPause()
        if control is self._control:
            self._isAsking = False
            self._wait()

    def _notRenewed(self, failure: Failure, control: ControlConnection) -> None:
        if control is not self._control:
            return  # the next connection will try
        self._isAsking = False
        if failure.check(NotAuthorized):
            # Not before the next connection: it would say the same.
            self.log.warn(
                "The certificate {path}, good until {end}, is not renewed by the proxy: {reason}",
                path=self._files[0],
                end=self.credentials.certificate.not_valid_after_utc,
                reason=failure.getErrorMessage(),
            )
            return
        delay = self._retryDelay()
        self.log.warn(
            "The certificate {path}, good until {end}, was not renewed: {reason}; trying again in"
            " {delay:.1f} s",
            path=self._files[0],
            end=self.credentials.certificate.not_valid_after_utc,
            reason=failure.getErrorMessage(),
            delay=delay,
        )
        self._rest = self._reactor.seconds() + delay
        self._wait()

    def _retryDelay(self) -> float:
        grown = enrolmentlimits.CERTIFICATE_RETRY_FIRST * 2.0 ** min(self._failures, 16)
        self._failures += 1
        return min(grown, self._longestPause()) * self._random.uniform(0.5, 1.0)

    def _longestPause(self) -> float:
        part = max(
            self._lifetime / enrolmentlimits.CERTIFICATE_RETRY_PARTS,
            enrolmentlimits.CERTIFICATE_PAUSE,
        )
        return min(enrolmentlimits.CERTIFICATE_RETRY_LONGEST, part)

    # -- how ----------------------------------------------------------------

    def renew(self, control: ControlConnection) -> Deferred[None]:
        """
        Have the certificate renewed, now, and use it from the next connection on.

        @return: fires when the files are written; fails with L{NotAuthorized} if the proxy
            refuses, with L{CredentialError} if its answer or a file is no good, or as a call
            may fail.
        """
        if self.isExpired:
            self.log.warn(
                "The certificate {path} has ended, on {end}; asking the proxy for another",
                path=self._files[0],
                end=self.credentials.certificate.not_valid_after_utc,
            )
        elif self.isEarly:
            self.log.warn(
                "The certificate {path} is not valid before {begin}: is this machine's clock right?"
                " Asking the proxy for another",
                path=self._files[0],
                begin=self.credentials.certificate.not_valid_before_utc,
            )
        key = makeKey()
        asked = control.caller.call(commands.RenewCertificate, request=makeRequest(key))
        return asked.addCallback(self._answered, key)

    def _answered(self, answer: dict[str, bytes], key: ec.EllipticCurvePrivateKey) -> None:
        pem, authorities = answer["certificate"], answer["authorities"]
        certificate = readAnswer(pem, authorities, key, self._now())
        site = siteOf(certificate)
        if site != siteOf(self.credentials.certificate):
            raise CredentialError(f"What the proxy sent is a certificate of another site, {site}.")
        certFile, keyFile, caFile = self._files
        if not _areKnown(authorities, self.credentials.caPEM):
            # Who has the proxy's key for a time shall not be believed for ever.
            authorities = self.credentials.caPEM
            self.log.warn(
                "The proxy names an authority (CA) that none in {path} has signed, and it is not"
                " believed: if its administrator says that it is right, put it there by hand",
                path=caFile,
            )
        if authorities != self.credentials.caPEM and authorities != readFile(caFile):
            writeFile(caFile, authorities, PUBLIC, replace=True)
        exchange(certFile, keyFile, self.credentials.keyPEM, pemOf(key), pem)
        self._take(Credentials(pem, pemOf(key), authorities, certificate))
        self.log.info(
            "The certificate has been renewed and is good until {end}: {path}",
            end=certificate.not_valid_after_utc,
            path=certFile,
        )


def _areKnown(authorities: bytes, known: bytes) -> bool:
    """
    @param authorities: in PEM, as all here.
    @return: whether each of them is known, or signed by one that is.
    """
    trust = Trust(certificatesIn(known))
    return all(one in trust.ours or trust.hasSigned(one) for one in certificatesIn(authorities))


def _siteOf(certificate: x509.Certificate) -> str:
    """
    @return: the site that it is for; empty if it names none, as those of a site's own PKI.
    """
    try:
        return siteOf(certificate)
    except CredentialError:
        return ""
