"""
Tests of how the gridmanager double reads and writes lines.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.gridmanagerlines import LineReader, Times, escape, isNotice, isNull, number

#: What the double itself would write in a line, and what it must read.
TOKENS = st.lists(st.binary(max_size=8).map(lambda token: token.replace(b"\0", b"")), min_size=1)


class LineReaderTests(SynchronousTestCase):
    """
    As C{gahp-client.cpp} C{read_argv} has it.
    """

    def read(self, *portions: bytes) -> list[list[bytes]]:
        """
        @return: all lines in what comes in these portions.
        """
        reader, lines = LineReader(), []
        for portion in portions:
            reader.feed(portion)
            while (line := reader.line()) is not None:
                lines.append(line)
            self.assertTrue(reader.isEmpty)
        return lines

    @settings(max_examples=200, deadline=None)
    @given(st.lists(TOKENS, max_size=4), st.lists(st.integers(0, 60), max_size=5))
    def test_portions(self, lines: list[list[bytes]], cuts: list[int]) -> None:
        """
        What was escaped is read as it was, in whatever portions it comes.
        """
        data = b"".join(b" ".join(map(escape, tokens)) + b"\r\n" for tokens in lines)
        marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        portions = [data[start:end] for start, end in pairwise(marks)]
        self.assertEqual(self.read(*portions), lines)

    def test_forms(self) -> None:
        """
        Blanks part tokens, also empty ones; CR counts for nothing; a backslash takes any byte;
        a NUL ends a token; an empty line is a line.
        """
        for text, tokens in (
            (b"S 1\r\n", [b"S", b"1"]),
            (b"S  1 \n", [b"S", b"", b"1", b""]),
            (b"S\\ 1\\\n\\\\\\x\n", [b"S 1\n\\x"]),
            (b"S\r\rT\n", [b"ST"]),
            (b"S\\\rT\n", [b"S\rT"]),
            (b"a\0b c\n", [b"a", b"c"]),
            (b"\r\n", [b""]),
        ):
            self.assertEqual(self.read(text), [tokens], text)

    def test_forget(self) -> None:
        """
        A line that does not end is nothing.
        """
        reader = LineReader()
        reader.feed(b"S 1 half\\")
        self.assertIdentical(reader.line(), None)
        reader.forget()
        reader.feed(b"S\n")
        self.assertEqual(reader.line(), [b"S"])


class WordTests(SynchronousTestCase):
    """
    Single words.
    """

    def test_number(self) -> None:
        """
        Numbers are as C reads them, words are 0.
        """
        for text, value in ((b"12", 12), (b" -3x", -3), (b"+4", 4), (b"x5", 0), (b"", 0)):
            self.assertEqual(number(text), value)

    def test_notice(self) -> None:
        """
        A notice is one token that begins with R.
        """
        for line, isOne in (
            ([b"R"], True),
            ([b"Ready"], True),
            ([b"R", b""], False),
            ([b""], False),
        ):
            self.assertEqual(isNotice(line), isOne)

    def test_null(self) -> None:
        """
        NULL in any case stands for nothing.
        """
        self.assertTrue(isNull(b"null") and isNull(b"NULL"))
        self.assertFalse(isNull(b"") or isNull(b"NULL "))

    def test_times(self) -> None:
        """
        All times are scaled but those that are given.
        """
        times = Times().scaled(0.1, banner=7)
        self.assertEqual((times.response, times.transfer, times.banner), (2, 360, 7))
