"""
The GAHPs of the benchmark: small shell scripts, the same for every contestant.

Each gives a banner first, so that a measurement begins when everything is up.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Bytes of the pattern that is sent, again and again; a record's size divides it,
#: and it is too large for the nearest caches.
PATTERN_BYTES = 4 << 20

#: Bytes of one read, at the most.
READ_BYTES = 256 << 10

#: What releases the GAHP that writes.
GO = b"go\n"

_BANNER = "echo '$GahpVersion: 1.0.0 bench $'"

#: The one that has tunnels: rvgahp gives them to none of another name.  It answers as far
#: as a front asks.
TUNNEL_GAHP = "condor_ft-gahp"

_TUNNEL_GAHP = """\
while read -r line; do
  case $line in
    COMMANDS*) echo 'S ASYNC_MODE_ON COMMANDS CONDOR_VERSION RESULTS VERSION' ;;
    CONDOR_VERSION*) echo 'S bench' ;;
    RESULTS*) echo 'S 0' ;;
    *) echo S ;;
  esac
done"""

SCRIPTS = {
    "bench-banner": "exec cat > /dev/null",
    "bench-echo": "exec cat",
    "bench-sink": "exec wc -c",
    "bench-source": "read go; exec cat {files}",
    TUNNEL_GAHP: _TUNNEL_GAHP,
}


class Gahps:
    """
    The scripts and the pattern, in a directory.

    @ivar total: bytes that the GAHP which writes gives.
    """

    def __init__(self, directory: Path, total: int) -> None:
        """
        @param total: a multiple of L{PATTERN_BYTES}.
        """
        self._directory = directory
        self.total = total
        once = os.urandom(PATTERN_BYTES)
        self._expected = once + once[:READ_BYTES]
        self.pattern = directory / "pattern"
        self.pattern.write_bytes(once)
        files = " ".join(["pattern"] * (total // PATTERN_BYTES))
        for name, script in SCRIPTS.items():
            text = f"cd {directory}\n{_BANNER}\n{script.format(files=files)}\n"
            (directory / name).write_text(text)

    def words(self, name: str) -> list[str]:
        """
        @return: the command of a GAHP.
        """
        return ["/bin/sh", str(self._directory / name)]

    def isRight(self, offset: int, data: memoryview) -> bool:
        """
        @return: whether C{data} is what was sent from C{offset} on.  Every byte is
            compared; nothing is copied.
        """
        return self._expected.startswith(data, offset % PATTERN_BYTES)
