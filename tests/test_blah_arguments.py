# -*- test-case-name: tests.test_blah_arguments -*-
"""
Tests of L{rvgahp.blah.arguments}.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.arguments import environmentV1, environmentV2, splitV1, splitV2
from rvgahp.blah.errors import BadSubmitAd

#: A loaded machine is no failure.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.lists(
    st.lists(st.one_of(st.sampled_from(b"' \t\n\r\\\"="), st.integers(1, 255)), max_size=6).map(
        bytes
    )
)


def quote(word: bytes) -> bytes:
    """
    One word in the V2 syntax, everything between quotes.
    """
    return b"'" + word.replace(b"'", b"''") + b"'"


class ArgumentsTests(SynchronousTestCase):
    """
    Args and Arguments.
    """

    @unhurried
    @given(words, st.sampled_from([b" ", b"\t", b"\n", b" \r\n "]))
    def test_v2RoundTrip(self, given: list[bytes], blank: bytes) -> None:
        """
        Words that are quoted throughout come out as they were.
        """
        self.assertEqual(splitV2(blank.join(map(quote, given)) + blank), given)

    def test_v2(self) -> None:
        """
        Quotes may begin and end inside a word; a doubled quote is one only
        between quotes; double quotes and backslashes mean nothing.
        """
        examples = {
            b"": [],
            b"  ": [],
            b"one two": [b"one", b"two"],
            b"a'b c'd": [b"ab cd"],
            b"''": [b""],
            b"a '' b": [b"a", b"", b"b"],
            b"a''b": [b"ab"],
            b"''''": [b"'"],
            b"'it''s'": [b"it's"],
            b"'a''' b": [b"a'", b"b"],
            b"'a' 'b'": [b"a", b"b"],
            b'"a b" \\c\\': [b'"a', b'b"', b"\\c\\"],
            b"a\x0bb": [b"a\x0bb"],
        }
        for text, expected in examples.items():
            self.assertEqual(splitV2(text), expected, text)

    def test_v2Unclosed(self) -> None:
        """
        A quote without its end is refused.
        """
        for text in (b"'", b"a 'b", b"'a''", b"'''"):
            self.assertRaises(BadSubmitAd, splitV2, text)

    def test_v1(self) -> None:
        """
        V1 knows blanks and nothing else.
        """
        self.assertEqual(splitV1(b" a 'b\tc'\n\"d\r\x0be"), [b"a", b"'b", b"c'", b'"d', b"\x0be"])


class EnvironmentTests(SynchronousTestCase):
    """
    Env and Environment.
    """

    def test_v2(self) -> None:
        """
        Entries are V2 words; only the first equals sign separates.
        """
        self.assertEqual(
            environmentV2(b"A=1 'B=x y''s\n' C= D==="),
            {b"A": b"1", b"B": b"x y's\n", b"C": b"", b"D": b"=="},
        )

    def test_v1(self) -> None:
        """
        Entries end at the delimiter or a newline; blanks before a name do not
        count, those in and after a value do.
        """
        self.assertEqual(
            environmentV1(b" A=1 ;;B=x 'y\nC=|;", b";"),
            {b"A": b"1 ", b"B": b"x 'y", b"C": b"|"},
        )
        self.assertEqual(environmentV1(b"A=1;2|B=3", b"|"), {b"A": b"1;2", b"B": b"3"})
        self.assertEqual(environmentV1(b"A=1;B=3", b""), {b"A": b"1", b"B": b"3"})

    def test_notAVariable(self) -> None:
        """
        An entry without a name or an equals sign is refused, and the refusal
        does not quote it: it may be a secret.
        """
        for text in (b"A=1 hunter2", b"=hunter2"):
            error = self.assertRaises(BadSubmitAd, environmentV2, text)
            self.assertNotIn("hunter2", str(error))
        self.assertRaises(BadSubmitAd, environmentV1, b"A=1;hunter2", b";")
