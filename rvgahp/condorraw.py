# -*- test-case-name: tests.test_condorconfig -*-
"""
What HTCondor's own reader has to say of condor_config: which names are set,
their raw text, their value.  Layer 2, for L{rvgahp.condorconfig} alone, which
runs in a process of its own: anything here may end it or never return.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol

from rvgahp.errors import ConfigurationError

__all__ = [
    "DumpedTable",
    "LibraryTable",
    "Table",
    "assignmentsIn",
    "cycleFrom",
    "cycleInWords",
]

_SUBSYSTEM = "RVGAHP"
_OVERRIDE = "_CONDOR_"
_HASHITER_NO_DEFAULTS = 1

_SEARCHED = 4 << 20
"""Characters of a file in which assignments are looked for."""

_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.]+)\s*=(.*)")
_REFERENCE = re.compile(r"(?<!\$)\$\(([A-Za-z0-9_.]+)")


class Table(Protocol):
    """
    All settings that a file or the environment sets.

    @ivar reader: What read them, and its version.
    @ivar names: Their names in capitals.
    """

    reader: str
    names: list[str]

    def raw(self, name: str) -> str | None:
        """
        A setting's text with its macros unexpanded, or L{None} if it has none
        or that cannot be told.
        """

    def value(self, name: str) -> str:
        """
        A setting's text with its macros expanded, C{""} for an empty one.
        """


class LibraryTable:
    """
    A L{Table} by C{htcondor2.param}.

    That interface tells neither which names are set, in contrast to those with
    a default that is compiled in, nor their unexpanded text: its C{keys()}
    lists both sorts and expands every value on the way (HTCondor 25.14,
    C{src/python-bindings/htcondor2/param.cpp}).  So these two questions go to
    the library behind it: to C{foreach_param} and C{param_unexpanded}, which
    its header declares (C{src/condor_includes/condor_config.h}) and which
    C{condor_config_val} stands on.  Should a later one lack them, C{keys()} is
    used, and what has its default's value counts as not set.
    """

    def __init__(self, library: ModuleType, file: str | None) -> None:
        """
        Read the configuration.

        @param library: C{htcondor2}.
        @param file: The file that must have been read, or L{None} for none.
        @raise ConfigurationError: It was not.
        """
        self.reader = f"htcondor2 {_version(library.version())}"
        self._library: Any = library
        # Not as TOOL, which the library is by default: TOOL.SEC_DEFAULT_ENCRYPTION is not meant
        # for us.  As a daemon it would end this process for its own daemons' reasons too.
        library.set_subsystem(_SUBSYSTEM, library.SubsystemType.Tool)
        library.reload_config()
        if file is not None and "CONFIG_ROOT" not in library.param:
            raise ConfigurationError(f"The configuration file {file} was gone while it was read.")
        try:
            self._functions: _Functions | None = _Functions(library)
        except (AttributeError, OSError):
            self._functions = None
            self.names = self._namesByValue()
        else:
            self.names = self._functions.names()
            self.names += self._discarded(file)

    def _discarded(self, file: str | None) -> list[str]:
        """
        Names that the file or the environment sets to the very text that is
        compiled in: HTCondor drops such a line, C{BATCH_GAHP = $(BIN)/blahpd}
        for one (C{insert_macro} in C{src/condor_utils/config.cpp}), but who
        writes it means it.  Included files are not searched.
        """
        texts = assignmentsIn(file) if file is not None else {}
        for name, text in os.environ.items():
            if name.upper().startswith(_OVERRIDE):
                texts[name[len(_OVERRIDE) :].upper()] = text.strip()
        known = set(self.names)
        return [n for n, text in texts.items() if n not in known and text and text == self.raw(n)]

    def _namesByValue(self) -> list[str]:
        """
        The names whose values are not those that they have without any file or
        environment.
        """
        values = self._values()
        before = dict(os.environ)
        for name in before:
            if name.upper().startswith(_OVERRIDE):
                del os.environ[name]
        os.environ["CONDOR_CONFIG"] = "/dev/null"
        self._library.reload_config()
        defaults = self._values()
        del os.environ["CONDOR_CONFIG"]
        os.environ.update(before)
        self._library.reload_config()
        return [name for name, value in values.items() if defaults.get(name) != value]

    def _values(self) -> dict[str, str]:
        """
        All names that have a value, compiled in or not, with it.
        """
        return {name.upper(): self.value(name) for name in self._library.param}

    def raw(self, name: str) -> str | None:
        """
        As L{Table.raw}.
        """
        return None if self._functions is None else self._functions.raw(name)

    def value(self, name: str) -> str:
        """
        As L{Table.value}.

        @raise ConfigurationError: It is not UTF-8.
        """
        try:
            value = self._library.param.get(name, "")
        except UnicodeDecodeError:
            raise ConfigurationError(f"The value of {name} is not UTF-8 text.") from None
        return str(value).strip()


class _Functions:
    """
    The two functions of HTCondor's library that C{htcondor2} does not show.
    """

    def __init__(self, library: ModuleType) -> None:
        """
        @raise AttributeError: The library lacks one.
        """
        # Opened a second time, the extension module gives its dependencies' symbols too.
        symbols = ctypes.CDLL(library.htcondor2_impl.__file__)
        self._callbackType = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
        # void foreach_param(int, bool (*)(void *, HASHITER &), void *)
        self._forEach = symbols._Z13foreach_paramiPFbPvR8HASHITERES_
        self._forEach.argtypes = [ctypes.c_int, self._callbackType, ctypes.c_void_p]
        self._forEach.restype = None
        # const char * hash_iter_key(HASHITER &)
        self._key = symbols._Z13hash_iter_keyR8HASHITER
        self._key.argtypes = [ctypes.c_void_p]
        self._key.restype = ctypes.c_char_p
        # const char * param_unexpanded(const char *)
        self._unexpanded = symbols._Z16param_unexpandedPKc
        self._unexpanded.argtypes = [ctypes.c_char_p]
        self._unexpanded.restype = ctypes.c_char_p

    def names(self) -> list[str]:
        """
        All names that are set, by a file or the environment.
        """
        found: list[str] = []

        def add(_user: int, iterator: int) -> bool:
            found.append(self._key(iterator).decode("ascii", "replace").upper())
            return True

        self._forEach(_HASHITER_NO_DEFAULTS, self._callbackType(add), None)
        return found

    def raw(self, name: str) -> str | None:
        """
        The unexpanded text of a name.
        """
        text = self._unexpanded(name.encode("ascii", "replace"))
        return None if text is None else text.decode("utf-8", "replace")


class DumpedTable:
    """
    A L{Table} by C{condor_config_val}, for machines that have HTCondor but no
    C{htcondor} package for their Python.
    """

    def __init__(self, program: str, file: str | None) -> None:
        """
        Read the configuration.

        @param program: The path of C{condor_config_val}.
        @param file: The configuration file, for messages.
        @raise ConfigurationError: The program failed; it has said why on stderr.
        """
        command = [program, "-subsystem", _SUBSYSTEM, "-dump", "-expanded", "-verbose"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode < 0:
            signal.raise_signal(-done.returncode)  # SIGXCPU: what is true of it is true of us.
        if done.returncode:
            raise ConfigurationError(
                f"{program} could not read {file or 'the configuration'} "
                f"(exit status {done.returncode})."
            )
        self.reader = program
        self._entries = _parseDump(done.stdout.decode("utf-8", "replace").splitlines())
        self.names = list(self._entries)

    def raw(self, name: str) -> str | None:
        """
        Nothing: what is dumped has been expanded already.
        """
        return None

    def value(self, name: str) -> str:
        """
        As L{Table.value}.
        """
        return self._entries[name]


def _parseDump(lines: Iterable[str]) -> dict[str, str]:
    """
    What C{condor_config_val -dump -expanded -verbose} printed: for each name
    C{NAME = value}, or C{NAME @=end}, indented lines and C{@end}; then comments,
    the first of which says where it was set, C{<Default>} being nowhere
    (C{src/condor_tools/config_val.cpp}).
    """
    found: dict[str, str] = {}
    name, value, inside = "", "", False
    for line in lines:
        if inside:
            inside = line != "@end"
            value += "\n" + line.strip() if inside else ""
        elif line.startswith(" # at: "):
            if not line.startswith(" # at: <Default>"):
                found[name.upper()] = value.strip()
        elif not line.startswith((" ", "#")) and line:
            name, _, value = line.partition(" ")
            inside = value.startswith("@=")
            value = "" if inside else value.removeprefix("=")
    return found


def assignmentsIn(file: str) -> dict[str, str]:
    """
    The settings of one file as they are written, by name in capitals: a help
    where HTCondor itself does not tell, hence simple; neither conditions nor
    included files are looked at.

    @return: The last text of each; nothing if the file cannot be read, or is none: a pipe would
        be waited for, and some devices have no end.
    """
    if not os.path.isfile(file):
        return {}
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            matches = map(_ASSIGNMENT.fullmatch, lines.read(_SEARCHED).splitlines())
    except OSError:
        return {}
    return {match[1].upper(): match[2].strip() for match in matches if match is not None}


def cycleFrom(name: str, raw: Callable[[str], str | None]) -> list[str]:
    """
    The names, the first one again at the end, by which a setting's value refers
    to itself; empty if it does not.  Only plain references, C{$(NAME)} and
    C{$(NAME:default)}, are looked at.

    @param name: Where to begin.
    @param raw: From a name to its unexpanded text.
    """
    seen: set[str] = set()
    path: list[str] = []

    def visit(current: str) -> list[str]:
        if current in path:
            return [*path[path.index(current) :], current]
        if current in seen:
            return []
        seen.add(current)
        path.append(current)
        for reference in _REFERENCE.findall(raw(current) or ""):
            cycle = visit(reference.upper())
            if cycle:
                return cycle
        path.pop()
        return []

    return visit(name.upper())


def cycleInWords(cycle: Sequence[str]) -> str:
    """
    Part of a sentence that tells a cycle as L{cycleFrom} lists it, C{""} for
    none.
    """
    return " and ".join(f"{a} refers to {b}" for a, b in itertools.pairwise(cycle))


def _version(banner: str) -> str:
    """
    C{25.14.1} from C{$CondorVersion: 25.14.1 2026-09-24 ... $}.
    """
    words = banner.split()
    return words[1] if len(words) > 1 else banner
