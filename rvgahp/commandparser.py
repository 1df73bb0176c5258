# -*- test-case-name: tests.test_cli -*-
"""
How each command hangs under C{rvgahp}, and the parts of its help, of which the manual is
made, too (C{doc/generated.py}).

Layer 6: the standard library.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["CommandParser"]

__all__ = ["CommandParser", "addParser", "overview"]

#: Columns of a help's lines, and of a command's name in a list.
_WIDTH, _NAME_WIDTH = 79, 15


class CommandParser(argparse.ArgumentParser):
    """
    The parser of a command.

    @ivar summary: what it does, for the list of all commands.
    @ivar further: what its help has after the options.
    @ivar examples: command lines, which are right.
    @ivar page: the page of the manual that has more; C{""}: the commands below this one
        name theirs.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **more)
        self.summary = self.further = self.page = ""
        self.examples: tuple[str, ...] = ()

    def addEnd(self, further: str, examples: tuple[str, ...], page: str) -> None:
        """
        Say what the help ends with.
        """
        self.further, self.examples, self.page = further, examples, page
        parts = [further.rstrip("\n")]
        if examples:
            lines = "".join(f"\n  {line}" for line in examples)
            parts.insert(0, f"{'examples' if examples[1:] else 'example'}:{lines}")
        if page:
            parts.append(f"manual: doc/{page}.rst")
        self.epilog = "\n\n".join(part for part in parts if part)


def addParser(
    commands: Commands,
    name: str,
    summary: str,
    about: str,
    further: str = "",
    *,
    examples: tuple[str, ...] = (),
    page: str = "",
) -> CommandParser:
    """
    @param commands: what C{add_subparsers} returned.
    @param summary: for the list of all commands.
    @param about: what its own help begins with; its lines stay as they are.
    @return: the parser of one more command, to which its words are added.
    """
    parser = commands.add_parser(name, help=summary, description=about)
    parser.summary = summary
    parser.addEnd(further, examples, page)
    return parser


def overview(commands: Commands, groups: Iterable[tuple[str, str]]) -> str:
    """
    @param groups: the title of each group of commands, and their names.
    @return: the list of all commands.
    """
    lines = []
    for title, names in groups:
        lines.append(f"{title}:")
        for name in names.split():
            lines += textwrap.wrap(
                commands.choices[name].summary,
                _WIDTH,
                initial_indent=f"  {name:<{_NAME_WIDTH - 2}}",
                subsequent_indent=" " * _NAME_WIDTH,
            )
        lines.append("")
    return "\n".join(lines)
