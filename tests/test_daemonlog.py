"""
Tests of L{rvgahp.daemonlog}: which events are written, how and where, and what becomes of
those that cannot be.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from twisted.application.service import Application, MultiService, Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import daemonlog, loglimits
from rvgahp.configuration import Configuration
from rvgahp.daemonlog import DaemonLog, HasDaemonLog, Way
from rvgahp.logformats import journalEntry, jsonLine, prefixedLines, textLines
from rvgahp.logrecord import LogRecord
from rvgahp.logsinks import FileSink, JournalSink, OutputSink
from rvgahp.settings import Settings, settingsFrom


class Sink:
    """
    Takes what it may.

    @ivar taken: that.
    @ivar problem: raised in its place.
    """

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.problem: OSError | None = None

    def put(self, data: bytes) -> None:
        """
        As of L{rvgahp.logsinks.LogSink}.
        """
        if self.problem is not None:
            raise self.problem
        self.taken.append(data.decode())


def text(record: LogRecord, daemon: str) -> bytes:
    """
    A form for tests.
    """
    return f"{record.level} {record.text} {record.fields}".encode()


class DaemonLogTests(SynchronousTestCase):
    """
    Tests of L{DaemonLog}.
    """

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.least = "info"
        self.first, self.second = Sink(), Sink()
        ways = [Way(text, self.first), Way(text, self.second)]
        self.observer = DaemonLog(
            self.reactor, "rvgahp-ce", lambda: self.least, ways, {"site": "a"}
        )
        self.log = Logger("rvgahp.x", observer=self.observer)

    def test_level(self) -> None:
        """
        What matters less than is wanted is not written; what is wanted may change.
        """
        for level in ("warn", "debug"):
            self.least = level
            for say in (self.log.debug, self.log.info, self.log.warn, self.log.critical):
                say("x")
        levels = [line.split()[0] for line in self.first.taken]
        self.assertEqual(levels, ["warn", "critical", "debug", "info", "warn", "critical"])

    def test_always(self) -> None:
        """
        Each event of ours has the daemon's own fields, unless it has others, and in the order
        of all; others' have none.
        """
        self.log.info("x", session="s")
        self.log.info("x", site="b")
        Logger("twisted.x", observer=self.observer).warn("x")
        self.assertEqual(
            self.first.taken,
            [
                "info x {'session': 's', 'site': 'a'}",
                "info x {'site': 'b'}",
                "warn x {}",
            ],
        )

    def test_repeats(self) -> None:
        """
        What comes too often is counted, and told when the daemon ends.
        """
        for _ in range(loglimits.REPEATS + 5):
            self.log.info("x")
        self.assertEqual(len(self.first.taken), loglimits.REPEATS)
        self.shutDown()
        self.assertIn("(5 more within", self.first.taken[-1])

    def test_second(self) -> None:
        """
        What the first does not take goes to the second.
        """
        self.first.problem = FileNotFoundError(2, "No such file or directory")
        self.log.info("one")
        self.first.problem = None
        self.log.info("two")
        self.assertEqual(self.second.taken, ["info one {'site': 'a'}"])
        self.assertEqual(self.first.taken, ["info two {'site': 'a'}"])

    def test_slow(self) -> None:
        """
        If the first is only slow it gets all, in order, as soon as it takes some again, and the
        second nothing.
        """
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        for number in range(50):
            self.log.info("number {number}", number=number)
        self.reactor.advance(10 * loglimits.KEPT_FOR)
        self.assertEqual(self.first.taken, [])
        self.first.problem = None
        self.log.info("number 50")
        self.reactor.advance(loglimits.KEPT_FOR)
        numbers = [int(line.split()[2]) for line in self.first.taken]
        self.assertEqual((numbers, self.second.taken), (list(range(51)), []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stuck(self) -> None:
        """
        If it takes nothing for long the last events are lost, and their number is told.
        """
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        for number in range(loglimits.KEPT + 3):
            self.log.info("number {number}", number=number)
        self.first.problem = None
        self.reactor.advance(loglimits.KEPT_FOR)
        self.log.info("two")
        self.assertEqual(self.second.taken, [])
        told = self.first.taken[loglimits.KEPT :]
        lost = "The log lacks 3 events: Resource temporarily unavailable"
        self.assertEqual([one.partition(" {")[0] for one in told], [f"error {lost}", "info two"])
        self.assertIn("'lost': 3", told[0])
        self.assertEqual(len(self.first.taken), loglimits.KEPT + 2)

    def test_goneMeanwhile(self) -> None:
        """
        What was kept for one that has gone then goes to the second.
        """
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        self.log.info("one")
        self.first.problem = ConnectionRefusedError(111, "Connection refused")
        self.reactor.advance(loglimits.KEPT_FOR)
        self.assertEqual(self.second.taken, ["info one {'site': 'a'}"])

    def test_close(self) -> None:
        """
        At the end what was kept is tried once more, and no timer is left.
        """
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        self.log.info("one")
        self.first.problem = None
        self.shutDown()
        self.assertEqual(self.first.taken, ["info one {'site': 'a'}"])
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        self.log.info("two")
        self.reactor.advance(1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def shutDown(self) -> None:
        """
        The reactor ends.
        """
        for what, arguments, options in self.reactor.triggers["after"]["shutdown"]:
            what(*arguments, **options)

    def test_lostAll(self) -> None:
        """
        If nobody takes anything nothing goes wrong, and all is counted.
        """
        self.first.problem = self.second.problem = OSError(28, "No space left on device")
        for number in range(3):
            self.log.info("number {number}", number=number)
        self.second.problem = None
        self.log.info("two")
        self.assertIn("lacks 3 events: No space left", self.second.taken[0])
        self.assertEqual(len(self.second.taken), 2)

    def test_thread(self) -> None:
        """
        A thread may say as much as it likes; it sets no timers itself.
        """

        def talk() -> None:
            for _ in range(loglimits.REPEATS + 5):
                self.log.info("x")

        thread = threading.Thread(target=talk)
        thread.start()
        thread.join(10)
        self.assertEqual(len(self.first.taken), loglimits.REPEATS + 5)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.first.problem = BlockingIOError(11, "Resource temporarily unavailable")
        calls: list[Any] = []
        self.reactor.callFromThread = calls.append
        thread = threading.Thread(target=self.log.info, args=("last",))
        thread.start()
        thread.join(10)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.first.problem = None
        calls[0]()
        self.reactor.advance(loglimits.KEPT_FOR)
        self.assertIn("info last", self.first.taken[-1])


class OpenTests(SynchronousTestCase):
    """
    Tests of L{daemonlog.daemonLog}: what the settings and twistd's options come to.
    """

    def setUp(self) -> None:
        former = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, former)
        self.path = self.mktemp()

    def settings(self, **values: str) -> Settings:
        """
        @return: a proxy's.
        """
        return settingsFrom("proxy", Configuration(None, values))

    def open(
        self, form: str = "AUTO", logfile: str | None = None, journal: bool = False, **twistd: Any
    ) -> DaemonLog | None:
        """
        @param journal: whether stderr is connected to it.
        """
        found = os.fstat(2)
        stream = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"} if journal else {}
        options = {"logfile": logfile, "nodaemon": True, "syslog": False, "logger": None}
        settings = self.settings(RVGAHP_LOG_FORMAT=form)
        reactor = MemoryReactorClock()
        made = daemonlog.daemonLog(reactor, settings, {**options, **twistd}, None, stream)
        if made is not None:
            for way in made._ways:
                self.addCleanup(self.close, way.sink)
        return made

    @staticmethod
    def close(sink: Any) -> None:
        """
        Leave no descriptor.
        """
        for one in (getattr(sink, "_file", None), getattr(sink, "_socket", None)):
            if one is not None:
                one.close()

    def ways(self, *words: Any, **options: Any) -> list[tuple[Any, type]]:
        """
        @return: the forms, and where they go.
        """
        made = self.open(*words, **options)
        assert made is not None
        return [(way.form, type(way.sink)) for way in made._ways]

    def test_ways(self) -> None:
        """
        For each setting, with a file, without, and under systemd: what is written, and where.
        """
        file, journal = (textLines, FileSink), (journalEntry, JournalSink)
        self.assertEqual(self.ways(), [(textLines, OutputSink)])
        self.assertEqual(self.ways(logfile="-"), [(textLines, OutputSink)])
        self.assertEqual(self.ways(logfile=self.path), [file])
        self.assertEqual(self.ways(logfile=self.path, journal=True), [file])
        self.assertEqual(self.ways(journal=True), [journal, (prefixedLines, OutputSink)])
        self.assertEqual(self.ways("TEXT", journal=True), [(prefixedLines, OutputSink)])
        self.assertEqual(self.ways("json"), [(jsonLine, OutputSink)])
        self.assertEqual(self.ways("JSON", journal=True), [(jsonLine, OutputSink)])
        self.assertEqual(self.ways("JSON", self.path), [(jsonLine, FileSink)])
        self.assertEqual(self.ways("JOURNAL"), [journal, (textLines, OutputSink)])
        self.assertEqual(self.ways("JOURNAL", self.path), [journal, file])

    def test_background(self) -> None:
        """
        In the background there is twistd's own file where none is named.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.mkdir(self.path)
        os.chdir(self.path)
        self.assertEqual(self.ways(nodaemon=False), [(textLines, FileSink)])
        self.assertTrue(os.path.exists("twistd.log"))

    def test_twistds(self) -> None:
        """
        Where twistd's own log is wanted, or it has something to say of that, it has it.
        """
        self.assertIsNone(self.open(syslog=True))
        self.assertIsNone(self.open(logger=object()))
        self.assertIsNone(self.open(logfile="-", nodaemon=False))

    def test_noFile(self) -> None:
        """
        A file that cannot be opened is an error.
        """
        self.assertRaises(OSError, self.open, logfile="/no/such/log")

    def test_signal(self) -> None:
        """
        SIGUSR1, which twistd's own log takes to be rotated, ends nothing.
        """
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        self.open(logfile=self.path)
        os.kill(os.getpid(), signal.SIGUSR1)

    def test_written(self) -> None:
        """
        What a daemon says is in the file, of the level that the settings say now, and the
        file is no larger than they say.
        """
        settings = self.settings(RVGAHP_LOG_FORMAT="JSON", RVGAHP_MAX_LOG="1 KiB")
        twistd = {"logfile": self.path, "nodaemon": True}
        made = daemonlog.daemonLog(MemoryReactorClock(), settings, twistd, {"site": "a"}, {})
        assert made is not None
        self.addCleanup(self.close, made._ways[0].sink)
        log = Logger("rvgahp.x", observer=made)
        log.debug("not this")
        settings.adopt(self.settings(RVGAHP_LOG_FORMAT="JSON", RVGAHP_LOG_LEVEL="DEBUG"))
        log.debug("x" * 2000)
        log.debug("and this")
        lines = [json.loads(line) for line in Path(self.path).read_text().splitlines()]
        self.assertEqual([line["message"] for line in lines], ["x" * 2000, "and this"])
        self.assertEqual(
            {(line["daemon"], line["site"]) for line in lines}, {("rvgahp-proxy", "a")}
        )


class ServiceTests(SynchronousTestCase):
    """
    Tests of L{HasDaemonLog}.
    """

    def test_application(self) -> None:
        """
        twistd finds the log at the application; elsewhere nothing is said of it.
        """

        class Daemon(HasDaemonLog, Service):
            pass

        daemon = Daemon()
        daemon.daemonLog = DaemonLog(MemoryReactorClock(), "x", lambda: "info", [])
        application: Any = Application("rvgahp-x")
        daemon.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), daemon.daemonLog)
        other = Daemon()
        other.setServiceParent(MultiService())
        other = Daemon()
        other.setServiceParent(Application("rvgahp-y"))


class SayToFileTests(SynchronousTestCase):
    """
    Tests of L{daemonlog.sayToFile}.
    """

    def test_forms(self) -> None:
        """
        The sentence is one line of either form.
        """
        path = self.mktemp()
        daemonlog.sayToFile("rvgahp-ce", "a\nb", path, False)
        daemonlog.sayToFile("rvgahp-ce", "a\nb", path, True)
        first, second = Path(path).read_text().splitlines()
        self.assertTrue(first.endswith(r"#critical] a\nb"), first)
        self.assertEqual(json.loads(second)["message"], r"a\nb")
