# -*- test-case-name: tests.test_mapfile -*-
"""
HTCondor's map files (CERTIFICATE_MAPFILE): from what a method of authentication proves to
a canonical name.

A line is C{METHOD principal canonical}; C{doc/mapping.rst} has the syntax.  The meaning is
HTCondor's (C{src/condor_utils/MapFile.cpp}, C{ParseField}, C{ParseCanonicalization},
C{GetCanonicalization}, C{PerformSubstitution}) except that nothing is skipped: HTCondor
logs a line that it does not understand and goes on to the next, which leaves whoever a
broken ban line names with what a later one gives.  Here one such line refuses the file,
and so do lines that HTCondor understands as their author can hardly have meant.

Layer 0: the modules below it, no I/O; L{rvgahp.mapreader} reads the files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from rvgahp import maplimits
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.mapfields import BLANKS, Fields, isControlled
from rvgahp.mapregex import Pattern, Steps, TooManySteps
from rvgahp.mapsyntax import Misread

__all__ = ["Include", "MapFile", "Match", "parse", "problemWith"]

Include = Callable[[str], Iterable[tuple[str, bytes]]]
"""What C{@include} asks: from a path to the paths and contents of the files that it
stands for, in their order."""

_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class Match(NamedTuple):
    """
    How an identity is mapped.

    @ivar canonical: The canonical name.
    @ivar path: The file of the line that decided.
    @ivar number: That line's number, from 1.
    @ivar text: The line.
    """

    canonical: str
    path: str
    number: int
    text: str


class _Line:
    """
    What a line maps to.
    """

    def __init__(self, path: str, number: int, text: str, canonical: bytes) -> None:
        """
        @raise Misread: The canonical name cannot be used.
        """
        self.path = path
        self.number = number
        self.text = text
        if canonical.startswith(b"PLUGIN:"):
            raise Misread("mapping plugins (PLUGIN:) are not supported")
        self._parts: list[bytes | int] = []
        at = 0
        while at < len(canonical):
            size = 2 if canonical[at : at + 1] == b"\\" else 1
            part = canonical[at : at + size]
            if len(part) < size:
                raise Misread("the canonical name ends with a backslash")
            self._parts.append(int(part[1:]) if part[1:].isdigit() else part)
            at += size

    def highest(self) -> int:
        """
        @return: The highest group that the canonical name asks for.
        """
        return max((part for part in self._parts if isinstance(part, int)), default=0)

    def name(self, groups: list[bytes]) -> bytes:
        """
        @return: The canonical name; a group beyond those that matched stays as it is
            written.
        """
        return b"".join(
            part
            if isinstance(part, bytes)
            else groups[part]
            if part < len(groups)
            else b"\\%d" % part
            for part in self._parts
        )


class MapFile:
    """
    A map file with what it includes.

    @ivar files: The paths of all files, in their order.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self._said = sha256()
        self._tables: dict[bytes, list[dict[bytes, _Line] | tuple[Pattern, _Line]]] = {}

    def __eq__(self, other: object) -> bool:
        """
        Whether the same lines stand in both, in the same order: comments do not count.
        """
        return isinstance(other, MapFile) and self._said.digest() == other._said.digest()

    def __hash__(self) -> int:
        """
        The same for equal ones.
        """
        return hash(self._said.digest())

    @property
    def methods(self) -> list[str]:
        """
        The methods that have lines, in capitals.
        """
        return [method.decode("ascii") for method in self._tables]

    def lookup(self, method: str, principal: str, domain: str = "") -> Match | None:
        """
        Map an identity: the first line in the order of the files decides.

        @param method: The method of authentication, as SSL or FS; case does not count.
        @param principal: What it has proved.
        @param domain: UID_DOMAIN, for a name without C{@}; if empty it stays without.
        @return: L{None} if no line matches.
        @raise NotAuthorized: The principal can have no name: it, or what it would be
            mapped to, is no proper name, or it takes too long.  No later line is
            looked at.
        """
        problem = problemWith(principal)
        if problem:
            raise NotAuthorized(problem)
        steps = Steps(maplimits.LOOKUP_STEPS)
        name = principal.encode()
        try:
            for table in self._tables.get(method.encode("ascii", "replace").upper(), ()):
                found = _find(table, name, steps)
                if found is not None:
                    line, groups = found
                    canonical = _canonical(line, line.name(groups), domain)
                    return Match(canonical, line.path, line.number, line.text)
        except TooManySteps:
            raise NotAuthorized(
                f"mapping a principal of {len(name)} bytes took more than"
                f" {maplimits.LOOKUP_STEPS} steps: map files should have literals, or patterns"
                " that begin with ^"
            ) from None
        return None

    def _addLiteral(self, method: bytes, principal: bytes, line: _Line) -> None:
        tables = self._tables.setdefault(method, [])
        if not tables or not isinstance(tables[-1], dict):
            tables.append({})
        last = tables[-1]
        assert isinstance(last, dict)
        last.setdefault(principal, line)

    def _addPattern(self, method: bytes, pattern: Pattern, line: _Line) -> None:
        self._tables.setdefault(method, []).append((pattern, line))


