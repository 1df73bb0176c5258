# -*- test-case-name: tests.test_serviceunits -*-
"""
How the daemons of this machine are started: by systemd where they have a unit, else by hand.

Layer 6: the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["startCommand"]

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
    @return: what starts the daemon again, or at all, on this machine.
    """
    name = f"rvgahp-{role}"
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if role == "ce" and os.path.exists(os.path.join(own, "systemd", "user", f"{name}.service")):
        return f"systemctl --user restart {name}"
    if any(os.path.exists(os.path.join(one, f"{name}.service")) for one in directories):
        return f"systemctl restart {name}"
    return f"twistd {name}"
