# -*- test-case-name: tests.test_pageport -*-
"""
The status page over HTTP: what is asked for, and what a browser is told to make of the answer.
C{doc/page.rst}.

Layer 4.  Nothing can be done here: there is no request that changes anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rvgahp import watchlimits
from rvgahp.errors import RvgahpError
from rvgahp.pagefeed import Feed
from rvgahp.pagetext import FIRST, pageText
from rvgahp.peercred import LocalUser
from rvgahp.tokenbucket import TokenBuckets

__all__ = ["ASSETS", "HEADERS", "Assets", "PageAnswers"]

ASSETS = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.svg": "image/svg+xml",
}
"""The files of the page, and what they are."""

_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
"""What others say is shown, and a mistake of ours must not make it a program."""

HEADERS = {
    "content-security-policy": "; ".join(_POLICY),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
"""Of every answer."""

_OWN_NAME = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""What a browser calls this host, be it through a tunnel with another port.  Any other name is
one that somebody has made to lead here (DNS rebinding), and his scripts may read what it gives."""


_TYPE = b"content-type"


class Assets:
    """
    The files of the page.

    @ivar content: by name.
    @ivar build: differs if one of them does.
    """

    def __init__(self) -> None:
        """
        Read them.

        @raise OSError: they are not there.
        """
        place = files("rvgahp") / "page"
        self.content = {name: (place / name).read_bytes() for name in ASSETS}
        self.build = hashlib.sha256(b"".join(self.content.values())).hexdigest()[:12]


class _Refusal(Exception):
    """
    A request is refused.

    @ivar status: HTTP's.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class PageAnswers(Resource):
    """
    All paths.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, feed: Feed, assets: Assets, host: str, seconds: Callable[[], float]) -> None:
        """
        @param host: the name of this one, for people.
        """
        super().__init__()
        self._feed = feed
        self._assets = assets
        self._host = host
        self._seconds = seconds
        self._asked = TokenBuckets(watchlimits.STARTING_USERS)
        self._template = assets.content["page.html"].decode()

    def render(self, request: Request) -> Any:
        """
        @return: the answer; of a stream of events there is none that is over.
        """
        request.responseHeaders.removeHeader(b"server")
        for name, value in HEADERS.items():
            request.setHeader(name.encode(), value.encode())
        try:
            return self._answer(request)
        except _Refusal as e:
            return _refused(request, e.status, str(e))
        except RvgahpError as e:
            return _refused(request, 403, str(e))
        except Exception:
            self.log.failure("A bug in answering {path}", path=ascii(request.path[:200]))
            return _refused(request, 500, "a bug; the daemon's log has the details")

    def _answer(self, request: Request) -> Any:
        _checkMethod(request)
        _checkOrigin(request)
        user = _userOf(request)
        self._checkOften(user)
        path = request.path.decode("ascii", "replace")
        if path == "/":
            return self._page(request, user)
        if path == "/events":
            return self._events(request, user)
        name = path[1:]
        if name not in ASSETS or name == "page.html":
            raise _Refusal(404, f"there is no {path[:200]!a}; try /")
        request.setHeader(_TYPE, ASSETS[name].encode())
        return self._assets.content[name]

    def _checkOften(self, user: LocalUser) -> None:
        """
        An answer takes the daemon's time, and so everybody's.
        """
        rate, burst = watchlimits.STATUS_RATE, watchlimits.STATUS_BURST
        isFree = self._feed.viewerOf(user).isAdministrator
        if not isFree and not self._asked.take(user.uid, rate, burst, self._seconds()):
            raise _Refusal(429, f"{user.name} asks too often; try again later")

    def _page(self, request: Request, user: LocalUser) -> bytes:
        most = 0 if request.uri == b"/?all" else FIRST
        view = self._feed.viewFor(user)
        request.setHeader(_TYPE, ASSETS["page.html"].encode())
        if most not in view.pages:  # with all rows it takes as long as a look, or longer
            host, build = self._host, self._assets.build
            page = pageText(self._template, view.content, view.now, host, build, most)
            view.pages[most] = page
        return view.pages[most]

    def _events(self, request: Request, user: LocalUser) -> Any:
        if self._feed.streams >= watchlimits.PAGE_STREAMS:
            raise _Refusal(
                503, f"{watchlimits.PAGE_STREAMS} browsers look already; try again later"
            )
        request.setHeader(_TYPE, b"text/event-stream; charset=utf-8")
        if request.method == b"HEAD":
            return b""
        self._feed.viewFor(user)  # what fails, fails before the answer begins
        transport: Any = request.channel.transport
        transport.endure()
        self._feed.open(user, request, transport.abortConnection)
        return NOT_DONE_YET


def _userOf(request: Request) -> LocalUser:
    transport: Any = request.channel.transport
    user: LocalUser = transport.user()
    return user


def _checkMethod(request: Request) -> None:
    if request.method not in (b"GET", b"HEAD"):
        request.setHeader(b"allow", b"GET, HEAD")
        raise _Refusal(
            405, f"{ascii(request.method[:20])[1:]} is not for this page, which only shows: use GET"
        )


def _checkOrigin(request: Request) -> None:
    """
    @raise _Refusal: the browser is at another page, which could learn something here.
    """
    hosts = _said(request, b"host")
    if len(hosts) != 1 or not _OWN_NAME.fullmatch(hosts[0]):
        named = ascii(hosts[0][:100]) if hosts else "nothing"
        raise _Refusal(
            421,
            f"this page is that of localhost, and {named} was asked for (Host); see doc/page.rst",
        )
    (site,) = _said(request, b"sec-fetch-site")[:1] or ["none"]
    (mode,) = _said(request, b"sec-fetch-mode")[:1] or ["navigate"]
    # A link of another page may lead here; nothing else of it may come in.
    if site not in ("none", "same-origin") and mode != "navigate":
        raise _Refusal(403, "another page may not read this one")


def _said(request: Request, name: bytes) -> list[str]:
    """
    @return: what the request's headers of that name say.
    """
    values = request.requestHeaders.getRawHeaders(name, [])
    return [value.decode("ascii", "replace") for value in values]


def _refused(request: Request, status: int, sentence: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(_TYPE, b"text/plain; charset=utf-8")
    return f"{sentence}\n".encode()
