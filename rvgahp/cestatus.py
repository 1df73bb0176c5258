# -*- test-case-name: tests.test_whole_status -*-
"""
What a CE shows of itself, its proxy and its sessions, and what people may tell it to do.
C{doc/status.rst} has the schema.

Layer 4.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp import __version__, attention
from rvgahp.commands import plain
from rvgahp.errors import NotAuthorized, SessionGone
from rvgahp.peercred import LocalUser
from rvgahp.policy import conflictOf
from rvgahp.sessionnews import factsOf
from rvgahp.viewer import Viewer

if TYPE_CHECKING:
    from rvgahp.ce import CE
    from rvgahp.gahpsession import GAHPSession
    from rvgahp.servedproxy import ServedProxy
    from rvgahp.settings import Settings

__all__ = ["CEStatus"]

#: As of the proxy (L{rvgahp.proxystatus.FORM}).
FORM = 1


class CEStatus:
    """
    Looks at one CE.  A L{rvgahp.statusweb.StatusSource}.
    """

    log = Logger()

    def __init__(self, reactor: Any, settings: Settings, ce: CE) -> None:
        self._reactor = reactor
        self._settings = settings
        self._ce = ce
        self._since = time.time()

    def whole(self) -> dict[str, Any]:
        """
        @return: all that there is, for those who count: what sessions carry is counted now.
        """
        for one in self._ce.proxies:
            one.recorder.counts.look(one.sessions.values())
        return self.document(Viewer(LocalUser(os.geteuid(), "", 0), True))

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: what he may see, fit for JSON.
        """
        first = min(self._ce.proxies, key=_end)
        budget = self._ce.runner.budget
        seen = {
            "form": FORM,
            "role": "ce",
            "software": f"rvgahp {__version__}",
            "pid": os.getpid(),
            "since": int(self._since),
            "now": int(time.time()),
            "you": viewer.user.name,
            "administrator": viewer.isAdministrator,
            "site": self._ce.proxies[0].site,
            "draining": self._ce.runner.drains.isAll,
            **first.renewal.validity.shown(),
            "proxies": [
                *(self._proxy(one) for one in self._ce.proxies),
                *(one.document() for one in self._ce.unusable),
            ],
            "sessions": [
                self._session(proxy, one)
                for proxy, one in self._ce.sessions()
                if _isHis(viewer, one.request.runsAs)
            ],
            "limits": self._limits() if viewer.isAdministrator else [],
            "replay": {
                "kept": budget.kept,
                "replayed": budget.replayed,
                "used": budget.lent,
                "most": budget.total,
            },
        }
        return {**seen, "attention": attention.sentences(seen)}

    def _proxy(self, served: ServedProxy) -> dict[str, Any]:
        """
        @return: how we stand with one; C{conflict} is why no GAHP can be started by its policy and
            ours, empty if one can.
        """
        conflict = ""
        if served.state.isAccepted:
            conflict = conflictOf(served.policy, self._settings.policy)
        return {
            "name": served.name,
            "site": served.site,
            **served.state.document(),
            **served.renewal.validity.shown(),
            "sessions": len(served.sessions),
            "draining": self._ce.runner.drains.isDraining(served.site),
            "unanswered": served.way.doubt(),
            "conflict": conflict,
        }

    def _session(self, served: ServedProxy, session: GAHPSession) -> dict[str, Any]:
        request, facts = session.request, factsOf(session, self._reactor.seconds())
        phase = facts.pop("phase")
        isStalled = phase in ("running", "exited") and facts["stalled"]
        return {
            "session": session.sessionId,
            "proxy": served.place,
            "owner": request.owner,
            "gahp": request.gahp,
            "account": request.runsAs,
            "since": int(session.since),
            "state": "stalled" if isStalled else phase,
            "resumed": max(0, facts.pop("channels") - 1),
            **facts,
        }

    def _limits(self) -> list[dict[str, Any]]:
        get = self._settings.get
        sessions = self._ce.sessions()
        owners = Counter(one.request.owner for _, one in sessions)
        who, used = owners.most_common(1)[0] if owners else ("", 0)
        all_, each = "RVGAHP_MAX_SESSIONS", "RVGAHP_MAX_SESSIONS_PER_OWNER"
        return [
            {"limit": each, "most": get(each), "used": used, "by": who},
            {"limit": all_, "most": get(all_), "used": len(sessions), "by": "this site"},
        ]

    # -- what it may be told ------------------------------------------------

    def kill(self, viewer: Viewer, session: str, reason: str) -> dict[str, Any]:
        """
        End a session; both ends are told who has done so, and why.  Where two proxies have
        given the same id, which none does by chance, both end.

        @param reason: his own words; may be empty.
        @raise SessionGone: he has no such session.
        """
        found = [
            (proxy, one)
            for proxy, one in self._ce.sessions()
            if one.sessionId == session and _isHis(viewer, one.request.runsAs)
        ]
        if not found:
            raise SessionGone(f"you have no session {plain(session[:200])}; see rvgahp list")
        why = plain(reason[:200]) or "without a reason"
        words = f"ended by {viewer.user.name} at the site (rvgahp kill): {why}"
        for _, one in found:
            one.log.info("Session {session}: {reason}", reason=words)
            one.clientGone(words)
        return {"session": session, "site": found[0][0].site}

    def drain(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Start nothing new; what runs goes on.

        @param site: one of ours; empty: all.
        @raise NotAuthorized: he may not.
        """
        site = self._which(viewer, "drain", site)
        self._ce.runner.drains.drain(site)
        what = f"site {site}" if site else "the CE"
        self.log.info("{user} drains {what}", user=viewer.user.name, what=what)
        return {"draining": site or "all"}

    def resume(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Take L{drain} back.

        @raise NotAuthorized: he may not.
        """
        site = self._which(viewer, "resume", site)
        drains = self._ce.runner.drains
        drains.resume(site)
        what = f"site {site}" if site else "the CE"
        self.log.info("{user} resumes {what}", user=viewer.user.name, what=what)
        return {"resumed": site or "all", "draining": drains.isAll}

    def _which(self, viewer: Viewer, what: str, site: str) -> str:
        """
        @return: the site that is meant; empty where that is all there is.
        @raise NotAuthorized: he may not.
        """
        ours = {one.site for one in self._ce.proxies}
        if site and site not in ours:
            names = " and ".join(sorted(ours))
            raise NotAuthorized(f"this CE is that of site {names}, and of no other")
        if not viewer.isAdministrator:
            raise NotAuthorized(
                f"{viewer.user.name} may not {what} this CE: root can, its own account, and whom"
                " its RVGAHP_ADMINISTRATORS names"
            )
        return site if len(ours) > 1 else ""


def _end(served: ServedProxy) -> int:
    """
    @return: when our certificate for that proxy ends, in seconds since 1970.
    """
    return int(served.renewal.credentials.certificate.not_valid_after_utc.timestamp())


def _isHis(viewer: Viewer, account: str) -> bool:
    return viewer.isAdministrator or viewer.user.name == account
