# -*- test-case-name: tests.test_proxystatus -*-
"""
What the proxy shows of itself, its sites and its sessions.  C{doc/status.rst} has the schema.

Layer 4.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from rvgahp import attention, watchlimits
from rvgahp.errors import NotAuthorized
from rvgahp.peercred import LocalUser
from rvgahp.policy import conflictOf
from rvgahp.siteconnection import SOFTWARE, SiteConnection
from rvgahp.viewer import Viewer

if TYPE_CHECKING:
    from rvgahp.history import Departure, End
    from rvgahp.peerchain import Validity
    from rvgahp.proxy import Proxy
    from rvgahp.proxysession import ProxySession

__all__ = ["ProxyStatus"]

#: The number of the form of what is shown; a field that is added does not change it.
FORM = 1


#: What is not known of the certificate of a site that has none, or was never here.
_VALIDITY = ("certificateBegan", "certificateExpires", "certificateRenews")


class ProxyStatus:
    """
    Looks at one proxy.
    """

    def __init__(self, proxy: Proxy, validity: Callable[[], Validity]) -> None:
        """
        @param validity: tells that of the proxy's own certificate.
        """
        self._proxy = proxy
        self._drains = proxy.watch.drains
        self._validity = validity
        self._since = time.time()

    def whole(self) -> dict[str, Any]:
        """
        @return: all that there is.
        """
        return self.document(Viewer(LocalUser(os.geteuid(), "", 0), True))

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: all that somebody may see, fit for JSON.
        """
        ends = self._proxy.watch.history.ends
        sessions = [
            self._session(record)
            for record in self._proxy.sessions.values()
            if _isHis(viewer, record.client.user.uid)
        ]
        name = self.nameOf(viewer)
        sessions += [
            _unclaimed(entry)
            for entry in self._proxy.claims.entries()
            if viewer.isAdministrator or entry["owner"] == name
        ]
        seen = {
            "form": FORM,
            "role": "proxy",
            "software": SOFTWARE,
            "pid": os.getpid(),
            "since": int(self._since),
            "now": int(time.time()),
            "you": viewer.user.name,
            "administrator": viewer.isAdministrator,
            "draining": self._drains.isAll,
            **self._validity().shown(),
            "sites": self._sites(viewer),
            "sessions": sessions,
            "ends": [_end(one) for one in ends if _isHis(viewer, one.uid)],
            "limits": self._limits(viewer),
        }
        return {**seen, "attention": attention.sentences(seen)}

    def nameOf(self, viewer: Viewer) -> str | None:
        """
        @return: the canonical name of who looks, if he has one.
        """
        try:
            return self._proxy.access.names.canonical(viewer.user)
        except NotAuthorized:
            return None

    # -- sites --------------------------------------------------------------

    def exists(self, site: str) -> bool:
        """
        @return: whether there is, or was, such a site.
        """
        isSeen = site in self._proxy.sites or site in self._departures()
        return isSeen or self._proxy.enrolment.isKnown(site) or site in self._drains.sites

    def knows(self, viewer: Viewer, site: str) -> bool:
        """
        @return: whether somebody may see a site.
        """
        return viewer.isAdministrator or self._proxy.access.knows(viewer.user, site)

    def _sites(self, viewer: Viewer) -> list[dict[str, Any]]:
        proxy = self._proxy
        departures = self._departures()
        enrolled = set(proxy.enrolment.enrolled())
        absent = {*departures, *enrolled, *self._expected()} - proxy.sites.keys()
        absent = {name for name in absent if not proxy.enrolment.isRevoked(name)}
        here = [
            self._site(one, one.site in enrolled)
            for one in proxy.sites.values()
            if self.knows(viewer, one.site)
        ]
        away = [
            self._away(name, departures.get(name), name in enrolled)
            for name in absent
            if self.knows(viewer, name)
        ]
        return sorted(here + away, key=lambda one: str(one["site"]))

    def _expected(self) -> Collection[str]:
        """
        @return: the sites that are not enrolled, and may be expected for some time after the
            proxy's start, as they have been here before.
        """
        isYoung = time.time() - self._since < watchlimits.SITE_REMEMBERED
        return self._proxy.enrolment.acquainted() if isYoung else ()

    def _departures(self) -> Mapping[str, Departure]:
        """
        @return: of the sites that are away and not forgotten.
        """
        history = self._proxy.watch.history
        history.forget(self._proxy.enrolment.enrolled())
        return history.departures

    def _site(self, site: SiteConnection, isEnrolled: bool) -> dict[str, Any]:
        identity, chain = site.identity, site.chain
        assert identity is not None  # it has said Hello
        return {
            "site": site.site,
            "connected": True,
            "since": int(site.since),
            "address": site.address,
            "software": site.software,
            "identity": identity.canonical,
            "method": identity.method,
            **_shown(chain.validity if chain is not None else None, isEnrolled),
            "gahps": site.gahps,
            "policy": site.policy.encode(),
            "conflict": conflictOf(self._proxy.settings.policy, site.policy),
            "roundTrip": _roundTrip(site),
            "sessions": self._proxy.sessions.count(site.site),
            "unclaimed": self._proxy.claims.count(site.site),
            "draining": self._drains.isDraining(site.site),
            "reason": "",
        }

    def _away(self, name: str, departure: Departure | None, isEnrolled: bool) -> dict[str, Any]:
        return {
            "site": name,
            "connected": False,
            "since": int(departure.when) if departure else None,
            "address": departure.address if departure else "",
            **_shown(departure.validity if departure else None, isEnrolled),
            "sessions": self._proxy.sessions.count(name),
            "unclaimed": self._proxy.claims.count(name),
            "draining": self._drains.isDraining(name),
            "reason": departure.reason if departure else "",
        }

    # -- sessions -----------------------------------------------------------

    def _session(self, record: ProxySession) -> dict[str, Any]:
        news = record.news
        stalled = news.get("stalled", 0)
        if stalled:
            stalled += int(self._proxy.reactor.seconds() - record.newsCame)
        return {
            "session": record.sessionId,
            "user": record.client.user.name,
            "owner": record.owner,
            "site": record.site,
            "gahp": record.grant.gahp,
            "account": record.grant.account,
            "since": int(record.since),
            "state": self._state(record, stalled),
            "stalled": stalled,
            "resumed": max(0, news.get("channels", 1) - 1),
            "received": news.get("received"),
            "sent": news.get("sent"),
            "tunnels": news.get("tunnels") if record.hasTunnels else None,
            "tunnelsReceived": news.get("tunnelsReceived") if record.hasTunnels else None,
            "tunnelsSent": news.get("tunnelsSent") if record.hasTunnels else None,
            "clientPid": record.client.user.pid,
            "pid": news.get("pid") or None,
        }

    def _state(self, record: ProxySession, stalled: int) -> str:
        if not record.isIntroduced:
            return "starting"
        if record.site not in self._proxy.sites:
            return "site away"
        phase = record.news.get("phase", "running")
        if stalled and phase != "ending":
            return "stalled"
        return phase if phase in ("ending", "exited") else "running"

    # -- limits -------------------------------------------------------------

    def _limits(self, viewer: Viewer) -> list[dict[str, Any]]:
        """
        @return: of each limit who is nearest to it, and who else is near.
        """
        watch, get = self._proxy.watch, self._proxy.settings.get
        names = {one.client.user.uid: one.client.user.name for one in watch.sessions.values()}
        users = {name: watch.sessions.count(uid) for uid, name in names.items()}
        if not viewer.isAdministrator:
            users = {name: count for name, count in users.items() if name == viewer.user.name}
        sites = {
            name: watch.sessions.count(name) + self._proxy.claims.count(name)
            for name in self._proxy.sites
            if self.knows(viewer, name)
        }
        ofUser, ofSite = "RVGAHP_MAX_SESSIONS_PER_USER", "RVGAHP_MAX_SESSIONS_PER_SITE"
        return [*_nearest(ofUser, users, get(ofUser)), *_nearest(ofSite, sites, get(ofSite))]


