"""
Tests of L{rvgahp.completioncli}: C{rvgahp completion}.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from rvgahp.completioncli import SHELLS
from tests.commandcase import CommandTestCase
from tests.procfs import PATIENCE

#: Asks bash what it would show, as readline does: words, and which of them is completed.
_ASK = """
source /dev/stdin
ask() {
    COMP_WORDS=(rvgahp "$@") COMP_CWORD=$# COMPREPLY=()
    set -- $(complete -p rvgahp)
    while [ "$1" != -F ]; do shift; done
    "$2" rvgahp
    echo "${COMPREPLY[*]}"
}
"""


class CompletionTests(CommandTestCase):
    """
    Tests of the scripts.
    """

    command = ("completion",)

    def script(self, shell: str) -> str:
        """
        @return: a shell's script.
        """
        status, output, errors = self.run_(shell)
        self.assertEqual((status, errors), (0, ""))
        return output

    def shell(self, *words: str, script: str, **environment: str) -> str:
        """
        @return: what a shell prints.
        """
        if shutil.which(words[0]) is None:
            raise SkipTest(f"there is no {words[0]}")
        done = subprocess.run(
            words,
            check=False,
            input=script,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **environment},
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_bash(self) -> None:
        """
        bash completes commands, commands of commands, options, choices and paths.
        """
        directory = self.mktemp()
        os.makedirs(os.path.join(directory, "etc"))
        with open(os.path.join(directory, "file"), "w"):
            pass
        lines = {
            "do": "doctor",
            "credentials ''": "ca ce host",
            "doctor --r": "--role",
            "doctor --role ''": "ce proxy",
            "trace alice@login.example.edu --j": "--job --json",
            f"map --file {directory}/": f"{directory}/etc {directory}/file",
            f"credentials ca {directory}/": f"{directory}/etc",
            "completion ''": " ".join(sorted(SHELLS)),
        }
        asking = _ASK + "".join(f"ask {line}\n" for line in lines)
        output = self.shell("bash", "--norc", "-c", asking, script=self.script("bash"))
        found = [" ".join(sorted(line.split())) for line in output.split("\n")[:-1]]
        self.assertEqual(dict(zip(lines, found, strict=True)), lines)

    def test_accepted(self) -> None:
        """
        Each shell takes its script, and the script has each command with its summary.
        """
        for shell in SHELLS:
            script = self.script(shell)
            if shutil.which(shell) is not None:
                self.shell(shell, "-n", script=script)
            for word in ("doctor", "credentials", "resume"):
                self.assertIn(word, script)
            if shell != "bash":  # which shows no summaries
                self.assertIn("let nothing new be started", script)

    def test_unknownShell(self) -> None:
        """
        Another shell is refused, and those that are known are named.
        """
        status, output, errors = self.run_("csh")
        self.assertEqual((status, output), (2, ""))
        for shell in SHELLS:
            self.assertIn(shell, errors)
