# -*- test-case-name: tests.test_cecli -*-
"""
How cron keeps a CE running where there is no systemd, or where daemons are killed.

Layer 6; the standard library.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

__all__ = ["command", "crontab"]

_TEXT = """\
# For crontab -e.  It starts the CE with the machine, and looks every five minutes whether it
# runs: whatever has ended it, it comes back.  flock lets no second one start, also from
# another login node if they share this file system.
@reboot {line}
*/5 * * * * {line}
"""


def command(lock: str, pidfile: str, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """
    @param lock: a file that is held for as long as the CE runs.
    @param pidfile: the CE's; one that a killed CE has left is removed.
    @param words: the CE's command line; it stays in the foreground.
    @return: a line for a shell, that does nothing where the CE runs.
    """
    given = [f"{name}={value}" for name, value in variables.items()]
    program = shlex.join(["env", *given, *words] if given else words)
    inner = f"rm -f {shlex.quote(pidfile)}; exec {program}"
    return f"{shlex.join(['flock', '-n', lock, 'sh', '-c', inner])} >/dev/null 2>&1 </dev/null"


def crontab(line: str) -> str:
    """
    @param line: what L{command} has returned.
    @return: the lines of a crontab, in which C{%} would end a command.
    """
    return _TEXT.format(line=line.replace("%", "\\%"))
