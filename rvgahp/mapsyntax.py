# -*- test-case-name: tests.test_mapregex -*-
"""
How the regular expressions of map files are written: from text to a tree.

PCRE2's syntax (C{pcre2pattern(3)}), of which L{rvgahp.mapregex.Pattern} lists what is
taken.  The rest is refused, also where PCRE has a rule for it that few know, such as a brace
that begins no repeat: a line that maps people should not need one.

Layer 0: L{rvgahp.errors} and L{rvgahp.maplimits}.
"""

from __future__ import annotations

from typing import Any

from rvgahp import maplimits
from rvgahp.errors import ConfigurationError

__all__ = [
    "ALTERNATIVES",
    "BEGIN",
    "EDGE",
    "END",
    "GROUP",
    "REPEAT",
    "SEQUENCE",
    "SET",
    "Misread",
    "Node",
    "parse",
]


class Misread(ConfigurationError):
    """
    A line of a map file is wrong.  The text is a clause, to which whoever has the line
    adds file and number.
    """


Node = tuple[Any, ...]
"""
One of::

    (SET, bits)                 one byte; bit N is set for byte N
    (SEQUENCE, [nodes])
    (ALTERNATIVES, [nodes])
    (GROUP, number, node)       capturing
    (REPEAT, node, low, high, isGreedy)     high is None for no end
    (BEGIN, 0), (END, 0), (EDGE, isNegated)
"""

SET, SEQUENCE, ALTERNATIVES, GROUP, REPEAT, BEGIN, END, EDGE = range(8)

_ALL = (1 << 256) - 1


def _bits(members: bytes) -> int:
    return sum(1 << byte for byte in set(members))


_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_NAMED = {
    ord("d"): _bits(_DIGITS),
    ord("w"): _bits(_LOWER + _LOWER.upper() + _DIGITS + b"_"),
    ord("s"): _bits(b" \t\n\v\f\r"),
}
_NAMED |= {name - 32: _ALL ^ bits for name, bits in _NAMED.items()}

_ASSERTIONS = {
    ord("A"): (BEGIN, 0),
    ord("Z"): (END, 0),
    ord("z"): (END, 0),
    ord("b"): (EDGE, 0),
    ord("B"): (EDGE, 1),
}

_REPEATS: dict[int, tuple[int, int | None]] = {
    ord("*"): (0, None),
    ord("+"): (1, None),
    ord("?"): (0, 1),
}

_ALPHANUMERIC = frozenset(_LOWER + _LOWER.upper() + _DIGITS)


def parse(text: bytes, ignoreCase: bool, ungreedy: bool) -> tuple[Node, int]:
    """
    Take a pattern apart.

    @return: Its tree, and how many capturing groups it has.
    @raise Misread: It is wrong, or has what is not supported.
    """
    if len(text) > maplimits.PATTERN_BYTES:
        raise Misread(f"the pattern has more than {maplimits.PATTERN_BYTES} bytes")
    if text.startswith(b"(?i)"):
        text, ignoreCase = text[4:], True
    parser = _Parser(text, ignoreCase, ungreedy)
    tree = parser.alternatives(0)
    if parser.at < len(text):
        raise Misread("a ) has no ( before it")
    return tree, parser.groups


def _canBeEmpty(node: Node) -> bool:
    """
    Whether a part of a pattern can match nothing.
    """
    kind = node[0]
    if kind in (SEQUENCE, ALTERNATIVES):
        return (all if kind == SEQUENCE else any)(_canBeEmpty(part) for part in node[1])
    if kind == GROUP:
        return _canBeEmpty(node[2])
    return kind != SET and not (kind == REPEAT and node[2])


