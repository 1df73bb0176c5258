"""
Random map files, lists and identities, such that lines, entries and identities often fit.
"""

from __future__ import annotations

import random

METHODS = ("SSL", "ssl", "FS", "SCITOKENS")

#: Patterns and principals are made of few characters, so that they meet.
PLAIN = ("a", "b", "A", "/", "=", "@", "1", "-", " ", "_", "\u00e9")

#: Parts of patterns, each with an example of what it matches.
ATOMS = (
    (".", "b"),
    ("\\.", "."),
    ("\\/", "/"),
    ("\\w", "a"),
    ("\\d", "1"),
    ("\\S", "@"),
    ("[ab]", "b"),
    ("[^a]", "b"),
    ("[a-b1]", "1"),
    ("[.-]", "-"),
    ("[+-9]", "/"),
    ("[]a]", "a"),
    ("[\\w@]", "@"),
)
ASSERTIONS = ("\\b", "\\B", "\\A", "\\z", "\\Z")
REPEATS = (
    ("*", 2),
    ("+", 2),
    ("?", 1),
    ("*?", 2),
    ("+?", 2),
    ("??", 0),
    ("{2}", 2),
    ("{1,3}", 2),
    ("{0,2}?", 1),
    ("{2,}", 3),
)

#: What is refused.
ODD_ATOMS = ("\\x", "[a", "[b-a]", "[a-\\d]", "[[:alpha:]]", "\\1", "(?=a)", "(?<n>a)", "*", "a{")
ODD_REPEATS = ("**", "*+", "{,2}", "{3,1}", "{0}", "{a}", "?*")
SOUP = 'aab/=.*+?()[]|^$\\{}-12,iU@" '

#: What a text of theirs looks like: the text and an example.
Sample = tuple[str, str]


def pattern(source: random.Random, depth: int = 2) -> Sample:
    """
    @return: a regular expression, now and then one that is refused, and what it perhaps
        matches.
    """
    if depth == 2 and source.random() < 0.02:
        return "".join(source.choices(SOUP, k=source.randrange(1, 9))), "a"
    ways = []
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        items = [_item(source, depth) for _ in range(source.randrange(source.random() > 0.1, 5))]
        text = "".join(text for text, _ in items)
        text = ("^" if source.random() < 0.2 else "") + text
        text += "$" if source.random() < 0.2 else ""
        ways.append((text, "".join(example for _, example in items)))
    text = "|".join(text for text, _ in ways)
    text = "(?i)" + text if depth == 2 and source.random() < 0.03 else text
    return text, source.choice(ways)[1]


def _item(source: random.Random, depth: int) -> Sample:
    chance = source.random()
    if chance < 0.55:
        text = source.choice(PLAIN)
        example = text
    elif chance < 0.7:
        text, example = source.choice(ATOMS)
    elif chance < 0.703:
        return source.choice(ODD_ATOMS), "a"
    elif chance < 0.71:
        return source.choice(ASSERTIONS), ""
    elif depth:
        text, example = pattern(source, depth - 1)
        text = source.choice(("(", "(", "(?:")) + text + ")"
    else:
        text, example = "a", "a"
    chance = source.random()
    if chance < 0.25 and example:
        repeat, times = source.choice(REPEATS)
        return text + repeat, example * times
    return (text + source.choice(ODD_REPEATS) if chance < 0.253 else text), example


def principal(source: random.Random, hints: list[str]) -> str:
    """
    @return: a principal, now and then one that is refused.
    """
    if hints and source.random() < 0.7:
        return source.choice(("", "", "", "b", "/")) + source.choice(hints) or "a"
    if source.random() < 0.01:
        return source.choice(("", "a\n", "\x00", "a" * 5000, "a\x7f"))
    return "".join(source.choices(PLAIN, k=source.randrange(1, 9)))


