# -*- test-case-name: tests.test_gahptable -*-
"""
Which GAHPs a site offers, and how each is started.

Layer 3.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from rvgahp.errors import ConfigurationError, StartFailed, UnknownGAHP
from rvgahp.igahp import GAHPCommand, IGAHPKind
from rvgahp.names import FILE_TRANSFER_GAHP, checkGAHPName


class GAHPTable:
    """
    The GAHPs of a site.
    """

    def __init__(self, settings: Any, kinds: Iterable[IGAHPKind]) -> None:
        """
        @param settings: the CE's; its C{gahpCommands} are the site's own GAHPs,
            command lines by name, and go before those of C{kinds}.
        @raise ConfigurationError: a kind has an impossible name.
        """
        self._commands: dict[str, GAHPCommand] = {}
        self._problems: list[str] | None = None
        for kind in kinds:
            command = kind.command(settings)
            if command is not None:
                for name in kind.names:
                    self._commands[checkGAHPName(name)] = command
        for name, words in settings.gahpCommands.items():
            if not words:
                raise ConfigurationError(f"The command line of GAHP {name} is empty.")
            self._commands[checkGAHPName(name)] = GAHPCommand(words[0], words[1:])

    def names(self) -> list[str]:
        """
        @return: what is on offer, in order.
        """
        return sorted(self._commands)

    def find(self, name: str) -> GAHPCommand:
        """
        @return: how to start it, with the program's full path.
        @raise UnknownGAHP: the site does not offer it.
        @raise StartFailed: its program is not there or cannot be executed.
        """
        command = self._commands.get(name)
        if command is None:
            raise UnknownGAHP(
                f"the site offers no GAHP named {name[:80]!r} (it has: {', '.join(self.names())})"
            )
        return command if self._problems is not None else _located(command, name)

    def fix(self) -> dict[str, GAHPCommand]:
        """
        Look for all programs now, while we are root, and no more later: whether a program
        is there and may be executed, its account will see when it is started.

        @return: the commands, by name.
        """
        self._problems = self.problems()
        for name, command in self._commands.items():
            with suppress(StartFailed):
                self._commands[name] = _located(command, name)
        return self._commands

    def problems(self) -> list[str]:
        """
        @return: why some of what is on offer could not be started now, and what should be
            on offer and is not; a sentence each.
        """
        if self._problems is not None:
            return self._problems
        found = []
        if FILE_TRANSFER_GAHP not in self._commands:
            found.append(
                f"No {FILE_TRANSFER_GAHP} is on offer, and HTCondor needs one for every job, which"
                " stays idle without it: set FT_GAHP or RVGAHP_BOSCO_DIR"
            )
        for command in dict.fromkeys(self._commands.values()):
            names = [name for name in self.names() if self._commands[name] is command]
            try:
                _located(command, " and ".join(names))
            except StartFailed as e:
                found.append(str(e))
        return found


def _located(command: GAHPCommand, name: str) -> GAHPCommand:
    """
    @param name: the GAHP's, for people.
    @return: the command with its program's full path.
    @raise StartFailed: the program is not there or cannot be executed, or a file that it
        needs is not there or cannot be read.
    """
    program = shutil.which(command.program)
    if program is None:
        problem = _problem(command.program, "may not be executed")
        raise StartFailed(f"{command.program}, the site's program for {name}, {problem}")
    for path in command.files:
        if not os.access(path, os.R_OK):
            problem = _problem(path, "may not be read")
            raise StartFailed(f"{path}, which {name} needs at the site, {problem}")
    located = copy.copy(command)
    located.program = os.path.abspath(program)
    return located


def _problem(path: str, otherwise: str) -> str:
    if not os.path.exists(path):
        return "is not there"
    return "is a directory" if os.path.isdir(path) else otherwise
