# -*- test-case-name: tests.test_sandbox -*-
"""
A private playground of real processes: credentials, a proxy, a CE.

Layer 6.  For the demo, the tests, the benchmarks, and anyone who wants to look at
the thing before it is installed.  No reactor: two children are waited for.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from rvgahp.blah.fork import endAll
from rvgahp.credentials import makeCA, makeCECredentials, makeHostCredentials
from rvgahp.daemonprocess import Daemon
from rvgahp.errors import ConfigurationError
from rvgahp.names import checkGAHPName
from rvgahp.settingrow import BUILT_IN_GAHPS, LONGEST_SOCKET_PATH

SITE = "sandbox"
HOST = "127.0.0.1"
DOMAIN = "localdomain"
"""The domain of users in canonical names: no resolver is asked for this host's."""

_CREDENTIALS = ("ca.crt", "ca.key", "host.crt", "host.key", "ce.crt", "ce.key")

_PROXY = """\
# The proxy of a sandbox.  By hand: {command}
RVGAHP_INTERFACE = {host}
RVGAHP_PORT = {port}
RVGAHP_SOCKET = {dir}/proxy.sock
RVGAHP_CERTFILE = {dir}/host.crt
RVGAHP_KEYFILE = {dir}/host.key
RVGAHP_CAFILE = {dir}/ca.crt
RVGAHP_ACCESS_FILE = {dir}/access.rvgahp-proxy
UID_DOMAIN = {domain}
"""

_CE = """\
# The CE of a sandbox.  By hand: {command}
RVGAHP_BROKER_HOST = {host}
RVGAHP_BROKER_PORT = {port}
{connect}{account}RVGAHP_CERTFILE = {dir}/ce.crt
RVGAHP_KEYFILE = {dir}/ce.key
RVGAHP_CAFILE = {dir}/ca.crt
RVGAHP_ACCESS_FILE = {dir}/access.rvgahp-ce
{gahps}"""

#: Both daemons': whoever may enter the directory of the sandbox may use it.
_ACCESS = """\
# Who may do what in a sandbox; "rvgahp access" tells how a rule is understood.
ALLOW START *
"""


#: Lines for a CE that root starts and that is to stay what it is.
STAYS_ROOT = "RVGAHP_ACCOUNT = root\nRVGAHP_ALLOW_ROOT = true\n"

#: A dollar sign with which a macro of condor_config begins.  Any other stays as it is, and
#: so do two, C{$$(NAME)}, whose time comes later (C{expand_macro} in HTCondor
#: C{src/condor_utils/config.cpp}).
_MACRO = re.compile(r"(?<!\$)((?:\$\$)*)\$(?=\w*\()", re.ASCII)

#: What cannot be written so that it is given back: its C{$(DOLLAR)} is expanded last, until
#: there is none.
_EXPANDED = re.compile(r"\$\(DOLLAR\)", re.IGNORECASE)


def _escaped(value: str) -> str:
    """
    @return: C{value} as condor_config gives it back, C{$} and all.
    @raise ConfigurationError: it cannot be written there.
    """
    if "\n" in value or value.endswith("\\") or _EXPANDED.search(value):
        raise ConfigurationError(f"{value!r} cannot stand in a configuration file.")
    return _MACRO.sub(r"\1$(DOLLAR)", value)


def parseGAHP(word: str) -> tuple[str, str]:
    """
    @param word: C{NAME=COMMAND}.
    @raise ConfigurationError: it is not of that form.
    """
    name, equals, command = word.partition("=")
    try:
        words = shlex.split(command)
    except ValueError as e:
        raise ConfigurationError(f"--gahp {name}: {e} in {command!r}.") from None
    if not equals or not words:
        raise ConfigurationError(f"--gahp takes NAME=COMMAND, and got {word!r}.")
    return checkGAHPName(name), command


def parseAddress(word: str) -> tuple[str, int]:
    """
    @param word: C{HOST:PORT}.
    @raise ConfigurationError: it is not of that form.
    """
    host, colon, port = word.rpartition(":")
    isNumber = port.isdecimal() and len(port) <= 5
    if not colon or not host or not isNumber or not 0 < int(port) < 65536:
        raise ConfigurationError(f"An address is HOST:PORT, and {word[:80]!r} is not.")
    return host, int(port)


def isReadable(fd: int) -> bool:
    """
    @return: whether something can be read from a descriptor now.
    """
    return bool(select.select([fd], [], [], 0)[0])


