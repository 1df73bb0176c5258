# -*- test-case-name: tests.test_sitesockets -*-
"""
The proxy's further UNIX sockets, each for one site: what their setting may be.
Layer 2: pure; L{rvgahp.settingkinds}, L{rvgahp.names} and L{rvgahp.errors}.

C rvgahp has one socket for each site, and its users have the path in
C{grid_resource} (HTCondor C{docs/grid-computing/grid-universe.rst}).
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping

from rvgahp.errors import ConfigurationError
from rvgahp.names import checkSite
from rvgahp.settingkinds import Kind, path

__all__ = ["checkMainSocket", "siteSockets"]


def siteSockets(longest: int) -> Kind:
    """
    Paths of at most so many bytes, by site.  Value: a C{dict} of C{str}.
    """
    allowed = (
        "a list of SITE=PATH, each site and each path once, the path absolute and of at most"
        f" {longest} bytes"
    )
    return Kind("list of sockets", allowed, _parser(path(longest).parse), unset={})


def _parser(parsePath: Callable[[str], str]) -> Callable[[str], dict[str, str]]:
    def parse(text: str) -> dict[str, str]:
        words = re.sub(r"\s*=\s*", "=", text).replace(",", " ").split()
        pairs = [word.partition("=")[::2] for word in words]
        try:
            sockets = {checkSite(site): _plain(parsePath(where)) for site, where in pairs}
        except ConfigurationError as e:
            raise ValueError(text) from e
        if not pairs or len(set(sockets.values())) < len(pairs):
            raise ValueError(text)
        return sockets

    return parse


def _plain(absolute: str) -> str:
    """
    @return: the path in its shortest form, so that equal ones look equal.
    """
    return "/" + os.path.normpath(absolute).lstrip("/")


def checkMainSocket(main: str, sockets: Mapping[str, str], origin: str) -> None:
    """
    @param main: the path of the socket for all sites.
    @param origin: where the setting stands, to follow its name.
    @raise ConfigurationError: a site has that path.
    """
    for site, further in sockets.items():
        if further == _plain(main):
            raise ConfigurationError(
                f"RVGAHP_SITE_SOCKETS{origin} gives site {site} the path {further}, which is"
                " RVGAHP_SOCKET, the socket for all sites: give it another."
            )
