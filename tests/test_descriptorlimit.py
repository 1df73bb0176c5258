"""
Tests of L{rvgahp.descriptorlimit}.
"""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.descriptorlimit import raiseDescriptorLimit


class LimitTests(SynchronousTestCase):
    """
    What is asked of the kernel, whose part is played here: a limit once lowered could not
    be raised again.
    """

    def raised(self, soft: int, hard: int) -> tuple[int, list[tuple[int, int]]]:
        """
        @return: what L{raiseDescriptorLimit} returns where these are the limits, and
            what it asked for.
        """
        asked: list[tuple[int, int]] = []
        self.patch(resource, "getrlimit", lambda which: (soft, hard))
        self.patch(resource, "setrlimit", lambda which, wanted: asked.append(wanted))
        return raiseDescriptorLimit(), asked

    def test_raised(self) -> None:
        """
        The usual soft limit is raised to what we want.
        """
        wanted = limits.WANTED_DESCRIPTORS
        self.assertEqual(self.raised(1024, 1 << 20), (wanted, [(wanted, 1 << 20)]))
        infinite = resource.RLIM_INFINITY
        self.assertEqual(self.raised(1024, infinite), (wanted, [(wanted, infinite)]))

    def test_lowHardLimit(self) -> None:
        """
        Or as far as we may.
        """
        self.assertEqual(self.raised(1024, 4096), (4096, [(4096, 4096)]))
        self.assertEqual(self.raised(4096, 4096), (4096, []))

    def test_enoughAlready(self) -> None:
        """
        A higher one stays; where there is none, there are as many as we want.
        """
        self.assertEqual(self.raised(1 << 20, 1 << 20), (1 << 20, []))
        infinite = resource.RLIM_INFINITY
        count, asked = self.raised(infinite, infinite)
        self.assertGreaterEqual(count, limits.WANTED_DESCRIPTORS)
        self.assertEqual(asked, [])

    def test_real(self) -> None:
        """
        The kernel takes what is asked.
        """
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        count = raiseDescriptorLimit()
        self.assertGreater(count, 256)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (count, before[1]))
