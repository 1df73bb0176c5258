# -*- test-case-name: tests.test_doctoraccount -*-
"""
C{rvgahp doctor}: what the account may do that a daemon becomes.  A CE that root starts reads its
files as root, and from then on it is another.

Layer 6.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

from rvgahp.doctorcase import Case
from rvgahp.findings import Findings, ok, warning
from rvgahp.separation import separationOf

__all__ = ["closedTo", "readable"]

#: Seconds for one look: a file system may not answer.
_LOOK_LIMIT = 5.0


def accountOf(case: Case) -> pwd.struct_passwd | None:
    """
    @return: the one that the CE becomes; L{None}: it stays what we are.
    @raise ConfigurationError: there is none that it could become.
    """
    if case.settings.role != "ce" or separationOf(case.settings, {}) is None:
        return None
    return pwd.getpwnam(case.settings.get("RVGAHP_ACCOUNT"))


def may(account: pwd.struct_passwd | None, what: str, path: str) -> bool:
    """
    Whether an account may do something with a file.  The kernel is asked, for permissions are not
    all that it goes by.

    @param account: L{None}: ours.
    @param what: C{"r"}, C{"w"} or C{"x"}.
    """
    if account is None:
        mode = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[what]
        return os.access(path, mode, effective_ids=True)
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    run = subprocess.run(
        [shutil.which("test") or "/usr/bin/test", f"-{what}", path],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=groups,
        stdin=subprocess.DEVNULL,
        cwd="/",
        timeout=_LOOK_LIMIT,
        check=False,
    )
    return run.returncode == 0


def closedTo(case: Case, files: list[str]) -> str:
    """
    @param files: those of the certificate, which are written anew when it is renewed.
    @return: why the daemon cannot do that, as a clause; empty if it can.
    @raise ConfigurationError: there is no account that it could become.
    """
    account = accountOf(case)
    for directory in dict.fromkeys(os.path.dirname(path) for path in files):
        if not (may(account, "w", directory) and may(account, "x", directory)):
            who = account.pw_name if account else "this account"
            return f"{who} may not write into {directory}"
    return ""


def readable(case: Case) -> Findings:
    """
    Whether a CE that root starts can read its files again.

    @raise ConfigurationError: there is no account that it could become.
    """
    account = accountOf(case)
    if account is None:
        return
    get = case.settings.get
    names = ["RVGAHP_CRLFILE", "RVGAHP_ACCESS_FILE", "CERTIFICATE_MAPFILE"]
    named = [case.settings.configFile, *map(get, names)]
    for one in case.proxies:
        named += [one.settings.get(f"RVGAHP_{what}FILE") for what in ("CERT", "KEY", "CA")]
    paths = [path for path in named if path]
    closed = [path for path in paths if os.path.exists(path) and not may(account, "r", path)]
    if not closed:
        yield ok("permissions", f"{account.pw_name}, which the CE becomes, can read its files")
        return
    yield warning(
        "permissions",
        f"{account.pw_name}, which the CE becomes, may not read {', '.join(closed)}: it starts,"
        " but rvgahp reload finds nothing, nor are files seen that rvgahp join has replaced",
        f"let it enter their directories and read them (chmod a+x, a+r); the key, with ce.crt and"
        f" ca.crt, belongs into a directory of its own: install -d -o {account.pw_name} -m 700"
        " /var/lib/rvgahp-ce (doc/accounts.rst).",
    )
