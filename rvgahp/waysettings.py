# -*- test-case-name: tests.test_waysettings -*-
"""
A CE's way to its proxy, as its settings have it.

Layer 3; L{rvgahp.wayout}, L{rvgahp.filesafety}.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from typing import Any

from rvgahp import waylimits
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import checkSafe, daemonAccounts
from rvgahp.wayout import Gateway, WayOut, placeOf

__all__ = ["gatewayBy", "gatewayOf", "gatewayVariable", "placeIn", "placesOf", "wayOutOf"]

#: Variables by which other programs find an HTTP proxy or a SOCKS server.  They are not obeyed,
#: for a CE that cron or systemd starts has none of them; but they tell that there is one.
_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")

#: Bytes of a file of credentials, at the most.
_LARGEST = 2 * waylimits.CREDENTIAL_BYTES + 3


def placeIn(settings: Any) -> str:
    """
    @param settings: a CE's.
    @return: where the proxy is by these, for people.
    """
    return placeOf(settings.get("RVGAHP_BROKER_HOST"), settings.get("RVGAHP_BROKER_PORT"))


def placesOf(settings: Any) -> tuple[tuple[str, int], ...]:
    """
    @param settings: a CE's.
    @return: where the proxy is dialled.
    """
    own = settings.get("RVGAHP_BROKER_HOST"), settings.get("RVGAHP_BROKER_PORT")
    places: tuple[tuple[str, int], ...] = settings.get("RVGAHP_CONNECT_TO") or (own,)
    return places


def gatewayOf(settings: Any) -> Gateway | None:
    """
    @param settings: a CE's.
    @raise ConfigurationError: the file of credentials cannot be used.
    """
    return gatewayBy(
        settings.get("RVGAHP_CONNECT_THROUGH"),
        settings.get("RVGAHP_CONNECT_THROUGH_CREDENTIALS"),
        daemonAccounts(settings),
    )


def gatewayBy(
    url: tuple[str, str, int] | None, file: str | None, owners: Collection[int]
) -> Gateway | None:
    """
    @param url: what RVGAHP_CONNECT_THROUGH says.
    @param file: the path of the file of credentials.
    @param owners: whose its directory may be, beside its own owner.
    @raise ConfigurationError: it cannot be used.
    """
    if url is None:
        return None
    return Gateway(*url, _read(file, owners) if file else None)


def wayOutOf(settings: Any) -> WayOut:
    """
    @raise ConfigurationError: the file of credentials cannot be used.
    """
    return WayOut(placesOf(settings), gatewayOf(settings))


def gatewayVariable() -> str:
    """
    @return: the name of a variable of our environment that names a gateway, which we do not
        obey; empty if there is none.
    """
    return next((name for name in _VARIABLES if os.environ.get(name)), "")


def _read(path: str, owners: Collection[int]) -> tuple[bytes, bytes]:
    """
    @return: user and password, the latter B{secret}.
    """
    try:
        # Not to wait for who writes into a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{path} is no regular file.")
            content = file.read(_LARGEST + 1)
    except OSError as e:
        raise ConfigurationError(
            f"{path} (RVGAHP_CONNECT_THROUGH_CREDENTIALS) cannot be read: {e.strerror}."
        ) from e
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"The password in {path} can be used by others than its owner: chmod 600 {path}"
        )
    checkSafe(path, status, owners)
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    user, colon, password = line.partition(b":")
    if not (user and colon) or max(len(user), len(password)) > waylimits.CREDENTIAL_BYTES:
        isGood = False
    else:
        isGood = password != b"" and not any(byte < 32 or byte == 127 for byte in line)
    if not isGood:  # without its words
        raise ConfigurationError(
            f"{path} (RVGAHP_CONNECT_THROUGH_CREDENTIALS) must have one line, USER:PASSWORD, each"
            f" of 1 to {waylimits.CREDENTIAL_BYTES} bytes."
        )
    return user, password
