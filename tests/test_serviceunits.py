"""
Tests of L{rvgahp.serviceunits}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.serviceunits import startCommand


class StartTests(SynchronousTestCase):
    """
    Which command starts a daemon.
    """

    def setUp(self) -> None:
        self.units = Path(self.mktemp()).absolute()
        own = self.units / "own"
        self.own = own / "systemd" / "user"
        self.own.mkdir(parents=True)
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": str(own)})

    def test_byHand(self) -> None:
        """
        Without a unit it is twistd.
        """
        self.assertEqual(startCommand("ce", [str(self.units)]), "twistd rvgahp-ce")

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
