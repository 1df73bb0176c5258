# -*- test-case-name: tests.test_settings -*-
"""
The settings of a daemon, read from condor_config, checked and typed.  Layer 2;
L{rvgahp.settingreader} and below.

L{rvgahp.settingtable} has the table of all settings.  Each has one value, from
the first of these that has it:

 1. the command line,
 2. C{RVGAHP.NAME}, HTCondor's form for what one subsystem alone is to have,
 3. C{NAME}; for C{SEC_DEFAULT_*}, which a whole pool has, under the rule that
    it may make our default stricter and never laxer,
 4. the default.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from rvgahp.configuration import Configuration, readConfiguration
from rvgahp.errors import ConfigurationError
from rvgahp.names import CE_FILE
from rvgahp.policy import Policy
from rvgahp.settingreader import SettingReader, proxySetting
from rvgahp.settingrow import GAHP_PREFIX, OF_PROXY, PREFIX
from rvgahp.settingtable import TABLE

__all__ = ["Settings", "load", "settingsFrom"]


_NONE: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


class Settings:
    """
    All settings of one daemon.

    @ivar role: C{"proxy"} or C{"ce"}.
    @ivar configFile: The absolute path of the configuration file, or L{None}
        where there is none.
    @ivar gahpCommands: By name, the command lines of the further GAHPs that
        C{RVGAHP_GAHP_NAMES} lists.
    @ivar policy: The security policy.
    @ivar notes: Sentences for the log: what was dropped or is odd.
    @ivar defaults: The names of the settings that nobody has set.
    """

    def __init__(
        self,
        role: str,
        configFile: str | None,
        values: Mapping[str, Any],
        gahpCommands: dict[str, list[str]],
        notes: list[str],
        given: Collection[str] = (),
        proxies: Mapping[str, Mapping[str, Any]] = _NONE,
    ) -> None:
        """
        @param values: By name in capitals, the value of each setting of the
            role.
        @param given: The names of those that are no defaults.
        @param proxies: By their names, what further proxies of a CE have in their place.
        """
        self.role = role
        self.configFile = configFile
        self.gahpCommands = gahpCommands
        self.notes = notes
        self._setValues(values, given)
        self._further = {
            name: Settings(role, configFile, {**values, **own}, gahpCommands, [], given)
            for name, own in proxies.items()
        }

    def ofProxies(self) -> dict[str, Settings]:
        """
        @return: The settings for each proxy of a CE, by its name, which is empty for the one
            that has none: what is its own, and for the rest these.
        """
        return {**({"": self} if self.get("RVGAHP_BROKER_HOST") else {}), **self._further}

    def _setValues(self, values: Mapping[str, Any], given: Collection[str]) -> None:
        self._values = dict(values)
        self._given = frozenset(given)
        self.policy = Policy(
            values["SEC_DEFAULT_ENCRYPTION"],
            values["SEC_DEFAULT_INTEGRITY"],
            values["SEC_DEFAULT_CRYPTO_METHODS"],
        )

    def adopt(self, other: Settings) -> tuple[list[str], list[str]]:
        """
        Take over all values that may change while the daemon runs.  Whoever holds this
        object sees them at once.

        @param other: The same daemon's settings, read again.
        @return: The names of those that have changed, and of those that are to be
            otherwise and stay as they were until the daemon is started again.
        """
        fixed = {row.name for row in TABLE if row.isFixed}
        differing = [name for name, value in other._values.items() if value != self._values[name]]
        changed = [name for name in differing if name not in fixed]
        waiting = [name for name in differing if name in fixed]
        if other.gahpCommands != self.gahpCommands:
            waiting.append(f"{GAHP_PREFIX}...")
        new = {**self._values, **{name: other._values[name] for name in changed}}
        self._setValues(new, other._given)
        for name in other._further.keys() - self._further.keys():
            self._further[name] = other._further[name]
        gone = sorted(self._further.keys() - other._further.keys())
        waiting += [proxySetting(name, OF_PROXY[0]) for name in gone]
        for name in self._further.keys() & other._further.keys():
            for told, names in zip(
                (changed, waiting), self._further[name].adopt(other._further[name]), strict=True
            ):
                own = [one.removeprefix(PREFIX) for one in names if one not in (*changed, *waiting)]
                told += [proxySetting(name, what) for what in own if what in OF_PROXY]
        return changed, waiting

    def get(self, name: str) -> Any:
        """
        The value of a setting, of the type that its kind has
        (L{rvgahp.settingkinds}), or L{None}, for a list C{()}, where it is not set
        and has no default.

        @param name: Its name in capitals.
        @raise LookupError: There is no such setting, or it is not this role's;
            a mistake in a program, not in a configuration.
        """
        if name not in self._values:
            raise LookupError(f"{name} is not a setting of the {self.role}")
        return self._values[name]

    def isGiven(self, name: str) -> bool:
        """
        @return: Whether somebody has set a setting; else it has its default.
        """
        return name in self._given

    def allowsCleartext(self, address: str) -> bool:
        """
        Whether a channel with this peer may have neither secrecy nor
        authentication as far as C{RVGAHP_CLEARTEXT_PEERS} goes.

        @param address: The peer's IP address; an IPv4 address in IPv6's clothes
            (C{::ffff:192.0.2.1}) counts as what it is.  Through a gateway we see its own, which
            tells nothing of who is behind it.
        """
        if self._values.get("RVGAHP_CONNECT_THROUGH") is not None:
            return False
        peer = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self.get("RVGAHP_CLEARTEXT_PEERS"))


def load(role: str, configFile: str | None, overrides: Mapping[str, str] | None = None) -> Settings:
    """
    The settings of a daemon that is about to start.  Blocks while the
    configuration is read.

    @param role: C{"proxy"} or C{"ce"}.
    @param configFile: The configuration file, or L{None} for the role's own:
        C{~/.rvgahp/condor_config.rvgahp} for the CE, which must exist; for the
        proxy the one that HTCondor finds, or none.
    @param overrides: By name, values from the command line; a path may be
        relative to the current directory.
    @raise ConfigurationError: Something in it is misspelt, missing or
        impossible.
    """
    if configFile is None and role == "ce":
        configFile = os.path.expanduser(CE_FILE)
        if not os.path.lexists(configFile):
            raise ConfigurationError(
                f"There is no configuration file {configFile}: make one with at least the line "
                "RVGAHP_BROKER_HOST = the host of the proxy, or name another file on the command "
                "line (--config)."
            )
    return settingsFrom(role, readConfiguration(configFile), overrides)


def settingsFrom(
    role: str, configuration: Configuration, overrides: Mapping[str, str] | None = None
) -> Settings:
    """
    L{load} for a configuration that has been read already.
    """
    reader = SettingReader(role, configuration, overrides or {})
    reader.checkNames()
    values = {row.name: reader.value(row) for row in TABLE if role in row.roles}
    reader.checkTogether(values)
    commands = reader.gahpCommands(values.get("RVGAHP_GAHP_NAMES", ()))
    proxies = reader.proxies() if role == "ce" else {}
    return Settings(role, configuration.file, values, commands, reader.notes, reader.given, proxies)
