# -*- test-case-name: tests.test_methodtable -*-
"""
Which methods of authentication a daemon can use, from its settings and from plugins.

Layer 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from twisted.logger import Logger

from rvgahp.errors import ConfigurationError

__all__ = ["MethodTable", "isMethodName"]

_SETTING = "SEC_DEFAULT_AUTHENTICATION_METHODS"


def isMethodName(name: object) -> bool:
    """
    @return: whether a method could be called so.
    """
    return isinstance(name, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", name) is not None


class MethodTable:
    """
    The methods that one daemon can use.

    @ivar methods: the plugins, the best first.
    @ivar notes: why others that its settings list are not among them; a sentence each.
    """

    log = Logger()

    def __init__(self, settings: Any, plugins: Iterable[Any]) -> None:
        """
        @param plugins: what provides L{rvgahp.iauthentication.IAuthenticationMethod}.
        @raise ConfigurationError: None of the methods that the settings list can be used.
        """
        self.notes: list[str] = []
        known = self._known(plugins)
        self.methods: list[Any] = []
        for name in settings.get(_SETTING):
            if name in known:
                problem = self._problem(known[name], settings)
            else:
                problem = "there is no plugin for it"
            if problem:
                self.notes.append(f"Authentication method {name} cannot be used: {problem}")
            else:
                self.methods.append(known[name])
        if not self.methods:
            raise ConfigurationError(
                f"None of the methods of {_SETTING} can be used"
                f" ({'; '.join(self.notes)}): set it to SSL, or install a plugin."
            )

    def _known(self, plugins: Iterable[Any]) -> dict[str, Any]:
        known: dict[str, Any] = {}
        # Ours first: no other takes the name of one of them.
        for plugin in sorted(plugins, key=lambda one: not _module(one).startswith("rvgahp.")):
            name = getattr(plugin, "name", None)
            if not isMethodName(name):
                self.notes.append(
                    f"The authentication plugin {_module(plugin)} is not used: {name!a} is not"
                    " a method's name, which has 1 to 32 capitals, digits and underscores"
                )
            elif name in known:
                self.notes.append(
                    f"The authentication plugin {_module(plugin)} is not used:"
                    f" {_module(known[name])} has its method {name} already"
                )
            else:
                known[str(name)] = plugin
        return known

    def _problem(self, plugin: Any, settings: Any) -> str:
        try:
            return str(plugin.problem(settings))
        except Exception:
            self.log.failure("A bug in authentication plugin {name}", name=plugin.name)
            return "its plugin has a bug; the log has the details"


def _module(plugin: Any) -> str:
    return str(type(plugin).__module__)


def find(methods: Iterable[Any], name: str) -> Any:
    """
    @return: the method of this name, L{None} if it is not among these.
    """
    return next((one for one in methods if one.name == name), None)
