"""
Hands open sockets to a program, as systemd does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

#: Puts the sockets where systemd has them, and becomes the program.
_CODE = """
import fcntl, os, sys
names, numbers, *words = sys.argv[1:]
given = [int(number) for number in numbers.split()]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for fd in given:
    os.close(fd)
for place, fd in enumerate(high, 3):
    os.dup2(fd, place)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(given))
os.environ["LISTEN_FDNAMES"] = names
os.execvp(words[0], words)
"""


def startWith(
    sockets: Sequence[tuple[str, int]],
    words: Sequence[str],
    environ: Mapping[str, str],
    **popen: Any,
) -> subprocess.Popen[bytes]:
    """
    @param sockets: names and descriptors.
    @param words: the program and its arguments.
    """
    numbers = [fd for _, fd in sockets]
    names = ":".join(name for name, _ in sockets)
    start = [sys.executable, "-I", "-S", "-c", _CODE, names, " ".join(map(str, numbers))]
    return subprocess.Popen(
        [*start, *words], env={**environ}, pass_fds=numbers, stdin=subprocess.DEVNULL, **popen
    )


def listening(address: Any, family: int = socket.AF_UNIX) -> socket.socket:
    """
    @return: a socket that listens.
    """
    made = socket.socket(family, socket.SOCK_STREAM)
    made.bind(address)
    made.listen()
    return made


def withoutSystemd() -> dict[str, str]:
    """
    @return: our environment without what systemd, or who is in its place, has put there.
    """
    theirs = ("LISTEN_", "WATCHDOG_", "NOTIFY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
