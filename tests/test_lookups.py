"""
Tests of L{rvgahp.lookups}: the C library's functions are replaced by answers of ours.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.lookups import addressesOf, namesOf, ownName

ADDRESSES = {
    "h.x.org": ["192.0.2.1", "2001:db8::1"],
    "alias.x.org": ["192.0.2.1"],
    "liar.x.org": ["192.0.2.7"],
}


class LookupTests(SynchronousTestCase):
    """
    Lookups.
    """

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.hangs = threading.Event()
        self.addCleanup(self.hangs.set)
        self.patch(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, name: str, port: object, type: int) -> list[Any]:
        self.asked.append(name)
        if name == "hangs.x.org":
            self.hangs.wait(30)
        if name not in ADDRESSES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(None, type, 6, "", (address, 0)) for address in ADDRESSES[name]]

    def test_addresses(self) -> None:
        """
        Each name has its addresses, or the reason why it has none.
        """
        found = addressesOf(["h.x.org", "none.x.org", "h.x.org"], 5.0)
        self.assertEqual(found["h.x.org"], ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(found["none.x.org"], "Name or service not known")
        self.assertEqual(sorted(self.asked), ["h.x.org", "none.x.org"])
        self.assertEqual(addressesOf([], 5.0), {})

    def test_deadline(self) -> None:
        """
        A resolver that does not answer is waited for no longer than the deadline; the other
        names have their answers.
        """
        before = time.monotonic()
        found = addressesOf(["hangs.x.org", "h.x.org"], 0.2)
        self.assertLess(time.monotonic() - before, 5.0)
        self.assertEqual(found["hangs.x.org"], "the resolver gave no answer within 0.2 s")
        self.assertEqual(len(found["h.x.org"]), 2)

    def test_noName(self) -> None:
        """
        What is no name for a resolver has no address, and breaks nothing.
        """

        def refuse(name: str, port: object, type: int) -> list[Any]:
            return name.encode("idna")  # type: ignore[return-value]  # it raises

        self.patch(socket, "getaddrinfo", refuse)
        found = addressesOf(["x" * 64 + ".org"], 5.0)
        self.assertIsInstance(found["x" * 64 + ".org"], str)

    def test_names(self) -> None:
        """
        Of the names that an address resolves to those count that resolve to it.
        """
        seen: list[str] = []

        def reverse(address: str) -> tuple[str, list[str], list[str]]:
            seen.append(address)
            return "h.x.org", ["liar.x.org", "alias.x.org", "none.x.org"], [address]

        self.patch(socket, "gethostbyaddr", reverse)
        self.assertEqual(namesOf("::ffff:192.0.2.1", 5.0), ("h.x.org", "alias.x.org"))
        self.assertEqual(seen, ["192.0.2.1"])
        self.patch(maplimits, "PEER_NAMES", 1)
        self.asked.clear()
        self.assertEqual(namesOf("192.0.2.1", 5.0), ("h.x.org",))
        self.assertEqual(self.asked, ["h.x.org"])

    def test_noNames(self) -> None:
        """
        An address without a name, and a resolver that hangs, are an error in time.
        """

        def fail(address: str) -> Any:
            raise socket.herror(1, "Unknown host")

        def hang(address: str) -> Any:
            self.hangs.wait(30)

        self.patch(socket, "gethostbyaddr", fail)
        self.assertIn("Unknown host", str(self.assertRaises(OSError, namesOf, "192.0.2.1", 5.0)))
        self.patch(socket, "gethostbyaddr", hang)
        e = self.assertRaises(TimeoutError, namesOf, "192.0.2.1", 0.1)
        self.assertIn("within 0.1 s", str(e))

    def test_ownName(self) -> None:
        """
        This host has its full name, and its short one where the resolver hangs.
        """
        self.patch(socket, "getfqdn", lambda: "h.x.org")
        self.assertEqual(ownName(5.0), "h.x.org")
        self.patch(socket, "getfqdn", lambda: self.hangs.wait(30))
        self.assertEqual(ownName(0.1), socket.gethostname())
