# -*- test-case-name: tests.test_gahptable -*-
"""
The two GAHPs that HTCondor's gridmanager asks for.

Layer 3.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from rvgahp.igahp import GAHPCommand, IGAHPKind


def _embedded() -> str:
    """
    @return: the batch GAHP of this installation.  Not C{python -m}: that looks for
        modules in the current directory first, and a GAHP's is the user's home.
    """
    return os.path.join(os.path.dirname(sys.executable), "rvgahp_blahpd")


@implementer(IPlugin, IGAHPKind)
class BatchGAHP:
    """
    C{blahpd}, by its older name C{batch_gahp}: the program of the setting
    BATCH_GAHP, else the one that comes with rvgahp.
    """

    names = ("blahpd", "batch_gahp")

    def command(self, settings: Any) -> GAHPCommand:
        program = settings.get("BATCH_GAHP")
        if not program:
            return GAHPCommand(_embedded())
        environment = {}
        glite = settings.get("GLITE_LOCATION")
        location = settings.get("BLAHPD_LOCATION") or glite
        if glite:
            environment["GLITE_LOCATION"] = str(glite)
        if location:
            environment["BLAHPD_LOCATION"] = str(location)
        return GAHPCommand(str(program), environment=environment)


@implementer(IPlugin, IGAHPKind)
class FileTransferGAHP:
    """
    C{condor_ft-gahp}: the program of the setting FT_GAHP, in the foreground
    (C{-f}), with the CE's configuration as its own.  The gridmanager gives it a
    key that opens the gridmanager, so it is never started in clear.
    """

    names = ("condor_ft-gahp",)

    def command(self, settings: Any) -> GAHPCommand | None:
        program = settings.get("FT_GAHP")
        if not program:
            return None
        environment = {}
        if settings.configFile:
            environment["CONDOR_CONFIG"] = os.path.abspath(settings.configFile)
        return GAHPCommand(str(program), ["-f"], environment, requiresEncryption=True)
