# -*- test-case-name: tests.test_enrolment -*-
"""
What a proxy asks about enrolment, and the answers of one that enrols nobody.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rvgahp.errors import NotAuthorized

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from rvgahp.peercred import LocalUser

__all__ = ["ClosedEnrolment"]


class ClosedEnrolment:
    """
    Of a proxy that enrols nobody: all its certificates are the administrator's.
    """

    def __init__(self, problem: str = "it has no directory for that") -> None:
        """
        @param problem: why, as a clause.
        """
        self._problem = problem

    def checkHello(self, site: str, certificate: Certificate | None) -> None:
        """
        See that a site may come with this certificate, which TLS has verified.

        @param certificate: L{None}: the CE has proved in another way who it is.
        @raise NotAuthorized: it may not.
        """

    def letIn(self, site: str, certificate: Certificate | None) -> None:
        """
        A site has come with this certificate, which L{checkHello} has let pass.
        """

    def isRevoked(self, site: str) -> bool:
        """
        @return: whether it is known that a site may not come.
        """
        return False

    def ownerOf(self, site: str) -> str | None:
        """
        @return: the canonical name of who has invited it; L{None}: nobody has.
        """
        return None

    def enrolled(self) -> Collection[str]:
        """
        @return: the sites that may come with a certificate of ours.
        """
        return ()

    def acquainted(self) -> Collection[str]:
        """
        @return: the sites that have come with another certificate, since ever.
        """
        return ()

    def isKnown(self, site: str) -> bool:
        """
        @return: whether there is, or was, such a site.
        """
        return False

    def invite(self, user: LocalUser, site: str) -> dict[str, Any]:
        """
        A local user invites a site.

        @return: the values of L{rvgahp.localcommands.Invite}, with a B{secret}.
        @raise RvgahpError: one of its errors.
        """
        raise self._closed()

    def enrol(self, secret: bytes, request: bytes) -> dict[str, Any]:
        """
        A CE that was invited wants a certificate.

        @return: the values of L{rvgahp.commands.Enrol}.
        @raise NotAuthorized: it gets none.
        """
        raise self._closed()

    def renew(self, site: str, certificate: Certificate, request: bytes) -> dict[str, Any]:
        """
        A CE wants another certificate.

        @param certificate: the one that it has shown.
        @return: the values of L{rvgahp.commands.RenewCertificate}.
        @raise NotAuthorized: it gets none.
        @raise Busy: not so soon.
        """
        raise self._closed()

    def revoke(self, user: LocalUser, site: str) -> Deferred[dict[str, Any]]:
        """
        A local user revokes a site.

        @return: fires with the values of L{rvgahp.localcommands.Revoke}, when the CE knows or
            cannot be told.
        @raise RvgahpError: one of its errors.
        """
        raise self._closed()

    def _closed(self) -> NotAuthorized:
        return NotAuthorized(f"this proxy enrols no sites: {self._problem}")
