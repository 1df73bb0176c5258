# -*- test-case-name: tests.test_completioncli -*-
"""
C{rvgahp completion}: what a shell needs to complete the words of C{rvgahp}.

Layer 6: C{shtab}, which is loaded only here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rvgahp.commandparser import CommandParser, addParser

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands

__all__ = ["SHELLS", "addCommand"]

#: The shells whose scripts are tried.
SHELLS = ("bash", "zsh", "fish")

#: What completes a word that stands for a path, by how the help writes the word.
_PATHS = {"PATH": "file", "FILE": "file", "DIR": "directory"}

_ABOUT = """\
Print the script by which a shell completes rvgahp's commands, options and files.
It is made once, and starts no program when you press the key.  Where to put it:

  bash   ~/.local/share/bash-completion/completions/rvgahp, or for everybody
         /etc/bash_completion.d/rvgahp
  zsh    a file _rvgahp in a directory of $fpath
  fish   ~/.config/fish/completions/rvgahp.fish
"""


def addCommand(commands: Commands, makeParser: Callable[[], CommandParser]) -> None:
    """
    Hang C{completion} under the C{rvgahp} command.

    @param commands: what C{add_subparsers} returned.
    @param makeParser: makes the parser of the whole command.
    """
    parser = addParser(
        commands,
        "completion",
        "print the script that completes rvgahp's words in your shell",
        _ABOUT,
        examples=("rvgahp completion bash > ~/.local/share/bash-completion/completions/rvgahp",),
        page="start",
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=lambda arguments: _completion(arguments, makeParser()))


def _completion(arguments: argparse.Namespace, parser: CommandParser) -> int:
    import shtab

    _prepare(parser, shtab.CHOICE_FUNCTIONS)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _prepare(parser: CommandParser, kinds: dict[str, Any]) -> None:
    """
    Give a parser, and those below it, what C{shtab} looks for.

    @param kinds: its ways to complete paths, by kind.
    """
    # Beside a command a shell shows the first line of this.
    parser.description = parser.summary
    for action in parser._actions:
        kind = _PATHS.get(str(action.metavar))
        if kind is not None:
            setattr(action, "complete", kinds[kind])  # noqa: B010
        if isinstance(action, argparse._SubParsersAction):
            action.help = None  # it would not look below what is not in the help
            for below in action.choices.values():
                _prepare(below, kinds)
