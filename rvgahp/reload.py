# -*- test-case-name: tests.test_reload -*-
"""
A daemon reads its files again, at SIGHUP or when it is told to.

Layer 3: the reactor is passed in, and what is read and what becomes of it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp.auditlog import AuditLog
from rvgahp.errors import NotAuthorized, RvgahpError
from rvgahp.notify import Notifier
from rvgahp.viewer import Viewer

#: What may be otherwise in either daemon's files, beside settings.
RULES_CHANGED = "the access rules have changed"
MAP_CHANGED = "the map of names has changed"

_Asked = tuple[Deferred[list[str]], Mapping[str, Any]]

_NOBODY: Mapping[str, Any] = MappingProxyType({})


class Reloading:
    """
    Reads everything again: once at a time, and once more if that is asked for meanwhile,
    for a file may have changed after it was read.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        read: Callable[[], Any],
        adopt: Callable[[Any], list[str]],
        audit: AuditLog,
        notifier: Notifier,
    ) -> None:
        """
        @param read: reads and checks all files, in a thread; may block, within limits of its
            own, and raises L{RvgahpError} if anything is wrong with any.
        @param adopt: puts into force what C{read} has returned; returns sentences on what is
            otherwise now.
        @param audit: has a line for each time that somebody asks.
        @param notifier: tells who started the daemon.
        """
        self._reactor = reactor
        self._read = read
        self._adopt = adopt
        self._audit = audit
        self._notifier = notifier
        self._waiting: list[_Asked] = []
        self._isReading = False
        self._restore: Any = None

    def reload(self, who: Mapping[str, Any] = _NOBODY) -> Deferred[list[str]]:
        """
        Read everything again.

        @param who: who wants it, in fields of the audit log; nothing where a signal came.
        @return: fires with sentences on what is otherwise now; fails with L{RvgahpError}: a
            file is broken, and everything stays as it was.
        """
        asked: Deferred[list[str]] = Deferred()
        self._waiting.append((asked, who))
        if not self._isReading:
            self._begin()
        return asked

    def askedBy(self, viewer: Viewer) -> Deferred[dict[str, Any]]:
        """
        Somebody wants that over a CE's local HTTP interface.

        @return: fires with the answer; fails with L{RvgahpError}.
        @raise NotAuthorized: he may not.
        """
        user = viewer.user
        who = {"user": user.name, "uid": user.uid, "pid": user.pid}
        if not viewer.isAdministrator:
            reason = (
                f"{user.name} may not reload this CE: root can, its own account, and whom its"
                " RVGAHP_ADMINISTRATORS names"
            )
            self.refused(reason, who)
            raise NotAuthorized(reason)
        read: Deferred[Any] = self.reload(who)
        return read.addCallbacks(lambda changes: {"changes": changes}, _nothingChanged)

    def _begin(self) -> None:
        self._isReading = True
        self._notifier.reloading()
        asked, self._waiting = self._waiting, []
        read = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read)
        read.addCallback(self._adopt)
        read.addCallbacks(self._done, self._failed, (asked,), errbackArgs=(asked,))
        read.addErrback(lambda failure: self.log.failure("A bug in a reload", failure))
        read.addBoth(self._next)

    def _done(self, changes: list[str], asked: list[_Asked]) -> None:
        self.log.info("Read again: {changes}", changes="; ".join(changes) or "nothing is new")
        for one, who in asked:
            self._audit.record("reload", decision="allowed", **who)
            one.callback(list(changes))

    def refused(self, reason: str, who: Mapping[str, Any]) -> None:
        """
        Somebody has asked, and may not, or in vain.
        """
        fields = {"decision": "refused", "action": "reload", "reason": reason, **who}
        self._audit.record("refused", **fields)

    def _failed(self, failure: Failure, asked: list[_Asked]) -> None:
        if failure.check(RvgahpError):
            reason = failure.getErrorMessage()
        else:
            self.log.failure("A bug in reading files again", failure)
            reason = "a bug; the log has the details"
        self.log.error("Not read again, all stays as it was: {reason}", reason=reason)
        for one, who in asked:
            self.refused(reason, who)
            one.errback(RvgahpError(reason))

    def _next(self, _: object) -> None:
        self._isReading = False
        if self._waiting:
            self._begin()
        else:
            self._notifier.tell(READY="1")

    # -- SIGHUP -------------------------------------------------------------

    def watchHangup(self) -> None:
        """
        Do so at each SIGHUP from now on.
        """
        self._restore = signal.signal(
            signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hangup)
        )

    def _hangup(self) -> None:
        self.reload().addErrback(lambda failure: None)  # it stands in the log

    def ignoreHangup(self) -> None:
        """
        SIGHUP is what it was before L{watchHangup}.
        """
        if self._restore is not None:
            signal.signal(signal.SIGHUP, self._restore)
            self._restore = None


def _nothingChanged(failure: Failure) -> NoReturn:
    raise RvgahpError(f"nothing was changed: {failure.getErrorMessage()}")
