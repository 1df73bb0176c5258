# -*- test-case-name: tests.test_taps -*-
"""
C{twistd rvgahp-ce}: its command line, and its parts put together.

Layer 5.
"""

from __future__ import annotations

import resource
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
from rvgahp.cereload import CEReload
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.cestatus import CEStatus
from rvgahp.control import ControlConnection
from rvgahp.credentials import siteOf
from rvgahp.daemonlog import HasDaemonLog
from rvgahp.descriptorlimit import raiseDescriptorLimit
from rvgahp.errors import (
    ConfigurationError,
    CredentialError,
    PolicyConflict,
    ProtocolError,
    RvgahpError,
)
from rvgahp.gahptable import GAHPTable
from rvgahp.iauthentication import IAuthenticationMethod
from rvgahp.igahp import IGAHPKind
from rvgahp.methodtable import MethodTable
from rvgahp.metricsport import MetricsPort
from rvgahp.notify import Notifier
from rvgahp.policy import Policy, resolve
from rvgahp.reload import Reloading
from rvgahp.separation import Separation, notesOf, separationOf
from rvgahp.statussocket import StatusSocket
from rvgahp.tapoptions import DaemonOptions, keptStderr, parameters, refuseStart
from rvgahp.tls import utcNow
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
    site = ""
    gahps: GAHPTable
    methods: MethodTable
    trust: Trust
    gateway: Gateway | None
    separation: Separation | None = None
    accounts: MappedAccounts | None = None

    def check(self) -> None:
        """
        @raise CredentialError: neither the certificate nor RVGAHP_SITE names a site, or a
            revocation list cannot be used.
        @raise ConfigurationError: they name two, or no method of authentication can be
            used, or we would run as an account that we may not have.
        """
        assert self.credentials is not None
        wanted = self.settings.get("RVGAHP_SITE")
        try:
            self.site = siteOf(self.credentials.certificate)
        except CredentialError as e:
            if not wanted:
                raise CredentialError(
                    f"{e} With one of the site's own PKI, set RVGAHP_SITE."
                ) from None
            self.site = wanted
        if wanted and wanted != self.site:
            raise ConfigurationError(
                f"RVGAHP_SITE is {wanted}, and the certificate"
                f" {self.settings.get('RVGAHP_CERTFILE')} is of site {self.site}; mend the one"
                " or replace the other."
            )
        begin = self.credentials.certificate.not_valid_before_utc
        if utcNow() < begin:
            self.settings.notes.append(
                f"The certificate {self.settings.get('RVGAHP_CERTFILE')} is not valid before"
                f" {begin:%Y-%m-%d %H:%M} UTC: is this machine's clock right?"
            )
        self.trust = loadTrust(None, self.settings.get("RVGAHP_CRLFILE"))
        self.methods = MethodTable(self.settings, getPlugins(IAuthenticationMethod))
        self.settings.notes += self.methods.notes
        self.gateway = gatewayOf(self.settings)
        self.gahps = GAHPTable(self.settings, getPlugins(IGAHPKind))
        self.separation = separationOf(self.settings, self.site, self.parent or {})
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
        self.log.info(
            "Site {site} offers {gahps}",
            site=self._options.site,
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
    where: str,
    control: ControlConnection,
    answer: dict[str, Any],
) -> None:
    """
    The proxy has accepted us.

    @param where: where it is, for people.
    """
    handle = control.transport.getHandle()
    notifier.tell(
        READY="1",
        STATUS=f"accepted by the proxy at {where}",
        X_RVGAHP_SITE=options.site,
        X_RVGAHP_TLS=f"{handle.get_protocol_version_name()}, {handle.get_cipher_name()}",
        X_RVGAHP_PROXY=answer["software"],
        X_RVGAHP_POLICY=_agreement(answer["policy"], options.settings.policy),
        X_RVGAHP_GAHPS=", ".join(options.gahps.names()),
    )


def makeService(options: Options) -> CEService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    useBootClock(reactor)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    changed = raiseDescriptorLimit() != soft
    assert options.credentials is not None
    access = Access(reactor, options.rules)
    notifier = Notifier(reactor)
    ce = CE(
        reactor,
        options.settings,
        options.site,
        options.gahps,
        CertificateRenewal(reactor, options.settings, options.credentials, SystemRandom()),
        options.trust,
        options.methods.methods,
        soft if changed else 0,
        lambda control, answer: _ready(
            options, notifier, ce.proxy.where(control.peer), control, answer
        ),
        access,
        options.separation,
    )
    adopt = CEReload(options.settings, ce, access, options.separation, options).adopt
    reloading = Reloading(reactor, options.again, adopt, ce.audit, notifier)
    operator = CEStatus(reactor, options.settings, options.site, ce)
    status = StatusSocket(reactor, options.settings, operator, reloading.askedBy)
    metrics = MetricsPort(reactor, options.settings, ce.counts, operator.whole)
    watchdog = Watchdog(reactor, notifier)
    stderr = keptStderr(options)
    service = CEService(options, ce.audit, reloading, status, metrics, watchdog, stderr)
    ce.setServiceParent(service)
    service.daemonLog = options.openLog(reactor, site=options.site)
    return service
