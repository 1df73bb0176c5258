# -*- test-case-name: tests.test_statusweb -*-
"""
A daemon's local HTTP interface: what it shows, and what it may be told.  C{doc/status.rst}.

Layer 4.  Who asks is known by his socket's peer, never by what he says.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rvgahp import watchlimits
from rvgahp.errors import NoSuchSite, NotAuthorized, RvgahpError, SessionGone
from rvgahp.peercred import LocalUser, peerOf
from rvgahp.smallsite import SmallSite, TimedConnection
from rvgahp.tokenbucket import TokenBuckets
from rvgahp.viewer import Viewer, viewerOf

__all__ = ["Reload", "StatusDoor", "StatusSource"]

_JSON = b"application/json"

Reload = Callable[[Viewer], Deferred[dict[str, Any]]]
"""Reads a daemon's files again; the Deferred fires with the answer."""


class StatusSource(Protocol):
    """
    A daemon, as this interface has it.  Each method may raise L{RvgahpError}, with a sentence
    for who asks.
    """

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: what he may see.
        """

    def kill(self, viewer: Viewer, session: str, reason: str) -> dict[str, Any]:
        """
        End a session.
        """

    def drain(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Let nothing new be started; C{site} empty: anywhere.
        """

    def resume(self, viewer: Viewer, site: str) -> dict[str, Any]:
        """
        Take that back.
        """


