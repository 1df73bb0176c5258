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
from rvgahp.names import FILE_TRANSFER_GAHP


def _embedded() -> GAHPCommand:
    """
    @return: the batch GAHP of this installation.  Not C{python -m}: that looks for
        modules in the current directory first, and a GAHP's is the user's home.
    """
    # Our own Python's variables, which other GAHPs do not have, are right for it.
    own = {name: os.environ[name] for name in ("PYTHONPATH", "PYTHONHOME") if name in os.environ}
    return GAHPCommand(os.path.join(os.path.dirname(sys.executable), "rvgahp_blahpd"), [], own)


def _glite(settings: Any) -> str:
    """
    @return: the directory that holds what C{condor_remote_cluster} installs
        (src/condor_scripts/condor_remote_cluster), or nothing.
    """
    directory = settings.get("RVGAHP_BOSCO_DIR")
    return os.path.join(directory, "glite") if directory else ""


@implementer(IPlugin, IGAHPKind)
class BatchGAHP:
    """
    C{blahpd}, by its older name C{batch_gahp}: the program of the setting
    BATCH_GAHP, else that of RVGAHP_BOSCO_DIR, else the one that comes with rvgahp.
    """

    names = ("blahpd", "batch_gahp")

    def command(self, settings: Any) -> GAHPCommand:
        program = settings.get("BATCH_GAHP")
        if not program:
            return self._installed(_glite(settings)) or _embedded()
        glite = settings.get("GLITE_LOCATION")
        location = settings.get("BLAHPD_LOCATION") or glite
        places = {"GLITE_LOCATION": glite, "BLAHPD_LOCATION": location}
        return GAHPCommand(program, [], {name: at for name, at in places.items() if at})

    @staticmethod
    def _installed(glite: str) -> GAHPCommand | None:
        """
        As HTCondor's C{remote_gahp} starts it (src/condor_gridmanager/remote_gahp).
        """
        if not glite:
            return None
        programs = [f"{glite}/bin/blahpd", f"{glite}/bin/batch_gahp"]  # of old ones
        program = next(filter(os.path.exists, programs), programs[0])
        places = {"BLAHPD_LOCATION": glite, "GLITE_LOCATION": glite}
        return GAHPCommand(program, [], places, usesLoginShell=True)


@implementer(IPlugin, IGAHPKind)
class FileTransferGAHP:
    """
    C{condor_ft-gahp}: the program of the setting FT_GAHP, in the foreground
    (C{-f}), with the CE's configuration as its own; else that of RVGAHP_BOSCO_DIR
    with the configuration that lies there.  The gridmanager gives it a key that opens
    the gridmanager, so it is never started in clear.
    """

    names = (FILE_TRANSFER_GAHP,)

    def command(self, settings: Any) -> GAHPCommand | None:
        program = settings.get("FT_GAHP")
        if not program:
            return self._installed(_glite(settings))
        environment = {}
        if settings.configFile:
            environment["CONDOR_CONFIG"] = os.path.abspath(settings.configFile)
        return GAHPCommand(program, ["-f"], environment, requiresEncryption=True)

    @staticmethod
    def _installed(glite: str) -> GAHPCommand | None:
        """
        As HTCondor's C{remote_gahp} starts it (src/condor_gridmanager/remote_gahp).
        """
        if not glite:
            return None
        config = f"{glite}/etc/condor_config.ft-gahp"
        return GAHPCommand(
            f"{glite}/bin/condor_ft-gahp",
            ["-f"],
            {"CONDOR_CONFIG": config},
            requiresEncryption=True,
            files=[config],
            usesLoginShell=True,
        )
