# -*- test-case-name: tests.test_settingtable -*-
"""
The rows of L{rvgahp.settingtable} that say who may do what, and how much of it
(C{doc/security.rst}).  Layer 2: pure; L{rvgahp.settingrow} and
L{rvgahp.settingkinds}.
"""

from __future__ import annotations

import re

from rvgahp.listkinds import NETWORKS
from rvgahp.settingkinds import HOST, HOST_PORT, Kind, integer, path, seconds
from rvgahp.settingrow import BOTH, CE, PROXY, PoolRule, Setting

__all__ = ["SECURITY_TABLE"]

_LONGEST = 2**31 - 1
_MOST = 1 << 20


def _parseBoolean(text: str) -> bool:
    """
    HTCondor's words for yes and no (C{string_is_boolean_param} in
    C{src/condor_utils/condor_config.cpp}).
    """
    values = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    try:
        return values[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


def _parseAuthentication(text: str) -> tuple[str, ...]:
    """
    Names in capitals, each once.
    """
    words = [word for word in re.split(r"[,\s]+", text.upper()) if word]
    if not words or not all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", word) for word in words):
        raise ValueError(text)
    return tuple(dict.fromkeys(words))


def _parseService(text: str) -> str:
    """
    libpam knows no capitals (C{_pam_start_internal} in C{libpam/pam_start.c}).
    """
    if not re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,63}", text):
        raise ValueError(text)
    return text


BOOLEAN = Kind("boolean", "true or false", _parseBoolean)
"""Yes or no.  Value: C{bool}."""

AUTHENTICATION = Kind(
    "list of methods",
    "a list of authentication methods, the best first, such as SSL",
    _parseAuthentication,
)
"""Authentication methods, by HTCondor's names.  Value: a tuple of C{str}."""

SERVICE = Kind(
    "PAM service",
    "the name of a file in /etc/pam.d: 1 to 64 small letters, digits, dots, hyphens and "
    "underscores",
    _parseService,
)
"""What PAM is asked for.  Value: C{str}."""

_COMMON = PoolRule(
    AUTHENTICATION,
    lambda ours, pools: tuple(one for one in pools if one in ours) or ours,
    "of the methods that a setting for the whole pool lists only those count that rvgahp has "
    "by default, and not the lack of them",
)

SECURITY_TABLE = (
    Setting(
        "RVGAHP_PUBLIC_ADDRESS",
        HOST_PORT,
        PROXY,
        "Where sites dial this proxy, for the codes of ``rvgahp invite``; where it is not set, "
        "this host's full name and RVGAHP_PORT.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_STATE_DIR",
        path(),
        PROXY,
        "The directory of the enrolled sites, of open invitations, and of the key of the "
        "authority that signs the sites' certificates.  It is the proxy's account's alone.",
        beside={"proxy": "enrolment"},
        isFixed=True,
    ),
    Setting(
        "RVGAHP_CERTIFICATE_LIFETIME",
        seconds(1, _LONGEST),
        PROXY,
        "For how long the certificates are good that the proxy gives to sites; they are renewed "
        "at a third of that.",
        "7776000",
    ),
    Setting(
        "RVGAHP_RENEWAL_GRACE",
        seconds(0, _LONGEST),
        BOTH,
        "For how long after its end such a certificate can still be renewed, and the CE starts "
        "with it.",
        "2592000",
    ),
    Setting(
        "RVGAHP_SITE_CAFILE",
        path(),
        PROXY,
        "The certificates in PEM of the authorities of the sites' own PKI; whom they name is "
        "mapped by CERTIFICATE_MAPFILE.",
    ),
    Setting(
        "RVGAHP_CRLFILE",
        path(),
        BOTH,
        "Revocation lists in PEM, one of each authority of RVGAHP_CAFILE and "
        "RVGAHP_SITE_CAFILE that has any.",
    ),
    Setting(
        "SEC_DEFAULT_AUTHENTICATION_METHODS",
        AUTHENTICATION,
        BOTH,
        "How a CE may prove to the proxy who it is; the proxy's order counts.",
        "SSL",
        pool=_COMMON,
    ),
    Setting(
        "CERTIFICATE_MAPFILE",
        path(),
        BOTH,
        "HTCondor's map file: at the proxy from what authentication has proved, and from local "
        "users (method FS), to canonical names; at a CE that root has started from owners "
        "(method PROXY) to accounts.",
    ),
    Setting(
        "CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS",
        BOOLEAN,
        BOTH,
        "Whether principals in the map file are literals unless they stand between slashes.",
        "false",
    ),
    Setting(
        "UID_DOMAIN",
        HOST,
        PROXY,
        "The domain of this host's users in canonical names; where it is not set, the host's "
        "full name.",
    ),
    Setting(
        "RVGAHP_ACCESS_FILE",
        path(),
        BOTH,
        "The rules of who may do what.  Where the file does not exist there are none, and only "
        "owners of enrolled sites may use them.",
        beside={"proxy": "access", "ce": "access"},
    ),
    Setting(
        "RVGAHP_LOWEST_UID",
        integer(0, 2**32 - 2),
        CE,
        "Of a CE that root has started: the lowest uid of an account that GAHPs run as.",
        "1000",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_ALLOW_ROOT",
        BOOLEAN,
        CE,
        "Whether such a CE may start GAHPs as root, too.",
        "false",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_PAM_SERVICE",
        SERVICE,
        CE,
        "Of such a CE: the PAM service that is asked whether an account may be used, and for a "
        "session with the account's limits.  Where it is not set PAM is not asked.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_MAX_SESSIONS_PER_USER",
        integer(1, _MOST),
        PROXY,
        "How many GAHPs one local user may have at once.",
        "1000",
    ),
    Setting(
        "RVGAHP_MAX_SESSIONS_PER_SITE",
        integer(1, _MOST),
        PROXY,
        "How many GAHPs may run at one site at once.",
        "5000",
    ),
    Setting(
        "RVGAHP_MAX_SESSIONS_PER_OWNER",
        integer(1, _MOST),
        CE,
        "How many GAHPs the CE runs for one owner at once.",
        "1000",
    ),
    Setting(
        "RVGAHP_MAX_SESSIONS",
        integer(1, _MOST),
        CE,
        "How many GAHPs the CE runs at once.",
        "5000",
    ),
    Setting(
        "RVGAHP_MAX_STARTS_PER_SECOND",
        integer(1, _MOST),
        BOTH,
        "How many GAHPs may be started in a second in the long run, at the proxy by each user "
        "and at the CE for each proxy; ten times as many at once.",
        "50",
    ),
    Setting(
        "RVGAHP_LONGEST_PENALTY",
        seconds(0, 86400),
        PROXY,
        "For how long at the most an address is refused that keeps failing; 0: not at all.",
        "600",
    ),
    Setting(
        "RVGAHP_PENALTY_EXEMPT",
        NETWORKS,
        PROXY,
        "Addresses that are never refused for failures, such as a gateway of many sites.",
    ),
    Setting(
        "RVGAHP_AUDIT_LOG",
        path(),
        BOTH,
        "A file to which one line of JSON is appended for each decision and each session's end.",
    ),
)
"""In the manual's order."""
