# -*- test-case-name: tests.test_separation -*-
"""
A CE that root has started: what its launcher may do as root, and how the CE itself lets go
of root.  C{doc/accounts.rst}.

Layer 3: a reactor is passed in.
"""

from __future__ import annotations

import atexit
import os
import pwd
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from twisted.logger import Logger

from rvgahp import limits
from rvgahp.accounts import MappedAccounts
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import daemonAccounts
from rvgahp.gahpenvironment import Surroundings, sharedVariables
from rvgahp.gahptable import GAHPTable
from rvgahp.igahp import GAHPCommand
from rvgahp.launcherrules import Refused, become
from rvgahp.mapreader import readMapFile
from rvgahp.settings import Settings

#: linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38

#: Seconds between two looks at what is left.
_LOOK = 0.1


class NamedStart(Surroundings):
    """
    A start of which the launcher knows all but two names.
    """

    def __init__(self, gahp: str, account: str) -> None:
        self._gahp = gahp
        self._account = account

    def request(self, command: GAHPCommand) -> dict[str, Any]:
        """
        @return: the launcher's request; it has its own copy of the command.
        """
        return {"gahp": self._gahp, "account": self._account}


class Separation:
    """
    What becomes of the rights of a CE that root has started.

    @ivar accounts: finds the account of a GAHP; another may take its place.
    """

    log = Logger()

    def __init__(self, settings: Settings, account: pwd.struct_passwd) -> None:
        """
        As root; blocks while the map file is read.

        @param account: the one that the CE becomes.
        @raise ConfigurationError: the map file cannot be read, or is refused.
        """
        self._settings = settings
        self._account = account
        self.accounts = self.readAccounts(settings)

    def readAccounts(self, settings: Settings) -> MappedAccounts:
        """
        Read the map file.  Blocks.

        @param settings: the CE's, perhaps of another reading than those of the start.
        @raise ConfigurationError: it cannot be read, or is refused.
        """
        path = settings.get("CERTIFICATE_MAPFILE")
        hashKeys = settings.get("CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS")
        table = readMapFile(path, hashKeys, daemonAccounts(settings)) if path else None
        return MappedAccounts(path or "", table)

    def rules(self, gahps: GAHPTable, descriptors: int) -> dict[str, Any]:
        """
        @param descriptors: the soft RLIMIT_NOFILE of GAHPs; 0 leaves ours.
        @return: what the launcher does, for L{rvgahp.launcherrules.Rules}.
        """
        settings = self._settings
        return {
            "gahps": {
                name: {
                    "words": command.words(),
                    "environment": command.environment,
                    "files": command.files,
                }
                for name, command in gahps.fix().items()
            },
            "environment": sharedVariables(os.environ),
            "umask": settings.get("RVGAHP_UMASK"),
            "descriptors": descriptors,
            "lowest": settings.get("RVGAHP_LOWEST_UID"),
            "root": settings.get("RVGAHP_ALLOW_ROOT"),
            "ce": self._account.pw_uid,
            "ceName": self._account.pw_name,
            "pam": settings.get("RVGAHP_PAM_SERVICE") or "",
            "most": settings.get("RVGAHP_MAX_SESSIONS"),
        }

    def letGo(self) -> None:
        """
        Let go of root, for good.

        @raise ConfigurationError: it cannot be done.
        """
        name, uid, gid = self._account.pw_name, self._account.pw_uid, self._account.pw_gid
        bar = self._bar()  # before: that account may have no way to ctypes
        try:
            become(uid, gid, os.getgrouplist(name, gid))
        except (OSError, Refused) as e:
            raise ConfigurationError(
                f"The CE cannot become {name} (uid {uid}, RVGAHP_ACCOUNT): {e}; it does not"
                " speak with anybody as root."
            ) from None
        os.environ.update(HOME=self._account.pw_dir, USER=name, LOGNAME=name)
        bar()
        self.log.info("Runs as {account} (uid {uid}); the launcher is root", account=name, uid=uid)

    def _bar(self) -> Callable[[], object]:
        """
        @return: has the kernel give us no rights by an exec, either (prctl(2)).
        """
        try:
            import ctypes

            prctl = ctypes.CDLL(None).prctl
            prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        except Exception as e:  # ctypes can fail in many ways
            self.log.warn("The CE could gain rights by an exec, though it makes none: {e}", e=e)
            return lambda: None
        return lambda: prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def separationOf(settings: Settings, twistd: Mapping[str, Any]) -> Separation | None:
    """
    See as whom the CE is to run.  Call it before twistd changes its account.

    @param twistd: its options.
    @return: L{None} if the CE runs as it is, and its GAHPs as itself.
    @raise ConfigurationError: it would run as root, and is not allowed to, or as an account
        that there is not.
    """
    if os.geteuid() or (twistd.get("uid") and not twistd.get("euid")):
        return None
    if twistd.get("euid"):
        raise ConfigurationError("twistd --euid leaves the CE a way back to root: leave it out.")
    name = settings.get("RVGAHP_ACCOUNT")
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(
            f"There is no account {name} (RVGAHP_ACCOUNT), which a CE that root has started"
            " becomes: make it, name another, or start the CE as the one account that all GAHPs"
            " are to have."
        ) from None
    if account.pw_uid:
        return Separation(settings, account)
    if not settings.get("RVGAHP_ALLOW_ROOT"):
        raise ConfigurationError(
            f"{name} (RVGAHP_ACCOUNT) is root, and a CE stays root only where RVGAHP_ALLOW_ROOT is"
            " true: name an account of the CE's own."
        )
    return None


def notesOf(settings: Settings, separation: Separation | None) -> list[str]:
    """
    @return: what somebody may think that is done, and is not.
    """
    if separation is not None or not settings.get("RVGAHP_PAM_SERVICE"):
        return []
    return [
        "RVGAHP_PAM_SERVICE is set, and PAM is not asked: that takes a CE that root starts, with"
        " an account of its own (RVGAHP_ACCOUNT)"
    ]


def endWithoutLauncher(reactor: Any, sessions: Collection[Any]) -> None:
    """
    End the CE when its last session is over, or soon; with status 1, so that its service
    manager starts another.

    @param sessions: those that are not over.
    """
    Logger().critical(
        "The launcher was lost, and only root can start another: rvgahp-ce ends, and must be"
        " started again"
    )
    end = reactor.seconds() + limits.LAUNCHER_TIMEOUT

    def look() -> None:
        if sessions and reactor.seconds() < end:
            reactor.callLater(_LOOK, look)
            return
        atexit.register(_fail)  # twistd has no status of its own for this
        reactor.stop()

    look()


def _fail() -> None:
    """
    The last that the process does.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
