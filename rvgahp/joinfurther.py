# -*- test-case-name: tests.test_join -*-
"""
The files of a site that joins one proxy more (C{rvgahp join --as}): what its CE has is kept, and
lines are added.  Layer 6; L{rvgahp.joinfiles}.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

from rvgahp.errors import CredentialError
from rvgahp.files import readFile, refuseExisting
from rvgahp.invitecode import InviteCode
from rvgahp.joinfiles import CONFIG, CREDENTIALS, JoinDirectory
from rvgahp.joinroute import Route
from rvgahp.keyexchange import PUBLIC
from rvgahp.listkinds import PROXY_NAMES
from rvgahp.settingreader import PROXY_DIRECTORY, proxySetting
from rvgahp.settings import Settings, load

__all__ = ["FurtherDirectory", "FurtherProxy"]

_CONFIG_TEXT = """
# The proxy {name}, one more for this CE.  Written by rvgahp join; yours to change.
RVGAHP_PROXY_NAMES = $(RVGAHP_PROXY_NAMES) {name}"""

_ACCESS_TEXT = """
# Of the proxy {name}.  Written by rvgahp join: the one who has invited this site there, where
# that proxy says that it is he.
{rule}
"""


class FurtherProxy:
    """
    One proxy more for a CE.

    @ivar name: what it is called there.
    @ivar settings: the CE's.
    """

    def __init__(self, path: str, name: str) -> None:
        """
        Blocks while the CE's configuration is read.

        @param path: the CE's directory.
        @param name: as somebody has written it.
        @raise CredentialError: there is no CE there, or nothing can have that name.
        @raise rvgahp.errors.ConfigurationError: its configuration is refused.
        """
        try:
            (self.name,) = PROXY_NAMES.parse(name)
        except ValueError:
            raise CredentialError(
                f"A proxy cannot be called {name[:80]!a}: a name is 1 to 32 letters, digits and"
                " underscores, with a letter first."
            ) from None
        config = os.path.join(path, CONFIG)
        if not os.path.lexists(config):
            raise CredentialError(
                f"There is no {config}, so no CE that could serve one proxy more: the first"
                " joins without --as."
            )
        self._path = path
        self.settings: Settings = load("ce", config)

    def route(self, given: Route) -> Route:
        """
        @param given: what the words of the command say.
        @return: how to reach the proxy: through what the CE has in between, whichever proxy it
            is.
        @raise CredentialError: something else is wanted.
        """
        through = self.settings.get("RVGAHP_CONNECT_THROUGH")
        credentials = self.settings.get("RVGAHP_CONNECT_THROUGH_CREDENTIALS") or ""
        if given.through not in (None, through) or given.credentials not in ("", credentials):
            raise CredentialError(
                "All proxies of a CE are dialled through the same: set RVGAHP_CONNECT_THROUGH in"
                f" {os.path.join(self._path, CONFIG)}, and leave out --connect-through."
            )
        return Route(given.places, through, credentials)

    def directory(self, code: InviteCode) -> FurtherDirectory:
        """
        @raise CredentialError: it cannot be made, or another join is at work there.
        """
        return FurtherDirectory(self._path, self.name, self.settings, code)


class FurtherDirectory(JoinDirectory):
    """
    The directory for one proxy of a CE.
    """

    names = CREDENTIALS

    def __init__(self, path: str, name: str, settings: Settings, code: InviteCode) -> None:
        """
        @param path: the CE's directory.
        @param name: the proxy's.
        @param settings: the CE's.
        @raise CredentialError: it cannot be made, or another join is at work there.
        """
        super().__init__(os.path.join(path, PROXY_DIRECTORY, name), code)
        self._config = os.path.join(path, CONFIG)
        self._settings = settings
        self._name = name

    def refuseExisting(self) -> None:
        """
        @raise CredentialError: a file is there.
        """
        refuseExisting(*map(self.file, self.names))

    def tell(
        self, code: InviteCode, route: Mapping[str, str], owner: str, site: str, *, isSame: bool
    ) -> tuple[list[str], list[str]]:
        """
        Add to the CE's configuration and to its access file what is not there.
        """
        wanted = {"BROKER_HOST": code.host, "BROKER_PORT": str(code.port)}
        if "RVGAHP_CONNECT_TO" in route:
            wanted["CONNECT_TO"] = route["RVGAHP_CONNECT_TO"]
        lines = [f"{proxySetting(self._name, what)} = {value}" for what, value in wanted.items()]
        config = "\n".join([_CONFIG_TEXT.format(name=self._name), *lines, ""])
        rule = f"ALLOW START {owner}{self._hostOf(code)}"
        access: str = self._settings.get("RVGAHP_ACCESS_FILE")
        written, kept = [], []
        for path, isThere, text in (
            (access, _hasLine(access, rule), _ACCESS_TEXT.format(name=self._name, rule=rule)),
            (self._config, self._name in self._settings.ofProxies(), config),
        ):
            if isThere:
                kept.append(path)
            else:
                _append(path, text.encode())
                written.append(path)
        return written, kept

    def _hostOf(self, code: InviteCode) -> str:
        """
        @return: what limits a rule to what this proxy says.
        """
        try:
            ipaddress.ip_address(code.host)
        except ValueError:
            return f"/{code.host}"
        # Behind a gateway nobody's address is seen.
        through = self._settings.get("RVGAHP_CONNECT_THROUGH")
        return f"/{code.host}" if through is None else ""


def _hasLine(path: str, line: str) -> bool:
    """
    @raise CredentialError: the file is there, and cannot be read.
    """
    return os.path.lexists(path) and line.encode() in readFile(path).splitlines()


def _append(path: str, text: bytes) -> None:
    """
    Add lines to a file, which stays whose it is.

    @raise CredentialError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PUBLIC)
        with open(descriptor, "ab", buffering=0) as file:
            file.write(text)  # all of it, or nothing
            os.fsync(descriptor)
    except OSError as e:
        raise CredentialError(f"{path} cannot be written: {e.strerror}.") from e
