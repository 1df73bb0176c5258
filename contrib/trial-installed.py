"""
Run the tests against the installed package: C{python contrib/trial-installed.py}.

Python puts a script's own directory on its path, C{python -m} the current one, and
either might hold the package's source.  Here only C{tests} is added, by itself.
"""

import importlib.machinery
import sys
from pathlib import Path

from twisted.scripts.trial import run


class TestsFinder(importlib.machinery.PathFinder):
    """
    Finds the package C{tests}, and nothing else, beside this directory.
    """

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname != "tests":
            return None
        return super().find_spec(fullname, [str(Path(__file__).parents[1])], target)


sys.meta_path.append(TestsFinder)
sys.argv = [sys.argv[0], *(sys.argv[1:] or ["tests"])]
run()
