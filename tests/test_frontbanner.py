"""
Tests of L{rvgahp.frontbanner}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.errors import ProtocolError
from rvgahp.frontbanner import BannerFinder
from tests.frontworld import BANNERS


def asGridmanager(data: bytes) -> bytes | None:
    """
    What HTCondor's C{command_version} (gahp-client.cpp) makes of a GAHP's first bytes.

    @return: what it has in its buffer at the LF, or L{None} if that never comes.
    """
    buffer = b""
    for byte in data:
        if len(buffer) == 150:
            return None
        if not buffer and byte != ord("$"):
            continue
        if byte == ord("\\"):
            continue
        if byte == ord("\n"):
            return buffer
        buffer += bytes((byte,))
    return None


class BannerFinderTests(SynchronousTestCase):
    """
    Tests of L{BannerFinder}.
    """

    def test_everyByte(self) -> None:
        """
        Wherever it is cut, the banner is found, and what follows it comes back whole.
        """
        for banner in BANNERS.values():
            data = b"Last login: today\r\n# " + banner + b"S more\n"
            for cut in range(len(data) + 1):
                finder = BannerFinder()
                rest = finder.feed(data[:cut])
                if finder.banner:
                    rest += data[cut:]
                else:
                    self.assertEqual(rest, b"")
                    rest = finder.feed(data[cut:])
                self.assertEqual((finder.banner, rest), (banner, b"S more\n"))

    def test_longest(self) -> None:
        """
        What the gridmanager takes is taken, and what is a byte longer is not, with
        backslashes and without.
        """
        for filler in (b"x", b"\\x", b"\\ \\"):
            for count in range(40, 160):
                data = b"noise$" + (filler * 160)[:count] + b"\n"
                finder = BannerFinder()
                try:
                    finder.feed(data)
                except ProtocolError:
                    self.assertIsNone(asGridmanager(data))
                else:
                    self.assertEqual(finder.banner, data[5:])
                    self.assertIsNotNone(asGridmanager(data))

    def test_withoutEnd(self) -> None:
        """
        A line of backslashes, which the gridmanager would read for ever, is given up; so
        is noise without a banner.
        """
        self.assertRaises(ProtocolError, BannerFinder().feed, b"$" + b"\\" * 400)
        finder = BannerFinder()
        for _ in range(frontlimits.BANNER_NOISE_BYTES // 64):
            self.assertEqual(finder.feed(b"n" * 64), b"")
        self.assertRaises(ProtocolError, finder.feed, b"n")
