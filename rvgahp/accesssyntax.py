# -*- test-case-name: tests.test_accessrules -*-
"""
The lines of an access file.

A line ends in a backslash if the rule goes on in the next.  C{#} at the beginning of a line, or
after a blank, begins a comment.  What looks otherwise than it would be understood is refused.

Layer 0: L{rvgahp.authorizationlist} and below, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from rvgahp import maplimits
from rvgahp.addresspattern import WildcardText, lowered
from rvgahp.authorizationlist import AuthorizationList
from rvgahp.authorizationlist import parse as parseList
from rvgahp.errors import ConfigurationError

if TYPE_CHECKING:
    from rvgahp.accessrules import Subject

__all__ = ["CE", "PROXY", "REGISTER", "START", "Rule", "parseRules"]

PROXY = "proxy"
CE = "ce"

REGISTER = "REGISTER"
"""A CE registers a site."""

START = "START"
"""Somebody starts a GAHP."""

_KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    PROXY: {REGISTER: ("site",), START: ("site", "gahp", "account")},
    CE: {START: ("gahp", "account")},
}
"""By role and level, what a rule may be limited to."""

#: Characters of a rule that are shown: it stands in the log at each start.
_SHOWN = 200

_KEY = re.compile(r"([A-Za-z]*)=(.*)")
_VALUE = re.compile(r"[A-Za-z0-9.@_+*-]+")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")


class Rule(NamedTuple):
    """
    A rule.

    @ivar place: C{FILE:LINE}, of its first line.
    @ivar text: It, as it is written.
    @ivar isAllowing: Whether it is an ALLOW rule.
    @ivar level: L{REGISTER} or L{START}.
    @ivar keys: What it is limited to, by key.
    @ivar list: Whom it is about.
    """

    place: str
    text: str
    isAllowing: bool
    level: str
    keys: Mapping[str, tuple[WildcardText, ...]]
    list: AuthorizationList

    def __str__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        return f"{self.place}: {text}"

    def fits(self, level: str, subject: Subject, things: Mapping[str, str]) -> bool:
        """
        @param things: By key, what it is about.
        @return: Whether the rule is about this.
        @raise ValueError: The subject's address is none.
        """
        return (
            level == self.level
            and all(
                any(one.matches(lowered(things[key])) for one in values)
                for key, values in self.keys.items()
            )
            and self.list.permits(*subject)
        )


class _Misread(Exception):
    """
    A line is refused, for this reason: a clause that says what to do.
    """


def parseRules(text: str, path: str, role: str) -> list[Rule]:
    """
    Read the text of an access file.

    @param path: Its path, for sentences.
    @param role: Whose it is: L{PROXY} or L{CE}.
    @raise ConfigurationError: It is refused, as a whole; the sentence names file and line, and
        the remedy.
    """
    rules: list[Rule] = []
    number = 0
    try:
        for number, line in _lines(text):
            if len(rules) >= maplimits.ACCESS_RULES:
                raise _Misread(f"there may be {maplimits.ACCESS_RULES} rules, so put some together")
            rules.append(_rule(f"{path}:{number}", line, role))
    except _Misread as e:
        number = e.args[1] if len(e.args) > 1 else number
        raise ConfigurationError(
            f"{path}:{number}: {e.args[0]}; no rule of this file counts."
        ) from None
    return rules


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """
    @return: Number and text of each rule, without comments.
    """
    rule, first, hanging = "", 0, 0
    for number, line in enumerate(text.split("\n"), 1):
        if any((ord(one) < 32 and one != "\t") or ord(one) == 127 for one in line):
            raise _Misread(
                "it has control characters, perhaps Windows' line ends: remove them", number
            )
        bare = _COMMENT.sub("", line)
        if hanging and bare.strip(" \t"):
            raise _Misread("a comment does not go on: remove the backslash at its end", hanging)
        hanging = number if bare != line and line.endswith("\\") else 0
        goesOn = bare.endswith("\\")
        first = first or number
        rule += bare[:-1] + " " if goesOn else bare
        if not goesOn:
            if rule.strip(" \t"):
                yield first, rule.strip(" \t")
            rule, first = "", 0
    if rule or first:
        raise _Misread(
            "the last line ends in a backslash: remove it, or add what is missing", first
        )


def _rule(place: str, text: str, role: str) -> Rule:
    """
    @raise _Misread: It is refused.
    """
    if not text.isascii():
        raise _Misread("it has other characters than ASCII: write them in comments only")
    action, rest = _word(text)
    if action not in ("ALLOW", "DENY"):
        raise _Misread(f"{action[:80]!a} is no action: a rule begins with ALLOW or DENY")
    level, rest = _word(rest)
    levels = _KEYS[role]
    if level not in levels:
        raise _Misread(
            f"{level[:80]!a} is no level of the {'CE' if role == CE else role}: write"
            f" {' or '.join(levels)} after {action}"
        )
    keys, rest = _keys(rest, levels[level], level)
    if "=" in rest or rest.startswith(","):
        raise _Misread(
            "key=value stands before the list of users and hosts, without blanks around = and"
            " commas, and nothing in the list has a ="
        )
    try:
        found = parseList(rest, f"this {action} rule")
    except ConfigurationError as e:
        raise _Misread(str(e).rstrip(".")) from None
    if not found:
        raise _Misread("nobody is listed: write user@domain, a host, or * at the end of the line")
    return Rule(place, " ".join(text.split()), action == "ALLOW", level, keys, found)


def _word(text: str) -> tuple[str, str]:
    """
    @return: The first word, and what follows.
    """
    word, rest, *_ = [*text.split(None, 1), "", ""]
    return word, rest


def _keys(
    text: str, known: tuple[str, ...], level: str
) -> tuple[dict[str, tuple[WildcardText, ...]], str]:
    """
    @return: The keys with which C{text} begins, and what follows.
    @raise _Misread: One is wrong.
    """
    keys: dict[str, tuple[WildcardText, ...]] = {}
    while True:
        word, rest = _word(text)
        match = _KEY.fullmatch(word)
        if match is None:
            return keys, text
        key, value = match.groups()
        if key not in known:
            raise _Misread(f"{key[:80]!a} is no key of {level} here: write {', '.join(known)}")
        if key in keys:
            raise _Misread(f"{key} is given twice: write {key}=a,b")
        keys[key] = tuple(_value(key, one) for one in value.split(","))
        text = rest


def _value(key: str, text: str) -> WildcardText:
    """
    @raise _Misread: It is none.
    """
    if not _VALUE.fullmatch(text):
        raise _Misread(
            f"{key} cannot be {text[:80]!a}: write names with commas and no blanks between them"
        )
    try:
        return WildcardText(text)
    except ConfigurationError as e:
        raise _Misread(f"{key}: {e}") from None
