# -*- test-case-name: tests.test_taps -*-
"""
What the command lines of the two daemons have in common.

Layer 5.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.python.usage import Options, UsageError

from rvgahp import __version__
from rvgahp.credentials import Credentials, loadCredentials
from rvgahp.errors import RvgahpError
from rvgahp.settings import Settings, load


class DaemonOptions(Options):
    """
    C{--config FILE}, and the settings that may be given in its place.

    @cvar role: C{"proxy"} or C{"ce"}.
    @cvar overrides: the setting that each option overrides, by option.
    @ivar settings: all settings, checked.
    @ivar credentials: key, certificate and authorities, checked.
    """

    role = ""
    overrides: dict[str, str] = {}
    settings: Settings
    credentials: Credentials

    def opt_version(self) -> None:
        """
        Print the version and exit.
        """
        print(f"rvgahp {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *words: str) -> None:
        """
        @raise UsageError: there is a word that is no option.
        """
        if words:
            raise UsageError(f"{words[0]!a} is no option; see --help")

    def postOptions(self) -> None:
        """
        Read the configuration, now: twistd changes its directory and forks later.

        @raise UsageError: something is wrong with a setting or a credential.
        """
        config = self["config"]
        if config == "":
            raise UsageError("--config needs the path of a file")
        given = {
            setting: self[option]
            for option, setting in self.overrides.items()
            if self[option] is not None
        }
        try:
            self.settings = load(self.role, config and os.path.abspath(config), given)
            self.credentials = loadCredentials(
                self.settings.get("RVGAHP_CERTFILE"),
                self.settings.get("RVGAHP_KEYFILE"),
                self.settings.get("RVGAHP_CAFILE"),
                role=self.role,
            )
            self.check()
        except RvgahpError as e:
            raise UsageError(str(e)) from None

    def check(self) -> None:
        """
        Check what only this role can.

        @raise RvgahpError: it does not hold.
        """


def parameters(*rows: tuple[str, str | None, str]) -> list[list[Any]]:
    """
    @param rows: an option's long name, its letter, and what it means.
    @return: C{optParameters}; what is not given is L{None}.
    """
    return [[name, letter, None, text] for name, letter, text in rows]
