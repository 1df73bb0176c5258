# -*- test-case-name: tests.test_auditlog -*-
"""
The audit log: one line of JSON for each decision and each session's end.  C{doc/audit.rst}
has the fields.

Layer 3: a clock is passed in.  No key, ticket, secret or code has a field here, and what has
no field cannot be written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rvgahp import watchlimits
from rvgahp.appendedfile import AppendedFile
from rvgahp.errors import ConfigurationError
from rvgahp.refusals import Refusals
from rvgahp.tokenbucket import TokenBuckets

__all__ = ["EVENTS", "FIELDS", "AuditLog"]

EVENTS = frozenset(
    ("register", "start", "claim", "refused", "end", "invite", "enrol", "renew", "revoke", "reload")
)
"""What can be recorded."""

FIELDS: dict[str, type] = {
    "decision": str,
    "action": str,
    "who": str,
    "method": str,
    "principal": str,
    "address": str,
    "user": str,
    "uid": int,
    "pid": int,
    "site": str,
    "proxy": str,
    "software": str,
    "gahp": str,
    "account": str,
    "rule": str,
    "session": str,
    "seconds": float,
    "received": int,
    "sent": int,
    "outcome": str,
    "status": str,
    "by": str,
    "reason": str,
}
"""What can be said of an event, beside its time and name, and of which type, in the order in
which it is written."""

_LENGTHS = {"rule": 500, "reason": 1000}
_LENGTH = 256

_LARGEST = 2**53 - 1
"""The largest integer that every reader of JSON knows."""

_REFUSALS_RATE, _REFUSALS_BURST, _REFUSALS_SOURCES = 2.0, 100.0, 4096
"""Lines in a second, and at once, that one source of refusals can cause; and how many sources
are told apart."""

_MODE = 0o600
"""Of a file that is made."""


class AuditLog:
    """
    A file that is appended to.  It may be moved or removed at any time: then another is made.
    What cannot be written is counted and told in the daemon's log, and stops nothing.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        path: Callable[[], str | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param path: tells the file's path; L{None} if there is to be none.  It is asked each
            time, for it may change.
        @param now: seconds since 1970.
        """
        self._clock = clock
        self._path = path
        self._now = now
        self._file = AppendedFile(_MODE)
        self._lost = self._omitted = 0
        self._refused = TokenBuckets(_REFUSALS_SOURCES)
        self._failures = Refusals(clock, self._say, watchlimits.WARNINGS_PERIOD)

    # -- requests -----------------------------------------------------------

    def open(self) -> None:
        """
        See at the start that it can be written.

        @raise ConfigurationError: it cannot.
        """
        path = self._path()
        if path is None:
            return
        try:
            self._file.open(path)
        except OSError as e:
            raise ConfigurationError(
                f"RVGAHP_AUDIT_LOG: cannot append to {path}: {e.strerror or e}; make its directory"
                " writable for the account of this daemon, or name another file."
            ) from None

    def record(self, event: str, **fields: Any) -> None:
        """
        Something was decided or has ended.  Nothing happens where no log is set.

        @param event: one of L{EVENTS}.
        @param fields: of L{FIELDS}; what is L{None} or an empty text is left out.
        @raise LookupError: there is no such event or field; a mistake in a program.
        """
        if event not in EVENTS or not fields.keys() <= FIELDS.keys():
            raise LookupError(f"{event} with {sorted(fields)} is not in the vocabulary")
        path = self._path()
        if path is None:
            return
        if event == "refused" and self._isFlood(fields):
            self._omitted += 1
            return
        try:
            self._file.append(path, self._line(event, fields))
            self._lost = self._omitted = 0
        except OSError as e:
            self._lost += 1
            self._failures.refused(f"{path}: {e.strerror or e}")

    def close(self) -> None:
        """
        Let go of the file.
        """
        self._failures.close()
        self._file.close()

    # -- the line -----------------------------------------------------------

    def _isFlood(self, fields: dict[str, Any]) -> bool:
        source = fields.get("uid", fields.get("address"))
        now = self._clock.seconds()
        return not self._refused.take(source, _REFUSALS_RATE, _REFUSALS_BURST, now)

    def _line(self, event: str, fields: dict[str, Any]) -> bytes:
        moment = datetime.fromtimestamp(self._now(), timezone.utc)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": stamp, "event": event}
        for name, kind in FIELDS.items():
            value = fields.get(name)
            if value is not None and value != "":
                line[name] = _bounded(name, kind, value)
        if self._lost:
            line["lost"] = self._lost
        if self._omitted:
            line["omitted"] = self._omitted
        return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"

    def _say(self, problem: str, count: int) -> None:
        self.log.error("The audit log lacks {count} lines: {reason}", count=count, reason=problem)


def _bounded(name: str, kind: type, value: Any) -> Any:
    """
    @return: a value that a line can bear.
    """
    if kind is str:
        text, most = str(value), _LENGTHS.get(name, _LENGTH)
        return text if len(text) <= most else text[: most - 3] + "..."
    if kind is float:
        return round(float(value), 3)
    return max(-1, min(int(value), _LARGEST))