class Sandbox:
    """
    A proxy and a CE of its own, in a directory of its own.

    @ivar directory: where credentials, configuration, socket and logs lie.
    @ivar port: the proxy's.
    @ivar said: what the two daemons said of themselves.
    """

    def __init__(
        self,
        directory: str | None = None,
        port: int = 0,
        gahps: dict[str, str] | None = None,
        connect: tuple[str, int] | None = None,
        extraSettings: Mapping[str, str] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param directory: made if it is not there; by default a temporary one,
            removed at the end.
        @param port: 0 lets the kernel choose.
        @param gahps: further GAHPs: command lines by name.
        @param connect: what the CE dials in place of the proxy's own address.
        @param extraSettings: further lines for the configuration files, by daemon:
            C{"rvgahp-proxy"} and C{"rvgahp-ce"}.
        @param interrupted: tells whether to give up a start.
        @raise ConfigurationError: something cannot be as it is asked for.
        """
        self._temporary = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="rvgahp-")).absolute()
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            if self._temporary:
                self.directory.rmdir()
            raise ConfigurationError(
                f"{self.directory} is too long a path for a UNIX socket in it; name a shorter"
                " one with --dir."
            )
        self.port = port
        self._gahps = gahps or {}
        self._connect = connect
        self._extraSettings = dict(extraSettings or {})
        self.proxy, self.ce = (
            Daemon(self.directory, name, self.directory / f"condor_config.{name}", interrupted)
            for name in ("rvgahp-proxy", "rvgahp-ce")
        )

    @property
    def socket(self) -> str:
        """
        The proxy's UNIX socket.
        """
        return str(self.directory / "proxy.sock")

    @property
    def said(self) -> dict[str, str]:
        """
        What the two daemons said of themselves.
        """
        return {**self.proxy.said, **self.ce.said}

    def startProxy(self) -> None:
        """
        Make credentials and start the proxy.

        @raise StartFailed: it did not come up.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._makeCredentials()
        self._write("rvgahp-proxy", _PROXY, self.proxy)
        self.proxy.start()
        self.port = int(self.proxy.said["X_RVGAHP_PORT"])

    def startCE(self) -> None:
        """
        Start the CE, and wait until the proxy has accepted it.

        @raise StartFailed: it did not come up.
        """
        self._write("rvgahp-ce", _CE, self.ce)
        self.ce.start()

    def description(self) -> dict[str, object]:
        """
        @return: where everything is, for programs.
        """
        pids = {
            name: daemon.process.pid
            for name, daemon in (("proxy", self.proxy), ("ce", self.ce))
            if daemon.process is not None
        }
        return {
            "socket": self.socket,
            "host": HOST,
            "port": self.port,
            "site": SITE,
            "dir": str(self.directory),
            "pids": pids,
        }

    def deadDaemon(self) -> str:
        """
        @return: the name of a daemon that ended by itself, or nothing.
        """
        for daemon in (self.proxy, self.ce):
            if daemon.process is not None and daemon.process.poll() is not None:
                return daemon.command[-2]
        return ""

    def stop(self) -> None:
        """
        End both daemons and all that they have started, jobs included.

        @raise rvgahp.blah.errors.BatchError: a job cannot be ended.
        """
        self.ce.stop()
        self.proxy.stop()
        endAll(str(self.directory / "blah"))
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        try:
            self.startProxy()
            self.startCE()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _makeCredentials(self) -> None:
        if all((self.directory / name).exists() for name in _CREDENTIALS):
            return  # a sandbox that is started again
        makeCA(self.directory, replace=True)
        makeHostCredentials(self.directory, "localhost", addresses=[HOST], replace=True)
        makeCECredentials(self.directory, SITE, replace=True)

    def _write(self, name: str, template: str, daemon: Daemon) -> None:
        connect = ""
        if self._connect is not None:
            connect = "RVGAHP_CONNECT_TO = {}:{}\n".format(*self._connect)
        text = template.format(
            command=shlex.join(daemon.command),
            host=HOST,
            domain=DOMAIN,
            port=self.port,
            dir=_escaped(str(self.directory)),
            connect=connect,
            account="" if os.geteuid() else STAYS_ROOT,
            gahps=self._gahpLines(),
        )
        text += self._extraSettings.get(name, "")
        (self.directory / f"condor_config.{name}").write_text(text)
        access = self.directory / f"access.{name}"
        access.write_text(_ACCESS)
        access.chmod(0o644)

    def _gahpLines(self) -> str:
        lines = []
        further = [name for name in self._gahps if name not in BUILT_IN_GAHPS]
        if further:
            lines.append(f"RVGAHP_GAHP_NAMES = {', '.join(further)}")
        for name, command in self._gahps.items():
            if name in further:
                setting = re.sub("[^A-Za-z0-9_]", "_", name)
                lines.append(f"RVGAHP_GAHP_{setting} = {_escaped(command)}")
            else:
                lines.append(f"{BUILT_IN_GAHPS[name]} = {_escaped(self._script(name, command))}")
        return "".join(line + "\n" for line in lines)

    def _script(self, name: str, command: str) -> str:
        """
        @return: the path of a program that is the command: HTCondor's settings take no
            command line.
        """
        path = self.directory / f"gahp-{name}"
        path.write_text(f"#!/bin/sh\nexec {shlex.join(shlex.split(command))}\n")
        path.chmod(0o755)
        return str(path)
