# -*- test-case-name: tests.test_gahptable -*-
"""
Which GAHPs a site offers, and how each is started.

Layer 3.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from rvgahp.errors import ConfigurationError, StartFailed, UnknownGAHP
from rvgahp.igahp import GAHPCommand, IGAHPKind
from rvgahp.names import checkGAHPName

#: What a GAHP must not inherit: it would take the CE's place towards others.
_WITHHELD = (
    "CONDOR_INHERIT",
    "CONDOR_PRIVATE_INHERIT",
    "CONDOR_PRIVATE_SHARED_PORT_COOKIE",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """
    @return: what of the CE's environment its GAHPs get.
    """
    return {name: value for name, value in environ.items() if name not in _WITHHELD}


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
        program = shutil.which(command.program)
        if program is None:
            there = os.path.exists(command.program)
            problem = "may not be executed" if there else "is not there"
            raise StartFailed(f"{command.program}, the site's program for {name}, {problem}")
        return GAHPCommand(
            os.path.abspath(program),
            command.arguments,
            command.environment,
            command.requiresEncryption,
        )
