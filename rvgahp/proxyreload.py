# -*- test-case-name: tests.test_proxyreload -*-
"""
What becomes of a proxy whose files have been read again: new rules are asked about all that
runs.

Layer 4.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp.accessrules import AccessRules
from rvgahp.authentication import Authenticator
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.credentials import Credentials
from rvgahp.errors import NotAuthorized, RvgahpError
from rvgahp.iauthentication import Identity
from rvgahp.localnames import LocalNames
from rvgahp.methodtable import MethodTable
from rvgahp.proxy import Proxy
from rvgahp.proxyenrolment import ProxyEnrolment
from rvgahp.reload import MAP_CHANGED, RULES_CHANGED
from rvgahp.settings import Settings
from rvgahp.siteconnection import SiteConnection
from rvgahp.siteend import endSite
from rvgahp.trust import Trust


class ProxyFiles(Protocol):
    """
    What a proxy reads.

    @ivar names: gives CEs and users canonical names.
    @ivar rules: who may do what.
    """

    settings: Settings
    credentials: Credentials | None
    trust: Trust
    names: CanonicalNames
    methods: MethodTable
    rules: AccessRules


class ProxyReload:
    """
    Puts files into force.
    """

    log = Logger()

    def __init__(
        self, proxy: Proxy, enrolment: ProxyEnrolment, authenticator: Authenticator
    ) -> None:
        self._proxy = proxy
        self._enrolment = enrolment
        self._authenticator = authenticator

    def adopt(self, files: ProxyFiles) -> list[str]:
        """
        From now on these count.  What runs and may run no longer is ended, and those who are
        at it are told; all else goes on.

        @return: what is otherwise now, for people.
        @raise RvgahpError: they cannot be put into force; all stays as it was.
        """
        access, names = self._proxy.access, self._authenticator.names
        news = self._enrolment.replace(files.credentials, files.trust, files.settings)
        if files.rules != access.rules:
            news.append(RULES_CHANGED)
        if files.names.mapFile != names.mapFile or files.names.domain != names.domain:
            news.append(MAP_CHANGED)
        changed, waiting = self._proxy.settings.adopt(files.settings)
        self._authenticator.adopt(files.methods.methods, files.names)
        access.names = LocalNames(files.names.domain, files.names.mapFile)
        access.rules = files.rules
        for note in files.settings.notes:
            self.log.warn("{note}", note=note)
        said = [f"{name} has changed" for name in changed] + news
        said += [f"{name} stays as it was until rvgahp-proxy is started again" for name in waiting]
        said += [f"session {name}: withdrawn" for name in self._reviewSessions()]
        said += self._reviewSites()
        self._enrolment.look()
        said += [f"site {one.site}: closed: {end}" for one, end in self._ended()]
        return said

    def _reviewSessions(self) -> list[str]:
        records = list(self._proxy.sessions.values())
        return [record.sessionId for record in records if not record.allowed()]

    def _ended(self) -> list[tuple[SiteConnection, str]]:
        """
        Somebody may have set the clock.

        @return: the sites whose certificates have ended, each with a sentence.
        """
        looked = [(site, site.look()) for site in list(self._proxy.sites.values())]
        return [(site, sentence) for site, sentence in looked if sentence]

    def _reviewSites(self) -> list[str]:
        """
        @return: what is known of them at once; other hosts' names may have to be looked up.
        """
        said = []
        for site in list(self._proxy.sites.values()):
            identity = site.identity
            assert identity is not None  # it has said Hello
            problem = self._problem(site)
            if problem:
                self._end(site, problem)
                said.append(f"site {site.site}: ended: {problem}")
                continue
            if not self._isNamed(identity):
                site.dismiss("the map of canonical names has changed")  # it comes again
                said.append(f"site {site.site}: has to come again under another name")
                continue
            asked = self._proxy.access.register(identity.canonical, site.site, site.address)
            asked.addCallbacks(
                lambda rule, site=site: setattr(site, "rule", rule),
                lambda failure, site=site: self._mayNot(site, failure),
            )
        return said

    def _mayNot(self, site: SiteConnection, failure: Failure) -> None:
        failure.trap(NotAuthorized)
        self._end(site, failure.getErrorMessage())

    def _problem(self, site: SiteConnection) -> str:
        """
        @return: why a site may not stay as it is; empty if it may.
        """
        if site.chain is not None:
            objection = self._enrolment.objection(site.chain)
            if objection:
                return objection
        try:
            site.checkCertificate(site.site)
        except RvgahpError as e:
            return str(e)
        return ""

    def _isNamed(self, identity: Identity) -> bool:
        """
        @return: whether the map of today gives a CE the name that it has.
        """
        if not identity.isMapped:
            return True  # it is its certificate's, or its method's
        try:
            name, _ = self._authenticator.names.of(identity.method, identity.principal)
        except NotAuthorized:
            return False
        return name == identity.canonical

    def _end(self, site: SiteConnection, reason: str) -> None:
        endSite(self._proxy, site.site, f"site {site.site} may not stay: {reason}")
