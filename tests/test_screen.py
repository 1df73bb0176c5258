"""
Tests of L{rvgahp.screen}.
"""

from __future__ import annotations

import io
import os

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.screen import GREEN, Screen, plain


class Terminal(io.StringIO):
    """
    Something that says it is a terminal.
    """

    def isatty(self) -> bool:
        return True


class ScreenTests(SynchronousTestCase):
    """
    What people see.
    """

    def test_plain(self) -> None:
        """
        No colour where it is no terminal, or where none is wanted.
        """
        self.assertEqual(Screen(io.StringIO()).paint("good", GREEN), "good")
        self.patch(os, "environ", {**os.environ, "NO_COLOR": ""})
        self.assertEqual(Screen(Terminal()).paint("good", GREEN), "good")

    def test_coloured(self) -> None:
        """
        Colour on a terminal.
        """
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.patch(os, "environ", environment)
        self.assertEqual(Screen(Terminal()).paint("good", GREEN), "\033[1;32mgood\033[0m")

    def test_harmless(self) -> None:
        """
        What a terminal would obey, or what would make it two lines, is blanks.
        """
        self.assertEqual(plain("a\033[2Jb\nc\u202ed\x9be"), "a [2Jb c d e")

    def test_encoding(self) -> None:
        """
        A character that the output does not have ends nothing.
        """
        raw = io.BytesIO()
        output = io.TextIOWrapper(raw, "ascii")
        Screen(output).line("größer  ")
        self.assertEqual(raw.getvalue(), b"gr??er\n")
