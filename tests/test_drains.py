"""
Tests of L{rvgahp.drains}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.drains import Drains
from rvgahp.errors import Busy


class DrainsTests(SynchronousTestCase):
    """
    What is drained.
    """

    def test_site(self) -> None:
        """
        A site alone, and it again.
        """
        drains = Drains()
        drains.drain("a")
        drains.check("b", "somebody")
        e = self.assertRaises(Busy, drains.check, "a", "somebody")
        self.assertIn("somebody drains site a", str(e))
        drains.resume("b")
        self.assertTrue(drains.isDraining("a"))
        drains.resume("a")
        drains.check("a", "somebody")

    def test_all(self) -> None:
        """
        All, whatever was said of one; and C{resume} takes back all.
        """
        drains = Drains()
        drains.drain("a")
        drains.drain("")
        e = self.assertRaises(Busy, drains.check, "b", "somebody")
        self.assertIn("somebody drains all sites", str(e))
        drains.resume("a")
        self.assertTrue(drains.isDraining("a"))
        drains.drain("a")
        drains.resume("")
        self.assertFalse(drains.isDraining("a") or drains.isAll)
