"""
The time of day of real processes, moved while they run: C{movedclock.c} stands before the C
library's clocks (LD_PRELOAD).  All that a process does goes by it: Python, C{cryptography},
OpenSSL.  Clocks that nobody can set, C{CLOCK_MONOTONIC} and C{CLOCK_BOOTTIME}, stay what they
are, and so does this machine's.

libfaketime is not used: with it, C{time.sleep} of Python 3.11 fails with C{EINVAL}.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.procfs import PATIENCE

#: Seconds of a day.
DAY = 86400

_SOURCE = Path(__file__).with_name("movedclock.c")


def whyNot() -> str | None:
    """
    @return: why clocks cannot be moved here; L{None} if they can.
    """
    if shutil.which("cc") is None:
        return "there is no C compiler (cc) here, by which a clock is moved: apt-get install gcc"
    return None


class MovedClock:
    """
    What some processes take for the time of day.

    @ivar environment: the variables with which they are started.
    """

    def __init__(self, directory: Path, name: str) -> None:
        """
        @param directory: for its files.
        @param name: that of the clock; there may be several.
        """
        library, clock = directory / "movedclock.so", directory / f"clock-{name}"
        if not library.exists():
            words = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library)]
            subprocess.run(["cc", *words, str(_SOURCE), "-ldl"], check=True, timeout=PATIENCE)
        clock.write_bytes(bytes(8))
        with clock.open("r+b") as file:
            self._later = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(clock)}

    def move(self, days: float) -> None:
        """
        From now on it is so much later than it is; less than 0: earlier.
        """
        struct.pack_into("=q", self._later, 0, round(days * DAY))

    @contextmanager
    def around(self) -> Iterator[None]:
        """
        What is started meanwhile goes by it.
        """
        with mock.patch.dict(os.environ, self.environment):
            yield

    def close(self) -> None:
        """
        It is not moved any more.
        """
        self._later.close()
