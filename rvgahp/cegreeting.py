# -*- test-case-name: tests.test_ce -*-
"""
What a CE says on a new control connection, until the proxy takes starts for its site.
C{doc/protocol.rst}, steps 2b and 3.

Layer 4.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, ensureDeferred

from rvgahp import __version__, commands, limits
from rvgahp.authentication import authenticate
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.cesessions import CESessions
from rvgahp.control import ControlConnection
from rvgahp.errors import CredentialError
from rvgahp.gahptable import GAHPTable
from rvgahp.settings import Settings

if TYPE_CHECKING:
    from rvgahp.iauthentication import AuthenticationContext


class CertificateRenewed(CredentialError):
    """
    The certificate was not valid.  There is another now, and the proxy has to be dialled again.
    """


class Greeting:
    """
    How one CE greets its proxy.

    @ivar methods: of authentication, the best first.
    """

    def __init__(
        self,
        settings: Settings,
        site: str,
        gahps: GAHPTable,
        methods: Sequence[Any],
        renewal: CertificateRenewal,
        sessions: CESessions,
    ) -> None:
        """
        @param site: our name.
        @param methods: of authentication, the best first.
        @param renewal: of our certificate.
        @param sessions: what runs here.
        """
        self._settings = settings
        self._site = site
        self._gahps = gahps
        self.methods = methods
        self._renewal = renewal
        self._sessions = sessions
        self._instance = secrets.token_bytes(16)

    def greet(
        self, control: ControlConnection, context: AuthenticationContext
    ) -> Deferred[dict[str, Any]]:
        """
        @param control: after its TLS handshake.
        @return: fires with the answer to Hello, when the proxy knows what runs here; fails
            with L{CertificateRenewed}, with the proxy's refusal, or as a call may.
        """
        return ensureDeferred(self._greet(control, context))

    async def _greet(
        self, control: ControlConnection, context: AuthenticationContext
    ) -> dict[str, Any]:
        call = partial(control.caller.call, timeout=limits.GREETING_TIMEOUT)
        await authenticate(call, self.methods, context)
        if self._renewal.isUntimely:
            sentence = "the certificate had ended and has been renewed"
            if self._renewal.isEarly:
                sentence = "the certificate was not valid yet and has been renewed"
            await self._renewal.renew(control)
            raise CertificateRenewed(sentence)
        answer: dict[str, Any] = await call(
            commands.Hello,
            versions=list(limits.PROTOCOL_VERSIONS),
            instance=self._instance,
            site=self._site,
            software=f"rvgahp {__version__}",
            gahps=self._gahps.names(),
            policy=self._settings.policy.encode(),
        )
        control.greeted()
        await self._list(control)
        return answer

    async def _list(self, control: ControlConnection) -> None:
        """
        Tell what runs here, and end what has no client any more.
        """
        listed = self._sessions.listed()
        size = limits.SESSIONS_PER_CALL
        for start in range(0, max(1, len(listed)), size):
            isLast = start + size >= len(listed)
            part = listed[start : start + size]
            answer = await control.caller.call(commands.Sessions, sessions=part, last=isLast)
            for name in answer["gone"]:
                if name in self._sessions.running:
                    self._sessions.running[name].clientGone("its client is gone")
