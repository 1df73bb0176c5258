"""
Tests of L{rvgahp.commands}: what is said is what C{doc/protocol.rst} says.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.protocols.amp import (
    AmpBox,
    AmpList,
    Boolean,
    Command,
    Integer,
    ListOf,
    String,
    Unicode,
)
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands, errors, localcommands

PAGE = (Path(__file__).parent.parent / "doc" / "protocol.rst").read_text()

COMMANDS = [
    value
    for value in {**vars(commands), **vars(localcommands)}.values()
    if isinstance(value, type) and issubclass(value, Command) and value is not Command
]


def example(kind: Any) -> Any:
    """
    @return: a value that an argument of this kind may have.
    """
    if isinstance(kind, ListOf) and not isinstance(kind, AmpList):
        return [example(kind.elementType)]
    examples: list[tuple[type, Any]] = [
        (Boolean, True),
        (Integer, 1 << 40),
        (Unicode, "ünï"),
        (String, b"\0\xff"),
    ]
    if isinstance(kind, AmpList):
        return [{name.decode(): example(one) for name, one in kind.subargs}]
    return next(value for type, value in examples if isinstance(kind, type))


class CommandsTests(SynchronousTestCase):
    """
    Tests of all commands.
    """

    def test_errors(self) -> None:
        """
        Each command that is answered may be refused with each error of the page, under
        its own name.
        """
        table = PAGE[PAGE.index("Names that travel") :]
        names = re.findall(r"^([A-Z]\w+)  +\S", table, re.M)
        self.assertGreater(len(names), 8)
        for command in COMMANDS:
            if not command.requiresAnswer:
                continue
            declared = {code.decode(): error for error, code in command.errors.items()}
            self.assertEqual(set(declared), set(names), command)
            for name, error in declared.items():
                self.assertIs(error, getattr(errors, name))
                self.assertEqual(str(error("a sentence")), "a sentence")

    def test_named(self) -> None:
        """
        The page has each command, and each of its arguments and values.
        """
        self.assertGreater(len(COMMANDS), 8)
        for command in COMMANDS:
            self.assertIn(f"``{command.commandName.decode()}``", PAGE)
            for name, _ in [*command.arguments, *command.response]:
                self.assertIn(f"``{name.decode()}``", PAGE, command)

    def test_roundTrip(self) -> None:
        """
        What is sent is what arrives.
        """
        for command in COMMANDS:
            for fields, make, parse in (
                (command.arguments, command.makeArguments, command.parseArguments),
                (command.response, command.makeResponse, command.parseResponse),
            ):
                values = {name.decode(): example(kind) for name, kind in fields}
                box = make(dict(values), None)
                for value in box.values():
                    self.assertIsInstance(value, bytes)
                self.assertEqual(parse(AmpBox(box), None), values)

    def test_sessionLost(self) -> None:
        """
        A client need not answer that its session was lost: it goes.
        """
        self.assertEqual(
            [command for command in COMMANDS if not command.requiresAnswer],
            [commands.Dismiss, localcommands.SessionLost],
        )
