# -*- test-case-name: tests.test_doctorlimit -*-
"""
C{rvgahp doctor}: no check is waited for without end, and whoever wants to end it need not wait.

Layer 6: threads, for a file system that does not answer cannot be had to answer by other means.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable

from rvgahp.findings import Finding, Findings, wrong
from rvgahp.patience import Interrupted, Patience, TookTooLong

__all__ = ["CHECK_LIMIT", "TIDY_LIMIT", "limited"]

#: Seconds between two findings of one check.  Whatever has a limit of its own has a shorter one.
CHECK_LIMIT = 45.0

#: Seconds for a check that has started programs to end them, when we are to end.
TIDY_LIMIT = 10.0

#: Seconds for a thread that has put its last finding to be over.
_AN_INSTANT = 1.0

_STUCK = (
    "see whether a file system in which such files lie does not answer (df, ls); the other lines"
    " count all the same."
)


def limited(
    name: str, check: Callable[[], Iterable[Finding]], patience: Patience, tidy: float = 0.0
) -> Findings:
    """
    What a check finds, each when it is.  One that finds nothing for L{CHECK_LIMIT} is given up,
    and its thread left alone.

    @param check: runs in a thread of its own.
    @param tidy: seconds that it may take to clear away what it has started, when we are to end.
    @return: ends with whatever C{check} raises.
    @raise Interrupted: we are to end.
    """
    found: queue.SimpleQueue[Finding | Exception | None] = queue.SimpleQueue()
    bell, rope = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def put(what: Finding | Exception | None) -> None:
        found.put(what)
        os.write(rope, b"!")

    def work() -> None:
        try:
            for finding in check():
                put(finding)
        except Exception as e:
            put(e)
        else:
            put(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                patience.wait(f"the check {name!r}", CHECK_LIMIT).readable(bell)
            except TookTooLong:
                yield wrong(name, f"nothing was found within {CHECK_LIMIT:g} s", _STUCK)
                return
            os.read(bell, 1)
            what = found.get()
            if what is None:
                return
            if isinstance(what, Exception):
                raise what
            yield what
    except Interrupted as e:
        thread.join(tidy)
        raise _ownWords(found) or e from None
    finally:
        thread.join(_AN_INSTANT)
        if not thread.is_alive():  # else it may still write
            os.close(bell)
            os.close(rope)


def _ownWords(found: queue.SimpleQueue[Finding | Exception | None]) -> Interrupted | None:
    """
    @return: what the check itself was waiting for, if it says so.
    """
    while not found.empty():
        what = found.get()
        if isinstance(what, Interrupted):
            return what
    return None
