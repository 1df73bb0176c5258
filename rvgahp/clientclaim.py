# -*- test-case-name: tests.test_clientclaim -*-
"""
Finds the proxy again for a session that goes on without it.  C{doc/protocol.rst},
step 12.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import os

from rvgahp import limits
from rvgahp.errors import RvgahpError
from rvgahp.primitives import hmac
from rvgahp.proxylink import ProxyLink
from rvgahp.proxysocket import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rvgahp.clientsession import ClientSession
    from rvgahp.poller import DelayedCall, Poller
    from rvgahp.proxylink import LinkUser


class Claimant:
    """
    Connects to the proxy, which has been restarted, and proves that the session is ours.
    Until then what runs goes on, and no new channel can be had.
    """

    def __init__(
        self,
        loop: Poller,
        path: str,
        session: ClientSession,
        user: LinkUser,
        found: Callable[[ProxyLink], object],
        gone: Callable[[str], object],
    ) -> None:
        """
        @param path: the proxy's UNIX socket.
        @param user: of the new link.
        @param found: called with the link when the proxy has taken the claim.
        @param gone: called with a sentence if the proxy knows that the session is over.
        """
        self._loop = loop
        self._path = path
        self._session = session
        self._user = user
        self._found = found
        self._gone = gone
        self._link: ProxyLink | None = None
        self._delay = limits.RECLAIM_FIRST
        self._soonUntil = 0.0
        self._timer: DelayedCall | None = None

    def start(self) -> None:
        """
        Look for it, at first soon and then less and less often.
        """
        self._link = None
        # Not all clients of a proxy at once.
        jitter = 0.5 + os.urandom(1)[0] / 512
        self._later(self._delay * jitter, self._connect)
        self._delay = min(2 * self._delay, limits.RECLAIM_LONGEST)

    def close(self) -> None:
        """
        It is not needed any more.
        """
        self._cancel()
        if self._link is not None:
            self._link.close()

    def _later(self, delay: float, callable: Callable[[], object]) -> None:
        self._cancel()
        self._timer = self._loop.callLater(delay, callable)

    def _cancel(self) -> None:
        """
        The link may be lost while a claim is to be repeated over it.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _connect(self) -> None:
        try:
            connection = connect(self._path, limits.RECLAIM_CONNECT)
        except RvgahpError:
            self.start()
        else:
            self._link = ProxyLink(self._loop, connection, self._user)
            self._soonUntil = self._loop.seconds() + limits.YOUTH
            self._claim()

    def _claim(self) -> None:
        if self._link is None:
            return
        box = {
            b"_command": b"Claim",
            b"session": self._session.keys.present.sessionId.encode("ascii"),
            b"site": self._session.site.encode("utf-8"),
        }
        self._link.ask(box, self._challenged, self._refused)

    def _challenged(self, box: dict[bytes, bytes]) -> None:
        keys = self._session.keys
        answer = {
            b"_command": b"Prove",
            b"session": keys.present.sessionId.encode("ascii"),
            b"proof": hmac(keys.claimKey, b"claim" + box[b"nonce"]),
        }
        if self._link is not None:
            self._link.ask(answer, self._taken, self._refused)

    def _taken(self, box: dict[bytes, bytes]) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._found(link)

    def _refused(self, code: bytes, sentence: str) -> None:
        if code == b"SessionGone":
            self._gone(sentence)
        else:
            # A site may be away for hours, and thousands of clients ask one proxy.
            isSoon = code == b"NotYet" and self._loop.seconds() < self._soonUntil
            again = limits.RECLAIM_SOON if isSoon else limits.RECLAIM_LONGEST
            self._later(again, self._claim)
