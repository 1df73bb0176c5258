"""
Tests of L{rvgahp.gahptable}, L{rvgahp.gahpkinds} and L{rvgahp.igahp}.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError, StartFailed, UnknownGAHP
from rvgahp.gahpkinds import BatchGAHP, FileTransferGAHP
from rvgahp.gahptable import GAHPTable
from rvgahp.igahp import GAHPCommand, IGAHPKind
from rvgahp.settings import Settings, settingsFrom
from tests.procfs import PATIENCE

KINDS = (BatchGAHP(), FileTransferGAHP())


def settings(file: str | None = None, **values: str) -> Settings:
    """
    @return: a CE's settings.
    """
    return settingsFrom("ce", Configuration(file, {"RVGAHP_BROKER_HOST": "h", **values}))


@implementer(IGAHPKind)
class Kind:
    """
    A kind that a site adds.
    """

    names: tuple[str, ...] = ("mine",)

    def command(self, settings: Any) -> GAHPCommand | None:
        return GAHPCommand("/bin/cat", ["-u"])


class KindTests(SynchronousTestCase):
    """
    The two usual kinds.
    """

    def test_interfaces(self) -> None:
        """
        They are kinds and plugins, and Twisted finds them.
        """
        for kind in KINDS:
            verifyObject(IGAHPKind, kind)
            verifyObject(IPlugin, kind)
        verifyObject(IGAHPKind, Kind())
        found = {type(kind) for kind in getPlugins(IGAHPKind)}
        self.assertLessEqual({BatchGAHP, FileTransferGAHP}, found)

    def test_embedded(self) -> None:
        """
        Where BATCH_GAHP is not set, our own serves, from this installation, with our
        Python's variables.
        """
        self.patch(os, "environ", {"PATH": "/bin", "PYTHONUTF8": "1"})
        command = BatchGAHP().command(settings())
        self.assertEqual(
            command.program, os.path.join(os.path.dirname(sys.executable), "rvgahp_blahpd")
        )
        self.assertEqual((command.arguments, command.environment), ([], {}))
        self.assertFalse(command.requiresEncryption)
        self.patch(os, "environ", {"PYTHONPATH": "/there"})
        command = BatchGAHP().command(settings())
        self.assertEqual(command.environment, {"PYTHONPATH": "/there"})

    def test_batch(self) -> None:
        """
        Else the site's, with its directories in its environment.
        """
        values = {"BATCH_GAHP": "/opt/batch_gahp", "GLITE_LOCATION": "/opt/glite"}
        command = BatchGAHP().command(settings(**values))
        self.assertEqual((command.program, command.arguments), ("/opt/batch_gahp", []))
        self.assertEqual(
            command.environment,
            {"GLITE_LOCATION": "/opt/glite", "BLAHPD_LOCATION": "/opt/glite"},
        )
        values["BLAHPD_LOCATION"] = "/opt/blahp"
        command = BatchGAHP().command(settings(**values))
        self.assertEqual(command.environment["BLAHPD_LOCATION"], "/opt/blahp")
        command = BatchGAHP().command(settings(BATCH_GAHP="/opt/batch_gahp"))
        self.assertEqual(command.environment, {})

    def test_fileTransfer(self) -> None:
        """
        condor_ft-gahp is on offer where FT_GAHP says so, in the foreground, with our
        configuration, and only ever encrypted.
        """
        self.assertIsNone(FileTransferGAHP().command(settings()))
        command = FileTransferGAHP().command(
            settings("/etc/ce.conf", FT_GAHP="/usr/sbin/condor_ft-gahp")
        )
        assert command is not None
        self.assertEqual(command.program, "/usr/sbin/condor_ft-gahp")
        self.assertEqual(command.arguments, ["-f"])
        self.assertEqual(command.environment, {"CONDOR_CONFIG": "/etc/ce.conf"})
        self.assertTrue(command.requiresEncryption)
        self.assertEqual(command.words(), ["/usr/sbin/condor_ft-gahp", "-f"])


class BoscoTests(SynchronousTestCase):
    """
    What C{condor_remote_cluster} has installed.
    """

    def setUp(self) -> None:
        """
        Begin with its directories and files, under an odd name.
        """
        self.home = Path(tempfile.mkdtemp(prefix="home=ünï "))
        self.addCleanup(shutil.rmtree, self.home)
        self.bosco = self.home / "bosco"
        self.glite = self.bosco / "glite"
        for name in ("bin", "etc"):
            (self.glite / name).mkdir(parents=True)
        self.program("blahpd")
        self.program("condor_ft-gahp")
        self.config = self.glite / "etc" / "condor_config.ft-gahp"
        self.config.write_text("LOG = /tmp\n")

    def program(self, name: str) -> Path:
        """
        Make a program that tells its words and what is said of places.

        @return: its path.
        """
        path = self.glite / "bin" / name
        path.write_text(
            '#!/bin/sh\nprintf "%s\\n" "$0" "$@" "$BLAHPD_LOCATION" "$GLITE_LOCATION"'
            ' "$CONDOR_CONFIG" "$FROM_PROFILE"\n'
        )
        path.chmod(0o700)
        return path

    def table(self, **values: str) -> GAHPTable:
        """
        @return: what is on offer with the one setting.
        """
        return GAHPTable(settings(RVGAHP_BOSCO_DIR=str(self.bosco), **values), KINDS)

    def told(self, name: str) -> list[str]:
        """
        @return: what the program says when it is started.
        """
        command = self.table().find(name)
        self.assertTrue(command.usesLoginShell)
        (self.home / ".bash_profile").write_text(
            "export FROM_PROFILE=yes BLAHPD_LOCATION=no GLITE_LOCATION=no CONDOR_CONFIG=no\n"
        )
        run = subprocess.run(
            command.words(),
            env={"HOME": str(self.home), **command.environment},
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(run.stderr, "")
        return run.stdout.splitlines()

    def test_batch(self) -> None:
        """
        blahpd has its places from us and the rest from the login shell, as by
        remote_gahp; and it serves under its old name.
        """
        glite = str(self.glite)
        for name in ("blahpd", "batch_gahp"):
            self.assertEqual(self.told(name), [f"{glite}/bin/blahpd", glite, glite, "no", "yes"])

    def test_old(self) -> None:
        """
        An old installation has batch_gahp only.
        """
        (self.glite / "bin" / "blahpd").unlink()
        path = self.program("batch_gahp")
        self.assertEqual(self.told("blahpd")[0], str(path))

    def test_fileTransfer(self) -> None:
        """
        condor_ft-gahp stays in the foreground, has the configuration that lies there, and
        is only ever encrypted.
        """
        program, *told = self.told("condor_ft-gahp")
        self.assertEqual(program, f"{self.glite}/bin/condor_ft-gahp")
        self.assertEqual(told, ["-f", "no", "no", str(self.config), "yes"])
        self.assertTrue(self.table().find("condor_ft-gahp").requiresEncryption)

    def test_settingsFirst(self) -> None:
        """
        BATCH_GAHP and FT_GAHP go before it.
        """
        table = self.table(BATCH_GAHP="/bin/cat", FT_GAHP="/bin/cat")
        for name in ("blahpd", "condor_ft-gahp"):
            command = table.find(name)
            self.assertEqual((command.program, command.usesLoginShell), ("/bin/cat", False))

    def test_missing(self) -> None:
        """
        What is missing is named, at the CE's start and when it is asked for.
        """
        self.assertEqual(self.table().problems(), [])
        self.config.unlink()
        (self.glite / "bin" / "blahpd").chmod(0o600)
        table = self.table()
        blahpd = f"{self.glite}/bin/blahpd, the site's program for "
        config = f"{self.config}, which condor_ft-gahp needs at the site, is not there"
        self.assertEqual(
            table.problems(), [f"{blahpd}batch_gahp and blahpd, may not be executed", config]
        )
        e = self.assertRaises(StartFailed, table.find, "blahpd")
        self.assertEqual(str(e), f"{blahpd}blahpd, may not be executed")
        e = self.assertRaises(StartFailed, table.find, "condor_ft-gahp")
        self.assertEqual(str(e), config)
        shutil.rmtree(self.bosco)
        self.assertEqual(len(table.problems()), 2)


class TableTests(SynchronousTestCase):
    """
    What is on offer.
    """

    def setUp(self) -> None:
        """
        Begin with a directory for programs.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def program(self, name: str, mode: int = 0o700) -> str:
        """
        @return: the path of a new program.
        """
        path = self.directory / name
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
        return str(path)

    def test_names(self) -> None:
        """
        Both names of the batch GAHP, those of the site, and plugins', in order.
        """
        table = GAHPTable(
            settings(RVGAHP_GAHP_NAMES="cat", RVGAHP_GAHP_CAT="/bin/cat"), [*KINDS, Kind()]
        )
        self.assertEqual(table.names(), ["batch_gahp", "blahpd", "cat", "mine"])

    def test_sitesOwnFirst(self) -> None:
        """
        The site's command line for a name goes before its kind's.
        """
        values = {"RVGAHP_GAHP_NAMES": "mine", "RVGAHP_GAHP_MINE": '/bin/echo "a b" c'}
        command = GAHPTable(settings(**values), [Kind()]).find("mine")
        self.assertEqual((command.program, command.arguments), ("/bin/echo", ["a b", "c"]))

    def test_plugin(self) -> None:
        """
        A plugin's command is taken as it is.
        """
        command = GAHPTable(settings(), [Kind()]).find("mine")
        self.assertEqual((command.program, command.arguments), ("/bin/cat", ["-u"]))

    def test_impossibleName(self) -> None:
        """
        A plugin with a name that no GAHP can have is refused at the start.
        """
        kind = Kind()
        kind.names = ("no good",)
        e = self.assertRaises(ConfigurationError, GAHPTable, settings(), [kind])
        self.assertIn("no good", str(e))

    def test_unknown(self) -> None:
        """
        A name that is not on offer is refused, with those that are.
        """
        table = GAHPTable(settings(), KINDS)
        e = self.assertRaises(UnknownGAHP, table.find, "ft\n")
        self.assertIn(r"'ft\n'", str(e))
        self.assertIn("batch_gahp, blahpd", str(e))

    def test_problems(self) -> None:
        """
        A program that is not there, may not be executed, or is a directory, is named when
        it is asked for; nothing is executed for that.
        """
        for path, words in (
            (str(self.directory / "none"), "is not there"),
            (self.program("plain", 0o600), "may not be executed"),
            (str(self.directory), "is a directory"),
        ):
            table = GAHPTable(settings(BATCH_GAHP=path), KINDS)
            e = self.assertRaises(StartFailed, table.find, "blahpd")
            self.assertIn(f"{path}, the site's program for blahpd, {words}", str(e))

    def test_noFileTransfer(self) -> None:
        """
        A site that HTCondor cannot use, for want of a GAHP that carries files, is told so
        beforehand; another's own of that name does.
        """
        (problem,) = GAHPTable(settings(), KINDS).problems()
        for words in ("condor_ft-gahp", "FT_GAHP", "RVGAHP_BOSCO_DIR"):
            self.assertIn(words, problem)
        self.assertEqual(GAHPTable(settings(FT_GAHP="/bin/cat"), KINDS).problems(), [])

    def test_searched(self) -> None:
        """
        A program without a directory is looked for on the path, and found when it appears.
        """
        self.patch(os, "environ", {**os.environ, "PATH": str(self.directory)})
        values = {"RVGAHP_GAHP_NAMES": "tool", "RVGAHP_GAHP_TOOL": "tool -x"}
        table = GAHPTable(settings(**values), [])
        self.assertRaises(StartFailed, table.find, "tool")
        path = self.program("tool")
        self.assertEqual(table.find("tool").program, path)
