# -*- test-case-name: tests.test_claims -*-
"""
Sessions that are older than this proxy: CEs list them, and their clients claim them.
C{doc/protocol.rst}, step 12.

Layer 4.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp import limits
from rvgahp.errors import NotAuthorized, NotYet, PolicyConflict, SessionGone
from rvgahp.names import checkGAHPName
from rvgahp.occupancy import Occupancy
from rvgahp.policy import resolve
from rvgahp.primitives import proves
from rvgahp.proxysession import ProxySession
from rvgahp.session import SecuritySession

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection
    from rvgahp.proxy import Proxy


class Claims:
    """
    What CEs have listed and nobody has claimed.
    """

    log = Logger()

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        # By session; its site, that one's policy and the end of the key are added.
        self._listed: Occupancy[dict[str, Any]] = Occupancy(lambda entry: (entry["site"],))
        self._asked: dict[LocalConnection, tuple[str, bytes, float]] = {}

    # -- from CEs -----------------------------------------------------------

    def listed(self, site: str, entries: list[dict[str, Any]]) -> None:
        """
        A CE has listed some of its sessions.

        @param entries: of L{rvgahp.commands.Sessions}.  The claim keys are B{secret}.
        @raise RvgahpError: one of them is impossible.
        """
        connection = self._proxy.sites.get(site)
        policy = self._proxy.settings.policy if connection is None else connection.policy
        now = self._proxy.reactor.seconds()
        for entry in entries:
            sessionId = entry["session"]
            known = self._listed.get(sessionId)
            isOurs = known is None or known["site"] == site
            if isOurs and sessionId not in self._proxy.sessions:
                left = max(0, min(entry["left"], limits.LONGEST_DURATION))
                mine = {**entry, "site": site, "policy": policy, "ends": now + left}
                checkGAHPName(entry["gahp"])
                self._session(mine)
                self._listed[sessionId] = mine

    def complete(self, site: str, sessionIds: set[str]) -> None:
        """
        It has listed all: what it had listed before, and not now, is over.
        """
        for sessionId, entry in list(self._listed.items()):
            if entry["site"] == site and sessionId not in sessionIds:
                del self._listed[sessionId]

    def forget(self, sessionId: str, site: str) -> None:
        """
        The CE has ended a session.
        """
        entry = self._listed.get(sessionId)
        if entry is not None and entry["site"] == site:
            del self._listed[sessionId]

    def isListed(self, sessionId: str, site: str) -> bool:
        """
        @return: whether this site has such a session, and nobody has claimed it yet.
        """
        entry = self._listed.get(sessionId)
        return entry is not None and entry["site"] == site

    def entry(self, sessionId: str) -> dict[str, Any] | None:
        """
        @return: what was listed of a session that nobody has claimed.  The claim key in it is
            B{secret}.
        """
        return self._listed.get(sessionId)

    def entries(self) -> Iterable[dict[str, Any]]:
        """
        @return: all of them.
        """
        return self._listed.values()

    def count(self, site: str) -> int:
        """
        @return: how many sessions of this site nobody has claimed yet.
        """
        return self._listed.count(site)

    # -- from clients -------------------------------------------------------

    def claim(self, client: LocalConnection, session: str, site: str) -> dict[str, Any]:
        """
        A client says that a session is its own.

        @return: the question for a proof.
        @raise NotYet: the session's CE has not listed its sessions, or the user has nothing to
            do there, and so does not learn whether it has.
        @raise SessionGone: it has, and not this one.
        """
        if not self.isListed(session, site):
            connection = self._proxy.sites.get(site)
            if not self._proxy.access.knows(client.user, site):
                raise NotYet(f"{client.user.name} may start nothing at site {site}")
            if self._proxy.enrolment.isRevoked(site):
                raise SessionGone(f"site {site} has been revoked")
            if connection is None or not connection.isReady:
                raise NotYet(f"site {site} is not connected to the proxy")
            raise SessionGone(f"rvgahp-ce at site {site} has ended it or was restarted")
        nonce = secrets.token_bytes(limits.NONCE_BYTES)
        self._asked[client] = session, nonce, self._proxy.reactor.seconds()
        return {"nonce": nonce}

    def prove(self, client: LocalConnection, session: str, proof: bytes) -> dict[str, Any]:
        """
        The client's proof.

        @raise NotAuthorized: it is none, or the session is another user's.
        @raise SessionGone: the user may have the session no longer.
        @raise NotYet: it comes too late.
        """
        asked, nonce, when = self._asked.pop(client, ("", b"", 0.0))
        entry = self._listed.get(session)
        isLate = self._proxy.reactor.seconds() - when > limits.CLAIM_LIFETIME
        if asked != session or entry is None or isLate:
            raise NotYet(f"session {session} has not been claimed just now")
        if not proves(entry["claim"], b"claim" + nonce, proof):
            raise NotAuthorized(f"the proof for session {session} is wrong")
        owner = self._proxy.access.names.canonical(client.user)
        if entry["owner"] != owner:
            raise NotAuthorized(f"session {session} is not of {owner}")
        del self._listed[session]
        self._adopt(client, entry)
        return {}

    def gone(self, client: LocalConnection) -> None:
        """
        A client's connection has ended.
        """
        self._asked.pop(client, None)

    def _adopt(self, client: LocalConnection, entry: dict[str, Any]) -> None:
        """
        @raise SessionGone: the rules of today do not let the user have the session: it is ended.
        """
        proxy, sessionId, site = self._proxy, entry["session"], entry["site"]
        try:
            grant = proxy.access.grant(client.user, site, entry["gahp"], entry["account"])
        except NotAuthorized as e:
            proxy.endAtSite(site, sessionId, str(e))
            raise SessionGone(str(e)) from None
        session, isRenewable = self._session(entry)
        record = ProxySession(proxy, session, site, client, grant, entry["tunnel"], isRenewable)
        proxy.sessions[sessionId] = record
        client.serves(record)
        proxy.watch.claimed(record, entry["gahp"])
        record.log.info("Session {session}: {user} has claimed it ({gahp} at {site})")
        # Tickets can be had from now on, and the answer is sent in this turn.
        record.introduced()

    def _session(self, entry: dict[str, Any]) -> tuple[SecuritySession, bool]:
        """
        @return: the session as far as it is known, with a key that is none; and whether
            it may get another: the policies of today must be those with which it was made.
        @raise ProtocolError: there can be no such session.
        """
        settings = self._proxy.settings
        policies = settings.policy, entry["policy"]
        left = int(entry["ends"] - self._proxy.reactor.seconds())
        try:
            agreed = resolve(*policies)
        except PolicyConflict:
            policies, agreed = (settings.policy, settings.policy), None
        session = SecuritySession(
            entry["session"],
            bytes(limits.KEY_BYTES),
            *policies,
            max(1, left),
            settings.get("SEC_DEFAULT_SESSION_LEASE"),
            entry["keyNumber"],
        )
        made = (entry["outcome"], entry["method"])
        return session, agreed is not None and (agreed[0].value, agreed[1]) == made
