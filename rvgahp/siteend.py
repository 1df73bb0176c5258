# -*- test-case-name: tests.test_enrolment -*-
"""
A site may not stay: what runs there ends, and all who are at it are told why.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, succeed

if TYPE_CHECKING:
    from rvgahp.proxy import Proxy


def endSite(proxy: Proxy, site: str, reason: str) -> Deferred[int]:
    """
    End what runs at a site, and its control connection.

    @param reason: a sentence.
    @return: fires with the number of sessions whose clients were told, when the CE knows of
        all or cannot be told.
    """
    records = [one for one in proxy.sessions.values() if one.site == site]
    connection = proxy.sites.get(site)
    told: Deferred[Any] = succeed(None)
    if connection is not None:
        names = {one.sessionId for one in records} | connection.listed
        told = DeferredList([connection.end(name, reason) for name in sorted(names)])
        told.addCallback(lambda _: connection.dismiss(reason))
    proxy.claims.complete(site, set())
    for record in records:
        proxy.watch.ends.ended(record.sessionId, "revoked", reason)
        record.lost(reason)
    return told.addCallback(lambda _: len(records))
