# -*- test-case-name: tests.test_hostidentity -*-
"""
A proxy's credentials and its enrolment, put together at its start and kept up.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.util import runAsEffectiveUser

from rvgahp import enrolmentlimits
from rvgahp.closedenrolment import ClosedEnrolment
from rvgahp.credentials import Credentials
from rvgahp.enrolment import Enrolment
from rvgahp.errors import CredentialError
from rvgahp.hostidentity import HostIdentity, makeStateDirectory
from rvgahp.peerchain import Validity
from rvgahp.registry import Registry
from rvgahp.settings import Settings
from rvgahp.tls import ServerTLS, serverOptions
from rvgahp.trust import Trust, certificatesIn

if TYPE_CHECKING:
    from rvgahp.peerchain import PeerChain
    from rvgahp.proxy import Proxy

__all__ = ["ProxyEnrolment", "needsOwnCredentials"]

_FILES = ("RVGAHP_CERTFILE", "RVGAHP_KEYFILE", "RVGAHP_CAFILE")


def needsOwnCredentials(settings: Settings) -> bool:
    """
    @return: whether the administrator has given the proxy no credentials: none is named, and
        none lies where they are looked for.
    """
    return all(
        not settings.isGiven(name) and not os.path.lexists(settings.get(name)) for name in _FILES
    )


class ProxyEnrolment:
    """
    What a proxy shows to sites, and its register of them.

    @ivar tls: the proxy's half of TLS, once L{prepare} has been called.
    """

    log = Logger()
    tls: ServerTLS

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        credentials: Credentials | None,
        trust: Trust,
        account: tuple[int, int] | None = None,
    ) -> None:
        """
        @param credentials: the administrator's; L{None}: the proxy makes its own.
        @param trust: whose word on sites counts, beside our own authorities'.
        @param account: uid and gid to whom the files are to belong; L{None}: ours.
        """
        self._reactor = reactor
        self._settings = settings
        self._given = credentials
        self._trust = trust
        self._account = account or (os.geteuid(), os.getegid())
        self._identity: HostIdentity | None = None
        self._registry: Registry | None = None
        self._problem = ""
        self._timer: Any = None

    def prepare(self) -> None:
        """
        Read or make what there must be before sites can come.  It blocks.

        @raise CredentialError: there are no credentials.  With the administrator's, sites can
            come all the same, and the log says that none can be enrolled.
        """
        try:
            makeStateDirectory(self._settings.get("RVGAHP_STATE_DIR"), *self._account)
            host, _ = self._place(0)
            names = (host, socket.getfqdn(), socket.gethostname())
            runAsEffectiveUser(*self._account, self._read, names)
        except CredentialError as e:
            if self._given is None:
                raise
            self._problem = str(e).rstrip(".")
            self.log.warn("No site can be enrolled: {reason}", reason=self._problem)
        grace = self._settings.get("RVGAHP_RENEWAL_GRACE")
        self.tls = serverOptions(*self._shown(), grace)

    def _read(self, names: tuple[str, ...]) -> None:
        directory = self._settings.get("RVGAHP_STATE_DIR")
        self._identity = HostIdentity(
            directory, self._given, names, lambda: datetime.now(timezone.utc)
        )
        self._registry = Registry(directory, time.time)

    def _place(self, port: int) -> tuple[str, int]:
        """
        @param port: the one that we listen on.
        @return: where sites dial.
        """
        place: tuple[str, int] | None = self._settings.get("RVGAHP_PUBLIC_ADDRESS")
        return place or (socket.getfqdn(), port)

    def _shown(self) -> tuple[Credentials, Trust]:
        """
        @return: what the proxy shows, and whom it believes.
        """
        credentials = self._given if self._identity is None else self._identity.credentials
        if credentials is None:
            raise CredentialError("The proxy has no credentials.")
        return credentials, self._trust.withOurs(certificatesIn(credentials.caPEM))

    def open(self, proxy: Proxy, port: int) -> ClosedEnrolment:
        """
        Begin.

        @param port: the one that we listen on.
        """
        if self._identity is None or self._registry is None:
            return ClosedEnrolment(self._problem)
        self.look()
        return Enrolment(proxy, self._identity, self._registry, self._place(port))

    def replace(
        self, credentials: Credentials | None, trust: Trust, settings: Settings
    ) -> list[str]:
        """
        The files have been read again; what they say is for new connections.

        @param credentials: the administrator's; L{None}: as before, where there are none.
        @param settings: as they were read now.
        @return: what is otherwise now, for people.
        @raise CredentialError: they cannot be used; all stays as it was.
        """
        if (credentials is None) != (self._given is None):
            raise CredentialError(
                "RVGAHP_CERTFILE, RVGAHP_KEYFILE and RVGAHP_CAFILE have come or gone; start"
                " rvgahp-proxy again."
            )
        said = []
        if credentials is not None:
            trust.withOurs(certificatesIn(credentials.caPEM))  # raises before anything changes
            if credentials != self._given:
                said.append("the proxy's certificate, key or authorities have changed")
            self._given = credentials
            if self._identity is not None:
                self._identity.take(credentials)
        if trust != self._trust:
            said.append("the sites' authorities, or revocation lists, have changed")
        self._trust = trust
        self.tls.replace(*self._shown())
        self.tls.grace = timedelta(seconds=settings.get("RVGAHP_RENEWAL_GRACE"))
        return said

    def validity(self) -> Validity:
        """
        @return: that of the certificate that we show.
        """
        credentials, _ = self._shown()
        isOwn = self._identity is not None and self._identity.isOwn
        return Validity.of(credentials.certificate, isOwn)

    def objection(self, chain: PeerChain) -> str:
        """
        @return: why what a CE has shown at its handshake counts no longer, for people; empty
            if it does.
        """
        _, trust = self._shown()
        return trust.objection(chain)

    def close(self) -> None:
        """
        End.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def look(self) -> None:
        """
        New connections get a new certificate when the old one's time has come.
        """
        self.close()
        if self._identity is None or not self._identity.isOwn:
            return
        if self._identity.renewIfDue():
            self.tls.replace(*self._shown())
        self._timer = self._reactor.callLater(enrolmentlimits.CERTIFICATE_POLL, self.look)
