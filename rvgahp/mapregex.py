# -*- test-case-name: tests.test_mapregex -*-
"""
The regular expressions of map files: PCRE's, as far as they can be matched in a time
that grows no faster than the principal.

HTCondor gives them to PCRE2 as bytes, without any option but C{i} and C{U}, and
unanchored (C{src/condor_utils/MapFile.cpp}, C{CanonicalMapRegexEntry}).  A principal is
the peer's to choose, and a backtracking matcher, PCRE or Python's C{re}, can be kept busy
for years by a long one and an innocent pattern.  PCRE gives up after ten million steps and
HTCondor then goes on to the next line, so that whoever makes a ban's pattern give up is
not banned.  Here each pattern is run on all its ways at once, in the order in which PCRE
would try them (Thompson's construction, Pike's captures): the first way that matches is
PCRE's, and no byte is looked at twice in the same place of a pattern.

What cannot be matched so, or would mean something else here, is refused with a clause: see
L{Pattern}.

Layer 0: L{rvgahp.maplimits} and L{rvgahp.mapsyntax}.
"""

from __future__ import annotations

from rvgahp import maplimits
from rvgahp.mapsyntax import (
    ALTERNATIVES,
    BEGIN,
    EDGE,
    END,
    GROUP,
    REPEAT,
    SEQUENCE,
    SET,
    Misread,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rvgahp.mapsyntax import Node

__all__ = ["Pattern", "Steps", "TooManySteps"]

_BYTE, _FORK, _JUMP, _SAVE, _ASSERT, _MATCH = range(6)

_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class TooManySteps(Exception):
    """
    The steps of a lookup are used up.
    """


class Steps:
    """
    What a lookup may still spend.

    @ivar left: Steps, about 0.3 microseconds each.
    """

    def __init__(self, left: int) -> None:
        self.left = left


class Pattern:
    """
    One pattern.  It has PCRE2's meaning, or is refused:

      - bytes stand for themselves, a dot for any; a backslash makes plain what is no
        letter and no digit;
      - C{\\d \\D \\w \\W \\s \\S}; classes with ranges and these in them;
      - C{^ $ \\A \\Z \\z \\b \\B}; there is never a newline in a principal;
      - C{(...)}, C{(?:...)}, C{|}; a leading C{(?i)};
      - C{*}, C{+}, C{?} and counted repeats, also lazy, of what cannot match nothing.

    @ivar groups: How many capturing groups it has.
    """

    def __init__(self, text: bytes, ignoreCase: bool = False, ungreedy: bool = False) -> None:
        """
        @param text: The pattern.
        @param ignoreCase: PCRE2_CASELESS, the flag C{i}: ASCII letters only.
        @param ungreedy: PCRE2_UNGREEDY, the flag C{U}: repeats take as little as they
            can, and those with a C{?} as much.
        @raise Misread: It is wrong, or has what is not supported.
        """
        tree, self.groups = parse(text, ignoreCase, ungreedy)
        self._program: list[tuple[int, ...]] = []
        self._emit((GROUP, 0, tree))
        self._add(_MATCH)
        self._isAnchored, self._prefix = _start(tree)

    def search(self, subject: bytes, steps: Steps) -> list[bytes] | None:
        """
        Look for the first match.

        @param subject: Where, without newlines.
        @param steps: Taken from.
        @return: What C{\\0}, C{\\1} ... stand for, to the last group that has matched
            (one before it that has not is empty, as HTCondor has it); L{None} if nothing
            matches.
        @raise TooManySteps: C{steps} are used up.
        """
        spans = self._run(subject, steps)
        if spans is None:
            return None
        found = [subject[spans[i] : spans[i + 1]] for i in range(0, len(spans), 2)]
        while spans[2 * len(found) - 1] < 0:
            found.pop()
        return found

    def _run(self, subject: bytes, steps: Steps) -> tuple[int, ...] | None:
        """
        @return: The ends of all groups, C{-1} for those that have not matched.
        """
        nothing = (-1,) * (2 * self.groups + 2)
        found: tuple[int, ...] | None = None
        ways: list[tuple[int, tuple[int, ...]]] = []
        seen: set[int] = set()
        position, end = 0, len(subject)
        while position <= end:
            if steps.left < 0:
                raise TooManySteps
            steps.left -= 1
            if not ways:
                start = self._nextStart(subject, position) if found is None else -1
                if start < 0:
                    break
                if start > position:
                    position, seen = start, set()
            if found is None:
                self._follow(0, nothing, subject, position, ways, seen, steps)
            following: list[tuple[int, tuple[int, ...]]] = []
            seen = set()
            for place, spans in ways:
                step = self._program[place]
                if step[0] == _MATCH:
                    found = spans
                    break  # What comes after it, PCRE would have tried later.
                if position < end and step[1] >> subject[position] & 1:
                    self._follow(place + 1, spans, subject, position + 1, following, seen, steps)
            ways = following
            position += 1
        return found

    def _nextStart(self, subject: bytes, position: int) -> int:
        """
        @return: Where a match can begin, from C{position} on; C{-1} for nowhere.
        """
        if self._isAnchored:
            return 0 if position == 0 and subject.startswith(self._prefix) else -1
        return subject.find(self._prefix, position)

    def _follow(
        self,
        place: int,
        spans: tuple[int, ...],
        subject: bytes,
        position: int,
        ways: list[tuple[int, tuple[int, ...]]],
        seen: set[int],
        steps: Steps,
    ) -> None:
        """
        Add the ways from C{place} on to what takes the byte at C{position}, the one that
        PCRE would try first first.
        """
        left = [(place, spans)]
        while left:
            place, spans = left.pop()
            if place in seen:
                continue
            seen.add(place)
            steps.left -= 1
            step = self._program[place]
            if step[0] == _FORK:
                left += [(step[2], spans), (step[1], spans)]
            elif step[0] == _JUMP:
                left.append((step[1], spans))
            elif step[0] == _SAVE:
                left.append((place + 1, (*spans[: step[1]], position, *spans[step[1] + 1 :])))
            elif step[0] != _ASSERT:
                ways.append((place, spans))
            elif _holds(step[1], step[2], subject, position):
                left.append((place + 1, spans))

    def _emit(self, node: Node) -> None:
        """
        Write the program of a part of the pattern.
        """
        kind = node[0]
        if kind == SET:
            self._add(_BYTE, node[1])
        elif kind == SEQUENCE:
            for part in node[1]:
                self._emit(part)
        elif kind == GROUP:
            self._add(_SAVE, 2 * node[1])
            self._emit(node[2])
            self._add(_SAVE, 2 * node[1] + 1)
        elif kind == ALTERNATIVES:
            self._emitAlternatives(node[1])
        elif kind == REPEAT:
            self._emitRepeat(*node[1:])
        else:
            self._add(_ASSERT, kind, node[1])

    def _emitAlternatives(self, parts: list[Node]) -> None:
        ends = []
        for part in parts[:-1]:
            fork = self._add(_FORK)
            self._emit(part)
            ends.append(self._add(_JUMP))
            self._program[fork] = (_FORK, fork + 1, len(self._program))
        self._emit(parts[-1])
        for end in ends:
            self._program[end] = (_JUMP, len(self._program))

    def _emitRepeat(self, node: Node, low: int, high: int | None, isGreedy: bool) -> None:
        for _ in range(low):
            self._emit(node)
        forks = []
        for _ in range(1 if high is None else high - low):
            forks.append(self._add(_FORK))
            self._emit(node)
        if high is None:
            self._add(_JUMP, forks[0])
        for fork in forks:
            ways = (fork + 1, len(self._program))
            self._program[fork] = (_FORK, *(ways if isGreedy else ways[::-1]))

    def _add(self, *step: int) -> int:
        """
        @return: The place of this step.
        """
        if len(self._program) >= maplimits.PATTERN_STEPS:
            raise Misread("the pattern is too large, written out without its counted repeats")
        self._program.append(step)
        return len(self._program) - 1


def _start(tree: Node) -> tuple[bool, bytes]:
    """
    @return: Whether a match begins at the beginning only, and bytes with which each match
        begins.
    """
    parts = tree[1] if tree[0] == SEQUENCE else [tree]
    isAnchored = bool(parts) and parts[0][0] == BEGIN
    prefix = bytearray()
    for part in parts[isAnchored:]:
        if part[0] != SET or part[1].bit_count() != 1:
            break
        prefix.append(part[1].bit_length() - 1)
    return isAnchored, bytes(prefix)


def _holds(kind: int, isNegated: int, subject: bytes, position: int) -> bool:
    """
    Whether an assertion holds.
    """
    if kind == BEGIN:
        return position == 0
    if kind == END:
        return position == len(subject)
    assert kind == EDGE
    before = position > 0 and subject[position - 1] in _WORD
    after = position < len(subject) and subject[position] in _WORD
    return (before != after) != bool(isNegated)
