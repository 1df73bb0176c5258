# -*- test-case-name: tests.test_logformats -*-
"""
How a record of the log is written: a line for people, a line of JSON, a line with a
priority for systemd, and a datagram of the journal's own protocol.

Layer 3.
"""

from __future__ import annotations

import json
import re
import struct
from datetime import datetime, timezone

from twisted.logger import formatTime

from rvgahp.logrecord import LogRecord

__all__ = ["journalEntry", "journalName", "jsonLine", "prefixedLines", "textLines"]

_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}
"""Of syslog(3), by level."""

_MARGIN = "    "
"""Before the lines of an event that has more than one: no event begins with a blank."""


def textLines(record: LogRecord, daemon: str) -> bytes:
    """
    @param daemon: what it is called; here it is not said.
    @return: for people, in the form of twistd's own log.
    """
    first = f"{formatTime(record.time)} [{record.logger}#{record.level}] {record.text}"
    return _lines(first, *(_MARGIN + line for line in record.traceback))


def jsonLine(record: LogRecord, daemon: str) -> bytes:
    """
    @param daemon: what it is called.
    @return: one object in ASCII.
    """
    moment = datetime.fromtimestamp(record.time, timezone.utc)
    line = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.level,
        "daemon": daemon,
        "message": record.text,
        **record.fields,
        "form": record.form,
        "logger": record.logger,
        "traceback": "\n".join(record.traceback),
    }
    kept = {name: value for name, value in line.items() if value != ""}
    return json.dumps(kept, separators=(",", ":")).encode("ascii") + b"\n"


def prefixedLines(record: LogRecord, daemon: str) -> bytes:
    """
    @param daemon: what it is called; systemd knows that.
    @return: for a service manager that reads our output (C{sd-daemon(3)}).
    """
    prefix = f"<{_PRIORITIES[record.level]}>"
    return _lines(*(prefix + line for line in (record.text, *record.traceback)))


def journalEntry(record: LogRecord, daemon: str) -> bytes:
    """
    @param daemon: what it is called.
    @return: a datagram (C{https://systemd.io/JOURNAL_NATIVE_PROTOCOL}).
    """
    fields = {
        "MESSAGE": "\n".join((record.text, *record.traceback)),
        "PRIORITY": _PRIORITIES[record.level],
        "SYSLOG_IDENTIFIER": daemon,
        **{journalName(name): value for name, value in record.fields.items()},
        "RVGAHP_FORM": record.form,
        "RVGAHP_LOGGER": record.logger,
    }
    return b"".join(_field(name, str(value)) for name, value in fields.items() if value != "")


def journalName(name: str) -> str:
    """
    @return: the journal's name of a field: C{RVGAHP_KEY_NUMBER} for C{keyNumber}.
    """
    return "RVGAHP_" + re.sub("([A-Z])", r"_\1", name).upper()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode("ascii"), data)
    return b"%s\n%s%s\n" % (name.encode("ascii"), struct.pack("<Q", len(data)), data)


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
