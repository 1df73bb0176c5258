# -*- test-case-name: tests.test_settings -*-
"""
From what condor_config says to the values of the settings' table, every name
and every value checked.  Layer 2, for L{rvgahp.settings};
L{rvgahp.configuration}, L{rvgahp.settingtable} and below.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.listkinds import GAHP_NAMES, PROXY_NAMES
from rvgahp.settingkinds import COMMAND, Kind
from rvgahp.settingrow import (
    BUILT_IN_GAHPS,
    GAHP_PREFIX,
    OF_PROXY,
    PREFIX,
    PROXY_PREFIX,
    SUBSYSTEM_PREFIX,
    Setting,
)
from rvgahp.settingtable import TABLE
from rvgahp.sitesockets import checkMainSocket

__all__ = ["DEFAULT_DIRECTORY", "PROXY_DIRECTORY", "SettingReader", "gahpSetting", "proxySetting"]

DEFAULT_DIRECTORY = "/etc/rvgahp"
"""Where the credentials lie where there is no configuration file."""

PROXY_DIRECTORY = "proxies"
"""The directory beside a CE's configuration file with one of each further proxy's name, for the
CE's credentials there."""

_METHODS = "SEC_DEFAULT_CRYPTO_METHODS"
_OUR_METHODS = ("AES",)
_NAMES = f"{GAHP_PREFIX}NAMES"
_PROXIES = f"{PROXY_PREFIX}NAMES"
_HOST = "RVGAHP_BROKER_HOST"
_KNOWN = {setting.name: setting for setting in TABLE}
_SUFFIXED = re.compile(r"(SEC_[A-Z0-9_]+)_RVGAHP")

_ALIKE = 0.6
"""How alike (C{difflib}) a name that is ours must be to be suggested."""

_NEARLY_THE_SAME = 0.85
"""How alike a name that may be anybody's must be to be called misspelt.
C{BATCH_GHAP} has 0.90, C{FT_GHAP} 0.86."""

_THEIRS = frozenset(("SEC_DEFAULT_AUTHENTICATION", "SEC_DEFAULT_AUTHENTICATION_TIMEOUT"))
"""HTCondor's own that are as much like C{SEC_DEFAULT_AUTHENTICATION_METHODS}; of its others
(C{src/condor_utils/param_info.in}) none is."""


def gahpSetting(name: str) -> str:
    """
    The name of the setting that holds a further GAHP's command line.

    @param name: The GAHP's name.
    """
    return GAHP_PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", name).upper()


def proxySetting(name: str, what: str) -> str:
    """
    The name of a setting that a further proxy of a CE has for itself.

    @param name: The proxy's.
    @param what: One of L{OF_PROXY}.
    """
    return f"{PROXY_PREFIX}{name.upper()}_{what}"


