# -*- test-case-name: tests.test_accessrules -*-
"""
The rules of who may do what: what an access file says, and what follows from it.

C{doc/access.rst} has the syntax.  A rule is C{ACTION LEVEL [key=value ...] LIST}.  DENY
rules go before ALLOW rules, wherever they stand; what no rule says is decided by the
built-in rules, which allow only, and by nobody else.  Whom HTCondor-CE denies always
(L{rvgahp.authorizationlist.BANNED}) is denied first.  One bad line refuses the whole file.

Layer 0: L{rvgahp.accesssyntax}, L{rvgahp.authorizationlist} and below, no I/O;
L{rvgahp.accessreader} reads the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rvgahp import maplimits
from rvgahp.accesssyntax import CE, PROXY, REGISTER, START, Rule, parseRules
from rvgahp.authorizationlist import BANNED
from rvgahp.authorizationlist import parse as parseList

__all__ = [
    "CE",
    "PROXY",
    "REGISTER",
    "START",
    "AccessDecision",
    "AccessRules",
    "Subject",
    "parse",
    "problemWith",
]

_BANNED = parseList(BANNED, "BANNED")


class Subject(NamedTuple):
    """
    Who wants to do something.

    @ivar name: His canonical name, C{user@domain}.
    @ivar address: The IP address that he comes from; L{None} for a local user.
    @ivar hostnames: The names of that host, as for L{AuthorizationList.match}.
    """

    name: str
    address: str | None = None
    hostnames: tuple[str, ...] = ()


class AccessDecision(NamedTuple):
    """
    What the rules say of somebody.

    @ivar isAllowed: Whether he may.
    @ivar rule: The rule that decided, C{FILE:LINE: text} or C{built in: ...}; empty where
        none did, which refuses.
    @ivar refusal: The sentence for him and the log if he may not: who, what, why, and what
        to do; else empty.  It names a rule by file and line alone: what stands there is not
        for him to read.
    """

    isAllowed: bool
    rule: str
    refusal: str


class AccessRules:
    """
    The rules of one file.

    @ivar role: Whose they are: L{PROXY} or L{CE}.
    @ivar path: The file's path.
    """

    def __init__(self, role: str, path: str, rules: Iterable[Rule] = (), there: bool = True):
        """
        @param rules: Use L{parse}, or none.
        @param there: Whether there is such a file.
        """
        self.role = role
        self.path = path
        self._rules = tuple(rules)
        self._there = there

    def __eq__(self, other: object) -> bool:
        """
        Whether they decide the same by the same file: its comments and blanks do not count.
        """
        return isinstance(other, AccessRules) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        """
        The same for equal ones.
        """
        return hash((self.role, self.path))

    def _meaning(self) -> tuple[object, ...]:
        rules = [(rule.text, rule.list.addresses) for rule in self._rules]
        return self.role, self.path, self._there, rules

    @property
    def isThere(self) -> bool:
        """
        Whether there is such a file.
        """
        return self._there

    def levels(self) -> set[str]:
        """
        @return: The levels at which somebody is allowed something.
        """
        return {rule.level for rule in self._rules if rule.isAllowing}

    def hosts(self) -> dict[str, str]:
        """
        @return: The names of hosts without C{*} in the rules, whose addresses
            L{withAddresses} asks for; with each the place C{FILE:LINE} of a DENY rule that
            has it, or nothing.
        """
        found: dict[str, str] = {}
        for rule in self._rules:
            for name in rule.list.hosts:
                found[name] = found.get(name) or ("" if rule.isAllowing else rule.place)
        return found

    def withAddresses(self, addresses: Mapping[str, Iterable[str]]) -> AccessRules:
        """
        @param addresses: By the names in L{hosts}, the addresses that they have.
        @return: The same rules, with the addresses of hosts.
        @raise ValueError: An address is none.
        """
        rules = [rule._replace(list=rule.list.withAddresses(addresses)) for rule in self._rules]
        return AccessRules(self.role, self.path, rules, self._there)

    def whatever(self, *keys: str) -> AccessRules:
        """
        @return: The rules of whether something is possible at all, for values of these keys that
            are not known: it is denied by what denies it whatever they are, and allowed by what
            allows it for some.
        """
        rules = []
        for rule in self._rules:
            left = {key: values for key, values in rule.keys.items() if key not in keys}
            if rule.isAllowing or len(left) == len(rule.keys):
                rules.append(rule._replace(keys=left))
        return AccessRules(self.role, self.path, rules, self._there)

    def needsNames(self, level: str) -> bool:
        """
        @return: Whether the names of the host from which somebody comes count at a level.
        """
        return any(rule.level == level and rule.list.needsNames for rule in self._rules)

    def decide(
        self, level: str, subject: Subject, things: Mapping[str, str], builtIn: str | None = None
    ) -> AccessDecision:
        """
        Whether somebody may do something.

        @param level: L{REGISTER} or L{START}.
        @param things: What it is about, by key: all keys that rules of the level may have.
        @param builtIn: The built-in rule that allows it, in words; L{None} if none does.
        @raise ValueError: The subject's address is none.
        """
        problem = problemWith(subject.name)
        if problem:
            return self._refused(level, subject, things, "", problem)
        banned = _BANNED.match(*subject)
        if banned is not None:
            why = f"{banned} is always denied"
            return self._refused(level, subject, things, f"built in: {why}", why)
        fitting = [rule for rule in self._rules if rule.fits(level, subject, things)]
        for rule in fitting:
            if not rule.isAllowing:
                why = f"{rule.place} denies it"
                return self._refused(level, subject, things, str(rule), why)
        for rule in fitting:
            return AccessDecision(True, str(rule), "")
        if builtIn is not None:
            return AccessDecision(True, f"built in: {builtIn}", "")
        why = f"no rule of {self.path} allows it"
        if not self._there:
            why = f"there is no file {self.path} with a rule that allows it"
        return self._refused(level, subject, things, "", why)

    def _refused(
        self, level: str, subject: Subject, things: Mapping[str, str], rule: str, why: str
    ) -> AccessDecision:
        who, what = _shown(subject.name), _deed(level, things)
        sentence = f"{who} may not {what}: {why}; {self._remedy(level)}"
        return AccessDecision(False, rule, sentence)

    def _remedy(self, level: str) -> str:
        if self.role == CE:
            return f"whoever runs rvgahp-ce at the site can change {self.path} there"
        if level == REGISTER:
            return f"the administrator of the proxy can change {self.path} on its host"
        return (
            f"ask the administrator of the proxy, who can change {self.path}, or bring a site of"
            " your own (rvgahp invite)"
        )


def parse(text: str, path: str, role: str) -> AccessRules:
    """
    Read the text of an access file.

    @param path: Its path, for sentences.
    @param role: Whose it is: L{PROXY} or L{CE}.
    @raise rvgahp.errors.ConfigurationError: It is refused, as a whole; the sentence names file
        and line, and the remedy.
    """
    return AccessRules(role, path, parseRules(text, path, role))


def problemWith(name: str) -> str:
    """
    @return: What keeps a name from being a canonical one; empty if nothing does.
    """
    user, _, domain = name.rpartition("@")
    if not user or not domain:
        return "that is no canonical name, user@domain"
    if not name.isprintable():
        return "that name has control characters"
    if len(name.encode()) > maplimits.SUBJECT_BYTES:
        return f"that name has more than {maplimits.SUBJECT_BYTES} bytes"
    return ""


def _deed(level: str, things: Mapping[str, str]) -> str:
    """
    @return: What somebody wants to do, in words.
    """
    if level == REGISTER:
        return f"register site {_shown(things['site'])}"
    deed = f"start {_shown(things['gahp'])}"
    if "site" in things:
        deed += f" at site {_shown(things['site'])}"
    return f"{deed} as account {_shown(things['account'])}" if things["account"] else deed


def _shown(text: str) -> str:
    """
    @return: What comes from others, fit for one line.
    """
    return text if text.isprintable() and 0 < len(text) <= 300 else ascii(text[:300])
