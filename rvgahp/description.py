# -*- test-case-name: tests.test_description -*-
"""
What the proxy tells of itself and of its sites to local users who look for the cause
of a trouble.  C{doc/protocol.rst}, step 4a.

Layer 4.  Nothing here is secret, and no GAHP is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.protocols.amp import UnhandledCommand
from twisted.python.failure import Failure

from rvgahp import localcommands, tunnellimits
from rvgahp.control import Responders
from rvgahp.errors import (
    Busy,
    InternalError,
    NoSuchSite,
    NotAuthorized,
    PolicyConflict,
    RvgahpError,
    VersionMismatch,
)
from rvgahp.policy import resolve
from rvgahp.proxy import Proxy
from rvgahp.proxysession import ProxySession
from rvgahp.siteconnection import SOFTWARE, SiteConnection

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection

#: Of what a CE says, so much is passed on, so that the answer fits in a box: characters of
#: its software, bytes of its GAHPs, characters of why a tunnel ended.
_SOFTWARE_LENGTH = 200
_GAHPS_BYTES = 8 * 1024
_PROBLEM_LENGTH = 2000


class Questions(Responders):
    """
    Takes them from one client.
    """

    def __init__(self, connection: LocalConnection, describer: Describer) -> None:
        self._connection = connection
        self._describer = describer
        self._isAsking = False

    @localcommands.DescribeProxy.responder
    def describeProxy(self) -> dict[str, Any]:
        return self._describer.describeProxy(self._connection)

    @localcommands.DescribeSite.responder
    def describeSite(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        if self._isAsking:  # while a site is waited for, who asks more would fill our memory
            raise Busy("this connection has asked for a site already; await the answer")
        self._isAsking = True
        asked = maybeDeferred(self._describer.describeSite, self._connection, **arguments)
        return asked.addBoth(self._described)

    def _described(self, result: Any) -> Any:
        self._isAsking = False
        return result

    @localcommands.ProbeTunnel.responder
    def probeTunnel(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        return self._describer.probeTunnel(self._connection, **arguments)


class Describer:
    """
    Answers for one proxy.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def describeProxy(self, client: LocalConnection) -> dict[str, Any]:
        """
        @return: the values of L{rvgahp.localcommands.DescribeProxy}.
        """
        return {
            "software": SOFTWARE,
            "policy": self._proxy.settings.policy.encode(),
            "user": client.user.name,
        }

    def describeSite(
        self, client: LocalConnection, site: str, account: str, gahp: str
    ) -> Deferred[dict[str, Any]]:
        """
        @return: fires with the values of L{rvgahp.localcommands.DescribeSite}; fails with
            L{rvgahp.errors.NoSuchSite}.
        @raise NotAuthorized: the user may not start this GAHP there, and so learns nothing.
        """
        found = self._proxy.findSite(client, site, gahp, account)
        described: Deferred[dict[str, Any]] = found.addCallback(self._describe, gahp)
        return described

    def _describe(self, connection: SiteConnection, gahp: str) -> dict[str, Any]:
        identity, chain = connection.identity, connection.chain
        assert identity is not None  # it has said Hello
        return {
            "site": connection.site,
            "since": int(connection.since),
            "address": connection.address,
            "software": connection.software[:_SOFTWARE_LENGTH],
            "identity": identity.canonical,
            "authentication": identity.method,
            "issuer": chain.endEntity.issuer.rfc4514_string() if chain else "",
            "expires": int(chain.end.timestamp()) if chain else 0,
            "gahps": _clipped(connection.gahps),
            "policy": connection.policy.encode(),
            **self._outcome(connection, gahp),
        }

    def _outcome(self, connection: SiteConnection, gahp: str) -> dict[str, str]:
        found = {"outcome": "", "method": "", "conflict": ""}
        try:
            outcome, method = resolve(self._proxy.settings.policy, connection.policy)
            found.update(outcome=outcome.value, method=method)
            self._proxy.checkOutcome(outcome, connection, gahp)
        except PolicyConflict as e:
            found["conflict"] = str(e)
        return found

    # -- tunnels ------------------------------------------------------------

    def probeTunnel(
        self, client: LocalConnection, process: int, request: bytes
    ) -> Deferred[dict[str, Any]]:
        """
        Have the CE use the tunnel of a client's session.

        @param process: the client's.
        @return: fires with the values of L{rvgahp.localcommands.ProbeTunnel}; fails with its
            errors.
        @raise RvgahpError: the CE is not asked.
        """
        record = self._tunnelled(client, process)
        site = self._proxy.sites.get(record.site)
        if site is None:
            raise NoSuchSite(f"site {record.site} is not connected to the proxy")
        if record.isProbed:
            raise Busy(f"process {process} has its tunnel probed already; try again later")
        record.isProbed = True
        asked = site.dialTunnel(record.sessionId, request)
        asked.addCallbacks(_probed, _notProbed, errbackArgs=(site,))

        def over(result: Any) -> Any:
            record.isProbed = False
            return result

        return asked.addBoth(over)

    def _tunnelled(self, client: LocalConnection, process: int) -> ProxySession:
        asker = client.user.uid
        for record in self._proxy.sessions.values():
            user = record.client.user
            if record.hasTunnels and user.pid == process and asker in (0, user.uid):
                return record
        raise NotAuthorized(
            f"process {process} is no client of {client.user.name} whose GAHP has a tunnel"
        )


def _probed(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "answer": values["answer"][: tunnellimits.PEEK_BYTES],
        "problem": values["problem"][:_PROBLEM_LENGTH],
    }


def _notProbed(failure: Failure, site: SiteConnection) -> Failure:
    if failure.check(RvgahpError):
        return failure
    if failure.check(UnhandledCommand):
        raise VersionMismatch(
            f"rvgahp-ce at site {site.site} cannot probe tunnels: it is older than the proxy"
        )
    if failure.check(TimeoutError):
        raise Busy(f"rvgahp-ce at site {site.site} gave {failure.getErrorMessage()} (DialTunnel)")
    if not site.control.connected:
        raise NoSuchSite(f"the connection to site {site.site} was lost; try again")
    raise InternalError(f"the answer of site {site.site} to DialTunnel was not understood")


def _clipped(names: list[str]) -> list[str]:
    """
    @return: as many of them as may be passed on.
    """
    kept: list[str] = []
    left = _GAHPS_BYTES
    for name in names:
        left -= len(name.encode()) + 2
        if left < 0:
            break
        kept.append(name)
    return kept
