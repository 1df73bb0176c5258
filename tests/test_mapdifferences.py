"""
Random map files, lists and identities: L{rvgahp.mapfile} and L{rvgahp.authorizationlist}
give what slow references give that were written from HTCondor's rules.
"""

from __future__ import annotations

import random
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.authorizationlist import AuthorizationList, decide
from rvgahp.authorizationlist import parse as parseList
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.mapfile import MapFile, parse
from tests.listreference import ReferenceList
from tests.mapmaker import ADDRESSES, HOSTS, METHODS, USERS, ListMaker, MapMaker, principal
from tests.mapreference import ReferenceMap, Strange
from tests.programs import SOAK

#: Maps, and pairs of lists; each with this many identities.
CASES = 100_000 if SOAK else 2000
IDENTITIES = 4


def ours(maker: MapMaker) -> MapFile | None:
    """
    @return: the map as rvgahp reads it; L{None} if it is refused.
    """

    def include(path: str) -> list[tuple[str, bytes]]:
        if path.endswith("/"):
            found = sorted(name for name in maker.files if name.startswith(path))
        elif path in maker.files:
            found = [path]
        else:
            raise ConfigurationError("gone")
        return [(name, maker.files[name]) for name in found]

    try:
        return parse(maker.files[maker.PATH], maker.PATH, maker.hashKeys, include)
    except ConfigurationError as e:
        return None if "too large" not in str(e) else MapFile()


class DifferenceTests(SynchronousTestCase):
    """
    The same, twice.
    """

    def setUp(self) -> None:
        self.base = random.SystemRandom().getrandbits(32)
        self.counts: Counter[str] = Counter()
        print(f"seed {self.base}")

    def finish(self, *names: str) -> None:
        """
        See that each kind of case was met.
        """
        print(", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items())))
        for name in names:
            self.assertGreater(self.counts[name], CASES / 100, name)

    def test_maps(self) -> None:
        """
        A map is refused by both or by none; each identity has the same name, by the same
        line, or none, or is refused by both.
        """
        for seed in range(self.base, self.base + CASES):
            source = random.Random(seed)
            maker = MapMaker(source)
            made = ours(maker)
            try:
                reference = ReferenceMap(maker.files, maker.PATH, maker.hashKeys)
            except Strange:
                self.assertIsNone(made, f"seed {seed}: wider: {maker.files}")
                self.counts["maps refused"] += 1
                continue
            self.assertIsNotNone(made, f"seed {seed}: {maker.hashKeys} {maker.files}")
            assert made is not None
            self.counts["maps"] += 1
            for _ in range(IDENTITIES):
                self.identity(seed, source, maker, made, reference)
        self.finish("maps", "maps refused", "mapped", "not mapped", "identities refused")

    def identity(
        self,
        seed: int,
        source: random.Random,
        maker: MapMaker,
        made: MapFile,
        reference: ReferenceMap,
    ) -> None:
        method = source.choice(METHODS)
        name = principal(source, maker.hints)
        domain = source.choice(("", "dom"))
        expected: object
        found: object
        try:
            expected = reference.lookup(method.encode(), name.encode(), domain.encode())
        except Strange:
            expected = "refused"
        try:
            match = made.lookup(method, name, domain)
            found = match and (match.canonical.encode(), match.path, match.number)
        except NotAuthorized:
            found = "refused"
        what = f"seed {seed}: {maker.hashKeys} {maker.files} {method} {name!r}"
        self.assertEqual(found, expected, what)
        kind = (
            "identities refused" if expected == "refused" else "mapped" if found else "not mapped"
        )
        self.counts[kind] += 1

    def lists(
        self, seed: int, name: str, text: str
    ) -> tuple[AuthorizationList, ReferenceList] | None:
        """
        @return: a list, twice; L{None} if both refuse it.
        """
        made: AuthorizationList | None
        try:
            made = parseList(text, name)
        except ConfigurationError:
            made = None
        try:
            reference = ReferenceList(text)
        except Strange:
            self.assertIsNone(made, f"seed {seed}: wider: {text}")
            self.counts["lists refused"] += 1
            return None
        self.assertIsNotNone(made, f"seed {seed}: {text!r}")
        assert made is not None
        self.counts["lists"] += 1
        return made, reference

    def test_lists(self) -> None:
        """
        A list is refused by both or by none; what two lists say of somebody, and by which
        entry, is the same.
        """
        for seed in range(self.base, self.base + CASES):
            source = random.Random(seed)
            texts = {name: ListMaker(source).text for name in ("ALLOW", "DENY")}
            allows = self.lists(seed, "ALLOW", texts["ALLOW"])
            denies = self.lists(seed, "DENY", texts["DENY"])
            if allows is None or denies is None:
                continue
            known = {name: source.sample(ADDRESSES, k=2) for name in HOSTS if source.random() < 0.3}
            allow, deny = allows[0].withAddresses(known), denies[0].withAddresses(known)
            for _ in range(IDENTITIES):
                user = source.choice(USERS)
                address = source.choice((*ADDRESSES, None))
                names = source.sample(HOSTS, k=source.randrange(3))
                bare = [name.removesuffix(".") for name in names]
                by = denies[1].match(user, address, bare, known)
                expected = (False, "DENY", by)
                if by is None:
                    by = allows[1].match(user, address, bare, known)
                    expected = (by is not None, "ALLOW", by or "")
                decision = decide(allow, deny, user, address, names)
                what = f"seed {seed}: {texts} {user!r} {address} {names} {known}"
                self.assertEqual(tuple(decision), expected, what)
                kind = (
                    "allowed"
                    if decision.isAllowed
                    else "denied"
                    if decision.listName == "DENY"
                    else "in no list"
                )
                self.counts[kind] += 1
        self.finish("lists", "lists refused", "allowed", "denied", "in no list")
