# -*- test-case-name: tests.test_statusweb -*-
"""
HTTP for short questions, whose limits those who ask cannot stretch.

Layer 3.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from rvgahp import watchlimits

__all__ = ["SmallSite", "TimedConnection"]


class _Asked(Request):
    """
    A request whose body is kept in memory, as far as it may go, and is nothing but JSON:
    Twisted would make a file of a long one, and its sender would have our disk.
    """

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        self.requestHeaders.removeHeader(b"content-type")  # a form would be read as one

    def handleContentChunk(self, data: bytes) -> None:
        assert self.content is not None
        room = watchlimits.STATUS_BODY_BYTES + 1 - self.content.tell()
        self.content.write(data[:room])


class _Channel(HTTPChannel):
    """
    It takes one request: of a hundred that came at once all would be answered in one turn of
    the reactor.
    """

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False


class SmallSite(Site):
    """
    One that answers short questions.  Who asks is not worth a line of the log.
    """

    protocol = _Channel  # type: ignore[assignment]  # HTTP/2 is for TLS alone
    noisy = False
    displayTracebacks = False

    def __init__(self, resource: Resource, reactor: Any) -> None:
        # Its own time-out would be said in the log, and begin anew with each byte.
        super().__init__(resource, requestFactory=_Asked, timeout=None, reactor=reactor)

    def log(self, request: Any) -> None:
        pass


class TimedConnection(ProtocolWrapper):
    """
    One that lasts for so long, whatever is done meanwhile: said slowly, or not read.  Its
    factory has the reactor.
    """

    factory: Any
    _late: Any = None

    def makeConnection(self, transport: Any) -> None:
        abort, limit = transport.abortConnection, watchlimits.STATUS_TIMEOUT
        self._late = self.factory.reactor.callLater(limit, abort)
        super().makeConnection(transport)

    def endure(self) -> None:
        """
        It lasts as long as its ends like.
        """
        self._late.cancel()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # no default
        if self._late.active():
            self._late.cancel()
        super().connectionLost(reason)
