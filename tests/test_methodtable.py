"""
Tests of L{rvgahp.methodtable}.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import twisted.plugins
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.iauthentication import IAuthenticationMethod
from rvgahp.methodtable import MethodTable, find, isMethodName
from rvgahp.settings import settingsFrom
from rvgahp.sslmethod import SSLMethod
from tests.authplugin import exampleSource, secretMethod


class Method:
    """
    One that may have a problem.
    """

    def __init__(self, name: object, problem: str | Exception = "") -> None:
        self.name = name
        self._problem = problem

    def problem(self, settings: Any) -> str:
        if isinstance(self._problem, Exception):
            raise self._problem
        return self._problem


class MethodTableTests(SynchronousTestCase):
    """
    What is used, and what is said of the rest.
    """

    def table(self, methods: str, *plugins: Any) -> MethodTable:
        values = {"RVGAHP.SEC_DEFAULT_AUTHENTICATION_METHODS": methods}
        return MethodTable(settingsFrom("proxy", Configuration(None, values)), plugins)

    def test_order(self) -> None:
        """
        The settings' order counts, and a method that they do not list is not used.
        """
        a, b, c = Method("A"), Method("B"), Method("C")
        table = self.table("C, A", a, b, c)
        self.assertEqual((table.methods, table.notes), ([c, a], []))
        self.assertIs(find(table.methods, "A"), a)
        self.assertIsNone(find(table.methods, "B"))

    def test_notes(self) -> None:
        """
        What is listed and cannot be used is noted; the rest is used.
        """
        good = Method("GOOD")
        bug = Method("BUG", ZeroDivisionError("inside"))
        table = self.table("NONE BAD BUG GOOD", Method("BAD", "it has no key"), bug, good)
        self.assertEqual(table.methods, [good])
        self.assertEqual(len(table.notes), 3)
        self.assertIn("NONE cannot be used: there is no plugin", table.notes[0])
        self.assertIn("BAD cannot be used: it has no key", table.notes[1])
        self.assertIn("BUG cannot be used: its plugin has a bug", table.notes[2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_none(self) -> None:
        """
        Where none can be used there is no table.
        """
        e = self.assertRaises(ConfigurationError, self.table, "KERBEROS", SSLMethod())
        self.assertIn("KERBEROS cannot be used", str(e))
        self.assertIn("set it to SSL", str(e))

    def test_names(self) -> None:
        """
        A plugin without a proper name is noted, and none takes the name of one of ours.
        """
        ours, thief = SSLMethod(), Method("SSL")
        table = self.table("SSL", Method("ssl"), Method(7), object(), thief, ours)
        self.assertEqual(table.methods, [ours])
        self.assertEqual(len(table.notes), 4)
        self.assertIn("has its method SSL already", " ".join(table.notes))
        for name in ("SSL", "A", "SCITOKENS", "FS_REMOTE", "X509", "A" * 32):
            self.assertTrue(isMethodName(name))
        wrong: tuple[object, ...] = ("", "ssl", "1A", "A B", "A\n", "A" * 33, "É", None)
        for other in wrong:
            self.assertFalse(isMethodName(other))

    def test_sitesPlugins(self) -> None:
        """
        The page's example is found where a site puts it; a module beside it that cannot be
        loaded is told in the log, and costs nothing else.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "site_good.py").write_text(exampleSource())
        (directory / "site_broken.py").write_text("raise ZeroDivisionError('broken')\n")
        self.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(directory)])
        names = {one.name for one in getPlugins(IAuthenticationMethod)}
        self.assertLessEqual({"SSL", "SECRET"}, names)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
        for name in ("site_good", "site_broken"):
            sys.modules.pop(f"twisted.plugins.{name}", None)

    def test_plugins(self) -> None:
        """
        SSL comes with rvgahp, as a plugin.
        """
        (method,) = (one for one in getPlugins(IAuthenticationMethod) if one.name == "SSL")
        self.assertIsInstance(method, SSLMethod)
        for one in (method, secretMethod({})):
            verifyObject(IAuthenticationMethod, one)
            verifyObject(IPlugin, one)
