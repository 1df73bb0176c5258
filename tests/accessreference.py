"""
Access files again, slowly: what C{tests/test_accessdifferences.py} compares
L{rvgahp.accessrules} with.

Nothing of L{rvgahp} is used.  The rules are those of doc/access.rst; lists are
L{tests.listreference}'s, and L{Strange} is raised where a file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.listreference import ReferenceList, fits, small, stars
from tests.mapreference import Strange

KEYS = {
    ("proxy", "REGISTER"): ["site"],
    ("proxy", "START"): ["site", "gahp", "account"],
    ("ce", "START"): ["gahp", "account"],
}
VALUE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@_+*-"
BANNED = ("anonymous@*", "*@unmapped", "*@banned.htcondor.org")


def commentOf(line: str) -> int:
    """
    @return: where the comment begins; the length of the line if there is none.
    """
    for place, one in enumerate(line):
        if one == "#" and (place == 0 or line[place - 1] in " \t"):
            return place
    return len(line)


def joined(text: str) -> list[tuple[int, str]]:
    """
    @return: number and text of each rule.
    """
    lines = text.split("\n")
    for line in lines:
        for one in line:
            if (one < " " and one != "\t") or one == "\x7f":
                raise Strange("a control character")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        comment = line[commentOf(line) :]
        if comment[-1:] == "\\" and following[: commentOf(following)].strip(" \t"):
            raise Strange("a comment that seems to go on")
    found = []
    place = 0
    while place < len(lines):
        number, rule = place + 1, ""
        while True:
            if place == len(lines):
                raise Strange("nothing follows a backslash")
            line = lines[place][: commentOf(lines[place])]
            place += 1
            if line[-1:] != "\\":
                break
            rule += line[:-1] + " "
        rule += line
        if rule.strip(" \t"):
            found.append((number, rule.strip(" \t")))
    return found


class ReferenceRule:
    """
    A rule.
    """

    def __init__(self, number: int, text: str, role: str) -> None:
        self.number = number
        for one in text:
            if one > "~":
                raise Strange("no ASCII")
        words = [word for word in text.replace("\t", " ").split(" ") if word]
        if words[0] not in ("ALLOW", "DENY"):
            raise Strange("no action")
        self.allows = words[0] == "ALLOW"
        self.level = words[1] if len(words) > 1 else ""
        if (role, self.level) not in KEYS:
            raise Strange("no level")
        self.keys: dict[str, list[str]] = {}
        words = words[2:]
        while words and "=" in words[0]:
            key, value = words[0].split("=", 1)
            if key not in KEYS[role, self.level] or key in self.keys:
                raise Strange("no key")
            self.keys[key] = value.split(",")
            for one in self.keys[key]:
                if not one or any(letter not in VALUE for letter in one):
                    raise Strange("no name")
                stars(one)
            words = words[1:]
        if not words or words[0][0] == ",":
            raise Strange("no list")
        for word in words:
            if "=" in word:
                raise Strange("a key in the list")
        self.list = ReferenceList(" ".join(words))
        if not self.list.entries:
            raise Strange("an empty list")


class ReferenceRules:
    """
    A file.
    """

    def __init__(self, text: str, role: str) -> None:
        self.rules = [ReferenceRule(number, line, role) for number, line in joined(text)]

    def decide(
        self,
        level: str,
        name: str,
        address: str | None,
        hostnames: Sequence[str],
        known: Mapping[str, Sequence[str]],
        things: Mapping[str, str],
        builtIn: str | None,
    ) -> tuple[bool, object]:
        """
        @return: whether it is allowed, and the number of the line that decided, or which other
            rule did.
        """
        last = name.rfind("@")
        if last < 1 or last == len(name) - 1 or len(name.encode()) > 255:
            return False, ""
        for pattern in BANNED:
            if fits(pattern, small(name)):
                return False, "banned"
        found: dict[bool, int] = {}
        for rule in self.rules:
            if rule.level != level or rule.allows in found:
                continue
            if all(
                any(fits(small(one), small(things[key])) for one in values)
                for key, values in rule.keys.items()
            ) and rule.list.match(name, address, hostnames, known):
                found[rule.allows] = rule.number
        if False in found:
            return False, found[False]
        if True in found:
            return True, found[True]
        return (True, "built in") if builtIn is not None else (False, "")
