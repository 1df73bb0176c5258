# -*- test-case-name: tests.test_pageport -*-
"""
The port of the status page: on the loopback interface, where the kernel knows whose each
connection is.  C{doc/decisions/0013-the-status-page.rst}.

Layer 4.
"""

from __future__ import annotations

import pwd
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.protocols.policies import WrappingFactory

from rvgahp import watchlimits
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.lastday import LastDay
from rvgahp.pagefeed import Feed
from rvgahp.pageweb import Assets, PageAnswers
from rvgahp.peercred import LocalUser
from rvgahp.smallsite import SmallSite, TimedConnection
from rvgahp.socketowner import ownerOf
from rvgahp.viewer import Viewer, viewerOf

if TYPE_CHECKING:
    from rvgahp.counts import Counts
    from rvgahp.settings import Settings

__all__ = ["PagePort", "userOf"]

_SETTING = "RVGAHP_PAGE_ADDRESS"


def userOf(connection: socket.socket) -> LocalUser:
    """
    @param connection: an accepted one, on the loopback interface.
    @return: whose process has made it.
    @raise NotAuthorized: the kernel does not tell, or his uid has no account here.
    """
    uid = ownerOf(connection).uid
    try:
        return LocalUser(uid, pwd.getpwuid(uid).pw_name, 0)
    except KeyError:
        raise NotAuthorized(
            f"uid {uid} has no account on this host; ask its administrator"
        ) from None


class _Connection(TimedConnection):
    """
    One connection, whose owner is asked for when it comes: it may be another's later.
    """

    factory: _Door
    _user: LocalUser | None = None
    _problem: NotAuthorized | None = None

    def makeConnection(self, transport: Any) -> None:
        try:
            self._user = self.factory.userOf(transport.socket)
        except NotAuthorized as e:
            self._problem = e  # he is told so when he asks
        self.factory.open[self._uid] += 1
        super().makeConnection(transport)
        if not self.factory.hasRoom(self._user):
            self.abortConnection()

    @property
    def _uid(self) -> int:
        return -1 if self._user is None else self._user.uid

    def user(self) -> LocalUser:
        """
        @return: whose it is.
        @raise NotAuthorized: that is not known.
        """
        if self._problem is not None:
            raise self._problem
        assert self._user is not None
        return self._user

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # no default
        self.factory.open[self._uid] -= 1
        if not self.factory.open[self._uid]:
            del self.factory.open[self._uid]
        super().connectionLost(reason)


class _Door(WrappingFactory):
    """
    Takes no more connections than there may be, in all and of one account.

    @ivar reactor: has them.
    @ivar userOf: whose one is.
    @ivar open: connections by uid; -1: not known whose.
    """

    protocol = _Connection
    noisy = False

    def __init__(
        self,
        reactor: Any,
        site: SmallSite,
        userOf: Callable[[socket.socket], LocalUser],
        viewerOf: Callable[[LocalUser], Viewer],
    ) -> None:
        super().__init__(site)
        self.reactor = reactor
        self.userOf = userOf
        self._viewerOf = viewerOf
        self.open: Counter[int] = Counter()

    def hasRoom(self, user: LocalUser | None) -> bool:
        """
        @return: whether there may be what there is now.
        """
        if self.open.total() > watchlimits.PAGE_CONNECTIONS:
            return False
        if user is not None and self._viewerOf(user).isAdministrator:
            return True
        uid = -1 if user is None else user.uid
        return self.open[uid] <= watchlimits.PAGE_CONNECTIONS_PER_USER

    def close(self) -> None:
        """
        End all connections.
        """
        for one in list(self.protocols):
            one.abortConnection()


class PagePort:
    """
    One proxy's; nothing where the setting is not set.

    @ivar address: where it listens, as a browser has it; empty: nowhere.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        counts: Counts,
        document: Callable[[Viewer], dict[str, Any]],
        userOf: Callable[[socket.socket], LocalUser] = userOf,
    ) -> None:
        """
        @param document: what somebody may see (C{doc/status.rst}).
        @param userOf: whose a connection is.
        """
        self._reactor = reactor
        self._settings = settings
        self._counts = counts
        self._document = document
        self._userOf = userOf
        self._port: Any = None
        self._door: _Door | None = None
        self._feed: Feed | None = None
        self.address = ""

    def open(self) -> bool:
        """
        Listen.

        @return: whether that is wanted.
        @raise ConfigurationError: it cannot be had, or the page's files are not there.
        """
        wanted: tuple[str, int] | None = self._settings.get(_SETTING)
        if wanted is None:
            return False
        host, number = wanted
        try:
            assets = Assets()
        except OSError as e:
            raise ConfigurationError(
                f"{_SETTING} needs the files of the page, and they are not where rvgahp is"
                f" installed: {e}."
            ) from None
        reactor = self._reactor
        day = LastDay(self._counts)
        self._feed = Feed(reactor, self._document, self._viewerOf, day, assets.build)
        answers = PageAnswers(self._feed, assets, socket.gethostname(), reactor.seconds)
        self._door = _Door(reactor, SmallSite(answers, reactor), self._userOf, self._viewerOf)
        try:
            self._port = reactor.listenTCP(number, self._door, interface=host)
        except CannotListenError as e:
            reason = e.socketError.strerror or str(e.socketError)
            raise ConfigurationError(
                f"Cannot listen on {host} port {number}, {_SETTING}: {reason}."
            ) from None
        # Each connection has it from the port.
        size = watchlimits.PAGE_SEND_BYTES
        self._port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        self._feed.start()
        self.address = f"http://{host}:{self._port.getHost().port}/"
        return True

    def close(self) -> None:
        """
        Listen no more.
        """
        if self._port is not None:
            self._port.stopListening()
        if self._feed is not None:
            self._feed.stop()
        if self._door is not None:
            self._door.close()

    def _viewerOf(self, user: LocalUser) -> Viewer:
        """
        @return: who he is by the settings of this moment.
        """
        get = self._settings.get
        return viewerOf(user, (*get("RVGAHP_ADMINISTRATORS"), *get("RVGAHP_PAGE_READERS")))
