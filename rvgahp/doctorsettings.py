# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: the software, the settings and the clock.

Layer 6.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from rvgahp import __version__
from rvgahp.accountnames import accountName, ownAccount
from rvgahp.condorraw import assignmentsIn
from rvgahp.configuration import Configuration
from rvgahp.doctorcase import Case
from rvgahp.filesafety import daemonAccounts
from rvgahp.findings import Findings, ok, warning
from rvgahp.settingrow import GAHP_PREFIX, PROXY_PREFIX, SUBSYSTEM_PREFIX

__all__ = ["account", "clock", "settings", "software"]

#: Characters of a setting's value that are shown.
_SHOWN = 200

#: No clock of a machine that runs this software can be before this: the year of its first
#: release.
_EARLIEST = 2026

#: More than a C{struct timex} has, and what adjtimex returns for a clock that nothing keeps right.
_TIMEX_BYTES = 512
_TIME_ERROR = 5

_PACKAGES = ("Twisted", "cryptography", "pyOpenSSL")


def software() -> Findings:
    """
    Which versions there are.  The program that reads condor_config is told with the settings.
    """
    found = [f"rvgahp {__version__}", f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield warning(
                "software",
                f"of {name} there is no record of which version is installed",
                "install rvgahp by pip, which brings what it needs.",
            )
    yield ok("software", ", ".join([*found, f"Linux {platform.release()}"]))


def clockIsKept() -> bool | None:
    """
    @return: whether the kernel has been told that its clock is right (adjtimex(2)); L{None}:
        it cannot be asked.
    """
    try:
        import ctypes

        state = ctypes.create_string_buffer(_TIMEX_BYTES)
        answer: int = ctypes.CDLL(None).adjtimex(state)
    except Exception:  # ctypes can fail in many ways
        return None
    return answer != _TIME_ERROR if answer >= 0 else None


def clock(now: datetime | None = None, kept: Callable[[], bool | None] = clockIsKept) -> Findings:
    """
    The time and its zone.  Certificates are compared with it where they are looked at.

    @param now: the time; by default the clock's.
    @param kept: as L{clockIsKept}.
    """
    now = now or datetime.now().astimezone()
    sentence = f"it is {now:%Y-%m-%d %H:%M:%S} {now.tzname()} ({time.time():.0f} s after 1970)"
    if now.year < _EARLIEST:
        yield warning(
            "clock",
            f"{sentence}, which is before this software was made",
            "set the clock, and have it kept right (chronyd, systemd-timesyncd): certificates are"
            " refused by a clock that is wrong.",
        )
    elif (isKept := kept()) is False:
        yield warning(
            "clock",
            f"{sentence}; the kernel says that nothing keeps it right",
            "if it is right by another clock, all is well for now; have it kept so (chronyd,"
            " systemd-timesyncd): certificates are refused by a clock that is wrong.",
        )
    else:
        words = "kept right, the kernel says" if isKept else "and whether it is right is not known"
        yield ok("clock", f"{sentence}, {words}")


def account(case: Case) -> Findings:
    """
    As whom we look: another account than the daemon's may see other things.
    """
    owners = daemonAccounts(case.settings) - {0, os.geteuid()}
    others = ", ".join(sorted(accountName(uid) for uid in owners))
    sentence = f"looked at as account {ownAccount()} (uid {os.geteuid()})"
    isCE = case.settings.role == "ce"
    if not others or (isCE and os.geteuid()) or not os.geteuid():
        yield ok("account", sentence)
    else:
        yield warning(
            "account",
            f"{sentence}, and RVGAHP_ACCOUNT is {others}",
            f"run rvgahp doctor as {others} or as root: other accounts may not see the same.",
        )


def settings(case: Case) -> Findings:
    """
    Where the settings come from, those that are no defaults, and what is odd in them.
    """
    configuration = case.configuration
    yield ok("settings", f"read from {configuration.where} by {configuration.reader}")
    for name, text in sorted(configuration.settings.items()):
        if text and _isOf(case, name):
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            yield ok("setting", f"{name} = {shown} ({_origin(name, configuration)})")
    for note in case.settings.notes:
        yield warning("settings", note, "mend it, or take it out; doc/settings.rst has them all.")


def _isOf(case: Case, name: str) -> bool:
    bare = name.removeprefix(SUBSYSTEM_PREFIX)
    return case.settings.isGiven(bare) or bare.startswith((GAHP_PREFIX, PROXY_PREFIX))


def _origin(name: str, configuration: Configuration) -> str:
    """
    @return: where a setting stands.  HTCondor's library does not tell.
    """
    if any(one.upper() == f"_CONDOR_{name}" for one in os.environ):
        return f"_CONDOR_{name} in the environment"
    if configuration.file is None:
        return "the environment"
    if name in assignmentsIn(configuration.file):
        return configuration.file
    return f"a file that {configuration.file} includes"
