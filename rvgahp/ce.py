# -*- test-case-name: tests.test_ce -*-
"""
The CE: one or more proxies, and what runs GAHPs for all of them.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from rvgahp.access import Access
from rvgahp.auditlog import AuditLog
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.control import ControlConnection
from rvgahp.gahprunner import GAHPRunner
from rvgahp.gahpsession import GAHPSession
from rvgahp.gahptable import GAHPTable
from rvgahp.separation import Separation
from rvgahp.servedproxies import Unusable
from rvgahp.servedproxy import ServedProxy
from rvgahp.settings import Settings
from rvgahp.trust import Trust
from rvgahp.wayout import Gateway


class CE(MultiService):
    """
    One CE.

    @ivar proxies: those that it serves; C{unusable}: those that it cannot.
    @ivar runner: what they share.
    @ivar audit: the audit log; who runs us opens it.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        gahps: GAHPTable,
        descriptors: int,
        access: Access,
        separation: Separation | None = None,
        unusable: Sequence[Unusable] = (),
    ) -> None:
        """
        @param descriptors: the soft RLIMIT_NOFILE of GAHPs; 0 leaves ours.
        @param access: who may start what.
        @param separation: of a CE that root has started.
        @param unusable: proxies that it cannot serve.
        """
        super().__init__()
        self._reactor = reactor
        self.runner = GAHPRunner(reactor, settings, gahps, descriptors, access, separation)
        self.audit = AuditLog(reactor, lambda: settings.get("RVGAHP_AUDIT_LOG"))
        self.unusable = list(unusable)
        self.proxies: list[ServedProxy] = []

    def serve(
        self,
        name: str,
        settings: Settings,
        site: str,
        renewal: CertificateRenewal,
        trust: Trust,
        methods: Sequence[Any],
        ready: Callable[[ServedProxy, ControlConnection, dict[str, Any]], object],
    ) -> ServedProxy:
        """
        Serve one more proxy, from now on if we run.  The arguments are L{ServedProxy}'s.
        """
        served = ServedProxy(
            self._reactor,
            name,
            settings,
            site,
            renewal,
            trust,
            methods,
            self.runner,
            self.audit,
            ready,
        )
        self.proxies.append(served)
        served.setServiceParent(self)
        return served

    def sessions(self) -> list[tuple[ServedProxy, GAHPSession]]:
        """
        @return: all that runs, each with the proxy that has started it.
        """
        return [(one, session) for one in self.proxies for session in one.sessions.values()]

    # -- service ------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        @raise OSError: there can be no launcher.
        @raise rvgahp.errors.ConfigurationError: we cannot let go of root.
        """
        super().privilegedStartService()
        self.runner.separate()

    def startService(self) -> None:
        self.runner.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        End everything.  The proxies are told first, so that each client hears why before its
        channel closes.

        @return: fires when no process of ours is left.
        """
        over: Deferred[Any] = super().stopService().addCallback(lambda _: self._endAll())
        # Not while a proxy's last answer is read: the reactor may end with this.
        over.addCallback(lambda _: deferLater(self._reactor, 0))
        return over.addCallback(lambda _: self.audit.close())

    def _endAll(self) -> Deferred[None]:
        for one in self.proxies:
            one.close()
        return self.runner.close()

    # -- reload -------------------------------------------------------------

    def renew(self, trust: Trust, methods: Sequence[Any], gateway: Gateway | None) -> list[str]:
        """
        The files have been read again; what they say is for the next connections.

        @param trust: as for L{serve}.
        @param methods: as for L{serve}.
        @param gateway: through what to dial.
        @return: where the proxies are that are dialled now, because our certificate there is
            another.
        """
        return [one.place for one in self.proxies if one.renew(trust, methods, gateway)]
