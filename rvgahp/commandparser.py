# -*- test-case-name: tests.test_cli -*-
"""
How each command hangs under C{rvgahp}.

Layer 6: the standard library.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["addParser"]


def addParser(
    commands: Commands, name: str, summary: str, about: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """
    @param commands: what C{add_subparsers} returned.
    @param summary: for the list of all commands.
    @param about: what its own help begins with; its lines stay as they are.
    @param epilog: what that ends with.
    @return: the parser of one more command, to which its words are added.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=about,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