def _shown(validity: Validity | None, renews: bool) -> dict[str, Any]:
    if validity is None:
        return dict.fromkeys(_VALIDITY)
    return validity._replace(renews=renews).shown()


def _isHis(viewer: Viewer, uid: int) -> bool:
    return viewer.isAdministrator or viewer.user.uid == uid


def _roundTrip(site: SiteConnection) -> float | None:
    """
    @return: of the last ping, or of the one whose answer is waited for if that is longer.
    """
    waiting = site.control.waiting()
    return waiting if waiting > (site.roundTrip or 0.0) else site.roundTrip


def _nearest(limit: str, counts: dict[str, int], most: int) -> list[dict[str, Any]]:
    order = sorted(counts, key=lambda name: -counts[name]) or [""]
    near = [name for name in order[1:] if counts[name] >= attention.NEAR * most]
    return [
        {"limit": limit, "most": most, "used": counts.get(who, 0), "by": who}
        for who in (order[0], *near)
    ]


def _unclaimed(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("session", "owner", "site", "gahp", "account")
    return {"state": "unclaimed", "user": None, **{name: entry[name] for name in names}}


def _end(one: End) -> dict[str, Any]:
    return {
        "session": one.session,
        "when": int(one.when),
        "user": one.user,
        "owner": one.owner,
        "site": one.site,
        "gahp": one.gahp,
        "seconds": None if one.seconds is None else round(one.seconds, 3),
        "by": one.by,
        "reason": one.reason,
        "received": one.received,
        "sent": one.sent,
        "outcome": one.how.outcome if one.how is not None else None,
        "status": one.how.words if one.how is not None else None,
        "lived": one.how.lived if one.how is not None else None,
    }
