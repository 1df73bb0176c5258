# -*- test-case-name: tests.test_pagefeed -*-
"""
The status page's events: what each viewer may see is looked up once for all who see the same,
and those who do not read what they are sent are told less often, never later and later.

Layer 4.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from rvgahp import watchlimits
from rvgahp.lastday import LastDay
from rvgahp.pagerows import TABLES, changes, viewOf
from rvgahp.peercred import LocalUser
from rvgahp.viewer import Viewer

__all__ = ["Feed", "Stream", "View"]


class View:
    """
    What somebody sees, with all who look at it now.

    @ivar viewer: he, or one of those who see all.
    @ivar content: as of L{viewOf}; empty before the first look.
    @ivar now: when that was, in seconds since 1970.
    @ivar looked: the same by the reactor's clock.
    @ivar streams: to be told.
    @ivar whole: the event with all there is; L{None} until somebody needs it.
    @ivar pages: the page of this content, by how many rows it has of a table.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.content: dict[str, Any] = {}
        self.now = 0
        self.looked = float("-inf")
        self.streams: set[Stream] = set()
        self.whole: bytes | None = None
        self.pages: dict[int, bytes] = {}


@implementer(IPushProducer)
class Stream:
    """
    One browser that is told.  It holds no more than the transport and one event.

    @ivar user: whose connection it is.
    """

    def __init__(
        self, feed: Feed, request: Any, user: LocalUser, abort: Callable[[], None]
    ) -> None:
        """
        @param request: a twisted.web request whose head is complete.
        @param abort: breaks the connection.
        """
        self.user = user
        self._feed = feed
        self._request = request
        self._abort = abort
        self._isPaused = self._isBehind = False
        self._late: Any = None

    def write(self, event: bytes) -> None:
        """
        Tell it, or remember that something was not told.
        """
        if self._isPaused:
            self._isBehind = True
        else:
            self._request.write(event)

    def pauseProducing(self) -> None:
        """
        It does not read, or its network is slow.
        """
        self._isPaused = True
        if self._late is None:
            self._late = self._feed.reactor.callLater(watchlimits.PAGE_BLOCKED, self._abort)

    def resumeProducing(self) -> None:
        """
        It has read what there was.  What it has missed it does not hear of: only what is so now.
        """
        self._isPaused = False
        self._cancel()
        if self._isBehind:
            self._isBehind = False
            self._feed.tellAll(self)

    def stopProducing(self) -> None:
        """
        Its connection is gone; the request says so, too.
        """
        self._cancel()

    def end(self) -> None:
        """
        Tell no more.
        """
        self._cancel()
        self._abort()

    def _cancel(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._late = None


class Feed:
    """
    Of one proxy.  While nobody looks it costs nothing but a look at the counters.

    @ivar reactor: has the calls.
    @ivar viewerOf: who somebody is, at this moment.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        document: Callable[[Viewer], dict[str, Any]],
        viewerOf: Callable[[LocalUser], Viewer],
        day: LastDay,
        build: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param document: what somebody may see, as in C{doc/status.rst}.
        @param viewerOf: who somebody is, at this moment.
        @param day: what all see who see all.
        @param build: which page it is.
        @param now: seconds since 1970.
        """
        self.reactor = reactor
        self._document = document
        self.viewerOf = viewerOf
        self._day = day
        self._build = build
        self._now = now
        self._views: dict[int | None, View] = {}
        self._due: list[View] = []
        self._spent = 0.0
        self._pause = watchlimits.PAGE_INTERVAL
        self._call: Any = None
        self._dayCall: Any = None

    # -- its life -----------------------------------------------------------

    def start(self) -> None:
        """
        Begin to count.
        """
        self._day.look(self._now())
        self._dayCall = self.reactor.callLater(watchlimits.PAGE_DAY_INTERVAL, self.start)

    def stop(self) -> None:
        """
        End all streams, and count no more.
        """
        for call in (self._call, self._dayCall):
            if call is not None and call.active():
                call.cancel()
        for stream in [one for view in self._views.values() for one in view.streams]:
            stream.end()

    @property
    def streams(self) -> int:
        """
        How many look.
        """
        return sum(len(view.streams) for view in self._views.values())

    # -- what is seen -------------------------------------------------------

    def viewFor(self, user: LocalUser) -> View:
        """
        @return: what he may see; it is not older than the interval.
        @raise RvgahpError: he may not look.
        """
        view = self._viewOf(user)
        # Whoever has a stream is told changes to just what he has; it is the tick that looks.
        age = self.reactor.seconds() - view.looked
        if not view.content or (not view.streams and age >= self._pause):
            self._look(view)
        return view

    def open(self, user: LocalUser, request: Any, abort: Callable[[], None]) -> None:
        """
        Tell a browser all there is, and from then on what is otherwise.
        """
        view = self.viewFor(user)
        stream = Stream(self, request, user, abort)
        view.streams.add(stream)
        request.notifyFinish().addBoth(lambda _: self._gone(stream))
        request.registerProducer(stream, True)
        stream.write(b"retry: 2000\n\n")
        self.tellAll(stream)
        if self._call is None:
            self._later(self._pause, self._tick)

    def tellAll(self, stream: Stream) -> None:
        """
        Tell one all there is.
        """
        for view in self._views.values():
            if stream in view.streams:
                stream.write(self._whole(view))

    def _gone(self, stream: Stream) -> None:
        stream.stopProducing()
        for key, view in list(self._views.items()):
            view.streams.discard(stream)
            if not view.streams:
                del self._views[key]

    def _viewOf(self, user: LocalUser) -> View:
        viewer = self.viewerOf(user)
        key = _keyOf(viewer)
        if key not in self._views:
            self._drop()
            self._views[key] = View(viewer)
        return self._views[key]

    def _drop(self) -> None:
        """
        Forget what nobody looks at any more.
        """
        for key, view in list(self._views.items()):
            if not view.streams and self.reactor.seconds() - view.looked >= self._pause:
                del self._views[key]

    def _look(self, view: View) -> dict[str, Any]:
        """
        @return: what is otherwise.
        """
        began = time.perf_counter()
        seen = self._document(view.viewer)
        self._day.look(self._now())
        day = self._day.pieces() if view.viewer.isAdministrator else []
        content = viewOf(seen, day)
        found = changes(view.content, content) if view.content else {}
        view.content, view.now, view.whole = content, seen["now"], None
        view.pages.clear()
        view.looked = self.reactor.seconds()
        self._spent += time.perf_counter() - began
        return found

    # -- the tick -----------------------------------------------------------

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._call = self.reactor.callLater(seconds, call)

    def _tick(self) -> None:
        """
        Look for all who look.
        """
        self._call = None
        self._spent = 0.0
        self._due = [view for view in self._views.values() if view.streams]
        self._next()

    def _next(self) -> None:
        """
        One view in each turn of the reactor, so that others have theirs.
        """
        self._call = None
        if self._due:
            view = self._due.pop()
            try:
                self._tell(view)
            except Exception:
                self.log.failure("A bug in what the page shows")
            self._later(0, self._next)
            return
        # However many look, the daemon is there for something else.
        self._pause = max(watchlimits.PAGE_INTERVAL, watchlimits.PAGE_SHARE * self._spent)
        if self.streams:
            self._later(self._pause, self._tick)

    def _tell(self, view: View) -> None:
        for stream in list(view.streams):
            if not self._isHis(view, stream.user):
                # He may see more or less than before: he comes again.  Until his connection has
                # ended he is told nothing more.
                view.streams.discard(stream)
                stream.end()
        if not view.streams:
            return
        found = self._look(view)
        event = self._event({"now": view.now, "next": self._pause, **found})
        for stream in list(view.streams):
            stream.write(event)

    def _isHis(self, view: View, user: LocalUser) -> bool:
        viewer = self.viewerOf(user)
        return self._views.get(_keyOf(viewer)) is view

    def _whole(self, view: View) -> bytes:
        """
        @return: the event with all there is.
        """
        if view.whole is None:
            content = view.content
            few = {name: content[name] for name in ("head", "attention")}
            tables = {name: content[name] for name in TABLES}
            about = {"build": self._build, "now": view.now, "next": self._pause}
            view.whole = self._event({**about, **few, "all": tables})
        return view.whole

    def _event(self, message: dict[str, Any]) -> bytes:
        began = time.perf_counter()
        text = json.dumps(message, separators=(",", ":"))
        self._spent += time.perf_counter() - began
        return b"data: " + text.encode() + b"\n\n"


def _keyOf(viewer: Viewer) -> int | None:
    """
    @return: equal for those who see the same.
    """
    return None if viewer.isAdministrator else viewer.user.uid
