# -*- test-case-name: tests.test_taps -*-
"""
C{twistd rvgahp-ce}: its command line, and its parts put together.

Layer 5.
"""

from __future__ import annotations

import resource
from functools import partial
from random import SystemRandom
from typing import Any, TextIO

from twisted.application.service import MultiService
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.plugin import getPlugins

from rvgahp.access import Access
from rvgahp.accounts import MappedAccounts
from rvgahp.auditlog import AuditLog
from rvgahp.bootclock import useBootClock
from rvgahp.ce import CE
from rvgahp.cereload import CEFiles, CEReload
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.cestatus import CEStatus
from rvgahp.control import ControlConnection
from rvgahp.daemonlog import HasDaemonLog
from rvgahp.descriptorlimit import raiseDescriptorLimit
from rvgahp.errors import PolicyConflict, ProtocolError, RvgahpError
from rvgahp.gahptable import GAHPTable
from rvgahp.iauthentication import IAuthenticationMethod
from rvgahp.igahp import IGAHPKind
from rvgahp.methodtable import MethodTable
from rvgahp.metricsport import MetricsPort
from rvgahp.notify import Notifier
from rvgahp.policy import Policy, resolve
from rvgahp.reload import Reloading
from rvgahp.separation import Separation, notesOf, separationOf
from rvgahp.servedproxies import Served, Unusable, readServed
from rvgahp.servedproxy import ServedProxy
from rvgahp.statussocket import StatusSocket
from rvgahp.tapoptions import DaemonOptions, keptStderr, parameters, refuseStart
from rvgahp.trust import Trust, loadTrust
from rvgahp.watchdog import Watchdog
from rvgahp.wayout import Gateway
from rvgahp.waysettings import gatewayOf


class Options(DaemonOptions):
    """
    The words after C{twistd rvgahp-ce}.
    """

    synopsis = "[options]"
    longdesc = (
        "The site's end of reverse GAHP: dials the broker (rvgahp-proxy) on the submit host and"
        " starts blahpd, condor_ft-gahp and other GAHPs when it is asked to. Settings come from"
        " ~/.rvgahp/condor_config.rvgahp or the file that --config names; options go before them."
        " Example: twistd --nodaemon --pidfile= rvgahp-ce. Manual: doc/scientist.rst."
    )
    role = "ce"
    overrides = {
        "broker-host": "RVGAHP_BROKER_HOST",
        "broker-port": "RVGAHP_BROKER_PORT",
        "connect-to": "RVGAHP_CONNECT_TO",
        "certificate": "RVGAHP_CERTFILE",
        "key": "RVGAHP_KEYFILE",
        "ca": "RVGAHP_CAFILE",
    }
    optParameters = parameters(
        ("config", "c", "condor_config file to read"),
        ("broker-host", "H", "the proxy's host, as in its certificate [RVGAHP_BROKER_HOST]"),
        ("broker-port", "p", "the proxy's port [RVGAHP_BROKER_PORT]"),
        ("connect-to", None, "HOST:PORT to dial in place of these [RVGAHP_CONNECT_TO]"),
        ("certificate", None, "the site's certificate, PEM [RVGAHP_CERTFILE]"),
        ("key", None, "its private key, PEM [RVGAHP_KEYFILE]"),
        ("ca", None, "authorities that sign the proxy's certificate, PEM [RVGAHP_CAFILE]"),
    )
    served: list[Served]
    unusable: list[Unusable]
    gahps: GAHPTable
    methods: MethodTable
    trust: Trust
    gateway: Gateway | None
    separation: Separation | None = None
    accounts: MappedAccounts | None = None

    def readCredentials(self) -> None:
        """
        Those of each proxy.  One whose cannot be used is done without, if there is another.

        @raise rvgahp.errors.RvgahpError: none can be used.
        """
        self.served, self.unusable = readServed(self.settings)

    def check(self) -> None:
        """
        @raise ConfigurationError: no method of authentication can be used, or we would run as an
            account that we may not have.
        """
        self.trust = loadTrust(None, self.settings.get("RVGAHP_CRLFILE"))
        self.methods = MethodTable(self.settings, getPlugins(IAuthenticationMethod))
        self.settings.notes += self.methods.notes
        self.gateway = gatewayOf(self.settings)
        self.gahps = GAHPTable(self.settings, getPlugins(IGAHPKind))
        self.separation = separationOf(self.settings, self.parent or {})
        self.settings.notes += notesOf(self.settings, self.separation)

    def again(self) -> Options:
        """
        As ever, with the map of accounts.
        """
        other = super().again()
        if self.separation is not None:
            other.accounts = self.separation.readAccounts(other.settings)
        return other


