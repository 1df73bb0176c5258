"""
A piece of code that is killed between any two of its changes to the disk.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.procfs import PATIENCE

#: The calls of L{os} that change directories.
_CHANGES = ("open", "rename", "link", "unlink", "makedirs")

#: An open without these only reads.
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY

_open = os.open

#: The exit status of a child that got to its end.
_DONE = 7


def killedAfter(
    changes: int, work: Callable[[], object], meanwhile: Callable[[], object] = lambda: None
) -> bool:
    """
    Do some work in a child process, which ends without any clearing up when it has made so
    many changes and is about to make another.

    @param meanwhile: called again and again until it ends.
    @return: whether it got to its end.
    @raise AssertionError: it failed.
    """
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(int(PATIENCE))
            _limit(changes)
            work()
        except BaseException as e:
            os.write(2, f"in the child: {e!r}\n".encode())
            os._exit(1)
        os._exit(_DONE)
    ended = 0
    while not ended:
        meanwhile()
        ended, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0 if ended else 0.001)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _DONE), f"the child ended with {code}"
    return code == _DONE


def _limit(changes: int) -> None:
    left = changes

    def limited(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if real is _open and not arguments[1] & _CHANGING:
                return real(*arguments, **named)
            if left == 0:
                os._exit(0)
            left -= 1
            return real(*arguments, **named)

        return call

    module = sys.modules["os"]
    for name in _CHANGES:
        setattr(module, name, limited(getattr(os, name)))
