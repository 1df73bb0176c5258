"""
Tests of L{rvgahp.penalties}.
"""

from __future__ import annotations

import ipaddress
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.backoff import Backoff
from rvgahp.penalties import WEIGHTS, Network, Penalties

ADDRESS = "192.0.2.9"
MOST = 50


class PenaltiesTestCase(SynchronousTestCase):
    """
    Penalties, and a time that a test sets.
    """

    def setUp(self) -> None:
        self.now = 1000.0
        self.longest = 600.0
        self.exempt: tuple[Network, ...] = (
            ipaddress.ip_network("198.51.100.0/24"),
            ipaddress.ip_network("2001:db8:7::/48"),
        )
        self.penalties = Penalties(
            lambda: self.now, lambda: self.longest, lambda: self.exempt, MOST
        )

    def fail_(self, count: int, kind: str = "garbage", address: str = ADDRESS) -> None:
        """
        So many failures at once.
        """
        for _ in range(count):
            self.penalties.failed(address, kind)


class WeightTests(PenaltiesTestCase):
    """
    When an address is refused, and for how long.
    """

    def test_threshold(self) -> None:
        """
        Below 15 s nothing happens; from there on it is refused until all has been paid.
        """
        self.fail_(2)
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        self.fail_(1)
        self.assertEqual(self.penalties.left(ADDRESS), 15.0)
        self.now += 14.9
        self.assertTrue(self.penalties.isRefused(ADDRESS))
        self.now += 0.2
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        self.fail_(2)
        self.assertFalse(self.penalties.isRefused(ADDRESS), "it began anew")

    def test_decays(self) -> None:
        """
        Failures that come slowly never add up.
        """
        for kind, weight in WEIGHTS.items():
            for _ in range(500):
                self.fail_(1, kind)
                self.now += weight + 0.01
                self.assertFalse(self.penalties.isRefused(ADDRESS), kind)

    def test_longest(self) -> None:
        """
        Ten thousand failures cost no more than the longest penalty; of 0 s there are none.
        """
        self.fail_(10_000)
        self.assertEqual(self.penalties.left(ADDRESS), 600.0)
        self.longest = 5.0
        self.assertEqual(self.penalties.left(ADDRESS), 5.0)
        self.longest = 0.0
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        self.fail_(100, address="192.0.2.10")
        self.assertEqual(len(self.penalties), 1)

    def test_short(self) -> None:
        """
        A longest penalty below the threshold is reached as late as any, and is as short as
        it is to be, however much fails meanwhile.
        """
        self.longest = 5.0
        self.fail_(2)
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        self.fail_(50)
        self.assertEqual(self.penalties.left(ADDRESS), 5.0)
        self.now += 5.0
        self.assertFalse(self.penalties.isRefused(ADDRESS))

    def test_code(self) -> None:
        """
        One wrong enrolment code is enough.
        """
        self.fail_(1, "code")
        self.assertEqual(self.penalties.left(ADDRESS), 20.0)

    def test_unknownKind(self) -> None:
        """
        A kind that there is not is a mistake in a program.
        """
        self.assertRaises(KeyError, self.penalties.failed, ADDRESS, "nonesuch")

    def test_prefix(self) -> None:
        """
        Of IPv4 it is the address that counts, of IPv6 its first 64 bits, in whatever way it
        is written.
        """
        self.fail_(3)
        self.assertFalse(self.penalties.isRefused("192.0.2.10"))
        self.fail_(3, address="2001:db8:1:2:3::4")
        for address in ("2001:db8:1:2::", "2001:0db8:0001:0002:ffff::1", "2001:db8:1:2::9%eth0"):
            self.assertTrue(self.penalties.isRefused(address), address)
        self.assertFalse(self.penalties.isRefused("2001:db8:1:3::4"))

    def test_brokenCE(self) -> None:
        """
        A CE whose every connection fails, for a day and whatever the jitter, is refused for
        some seconds at its beginning at the most, and then never.
        """
        seed = Random().randrange(2**32)
        print(f"\nseed {seed}")
        for kind in ("gone", "ticket", "late", "tls", "hello", "authentication"):
            for number in range(20):
                self._checkBroken(kind, f"192.0.2.{number}", Random(seed + number))

    def _checkBroken(self, kind: str, address: str, random: Random) -> None:
        backoff, began, longest = Backoff(random), self.now, 0.0
        while self.now < began + 86400:
            left = self.penalties.left(address)
            longest = max(longest, left)
            if left:
                self.assertLess(self.now - began, 60)
            else:
                self.fail_(1, kind, address)
            self.now += backoff.delay()
        self.assertLess(longest, 20.0, kind)


