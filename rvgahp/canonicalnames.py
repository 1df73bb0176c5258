# -*- test-case-name: tests.test_canonicalnames -*-
"""
From what authentication has proved to canonical names.

Layer 3.
"""

from __future__ import annotations

from typing import Any

from rvgahp import maplimits
from rvgahp.errors import NotAuthorized
from rvgahp.filesafety import daemonAccounts
from rvgahp.lookups import ownName
from rvgahp.mapfile import MapFile
from rvgahp.mapreader import readMapFile
from rvgahp.names import SITE_DOMAIN

__all__ = ["CanonicalNames", "loadNames"]


class CanonicalNames:
    """
    A map, and the domain of names without one.  Never changed: another takes its place.
    """

    def __init__(self, mapFile: MapFile | None, domain: str) -> None:
        """
        @param mapFile: L{None}: there is no line for anybody.
        @param domain: UID_DOMAIN.
        """
        self.mapFile = mapFile
        self.domain = domain

    def of(self, method: str, principal: str) -> tuple[str, str]:
        """
        @param method: of authentication, as SSL.
        @param principal: what it has proved.
        @return: the canonical name, and why it is that one.  Whoever no line names is
            C{METHOD@unmapped}, in small letters, as in HTCondor
            (C{src/condor_io/authentication.cpp}).
        @raise NotAuthorized: the name cannot be used.
        """
        found = self.mapFile.lookup(method, principal, self.domain) if self.mapFile else None
        if found is None:
            return f"{method.lower()}@unmapped", "built in: no line of CERTIFICATE_MAPFILE"
        refuseReserved(found.canonical)
        return found.canonical, f"{found.path}:{found.number}: {found.text}"


def refuseReserved(canonical: str) -> None:
    """
    @raise NotAuthorized: only a certificate of our own authority gives such a name.
    """
    if canonical.lower().endswith("@" + SITE_DOMAIN):
        raise NotAuthorized(
            f"{canonical[:200]!a} is a name for CEs with certificates of the proxy's own"
            " authority; map to another domain"
        )


def loadNames(settings: Any) -> CanonicalNames:
    """
    Read the map.  Blocks, for the host's name too.

    @param settings: the proxy's.
    @raise rvgahp.errors.ConfigurationError: the map cannot be read.
    """
    path = settings.get("CERTIFICATE_MAPFILE")
    hashKeys = settings.get("CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS")
    domain = settings.get("UID_DOMAIN") or ownName(maplimits.PEER_LOOKUP_TIMEOUT)
    mapFile = readMapFile(path, hashKeys, daemonAccounts(settings)) if path else None
    return CanonicalNames(mapFile, domain)
