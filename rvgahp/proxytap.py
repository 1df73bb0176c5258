# -*- test-case-name: tests.test_taps -*-
"""
C{twistd rvgahp-proxy}: its command line, and its parts put together.

Layer 5.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TextIO

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.plugin import getPlugins

from rvgahp import limits
from rvgahp.authentication import Authenticator
from rvgahp.bootclock import useBootClock
from rvgahp.canonicalnames import CanonicalNames, loadNames
from rvgahp.credentials import Credentials
from rvgahp.daemonlog import HasDaemonLog
from rvgahp.description import Describer
from rvgahp.descriptorlimit import raiseDescriptorLimit
from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.gate import Gate, WaitingRoom
from rvgahp.handedsockets import CLIENTS, PORT, STATUS, refuseBackground, takeSockets
from rvgahp.iauthentication import IAuthenticationMethod
from rvgahp.listener import Listener, listenTCP, listenUNIX, removeSocket
from rvgahp.localclients import Clients
from rvgahp.localnames import LocalNames
from rvgahp.methodtable import MethodTable
from rvgahp.metricsport import MetricsPort
from rvgahp.notify import Notifier
from rvgahp.pageport import PagePort
from rvgahp.proxy import Proxy
from rvgahp.proxyaccess import ProxyAccess
from rvgahp.proxyenrolment import ProxyEnrolment, needsOwnCredentials
from rvgahp.proxyoperator import ProxyOperator
from rvgahp.proxyreload import ProxyFiles, ProxyReload
from rvgahp.proxystatus import ProxyStatus
from rvgahp.reload import Reloading
from rvgahp.settings import Settings
from rvgahp.sitearrival import accept
from rvgahp.statussocket import StatusSocket
from rvgahp.tapoptions import DaemonOptions, keptStderr, parameters, refuseStart
from rvgahp.trust import Trust, loadTrust
from rvgahp.watchdog import Watchdog


class Options(DaemonOptions):
    """
    The words after C{twistd rvgahp-proxy}.
    """

    synopsis = "[options]"
    longdesc = (
        "The broker of reverse GAHP, on the submit host. Sites dial its port; the gridmanager's"
        " rvgahp_client finds it by its UNIX socket. Settings come from condor_config"
        " (--config names the file; else the one HTCondor finds); options go before them. Example:"
        " twistd --nodaemon --pidfile= rvgahp-proxy -c FILE. Manual: doc/administrator.rst."
    )
    role = "proxy"
    overrides = {
        "port": "RVGAHP_PORT",
        "interface": "RVGAHP_INTERFACE",
        "socket": "RVGAHP_SOCKET",
        "certificate": "RVGAHP_CERTFILE",
        "key": "RVGAHP_KEYFILE",
        "ca": "RVGAHP_CAFILE",
    }
    optParameters = parameters(
        ("config", "c", "condor_config file to read"),
        ("port", "p", "TCP port that sites dial; 0 lets the kernel choose [RVGAHP_PORT]"),
        ("interface", "i", "address to listen on [RVGAHP_INTERFACE]"),
        ("socket", "s", "UNIX socket for clients [RVGAHP_SOCKET]"),
        ("certificate", None, "the host's certificate, PEM [RVGAHP_CERTFILE]"),
        ("key", None, "its private key, PEM [RVGAHP_KEYFILE]"),
        ("ca", None, "authorities that sign the sites' certificates, PEM [RVGAHP_CAFILE]"),
    )
    methods: MethodTable
    names: CanonicalNames
    trust: Trust

    def check(self) -> None:
        """
        @raise rvgahp.errors.CredentialError: an authority or a revocation list cannot be
            used.
        @raise ConfigurationError: the map cannot, or no method of authentication; or sockets
            would be lost.
        """
        refuseBackground(os.environ, self.parent is None or bool(self.parent["nodaemon"]))
        get = self.settings.get
        self.trust = loadTrust(get("RVGAHP_SITE_CAFILE"), get("RVGAHP_CRLFILE"))
        self.names = loadNames(self.settings)
        self.methods = MethodTable(self.settings, getPlugins(IAuthenticationMethod))
        self.settings.notes += self.methods.notes

    def readCredentials(self) -> None:
        """
        Read them, unless the proxy is to make its own when it starts.
        """
        if not needsOwnCredentials(self.settings):
            super().readCredentials()


class ProxyService(HasDaemonLog, Service):
    """
    Listens, for as long as it runs.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        credentials: Credentials | None,
        trust: Trust,
        authenticator: Authenticator,
        access: ProxyAccess,
        again: Callable[[], ProxyFiles],
        stderr: TextIO | None = None,
        account: tuple[int, int] | None = None,
    ) -> None:
        """
        @param credentials: the administrator's; L{None}: the proxy makes its own.
        @param trust: whose word on sites counts, beside our own authorities'.
        @param authenticator: who CEs are.
        @param access: who may do what.
        @param again: reads all files again.  Blocks.
        @param account: uid and gid that the process is about to have; L{None}: those that it
            has.
        @param stderr: where to say why we do not start, in place of twistd's own stderr;
            closed when that is known.
        """
        self._stderr = stderr
        self._reactor = reactor
        self._settings = settings
        self._authenticator = authenticator
        self._access = access
        self._again = again
        self._notifier = Notifier(reactor)
        self._watchdog = Watchdog(reactor, self._notifier)
        self._enrolment = ProxyEnrolment(reactor, settings, credentials, trust, account)
        self._listeners: list[Listener] = []
        self._sockets: list[tuple[str, int]] = []
        self._handed: dict[str, socket.socket] = {}
        self._views: list[StatusSocket | MetricsPort | PagePort] = []

    def privilegedStartService(self) -> None:
        """
        @raise CannotStart: a port or path cannot be had.
        """
        try:
            self._listen()
        except (ConfigurationError, CredentialError) as e:
            self._close()
            refuseStart("proxy", e, self._stderr)
        finally:
            if self._stderr is not None:
                self._stderr.close()

    def _listen(self) -> None:
        self._handed = takeSockets(os.environ)
        for note in self._settings.notes:
            self.log.warn("{note}", note=note)
        descriptors = raiseDescriptorLimit()
        mostPerUser = min(limits.LOCAL_CONNECTIONS_PER_USER, descriptors // 4)
        self._proxy = Proxy(self._reactor, self._settings, self._access)
        self._waiting = WaitingRoom(
            self._settings.get("RVGAHP_MAX_ARRIVALS"),
            self._settings.get("RVGAHP_MAX_ARRIVALS_PER_ADDRESS"),
        )
        self._enrolment.prepare()
        secure = partial(
            accept, self._proxy, self._enrolment.tls, self._waiting, self._authenticator
        )
        watch = self._proxy.watch
        watch.audit.open()
        gate = Gate(
            self._reactor,
            self._waiting,
            secure,
            self._proxy.admit,
            watch.penalties,
            watch.warnings,
        )
        self._clients = Clients(
            self._reactor,
            watch.requestGAHP,
            mostPerUser,
            Describer(self._proxy),
            self._proxy.claims,
            watch.warnings,
        )
        port = self._handed.get(PORT) or listenTCP(
            self._settings.get("RVGAHP_INTERFACE"), self._settings.get("RVGAHP_PORT")
        )
        self._listeners = [Listener(self._reactor, port, gate.arrived)]
        self._proxy.enrolment = self._enrolment.open(self._proxy, port.getsockname()[1])
        self._clients.enrolment = self._proxy.enrolment
        self._access.ownerOf = self._proxy.enrolment.ownerOf
        adopt = ProxyReload(self._proxy, self._enrolment, self._authenticator).adopt
        self._clients.reloading = Reloading(
            self._reactor, self._again, adopt, watch.audit, self._notifier
        )
        self._openViews()
        path = self._listenForClients()
        for site, further in self._settings.get("RVGAHP_SITE_SOCKETS").items():
            self._listenUNIX(further, site)
        self._tell(port.getsockname()[1], path)

    def _openViews(self) -> None:
        """
        Let people and programs look.
        """
        status = ProxyStatus(self._proxy, self._enrolment.validity)
        operator = ProxyOperator(self._proxy, status)
        view = StatusSocket(self._reactor, self._settings, operator)
        self._views.append(view)
        view.bind(self._handed.get(STATUS))
        view.open()
        counts = self._proxy.watch.counts
        metrics = MetricsPort(self._reactor, self._settings, counts, status.whole)
        self._views.append(metrics)
        metrics.open()
        page = PagePort(self._reactor, self._settings, counts, status.document)
        self._views.append(page)
        if page.open():
            self.log.info("The status page is on {address}", address=page.address)

    def _listenForClients(self) -> str:
        """
        @return: the path of the socket for clients.
        """
        path: str = self._settings.get("RVGAHP_SOCKET")
        handed = self._handed.get(CLIENTS)
        if handed is None:
            self._listenUNIX(path)
            return path
        self._openTo(handed)
        there: str = handed.getsockname()
        if there != path:
            self.log.warn(
                "RVGAHP_SOCKET names {path}, but the socket that was handed over is {there}:"
                " clients may look for it in vain",
                path=path,
                there=there,
            )
        return there

    def _listenUNIX(self, path: str, site: str = "") -> None:
        """
        @param site: the one that the socket is for; empty: for all.
        """
        unix = listenUNIX(path, self._settings.get("RVGAHP_SOCKET_MODE"))
        self._sockets.append((path, os.stat(path)[stat.ST_INO]))
        self._openTo(unix, site)

    def _openTo(self, unix: socket.socket, site: str = "") -> None:
        def arrived(connection: socket.socket, _: object) -> None:
            self._clients.arrived(connection, site)

        self._listeners.append(Listener(self._reactor, unix, arrived))

    def _tell(self, port: int, path: str) -> None:
        self.log.info("Listening on port {port} and {path}", port=port, path=path)
        for site, further in self._settings.get("RVGAHP_SITE_SOCKETS").items():
            self.log.info("Listening on {path} for site {site}", path=further, site=site)
        status = f"port {port}, socket {path}"
        self._notifier.tell(READY="1", STATUS=status, X_RVGAHP_PORT=str(port))

    def startService(self) -> None:
        super().startService()
        self._clients.reloading.watchHangup()
        self._watchdog.start()

    def _close(self) -> None:
        """
        No more arrivals.
        """
        self._enrolment.close()
        for view in self._views:
            view.close()
        for listener in self._listeners:
            listener.close()
        for handed in self._handed.values():
            handed.close()
        for path, inode in self._sockets:
            removeSocket(path, inode)

    def stopService(self) -> None:
        """
        Let go of everything; what runs goes on without us.
        """
        super().stopService()
        if self._listeners:
            self._watchdog.stopping()
        self._watchdog.stop()
        self._close()
        if self._listeners:
            self._clients.reloading.ignoreHangup()
            self._waiting.clear()
            self._clients.closeAll()
            for record in list(self._proxy.sessions.values()):
                record.close()
            for site in list(self._proxy.sites.values()):
                site.control.close()
            self._proxy.watch.close()


def accountOf(twistd: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """
    @param twistd: its options.
    @return: the uid and gid that it will give us (C{--uid}, C{--gid}); L{None} for those that
        we have.
    """
    if twistd is None or (twistd["uid"] is None and twistd["gid"] is None):
        return None
    uid = os.getuid() if twistd["uid"] is None else twistd["uid"]
    return uid, pwd.getpwuid(uid).pw_gid if twistd["gid"] is None else twistd["gid"]


def makeService(options: Options) -> ProxyService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    useBootClock(reactor)
    names = options.names
    service = ProxyService(
        reactor,
        options.settings,
        options.credentials,
        options.trust,
        Authenticator(options.methods.methods, names),
        ProxyAccess(reactor, options.rules, LocalNames(names.domain, names.mapFile)),
        options.again,
        keptStderr(options),
        accountOf(options.parent),
    )
    service.daemonLog = options.openLog(reactor)
    return service
