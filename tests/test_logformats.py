"""
Tests of L{rvgahp.logformats}.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.logformats import journalEntry, jsonLine, prefixedLines, textLines
from rvgahp.logrecord import FIELDS, LEVELS, LogRecord

PAGE = Path(__file__).parent.parent / "doc" / "logs.rst"

RECORD = LogRecord(
    1795224440.0625,
    "warn",
    "rvgahp.cesessions.CESessions",
    "Session {session}: has key {keyNumber}",
    "Session s1: has key 2 \N{SNOWMAN}",
    {"session": "s1", "site": "a.example", "keyNumber": 2},
)

BUG = RECORD._replace(level="error", traceback=("Traceback:", "  x", "ValueError"))


def decoded(datagram: bytes) -> list[tuple[str, bytes]]:
    """
    Read a datagram as C{https://systemd.io/JOURNAL_NATIVE_PROTOCOL} has it.

    @return: its fields.
    @raise AssertionError: it is none.
    """
    found = []
    while datagram:
        line, end, rest = datagram.partition(b"\n")
        assert end, line
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert len(value) == size and rest.startswith(b"\n"), line
            rest = rest[1:]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        found.append((name.decode(), value))
        datagram = rest
    return found


class TextTests(SynchronousTestCase):
    """
    Tests of L{textLines} and L{prefixedLines}.
    """

    def test_text(self) -> None:
        """
        An event is one line, with the time, who says it, and how much it matters.
        """
        line = textLines(RECORD, "rvgahp-ce").decode()
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[rvgahp\.cesessions\.CESessions#warn\] "
        self.assertTrue(re.fullmatch(form + "Session s1: has key 2 \N{SNOWMAN}\n", line), line)

    def test_traceback(self) -> None:
        """
        Only the first line of an event does not begin with a blank.
        """
        lines = textLines(BUG, "rvgahp-ce").decode().splitlines()
        self.assertEqual(lines[1:], ["    Traceback:", "      x", "    ValueError"])
        self.assertFalse(lines[0].startswith(" "))

    def test_prefixed(self) -> None:
        """
        For systemd each line has the event's priority, by the numbers of syslog.
        """
        self.assertEqual(prefixedLines(BUG, "x").decode().splitlines()[1], "<3>Traceback:")
        priorities = [prefixedLines(RECORD._replace(level=one), "x")[:3] for one in LEVELS]
        self.assertEqual(priorities, [b"<7>", b"<6>", b"<4>", b"<3>", b"<2>"])

    def test_surrogates(self) -> None:
        """
        What cannot be encoded costs no line.
        """
        self.assertIn(rb"\udc80", textLines(RECORD._replace(text="\udc80"), "x"))


class JSONTests(SynchronousTestCase):
    """
    Tests of L{jsonLine}.
    """

    def test_line(self) -> None:
        """
        An event is one line of ASCII, with these names in this order.
        """
        line = jsonLine(RECORD, "rvgahp-ce")
        self.assertTrue(line.isascii())
        self.assertEqual((line.count(b"\n"), line[-1:]), (1, b"\n"))
        self.assertEqual(
            list(json.loads(line).items()),
            [
                ("time", "2026-11-21T01:27:20.062Z"),
                ("level", "warn"),
                ("daemon", "rvgahp-ce"),
                ("message", "Session s1: has key 2 \N{SNOWMAN}"),
                ("session", "s1"),
                ("site", "a.example"),
                ("keyNumber", 2),
                ("form", "Session {session}: has key {keyNumber}"),
                ("logger", "rvgahp.cesessions.CESessions"),
            ],
        )

    def test_traceback(self) -> None:
        """
        A traceback is in the same line.
        """
        line = jsonLine(BUG, "x")
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(json.loads(line)["traceback"], "Traceback:\n  x\nValueError")


class JournalTests(SynchronousTestCase):
    """
    Tests of L{journalEntry}.
    """

    def test_entry(self) -> None:
        """
        An event is these fields.
        """
        self.assertEqual(
            decoded(journalEntry(RECORD, "rvgahp-ce")),
            [
                ("MESSAGE", "Session s1: has key 2 \N{SNOWMAN}".encode()),
                ("PRIORITY", b"4"),
                ("SYSLOG_IDENTIFIER", b"rvgahp-ce"),
                ("RVGAHP_SESSION", b"s1"),
                ("RVGAHP_SITE", b"a.example"),
                ("RVGAHP_KEY_NUMBER", b"2"),
                ("RVGAHP_FORM", b"Session {session}: has key {keyNumber}"),
                ("RVGAHP_LOGGER", b"rvgahp.cesessions.CESessions"),
            ],
        )

    def test_traceback(self) -> None:
        """
        A traceback is part of the message, which then has a length.
        """
        message = dict(decoded(journalEntry(BUG, "x")))["MESSAGE"].decode()
        self.assertEqual(message.splitlines()[1:], ["Traceback:", "  x", "ValueError"])

    @given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()), st.text())
    def test_any(self, fields: dict[str, Any], text: str) -> None:
        """
        Whatever is in it, the fields come out as they went in, and no further ones.
        """
        entry = decoded(journalEntry(RECORD._replace(fields=fields, text=text), "x"))
        names = [name for name, _ in entry]
        self.assertEqual(len(names), len(set(names)))
        sent = sorted(value for value in fields.values() if value)
        ours = {"RVGAHP_FORM", "RVGAHP_LOGGER"}
        came = [v.decode() for n, v in entry if n.startswith("RVGAHP_") and n not in ours]
        self.assertEqual(sorted(came), sent)


class PageTests(SynchronousTestCase):
    """
    The manual's tables of fields.
    """

    def test_fields(self) -> None:
        """
        Each name of a line of JSON, and each field of the journal, has its row, and no other.
        """
        whole = BUG._replace(fields={name: kind(1) for name, kind in FIELDS.items()})
        rows = re.findall(r"(?m)^   \* - ``(\w+)``\n     - ``(\w+)``$", PAGE.read_text())
        names = list(json.loads(jsonLine(whole, "x")))
        self.assertEqual([name for name, _ in rows], [one for one in names if one != "traceback"])
        entry = [name for name, _ in decoded(journalEntry(whole, "x"))]
        self.assertEqual(
            sorted({name for _, name in rows} - {"__REALTIME_TIMESTAMP"}), sorted(entry)
        )
