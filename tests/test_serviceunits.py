"""
Tests of L{rvgahp.serviceunits}.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.serviceunits import programPath, startCommand, typed


class StartTests(SynchronousTestCase):
    """
    Which command starts a daemon.
    """

    def setUp(self) -> None:
        self.units = Path(self.mktemp()).absolute()
        own = self.units / "own"
        self.own = own / "systemd" / "user"
        self.own.mkdir(parents=True)
        beside = Path(sys.executable).parent
        environment = {"XDG_CONFIG_HOME": str(own), "HOME": str(own), "PATH": str(beside)}
        self.patch(os, "environ", {**os.environ, **environment})

    def test_byHand(self) -> None:
        """
        Without a unit it is twistd, with its path where the name alone would find another, or
        none.
        """
        self.assertEqual(startCommand("ce", [str(self.units)]), "twistd rvgahp-ce")

        beside = Path(sys.executable).parent
        (self.units / "twistd").touch(0o755)
        for path in (f"{self.units}:{beside}", "/nonexistent"):
            os.environ["PATH"] = path
            command = startCommand("ce", [str(self.units)])
            self.assertEqual(command, f"{beside / 'twistd'} rvgahp-ce")
            self.assertEqual(programPath("twistd"), str(beside / "twistd"))

    def test_linked(self) -> None:
        """
        A link on PATH is enough, as a package makes; what is nowhere is typed by its name.
        """
        (self.units / "twistd").symlink_to(Path(sys.executable).parent / "twistd")
        os.environ["PATH"] = str(self.units)
        self.assertEqual(typed("twistd"), "twistd")
        self.assertEqual(typed("no-such-program"), "no-such-program")

    def test_own(self) -> None:
        """
        A package brings the unit of root's CE: who has one of his own is not sent there.
        """
        (self.units / "rvgahp-ce.service").touch()
        config = Path(os.environ["HOME"]) / ".rvgahp" / "condor_config.rvgahp"
        config.parent.mkdir()
        for uid, isThere, words in (
            (1000, False, "systemctl restart"),
            (1000, True, "twistd"),
            (0, True, "systemctl restart"),
        ):
            self.patch(os, "geteuid", lambda uid=uid: uid)
            if isThere:
                config.touch()
            self.assertEqual(startCommand("ce", [str(self.units)]), f"{words} rvgahp-ce")

    def test_system(self) -> None:
        """
        With a unit of the system it is systemd.
        """
        (self.units / "rvgahp-proxy.service").touch()
        directories = ["/nonexistent", str(self.units)]
        self.assertEqual(startCommand("proxy", directories), "systemctl restart rvgahp-proxy")
        self.assertEqual(startCommand("ce", directories), "twistd rvgahp-ce")

    def test_user(self) -> None:
        """
        One's own unit goes before the system's.
        """
        for directory in (self.own, self.units):
            (directory / "rvgahp-ce.service").touch()
        command = startCommand("ce", [str(self.units)])
        self.assertEqual(command, "systemctl --user restart rvgahp-ce")
