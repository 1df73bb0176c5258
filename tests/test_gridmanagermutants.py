"""
Mutants of our own GAHP: the gridmanager double must not bear them.
"""

from __future__ import annotations

import sys

from tests.gridmanagercase import SHORT, DoubleTestCase
from tests.gridmanagerlines import (
    GridmanagerDied,
    GridmanagerError,
    OutOfStep,
    ResourceDown,
)

#: Mutants of our batch GAHP, as Python that is run before it, and their ends.
MUTANTS: dict[str, tuple[str, type[GridmanagerError], str]] = {
    "too few fields": (
        "old = server.joinTokens; server.joinTokens = lambda tokens: old([*tokens][:-1])",
        GridmanagerDied,
        "not 3 fields",
    ),
    "nothing escaped": (
        "server.joinTokens = b' '.join",
        GridmanagerDied,
        "not 3 fields",
    ),
    "no acknowledgement": (
        "old = Server._reply\n"
        "Server._reply = lambda self, line, why='': None if line == b'S' else old(self, line, why)",
        GridmanagerDied,
        "no line for 0.4 s after ASYNC_MODE_ON",
    ),
    "a longer notice": (
        "Server._notice = lambda self: self._write(b'Results are there\\r\\n')",
        GridmanagerError,
        "said unasked|RESULTS answered with|bad .* request",
    ),
    "a notice that does not end": (
        "Server._notice = lambda self: self._write(b'R')",
        GridmanagerError,
        "RESULTS answered with .*b'RS'|no line for|bad .* request",
    ),
    "results are kept": (
        "Server._sendResults = lambda self: self._write("
        "b'\\r\\n'.join([b'S %d' % len(self._results), *self._results]) + b'\\r\\n')",
        OutOfStep,
        "the result of nothing",
    ),
    "results are miscounted": (
        "old = main.DialogueStreams.write\n"
        "main.DialogueStreams.write = lambda self, data: old(self, data.replace(b'S 1', b'S 2'))",
        GridmanagerDied,
        "no line for 0.4 s after RESULTS",
    ),
    "a code in words": (
        "old = server.joinTokens; server.joinTokens = lambda tokens: old(\n"
        "    [b'good' if token == b'0' else token for token in tokens])",
        OutOfStep,
        "the code of a result is b'good'",
    ),
    "a long banner": (
        "main.BANNER = main.BANNER.ljust(200, b'$')",
        ResourceDown,
        "could not start",
    ),
    "a word before COMMANDS is answered": (
        "old = Server._listCommands\n"
        "Server._listCommands = lambda self: (self._write(b'hello\\r\\n'), old(self))",
        ResourceDown,
        "could not start",
    ),
    "an exit after COMMANDS": (
        "Server._asyncModeOn = lambda self: os._exit(0)",
        GridmanagerDied,
        r"bad BLAH_PING request: \[\]|exited with status 0",
    ),
    "an exit later": (
        "Server._sendResults = lambda self: os._exit(3)",
        GridmanagerDied,
        r"exited with status 3|bad .* request: \[\]",
    ),
}


class MutantTests(DoubleTestCase):
    """
    C{rvgahp_blahpd}, changed in one place each.
    """

    def test_mutants(self) -> None:
        """
        The double does not bear a batch GAHP that is not as ours should be.
        """
        for name, (mutation, kind, reason) in MUTANTS.items():
            lines = ["import os", "from rvgahp.blah import main, server"]
            lines += ["Server = server.GahpServer", mutation, "main.main([])"]
            double = self.start([sys.executable, "-c", "\n".join(lines)], times=SHORT)
            job = double.brain.addJob(self.forkAd("true"))
            error = self.assertRaises(GridmanagerError, self.untilDone, double, job)
            self.assertIsInstance(error, kind, f"{name}: {error}")
            self.assertRegex(str(error), reason, name)
