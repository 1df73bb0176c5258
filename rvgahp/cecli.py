# -*- test-case-name: tests.test_cecli -*-
"""
C{rvgahp ce install}: what keeps a CE running is put in place.

Layer 6; L{rvgahp.ceunit} and L{rvgahp.cecron}.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rvgahp.cecron import command, crontab
from rvgahp.ceunit import systemUnit, userUnit
from rvgahp.commandparser import addParser
from rvgahp.errors import RvgahpError
from rvgahp.serviceunits import programPath

if TYPE_CHECKING:
    from rvgahp.commandparser import Commands

__all__ = ["addCommand"]

_ABOUT = """\
Put in place what starts the CE with this machine, and again whenever it ends: a unit of
systemd, for root that of a CE for many accounts, for others one of their own.  Nothing is
started yet: the commands that do so are printed.  Where there is no systemd for you,
lines for crontab are printed, and nothing is written.

The unit has the path of this rvgahp's twistd, and for a CE of your own the PATH of this
shell: load the modules first that the batch system's commands need.
"""

_UNIT = "rvgahp-ce.service"

#: Where systemd shows that it runs.
_BOOTED = "/run/systemd/system"

_SYSTEM_DIRECTORY = "/etc/systemd/system"

#: What a CE and its GAHPs may need of the environment of a login.
_SHARED = ("PATH", "LD_LIBRARY_PATH")


#: The configuration of a CE that root starts; the second is what rvgahp join --dir makes.
_SYSTEM_FILES = ("/etc/rvgahp-ce/condor_config", "/etc/rvgahp-ce/condor_config.rvgahp")


def _firstOf(files: Sequence[str]) -> str:
    """
    @return: the first that is there, else the first.
    """
    return next(filter(os.path.isfile, files), files[0])


def addCommand(subparsers: Commands) -> None:
    """
    Hang C{ce} under the C{rvgahp} command.

    @param subparsers: what C{add_subparsers} returned.
    """
    ce = addParser(
        subparsers, "ce", "at the site: have this machine keep a CE running", "The CE of this site."
    )
    commands = ce.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = addParser(
        commands,
        "install",
        "put the unit of systemd in place, or print lines for cron",
        _ABOUT,
        examples=("rvgahp ce install", "rvgahp ce install --cron"),
        page="systemd",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--user", action="store_true", help="a CE of your own")
    which.add_argument("--system", action="store_true", help="a CE that root starts")
    parser.add_argument("--cron", action="store_true", help="only print lines for crontab")
    parser.add_argument("--config", metavar="FILE", help="the CE's condor_config")
    parser.add_argument("--dry-run", action="store_true", help="write nothing, but show it")
    parser.add_argument("--replace", action="store_true", help="write over another unit")
    parser.set_defaults(run=_install)


class _Place:
    """
    Where the things of a CE are: of the user's, or of root's.
    """

    def __init__(self, isSystem: bool, config: str | None) -> None:
        self.isSystem = isSystem
        home = os.path.expanduser("~/.rvgahp")
        usual = f"{home}/condor_config.rvgahp"
        if isSystem:
            usual = _firstOf(_SYSTEM_FILES)
        self.config = os.path.abspath(config) if config else usual
        self._isUsual = self.config == usual and not isSystem
        files = os.path.dirname(self.config)
        self.log, self.lock, self.pid = (f"{files}/ce.{end}" for end in ("log", "lock", "pid"))
        if isSystem:
            self.log = "/var/log/rvgahp-ce.log"
            self.lock, self.pid = (f"/run/rvgahp-ce.{end}" for end in ("lock", "pid"))

    def words(self, *options: str) -> list[str]:
        """
        @param options: of twistd.
        @return: the CE's command line.
        """
        further = [] if self._isUsual else [f"--config={self.config}"]
        return [_program("twistd"), "--nodaemon", "--no_save", *options, "rvgahp-ce", *further]

    def reload(self) -> list[str]:
        """
        @return: what has the CE read its files again.
        """
        which = "--ce" if self._isUsual else f"--ce={self.config}"
        return [_program("rvgahp"), "reload", which]

    def variables(self) -> dict[str, str]:
        """
        @return: what of this environment the CE is to have.
        """
        names = () if self.isSystem else _SHARED
        return {name: os.environ[name] for name in names if os.environ.get(name)}

    def unit(self) -> str:
        """
        @return: the unit's text.
        """
        if self.isSystem:
            return systemUnit(self.words("--pidfile="), self.reload())
        words = self.words("--pidfile=", f"--logfile={self.log}")
        return userUnit(words, self.reload(), self.variables())

    def unitPath(self) -> str:
        """
        @return: where systemd looks for it.
        """
        if self.isSystem:
            return os.path.join(_SYSTEM_DIRECTORY, _UNIT)
        own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return os.path.join(own, "systemd", "user", _UNIT)

    def crontab(self) -> str:
        """
        @return: what does without systemd.
        """
        words = self.words(f"--pidfile={self.pid}", f"--logfile={self.log}")
        return crontab(command(self.lock, self.pid, words, self.variables()))

    def hasSystemd(self) -> bool:
        """
        @return: whether there is a systemd that would read the unit.
        """
        if not os.path.isdir(_BOOTED):
            return False
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        return self.isSystem or os.path.exists(os.path.join(runtime, "systemd", "private"))


def _program(name: str) -> str:
    """
    @return: the path of this interpreter's program of this name.
    @raise RvgahpError: there is none.
    """
    found = programPath(name)
    if found is None:
        raise RvgahpError(f"there is no {name} beside {sys.executable}, nor on PATH")
    return found


def _install(arguments: argparse.Namespace) -> int:
    isSystem = arguments.system or (not arguments.user and os.geteuid() == 0)
    place = _Place(isSystem, arguments.config)
    if arguments.cron:
        print(place.crontab(), end="")
        return 0
    if not (arguments.system or arguments.user or place.hasSystemd()):
        whose = "" if isSystem else " for your account"
        print(f"rvgahp: there is no systemd{whose}; cron can do it:", file=sys.stderr)
        print(place.crontab(), end="")
        return 0
    if arguments.dry_run:
        print(f"# {place.unitPath()}\n{place.unit()}", end="")
        return 0
    _write(place, arguments.replace)
    return 0


def _write(place: _Place, replace: bool) -> None:
    """
    @raise RvgahpError: it must not, or the CE would not start.
    """
    if not os.path.isfile(place.config):
        raise RvgahpError(
            f"there is no configuration {place.config}: rvgahp join makes it, --config names it"
        )
    path, text = place.unitPath(), place.unit()
    wasThere = os.path.lexists(path)
    if wasThere and not replace:
        with open(path) as file:
            if file.read() != text:
                raise RvgahpError(f"{path} is there, and is another: give --replace, or keep it")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "x") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    os.rename(temporary, path)
    print(f"wrote {path}")
    _tellNext(place, wasThere)


def _tellNext(place: _Place, wasThere: bool) -> None:
    """
    Say which commands start the CE, with the unit that there is now.

    @param wasThere: whether there was one, by which the CE may run; enable --now leaves it so.
    """
    if not place.hasSystemd():
        print("There is no systemd here to read it. Where there is:")
    systemctl = "systemctl" if place.isSystem else "systemctl --user"
    print(f"    {systemctl} daemon-reload")
    print(f"    {systemctl} enable --now {_UNIT}")
    if wasThere:
        print(f"    {systemctl} restart {_UNIT}")
    if not place.isSystem:
        print("    loginctl enable-linger")
