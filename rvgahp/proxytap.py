# -*- test-case-name: tests.test_taps -*-
"""
C{twistd rvgahp-proxy}: its command line, and its parts put together.

Layer 5.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import partial
from typing import Any, TextIO

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.plugin import getPlugins

from rvgahp import limits
from rvgahp.authentication import Authenticator
from rvgahp.bootclock import useBootClock
from rvgahp.canonicalnames import CanonicalNames, loadNames
from rvgahp.description import Describer
from rvgahp.descriptorlimit import raiseDescriptorLimit
from rvgahp.errors import ConfigurationError
from rvgahp.gate import Gate, WaitingRoom
from rvgahp.iauthentication import IAuthenticationMethod
from rvgahp.listener import Listener, listenTCP, listenUNIX, removeSocket
from rvgahp.local import Clients
from rvgahp.methodtable import MethodTable
from rvgahp.notify import notify
from rvgahp.proxy import Proxy
from rvgahp.settings import Settings
from rvgahp.siteconnection import accept
from rvgahp.tapoptions import CannotStart, DaemonOptions, keptStderr, parameters
from rvgahp.tls import serverOptions
from rvgahp.trust import Trust, loadTrust


class Options(DaemonOptions):
    """
    The words after C{twistd rvgahp-proxy}.
    """

    synopsis = "[options]"
    longdesc = (
        "The broker of reverse GAHP, on the submit host. Sites dial its port; the gridmanager's"
        " rvgahp_client finds it by its UNIX socket. Settings come from condor_config"
        " (--config names the file; else the one HTCondor finds); options go before them."
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
        @raise ConfigurationError: the map cannot, or no method of authentication.
        """
        get = self.settings.get
        self.trust = loadTrust(
            get("RVGAHP_CAFILE"), get("RVGAHP_SITE_CAFILE"), get("RVGAHP_CRLFILE")
        )
        self.names = loadNames(self.settings)
        self.methods = MethodTable(self.settings, getPlugins(IAuthenticationMethod))
        self.settings.notes += self.methods.notes


class ProxyService(Service):
    """
    Listens, for as long as it runs.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        tlsOptions: Any,
        authenticator: Authenticator,
        stderr: TextIO | None = None,
    ) -> None:
        """
        @param tlsOptions: our half of TLS.
        @param stderr: where to say why we do not start, in place of twistd's own stderr;
            closed when that is known.
        """
        self._stderr = stderr
        self._reactor = reactor
        self._settings = settings
        self._tlsOptions = tlsOptions
        self._authenticator = authenticator
        self._listeners: list[Listener] = []
        self._sockets: list[tuple[str, int]] = []

    def privilegedStartService(self) -> None:
        """
        @raise CannotStart: a port or path cannot be had.
        """
        try:
            self._listen()
        except ConfigurationError as e:
            self._close()
            self.log.critical("{problem}", problem=e)
            # sys.stderr is the log by now.
            print(f"rvgahp-proxy: {e}", file=self._stderr or sys.__stderr__)
            raise CannotStart(str(e)) from None
        finally:
            if self._stderr is not None:
                self._stderr.close()

    def _listen(self) -> None:
        for note in self._settings.notes:
            self.log.warn("{note}", note=note)
        descriptors = raiseDescriptorLimit()
        mostPerUser = min(limits.LOCAL_CONNECTIONS_PER_USER, descriptors // 4)
        self._proxy = Proxy(self._reactor, self._settings)
        self._waiting = WaitingRoom(
            self._settings.get("RVGAHP_MAX_ARRIVALS"),
            self._settings.get("RVGAHP_MAX_ARRIVALS_PER_ADDRESS"),
        )
        secure = partial(accept, self._proxy, self._tlsOptions, self._waiting, self._authenticator)
        gate = Gate(self._reactor, self._waiting, secure, self._proxy.admit)
        self._clients = Clients(
            self._reactor,
            self._proxy.requestGAHP,
            mostPerUser,
            Describer(self._proxy),
            self._proxy.claims,
        )
        port = listenTCP(self._settings.get("RVGAHP_INTERFACE"), self._settings.get("RVGAHP_PORT"))
        self._listeners = [Listener(self._reactor, port, gate.arrived)]
        path = self._settings.get("RVGAHP_SOCKET")
        self._listenUNIX(path)
        for site, further in self._settings.get("RVGAHP_SITE_SOCKETS").items():
            self._listenUNIX(further, site)
        self._tell(port.getsockname()[1], path)

    def _listenUNIX(self, path: str, site: str = "") -> None:
        """
        @param site: the one that the socket is for; empty: for all.
        """
        unix = listenUNIX(path, self._settings.get("RVGAHP_SOCKET_MODE"))
        self._sockets.append((path, os.stat(path)[stat.ST_INO]))
        arrived = partial(self._clients.arrived, site=site)
        self._listeners.append(Listener(self._reactor, unix, arrived))

    def _tell(self, port: int, path: str) -> None:
        self.log.info("Listening on port {port} and {path}", port=port, path=path)
        for site, further in self._settings.get("RVGAHP_SITE_SOCKETS").items():
            self.log.info("Listening on {path} for site {site}", path=further, site=site)
        notify(READY="1", STATUS=f"port {port}, socket {path}", X_RVGAHP_PORT=str(port))

    def _close(self) -> None:
        """
        No more arrivals.
        """
        for listener in self._listeners:
            listener.close()
        for path, inode in self._sockets:
            removeSocket(path, inode)

    def stopService(self) -> None:
        """
        Let go of everything; what runs goes on without us.
        """
        super().stopService()
        self._close()
        if self._listeners:
            self._waiting.clear()
            self._clients.closeAll()
            for record in list(self._proxy.sessions.values()):
                record.close()
            for site in list(self._proxy.sites.values()):
                site.control.close()


def makeService(options: Options) -> ProxyService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    useBootClock(reactor)
    grace = options.settings.get("RVGAHP_RENEWAL_GRACE")
    return ProxyService(
        reactor,
        options.settings,
        serverOptions(options.credentials, options.trust, grace),
        Authenticator(options.methods.methods, options.names),
        keptStderr(options),
    )
