"""
Run the tests against the installed package: C{python contrib/trial-installed.py}.

Python puts a script's own directory on its path, C{python -m} the current one, and
either might hold the package's source.  Here only C{tests} is added, by itself.

Without arguments all tests run, in four processes beside each other: those of real
processes wait for most of their time.  What the other three say is shown when they have
ended.
"""

import importlib.machinery
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: The tests of real processes; they are divided among processes of their own.
WHOLE = "test_whole_"

#: Those that go with a third of them, so that all parts take equally long.
BESIDE = "test_gridmanager"


class TestsFinder(importlib.machinery.PathFinder):
    """
    Finds the package C{tests}, and nothing else, beside this directory.
    """

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname != "tests":
            return None
        return super().find_spec(fullname, [str(ROOT)], target)


def trial(words):
    """
    Become trial.
    """
    from twisted.scripts.trial import run

    sys.meta_path.append(TestsFinder)
    sys.argv = [sys.argv[0], *words]
    run()


def trialAll():
    """
    @return: the exit status of all tests.
    """
    names = [f"tests.{path.stem}" for path in sorted((ROOT / "tests").glob("test_*.py"))]
    whole = [name for name in names if name.startswith(f"tests.{WHOLE}")]
    beside = [name for name in names if name.startswith(f"tests.{BESIDE}")]
    rest = [name for name in names if name not in (*whole, *beside)]
    itself = sys.orig_argv[: sys.orig_argv.index(sys.argv[0]) + 1]
    parts = []
    for number, words in enumerate(([*whole[::3], *beside], whole[1::3], whole[2::3])):
        output = tempfile.TemporaryFile()
        words = [f"--temp-directory=_trial_temp_{number}", *words]
        parts.append((subprocess.Popen([*itself, *words], stdout=output, stderr=output), output))
    statuses = [subprocess.run([*itself, *rest], check=False).returncode]
    for process, output in parts:
        statuses.append(process.wait())
        with output:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    print("all tests passed" if not any(statuses) else f"tests failed: {statuses}")
    return int(any(statuses))


if len(sys.argv) > 1:
    trial(sys.argv[1:])
else:
    sys.exit(trialAll())
