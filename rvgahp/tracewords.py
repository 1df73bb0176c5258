# -*- test-case-name: tests.test_tracewords -*-
"""
What C{rvgahp trace} says: remedies, and what was seen in words for people.

Layer 6: nothing is asked of anybody but the file system.
"""

from __future__ import annotations

import os
import pwd
import stat
from datetime import datetime, timezone

from rvgahp.policy import Policy
from rvgahp.proxysocket import DEFAULT_SOCKET
from rvgahp.serviceunits import startCommand

#: What to do where a step failed and knows no better.
REMEDIES = {
    "settings": "Install rvgahp into this environment, or start rvgahp from the one that the"
    " gridmanager's REMOTE_GAHP is in.",
    "proxy": "See the proxy's log, and upgrade the older of the two.",
    "site": "At the site, start rvgahp-ce (twistd rvgahp-ce, or its unit); rvgahp doctor there says"
    " why it is not accepted, and what to do. Compare the name with that in grid_resource and in"
    " the site's certificate.",
    "policy": "Change RVGAHP.SEC_DEFAULT_ENCRYPTION, RVGAHP.SEC_DEFAULT_INTEGRITY or"
    " RVGAHP.SEC_DEFAULT_CRYPTO_METHODS at the proxy or at the site, and restart that daemon.",
    "gahp": "At the site, as the account of rvgahp-ce, start the GAHP's command by hand"
    " (BATCH_GAHP, FT_GAHP or RVGAHP_GAHP_<name> of its configuration): a line that begins with $"
    " must come. See the logs of rvgahp-ce and of the proxy.",
    "commands": "What was started at the site is no GAHP, or something prints lines beside it:"
    " start its command by hand and type COMMANDS.",
    "ping": "At the site, as the account of rvgahp-ce, try the batch system's own command (sinfo,"
    " qstat); see that --lrms names the batch system.",
    "files": "At the site, as the account of rvgahp-ce, start the command of FT_GAHP by hand: a"
    " line that begins with $ must come. See the logs of rvgahp-ce and of the proxy.",
    "passage": "See the log of rvgahp-ce at the site. If the kernel there does not tell whose"
    " connection it is, load its module tcp_diag (modprobe tcp_diag); if no channel came, find out"
    " what lets only some of the site's connections reach the proxy's port.",
    "guard": "See the log of rvgahp-ce at the site, and run it again: the client must have refused"
    " the connection.",
    "job": "At the site, ask the batch system for the job; submit one like it by hand, as the"
    " account of rvgahp-ce.",
}

#: Where what listens is not known to be a proxy.
OTHER_PROGRAM = (
    "See which program it is: its pid stands above. If it is not rvgahp-proxy, give the proxy's own"
    " socket to --socket, and to RVGAHP_SOCKET in condor_config; if it is, see its log."
)

#: Where the client gave a reason of its own for not starting a GAHP.
REFUSED = (
    "If that says too little, have rvgahp doctor look at the site, as the account of rvgahp-ce, and"
    " see the logs of the proxy and of rvgahp-ce."
)
NOT_OFFERED = (
    "Name one that the site offers (--gahp), or have the site offer it: BATCH_GAHP, FT_GAHP or"
    " RVGAHP_GAHP_NAMES in the configuration of rvgahp-ce."
)

#: Where the proxy's rules do not let the asker use the site.
_NO_RULE = (
    "Ask the administrator of the proxy for a line ALLOW START in its access file; whether the"
    " site is connected is told to those who may use it."
)
_DENIED = (
    "Ask the administrator of the proxy to remove the DENY rule at {place}, or to have it say less,"
    " as no ALLOW rule goes before it; whether the site is connected is told to those who may use"
    " it."
)

#: Where there is no port at the site.
NO_TUNNEL = (
    "Upgrade the proxy, or rvgahp-ce at the site: one of them is too old for tunnels. Where the"
    " client gives another reason, follow that one."
)

#: Where connections are passed to another port than ours.
FORWARDED = (
    "See that HTCondor's shared port listens at the address of RVGAHP_FORWARD_TO, in the proxy's"
    " configuration, and that it is reached from this host."
)

#: Where what must not be was.
UNGUARDED = (
    "This host's rvgahp_client does not guard its daemons: install it anew, and use no site that"
    " you do not trust until this step is good. If it is good nowhere, tell the makers of rvgahp."
)

#: Said where all steps may pass, and no job would run.
NO_FILE_TRANSFER = (
    "no condor_ft-gahp is among them, and HTCondor needs one for every job, which stays idle"
    " without it: set FT_GAHP or RVGAHP_BOSCO_DIR in the configuration of rvgahp-ce"
)


def account(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def notAllowed(refusal: str) -> str:
    """
    @param refusal: the proxy's sentence.
    @return: what to do about it.
    """
    # As L{rvgahp.accessrules} puts it: WHO may not WHAT: FILE:LINE denies it; REMEDY.
    reason, denies, _ = refusal.partition(" denies it; ")
    return _DENIED.format(place=reason.rpartition(": ")[2]) if denies else _NO_RULE


def sourceOf(path: str, option: str | None) -> str:
    """
    @return: how L{findSocket} came by a path.
    """
    if option:
        return "named on the command line"
    if os.environ.get("_CONDOR_RVGAHP_SOCKET"):
        return "_CONDOR_RVGAHP_SOCKET in the environment"
    return "the default" if path == DEFAULT_SOCKET else "RVGAHP_SOCKET in condor_config"


def whyNot(path: str) -> str:
    """
    @return: what to do where the proxy's socket cannot be connected to.
    """
    start = f"Start the proxy on this host ({startCommand('proxy')})"
    try:
        found = os.stat(path)
    except PermissionError:
        return "You may not enter its directory; ask the proxy's administrator."
    except OSError:
        return (
            f"{start}. If it runs, its log names its socket: give that to --socket, and to"
            " RVGAHP_SOCKET in condor_config."
        )
    if not stat.S_ISSOCK(found.st_mode):
        return "That is no socket; give the proxy's to --socket."
    if not os.access(path, os.W_OK):
        return (
            f"You may not: it is of {account(found.st_uid)}, with mode"
            f" {stat.S_IMODE(found.st_mode):04o}. The proxy's RVGAHP_SOCKET_MODE decides."
        )
    return f"{start}: the one that made this socket does not listen any more."


def when(seconds: int) -> str:
    """
    @return: a time in ISO 8601, in this host's zone.
    """
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s after 1970"
    return moment.isoformat(" ", "seconds")


def policyWords(text: str) -> str:
    """
    @return: a policy for people.
    """
    policy = Policy.decode(text)
    return (
        f"encryption {policy.encryption.name}, integrity {policy.integrity.name},"
        f" methods {' '.join(policy.methods) or 'none'}"
    )