class MapMaker:
    """
    A random map.

    @ivar files: by path, the contents of its files.
    @ivar hashKeys: whether principals are literals.
    @ivar hints: texts that are likely principals.
    """

    PATH = "/m/map"

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self.hashKeys = source.random() < 0.6
        self.hints: list[str] = []
        self.files = {self.PATH: b""}
        lines = self._lines(6)
        for _ in range(source.choice((0, 0, 1, 2))):
            lines.insert(source.randrange(len(lines) + 1), self._include())
        self.files[self.PATH] = "\n".join(lines).encode()
        if source.random() < 0.03:
            self.files[self.PATH] += source.choice((b"\r\n", b"\nSSL \xff x", b"\n# \xff", b"\x01"))

    def _include(self) -> str:
        names = (
            ("one", "d/", "/o/two", '"a b"', "gone")
            if self._source.random() < 0.1
            else ("one", "d/")
        )
        name = self._source.choice(names)
        plain = name.strip('"')
        path = plain if plain.startswith("/") else f"/m/{plain}"
        for found in (f"{path}2", f"{path}1", f"{path}10") if name == "d/" else (path,):
            if name != "gone":
                self.files.setdefault(found, "\n".join(self._lines(2)).encode())
        if self._source.random() < 0.01:
            self.files[path + "x" if name == "d/" else path] = b"@include one"
        return f"@include {name}"

    def _lines(self, most: int) -> list[str]:
        return [self._line() for _ in range(self._source.randrange(most))]

    def _line(self) -> str:
        source = self._source
        chance = source.random()
        if chance < 0.05:
            return source.choice(("", "# SSL a b", "  \t", " #"))
        if chance < 0.055:
            return "".join(source.choices(SOUP + "SSL", k=source.randrange(12)))
        text, groups = self._principal()
        words = (source.choice((*METHODS, '"SSL"')), text, self._canonical(groups))
        line = source.choice((" ", "\t", "  ")).join(words)
        if source.random() < 0.02:
            line += source.choice((" more", " # more", "#", " PLUGIN:x", "\t"))
        return source.choice(("", "", " ")) + line

    def _principal(self) -> tuple[str, int]:
        """
        @return: the field, and about how many groups it has.
        """
        source = self._source
        groups = 0
        isPattern = not self.hashKeys or source.random() < 0.5
        if isPattern:
            text, example = pattern(source)
            groups = text.count("(") - text.count("(?")
        else:
            text = example = principal(source, []).strip() or "a"
        self.hints.append(example[:12])
        if source.random() < 0.005:
            return source.choice(("", '"', "/", "//", '""', "/a/b")), 0
        if self.hashKeys and isPattern:
            flags = source.choice(("", "", "", "i", "U", "iU", "ii"))
            return f"/{text.replace('/', chr(92) + '/') or 'a'}/{flags}", groups
        if " " in text or source.random() < 0.4 or text[:1] in '/"':
            return '"' + (text.replace('"', '\\"') or "a") + '"', groups
        return text or "a", groups

    def _canonical(self, groups: int) -> str:
        source = self._source
        if source.random() < 0.01:
            return source.choice(("PLUGIN:*", "x\\", "\\9", "@x", "x@", '""', "y" * 300, "/a/"))
        names = ["alice", "bob@x", "\\0", "a\\b", "\\\\1", '"a b"', "\u00e9"]
        names += ["\\1", "\\1@x", '"a \\1"'] * 2 * (groups > 0) + ["\\2", "\\2\\1"] * 4 * (
            groups > 1
        )
        return source.choice(names)


USERS = (
    "alice@x",
    "bob@x",
    "Alice@X",
    "alice@y.x",
    "a@x",
    "a@b@x",
    "",
    "alice",
    "\u00e9@x",
    "\u212a@x",
    "k@x",
)
HOSTS = ("h.x.org", "H.X.ORG", "h.x.org.", "g.y.org", "10.1.evil.org", "x", "lab-1.x.org")
ADDRESSES = (
    "10.1.2.3",
    "10.1.2.4",
    "10.2.0.1",
    "192.0.2.1",
    "2001:db8::1",
    "2001:db8:1::",
    "::ffff:10.1.2.3",
    "fe80::1%eth0",
    "::",
)
USER_ENTRIES = (
    "alice@x",
    "ALICE@x",
    "*@x",
    "*",
    "alice@*",
    "a*@x",
    "*l*",
    "a*x*",
    "a@x*x",
    "**",
    "*@*.x",
    "k@x",
    "\u212a@x",
    "alice",
    "al*",
    "*a*b*c",
    "@x",
    "",
)
HOST_ENTRIES = (
    "*",
    "10.1.2.3",
    "10.1.*",
    "10.*",
    "10.1.2.0/24",
    "10.1.0.0/255.255.0.0",
    "10.1.2.3/8",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "2001:db8::1",
    "2001:DB8::/32",
    "2001:db8:*",
    "[2001:db8::1]",
    "::/0",
    "h.x.org",
    "H.x.Org",
    "*.x.org",
    "lab-*",
    "*x*",
    "l*org",
    "x",
)
ODD_HOST_ENTRIES = (
    "10",
    "10.1",
    "10.1.",
    "1*",
    "10.1.2.3*",
    "10.1.2.3.*",
    "*.1",
    "010.1.2.3",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/255.0.255.0",
    "10.1.*/16",
    "2001:db8::/129",
    "::ffff:10.1.2.3",
    "::ffff:0:0/96",
    "fe80::1%eth0",
    "<10.1.2.3:9618>",
    "{:local_ips:}",
    "h..x",
    ".x.org",
    "h.x.org.",
    "a*b*c*",
    "h_1.x.org",
    "2001:db8::*",
    "1:2:3:4:5:6:7:*",
    "",
)


class ListMaker:
    """
    A random list.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source
        words = [self._entry() for _ in range(source.randrange(5))]
        self.text = source.choice((", ", " ", ",", "\t,\n")).join(words)

    def _entry(self) -> str:
        source = self._source
        chance = source.random()
        if chance < 0.01:
            return "".join(source.choices("a1.*/@:[]+x ", k=source.randrange(9)))
        if chance < 0.015:
            return source.choice(("+group", "a/b/c/d", "*/", "/", "//", "alice@x/", "x/y"))
        user = source.choice(USER_ENTRIES[:12] if source.random() < 0.98 else USER_ENTRIES)
        host = source.choice(HOST_ENTRIES if source.random() < 0.97 else ODD_HOST_ENTRIES)
        if chance < 0.1:
            host = self._address()
        return source.choice((f"{user}/{host}", f"{user}/{host}", user, host))

    def _address(self) -> str:
        source = self._source
        if source.random() < 0.5:
            return f"10.{source.randrange(3)}.0.0/{source.randrange(33)}"
        return f"2001:db8:{source.randrange(2)}::/{source.randrange(129)}"