class TrustTests(PenaltiesTestCase):
    """
    Who is never refused.
    """

    def test_exempt(self) -> None:
        """
        RVGAHP_PENALTY_EXEMPT; what stands there may change.
        """
        for address in ("198.51.100.7", "2001:db8:7:1::1"):
            self.fail_(10, address=address)
            self.assertFalse(self.penalties.isRefused(address))
        self.exempt = ()
        self.assertTrue(self.penalties.isRefused("198.51.100.7"))

    def test_site(self) -> None:
        """
        The address of a site that is connected, however long, and for an hour afterwards.
        """
        self.fail_(1000)
        self.assertTrue(self.penalties.isRefused(ADDRESS))
        self.penalties.siteCame(ADDRESS)
        self.penalties.siteCame(ADDRESS)
        self.penalties.siteWent(ADDRESS)
        self.now += 100_000
        self.fail_(1000)
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        self.penalties.siteWent(ADDRESS)
        for _ in range(36):
            self.fail_(1000)
            self.assertFalse(self.penalties.isRefused(ADDRESS))
            self.now += 100
        self.assertTrue(self.penalties.isRefused(ADDRESS))

    def test_proved(self) -> None:
        """
        The address from which a good ticket has come, for an hour; of many such addresses
        the last are remembered.
        """
        self.fail_(1000)
        self.penalties.proved(ADDRESS)
        self.assertFalse(self.penalties.isRefused(ADDRESS))
        for number in range(MOST):
            self.penalties.proved(f"192.0.3.{number}")
        self.assertTrue(self.penalties.isRefused(ADDRESS))


class OverflowTests(PenaltiesTestCase):
    """
    When there are more addresses than are remembered.
    """

    def test_flood(self) -> None:
        """
        A flood of addresses with a failure each takes no memory without an end, and frees
        none with much to pay.
        """
        worst = [f"192.0.2.{number}" for number in range(10)]
        for address in worst:
            self.fail_(1000, address=address)
        for number in range(100_000):
            self.fail_(1, "late", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertEqual(len(self.penalties), MOST)
        self.assertLessEqual(len(self.penalties._tables[0]._heap), 2 * MOST + 1)
        for address in worst:
            self.assertTrue(self.penalties.isRefused(address))

    def test_full(self) -> None:
        """
        Where all have more to pay than who comes, he is not remembered, until one of them has
        paid; who has more than one of them takes the place of the one with the least.
        """
        for number in range(MOST):
            self.fail_(4 + number, address=f"192.0.2.{number}")
        self.fail_(3, address="10.0.0.1")
        self.assertFalse(self.penalties.isRefused("10.0.0.1"))
        self.fail_(1, "code", "10.0.0.2")
        self.assertFalse(self.penalties.isRefused("10.0.0.2"), "as much is not more")
        self.now += 5
        self.fail_(1, "code", "10.0.0.2")
        self.assertTrue(self.penalties.isRefused("10.0.0.2"))
        self.assertFalse(self.penalties.isRefused("192.0.2.0"))
        self.assertTrue(self.penalties.isRefused("192.0.2.1"))

    def test_families(self) -> None:
        """
        IPv6, of which one has many, drives out no IPv4.
        """
        self.fail_(3)
        for number in range(1000):
            self.fail_(30, address=f"2001:db8:{number:x}::1")
        self.assertTrue(self.penalties.isRefused(ADDRESS))

    @given(
        st.lists(
            st.tuples(st.integers(0, 7), st.sampled_from(sorted(WEIGHTS)), st.floats(0, 20)),
            max_size=80,
        )
    )
    def test_model(self, events: list[tuple[int, str, float]]) -> None:
        """
        As long as the table is not full it does just what the rule says.
        """
        now = 0.0
        penalties = Penalties(lambda: now, lambda: 60.0, tuple, 8)
        model: dict[str, tuple[float, bool]] = {}
        for number, kind, delay in events:
            address = f"192.0.2.{number}"
            penalties.failed(address, kind)
            end, isRefused = model.get(address, (0.0, False))
            isRefused = isRefused and end > now
            end = max(end, now) + WEIGHTS[kind]
            isRefused = isRefused or end - now >= 15
            model[address] = min(end, now + 60), isRefused
            now += delay
            for one, (end, isRefused) in model.items():
                self.assertEqual(penalties.isRefused(one), isRefused and end > now)
