"""
Tests of L{rvgahp.mapregex} and L{rvgahp.mapsyntax}.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp import maplimits
from rvgahp.mapregex import Pattern, Steps, TooManySteps
from rvgahp.mapsyntax import Misread
from tests.mapmaker import pattern, principal
from tests.pcre import PCRE, GaveUp, library
from tests.programs import SOAK


def search(text: str, subject: str, flags: str = "") -> list[str] | None:
    """
    @return: what a pattern finds, as text.
    """
    found = Pattern(text.encode(), "i" in flags, "U" in flags).search(
        subject.encode(), Steps(10**6)
    )
    return None if found is None else [group.decode() for group in found]


class MatchTests(SynchronousTestCase):
    """
    What matches.
    """

    def test_usual(self) -> None:
        """
        The patterns of HTCondor's and HTCondor-CE's documentation do what is said there.
        """
        kerberos = "([^/]*)/?[^@]*@(.*)"
        self.assertEqual(search(kerberos, "host/a.b@REALM"), ["host/a.b@REALM", "host", "REALM"])
        self.assertEqual(search("(.*)", "alice"), ["alice", "alice"])
        self.assertEqual(
            search(
                "^https\\:\\/\\/scitokens\\.org\\/osg\\-connect,",
                "https://scitokens.org/osg-connect,x",
            ),
            ["https://scitokens.org/osg-connect,"],
        )
        service = "^/DC=org/OU=Services/CN=(host\\/)?([a-zA-Z0-9\\.-]+)$"
        self.assertEqual(
            search(service, "/DC=org/OU=Services/CN=host/gw.x.org"),
            ["/DC=org/OU=Services/CN=host/gw.x.org", "host/", "gw.x.org"],
        )
        self.assertEqual(
            search(service, "/DC=org/OU=Services/CN=gw"),
            ["/DC=org/OU=Services/CN=gw", "", "gw"],
        )
        self.assertIsNone(search(service, "/DC=org/OU=Services/CN=gw/x"))

    def test_unanchored(self) -> None:
        """
        A pattern matches anywhere, unless it says where.
        """
        self.assertEqual(search("b+", "abbc"), ["bb"])
        self.assertIsNone(search("^b", "ab"))
        self.assertIsNone(search("b$", "ba"))
        self.assertEqual(search("a|^b", "cba"), ["a"])
        self.assertEqual(search("", "x"), [""])

    def test_order(self) -> None:
        """
        The first way that matches counts, not the longest.
        """
        self.assertEqual(search("a|ab", "ab"), ["a"])
        self.assertEqual(search("(a+?)(a*)", "aaa"), ["aaa", "a", "aa"])
        self.assertEqual(search("(a|ab)(c|bcd)(d*)", "abcd"), ["abcd", "a", "bcd", ""])

    def test_groups(self) -> None:
        """
        Groups after the last that has matched are not there, others are empty.
        """
        self.assertEqual(search("(a)|(b)", "a"), ["a", "a"])
        self.assertEqual(search("(a)|(b)", "b"), ["b", "", "b"])
        self.assertEqual(search("(?:(a)|b)+", "ab"), ["ab", "a"])

    def test_flags(self) -> None:
        """
        C{i} and C{(?i)} are for ASCII letters, also in classes; C{U} turns greed round.
        """
        self.assertEqual(search("[a-c]X", "Bx", "i"), ["Bx"])
        self.assertEqual(search("(?i)[^a]b", "AbcB"), ["cB"])
        self.assertIsNone(search("\u00e9", "\u00c9", "i"))
        self.assertIsNone(search("k", "\u212a", "i"))
        self.assertEqual(search("(a*)(a*?)", "aa", "U"), ["aa", "", "aa"])

    def test_bytes(self) -> None:
        """
        A dot is a byte.
        """
        self.assertEqual(
            Pattern(b"^.(.)$").search("\u00e9".encode(), Steps(99)), [b"\xc3\xa9", b"\xa9"]
        )

    def test_refused(self) -> None:
        """
        What has no meaning, or is not supported, is refused with a clause that tells what.
        """
        for text, said in (
            ("a**", "two repeats"),
            ("(a*)*", "match nothing"),
            ("(a|)+", "match nothing"),
            ("^*", "match nothing"),
            ("*a", "before *"),
            ("a|+", "before +"),
            ("a*+", "possessive"),
            ("a{,2}", "begins no repeat"),
            ("a{2", "begins no repeat"),
            ("a{3,2}", "second number"),
            ("a{0}", "second number"),
            ("(a", "has no )"),
            ("a)", "has no ("),
            ("(?=a)", "not supported"),
            ("(?<n>a)", "not supported"),
            ("a(?i)", "not supported"),
            ("(*UTF)a", "not supported"),
            ("(a)\\1", "\\1 is not supported"),
            ("\\Qa\\E", "\\Q is not supported"),
            ("[\\b]", "\\b is not supported"),
            ("a\\", "has no end"),
            ("[a", "a class has no end"),
            ("[]", "a class has no end"),
            ("[z-a]", "later one"),
            ("[a-\\d]", "later one"),
            ("[\\d-a]", "later one"),
            ("[a-c-e]", "neither first nor last"),
            ("[[:alpha:]]", "names such as"),
            ("(" * 50 + ")" * 50, "nested too deeply"),
            ("((a{99}){99}){99}", "too large"),
            ("a" * 5000, "more than 4096 bytes"),
        ):
            problem = self.assertRaises(Misread, Pattern, text.encode())
            self.assertIn(said, str(problem), text)

    def test_time(self) -> None:
        """
        Patterns that keep a backtracking matcher busy for ever take a time that grows with
        the principal's length.
        """
        spent = []
        for size in (500, 1000, 2000):
            steps = Steps(10**6)
            for text in ("^(a+)+$", "(.*x)*y", "([^/]*)/?[^@]*@(.*)"):
                found = Pattern(text.encode()).search(b"a" * size + b"!", steps)
                self.assertIsNone(found, text)
            spent.append(10**6 - steps.left)
        self.assertLess(spent[2], 2.2 * spent[1])
        self.assertLess(spent[1], 2.2 * spent[0])

    def test_steps(self) -> None:
        """
        Steps are limited, and a literal beginning costs none where it is not found.
        """
        text = Pattern(b".*.*.*x")
        self.assertRaises(TooManySteps, text.search, b"a" * 1000, Steps(500))
        steps = Steps(10)
        self.assertIsNone(Pattern(b"/DC=org/CN=.*x").search(b"a" * 4000, steps))
        self.assertIsNone(Pattern(b"^/DC=org.*x").search(b"a" * 4000, steps))
        self.assertGreater(steps.left, 5)


class PCRETests(SynchronousTestCase):
    """
    The same as PCRE2.
    """

    def test_limit(self) -> None:
        """
        Where PCRE2 gives up, there is an answer.
        """
        found = library()
        if found is None:
            raise SkipTest("there is no libpcre2-8 here")
        text, subject = "(^(?:a??aa*?a*){2,}b)*?$", "aaaaaaaaaaaaaaabaaaaaaaaaaaaaaab"
        theirs = PCRE(found, text.encode(), False, False)
        self.assertRaises(GaveUp, theirs.search, subject.encode())
        theirs.close()
        self.assertEqual(search(text, subject), [""])

    def test_same(self) -> None:
        """
        Whatever random pattern is taken, PCRE2 takes too, and it finds the same in random
        texts.
        """
        found = library()
        if found is None:
            raise SkipTest("there is no libpcre2-8 here")
        base = random.SystemRandom().getrandbits(32)
        print(f"seed {base}")
        matches = taken = 0
        for seed in range(base, base + (100_000 if SOAK else 3000)):
            source = random.Random(seed)
            text, example = pattern(source)
            flags = source.choice(((False, False), (True, False), (False, True)))
            try:
                ours = Pattern(text.encode(), *flags)
            except Misread:
                continue
            taken += 1
            theirs = PCRE(found, text.encode(), *flags)
            for _ in range(4):
                subject = principal(source, [example]).encode()[: maplimits.PRINCIPAL_BYTES]
                if b"\n" in subject:
                    continue
                try:
                    expected = theirs.search(subject)
                except GaveUp:
                    continue
                self.assertEqual(
                    ours.search(subject, Steps(10**6)),
                    expected,
                    f"seed {seed}: {text!r} {flags} in {subject!r}",
                )
                matches += expected is not None
            theirs.close()
        print(f"{taken:,} patterns, {matches:,} matches")
        self.assertGreater(matches, 1000)
