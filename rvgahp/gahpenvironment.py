# -*- test-case-name: tests.test_gahpenvironment -*-
"""
What a GAHP finds when it starts: its environment, directory, umask and limits.

Layer 3.  C{doc/gahps.rst} has the same tables; a test holds the two together.  A kind's
own variables (L{rvgahp.igahp.GAHPCommand}) come on top of this.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.logger import Logger

from rvgahp.igahp import GAHPCommand

__all__ = [
    "ACCOUNT_VARIABLES",
    "PATH",
    "SHARED",
    "WITHHELD",
    "GAHPEnvironment",
    "Surroundings",
    "sharedVariables",
]

#: Where programs are looked for if nobody says where.
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

#: What of the CE's environment its GAHPs do not get, and why.  C{*} is any rest.
WITHHELD = (
    (
        # condor_includes/condor_environ.h, shared_port_endpoint.cpp:1574,
        # proc_family_proxy.cpp:116; the last is a secret of DAGMan's
        "CONDOR_INHERIT CONDOR_PRIVATE_INHERIT CONDOR_PRIVATE_SHARED_PORT_COOKIE"
        " CONDOR_PARENT_ID CONDOR_PROCD_ADDRESS CONDOR_PROCD_ADDRESS_BASE"
        " CONDOR_SECURITY_SESSION",
        "words of an HTCondor daemon to its child, which the GAHP is not",
    ),
    (
        # starter.cpp:1406 and 3518-3785, os_proc.cpp:1313
        "_CONDOR_SCRATCH_DIR _CONDOR_JOB_AD _CONDOR_JOB_IWD _CONDOR_JOB_PIDS"
        " _CONDOR_MACHINE_AD _CONDOR_CHIRP_CONFIG _CONDOR_CREDS _CONDOR_SLOT"
        " _CONDOR_SLOT_NAME _CONDOR_WRAPPER_ERROR_FILE _CONDOR_Assigned*",
        "where the CE itself is a job of HTCondor's: they describe that job",
    ),
    ("_CONDOR_RVGAHP_* _CONDOR_RVGAHP.*", "settings of the CE alone"),
    (
        # systemd.exec(5), "Environment variables in spawned processes"
        "NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_FDS LISTEN_PID LISTEN_FDNAMES"
        " MAINPID MANAGERPID SYSTEMD_EXEC_PID INVOCATION_ID JOURNAL_STREAM"
        " CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY"
        " LOGS_DIRECTORY CONFIGURATION_DIRECTORY MEMORY_PRESSURE_WATCH"
        " MEMORY_PRESSURE_WRITE",
        "words of a service manager to its service, which the CE is",
    ),
    (
        "PYTHON* VIRTUAL_ENV VIRTUAL_ENV_PROMPT",
        "of the Python under the CE; the site's and the users' scripts have another",
    ),
    (
        "SSH_* PWD OLDPWD SHLVL _",
        "of the login and the shell from which somebody started the CE, an agent with"
        " keys among them",
    ),
)

#: What of the environment of a CE that root has started its GAHPs do get.  C{*} is any
#: rest.
SHARED = "LANG LC_* TZ PATH"

#: What is of the account that the CE runs as: the variables and the fields of its entry.
ACCOUNT_VARIABLES = (
    ("HOME", "pw_dir"),
    ("USER", "pw_name"),
    ("LOGNAME", "pw_name"),
    ("SHELL", "pw_shell"),
)

_NAMES = frozenset(
    name for names, _ in WITHHELD for name in names.split() if not name.endswith("*")
)
_BEGINNINGS = tuple(
    name[:-1] for names, _ in WITHHELD for name in names.split() if name.endswith("*")
)


class Surroundings(Protocol):
    """
    How a start is asked of the launcher.
    """

    def request(self, command: GAHPCommand) -> Mapping[str, Any]:
        """
        @return: the request for a command, without an id.
        """


class GAHPEnvironment:
    """
    What all GAHPs of a CE find alike.

    @ivar variables: the environment.
    @ivar umask: the umask.
    @ivar descriptors: the soft RLIMIT_NOFILE; 0 leaves ours.  No other limit is changed.
    """

    log = Logger()

    def __init__(self, environ: Mapping[str, str], umask: int = 0o022, descriptors: int = 0):
        """
        @param environ: the CE's own environment.
        """
        self.umask = umask
        self.descriptors = descriptors
        self.variables = {
            name: value
            for name, value in environ.items()
            if name not in _NAMES and not name.startswith(_BEGINNINGS)
        }
        self._setAccount()
        self.variables["PATH"] = _path(environ)

    def request(self, command: GAHPCommand) -> dict[str, Any]:
        """
        @return: the launcher's request; the command's own variables are added.
        """
        program, *arguments = command.words()
        return {
            "program": program,
            "arguments": arguments,
            "environment": {**self.variables, **command.environment},
            "directory": self.directory,
            "umask": self.umask,
            "descriptors": self.descriptors,
        }

    @property
    def directory(self) -> str:
        """
        Where a GAHP starts: the account's home.
        """
        return self.variables["HOME"]

    def _setAccount(self) -> None:
        """
        What is not said of the account, or is said of another, is looked up.
        """
        entry = None
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            self.log.warn("The account database has no entry for uid {uid}", uid=os.geteuid())
        variables = self.variables
        if entry is not None:
            if any(_isAnother(variables.get(name)) for name in ("USER", "LOGNAME")):
                for name, _ in ACCOUNT_VARIABLES:
                    variables.pop(name, None)
            for name, field in ACCOUNT_VARIABLES:
                variables[name] = variables.get(name) or getattr(entry, field)
        if not os.path.isabs(variables.get("HOME", "")):
            variables["HOME"] = "/"
        if not os.access(variables["HOME"], os.X_OK) or not os.path.isdir(variables["HOME"]):
            self.log.warn(
                "The home directory {home} cannot be entered: GAHPs start in /",
                home=variables["HOME"],
            )


def _path(environ: Mapping[str, str]) -> str:
    """
    @return: the path, which there always is, and which does not lead to the CE's own
        Python.
    """
    path = environ.get("PATH", "")
    if venv := environ.get("VIRTUAL_ENV"):
        own = os.path.join(venv, "bin")
        path = ":".join(part for part in path.split(":") if part != own)
    return path or PATH


def sharedVariables(environ: Mapping[str, str]) -> dict[str, str]:
    """
    @param environ: that of a CE that root has started.
    @return: what its GAHPs have of it, whatever their accounts.
    """
    names = tuple(SHARED.split())
    beginnings = tuple(name[:-1] for name in names if name.endswith("*"))
    found = {
        name: value
        for name, value in environ.items()
        if name in names or name.startswith(beginnings)
    }
    return {**found, "PATH": _path(environ)}


def _isAnother(account: str | None) -> bool:
    """
    @return: whether this names an account that is not ours, such as root where twistd
        has changed its uid.
    """
    try:
        return bool(account) and pwd.getpwnam(str(account)).pw_uid != os.geteuid()
    except KeyError:
        return False  # perhaps ours, under a name of another form