class CEService(HasDaemonLog, MultiService):
    """
    The CE, and what it says of itself at its start.
    """

    log = Logger()

    def __init__(
        self,
        options: Options,
        audit: AuditLog,
        reloading: Reloading,
        status: StatusSocket,
        metrics: MetricsPort,
        watchdog: Watchdog,
        stderr: TextIO | None,
    ) -> None:
        """
        @param reloading: reads all files again, at SIGHUP.
        @param stderr: where to say why we do not start, in place of twistd's own stderr;
            closed when that is known.
        """
        super().__init__()
        self._options = options
        self._audit = audit
        self._reloading = reloading
        self._status = status
        self._metrics = metrics
        self._watchdog = watchdog
        self._stderr = stderr

    def privilegedStartService(self) -> None:
        """
        @raise CannotStart: we cannot let go of root, or there can be no audit log where one
            is wanted.
        """
        try:
            self._status.bind()
            self._metrics.open()
            super().privilegedStartService()
            self._audit.open()
        except OSError as e:
            refuseStart("ce", f"The launcher cannot be started: {e}", self._stderr)
        except RvgahpError as e:
            refuseStart("ce", str(e), self._stderr)
        finally:
            if self._stderr is not None:
                self._stderr.close()

    def startService(self) -> None:
        for note in self._options.settings.notes + self._options.gahps.problems():
            self.log.warn("{note}", note=note)
        for one in self._options.unusable:
            self.log.error(
                "The proxy {place} is not served until it is mended and read again: {reason}",
                place=one.place,
                reason=one.problem,
            )
        for site in dict.fromkeys(one.site for one in self._options.served):
            self.log.info(
                "Site {site} offers {gahps}",
                site=site,
                gahps=", ".join(self._options.gahps.names()),
            )
        super().startService()
        self._status.open()
        self._reloading.watchHangup()
        self._watchdog.start()

    def stopService(self) -> Any:
        self._watchdog.stopping()
        self._reloading.ignoreHangup()
        self._status.close()
        self._metrics.close()
        return maybeDeferred(super().stopService).addBoth(self._stopped)

    def _stopped(self, result: object) -> object:
        self._watchdog.stop()
        return result


def _agreement(server: str, ours: Policy) -> str:
    """
    @param server: the proxy's policy, as it says.
    @return: what the two sides' policies come to, for people.
    """
    try:
        outcome, method = resolve(Policy.decode(server), ours)
    except (PolicyConflict, ProtocolError) as e:
        Logger().error("No GAHP can be started: {reason}", reason=e)
        return f"conflict: {e}"
    return f"{outcome.value} ({method})" if method else outcome.value


def _ready(
    options: Options,
    notifier: Notifier,
    ce: CE,
    proxy: ServedProxy,
    control: ControlConnection,
    answer: dict[str, Any],
) -> None:
    """
    A proxy has accepted us.
    """
    handle = control.transport.getHandle()
    notifier.tell(
        READY="1",
        STATUS=_standing(ce, proxy.state.where(control.peer)),
        X_RVGAHP_SITE=proxy.site,
        X_RVGAHP_TLS=f"{handle.get_protocol_version_name()}, {handle.get_cipher_name()}",
        X_RVGAHP_PROXY=answer["software"],
        X_RVGAHP_POLICY=_agreement(answer["policy"], options.settings.policy),
        X_RVGAHP_GAHPS=", ".join(options.gahps.names()),
    )


def _standing(ce: CE, where: str) -> str:
    """
    @param where: where the proxy is that has accepted us last, for people.
    """
    all_ = len(ce.proxies) + len(ce.unusable)
    if all_ == 1:
        return f"accepted by the proxy at {where}"
    accepted = sum(one.state.isAccepted for one in ce.proxies)
    return f"accepted by {accepted} of {all_} proxies, last by that at {where}"


def makeService(options: Options) -> CEService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    useBootClock(reactor)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    changed = raiseDescriptorLimit() != soft
    access = Access(reactor, options.rules)
    notifier = Notifier(reactor)
    ce = CE(
        reactor,
        options.settings,
        options.gahps,
        soft if changed else 0,
        access,
        options.separation,
        options.unusable,
    )

    def serve(files: CEFiles, one: Served) -> None:
        renewal = CertificateRenewal(reactor, one.settings, one.credentials, SystemRandom())
        ready = partial(_ready, options, notifier, ce)
        methods = files.methods.methods
        ce.serve(one.name, one.settings, one.site, renewal, files.trust, methods, ready)

    for one in options.served:
        serve(options, one)
    adopt = CEReload(options.settings, ce, access, options.separation, serve, options).adopt
    reloading = Reloading(reactor, options.again, adopt, ce.audit, notifier)
    operator = CEStatus(reactor, options.settings, ce)
    status = StatusSocket(reactor, options.settings, operator, reloading.askedBy)
    metrics = MetricsPort(reactor, options.settings, ce.runner.counts, operator.whole)
    watchdog = Watchdog(reactor, notifier)
    stderr = keptStderr(options)
    service = CEService(options, ce.audit, reloading, status, metrics, watchdog, stderr)
    ce.setServiceParent(service)
    service.daemonLog = options.openLog(reactor, site=options.served[0].site)
    return service
