# -*- test-case-name: tests.test_serviceunits -*-
"""
How the daemons of this machine are started: by systemd where they have a unit, else by hand.

Layer 6: the standard library.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence

from rvgahp.names import CE_FILE

__all__ = ["programPath", "startCommand", "typed"]

#: Where systemd looks for units, as far as anybody puts ours there (systemd.unit(5)).
SYSTEM_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


def startCommand(role: str, directories: Sequence[str] = SYSTEM_DIRECTORIES) -> str:
    """
    @param role: C{"proxy"} or C{"ce"}.
    @param directories: where units of the system may lie.
    @return: what starts the daemon again, or at all, on this machine.  A system's unit is that
        of the CE of whoever has no CE of his own.
    """
    name = f"rvgahp-{role}"
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if role == "ce" and os.path.exists(os.path.join(own, "systemd", "user", f"{name}.service")):
        return f"systemctl --user restart {name}"
    isOwn = role == "ce" and os.geteuid() and os.path.exists(os.path.expanduser(CE_FILE))
    if not isOwn and any(
        os.path.exists(os.path.join(one, f"{name}.service")) for one in directories
    ):
        return f"systemctl restart {name}"
    return f"{typed('twistd')} {name}"


def programPath(name: str) -> str | None:
    """
    @return: the absolute path of the program of this name that is of this installation, else of
        the one on PATH.
    """
    beside = [os.path.dirname(os.path.abspath(path)) for path in (sys.executable, sys.argv[0])]
    found = shutil.which(name, path=os.pathsep.join(beside)) or shutil.which(name)
    return None if found is None else os.path.abspath(found)


def typed(name: str) -> str:
    """
    @return: what to type for a program of this installation: its name, where that is enough.
    """
    path, found = programPath(name), shutil.which(name)
    if path is None or (found is not None and os.path.samefile(path, found)):
        return name
    return shlex.quote(path)
