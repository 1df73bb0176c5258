# -*- test-case-name: tests.test_statusweb -*-
"""
The UNIX socket of a daemon's local HTTP interface.

Layer 4; L{rvgahp.statusweb} is behind it.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rvgahp.errors import ConfigurationError
from rvgahp.listener import Listener, listenUNIX, removeSocket
from rvgahp.settingrow import LONGEST_SOCKET_PATH
from rvgahp.statusweb import Reload, StatusDoor, StatusSource

if TYPE_CHECKING:
    from rvgahp.settings import Settings

__all__ = ["StatusSocket", "checkLength", "defaultPath", "statusPath"]

_SETTING = "RVGAHP_STATUS_SOCKET"

_MODE = 0o666
"""Who may see what is decided by who connects."""


def statusPath(settings: Settings) -> str:
    """
    @param settings: a daemon's.
    @return: the socket's path; empty where there is none.
    """
    given: str | None = settings.get(_SETTING)
    if given:
        return given
    if settings.role == "proxy":
        clients: str = settings.get("RVGAHP_SOCKET")
        return os.path.splitext(clients)[0] + ".status"
    if settings.configFile is None:
        return ""
    return defaultPath(settings.configFile)


def defaultPath(configFile: str) -> str:
    """
    @return: that of a CE with this configuration file that names none.
    """
    return os.path.join(os.path.dirname(configFile), "rvgahp-ce.status")


def checkLength(path: str) -> None:
    """
    @raise ConfigurationError: nobody could connect there.
    """
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ConfigurationError(
            f"{path} is longer than the {LONGEST_SOCKET_PATH} bytes that a UNIX socket's path can"
            " have: name a shorter one (RVGAHP_STATUS_SOCKET)"
        )


class StatusSocket:
    """
    One daemon's.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        source: StatusSource,
        reload: Reload | None = None,
    ) -> None:
        """
        @param reload: as of L{StatusDoor}.
        """
        self._settings = settings
        self._reactor = reactor
        self._door = StatusDoor(
            reactor, source, lambda: settings.get("RVGAHP_ADMINISTRATORS"), reload
        )
        self._port: Any = None
        self._listener: Listener | None = None
        self._path = ""
        self._inode = 0

    def bind(self, handed: socket.socket | None = None) -> None:
        """
        Have the socket, before a daemon changes its account.  Where nobody has named a path and
        there can be none, that is only said in the log.

        @param handed: listens already, and is another's to remove.

        @raise ConfigurationError: the path that the setting names cannot be had.
        """
        if handed is not None:
            self._port = handed
            return
        path = statusPath(self._settings)
        if not path:
            return
        try:
            checkLength(path)
            self._port = listenUNIX(path, _MODE)
        except ConfigurationError as e:
            if self._settings.isGiven(_SETTING):
                raise
            self.log.warn("rvgahp status will find nothing here: {reason}", reason=str(e))
            return
        self._path, self._inode = path, os.stat(path)[stat.ST_INO]

    def open(self) -> None:
        """
        Answer.
        """
        if self._port is not None:
            self._listener = Listener(self._reactor, self._port, self._door.arrived)

    def close(self) -> None:
        """
        Answer no more.
        """
        if self._listener is not None:
            self._listener.close()
        elif self._port is not None:
            self._port.close()
        self._door.close()
        if self._path:
            removeSocket(self._path, self._inode)
