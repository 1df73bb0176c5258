# -*- test-case-name: tests.test_frontbanner -*-
"""
A GAHP's first line, which the gridmanager reads by a rule of its own.

Layer 0: L{rvgahp.errors} and L{rvgahp.frontlimits}.
"""

from __future__ import annotations

from rvgahp import frontlimits
from rvgahp.errors import ProtocolError


class BannerFinder:
    """
    Finds the banner as the gridmanager does (HTCondor:
    C{src/condor_gridmanager/gahp-client.cpp}, C{command_version}): from the first dollar
    sign on, to the next LF.  A login script may have said something before.

    @ivar banner: the banner with its end, or nothing yet.
    """

    def __init__(self) -> None:
        self.banner = b""
        self._noise = 0  # bytes before it
        self._begun = b""

    def feed(self, data: bytes) -> bytes:
        """
        @return: what follows the banner, or nothing as long as there is none.
        @raise ProtocolError: there is none, or the gridmanager would not take it.
        """
        if not self._begun:
            _, dollar, rest = data.partition(b"$")
            self._noise += len(data) - len(dollar) - len(rest)
            if self._noise > frontlimits.BANNER_NOISE_BYTES:
                raise ProtocolError("it sent no banner")
            data = dollar + rest
        line, end, rest = (self._begun + data).partition(b"\n")
        # It drops backslashes, but a line of nothing else would never end.
        counted = len(line.replace(b"\\", b"")) + 1
        if counted > frontlimits.BANNER_BYTES or len(line) > 2 * frontlimits.BANNER_BYTES:
            raise ProtocolError("its banner is longer than the gridmanager takes")
        self._begun = line
        if end:
            self.banner = line + end
        return rest
