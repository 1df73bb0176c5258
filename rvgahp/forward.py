# -*- test-case-name: tests.test_forward -*-
"""
Where a GAHP's tunnels go on the submit host, and how the gridmanager is told of them.

Layer 1: strings in, strings out.  HTCondor's own C{remote_gahp} has ssh do the same, with
C{-R} (C{src/condor_gridmanager/remote_gahp}).
"""

from __future__ import annotations

from rvgahp.cedarpeek import Guard
from rvgahp.errors import ConfigurationError
from rvgahp.sinful import parseAddress, parseInherit


class Forward:
    """
    Where the tunnels of a GAHP go, for as long as the client lives.

    @ivar host: an address.
    @ivar port: of TCP there.
    @ivar sharedPortId: whom HTCondor's shared port there is to be asked for; empty where
        the gridmanager has a port of its own.
    @ivar sitePort: the tunnel's port at the site, which the gridmanager has been told; 0
        before that.
    """

    def __init__(self, inherit: str) -> None:
        """
        @param inherit: the value of C{CONDOR_INHERIT}.
        @raise ConfigurationError: it does not say where the gridmanager is, or not whom
            its shared port can be asked for.
        """
        sinful = parseInherit(inherit)
        self.host, self.port = sinful.host, sinful.port
        self.sharedPortId = sinful.sharedPortId
        self._isDialable = sinful.isDialable()
        self.sitePort = 0
        self.guard()

    def redirect(self, address: str) -> None:
        """
        @param address: RVGAHP_FORWARD_TO, or nothing.
        @raise ConfigurationError: it is no address, or there is none at all.
        """
        if address:
            self.host, self.port = parseAddress(address)
        elif not self._isDialable:
            raise ConfigurationError(
                f"the gridmanager's address, {self.host} port {self.port}, cannot be dialled; set"
                " RVGAHP_FORWARD_TO, in the proxy's configuration, to the address and port of"
                " its shared port"
            )

    def guard(self) -> Guard | None:
        """
        @return: what sees to it that a connection asks the shared port for the gridmanager;
            L{None} if it has a port of its own.
        """
        return Guard(self.sharedPortId) if self.sharedPortId else None

    def announcement(self) -> str:
        """
        @return: the line that tells the gridmanager, as it parses it
            (C{err_pipe_ready} in C{src/condor_gridmanager/gahp-client.cpp}).
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"Allocated port {self.sitePort} for remote forward to {host}:{self.port}\n"
