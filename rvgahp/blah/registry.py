# -*- test-case-name: tests.test_blah_registry -*-
"""
Finding the local resource managers: L{ILocalResourceManager} plugins, looked
for with C{twisted.plugin} when one is asked for first.  That import and the
search take longer than all the rest of the program's start, and nobody waits
for them before the banner.  May import the standard library, zope.interface
and, in the search, twisted.plugin.
"""

from __future__ import annotations

import threading

from zope.interface import Invalid
from zope.interface.verify import verifyObject

from rvgahp.blah.errors import NoSuchManager
from rvgahp.blah.ilrm import ILocalResourceManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["ManagerRegistry", "findPlugins"]


def findPlugins() -> Iterable[Any]:
    """
    @return: every installed plugin that claims the interface.  A plugin file
        that cannot be imported is left out by Twisted.
    """
    from twisted.plugin import getPlugins

    return getPlugins(ILocalResourceManager)


class ManagerRegistry:
    """
    The site's local resource managers by name.
    """

    def __init__(
        self, complain: Callable[[str], None], find: Callable[[], Iterable[Any]] = findPlugins
    ) -> None:
        """
        @param complain: told in one sentence of a plugin that cannot be used.
        @param find: what looks for the plugins; called once.
        """
        self._complain = complain
        self._find = find
        self._lock = threading.Lock()
        self._managers: dict[str, Any] | None = None

    def get(self, name: str) -> Any:
        """
        @param name: a manager's name, in any case of letters.
        @return: the L{ILocalResourceManager} of that name.
        @raise NoSuchManager: there is none.
        """
        with self._lock:
            if self._managers is None:
                self._managers = self._load()
        manager = self._managers.get(name.lower())
        if manager is None:
            known = ", ".join(sorted(self._managers)) or "none"
            raise NoSuchManager(
                f"The site has no local resource manager {name!r}; there are: {known}."
            )
        return manager

    def _load(self) -> dict[str, Any]:
        managers: dict[str, Any] = {}
        for plugin in self._find():
            try:
                verifyObject(ILocalResourceManager, plugin)
            except Invalid as error:
                self._complain(f"A local resource manager is left out: {error}")
                continue
            if plugin.name in managers:
                self._complain(
                    f"Two local resource managers are called {plugin.name!r}; "
                    f"{type(plugin).__module__}.{type(plugin).__name__} is left out."
                )
                continue
            managers[plugin.name] = plugin
        return managers
