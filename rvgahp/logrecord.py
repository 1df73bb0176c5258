# -*- test-case-name: tests.test_logrecord -*-
"""
What an event of L{twisted.logger} says, made safe for a log: one line, of bounded length,
without anything that a terminal would obey.  C{doc/logs.rst} has the fields.

Layer 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.logger import LogEvent, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure

from rvgahp import loglimits

__all__ = ["FIELDS", "LEVELS", "BoundLogger", "LogRecord", "recordOf"]

LEVELS = ("debug", "info", "warn", "error", "critical")
"""How much an event matters, the least first."""

FIELDS: dict[str, type] = {
    "session": str,
    "site": str,
    "proxy": str,
    "user": str,
    "owner": str,
    "gahp": str,
    "account": str,
    "rule": str,
    "address": str,
    "stream": int,
    "keyNumber": int,
    "received": int,
    "sent": int,
    "reason": str,
    "repeated": int,
    "lost": int,
}
"""What programs find beside the text, and of which type, in the order in which it is written;
what the text has is no field of its own."""

_LARGEST = 2**53 - 1  # that every reader of JSON knows

_OURS = "rvgahp."

#: Of twistd itself, which tells when it begins and ends.
_TWISTD = ("twisted.application.", "twisted.scripts.")


class LogRecord(NamedTuple):
    """
    One event.

    @ivar time: in seconds since 1970.
    @ivar level: one of L{LEVELS}.
    @ivar logger: who says it: a module of ours and its class, or one of Twisted's.
    @ivar form: the message without what differs from case to case, as in
        C{doc/messages.rst}; empty if it is not ours.
    @ivar text: the message, one line.
    @ivar fields: of L{FIELDS}.
    @ivar traceback: lines, of a bug.
    @ivar key: equal for events that say the same, whatever time they name.
    """

    time: float
    level: str
    logger: str
    form: str
    text: str
    fields: dict[str, Any]
    traceback: tuple[str, ...] = ()
    key: tuple[Any, ...] = ()


class BoundLogger(Logger):
    """
    A logger that has some fields of each event already, such as a session's.
    """

    def __init__(self, log: Logger, **fields: Any) -> None:
        """
        @param log: in whose name it speaks.
        @param fields: of L{FIELDS}.
        """
        super().__init__(log.namespace, log.source, log.observer)
        self._fields = fields

    def emit(self, level: Any, format: str | None = None, **kwargs: object) -> None:
        super().emit(level, format, **{**self._fields, **kwargs})


def recordOf(event: LogEvent) -> LogRecord:
    """
    @param event: any; one that cannot be formatted is said to be so in its text.
    """
    logger = _oneLine(str(event.get("log_namespace", "")), loglimits.FIELD_CHARACTERS)
    isOurs = logger.startswith(_OURS)
    form = event.get("log_format")
    text = _oneLine(formatEvent(event), loglimits.TEXT_CHARACTERS)
    traceback = _tracebackOf(event.get("log_failure"))
    return LogRecord(
        float(event.get("log_time", 0.0)),
        _levelOf(event, logger),
        logger,
        str(form) if isOurs and form is not None else "",
        text,
        _fieldsOf(event) if isOurs else {},
        traceback,
        (logger, form, *_valuesOf(event), traceback[-3:]) if isOurs else (logger, text),
    )


def _levelOf(event: LogEvent, logger: str) -> str:
    """
    A bug ends no daemon, but one call; and a library does not know what matters here.
    """
    name = getattr(event.get("log_level"), "name", "info")
    if logger.startswith(_OURS):
        return "error" if event.get("log_failure") is not None else str(name)
    if name == LogLevel.critical.name:
        return "error"  # such as a Deferred's failure that nobody has handled
    if name == LogLevel.info.name and logger != "stdout" and not logger.startswith(_TWISTD):
        return "debug"
    return str(name)


def _fieldsOf(event: LogEvent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in FIELDS.items():
        value = event.get(name)
        if value is None or value == "":
            continue
        if kind is int and isinstance(value, int):
            found[name] = max(-_LARGEST, min(int(value), _LARGEST))
        elif kind is str:
            found[name] = _oneLine(_words(value), loglimits.FIELD_CHARACTERS)
    return found


def _valuesOf(event: LogEvent) -> tuple[str, ...]:
    """
    @return: what is put into the text, without lengths of time.
    """
    return tuple(
        _words(value)[: loglimits.FIELD_CHARACTERS]
        for name, value in sorted(event.items())
        if not name.startswith("log_") and not isinstance(value, float)
    )


def _tracebackOf(failure: Failure | None) -> tuple[str, ...]:
    if failure is None:
        return ()
    try:
        whole = failure.getTraceback()
    except Exception as e:  # the error's own words fail
        whole = f"a traceback that cannot be shown: {type(e).__name__}"
    shown = whole[-loglimits.TRACEBACK_CHARACTERS :]
    lines = [_oneLine(line, loglimits.TEXT_CHARACTERS) for line in shown.splitlines()]
    return (*(["..."] if len(shown) < len(whole) else []), *lines)


def _words(value: object) -> str:
    try:
        return str(value)
    except Exception as e:  # as of errors whose own words fail
        return f"a {type(value).__name__} without words ({type(e).__name__})"


def _oneLine(text: str, most: int) -> str:
    """
    @return: the same in one line, with what is not printed escaped, and not too long.
    """
    if len(text) > most:
        text = f"{text[:most]}... ({len(text) - most} characters more)"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
