# -*- test-case-name: tests.test_gahplines -*-
"""
Tests of L{rvgahp.gahplines}.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ProtocolError
from rvgahp.gahplines import (
    LineSplitter,
    countTokens,
    escapeToken,
    firstTokens,
    joinTokens,
    plainLine,
    splitTokens,
)
from tests.procfs import PATIENCE

ROOT = Path(__file__).resolve().parent.parent

#: A loaded machine is no failure.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

#: Bytes in which the troublesome ones are frequent.
troublesome = st.lists(
    st.one_of(st.sampled_from([b" ", b"\\", b"\r", b"\n", b"\0", b"\xff"]), st.binary(max_size=4)),
    max_size=8,
).map(b"".join)


class TokenTests(SynchronousTestCase):
    """
    Escaping, joining and splitting.
    """

    @unhurried
    @given(st.lists(troublesome, min_size=1))
    def test_roundTrip(self, tokens: list[bytes]) -> None:
        """
        Whatever bytes the tokens are, the line's tokens are the same.
        """
        self.assertEqual(splitTokens(joinTokens(tokens)), tokens)

    def test_escape(self) -> None:
        """
        A backslash stands before each byte that has a meaning, and no other.
        """
        self.assertEqual(escapeToken(b"a b\\c\r\n\0\t"), b"a\\ b\\\\c\\\r\\\n\\\0\t")

    def test_blahpdWords(self) -> None:
        """
        Lines as blahpd writes them are read as HTCondor reads them.
        """
        self.assertEqual(
            splitTokens(b"2 0 No\\ error fork/1/2"), [b"2", b"0", b"No error", b"fork/1/2"]
        )

    @unhurried
    @given(troublesome, st.integers(1, 4))
    def test_partOfTheWork(self, line: bytes, count: int) -> None:
        """
        The number of the tokens, and the first of them, are those of all tokens.
        """
        try:
            tokens = splitTokens(line)
        except ProtocolError:
            return
        self.assertEqual(countTokens(line), len(tokens))
        self.assertEqual(firstTokens(line, count), tokens[:count])

    def test_escapedBackslash(self) -> None:
        """
        A space after a backslash that is itself escaped separates.
        """
        for line, count in ((b"a\\\\ b c", 3), (b"a\\\\\\ b c", 2), (b"\\\\\\\\ ", 2)):
            self.assertEqual((countTokens(line), len(splitTokens(line))), (count, count))
            self.assertEqual(firstTokens(line, 1), splitTokens(line)[:1])

    @unhurried
    @given(troublesome)
    def test_plainLine(self, data: bytes) -> None:
        """
        A plain line has the same tokens, and is one line for whoever ends lines at CR and
        NUL too; one that is plain is left as it is.
        """
        for line in LineSplitter(1 << 20, b"\n").feed(data + b"\n"):
            plain = plainLine(line or b"")
            self.assertEqual(splitTokens(plain), splitTokens(line or b""))
            self.assertEqual(plainLine(plain), plain)
            self.assertEqual(LineSplitter(1 << 20).feed(plain + b"\n"), [plain] if plain else [])

    def test_anyByteCanBeEscaped(self) -> None:
        """
        The byte after a backslash is literal also where it needs no escape.
        """
        self.assertEqual(splitTokens(b"\\a\\b\\\\n"), [b"ab\\n"])

    def test_emptyTokens(self) -> None:
        """
        Each of two adjacent spaces ends a token.
        """
        self.assertEqual(splitTokens(b" a  b "), [b"", b"a", b"", b"b", b""])

    def test_carriageReturn(self) -> None:
        """
        An unescaped CR is discarded and an escaped one is not.
        """
        self.assertEqual(splitTokens(b"a\rb \\\r\r"), [b"ab", b"\r"])

    def test_danglingBackslash(self) -> None:
        """
        A backslash at the end of the line is an error, an escaped one is not.
        """
        self.assertRaises(ProtocolError, splitTokens, b"a\\")
        self.assertRaises(ProtocolError, splitTokens, b"a\\\\\\")
        self.assertEqual(splitTokens(b"a\\\\"), [b"a\\"])

    def test_cost(self) -> None:
        """
        A line of nothing but escapes or ends of tokens takes no more than a few times its own
        bytes.
        """
        for part in (b" ", b"\\a", b"\\\\", b"\\ ", b"\r ", b"\\a\r "):
            line = part * ((1 << 20) // len(part))
            for function in (splitTokens, plainLine):
                tracemalloc.start()
                function(line)
                _, most = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                self.assertLess(most, 40 * len(line), (part, function))


class LineSplitterTests(SynchronousTestCase):
    """
    L{LineSplitter}.
    """

    @unhurried
    @given(
        st.lists(st.lists(troublesome, min_size=1, max_size=4).filter(any), max_size=4),
        st.lists(st.integers(1, 9), min_size=1, max_size=9),
    )
    def test_anyPortions(self, lines: list[list[bytes]], sizes: list[int]) -> None:
        """
        Lines cut at any offsets come out whole, their escaped ends included.
        """
        stream = b"".join([joinTokens(line) + b"\r\n" for line in lines])
        splitter = LineSplitter(100_000)
        received: list[bytes | None] = []
        for size in itertools.cycle(sizes):
            received += splitter.feed(stream[:size])
            stream = stream[size:]
            if not stream:
                break
        self.assertEqual([splitTokens(line or b"") for line in received], lines)

    def test_separators(self) -> None:
        """
        CR, LF and NUL each end a line, and empty lines count for nothing.
        """
        lines = LineSplitter(100).feed(b"\r\n\na\rb\n\0\0c\0\r\nd")
        self.assertEqual(lines, [b"a", b"b", b"c"])

    def test_otherSeparators(self) -> None:
        """
        Where only LF separates, as in replies, CR is part of the line.
        """
        self.assertEqual(LineSplitter(100, b"\n").feed(b"S a\r\nR\n"), [b"S a\r", b"R"])

    def test_byteByByte(self) -> None:
        """
        An escape whose two bytes arrive apart is still one.
        """
        splitter = LineSplitter(100)
        lines = [line for byte in b"a\\\nb\\\\\nc\n" for line in splitter.feed(bytes([byte]))]
        self.assertEqual(lines, [b"a\\\nb\\\\", b"c"])

    def test_limit(self) -> None:
        """
        A line may be as long as the limit; one byte more is reported, once
        and at once, and the next line is read.
        """
        splitter = LineSplitter(5)
        self.assertEqual(splitter.feed(b"12345\n123456"), [b"12345", None])
        # The escaped end belongs to the line that is thrown away.
        self.assertEqual(splitter.feed(b"789" * 100 + b"\\"), [])
        self.assertEqual(splitter.feed(b"\n7\nabcd\n"), [b"abcd"])

    def test_limitInPortions(self) -> None:
        """
        The limit counts the line and not the portions it comes in.
        """
        splitter = LineSplitter(5)
        self.assertEqual([splitter.feed(b"1") for _ in range(5)], [[]] * 5)
        self.assertEqual(len(splitter), 5)
        self.assertEqual([splitter.feed(b"1") for _ in range(2)], [[None], []])
        self.assertEqual(len(splitter), 0)
        self.assertEqual(splitter.feed(b"\nok\n"), [b"ok"])


class ImportTests(SynchronousTestCase):
    """
    What it costs to have this module.
    """

    def test_cheap(self) -> None:
        """
        It imports nothing beyond L{rvgahp.errors}, not even C{re}.
        """
        script = (
            "import sys; before = set(sys.modules); import rvgahp.gahplines; "
            "print(*sorted(set(sys.modules) - before))"
        )
        printed = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            check=True,
            timeout=PATIENCE,
        ).stdout.split()
        self.assertEqual(
            set(printed) - {b"__future__"}, {b"rvgahp", b"rvgahp.errors", b"rvgahp.gahplines"}
        )
