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
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.python.components import Componentized
from zope.interface import implementer

from rvgahp import loglimits
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
    Writes events.  Those that are not taken at once are kept, some, and tried again soon; those
    that cannot be written are counted, and told in the next line that can be.  Nothing ever
    waits for a log, and nothing else goes wrong because of it.
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
        self._reactor = reactor
        self._kept: deque[LogRecord] = deque()
        self._timer: Any = None
        self._isOver = False
        self._lost = 0
        self._problem = ""
        # Events come from threads, too; and from a signal's handler while one is written.
        self._lock = threading.RLock()
        self._repeats = Repeats(reactor, self._write)
        reactor.addSystemEventTrigger("after", "shutdown", self._close)

    def __call__(self, event: LogEvent) -> None:
        record = recordOf(event)
        if LEVELS.index(record.level) < LEVELS.index(self._least()):
            return
        if self._always and record.form:
            found = {**self._always, **record.fields}
            record = record._replace(fields={one: found[one] for one in FIELDS if one in found})
        if _isMain():
            self._repeats.put(record)  # it has timers
        else:
            self._write(record)

    def _close(self) -> None:
        self._isOver = True
        self._repeats.close()
        self._drain()

    def _write(self, record: LogRecord) -> None:
        with self._lock:
            if self._kept or not self._offer(record):
                self._keep(record)

    def _offer(self, record: LogRecord) -> bool:
        """
        @return: whether it needs not be kept: it was written, or cannot be.
        """
        try:
            if not self._kept:
                self._tellLost(record.time)
            if not self._put(record):
                self._lost += 1
        except BlockingIOError as e:
            self._problem = e.strerror or str(e)
            return False
        return True

    def _keep(self, record: LogRecord) -> None:
        if len(self._kept) < loglimits.KEPT:
            self._kept.append(record)
            self._arm()
        else:
            self._lost += 1

    def _arm(self) -> None:
        """
        Try again soon.
        """
        if not _isMain():
            self._reactor.callFromThread(self._arm)
        elif self._timer is None and not self._isOver:
            self._timer = self._reactor.callLater(loglimits.KEPT_FOR, self._drain)

    def _drain(self) -> None:
        self._timer = None
        with self._lock:
            while self._kept and self._offer(self._kept[0]):
                self._kept.popleft()
            if self._kept:
                self._arm()
                return
            with suppress(BlockingIOError):  # then the next event tells it
                self._tellLost(time.time())

    def _tellLost(self, moment: float) -> None:
        """
        @raise BlockingIOError: not now.
        """
        if not self._lost:
            return
        form = "The log lacks {lost} events: {reason}"
        fields = {"reason": self._problem, "lost": self._lost}
        text = form.format(**fields)
        if self._put(LogRecord(moment, "error", __name__, form, text, fields)):
            self._lost = 0

    def _put(self, record: LogRecord) -> bool:
        """
        @return: whether somebody has taken it.
        @raise BlockingIOError: not now.  Who is only slow has what came before: nothing goes
            elsewhere.
        """
        for way in self._ways:
            try:
                way.sink.put(way.form(record, self._daemon))
            except BlockingIOError:
                raise
            except OSError as e:
                self._problem = e.strerror or str(e)
            else:
                return True
        return False


def _isMain() -> bool:
    """
    @return: whether this is the reactor's thread.
    """
    return threading.current_thread() is threading.main_thread()


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
