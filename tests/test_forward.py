"""
Tests of L{rvgahp.forward}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.forward import Forward

INHERIT = "4711 <192.0.2.7:9618?addrs=192.0.2.7-9618&sock=gridmanager_1_ab> 0 0"


class ForwardTests(SynchronousTestCase):
    """
    Where tunnels go, and how it is announced.
    """

    def refusal(self, inherit: str, address: str = "") -> str:
        """
        @return: why there is no way.
        """
        with self.assertRaises(ConfigurationError) as caught:
            Forward(inherit).redirect(address)
        return str(caught.exception)

    def test_environment(self) -> None:
        """
        They go where the environment says, unless another address is set; there they ask
        for the same.
        """
        forward = Forward(INHERIT)
        self.assertEqual((forward.host, forward.port), ("192.0.2.7", 9618))
        self.assertEqual((forward.sharedPortId, forward.sitePort), ("gridmanager_1_ab", 0))
        forward.redirect("")
        self.assertEqual((forward.host, forward.port), ("192.0.2.7", 9618))
        forward.redirect("198.51.100.1:9619")
        self.assertEqual((forward.host, forward.port), ("198.51.100.1", 9619))
        self.assertEqual(forward.sharedPortId, "gridmanager_1_ab")

    def test_announcement(self) -> None:
        """
        The gridmanager is told in the words that it looks for, with the address where its
        connections really go; an IPv6 one in brackets.
        """
        forward = Forward(INHERIT)
        forward.sitePort = 40123
        self.assertEqual(
            forward.announcement(),
            "Allocated port 40123 for remote forward to 192.0.2.7:9618\n",
        )
        forward.redirect("[2001:db8::7]:9618")
        self.assertEqual(
            forward.announcement(),
            "Allocated port 40123 for remote forward to [2001:db8::7]:9618\n",
        )

    def test_undialable(self) -> None:
        """
        A name, or port 0, cannot be dialled; the sentence names the setting that helps.
        """
        for address in ("submit.example.org:9618", "192.0.2.7:0", "192.0.2.7"):
            inherit = f"4711 <{address}?sock=gridmanager_1_ab> 0 0"
            self.assertIn("RVGAHP_FORWARD_TO", self.refusal(inherit))
            forward = Forward(inherit)
            forward.redirect("192.0.2.7:9618")
            self.assertEqual((forward.host, forward.port), ("192.0.2.7", 9618))

    def test_malformed(self) -> None:
        """
        What is no C{CONDOR_INHERIT} says nothing, and its error does not show it.
        """
        for inherit in ("swordfish", "4711", "4711 swordfish 0 0", "x <192.0.2.7:1> 0 0", ""):
            with self.assertRaises(ConfigurationError) as caught:
                Forward(inherit)
            self.assertNotIn("swordfish", str(caught.exception))

    def test_redirectMalformed(self) -> None:
        """
        The proxy's word has to be an address, too.
        """
        for address in ("submit.example.org:9618", "192.0.2.7", "192.0.2.7:0", "2001:db8::7:1"):
            self.assertIn("is no numeric address and port", self.refusal(INHERIT, address))

    def test_guard(self) -> None:
        """
        A connection may ask for the gridmanager's shared port id only, and each has a guard
        of its own; without shared port there is nothing to be guarded.
        """
        forward = Forward(INHERIT)
        first, second = forward.guard(), forward.guard()
        assert first is not None
        assert second is not None
        self.assertIsNone(first.received(b"\1\0\0\0"))
        self.assertRaises(NotAuthorized, second.received, b"GET / HTTP/1.0\r\n")
        self.assertIsNone(Forward("4711 <192.0.2.7:9618> 0 0").guard())

    def test_impossibleId(self) -> None:
        """
        A shared port id that no gridmanager can have is met when the environment is read,
        not when the first connection comes.
        """
        for name in ("self", "a/b", "%00", "x" * 2000):
            with self.assertRaises(ConfigurationError):
                Forward(f"4711 <192.0.2.7:9618?sock={name}> 0 0")