def problemWith(principal: str) -> str:
    """
    Whether a principal may be looked up at all.

    @return: A sentence without a full stop; empty if it may.
    """
    try:
        name = principal.encode()
    except UnicodeEncodeError:
        return "the principal is no text"
    if not name:
        return "the principal is empty"
    if len(name) > maplimits.PRINCIPAL_BYTES:
        return (
            f"the principal has {len(name)} bytes, and more than {maplimits.PRINCIPAL_BYTES} are"
            " not mapped"
        )
    if isControlled(name):
        return "the principal has control characters"
    return ""


def _find(
    table: dict[bytes, _Line] | tuple[Pattern, _Line], name: bytes, steps: Steps
) -> tuple[_Line, list[bytes]] | None:
    """
    @return: The line that matches, and its groups.
    """
    if isinstance(table, dict):
        found = table.get(name)
        return None if found is None else (found, [name])
    pattern, line = table
    groups = pattern.search(name, steps)
    return None if groups is None else (line, groups)


def _canonical(line: _Line, name: bytes, domain: str) -> str:
    """
    @raise NotAuthorized: It is no name.
    """
    user, at, inDomain = name.rpartition(b"@")
    if not (user if at else name) or (at and not inDomain):
        problem = "is half empty"
    elif len(name) > maplimits.CANONICAL_NAME_BYTES:
        problem = f"has more than {maplimits.CANONICAL_NAME_BYTES} bytes"
    else:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            problem = "is no text"
        else:
            return f"{text}@{domain}" if domain and not at else text
    raise NotAuthorized(
        f"the name to which {line.path}, line {line.number}, maps this principal {problem}"
    )


def parse(
    content: bytes, path: str, hashKeys: bool = False, include: Include | None = None
) -> MapFile:
    """
    Read a map file.

    @param content: What stands in it.
    @param path: Its path, for sentences and for what it includes.
    @param hashKeys: CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS: a principal is a literal
        unless it is written between slashes.
    @param include: Reads what it includes; without one nothing may be.
    @raise ConfigurationError: It is refused, as a whole; the sentence names file and
        line.
    """
    parser = _Parser(hashKeys)
    parser.read(content, path, include)
    return parser.map


class _Parser:
    """
    The reading of one map file, with what it includes.
    """

    def __init__(self, hashKeys: bool) -> None:
        self.map = MapFile()
        self._hashKeys = hashKeys
        self._bytes = 0
        self._lines = 0

    def read(self, content: bytes, path: str, include: Include | None) -> None:
        """
        @param include: L{None} in an included file.
        """
        self._bytes += len(content)
        if len(content) > maplimits.FILE_BYTES or self._bytes > maplimits.TOTAL_BYTES:
            raise ConfigurationError(
                f"The map file {path} is too large: one may have {maplimits.FILE_BYTES} bytes,"
                f" and {maplimits.TOTAL_BYTES} with all that it includes."
            )
        self.map.files.append(path)
        for number, line in enumerate(content.split(b"\n"), 1):
            try:
                self._readLine(line.strip(BLANKS), path, number, include)
            except Misread as e:
                raise ConfigurationError(
                    f"The map file {path} is not used: line {number}: {e}."
                ) from e

    def _readLine(self, line: bytes, path: str, number: int, include: Include | None) -> None:
        """
        @raise Misread: It is refused.
        """
        if not line or line.startswith(b"#"):
            return
        self.map._said.update(b"%d %b\n" % (self._hashKeys, line))
        self._lines += 1
        if self._lines > maplimits.TOTAL_LINES:
            raise Misread(f"it is one more than the {maplimits.TOTAL_LINES} that a map may have")
        fields = Fields(line)
        method, _ = fields.take("method", False)
        if method == b"@include":
            self._include(fields, path, include)
            return
        if not method or not _METHOD.issuperset(method):
            raise Misread("the method has something else than letters, digits and underscores")
        principal, flags = fields.take("principal", self._hashKeys)
        canonical, _ = fields.take("canonical name", False)
        fields.end()
        target = _Line(path, number, fields.text, canonical)
        if self._hashKeys and flags is None:
            groups = 0
            self.map._addLiteral(method.upper(), principal, target)
        else:
            pattern = Pattern(principal, b"i" in (flags or b""), b"U" in (flags or b""))
            groups = pattern.groups
            self.map._addPattern(method.upper(), pattern, target)
        if target.highest() > groups:
            raise Misread(
                f"the canonical name has \\{target.highest()}, and the principal {groups} groups"
            )

    def _include(self, fields: Fields, path: str, include: Include | None) -> None:
        name, _ = fields.take("path", False)
        fields.end()
        if include is None:
            raise Misread("an included file may not include others")
        for included, content in include(posixpath.join(posixpath.dirname(path), name.decode())):
            self.read(content, included, None)
