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
    from rvgahp.settings import Settings

__all__ = ["CEStatus"]

#: As of the proxy (L{rvgahp.proxystatus.FORM}).
FORM = 1


class CEStatus:
    """
    Looks at one CE.  A L{rvgahp.statusweb.StatusSource}.
    """

    log = Logger()

    def __init__(self, reactor: Any, settings: Settings, site: str, ce: CE) -> None:
        self._reactor = reactor
        self._settings = settings
        self._site = site
        self._ce = ce
        self._since = time.time()

    def whole(self) -> dict[str, Any]:
        """
        @return: all that there is, for those who count: what sessions carry is counted now.
        """
        self._ce.recorder.counts.look(self._ce.sessions.values())
        return self.document(Viewer(LocalUser(os.geteuid(), "", 0), True))

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: what he may see, fit for JSON.
        """
        renewal = self._ce.renewal
        budget = self._ce.here.budget
        seen = {
            "form": FORM,
            "role": "ce",
            "software": f"rvgahp {__version__}",
            "pid": os.getpid(),
            "since": int(self._since),
            "now": int(time.time()),
            "you": viewer.user.name,
            "administrator": viewer.isAdministrator,
            "site": self._site,
            "draining": self._ce.here.drains.isAll,
            **renewal.validity.shown(),
            "proxies": [self._proxy()],
            "sessions": [
                self._session(one)
                for one in self._ce.sessions.values()
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

    def _proxy(self) -> dict[str, Any]:
        """
        @return: how we stand with it; C{conflict} is why no GAHP can be started by its policy and
            ours, empty if one can.
        """
        ce, conflict = self._ce, ""
        if ce.proxy.isAccepted:
            conflict = conflictOf(ce.proxyPolicy, self._settings.policy)
        return {**ce.proxy.document(), "unanswered": ce.way.doubt(), "conflict": conflict}

    def _session(self, session: GAHPSession) -> dict[str, Any]:
        request, facts = session.request, factsOf(session, self._reactor.seconds())
        phase = facts.pop("phase")
        isStalled = phase in ("running", "exited") and facts["stalled"]
        return {
            "session": session.sessionId,
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
        owners = Counter(one.request.owner for one in self._ce.sessions.values())
        who, used = owners.most_common(1)[0] if owners else ("", 0)
        all_, each = "RVGAHP_MAX_SESSIONS", "RVGAHP_MAX_SESSIONS_PER_OWNER"
        return [
            {"limit": each, "most": get(each), "used": used, "by": who},
            {"limit": all_, "most": get(all_), "used": len(self._ce.sessions), "by": "this site"},
        ]

    # -- what it may be told ------------------------------------------------

    def kill(self, viewer: Viewer, session: str, reason: str) -> dict[str, Any]:
        """
        End a session; both ends are told who has done so, and why.

        @param reason: his own words; may be empty.
        @raise SessionGone: he has no such session.
        """
        running = self._ce.sessions.get(session)
        if running is None or not _isHis(viewer, running.request.runsAs):
            raise SessionGone(f"you have no session {plain(session[:200])}; see rvgahp list")
        why = plain(reason[:200]) or "without a reason"
        words = f"ended by {viewer.user.name} at the site (rvgahp kill): {why}"
        running.log.info("Session {session}: {reason}", reason=words)
        running.clientGone(words)
        return {"session": session, "site": self._site}

    def drain(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Start nothing new; what runs goes on.

        @param site: empty, or ours.
        @raise NotAuthorized: he may not.
        """
        self._checkMay(viewer, "drain", site)
        self._ce.here.drains.drain("")
        self.log.info("{user} drains {what}", user=viewer.user.name, what="the CE")
        return {"draining": "all"}

    def resume(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Take L{drain} back.

        @raise NotAuthorized: he may not.
        """
        self._checkMay(viewer, "resume", site)
        self._ce.here.drains.resume("")
        self.log.info("{user} resumes {what}", user=viewer.user.name, what="the CE")
        return {"resumed": "all", "draining": False}

    def _checkMay(self, viewer: Viewer, what: str, site: str) -> None:
        if site not in ("", self._site):
            raise NotAuthorized(f"this CE is that of site {self._site}, and of no other")
        if not viewer.isAdministrator:
            raise NotAuthorized(
                f"{viewer.user.name} may not {what} this CE: root can, its own account, and whom"
                " its RVGAHP_ADMINISTRATORS names"
            )


def _isHis(viewer: Viewer, account: str) -> bool:
    return viewer.isAdministrator or viewer.user.name == account
