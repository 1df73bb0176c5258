"""
Map files again, slowly: what C{tests/test_mapdifferences.py} compares L{rvgahp.mapfile} with.

Nothing of L{rvgahp} is used.  Each function follows HTCondor's rules one character after
the other (C{src/condor_utils/MapFile.cpp}), and raises L{Strange} where doc/mapping.rst says
that a file is refused.  Patterns are matched as PCRE does it, by trying one way after the
other.  Texts are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: What a mapping gives: the name, the file, the line's number.
Found = tuple[bytes, str, int]

LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = b"0123456789"
WORD = LETTERS + DIGITS + b"_"

#: What goes on after a part of a pattern has matched, from where and with which groups.
Rest = Callable[[int, dict[int, tuple[int, int]]], Any]


class Strange(Exception):
    """
    Our own rules refuse this.
    """


# -- patterns -----------------------------------------------------------------


def members(name: int) -> set[int]:
    """
    @return: what C{\\d} and its like stand for.
    """
    plain = {b"d": DIGITS, b"w": WORD, b"s": b" \t\n\x0b\x0c\r"}[bytes([name]).lower()]
    return set(plain) if bytes([name]).islower() else set(range(256)) - set(plain)


def endOfClass(text: bytes, at: int) -> int:
    """
    @return: the offset after the class that begins at C{at}.
    """
    at += 1
    if text[at : at + 1] == b"^":
        at += 1
    first = True
    while first or text[at : at + 1] != b"]":
        if at >= len(text):
            raise Strange("a class without end")
        if text[at : at + 1] == b"[":
            raise Strange("[ in a class")
        at += 2 if text[at : at + 1] == b"\\" else 1
        first = False
    return at + 1


def oneMember(text: bytes, at: int) -> tuple[set[int], int]:
    """
    @return: what stands for itself, or after a backslash, in a class, and its length.
    """
    if text[at : at + 1] != b"\\":
        return {text[at]}, 1
    if at + 1 >= len(text):
        raise Strange("nothing after a backslash")
    if text[at + 1] in b"dwsDWS":
        return members(text[at + 1]), 2
    if text[at + 1] in LETTERS + DIGITS:
        raise Strange("an escape")
    return {text[at + 1]}, 2


def classMembers(text: bytes, ignoreCase: bool) -> set[int]:
    """
    @param text: a class with its brackets.
    """
    inner = text[1:-1]
    isNegated = inner[:1] == b"^"
    inner = inner[isNegated:]
    found: set[int] = set()
    at = 0
    while at < len(inner):
        one, size = oneMember(inner, at)
        isHyphen = inner[at : at + 1] == b"-"
        if isHyphen and at and at + 1 < len(inner):
            raise Strange("a hyphen")
        at += size
        if inner[at : at + 1] == b"-" and at + 1 < len(inner):
            other, size = oneMember(inner, at + 1)
            at += 1 + size
            if len(one) != 1 or len(other) != 1 or min(other) < min(one):
                raise Strange("a range")
            one = set(range(min(one), max(other) + 1))
        found |= one
    found = bothCases(found) if ignoreCase else found
    return set(range(256)) - found if isNegated else found


def bothCases(found: set[int]) -> set[int]:
    for byte in list(found):
        if byte in LETTERS:
            found = found | {byte ^ 32}
    return found


class Reference:
    """
    A pattern.
    """

    def __init__(self, text: bytes, ignoreCase: bool, ungreedy: bool) -> None:
        if text[:4] == b"(?i)":
            text, ignoreCase = text[4:], True
        self.text = text
        self.ignoreCase = ignoreCase
        self.ungreedy = ungreedy
        self.groups = 0
        self.ways = self.alternatives(0, len(text))

    def alternatives(self, at: int, end: int) -> list[list[tuple[Any, ...]]]:
        """
        @return: for each alternative its items: what, how often at least, at most, and
            whether as often as possible.
        """
        ways: list[list[tuple[Any, ...]]] = [[]]
        while at < end:
            if self.text[at : at + 1] == b"|":
                ways.append([])
                at += 1
                continue
            what, at = self.item(at, end)
            low, high, greedy, at = self.repeats(at, end)
            if (low, high) != (1, 1) or greedy is not None:
                if self.canBeEmpty(what):
                    raise Strange("a repeat of nothing")
                if self.repeats(at, end)[2] is not None:
                    raise Strange("two repeats")
            ways[-1].append((what, low, high, greedy))
        return ways

    def repeats(self, at: int, end: int) -> tuple[int, int, bool | None, int]:
        """
        @return: how often, C{None} for no repeat, and the offset after it.
        """
        mark = self.text[at : min(at + 1, end)]
        if mark == b"{":
            close = self.text.find(b"}", at, end)
            numbers = self.text[at + 1 : close].split(b",") if close > 0 else []
            if not 1 <= len(numbers) <= 2 or not (numbers[0] and self.isNumber(numbers[0])):
                raise Strange("a brace")
            if not self.isNumber(numbers[-1]):
                raise Strange("a brace")
            low = int(numbers[0])
            high = int(numbers[-1] or 10**6)
            if high < low or high == 0:
                raise Strange("a repeat the wrong way round")
            at = close + 1
        elif mark in (b"*", b"+", b"?") and mark:
            low, high = {b"*": (0, 10**6), b"+": (1, 10**6), b"?": (0, 1)}[mark]
            at += 1
        else:
            return 1, 1, None, at
        lazy = self.text[at : min(at + 1, end)] == b"?"
        at += lazy
        if self.text[at : min(at + 1, end)] == b"+":
            raise Strange("possessive")
        return low, high, lazy == self.ungreedy, at

    @staticmethod
    def isNumber(text: bytes) -> bool:
        return all(byte in DIGITS for byte in text) and len(text) <= 4

    def item(self, at: int, end: int) -> tuple[Any, int]:
        byte = self.text[at : at + 1]
        if byte in (b"*", b"+", b"?", b"{"):
            raise Strange("a repeat of nothing at all")
        if byte == b")":
            raise Strange("no (")
        if byte == b"(":
            return self.group(at, end)
        if byte == b"[":
            close = endOfClass(self.text, at)
            return classMembers(self.text[at:close], self.ignoreCase), close
        if byte in (b"^", b"$"):
            return byte.decode(), at + 1
        if byte == b".":
            return set(range(256)), at + 1
        if byte == b"\\":
            after = self.text[at + 1 : at + 2]
            if after and after in b"AZzbB":
                return {"A": "^", "Z": "$", "z": "$", "b": "b", "B": "B"}[after.decode()], at + 2
        found, size = oneMember(self.text, at)
        return (bothCases(found) if self.ignoreCase else found), at + size

    def group(self, at: int, end: int) -> tuple[Any, int]:
        start = at + 1
        number = 0
        if self.text[start : start + 2] == b"?:":
            start += 2
        elif self.text[start : start + 1] in (b"?", b"*"):
            raise Strange("a special group")
        else:
            self.groups += 1
            number = self.groups
        depth, close = 1, start
        while depth:
            if close >= end:
                raise Strange("no )")
            byte = self.text[close : close + 1]
            if byte == b"[":
                close = endOfClass(self.text, close)
                continue
            depth += (byte == b"(") - (byte == b")")
            close += 2 if byte == b"\\" else 1
        return (number, self.alternatives(start, close - 1)), close

    def canBeEmpty(self, what: Any) -> bool:
        if isinstance(what, set):
            return False
        if isinstance(what, str):
            return True
        return any(
            all(low == 0 or self.canBeEmpty(part) for part, low, _, _ in way) for way in what[1]
        )

    def search(self, subject: bytes) -> list[bytes] | None:
        """
        @return: the groups, as HTCondor has them.
        """
        for start in range(len(subject) + 1):

            def done(end: int, groups: dict[int, tuple[int, int]], start: int = start) -> Any:
                return {**groups, 0: (start, end)}

            found = self.one((0, self.ways), subject, start, {}, done)
            if found is not None:
                last = max(found)
                return [
                    subject[slice(*found[number])] if number in found else b""
                    for number in range(last + 1)
                ]
        return None

    def one(
        self, what: Any, subject: bytes, at: int, groups: dict[int, tuple[int, int]], rest: Rest
    ) -> Any:
        """
        Match one thing, once, and then the rest.
        """
        if isinstance(what, set):
            return rest(at + 1, groups) if at < len(subject) and subject[at] in what else None
        if isinstance(what, str):
            return rest(at, groups) if self.holds(what, subject, at) else None
        number, ways = what

        def close(end: int, inner: dict[int, tuple[int, int]]) -> Any:
            return rest(end, {**inner, number: (at, end)} if number else inner)

        for way in ways:
            found = self.sequence(way, subject, at, groups, close)
            if found is not None:
                return found
        return None

    def holds(self, what: str, subject: bytes, at: int) -> bool:
        if what in "^$":
            return at == (0 if what == "^" else len(subject))
        before = at > 0 and subject[at - 1] in WORD
        after = at < len(subject) and subject[at] in WORD
        return (before != after) == (what == "b")

    def sequence(
        self,
        items: Sequence[tuple[Any, ...]],
        subject: bytes,
        at: int,
        groups: dict[int, tuple[int, int]],
        rest: Rest,
    ) -> Any:
        if not items:
            return rest(at, groups)
        what, low, high, greedy = items[0]

        def times(count: int, here: int, found: dict[int, tuple[int, int]]) -> Any:
            def more() -> Any:
                if count == high:
                    return None
                return self.one(what, subject, here, found, lambda a, g: times(count + 1, a, g))

            def enough() -> Any:
                if count < low:
                    return None
                return self.sequence(items[1:], subject, here, found, rest)

            for attempt in (enough, more) if greedy is False else (more, enough):
                result = attempt()
                if result is not None:
                    return result
            return None

        return times(0, at, groups)


# -- map files ----------------------------------------------------------------


def field(line: bytes, at: int, isPrincipal: bool) -> tuple[bytes, bytes | None, int]:
    """
    @return: a field, its flags if it stands between slashes, the offset after it.
    """
    while at < len(line) and line[at : at + 1] in (b" ", b"\t"):
        at += 1
    mark = line[at : at + 1]
    found = b""
    if mark != b'"' and not (mark == b"/" and isPrincipal):
        while at < len(line) and line[at : at + 1] not in (b" ", b"\t"):
            found += line[at : at + 1]
            at += 1
        return found, None, at
    at += 1
    while True:
        if at >= len(line):
            raise Strange("no end of a field")
        byte = line[at : at + 1]
        if byte == mark:
            break
        if byte == b"\\":
            after = line[at + 1 : at + 2]
            found += after if after in (mark, b"\\") else b"\\" + after
            at += 2
        else:
            found += byte
            at += 1
    at += 1
    flags = b""
    if mark == b"/":
        while line[at : at + 1] in (b"i", b"U"):
            flags += line[at : at + 1]
            at += 1
    if at < len(line) and line[at : at + 1] not in (b" ", b"\t"):
        raise Strange("something behind a field")
    return found, (flags if mark == b"/" else None), at


class ReferenceMap:
    """
    A map file.
    """

    def __init__(self, files: Mapping[str, bytes], path: str, hashKeys: bool) -> None:
        """
        @param files: by path, the contents of files; a path that ends with C{/} is a
            directory, which has those that begin with it.
        """
        self.files = files
        self.hashKeys = hashKeys
        self.lines: list[tuple[bytes, Reference | bytes, bytes, str, int]] = []
        self.read(path, True)

    def read(self, path: str, mayInclude: bool) -> None:
        if path not in self.files:
            raise Strange("no such file")
        for number, line in enumerate(self.files[path].split(b"\n"), 1):
            self.readLine(line, path, number, mayInclude)

    def readLine(self, line: bytes, path: str, number: int, mayInclude: bool) -> None:
        method, _, at = b"", None, 0
        bare = line
        while bare[:1] in (b" ", b"\t") and bare:
            bare = bare[1:]
        if not bare or bare[:1] == b"#":
            return
        for byte in line:
            if (byte < 32 and byte != 9) or byte == 127:
                raise Strange("a control character")
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Strange("no UTF-8") from e
        method, _, at = field(line, 0, False)
        if method == b"@include":
            name, _, at = field(line, at, False)
            self.include(name, path, mayInclude)
        else:
            principal, flags, at = field(line, at, self.hashKeys)
            canonical, _, at = field(line, at, False)
            self.add(method, principal, flags, canonical, path, number)
        while line[at : at + 1] in (b" ", b"\t"):
            at += 1
        if at < len(line) and line[at : at + 1] != b"#":
            raise Strange("more fields")

    def include(self, name: bytes, path: str, mayInclude: bool) -> None:
        if not name or not mayInclude:
            raise Strange("an include")
        wanted = name.decode()
        if wanted[0] != "/":
            wanted = path[: path.rindex("/") + 1] + wanted
        if wanted.endswith("/"):
            for found in sorted(other for other in self.files if other.startswith(wanted)):
                self.read(found, False)
        else:
            self.read(wanted, False)

    def add(
        self,
        method: bytes,
        principal: bytes,
        flags: bytes | None,
        canonical: bytes,
        path: str,
        number: int,
    ) -> None:
        if not method or not principal or not canonical:
            raise Strange("a field is missing")
        if any(byte not in WORD for byte in method) or canonical[:7] == b"PLUGIN:":
            raise Strange("no method, or a plugin")
        key: Reference | bytes = principal
        if not self.hashKeys or flags is not None:
            flags = flags or b""
            key = Reference(principal, b"i" in flags, b"U" in flags)
        groups = key.groups if isinstance(key, Reference) else 0
        at = 0
        while at < len(canonical):
            if canonical[at : at + 1] == b"\\":
                at += 1
                if at == len(canonical):
                    raise Strange("a backslash at the end")
                if canonical[at] in DIGITS and canonical[at] - 48 > groups:
                    raise Strange("no such group")
            at += 1
        self.lines.append((method.upper(), key, canonical, path, number))

    def lookup(self, method: bytes, principal: bytes, domain: bytes) -> Found | None:
        """
        @return: C{None} if no line matches.
        @raise Strange: there is no name for this one.
        """
        if not principal or len(principal) > 4096:
            raise Strange("no principal")
        for byte in principal:
            if byte < 32 or byte == 127:
                raise Strange("a control character")
        for lineMethod, key, canonical, path, number in self.lines:
            if lineMethod != method.upper():
                continue
            if isinstance(key, bytes):
                groups = [key] if key == principal else None
            else:
                groups = key.search(principal)
            if groups is not None:
                return self.named(canonical, groups, domain), path, number
        return None

    def named(self, canonical: bytes, groups: list[bytes], domain: bytes) -> bytes:
        """
        @return: the canonical name with what was matched and the domain.
        """
        name = b""
        at = 0
        while at < len(canonical):
            byte = canonical[at : at + 1]
            if byte == b"\\":
                at += 1
                byte = canonical[at : at + 1]
                if byte in DIGITS and int(byte) < len(groups):
                    name += groups[int(byte)]
                    at += 1
                    continue
                name += b"\\"
            name += byte
            at += 1
        if len(name) > 255 or not name or name[-1:] == b"@":
            raise Strange("no name")
        if b"@" in name and not name[: name.rindex(b"@")]:
            raise Strange("no name")
        try:
            name.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Strange("no text") from e
        if b"@" not in name and domain:
            name += b"@" + domain
        return name
