# -*- test-case-name: tests.test_localnames -*-
"""
The canonical names of this host's users.

Layer 3: L{rvgahp.mapfile}, L{rvgahp.canonicalnames}, L{rvgahp.peercred}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvgahp.accessrules import problemWith
from rvgahp.canonicalnames import refuseReserved
from rvgahp.errors import NotAuthorized

if TYPE_CHECKING:
    from rvgahp.mapfile import MapFile
    from rvgahp.peercred import LocalUser

__all__ = ["LocalNames"]

METHOD = "FS"
"""The method of authentication that the kernel's word on a local user is: HTCondor's, whose
proof is a file of that user's."""


class LocalNames:
    """
    Gives a local user his canonical name.

    @ivar domain: UID_DOMAIN.
    @ivar mapFile: Whose lines for L{METHOD} go first; L{None}: there is none.
    """

    def __init__(self, domain: str, mapFile: MapFile | None = None) -> None:
        self.domain = domain
        self.mapFile = mapFile

    def canonical(self, user: LocalUser) -> str:
        """
        @return: The name that the map file gives him, or C{name@domain} if it has no line for
            him.
        @raise NotAuthorized: The map file gives him none that can be used.
        """
        try:
            return self._mapped(user.name) or self._checked(f"{user.name}@{self.domain}")
        except NotAuthorized as e:
            raise NotAuthorized(
                f"account {user.name} has no canonical name: {e}; ask the administrator of the"
                " proxy, who has CERTIFICATE_MAPFILE and UID_DOMAIN"
            ) from e

    def _mapped(self, name: str) -> str | None:
        match = self.mapFile.lookup(METHOD, name, self.domain) if self.mapFile is not None else None
        return None if match is None else self._checked(match.canonical)

    @staticmethod
    def _checked(name: str) -> str:
        refuseReserved(name)
        problem = problemWith(name)
        if problem:
            raise NotAuthorized(f"{name!a} is not used: {problem}")
        return name
