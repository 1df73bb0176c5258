# -*- test-case-name: tests.test_description -*-
"""
What the proxy tells of itself and of its sites to local users who look for the cause
of a trouble.  C{doc/protocol.rst}, step 4a.

Layer 4.  Nothing here is secret, and nothing is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rvgahp.errors import PolicyConflict
from rvgahp.names import SITE_URI
from rvgahp.policy import resolve
from rvgahp.proxy import Proxy
from rvgahp.siteconnection import SOFTWARE, SiteConnection
from rvgahp.sites import candidates

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection

#: Of what a CE says of itself, so much is passed on, so that the answer fits in a box:
#: characters of its software, bytes of its GAHPs.
_SOFTWARE_LENGTH = 200
_GAHPS_BYTES = 8 * 1024


class Describer:
    """
    Answers for one proxy.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def describeProxy(self, client: LocalConnection) -> dict[str, Any]:
        """
        @return: the values of L{rvgahp.commands.DescribeProxy}.
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
        @return: fires with the values of L{rvgahp.commands.DescribeSite}; fails with
            L{rvgahp.errors.NoSuchSite}.
        """
        found = self._proxy.sites.find(candidates(site, account, client.site))
        described: Deferred[dict[str, Any]] = found.addCallback(self._describe, gahp)
        return described

    def _describe(self, connection: SiteConnection, gahp: str) -> dict[str, Any]:
        certificate = connection.certificate
        assert certificate is not None  # it has said Hello
        return {
            "site": connection.site,
            "since": int(connection.since),
            "address": connection.address,
            "software": connection.software[:_SOFTWARE_LENGTH],
            "identity": SITE_URI + connection.site,
            "issuer": certificate.issuer.rfc4514_string(),
            "expires": int(certificate.not_valid_after_utc.timestamp()),
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
