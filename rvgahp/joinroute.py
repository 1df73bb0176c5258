# -*- test-case-name: tests.test_join -*-
"""
How C{rvgahp join} reaches the proxy, and the CE later.

Layer 6; L{rvgahp.waysettings}.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from rvgahp.invitecode import InviteCode
from rvgahp.wayout import WayOut, placeOf
from rvgahp.waysettings import gatewayBy

__all__ = ["DIRECT", "Route"]


@dataclass(frozen=True)
class Route:
    """
    What the words of the command say of it.

    @ivar places: what to dial in place of the code's host and port; may be empty.
    @ivar through: an HTTP proxy or SOCKS server, as RVGAHP_CONNECT_THROUGH has it, parsed.
    @ivar credentials: the absolute path of the file of user and password for that; may be empty.
    """

    places: tuple[tuple[str, int], ...] = ()
    through: tuple[str, str, int] | None = None
    credentials: str = ""

    def wayTo(self, code: InviteCode) -> WayOut:
        """
        @raise rvgahp.errors.ConfigurationError: the file of credentials cannot be used.
        """
        gateway = gatewayBy(self.through, self.credentials, {0, os.geteuid()})
        return WayOut(self.places or ((code.host, code.port),), gateway)

    def settings(self) -> dict[str, str]:
        """
        @return: the same for the CE, by the names of its settings.
        """
        found = {}
        if self.places:
            found["RVGAHP_CONNECT_TO"] = ", ".join(placeOf(*place) for place in self.places)
        if self.through is not None:
            scheme, host, port = self.through
            found["RVGAHP_CONNECT_THROUGH"] = f"{scheme}://{placeOf(host, port)}"
            if self.credentials:
                found["RVGAHP_CONNECT_THROUGH_CREDENTIALS"] = self.credentials
        return found


DIRECT = Route()
"""What the code says."""
