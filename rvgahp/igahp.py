# -*- test-case-name: tests.test_gahptable -*-
"""
What a site may add: kinds of GAHP.

Layer 2.  A plugin is an object in a module of the package C{twisted.plugins} that
provides both L{IGAHPKind} and C{twisted.plugin.IPlugin}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zope.interface import Attribute, Interface


class GAHPCommand:
    """
    How a GAHP is started at this site.

    @ivar program: its path.
    @ivar arguments: the words after it.
    @ivar environment: variables set for it, beside those it inherits.
    @ivar requiresEncryption: it is only started where channels are encrypted.
    """

    def __init__(
        self,
        program: str,
        arguments: list[str] | None = None,
        environment: Mapping[str, str] | None = None,
        requiresEncryption: bool = False,
    ) -> None:
        self.program = program
        self.arguments = arguments or []
        self.environment = dict(environment or {})
        self.requiresEncryption = requiresEncryption


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
