# -*- test-case-name: tests.test_renewal -*-
"""
A session's keys at the proxy, one after the other: the CE gets the next one first, then
the client.  C{doc/protocol.rst}, step 12.

Layer 4.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rvgahp import commands, limits
from rvgahp.control import Caller
from rvgahp.errors import PolicyConflict, RvgahpError
from rvgahp.protection import checkRenewal
from rvgahp.session import SecuritySession

if TYPE_CHECKING:
    from rvgahp.proxy import Proxy
    from rvgahp.proxysession import ProxySession


class Renewal:
    """
    Sees to it that a session has a key whose duration is not over.  Whatever fails, the
    GAHP and its channels go on.
    """

    def __init__(self, proxy: Proxy, record: ProxySession) -> None:
        self._proxy = proxy
        self._record = record
        self._ends = self._nextEnds = proxy.reactor.seconds() + record.session.duration
        # Sent, and not known to have come: it is sent until it is, for the CE may have it.
        self._next: SecuritySession | None = None
        self._isDue = self._isClosed = False
        self._timer: Any = None

    def start(self) -> None:
        """
        The client has its answer, and with it the first key.
        """
        self._wait()

    def siteReady(self) -> None:
        """
        The session's CE is there again.
        """
        if self._isDue and self._timer.active():
            self._timer.cancel()
            self._renew()

    def close(self) -> None:
        """
        The session is over.
        """
        self._isClosed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _wait(self) -> None:
        left = self._ends - self._proxy.reactor.seconds()
        delay = max(0.0, left * limits.RENEWAL_SHARE)
        self._timer = self._proxy.reactor.callLater(delay, self._renew)

    # -- the CE -------------------------------------------------------------

    def _renew(self) -> None:
        self._isDue = True
        if not self._record.allowed():
            return
        session, settings = self._record.session, self._proxy.settings
        site = self._proxy.sites.get(self._record.site)
        if site is None or not site.isReady:
            self._failed(f"site {self._record.site} is not connected")
            return
        try:
            checkRenewal(settings, session, settings.policy, site.policy, site.address)
        except PolicyConflict as e:
            self._failed(str(e))
            return
        if self._next is None:
            duration = settings.get("SEC_DEFAULT_SESSION_DURATION")
            self._next = session.renewed(secrets.token_bytes(limits.KEY_BYTES), duration)
            self._nextEnds = self._proxy.reactor.seconds() + duration
        self._record.hold(limits.CALL_TIMEOUT)
        asked = self._send(site.control.caller, self._next)
        asked.addCallbacks(self._taken, self._notTaken, (self._next,), errbackArgs=(self._next,))

    def _send(self, caller: Caller, session: SecuritySession) -> Deferred[dict[str, Any]]:
        return caller.call(
            commands.RenewKey,
            session=session.sessionId,
            key=session.key,
            keyNumber=session.keyNumber,
            duration=session.duration,
        )

    def _taken(self, _: object, session: SecuritySession) -> None:
        if self._isClosed:
            return
        self._record.log.info(
            "Session {session}: has key {keyNumber}, good for {duration} s",
            keyNumber=session.keyNumber,
            duration=session.duration,
        )
        self._tellClient(session)
        self._record.session = session
        self._ends, self._next, self._isDue = self._nextEnds, None, False
        self._wait()

    def _notTaken(self, failure: Failure, session: SecuritySession) -> None:
        if self._isClosed:
            return
        if failure.check(RvgahpError):
            self._record.release()
            self._failed(f"site {self._record.site} refuses: {failure.getErrorMessage()}")
        else:
            # The CE may have it all the same, and dial with it.
            self._tellClient(session)
            self._failed(f"site {self._record.site} gave no answer: {failure.getErrorMessage()}")

    def _failed(self, reason: str) -> None:
        left = self._ends - self._proxy.reactor.seconds()
        self._record.log.warn(
            "Session {session}: key {keyNumber} is not renewed: {reason}; for {left:.0f} s more it"
            " opens new channels, and what runs goes on",
            keyNumber=self._record.session.keyNumber,
            reason=reason,
            left=max(0.0, left),
        )
        if left > limits.RENEWAL_LAST:
            self._wait()

    # -- the client ---------------------------------------------------------

    def _tellClient(self, session: SecuritySession) -> None:
        told = self._send(self._record.client.caller, session)
        told.addErrback(self._clientUntold, session)
        # What has waited comes after it, over the same connection.
        self._record.release()

    def _clientUntold(self, failure: Failure, session: SecuritySession) -> None:
        if not self._isClosed:
            self._record.log.warn(
                "Session {session}: its client has not taken key {keyNumber}: {reason}; what runs"
                " goes on",
                keyNumber=session.keyNumber,
                reason=failure.getErrorMessage(),
            )
