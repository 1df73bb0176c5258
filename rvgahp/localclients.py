# -*- test-case-name: tests.test_local -*-
"""
All clients of a proxy, and who is let in.  C{doc/protocol.rst}, step 4.

Layer 4.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import localcommands, watchlimits
from rvgahp.boxes import encodeBox
from rvgahp.errors import NotAuthorized, RvgahpError
from rvgahp.local import LocalConnection
from rvgahp.peercred import LocalUser, peerOf
from rvgahp.refusals import Warnings

#: Of a reload so many changes are told, and so many characters of each, and of a problem.
_CHANGES = 40
_CHANGE_LENGTH = 200
_PROBLEM_LENGTH = 2000


class _User:
    """
    The connections of one user.

    @ivar open: all.
    @ivar waiting: those that have said what has not been obeyed yet, in turn.
    @ivar left: how much of it will be in this turn of the reactor.
    """

    def __init__(self) -> None:
        self.open: set[LocalConnection] = set()
        self.waiting: dict[LocalConnection, None] = {}
        self.left = watchlimits.CALLS_PER_TURN


class Clients:
    """
    All clients of a proxy.

    @ivar enrolment: the proxy's L{rvgahp.enrolment.Enrolment}, once it has one.
    @ivar reloading: what reads the proxy's files again, once there is one.
    """

    log = Logger()

    def __init__(
        self,
        loop: Any,
        requestGAHP: Any,
        mostPerUser: int,
        describer: Any,
        claims: Any = None,
        warnings: Warnings | None = None,
    ) -> None:
        """
        @param requestGAHP: called with a L{LocalConnection} and the arguments of
            L{localcommands.RequestGAHP}; returns a Deferred of its answer.
        @param mostPerUser: connections that one user may have.
        @param describer: a L{rvgahp.description.Describer}.
        @param claims: a L{rvgahp.claims.Claims}.
        @param warnings: what tells of trouble with clients.
        """
        self._loop = loop
        self.requestGAHP = requestGAHP
        self.describer = describer
        self.claims = claims
        self.enrolment: Any = None
        self.reloading: Any = None
        self.warnings = warnings or Warnings(loop, self.log, watchlimits.WARNINGS_PERIOD)
        self._mostPerUser = mostPerUser
        self._users: dict[int, _User] = {}

    def __len__(self) -> int:
        return sum(len(one.open) for one in self._users.values())

    def arrived(self, connection: socket.socket, site: str = "") -> None:
        """
        A client connected.

        @param site: the site that the socket is for; empty: for all.
        """
        try:
            user = peerOf(connection)
        except (NotAuthorized, OSError) as e:
            self._refuse(connection, "", str(e))
            return
        ofUser = self._users.setdefault(user.uid, _User()).open
        if len(ofUser) >= self._mostPerUser:
            self._refuse(
                connection,
                user.name,
                f"{user.name} has {len(ofUser)} connections to the proxy, and no more are allowed",
            )
            return
        ofUser.add(LocalConnection(self._loop, connection, user, self, site))

    def _refuse(self, connection: socket.socket, who: str, reason: str) -> None:
        """
        Say why, if it is taken at once, and close.
        """
        self.warnings.warn("Refused a client: {what}", who, reason)
        box = {
            b"_command": localcommands.SessionLost.commandName,
            b"session": b"",
            b"reason": reason.encode("utf-8"),
        }
        try:
            connection.send(encodeBox(box))
        except OSError:
            pass  # it does not read; so be it
        connection.close()

    def gone(self, connection: LocalConnection) -> None:
        """
        A client is gone.
        """
        if self.claims is not None:
            self.claims.gone(connection)
        user = self._users.get(connection.user.uid)
        if user is not None:
            user.open.discard(connection)
            user.waiting.pop(connection, None)
            if not user.open:
                del self._users[connection.user.uid]

    def reload(self, user: LocalUser) -> Deferred[dict[str, Any]]:
        """
        A user wants everything to be read again.

        @return: fires with the values of L{localcommands.Reload}; fails with L{NotAuthorized}.
        """
        who = {"user": user.name, "uid": user.uid, "pid": user.pid}
        if user.uid not in (0, os.geteuid()):
            reason = f"{user.name} may not reload the proxy: root and the proxy's account can"
            self.reloading.refused(reason, who)
            raise NotAuthorized(reason)
        read: Deferred[Any] = self.reloading.reload(who)
        read.addCallback(lambda changes: {"changes": _clipped(changes), "problems": []})
        return read.addErrback(lambda failure: {"changes": [], "problems": [_problem(failure)]})

    # -- what they say ------------------------------------------------------

    def serve(self, connection: LocalConnection) -> None:
        """
        A client says something.  In each turn of the reactor so many boxes of one user are
        read and obeyed, one of each of his connections and then the next: who says much takes
        the time of no other.
        """
        user = self._users[connection.user.uid]
        user.waiting[connection] = None
        self._work(user)

    def _work(self, user: _User) -> None:
        if user.left == watchlimits.CALLS_PER_TURN:
            self._loop.callLater(0, self._nextTurn, user)
        while user.waiting and user.left:
            user.left -= 1
            connection = next(iter(user.waiting))
            del user.waiting[connection]
            if connection.serve():
                user.waiting[connection] = None

    def _nextTurn(self, user: _User) -> None:
        user.left = watchlimits.CALLS_PER_TURN
        if user.waiting:
            self._work(user)

    def closeAll(self) -> None:
        """
        The proxy stops.  What runs goes on without it.
        """
        for user in self._users.values():
            user.waiting.clear()
            for connection in list(user.open):
                connection.close()
        self._users.clear()


def _clipped(changes: list[str]) -> list[str]:
    """
    @return: as many as fit into a box.
    """
    said = [one[:_CHANGE_LENGTH] for one in changes[:_CHANGES]]
    left = len(changes) - len(said)
    return [*said, f"and {left} more, which are in the log"] if left else said


def _problem(failure: Failure) -> str:
    failure.trap(RvgahpError)
    return failure.getErrorMessage()[:_PROBLEM_LENGTH]
