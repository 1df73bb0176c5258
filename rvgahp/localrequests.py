# -*- test-case-name: tests.test_local -*-
"""
What clients ask of the proxy, and who answers.  C{doc/protocol.rst}, steps 4, 4a, 4b and
12.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rvgahp import commands, localcommands
from rvgahp.description import Questions
from rvgahp.errors import SessionGone

if TYPE_CHECKING:
    from rvgahp.local import LocalConnection
    from rvgahp.localclients import Clients


class Requests(Questions):
    """
    Answers one client's calls.
    """

    def __init__(self, connection: LocalConnection, clients: Clients) -> None:
        super().__init__(connection, clients.describer)
        self._clients = clients

    @localcommands.RequestGAHP.responder
    def requestGAHP(self, **arguments: Any) -> Deferred[dict[str, Any]]:
        return self._connection.requested(arguments)

    @localcommands.Claim.responder
    def claim(self, session: str, site: str) -> Any:
        self._connection.claimed()
        return self._clients.claims.claim(self._connection, session, site)

    @localcommands.Prove.responder
    def prove(self, session: str, proof: bytes) -> Any:
        return self._clients.claims.prove(self._connection, session, proof)

    @localcommands.Invite.responder
    def invite(self, site: str) -> Any:
        return self._clients.enrolment.invite(self._connection.user, site)

    @localcommands.Revoke.responder
    def revoke(self, site: str) -> Any:
        return self._clients.enrolment.revoke(self._connection.user, site)

    @localcommands.Reload.responder
    def reload(self) -> Any:
        return self._clients.reload(self._connection.user)

    @commands.Redial.responder
    def redial(self, session: str, stream: int, generation: int) -> Deferred[dict[str, Any]]:
        served = self._connection.session
        if served is None or served.sessionId != session:
            raise SessionGone(f"this connection does not serve session {session}")
        return served.redial(stream, generation)
