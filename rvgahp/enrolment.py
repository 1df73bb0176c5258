# -*- test-case-name: tests.test_enrolment -*-
"""
Enrolment at the proxy: local users invite sites, sites get certificates and renew them,
and owners revoke them.  C{doc/protocol.rst}, steps 2a, 2b and 4b.

Layer 4.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rvgahp import enrolmentlimits
from rvgahp.certificaterequests import readRequest, spkiOf
from rvgahp.certificates import renewedLifetime
from rvgahp.closedenrolment import ClosedEnrolment
from rvgahp.errors import Busy, ConfigurationError, CredentialError, NoSuchSite, NotAuthorized
from rvgahp.invitecode import SECRET_BYTES, InviteCode
from rvgahp.names import checkSite
from rvgahp.registry import Registry
from rvgahp.registryentries import SiteEntry
from rvgahp.siteend import endSite

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate

    from rvgahp.hostidentity import HostIdentity
    from rvgahp.peercred import LocalUser
    from rvgahp.proxy import Proxy

__all__ = ["Enrolment"]


class Enrolment(ClosedEnrolment):
    """
    Of a proxy that does.
    """

    log = Logger()

    def __init__(
        self, proxy: Proxy, identity: HostIdentity, registry: Registry, place: tuple[str, int]
    ) -> None:
        """
        @param place: host and port that sites dial.
        """
        super().__init__()
        self._proxy = proxy
        self._identity = identity
        self.registry = registry
        self._place = place
        self._renewed: dict[str, float] = {}

    # -- local users --------------------------------------------------------

    def invite(self, user: LocalUser, site: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._proxy.watch.asked("invite", user, site, self._invite)
        return answer

    def _invite(self, user: LocalUser, site: str) -> dict[str, Any]:
        host, port = self._place
        owner = self._proxy.access.names.canonical(user)
        try:
            entry = self.registry.find(checkSite(site))
            if entry is not None:
                _checkInvite(entry, owner, _isAdministrator(user))
            if not _isAdministrator(user):
                self.registry.checkNeighbours(site, owner, user.name)
            self._identity.checkFor(host)
            secret = secrets.token_bytes(SECRET_BYTES)
            code = InviteCode(host, port, secret, self._identity.fingerprint)
            self.registry.invite(code.secret, site, owner, user.name)
        except (ConfigurationError, CredentialError) as e:
            raise NotAuthorized(str(e).rstrip(".")) from None
        self.log.info("Site {site}: invited by {owner}", site=site, owner=owner)
        watch = self._proxy.watch
        watch.audit.record("invite", decision="allowed", site=site, **watch.userFields(user))
        return {"code": code.encode(), "seconds": enrolmentlimits.INVITATION_LIFETIME}

    def revoke(self, user: LocalUser, site: str) -> Deferred[dict[str, Any]]:
        ended: Deferred[Any] = self._proxy.watch.asked("revoke", user, site, self._revoke)
        return ended

    def _revoke(self, user: LocalUser, site: str) -> Deferred[dict[str, Any]]:
        by = self._proxy.access.names.canonical(user)
        entry = self.registry.find(site)
        if entry is None:
            raise NoSuchSite(f"site {site[:80]!a} is not enrolled at this proxy")
        if entry.owner != by and not _isAdministrator(user):
            raise NotAuthorized(
                f"site {site} is not {by}'s; its owner, root or the proxy's account can revoke it"
            )
        # Whoever revokes once more what root has revoked may not thereby invite again.
        holder = by if _isAdministrator(user) else entry.revokedBy or by
        try:
            self.registry.revoke(site, holder)
        except CredentialError as e:
            raise NotAuthorized(str(e).rstrip(".")) from None
        self.log.info("Site {site}: revoked by {by}", site=site, by=by)
        watch = self._proxy.watch
        watch.audit.record("revoke", decision="allowed", site=site, **watch.userFields(user))
        ended: Deferred[Any] = endSite(self._proxy, site, f"site {site} was revoked by {by}")
        return ended.addCallback(lambda count: {"ended": count})

    # -- CEs ----------------------------------------------------------------

    def isRevoked(self, site: str) -> bool:
        return self.registry.isRevoked(site)

    def ownerOf(self, site: str) -> str | None:
        return self.registry.ownerOf(site)

    def enrolled(self) -> Collection[str]:
        return [name for name in self.registry.names() if self.registry.ownerOf(name) is not None]

    def acquainted(self) -> Collection[str]:
        find, isRevoked = self.registry.ownerOf, self.registry.isRevoked
        names = self.registry.names()
        return [name for name in names if find(name) is None and not isRevoked(name)]

    def isKnown(self, site: str) -> bool:
        return site in self.registry.names()

    def checkHello(self, site: str, certificate: Certificate | None) -> None:
        if certificate is not None and self._identity.isOurs(certificate):
            self._checkOurs(site, certificate)
        elif self.registry.isRevoked(site):
            raise _revoked(site)
        elif self.registry.ownerOf(site) is not None:
            # Else the one who has invited it could start and revoke what is not his.
            raise NotAuthorized(
                f"site {site} is enrolled by a user, and this certificate is another's; the"
                f" proxy's administrator can remove sites/{site}.json in RVGAHP_STATE_DIR and"
                " restart the proxy"
            )
        elif self.registry.find(site) is None:
            # So that nobody is invited under the name of a site of the administrator's.
            try:
                self.registry.put(SiteEntry(site, "", "", self._now()))
            except CredentialError as e:
                self.log.error("{reason}", reason=e)

    def letIn(self, site: str, certificate: Certificate | None) -> None:
        if certificate is not None and self._identity.isOurs(certificate):
            try:
                self.registry.letIn(site, certificate.serial_number)
            except CredentialError as e:
                self.log.error("{reason}", reason=e)

    def _checkOurs(self, site: str, certificate: Certificate) -> None:
        entry = self.registry.find(site)
        if entry is not None and entry.revokedBy:
            raise _revoked(site)
        if not self.registry.isGood(site, certificate.serial_number):
            raise NotAuthorized(
                f"this certificate of site {site} is no longer good: the site has been enrolled"
                " anew, or the proxy has lost what it knew of it; ask for another code (rvgahp"
                " invite)"
            )

    def enrol(self, secret: bytes, request: bytes) -> dict[str, Any]:
        public = _requested(request)
        try:
            invitation = self.registry.use(secret, spkiOf(public))
            site, owner = invitation.site, invitation.owner
            entry = self.registry.find(site)
            if entry is not None and entry.owner != owner and not entry.revokedBy:
                raise _taken(site)
            certificate = self._issue(public, site)
            serials = [f"{certificate.serial_number:x}"]
            self.registry.put(
                SiteEntry(site, owner, invitation.account, self._now(), serials=serials)
            )
        except CredentialError as e:
            raise self._unable(e) from None
        self.log.info("Site {site}: enrolled for {owner}", site=site, owner=owner)
        former = self._proxy.sites.get(site)
        if former is not None:
            former.control.close()  # its certificate is good no more
        return {"site": site, "owner": owner, **self._answer(certificate)}

    def renew(self, site: str, certificate: Certificate, request: bytes) -> dict[str, Any]:
        if not self._identity.isOurs(certificate):
            raise NotAuthorized(
                f"the certificate of site {site} was not made by this proxy; renew it where it was"
            )
        self._checkOurs(site, certificate)
        grace = timedelta(seconds=self._proxy.settings.get("RVGAHP_RENEWAL_GRACE"))
        if datetime.now(timezone.utc) - grace > certificate.not_valid_after_utc:
            raise NotAuthorized(
                f"the certificate of site {site} ended too long ago; ask for another code (rvgahp"
                " invite)"
            )
        public = _requested(request)
        now = self._proxy.reactor.seconds()
        if now - self._renewed.get(site, -math.inf) < enrolmentlimits.CERTIFICATE_PAUSE:
            raise Busy(f"the certificate of site {site} has only just been renewed")
        self._renewed[site] = now
        try:
            made = self._issue(public, site, certificate)
            self.registry.addSerial(site, made.serial_number, certificate.serial_number)
        except CredentialError as e:
            raise self._unable(e) from None
        self.log.info(
            "Site {site}: certificate renewed until {end}",
            site=site,
            end=made.not_valid_after_utc,
        )
        return self._answer(made)

    def _unable(self, problem: CredentialError) -> Busy:
        """
        The disk is full, or the authority is too old.  Paths are not for the other side.
        """
        self.log.error("No certificate can be made: {reason}", reason=problem)
        return Busy("the proxy can make no certificate now, and its log says why; try again later")

    def _issue(
        self, public: ec.EllipticCurvePublicKey, site: str, former: Certificate | None = None
    ) -> Certificate:
        lifetime = timedelta(seconds=self._proxy.settings.get("RVGAHP_CERTIFICATE_LIFETIME"))
        now = datetime.now(timezone.utc)
        if former is not None:
            lifetime = renewedLifetime(former, now, lifetime)
        return self._identity.authority.issueCE(public, site, now, lifetime)

    def _answer(self, certificate: Certificate) -> dict[str, Any]:
        return {
            "certificate": certificate.public_bytes(Encoding.PEM),
            "authorities": self._identity.authorities,
        }

    @staticmethod
    def _now() -> int:
        return int(datetime.now(timezone.utc).timestamp())


def _requested(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return readRequest(request)
    except CredentialError as e:
        raise NotAuthorized(str(e).rstrip(".")) from None


def _isAdministrator(user: LocalUser) -> bool:
    return user.uid in (0, os.geteuid())


def _checkInvite(entry: SiteEntry, owner: str, isAdministrator: bool) -> None:
    """
    See that a user may invite a site that is known already.
    """
    if not entry.owner:
        raise NotAuthorized(
            f"site {entry.site} has a certificate of the administrator's; who wants to enrol it"
            f" all the same removes sites/{entry.site}.json in RVGAHP_STATE_DIR and restarts the"
            " proxy"
        )
    if entry.owner != owner and not (isAdministrator and entry.revokedBy):
        raise _taken(entry.site)
    if entry.revokedBy not in ("", owner) and not isAdministrator:
        raise NotAuthorized(
            f"site {entry.site} was revoked by {entry.revokedBy}, who can invite it again"
        )


def _taken(site: str) -> NotAuthorized:
    return NotAuthorized(
        f"site {site} is enrolled by another user; choose another name, such as yours, an @ and"
        " the host"
    )


def _revoked(site: str) -> NotAuthorized:
    return NotAuthorized(
        f"site {site} has been revoked, or cannot be looked up; ask the owner for another code"
        " (rvgahp invite), or the proxy's administrator"
    )