class SettingReader:
    """
    One reading of one configuration.

    @ivar notes: What the log is to say of it.
    @ivar given: The names of the settings that somebody has set.
    """

    def __init__(
        self, role: str, configuration: Configuration, overrides: Mapping[str, str]
    ) -> None:
        """
        @raise ConfigurationError: An override is not a setting of the role.
        """
        self._role = role
        self._configuration = configuration
        self._overrides = {name.upper(): text for name, text in overrides.items()}
        self._origin = f" in {configuration.where}"
        self.given: set[str] = set()
        self.notes = list(configuration.notes)
        for name in self._overrides:
            if name not in _KNOWN or role not in _KNOWN[name].roles:
                raise ConfigurationError(_unknown(name, "on the command line"))

    def checkNames(self) -> None:
        """
        See that every name that is ours is known, and note others that look
        misspelt.
        """
        listed = self._plain(_NAMES)
        names = _parsed(_NAMES, GAHP_NAMES, listed, self._origin) if listed else ()
        known = {*_KNOWN, *map(gahpSetting, names)}
        known |= {proxySetting(name, what) for name in self._proxyNames() for what in OF_PROXY}
        for name in self._configuration.settings:
            if name.removeprefix(SUBSYSTEM_PREFIX) not in known:
                raise ConfigurationError(_unknown(name, self._origin.strip()))
        for name in self._configuration.others:
            suffixed = _SUFFIXED.fullmatch(name)
            if suffixed is not None:
                raise ConfigurationError(
                    f"{name}{self._origin} is not looked at: write "
                    f"{SUBSYSTEM_PREFIX}{suffixed[1]} instead."
                )
            if name in _THEIRS:
                continue
            near = difflib.get_close_matches(name, _KNOWN, 1, _NEARLY_THE_SAME)
            # A name and more behind it is a relative, such as GRIDMANAGER_GAHP_CALL_TIMEOUT_CONDOR.
            if near and not name.startswith(f"{near[0]}_"):
                self.notes.append(
                    f"{name}{self._origin} is no setting of rvgahp; if {near[0]} is meant, it is "
                    "misspelt."
                )

    def value(self, row: Setting) -> Any:
        """
        The value of one setting.

        @raise ConfigurationError: It is not what it must be, or missing.
        """
        if self._plain(row.name):
            self.given.add(row.name)
        text = self._overrides.get(row.name)
        if text is not None:
            if row.kind.typeName == "path" and text:
                text = os.path.abspath(text)
            return self._usable(row, text, " on the command line")
        text = self._configuration.settings.get(SUBSYSTEM_PREFIX + row.name)
        if text:
            return self._usable(row, text, self._origin, SUBSYSTEM_PREFIX)
        text = self._configuration.settings.get(row.name)
        if text and row.pool is not None:
            return self._pooled(row, text)
        if text:
            return self._usable(row, text, self._origin)
        if row.required and not (row.name == _HOST and self._proxyNames()):
            raise ConfigurationError(
                f"{row.name} is not set{self._origin}: it must be {row.kind.allowed}."
            )
        return self._default(row)

    def checkTogether(self, values: Mapping[str, Any]) -> None:
        """
        See that settings fit each other.
        """
        limit, total = values["RVGAHP_REPLAY_LIMIT"], values["RVGAHP_REPLAY_TOTAL"]
        if total < limit:
            raise ConfigurationError(
                f"RVGAHP_REPLAY_TOTAL ({total} bytes){self._origin} is less than "
                f"RVGAHP_REPLAY_LIMIT ({limit} bytes): make it at least as much."
            )
        if self._role == "proxy":
            checkMainSocket(values["RVGAHP_SOCKET"], values["RVGAHP_SITE_SOCKETS"], self._origin)

    def gahpCommands(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """
        The command lines of the further GAHPs.

        @raise ConfigurationError: One has none, or a setting of its own
            already, or the same as another.
        """
        commands: dict[str, list[str]] = {}
        owners = {_NAMES: "the list itself"}
        for name in names:
            setting = gahpSetting(name)
            if name in BUILT_IN_GAHPS:
                raise ConfigurationError(
                    f"{_NAMES}{self._origin} lists {name}, whose program {BUILT_IN_GAHPS[name]} "
                    "names: take it out of the list."
                )
            if setting in owners:
                raise ConfigurationError(
                    f"{_NAMES}{self._origin} lists {name}, but {setting} is taken by "
                    f"{owners[setting]}: give the GAHP another name."
                )
            owners[setting] = name
            text = self._plain(setting)
            if not text:
                raise ConfigurationError(
                    f"{setting} is not set{self._origin}, though {_NAMES} lists {name}: it must "
                    f"be {COMMAND.allowed}."
                )
            commands[name] = _parsed(setting, COMMAND, text, self._origin)
        return commands

    def _proxyNames(self) -> tuple[str, ...]:
        listed = self._plain(_PROXIES)
        return _parsed(_PROXIES, PROXY_NAMES, listed, self._origin) if listed else ()

    def proxies(self) -> dict[str, dict[str, Any]]:
        """
        What each further proxy of a CE has for itself, by its name.

        @raise ConfigurationError: One has no host, or what it has is impossible.
        """
        return {name: self._proxy(name) for name in self._proxyNames()}

    def _proxy(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for what in OF_PROXY:
            row, setting = _KNOWN[PREFIX + what], proxySetting(name, what)
            text = self._plain(setting)
            if text:
                found[row.name] = _parsed(setting, row.kind, text, self._origin)
            elif row.name == _HOST:
                raise ConfigurationError(
                    f"{setting} is not set{self._origin}, though {_PROXIES} lists {name}: it must "
                    f"be {row.kind.allowed}."
                )
            elif row.beside is not None:
                found[row.name] = self._beside(PROXY_DIRECTORY, name, row.beside[self._role])
            elif row.isFixed and what != "MAX_SESSIONS":  # not the other proxy's
                found[row.name] = self._default(row)
        return found

    def _plain(self, name: str) -> str:
        """
        The text of a setting without a rule for pools, C{""} if it is not set.
        """
        settings = self._configuration.settings
        return (
            self._overrides.get(name)
            or settings.get(SUBSYSTEM_PREFIX + name)
            or settings.get(name, "")
        )

    def _usable(self, row: Setting, text: str, origin: str, prefix: str = "") -> Any:
        """
        What a text means, without the crypto methods that we do not have.
        """
        value = _parsed(prefix + row.name, row.kind, text, origin)
        if row.name != _METHODS:
            return value
        usable = tuple(method for method in value if method in _OUR_METHODS)
        if not usable:
            raise ConfigurationError(_bad(prefix + row.name, row.kind, text, origin))
        dropped = [method for method in value if method not in _OUR_METHODS]
        if dropped:
            self.notes.append(
                f"{prefix}{row.name}{origin}: rvgahp does not have {', '.join(dropped)} and uses "
                f"{', '.join(usable)}."
            )
        return usable

    def _pooled(self, row: Setting, text: str) -> Any:
        """
        What becomes of a value that a whole pool has.
        """
        assert row.pool is not None
        ours = self._default(row)
        pools = _parsed(row.name, row.pool.kind, text, self._origin)
        value = row.pool.combine(ours, pools)
        if value != pools:
            self.notes.append(
                f"{row.name} = {text}{self._origin} is not followed, {row.default} stays in "
                f"force: {row.pool.because}; {SUBSYSTEM_PREFIX}{row.name} decides for rvgahp."
            )
        return value

    def _default(self, row: Setting) -> Any:
        """
        The value of a setting that nobody has set.
        """
        if row.beside is not None:
            return self._beside(row.beside[self._role])
        return row.kind.parse(row.default) if row.default else row.kind.unset

    def _beside(self, *names: str) -> str:
        """
        The path of a file below the configuration file's directory.
        """
        file = self._configuration.file
        directory = os.path.dirname(file) if file is not None else DEFAULT_DIRECTORY
        return os.path.join(directory, *names)


def _unknown(name: str, where: str) -> str:
    """
    The sentence for a name that is ours but means nothing.
    """
    bare = name.removeprefix(SUBSYSTEM_PREFIX)
    ofGAHP, ofProxy = bare.startswith(GAHP_PREFIX), bare.startswith(PROXY_PREFIX)
    known = {setting.removeprefix(PREFIX): setting for setting in _KNOWN}
    cutoff = _NEARLY_THE_SAME if ofGAHP or ofProxy else _ALIKE
    near = difflib.get_close_matches(bare.removeprefix(PREFIX), known, 1, cutoff)
    if near:
        meant = name.removesuffix(bare) + known[near[0]]
        return f"There is no setting {name} ({where}): is {meant} meant?"
    if ofGAHP:
        return (
            f"{name} ({where}) belongs to no GAHP: add the GAHP to {_NAMES}, or take the setting "
            "out."
        )
    if ofProxy:
        return (
            f"{name} ({where}) belongs to no proxy: add the proxy to {_PROXIES}, or take the "
            "setting out; doc/ways.rst has what a proxy can have."
        )
    return f"There is no setting {name} ({where}): take it out; doc/settings.rst lists all."


def _parsed(name: str, kind: Kind, text: str, origin: str) -> Any:
    """
    What a setting's text means.

    @raise ConfigurationError: Nothing; the sentence names the setting, the text
        and what is allowed.
    """
    try:
        return kind.parse(text)
    except ValueError:
        raise ConfigurationError(_bad(name, kind, text, origin)) from None


def _bad(name: str, kind: Kind, text: str, origin: str) -> str:
    """
    The sentence for a text that a setting cannot have.
    """
    if kind.mayHoldSecret:
        text = re.sub(r"(?s)(?:(?<=://)|\A).*@", "...@", text, count=1)
    shown = text if text.isprintable() and len(text) <= 200 else ascii(text[:200])
    return f"{name} = {shown}{origin} is not possible: it must be {kind.allowed}."