class _Parser:
    """
    Recursive descent, as deep as groups are nested.

    @ivar at: The offset of the next byte.
    @ivar groups: Capturing groups so far.
    """

    def __init__(self, text: bytes, ignoreCase: bool, ungreedy: bool) -> None:
        self._text = text
        self._ignoreCase = ignoreCase
        self._ungreedy = ungreedy
        self.at = 0
        self.groups = 0

    def _takes(self, what: bytes) -> bool:
        """
        Go beyond C{what} if it is next.
        """
        isNext = self._text.startswith(what, self.at)
        self.at += len(what) * isNext
        return isNext

    def _next(self, where: str) -> int:
        if self.at == len(self._text):
            raise Misread(f"{where} has no end")
        self.at += 1
        return self._text[self.at - 1]

    def alternatives(self, depth: int) -> Node:
        """
        To the end, or to a C{)}.
        """
        if depth > maplimits.PATTERN_DEPTH:
            raise Misread("groups are nested too deeply")
        parts = [self._sequence(depth)]
        while self._takes(b"|"):
            parts.append(self._sequence(depth))
        return (ALTERNATIVES, parts) if len(parts) > 1 else parts[0]

    def _sequence(self, depth: int) -> Node:
        parts = []
        while self.at < len(self._text) and self._text[self.at] not in b"|)":
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else (SEQUENCE, parts)

    def _repeated(self, node: Node) -> Node:
        """
        With the repeat that may follow.
        """
        found = self._repeat()
        if found is None:
            return node
        if _canBeEmpty(node):
            raise Misread(
                "something is repeated that can match nothing: take the inner or the outer"
                " repeat away"
            )
        isGreedy = self._takes(b"?") == self._ungreedy
        if self._takes(b"+"):
            raise Misread("possessive repeats are not supported: leave out the last +")
        if self._repeat() is not None:
            raise Misread("two repeats follow each other")
        return (REPEAT, node, *found, isGreedy)

    def _repeat(self) -> tuple[int, int | None] | None:
        if self.at == len(self._text):
            return None
        found = _REPEATS.get(self._text[self.at])
        if found is not None:
            self.at += 1
            return found
        return self._counts() if self._takes(b"{") else None

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find(b"}", self.at)
        low, comma, high = self._text[self.at : max(end, self.at)].partition(b",")
        if not all(n.isdigit() and len(n) <= 4 for n in (low, *([high] if high else []))):
            raise Misread("a { begins no repeat such as {2,5}: a plain one is \\{")
        self.at = end + 1
        first = int(low)
        last = (int(high) if high else None) if comma else first
        if last is not None and (last < first or last == 0):
            raise Misread("a repeat's second number is 0 or less than its first")
        return first, last

    def _atom(self, depth: int) -> Node:
        byte = self._next("the pattern")
        if byte in b"*+?{":
            raise Misread(f"nothing that could be repeated is before {chr(byte)}")
        if byte == ord("("):
            return self._group(depth)
        if byte == ord("["):
            return (SET, self._class())
        if byte == ord("\\"):
            return self._escape()
        if byte in b"^$":
            return (BEGIN if byte == ord("^") else END, 0)
        return (SET, _ALL if byte == ord(".") else self._folded(1 << byte))

    def _group(self, depth: int) -> Node:
        number = 0
        if not self._takes(b"?:"):
            if self._text[self.at : self.at + 1] in (b"?", b"*"):
                raise Misread(
                    "a group that begins with (? or (* is not supported, except (?: and, at the"
                    " very beginning, (?i)"
                )
            self.groups += 1
            number = self.groups
        node = self.alternatives(depth + 1)
        if not self._takes(b")"):
            raise Misread("a ( has no ) after it")
        return (GROUP, number, node) if number else (SEQUENCE, [node])

    def _escape(self) -> Node:
        byte = self._next("a \\")
        if byte in _ASSERTIONS:
            return _ASSERTIONS[byte]
        return (SET, self._folded(self._escaped(byte)))

    def _escaped(self, byte: int) -> int:
        """
        @return: The bits of what stands after a backslash, in a class or not.
        """
        if byte in _NAMED:
            return _NAMED[byte]
        if byte in _ALPHANUMERIC:
            raise Misread(
                f"\\{chr(byte)} is not supported; of letters and digits \\d \\w \\s \\b \\A \\z"
                " and their like are, outside of a class"
            )
        return 1 << byte

    def _class(self) -> int:
        """
        What stands between brackets.
        """
        isNegated = self._takes(b"^")
        bits, isFirst = 0, True
        while isFirst or not self._takes(b"]"):
            bits |= self._member(isFirst)
            isFirst = False
        bits = self._folded(bits)
        return _ALL ^ bits if isNegated else bits

    def _member(self, isFirst: bool) -> int:
        """
        @return: The bits of one member of a class, a range perhaps.
        """
        isPlainHyphen = self._text.startswith(b"-", self.at)
        first = self._end()
        if isPlainHyphen and not isFirst and not self._text.startswith(b"]", self.at):
            raise Misread(
                "a - in a class is neither first nor last nor in a range: a plain one is \\-"
            )
        if not self._text.startswith(b"-", self.at) or self._text.startswith(b"-]", self.at):
            return first
        self.at += 1
        last = self._end()
        if first.bit_count() != 1 or last.bit_count() != 1 or last < first:
            raise Misread("a range in a class does not go from one byte to a later one")
        return (last << 1) - first

    def _end(self) -> int:
        byte = self._next("a class")
        if byte == ord("["):
            raise Misread(
                "a [ stands in a class: a plain one is \\[, and names such as [:alpha:] are not"
                " supported"
            )
        return self._escaped(self._next("a class")) if byte == ord("\\") else 1 << byte

    def _folded(self, bits: int) -> int:
        """
        With the other case of its letters, if case does not count.
        """
        if self._ignoreCase:
            for lower in _LOWER:
                if bits >> lower & 1 or bits >> (lower - 32) & 1:
                    bits |= 1 << lower | 1 << (lower - 32)
        return bits
