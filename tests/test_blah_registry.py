# -*- test-case-name: tests.test_blah_registry -*-
"""
Tests of L{rvgahp.blah.registry}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from rvgahp.blah.errors import NoSuchManager
from rvgahp.blah.fork import Fork
from rvgahp.blah.ilrm import ILocalResourceManager, IProxyRenewer
from rvgahp.blah.registry import ManagerRegistry, findPlugins


class Half:
    """
    Claims the interface and has the least part of it.
    """

    name = "half"


class ManagerRegistryTests(SynchronousTestCase):
    """
    L{ManagerRegistry}.
    """

    def setUp(self) -> None:
        """
        A place for complaints.
        """
        self.complaints: list[str] = []

    def test_installed(self) -> None:
        """
        C{fork} is found as a plugin, by its name in any case of letters.
        """
        registry = ManagerRegistry(self.complaints.append)
        self.assertIsInstance(registry.get("fork"), Fork)
        self.assertIdentical(registry.get("Fork"), registry.get("fork"))
        self.assertEqual(self.complaints, [])

    def test_interface(self) -> None:
        """
        What is installed provides the interface with its signatures.
        """
        for plugin in findPlugins():
            self.assertTrue(verifyObject(ILocalResourceManager, plugin))
        self.assertTrue(verifyObject(IProxyRenewer, Fork()))

    def test_unknown(self) -> None:
        """
        The refusal of an unknown name says which there are.
        """
        registry = ManagerRegistry(self.complaints.append, lambda: [Fork()])
        sentence = str(self.assertRaises(NoSuchManager, registry.get, "slurm"))
        self.assertIn("slurm", sentence)
        self.assertIn("fork", sentence)

    def test_searchedOnce(self) -> None:
        """
        The search is made at the first question and not again.
        """
        searches: list[int] = []

        def find() -> list[Fork]:
            searches.append(1)
            return [Fork()]

        registry = ManagerRegistry(self.complaints.append, find)
        self.assertEqual(searches, [])
        registry.get("fork")
        registry.get("fork")
        self.assertEqual(searches, [1])

    def test_incomplete(self) -> None:
        """
        A plugin that lacks a part is left out, with a complaint, and the
        others serve.
        """
        half = Half()
        directlyProvides(half, ILocalResourceManager)
        registry = ManagerRegistry(self.complaints.append, lambda: [half, Fork()])
        self.assertIsInstance(registry.get("fork"), Fork)
        self.assertRaises(NoSuchManager, registry.get, "half")
        self.assertEqual(len(self.complaints), 1)

    def test_sameName(self) -> None:
        """
        Of two with one name the first serves, and there is a complaint.
        """
        first, second = Fork(), Fork()
        registry = ManagerRegistry(self.complaints.append, lambda: [first, second])
        self.assertIdentical(registry.get("fork"), first)
        self.assertIn("fork", *self.complaints)
