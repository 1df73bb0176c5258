# -*- test-case-name: tests.test_gahptable -*-
"""
What a site may add: kinds of GAHP.

Layer 2.  A plugin is an object in a module of the package C{twisted.plugins} that
provides both L{IGAHPKind} and C{twisted.plugin.IPlugin}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

#: Started by a login shell: first the command's variables, which so go before those of
#: the site's profile, then the program.
_LOGIN_SHELL = ("/bin/bash", "-l", "-c")
_SCRIPT = 'while [ "$1" != -- ]; do export "$1"; shift; done; shift; exec "$@"'


class GAHPCommand:
    """
    How a GAHP is started at this site.

    @ivar program: its path.
    @ivar arguments: the words after it.
    @ivar environment: variables set for it, beside those that all GAHPs have.
    @ivar requiresEncryption: it is only started where channels are encrypted.
    @ivar files: paths of further files without which it could not do its work; they
        are looked for before it is started.
    @ivar usesLoginShell: a login shell (C{bash -l}) starts it, with the path and the
        rest that the site's profile gives to people.
    """

    def __init__(
        self,
        program: str,
        arguments: list[str] | None = None,
        environment: Mapping[str, str] | None = None,
        requiresEncryption: bool = False,
        files: Sequence[str] = (),
        usesLoginShell: bool = False,
    ) -> None:
        self.program = program
        self.arguments = arguments or []
        self.environment = dict(environment or {})
        self.requiresEncryption = requiresEncryption
        self.files = tuple(files)
        self.usesLoginShell = usesLoginShell

    def words(self) -> list[str]:
        """
        @return: the path of the program to execute, and its arguments.
        """
        words = [self.program, *self.arguments]
        if not self.usesLoginShell:
            return words
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return [*_LOGIN_SHELL, _SCRIPT, "rvgahp-ce", *variables, "--", *words]


class IGAHPKind(Interface):
    """
    A kind of GAHP.
    """

    names = Attribute("""The names under which clients ask for it: a tuple of L{str}.""")

    def command(settings: Any) -> GAHPCommand | None:
        """
        How to start it here.

        @param settings: the CE's settings; C{settings.get(NAME)} is a setting's
            value, L{None} where it is not set, and C{settings.configFile} the
            path of the configuration.
        @return: the command, or L{None} if this site does not have it.
        """
