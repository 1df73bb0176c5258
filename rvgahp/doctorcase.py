# -*- test-case-name: tests.test_doctor -*-
"""
Whom C{rvgahp doctor} examines: which daemon of this machine, by which configuration.

Layer 6; L{rvgahp.settings} and L{rvgahp.credentials}.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from rvgahp.accountnames import accountName
from rvgahp.configuration import Configuration, readConfiguration
from rvgahp.credentials import Credentials
from rvgahp.errors import ConfigurationError, RvgahpError
from rvgahp.names import CE_FILE
from rvgahp.patience import Patience
from rvgahp.proxysocket import findSocket
from rvgahp.settingrow import PREFIX, PROXY, SUBSYSTEM_PREFIX
from rvgahp.settings import Settings
from rvgahp.settingtable import TABLE

__all__ = ["Case", "Choice", "choose"]

#: The CE's configuration files: that of rvgahp join, that of doc/accounts.rst, and what
#: rvgahp join --dir makes there.
_CE_FILES = (CE_FILE, "/etc/rvgahp-ce/condor_config", "/etc/rvgahp-ce/condor_config.rvgahp")

#: A directory that only a proxy has.
_PROXY_DIRECTORY = "/etc/rvgahp"

#: Settings that only a proxy has.
_PROXYS = {row.name for row in TABLE if row.roles == PROXY and row.name.startswith(PREFIX)}


@dataclass(frozen=True)
class Choice:
    """
    Which daemon is examined.

    @ivar role: C{"proxy"} or C{"ce"}.
    @ivar config: its configuration file; L{None}: its own.
    @ivar why: why this one, for people.
    """

    role: str
    config: str | None
    why: str


@dataclass
class Case:
    """
    What is known of it when the settings have been read.

    @ivar configuration: what condor_config says.
    @ivar patience: names all waits.
    @ivar credentials: L{None}: there are none that could be used.
    @ivar seen: what the daemon that runs says of itself (C{doc/status.rst}); L{None}: none answers.
    @ivar absence: why none does.
    """

    settings: Settings
    configuration: Configuration
    patience: Patience
    credentials: Credentials | None = None
    seen: dict[str, Any] | None = None
    absence: str = ""
    _proxies: list[Case] | None = None

    @property
    def proxies(self) -> list[Case]:
        """
        The same for each proxy of a CE that serves several, with what is its own; else this.
        """
        if self._proxies is None:
            own = list(self.settings.ofProxies().values()) if self.settings.role == "ce" else []
            isOne = own in ([], [self.settings])
            self._proxies = [self] if isOne else [replace(self, settings=one) for one in own]
        return self._proxies

    @property
    def daemon(self) -> str:
        """
        The daemon's name.
        """
        return f"rvgahp-{self.settings.role}"


def choose(
    role: str | None,
    config: str | None,
    ceFiles: Sequence[str] = _CE_FILES,
    proxyDirectory: str = _PROXY_DIRECTORY,
) -> Choice:
    """
    @param role: the one that was asked for, if one was.
    @param config: the file that was named, if one was.
    @param ceFiles: where a CE's configuration may lie.
    @param proxyDirectory: where a proxy's files lie.
    @raise RvgahpError: nothing of either is here.
    """
    if role is not None:
        if role == "ce" and config is None:
            config = _firstOf(ceFiles)
        return Choice(role, config, "as asked for")
    if config is not None:
        return _byFile(config)
    trace = _traceOfProxy(proxyDirectory)
    if trace:
        return Choice("proxy", None, trace)
    found = _firstOf(ceFiles)
    if found is not None:
        return Choice("ce", found, f"there is {found}")
    raise RvgahpError(
        "there is neither a proxy's socket, nor are there settings of one, nor is there"
        f" {' or '.join(ceFiles)}: say --role or --config"
    )


def refuseForeign(config: str | None) -> None:
    """
    See that root reads no configuration that another account can change: the commands that it
    includes would be root's.

    @raise ConfigurationError: it is another's.
    """
    if config is None or os.geteuid() or not os.path.exists(config):
        return
    owner = os.stat(config).st_uid
    if owner:
        name = accountName(owner)
        raise ConfigurationError(
            f"{config} is of {name}, and root does not read it, for the commands that it includes"
            f" would run as root: runuser -u {name} -- rvgahp doctor --config {config}"
        )


def _firstOf(files: Sequence[str]) -> str | None:
    return next(filter(os.path.lexists, map(os.path.expanduser, files)), None)


def _byFile(config: str) -> Choice:
    """
    By what only a CE must have.
    """
    try:
        refuseForeign(config)
        names = _names(readConfiguration(config))
    except ConfigurationError:  # the check of the settings will say why
        return Choice("proxy", config, "the file that --config names cannot be read")
    for name in ("RVGAHP_BROKER_HOST", "RVGAHP_PROXY_NAMES"):
        if name in names:
            return Choice("ce", config, f"{name} is set in {config}")
    return Choice("proxy", config, f"RVGAHP_BROKER_HOST is not set in {config}")


def _traceOfProxy(directory: str) -> str:
    """
    @return: what of a proxy is here; empty for nothing.
    """
    socket = findSocket(None)
    if os.path.exists(socket):
        return f"there is {socket}"
    with suppress(ConfigurationError):
        configuration = readConfiguration(None)
        found = sorted(_names(configuration) & _PROXYS)
        if found:
            return f"{found[0]} is set in {configuration.where}"
    return f"there is {directory}" if os.path.isdir(directory) else ""


def _names(configuration: Configuration) -> set[str]:
    return {name.removeprefix(SUBSYSTEM_PREFIX) for name in configuration.settings}
