# -*- test-case-name: tests.test_whole_reload -*-
"""
What becomes of a CE whose files have been read again: new rules are asked about all that
runs.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp.access import Access
from rvgahp.accessrules import AccessRules
from rvgahp.accounts import MappedAccounts
from rvgahp.ce import CE
from rvgahp.errors import NotAuthorized
from rvgahp.gahpsession import GAHPSession
from rvgahp.methodtable import MethodTable
from rvgahp.reload import MAP_CHANGED, RULES_CHANGED
from rvgahp.separation import Separation
from rvgahp.servedproxies import Served, Unusable
from rvgahp.settings import Settings
from rvgahp.trust import Trust
from rvgahp.wayout import Gateway


class CEFiles(Protocol):
    """
    What a CE reads.

    @ivar served: the proxies that it can serve; C{unusable}: those that it cannot.
    @ivar rules: who may start what.
    @ivar accounts: as whom, if root has started the CE.
    """

    settings: Settings
    trust: Trust
    gateway: Gateway | None
    methods: MethodTable
    rules: AccessRules
    served: list[Served]
    unusable: list[Unusable]
    accounts: MappedAccounts | None


class CEReload:
    """
    Puts files into force.
    """

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        ce: CE,
        access: Access,
        separation: Separation | None,
        serve: Callable[[CEFiles, Served], object],
        first: CEFiles,
    ) -> None:
        """
        @param serve: has the CE serve one more proxy.
        @param first: what was read at the start.
        """
        self._settings = settings
        self._ce = ce
        self._access = access
        self._separation = separation
        self._serve = serve
        self._former: CEFiles = first

    def adopt(self, files: CEFiles) -> list[str]:
        """
        From now on these count.  GAHPs whose owners may have them no longer are ended; all
        others go on.

        @return: what is otherwise now, for people.
        """
        changed, waiting = self._settings.adopt(files.settings)
        news = self._news(files)
        self._access.rules = files.rules
        if self._separation is not None and files.accounts is not None:
            self._separation.accounts = files.accounts
        for note in files.settings.notes:
            self.log.warn("{note}", note=note)
        said = [f"{name} has changed" for name in changed] + news
        said += [f"{name} stays as it was until rvgahp-ce is started again" for name in waiting]
        for place in self._ce.renew(files.trust, files.methods.methods, files.gateway):
            said.append(f"the certificate is another; the proxy {place} is dialled again")
        said += self._takeUp(files)
        for proxy, session in self._ce.sessions():
            asked = proxy.here.checkStart(
                session.request.owner,
                session.request.gahp,
                session.request.runsAs,
                proxy.state.address,
            )
            asked.addErrback(self._withdraw, session)
        return said

    def _news(self, files: CEFiles) -> list[str]:
        """
        @return: what of them is otherwise than when they were read last.
        """
        former, self._former = self._former, files
        news = {
            RULES_CHANGED: files.rules != former.rules,
            MAP_CHANGED: self._separation is not None
            and files.accounts != self._separation.accounts,
            "the revocation lists have changed": files.trust != former.trust,
            "the gateway or its credentials have changed": files.gateway != former.gateway,
        }
        return [sentence for sentence, isSo in news.items() if isSo]

    def _takeUp(self, files: CEFiles) -> Iterator[str]:
        """
        Serve the proxies that have come.

        @return: what is otherwise now.
        """
        known = {one.name for one in self._ce.proxies}
        own = self._settings.ofProxies()  # with them it learns of later changes
        self._ce.unusable = [one for one in files.unusable if one.name not in known]
        for one in files.served:
            if one.name in own and one.name not in known:
                self._serve(files, replace(one, settings=own[one.name]))
                yield f"the proxy {one.place} is served, too"
        for broken in files.unusable:
            yield f"the proxy {broken.place}: {broken.problem}"

    def _withdraw(self, failure: Failure, session: GAHPSession) -> None:
        failure.trap(NotAuthorized)
        session.log.warn("Session {session}: withdrawn: {reason}", reason=failure.getErrorMessage())
        session.clientGone(failure.getErrorMessage())
