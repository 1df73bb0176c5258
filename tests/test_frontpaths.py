"""
Tests of L{rvgahp.frontpaths}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontpaths import SandboxPaths


class SandboxPathsTests(SynchronousTestCase):
    """
    Tests of L{SandboxPaths}.
    """

    def test_latest(self) -> None:
        """
        A path is known by its id, and a later one replaces it.
        """
        paths = SandboxPaths()
        self.assertIsNone(paths.get(b"a"))
        paths.learn(b"a", b"/1")
        paths.learn(b"a", b"/2")
        self.assertEqual(paths.get(b"a"), b"/2")

    def test_none(self) -> None:
        """
        NULL, in any letters, and an empty word are no path.
        """
        paths = SandboxPaths()
        for path in (b"NULL", b"null", b""):
            paths.learn(b"a", path)
        self.assertIsNone(paths.get(b"a"))

    def test_bounded(self) -> None:
        """
        The oldest are forgotten, and a very long one is not learned.
        """
        paths = SandboxPaths()
        paths.learn(b"old", b"/old")
        paths.learn(b"long", b"/" * frontlimits.SANDBOX_PATH_BYTES)
        self.assertIsNone(paths.get(b"long"))
        for number in range(frontlimits.SANDBOX_PATHS - 1):
            paths.learn(b"%d" % number, b"/p")
        self.assertEqual(paths.get(b"old"), b"/old")
        paths.learn(b"new", b"/new")
        self.assertIsNone(paths.get(b"old"))
        self.assertEqual(paths.get(b"0"), b"/p")
