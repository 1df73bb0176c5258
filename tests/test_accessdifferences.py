"""
Random access files, and those who come: L{rvgahp.accessrules} decides as a slow reference
does that was written from the rules.
"""

from __future__ import annotations

import random
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accessrules import AccessDecision, AccessRules, Subject, parse
from rvgahp.errors import ConfigurationError
from tests.accessmaker import NAMES, THINGS, AccessMaker
from tests.accessreference import ReferenceRules
from tests.mapmaker import ADDRESSES, HOSTS
from tests.mapreference import Strange
from tests.programs import SOAK

#: Files; each with this many who come.
CASES = 100_000 if SOAK else 2000
SUBJECTS = 4

PATH = "/a/access"


def decidedBy(decision: AccessDecision) -> object:
    """
    @return: the number of the line that decided, or which other rule did.
    """
    if decision.rule.startswith("built in: "):
        return "built in" if decision.isAllowed else "banned"
    return int(decision.rule.split(":")[1]) if decision.rule else ""


class DifferenceTests(SynchronousTestCase):
    """
    The same, twice.
    """

    def setUp(self) -> None:
        self.counts: Counter[str] = Counter()

    def read(self, seed: int, text: str, role: str) -> tuple[AccessRules, ReferenceRules] | None:
        """
        @return: a file, twice; L{None} if both refuse it.
        """
        made: AccessRules | None
        try:
            made = parse(text, PATH, role)
        except ConfigurationError as e:
            made = None
            self.assertRegex(str(e), rf"^{PATH}:\d+: ")
        try:
            reference = ReferenceRules(text, role)
        except Strange:
            self.assertIsNone(made, f"seed {seed}: wider: {role} {text!r}")
            self.counts["files refused"] += 1
            return None
        self.assertIsNotNone(made, f"seed {seed}: {role} {text!r}")
        assert made is not None
        self.counts["files"] += 1
        return made, reference

    def test_files(self) -> None:
        """
        A file is refused by both or by none; what it says of somebody, and by which line, is
        the same; a peer's names are asked for wherever they make a difference; and what is
        allowed is possible.
        """
        base = random.SystemRandom().getrandbits(32)
        print(f"seed {base}")
        for seed in range(base, base + CASES):
            source = random.Random(seed)
            maker = AccessMaker(source)
            both = self.read(seed, maker.text, maker.role)
            if both is None:
                continue
            known = {name: source.sample(ADDRESSES, k=2) for name in HOSTS if source.random() < 0.3}
            rules, reference = both[0].withAddresses(known), both[1]
            for _ in range(SUBJECTS):
                self.subject(seed, source, maker, rules, reference, known)
        print(", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items())))
        for name in ("files", "files refused", "allowed", "denied", "built in", "no rule"):
            self.assertGreater(self.counts[name], CASES / 100, name)

    def subject(
        self,
        seed: int,
        source: random.Random,
        maker: AccessMaker,
        rules: AccessRules,
        reference: ReferenceRules,
        known: dict[str, list[str]],
    ) -> None:
        level = source.choice(("START", "START", "REGISTER"))
        if maker.role == "ce":
            level = "START"
        name = source.choice(NAMES)
        address = source.choice((*ADDRESSES, None))
        hosts = source.sample(HOSTS, k=source.randrange(3))
        bare = [host.removesuffix(".") for host in hosts]
        things = {key: source.choice(values) for key, values in THINGS.items()}
        builtIn = source.choice((None, None, "root"))
        expected = reference.decide(level, name, address, bare, known, things, builtIn)
        who = Subject(name, address, tuple(hosts))
        decision = rules.decide(level, who, things, builtIn)
        found = (decision.isAllowed, decidedBy(decision))
        what = (
            f"seed {seed}: {maker.role} {maker.text!r} {level} {name!r} {address} {hosts} {known}"
        )
        self.assertEqual(found, expected, f"{what} {things} {builtIn}")
        self.assertEqual(decision.isAllowed, not decision.refusal)
        if level == "START":
            unknown = {"gahp": "", "account": ""}
            any_ = rules.whatever(*unknown).decide(level, who, {**things, **unknown}, builtIn)
            self.assertGreaterEqual(any_.isAllowed, decision.isAllowed, what)
            self.counts["possible, not allowed"] += any_.isAllowed > decision.isAllowed
        if not rules.needsNames(level):
            without = rules.decide(level, Subject(name, address), things, builtIn)
            self.assertEqual(without, decision, what)
        kind = "allowed" if decision.isAllowed else "denied" if decision.rule else "no rule"
        self.counts["built in" if found == (True, "built in") else kind] += 1