class _Refusal(Exception):
    """
    A request is refused.

    @ivar status: HTTP's.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Answers(Resource):
    """
    All paths.
    """

    isLeaf = True
    log = Logger()

    def __init__(
        self,
        source: StatusSource,
        administrators: Callable[[], tuple[str, ...]],
        seconds: Callable[[], float],
        reload: Reload | None,
    ) -> None:
        super().__init__()
        self._source = source
        self._reload = reload
        self._administrators = administrators
        self._seconds = seconds
        self._asked = TokenBuckets(watchlimits.STARTING_USERS)
        self._deeds: dict[str, tuple[Callable[..., dict[str, Any]], tuple[str, ...]]] = {
            "/v1/kill": (source.kill, ("session", "reason")),
            "/v1/drain": (source.drain, ("site",)),
            "/v1/resume": (source.resume, ("site",)),
        }

    def render(self, request: Request) -> bytes | int:
        """
        @return: the answer, which is always JSON.
        """
        try:
            answer = self._answer(request)
        except Exception:
            return self._refused(Failure(), request)
        if isinstance(answer, Deferred):
            self._sayLater(answer, request)
            return NOT_DONE_YET
        return _said(request, 200, answer)

    def _sayLater(self, answer: Deferred[dict[str, Any]], request: Request) -> None:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        channel: Any = request.channel
        channel.transport.endure()  # what is waited for has limits of its own
        text = answer.addCallbacks(
            lambda values: _said(request, 200, values),
            lambda failure: self._refused(failure, request),
        )
        text.addCallback(lambda said: gone or (request.write(said), request.finish()))

    def _refused(self, failure: Failure, request: Request) -> bytes:
        problem = failure.value
        if isinstance(problem, _Refusal):
            return _said(request, problem.status, {"error": str(problem)})
        if isinstance(problem, RvgahpError):
            return _said(request, _statusOf(problem), {"error": str(problem)})
        self.log.failure("A bug in answering {path}", failure, path=ascii(request.path[:200]))
        return _said(request, 500, {"error": "a bug; the daemon's log has the details"})

    def _answer(self, request: Request) -> dict[str, Any] | Deferred[dict[str, Any]]:
        viewer = viewerOf(_userOf(request), self._administrators())
        self._checkOften(viewer)
        path = request.path.decode("ascii", "replace")
        if path == "/v1/status":
            _checkMethod(request, b"GET", b"HEAD")
            return self._source.document(viewer)
        if path in self._deeds:
            _checkMethod(request, b"POST")
            deed, names = self._deeds[path]
            return deed(viewer, **_arguments(request, names))
        if path == "/v1/reload" and self._reload is not None:
            _checkMethod(request, b"POST")
            return self._reload(viewer)
        raise _Refusal(404, f"there is no {path[:200]!a}; try /v1/status")

    def _checkOften(self, viewer: Viewer) -> None:
        """
        An answer takes the daemon's time, and so everybody's.
        """
        rate, burst = watchlimits.STATUS_RATE, watchlimits.STATUS_BURST
        isFree = viewer.isAdministrator
        if not isFree and not self._asked.take(viewer.user.uid, rate, burst, self._seconds()):
            raise _Refusal(429, f"{viewer.user.name} asks too often; try again later")


def _userOf(request: Request) -> LocalUser:
    channel: Any = request.channel
    return peerOf(channel.transport.socket)


def _said(request: Request, status: int, answer: Mapping[str, Any]) -> bytes:
    """
    @return: an answer's body; its head is set.
    """
    request.setResponseCode(status)
    request.setHeader(b"content-type", _JSON)
    request.setHeader(b"cache-control", b"no-store")
    return json.dumps(answer).encode() + b"\n"


def _checkMethod(request: Request, *methods: bytes) -> None:
    if request.method not in methods:
        request.setHeader(b"allow", b", ".join(methods))
        allowed = methods[0].decode()
        raise _Refusal(405, f"{ascii(request.method[:20])[1:]} is not for this path: use {allowed}")


def _arguments(request: Request, names: tuple[str, ...]) -> Mapping[str, str]:
    """
    @return: what the request's body says: texts by name, empty where nothing is said.
    """
    assert request.content is not None
    body = request.content.read(watchlimits.STATUS_BODY_BYTES + 1)
    if len(body) > watchlimits.STATUS_BODY_BYTES:
        raise _Refusal(413, f"a body has {watchlimits.STATUS_BODY_BYTES} bytes at the most")
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise _Refusal(400, "the body is no JSON") from None
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise _Refusal(400, "the body is to be one JSON object whose values are texts")
    unknown = given.keys() - set(names)
    if unknown:
        raise _Refusal(
            400, f"there is no field {min(unknown)[:80]!a}; there are {', '.join(names)}"
        )
    return {name: given.get(name, "") for name in names}


def _statusOf(problem: RvgahpError) -> int:
    if isinstance(problem, NotAuthorized):
        return 403
    return 404 if isinstance(problem, (SessionGone, NoSuchSite)) else 409


class _Door(TimedConnection):
    """
    One connection, which counts for its user.
    """

    factory: StatusDoor
    uid = -1

    def makeConnection(self, transport: Any) -> None:
        try:
            self.uid = peerOf(transport.socket).uid
        except (NotAuthorized, OSError):
            pass  # he is told so when he asks
        self.factory.open[self.uid] += 1
        super().makeConnection(transport)
        if self.factory.open[self.uid] > watchlimits.STATUS_CONNECTIONS:
            self.abortConnection()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # no default
        self.factory.open[self.uid] -= 1
        if not self.factory.open[self.uid]:
            del self.factory.open[self.uid]
        super().connectionLost(reason)


class StatusDoor(WrappingFactory):
    """
    Takes connections to the UNIX socket of one daemon.

    @ivar reactor: has them.
    @ivar open: connections by uid.
    """

    protocol = _Door
    noisy = False

    def __init__(
        self,
        reactor: Any,
        source: StatusSource,
        administrators: Callable[[], tuple[str, ...]],
        reload: Reload | None = None,
    ) -> None:
        """
        @param administrators: tells the names of the accounts that may see and do all, beside
            root and the daemon's own.
        @param reload: what reads its files again, if that can be asked for here.
        """
        answers = _Answers(source, administrators, reactor.seconds, reload)
        super().__init__(SmallSite(answers, reactor))
        self.reactor = reactor
        self.open: Counter[int] = Counter()

    def close(self) -> None:
        """
        End all connections.
        """
        for one in list(self.protocols):
            one.abortConnection()

    def arrived(self, connection: socket.socket, _: object = None) -> None:
        """
        A local user has connected.
        """
        try:
            self.reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, self)
        finally:
            connection.close()  # Twisted has its own copy
