"""
Tests of L{rvgahp.mapfile} and L{rvgahp.mapfields}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.mapfile import MapFile, parse, problemWith


def mapOf(*lines: str, hashKeys: bool = False) -> MapFile:
    """
    @return: the map of some lines.
    """
    return parse("\n".join(lines).encode(), "/etc/map", hashKeys)


class LookupTests(SynchronousTestCase):
    """
    Which name an identity has.
    """

    def canonical(self, made: MapFile, method: str, principal: str, domain: str = "") -> str:
        match = made.lookup(method, principal, domain)
        return "" if match is None else match.canonical

    def test_first(self) -> None:
        """
        The first line that matches decides, and is named with its file and number.
        """
        made = mapOf("# people", "", "SSL ^/CN=a alice", 'SSL  "/CN=a b"\tbob # him', "FS (.*) \\1")
        match = made.lookup("SSL", "/CN=a b")
        assert match is not None
        self.assertEqual(tuple(match), ("alice", "/etc/map", 3, "SSL ^/CN=a alice"))
        match = made.lookup("SSL", "x/CN=a b")
        assert match is not None
        self.assertEqual((match.canonical, match.number), ("bob", 4))
        self.assertEqual(self.canonical(made, "FS", "carol"), "carol")
        self.assertIsNone(made.lookup("SSL", "/CN=x"))
        self.assertEqual(made.methods, ["SSL", "FS"])

    def test_method(self) -> None:
        """
        The case of a method does not count; another method's lines do not.
        """
        made = mapOf("Ssl a alice")
        self.assertEqual(self.canonical(made, "sSL", "a"), "alice")
        for method in ("FS", "", "\u00dfl", "SSL "):
            self.assertIsNone(made.lookup(method, "a"), method)

    def test_literals(self) -> None:
        """
        With hash keys a principal is a literal, unless it stands between slashes, and the
        order of literals and patterns is kept.
        """
        made = mapOf(
            "SSL a.c literal",
            "SSL a.c second",
            "SSL /^A(.)c$/i \\1",
            "SSL abc never",
            'SSL "/CN=a b" quoted',
            'SSL "\\"a\\\\\\n" escaped',
            "SSL /^\\/CN=(.*?)(.*)$/U \\1-\\2",
            hashKeys=True,
        )
        for principal, name in (
            ("a.c", "literal"),
            ("abc", "b"),
            ("aBC", "B"),
            ("xa.c", ""),
            ("/CN=a b", "quoted"),
            ('"a\\\\n', "escaped"),
            ("/CN=ab", "ab-"),
        ):
            self.assertEqual(self.canonical(made, "SSL", principal), name)

    def test_substitution(self) -> None:
        """
        C{\\0} is what has matched, C{\\1} to C{\\9} are the groups; what is no group stays.
        """
        made = mapOf("SSL b(c)|(x)y \\0-\\1", 'FS "(a)|(b)" \\2', "KERBEROS (.) a\\b\\\\1\\1")
        self.assertEqual(self.canonical(made, "SSL", "abcd"), "bc-c")
        self.assertEqual(self.canonical(made, "FS", "b"), "b")
        self.assertEqual(self.canonical(made, "FS", "a"), "\\2")
        self.assertEqual(self.canonical(made, "KERBEROS", "k"), "a\\b\\\\1k")

    def test_domain(self) -> None:
        """
        A name without @ gets the domain, if there is one.
        """
        made = mapOf("SSL a alice", "SSL b bob@x")
        self.assertEqual(self.canonical(made, "SSL", "a", "dom"), "alice@dom")
        self.assertEqual(self.canonical(made, "SSL", "a"), "alice")
        self.assertEqual(self.canonical(made, "SSL", "b", "dom"), "bob@x")

    def test_badPrincipals(self) -> None:
        """
        A principal that is no proper text has no name, whatever the lines say.
        """
        made = mapOf("SSL .* anybody", "SSL (?:) anybody")
        for principal, said in (
            ("", "empty"),
            ("a\n", "control"),
            ("a\x00", "control"),
            ("\x7f", "control"),
            ("\udc80", "no text"),
            ("a" * 4097, "4097 bytes"),
        ):
            self.assertIn(said, problemWith(principal))
            error = self.assertRaises(NotAuthorized, made.lookup, "SSL", principal)
            self.assertEqual(str(error), problemWith(principal))
        self.assertEqual(problemWith("a" * 4096), "")

    def test_badNames(self) -> None:
        """
        A line that gives no proper name refuses, and no later one is asked.
        """
        made = mapOf(
            "SSL ^(a*)(.?) \\1@x", "SSL .* anybody", "FS (.*) \\1", "X ^(.) \\1", "X . any"
        )
        for method, principal, said in (
            ("SSL", "b", "line 1, maps this principal is half empty"),
            ("FS", "y@", "half empty"),
            ("FS", "y" * 256, "more than 255 bytes"),
            ("X", "\u00e9", "is no text"),
        ):
            error = self.assertRaises(NotAuthorized, made.lookup, method, principal)
            self.assertIn(said, str(error))
        self.assertEqual(self.canonical(made, "FS", "y" * 255), "y" * 255)

    def test_steps(self) -> None:
        """
        A lookup that takes too long is refused, also where a later line would match: a ban
        is not passed over.
        """
        made = mapOf(*["SSL .*x.*y.*z banned@banned.htcondor.org"] * 30, "SSL .* anybody")
        self.assertEqual(self.canonical(made, "SSL", "short"), "anybody")
        error = self.assertRaises(NotAuthorized, made.lookup, "SSL", "xy" * 2000)
        self.assertIn("took more than", str(error))


class RefusalTests(SynchronousTestCase):
    """
    Files that are refused.
    """

    def test_lines(self) -> None:
        """
        One line that is wrong refuses the file, with its number and what is wrong.
        """
        for line, said in (
            ("SSL", "the principal is missing"),
            ("SSL a", "the canonical name is missing"),
            ('SSL "" x', "the principal is missing or empty"),
            ("SSL // x", "the principal is missing or empty"),
            ("SSL a b c", "more fields"),
            ('SSL "a', 'the principal has no " at its end'),
            ('SSL "a\\" x', 'the principal has no " at its end'),
            ("SSL /a x", "the principal has no / at its end"),
            ("SSL /DC=org/CN=a x", "goes on after its second /"),
            ('SSL "a"b x', 'goes on after its second "'),
            ("SSL /a/ix x", "goes on after its second /"),
            ("SSL /(a/ x", "has no )"),
            ("SSL a x\\", "ends with a backslash"),
            ("SSL a \\1", "has \\1, and the principal 0 groups"),
            ("SSL /(a)/ \\2", "has \\2, and the principal 1 groups"),
            ("SCITOKENS a PLUGIN:*", "plugins"),
            ("@INCLUDE a b", "the method has"),
            ("SSL,FS a b", "the method has"),
            ("@include", "the path is missing"),
            ("@include x", "may not include"),
            ("SSL a b\r", "carriage return"),
            ("SSL a\x0bb c", "control characters"),
            ("SSL a\x00b c", "control characters"),
            ("SSL a \udcff", "not UTF-8"),
        ):
            content = f"# first\n{line}\nSSL x y".encode("utf-8", "surrogateescape")
            error = self.assertRaises(ConfigurationError, parse, content, "/etc/map", True)
            self.assertIn("The map file /etc/map is not used: line 2: ", str(error))
            self.assertIn(said, str(error), line)

    def test_comments(self) -> None:
        """
        Comments may have anything in them.
        """
        self.assertEqual(parse(b"# \xff\r\n \t#\x00\n#", "/etc/map").methods, [])

    def test_sizes(self) -> None:
        """
        A file may not be too large, nor have too many lines.
        """
        self.patch(maplimits, "TOTAL_LINES", 3)
        self.patch(maplimits, "FILE_BYTES", 100)
        self.assertEqual(mapOf("#", *["FS a b"] * 3).methods, ["FS"])
        error = self.assertRaises(ConfigurationError, mapOf, "#", *["FS a b"] * 4)
        self.assertIn("line 5: it is one more than the 3", str(error))
        error = self.assertRaises(ConfigurationError, mapOf, "#" * 101)
        self.assertIn("too large", str(error))


class IncludeTests(SynchronousTestCase):
    """
    Files that include others.
    """

    def parse(self, content: bytes, found: dict[str, list[tuple[str, bytes]]]) -> MapFile:
        return parse(content, "/etc/ce/map", False, found.__getitem__)

    def test_place(self) -> None:
        """
        What is included stands where the line is; its path is relative to the file's own.
        """
        content = b'FS b before\n@include "d 1"\n@include /x/y # more\nFS . after'
        found = {
            "/etc/ce/d 1": [("/etc/ce/d 1/1", b"FS a one"), ("/etc/ce/d 1/2", b"\nFS [ab] two")],
            "/x/y": [("/x/y", b"FS c three")],
        }
        made = self.parse(content, found)
        self.assertEqual(made.files, ["/etc/ce/map", "/etc/ce/d 1/1", "/etc/ce/d 1/2", "/x/y"])
        for principal, expected in (
            ("a", ("one", "/etc/ce/d 1/1", 1)),
            ("b", ("before", "/etc/ce/map", 1)),
            ("c", ("three", "/x/y", 1)),
            ("d", ("after", "/etc/ce/map", 4)),
        ):
            match = made.lookup("FS", principal)
            assert match is not None
            self.assertEqual(tuple(match)[:3], expected)

    def test_refused(self) -> None:
        """
        An included file that is wrong, or includes others, refuses all, by its own name.
        """
        for content, said in ((b"\nFS a", "missing"), (b"\n@include z", "may not include")):
            error = self.assertRaises(
                ConfigurationError, self.parse, b"FS a b\n@include /x", {"/x": [("/x/1", content)]}
            )
            self.assertIn("The map file /x/1 is not used: line 2: ", str(error))
            self.assertIn(said, str(error))

    def test_sizes(self) -> None:
        """
        All files together may not be too large either.
        """
        self.patch(maplimits, "TOTAL_BYTES", 100)
        error = self.assertRaises(
            ConfigurationError, self.parse, b"@include x", {"/etc/ce/x": [("/etc/ce/x", b"#" * 95)]}
        )
        self.assertIn("/etc/ce/x is too large", str(error))
