# -*- test-case-name: tests.test_proxystatus -*-
"""
What people may tell a proxy to do: end a session, start nothing new.  C{doc/status.rst}.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp.commands import plain
from rvgahp.errors import NoSuchSite, NotAuthorized, SessionGone

if TYPE_CHECKING:
    from rvgahp.proxy import Proxy
    from rvgahp.proxystatus import ProxyStatus
    from rvgahp.viewer import Viewer

__all__ = ["ProxyOperator"]


class ProxyOperator:
    """
    Obeys them.  A L{rvgahp.statusweb.StatusSource}.
    """

    log = Logger()

    def __init__(self, proxy: Proxy, status: ProxyStatus) -> None:
        self._proxy = proxy
        self._status = status

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: what he may see.
        """
        return self._status.document(viewer)

    def kill(self, viewer: Viewer, session: str, reason: str) -> dict[str, Any]:
        """
        End a session; both ends are told who has done so, and why.

        @param reason: his own words; may be empty.
        @raise SessionGone: he has no such session.
        """
        why = plain(reason[:200]) or "without a reason"
        words = f"ended by {viewer.user.name} (rvgahp kill): {why}"
        record = self._proxy.sessions.get(session)
        entry = self._proxy.claims.entry(session)
        if record is not None and self._isHis(viewer, record.client.user.uid, record.owner):
            site = record.site
        elif entry is not None and self._isHis(viewer, -1, entry["owner"]):
            site = entry["site"]
        else:
            raise SessionGone(f"you have no session {plain(session[:200])}; see rvgahp list")
        log = self.log if record is None else record.log
        log.info("Session {session}: {reason}", session=session, site=site, reason=words)
        self._proxy.endAtSite(site, session, words, "killed")
        if record is not None:
            record.lost(words)
        else:
            self._proxy.claims.forget(session, site)
        return {"session": session, "site": site}

    def drain(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Start nothing new; what runs goes on.

        @param site: where; empty: anywhere.
        @raise NotAuthorized: he may not.
        @raise NoSuchSite: it may be misspelt.
        """
        self._checkMay(viewer, "drain", site)
        self._proxy.watch.drains.drain(site)
        user = viewer.user.name
        self.log.info("{user} drains {what}", user=user, what=_what(site), site=site)
        return {"draining": site or "all"}

    def resume(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Take L{drain} back.

        @return: with it, whether all is drained, and so this site.
        @raise NotAuthorized: he may not.
        @raise NoSuchSite: it may be misspelt.
        """
        self._checkMay(viewer, "resume", site)
        self._proxy.watch.drains.resume(site)
        user = viewer.user.name
        self.log.info("{user} resumes {what}", user=user, what=_what(site), site=site)
        return {"resumed": site or "all", "draining": self._proxy.watch.drains.isAll}

    def _isHis(self, viewer: Viewer, uid: int, owner: str) -> bool:
        return (
            viewer.isAdministrator or uid == viewer.user.uid or owner == self._status.nameOf(viewer)
        )

    def _checkMay(self, viewer: Viewer, what: str, site: str) -> None:
        owner = self._proxy.enrolment.ownerOf(site) if site else None
        isOwner = owner is not None and owner == self._status.nameOf(viewer)
        if not (viewer.isAdministrator or isOwner):
            raise NotAuthorized(
                f"{viewer.user.name} may not {what} {_what(site)}: root can, the proxy's account,"
                " whom its RVGAHP_ADMINISTRATORS names, and the owner of a site"
            )
        if site and not self._status.exists(site):
            raise NoSuchSite(
                f"{_what(site)} is not known here: none of this name is enrolled, or was connected"
                " since this proxy was started"
            )


def _what(site: str) -> str:
    return f"site {plain(site[:200])}" if site else "the proxy"
