"""
Tests of L{rvgahp.wayout}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import waylimits
from rvgahp.negotiation import Connect, Socks
from rvgahp.wayout import Gateway, Order, Target, WayOut, placeOf

A, B, C = (Target("h", number, "10.0.0.1") for number in (1, 2, 3))


class OrderTests(SynchronousTestCase):
    """
    Which target comes first.
    """

    def test_accepted(self) -> None:
        """
        The best is the one where the right one answered last, until that is not so.
        """
        order = Order()
        self.assertEqual(order.best, [])
        order.accepted(A)
        order.accepted(B)
        self.assertEqual(order.best, [B])
        order.rejected(A)
        self.assertEqual(order.best, [B])
        order.rejected(B)
        self.assertEqual(order.best, [])

    def test_sorted(self) -> None:
        """
        Others keep their order, but those that were rejected are last, the latest at the end.
        """
        order = Order()
        self.assertEqual(order.sorted([A, B, C]), [A, B, C])
        for rejected, expected in ((A, [B, C, A]), (B, [C, A, B]), (A, [C, B, A])):
            order.rejected(rejected)
            self.assertEqual(order.sorted([A, B, C]), expected)
        order.accepted(B)
        self.assertEqual(order.sorted([A, B, C]), [B, C, A])

    def test_bounded(self) -> None:
        """
        Not everything is remembered.
        """
        order = Order()
        for number in range(1000):
            order.rejected(Target("h", number, "10.0.0.1"))
        self.assertEqual(len(order._worst), waylimits.PLACES * waylimits.ADDRESSES_PER_NAME)


class WayTests(SynchronousTestCase):
    """
    Ways and gateways.
    """

    def test_gateway(self) -> None:
        """
        Each kind has a name for people, without its login, and is spoken to as that kind.
        """
        for scheme, name, kind, looksUp in (
            ("http", "the HTTP proxy [::1]:3128 ", Connect, True),
            ("socks5", "the SOCKS server [::1]:3128 ", Socks, False),
            ("socks5h", "the SOCKS server [::1]:3128 ", Socks, True),
        ):
            gateway = Gateway(scheme, "::1", 3128, (b"alice", b"secret"))
            self.assertEqual(gateway.name, f"{name}(RVGAHP_CONNECT_THROUGH)")
            self.assertIsInstance(gateway.negotiation(A), kind)
            self.assertIs(gateway.looksUp, looksUp)
            self.assertNotIn("secret", repr(gateway) + str(gateway))

    def test_changed(self) -> None:
        """
        With another gateway nothing is known of what lies behind it.
        """
        way = WayOut([("h", 1)])
        for other in (
            Gateway("http", "squid", 3128),
            Gateway("http", "squid", 3129),
            Gateway("socks5", "squid", 3129),
            Gateway("socks5h", "squid", 3129),
            None,
        ):
            way.order.accepted(A)
            way.gatewayOrder.accepted(A)
            way.gateway = other
            self.assertIs(way.gateway, other)
            self.assertEqual((way.order.best, way.gatewayOrder.best), ([], []))

    def test_reread(self) -> None:
        """
        With the same one, read again with its login, it is still known which address is good.
        """
        for login in (None, (b"alice", b"secret")):
            way = WayOut([("h", 1)], Gateway("http", "squid", 3128) if login else None)
            way.order.accepted(A)
            way.gatewayOrder.accepted(A)
            way.gateway = other = Gateway("http", "squid", 3128, login) if login else None
            self.assertIs(way.gateway, other)
            self.assertEqual((way.order.best, way.gatewayOrder.best), ([A], [A]))

    def test_place(self) -> None:
        """
        An IPv6 address is in brackets.
        """
        self.assertEqual(placeOf("h", 1), "h:1")
        self.assertEqual(placeOf("::1", 1), "[::1]:1")
