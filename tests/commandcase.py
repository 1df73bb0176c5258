"""
Test cases of C{rvgahp}'s commands, in this very process.
"""

from __future__ import annotations

import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import cli


class CommandTestCase(SynchronousTestCase):
    """
    Runs one command.

    @cvar command: the words that begin each line.
    """

    command: tuple[str, ...] = ()

    def run_(self, *words: str) -> tuple[object, str, str]:
        """
        @return: exit status, stdout and stderr.
        """
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "argv", ["rvgahp", *self.command, *words])
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        try:
            status: object = cli.main()
        except SystemExit as e:
            status = e.code
        return status, output.getvalue(), errors.getvalue()
