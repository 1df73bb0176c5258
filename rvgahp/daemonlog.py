# -*- test-case-name: tests.test_daemonlog -*-
"""
A daemon's log, in place of twistd's own: what goes into it, in which form, and where.
C{doc/logs.rst}, C{doc/decisions/0014-logs.rst}.

Layer 5.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.python.components import Componentized
from zope.interface import implementer

from rvgahp.logformats import journalEntry, jsonLine, prefixedLines, textLines
from rvgahp.logrecord import FIELDS, LEVELS, LogRecord, recordOf
from rvgahp.logrepeats import Repeats
from rvgahp.logsinks import FileSink, JournalSink, LogSink, OutputSink, journalOutput
from rvgahp.settings import Settings

__all__ = ["DaemonLog", "HasDaemonLog", "Way", "daemonLog", "sayToFile"]

_STDOUT = 1


class Way(NamedTuple):
    """
    How an event leaves us.
    """

    form: Callable[[LogRecord, str], bytes]
    sink: LogSink


@implementer(ILogObserver)
class DaemonLog:
    """
    Writes events.  What cannot be written is counted, and told in the next line that can be;
    nothing ever waits for it, and nothing else goes wrong because of it.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: str,
        least: Callable[[], str],
        ways: list[Way],
        always: Mapping[str, Any] | None = None,
    ) -> None:
        """
        @param daemon: what it is called.
        @param least: tells the level below which nothing is written.
        @param ways: the one to use, and one for what that does not take.
        @param always: fields that each event has, unless it has others.
        """
        self._daemon = daemon
        self._least = least
        self._ways = ways
        self._always = dict(always or {})
        self._lost = 0
        self._problem = ""
        # Events come from threads, too; and from a signal's handler while one is written.
        self._lock = threading.RLock()
        self._repeats = Repeats(reactor, self._write)
        reactor.addSystemEventTrigger("after", "shutdown", self._repeats.close)

    def __call__(self, event: LogEvent) -> None:
        record = recordOf(event)
        if LEVELS.index(record.level) < LEVELS.index(self._least()):
            return
        if self._always and record.form:
            found = {**self._always, **record.fields}
            record = record._replace(fields={one: found[one] for one in FIELDS if one in found})
        if threading.current_thread() is threading.main_thread():
            self._repeats.put(record)  # it has timers
        else:
            self._write(record)

    def _write(self, record: LogRecord) -> None:
        with self._lock:
            if self._lost:
                lost = self._lostRecord(record.time)
                if not self._put(lost):
                    self._lost += 1
                    return
                self._lost = 0
            if not self._put(record):
                self._lost += 1

    def _lostRecord(self, moment: float) -> LogRecord:
        form = "The log lacks {lost} events: {reason}"
        fields = {"reason": self._problem, "lost": self._lost}
        return LogRecord(moment, "error", __name__, form, form.format(**fields), fields)

    def _put(self, record: LogRecord) -> bool:
        """
        @return: whether somebody has taken it.
        """
        for way in self._ways:
            try:
                way.sink.put(way.form(record, self._daemon))
            except BlockingIOError as e:
                # Who is only slow has what came before: no part of it goes elsewhere.
                self._problem = e.strerror or str(e)
                return False
            except OSError as e:
                self._problem = e.strerror or str(e)
            else:
                return True
        return False


class HasDaemonLog:
    """
    Mixed into a service: what twistd asks for the log is answered with ours.
    """

    daemonLog: DaemonLog | None = None

    def setServiceParent(self, parent: Any) -> None:
        """
        @param parent: with twistd, the application.
        """
        super().setServiceParent(parent)  # type: ignore[misc]
        if self.daemonLog is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.daemonLog)


def daemonLog(
    reactor: Any,
    settings: Settings,
    twistd: Mapping[str, Any] | None,
    always: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> DaemonLog | None:
    """
    @param twistd: its options.
    @param always: as for L{DaemonLog}.
    @return: the log that these and the settings ask for; L{None} if twistd's own is wanted.
    @raise OSError: the file cannot be opened.
    """
    if twistd is None or twistd.get("syslog") or twistd.get("logger"):
        return None
    if twistd["logfile"] == "-" and not twistd["nodaemon"]:
        return None  # twistd has a sentence for that
    ways = _ways(settings, twistd, environ)
    daemon = f"rvgahp-{settings.role}"
    return DaemonLog(reactor, daemon, lambda: str(settings.get("RVGAHP_LOG_LEVEL")), ways, always)


def _ways(settings: Settings, twistd: Mapping[str, Any], environ: Mapping[str, str]) -> list[Way]:
    form = settings.get("RVGAHP_LOG_FORMAT")
    path = twistd["logfile"] or ("" if twistd["nodaemon"] else "twistd.log")
    isFile = path not in ("", "-")
    output = journalOutput(environ)
    if form == "auto":
        form = "text" if output is None or isFile else "journal"
    if isFile:
        get = settings.get
        file = FileSink(path, lambda: get("RVGAHP_MAX_LOG"), lambda: get("RVGAHP_MAX_NUM_LOG"))
        _bearUSR1()
        plain = Way(jsonLine if form == "json" else textLines, file)
    elif form == "json":
        plain = Way(jsonLine, OutputSink(_STDOUT))
    elif output is not None:
        plain = Way(prefixedLines, OutputSink(output))
    else:
        plain = Way(textLines, OutputSink(_STDOUT))
    return [Way(journalEntry, JournalSink()), plain] if form == "journal" else [plain]


def _bearUSR1() -> None:
    """
    Who rotates logs may send this signal, and it must not end us.  There is nothing to do: a
    look is taken before each line.
    """
    if signal.getsignal(signal.SIGUSR1) in (None, signal.SIG_DFL):
        signal.signal(signal.SIGUSR1, lambda *_: None)


def sayToFile(daemon: str, sentence: str, path: str, isJSON: bool) -> None:
    """
    Why a daemon does not start, when its log is not open yet.

    @param path: of the file that is to be its log.
    @raise OSError: it cannot be opened.
    """
    form = jsonLine if isJSON else textLines
    event = {"log_time": time.time(), "log_level": LogLevel.critical, "log_namespace": __name__}
    record = recordOf({**event, "log_format": "{reason}", "reason": sentence})
    FileSink(path, lambda: 0, lambda: 0).put(form(record, daemon))
