# -*- test-case-name: tests.test_screen -*-
"""
Lines for people: coloured only on a terminal, and without anything from others that a
terminal would obey.

Layer 6: the standard library.
"""

from __future__ import annotations

import os
from typing import TextIO

BOLD, GREEN, RED = "1", "1;32", "1;31"


def plain(text: str) -> str:
    """
    @return: the same with a blank for each character that is not printed.
    """
    return "".join(one if one.isprintable() else " " for one in text)


class Screen:
    """
    Where lines are printed, each at once.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._isColoured = output.isatty() and "NO_COLOR" not in os.environ

    def paint(self, text: str, how: str) -> str:
        """
        @param how: L{BOLD}, L{GREEN} or L{RED}.
        """
        return f"\033[{how}m{text}\033[0m" if self._isColoured else text

    def line(self, text: str) -> None:
        """
        @param text: what comes from others has gone through L{plain}.
        """
        encoding = self._output.encoding or "utf-8"
        text = text.rstrip().encode(encoding, "replace").decode(encoding)
        print(text, file=self._output, flush=True)
