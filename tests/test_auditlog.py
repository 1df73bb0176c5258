"""
Tests of L{rvgahp.auditlog}, with real files.
"""

from __future__ import annotations

import ast
import json
import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

import rvgahp
from rvgahp.auditlog import EVENTS, FIELDS, AuditLog
from rvgahp.errors import ConfigurationError

PACKAGE = Path(rvgahp.__file__).parent


class AuditLogTestCase(SynchronousTestCase):
    """
    A log in a directory of its own.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "audit.log"
        self.setting: str | None = str(self.path)
        self.clock = Clock()
        self.log = AuditLog(self.clock, lambda: self.setting, lambda: 1795201453.0625)
        self.addCleanup(self.log.close)

    def lines(self, path: Path | None = None) -> list[dict[str, Any]]:
        """
        @return: what the file has.
        """
        return [json.loads(line) for line in (path or self.path).read_bytes().splitlines()]


class LineTests(AuditLogTestCase):
    """
    What a line is like.
    """

    def test_line(self) -> None:
        """
        A line is JSON in ASCII with the time first, whatever the values; what is empty is
        left out.
        """
        self.log.record(
            "end",
            site="site.example",
            who="ål\u2028ice\n\x00",
            seconds=1.23456,
            sent=7,
            rule="",
            received=None,
            status="exited with status 0",
        )
        data = self.path.read_bytes()
        self.assertTrue(data.isascii() and data.endswith(b"}\n") and data.count(b"\n") == 1)
        self.assertTrue(data.startswith(b'{"time":"2026-11-20T19:04:13.062Z","event":"end",'), data)
        (line,) = self.lines()
        self.assertEqual(
            {name: line[name] for name in line if name not in ("time", "event")},
            {
                "who": "ål\u2028ice\n\x00",
                "site": "site.example",
                "seconds": 1.235,
                "sent": 7,
                "status": "exited with status 0",
            },
        )

    def test_bounded(self) -> None:
        """
        No value makes a line long, and no number is more than a reader of JSON knows.
        """
        everything: dict[str, Any] = {
            name: "\U0001f600" * 100_000 if kind is str else 9**99
            for name, kind in FIELDS.items()
            if kind is not float
        }
        self.log.record("start", **everything)
        self.log.record("end", received=-(9**99))
        self.assertLess(len(self.path.read_bytes()), 100_000)
        first, second = self.lines()
        self.assertEqual(first["sent"], 2**53 - 1)
        self.assertEqual(len(first["reason"]), 1000)
        self.assertEqual(second["received"], -1)

    def test_vocabulary(self) -> None:
        """
        An event or a field that there is not is a mistake in a program, also where no log is
        set.
        """
        self.assertRaises(LookupError, self.log.record, "nonesuch")
        self.assertRaises(LookupError, self.log.record, "end", key="secret")
        self.setting = None
        self.assertRaises(LookupError, self.log.record, "end", key="secret")
        self.log.record("end", site="site.example")
        self.assertFalse(self.path.exists())

    def test_callers(self) -> None:
        """
        Every call in the source has an event and fields that there are, and names no secret.
        """
        calls = 0
        for path in PACKAGE.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "record":
                    calls += 1
                    event = node.args[0]
                    assert isinstance(event, ast.Constant), path
                    self.assertIn(event.value, EVENTS)
                    named = {keyword.arg for keyword in node.keywords if keyword.arg}
                    self.assertLessEqual(named, set(FIELDS), path)
        self.assertGreater(calls, 5)
        for word in ("key", "ticket", "secret", "code", "claim", "proof", "nonce"):
            self.assertFalse([name for name in FIELDS if word in name])


class FileTests(AuditLogTestCase):
    """
    The file, and what becomes of it.
    """

    def test_mode(self) -> None:
        """
        It is its owner's alone, and is not inherited.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.log.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertFalse(os.get_inheritable(self.log._file.fd))

    def test_appends(self) -> None:
        """
        What it has is kept, and another who appends to it, too.
        """
        self.path.write_text('{"event":"before"}\n')
        self.log.open()
        self.log.record("end")
        with self.path.open("a") as file:
            file.write('{"event":"meanwhile"}\n')
        self.log.record("end")
        events = [line["event"] for line in self.lines()]
        self.assertEqual(events, ["before", "end", "meanwhile", "end"])

    def test_moved(self) -> None:
        """
        A file that is moved or removed is noticed at once, and a new one made; the moved one
        has all that was before.
        """
        old = self.directory / "audit.log.1"
        for number in range(3):
            self.log.record("end", pid=number)
        self.path.rename(old)
        self.log.record("end", pid=3)
        self.assertEqual([line["pid"] for line in self.lines(old)], [0, 1, 2])
        self.assertEqual([line["pid"] for line in self.lines()], [3])
        self.path.unlink()
        self.log.record("end", pid=4)
        self.assertEqual([line["pid"] for line in self.lines()], [4])
        self.path.unlink()
        self.path.write_text("")  # as logrotate's "create" does
        self.log.record("end", pid=5)
        self.assertEqual([line["pid"] for line in self.lines()], [5])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode) & 0o600, 0o600)

    def test_oneWrite(self) -> None:
        """
        A line is one write, so that no other's gets into it.
        """
        written: list[bytes] = []

        def write(fd: int, data: bytes) -> int:
            written.append(data)
            return len(data)

        self.log.open()
        self.patch(os, "write", write)
        self.log.record("end", reason="r" * 5000)
        self.assertEqual(len(written), 1)

    def test_lost(self) -> None:
        """
        What cannot be written is told in the daemon's log, at a bounded rate, and the next
        line that can be has the number.
        """
        self.log.record("end")
        self.path.unlink()
        self.directory.rmdir()
        with capturedLogs() as logs:
            for _ in range(1000):
                self.log.record("end")
                self.clock.advance(0.05)
            self.clock.advance(10)
        said = [event for event in logs if "lacks" in event["log_format"]]
        self.assertEqual(sum(event["count"] for event in said), 1000)
        self.assertLess(len(said), 15)
        self.assertIn("No such file", said[0]["reason"])
        self.directory.mkdir()
        self.log.record("end")
        self.log.record("end")
        self.assertEqual([line.get("lost") for line in self.lines()], [1000, None])

    def test_full(self) -> None:
        """
        Of a file that takes half a line, that line is no JSON, counts as lost, and the next
        begins a line of its own.
        """
        self.log.record("end", reason="first")
        write = os.write
        self.patch(os, "write", lambda fd, data: write(fd, data[:10]))
        self.log.record("end", reason="torn")
        self.patch(os, "write", write)
        os.dup2(os.open("/dev/full", os.O_WRONLY), self.log._file.fd)
        self.log.record("end", reason="not at all")
        self.log.close()
        self.log.record("end", reason="last")
        first, torn, last = self.path.read_bytes().splitlines()
        self.assertRaises(ValueError, json.loads, torn)
        self.assertEqual(json.loads(first)["reason"], "first")
        self.assertEqual((json.loads(last)["reason"], json.loads(last)["lost"]), ("last", 2))

    def test_fifo(self) -> None:
        """
        A file that nobody reads stops nothing.
        """
        os.mkfifo(self.path)
        self.assertRaises(ConfigurationError, self.log.open)
        self.log.record("end")
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            for _ in range(3000):
                self.log.record("end", reason="r" * 1000)
        finally:
            os.close(reader)
        self.assertGreater(self.log._lost, 0)

    def test_cannotOpen(self) -> None:
        """
        What cannot be opened at the start is said in a sentence with the setting and the file.
        """
        self.setting = str(self.directory / "none" / "audit.log")
        error = self.assertRaises(ConfigurationError, self.log.open)
        for word in ("RVGAHP_AUDIT_LOG", self.setting, "No such file"):
            self.assertIn(word, str(error))
        self.setting = None
        self.log.open()


class FloodTests(AuditLogTestCase):
    """
    Refusals that somebody causes as fast as he can.
    """

    def test_omitted(self) -> None:
        """
        Of one source a hundred refusals are recorded, then two a second; the rest are counted
        in the next line; other sources and other events have theirs.
        """
        for _ in range(10_000):
            self.log.record("refused", uid=1000)
        self.assertEqual(len(self.lines()), 100)
        self.log.record("refused", uid=1001)
        self.log.record("end", uid=1000)
        self.clock.advance(1)
        for _ in range(10):
            self.log.record("refused", uid=1000)
        self.log.record("end", uid=1000)
        lines = self.lines()[100:]
        self.assertEqual(
            [one["event"] for one in lines], ["refused", "end", "refused", "refused", "end"]
        )
        self.assertEqual([one.get("omitted") for one in lines], [9900, None, None, None, 8])
