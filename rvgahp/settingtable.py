# -*- test-case-name: tests.test_settingtable -*-
"""
The table of every setting, one row each.  Layer 2: pure;
L{rvgahp.securitytable}, L{rvgahp.viewtable}, L{rvgahp.waytable}, L{rvgahp.settingrow},
L{rvgahp.settingkinds}, L{rvgahp.sitesockets} and L{rvgahp.policy}.

To add a setting, add a row here; the manual's list (C{doc/settings.rst}) is made of this one.
"""

from __future__ import annotations

from rvgahp.listkinds import GAHP_NAMES, METHODS, NETWORKS
from rvgahp.policy import Level
from rvgahp.securitytable import SECURITY_TABLE
from rvgahp.settingkinds import (
    ACCOUNT,
    ADDRESS,
    ADDRESS_PORT,
    LEVEL,
    MODE,
    SITE,
    amount,
    integer,
    path,
    seconds,
)
from rvgahp.settingrow import BOTH, CE, LONGEST_SOCKET_PATH, PROXY, PoolRule, Setting
from rvgahp.sitesockets import siteSockets
from rvgahp.viewtable import VIEW_TABLE
from rvgahp.waytable import WAY_TABLE

__all__ = ["TABLE"]

_KIB = 1 << 10
_MIB = 1 << 20
_GIB = 1 << 30
_LONGEST = 2**31 - 1


def _shorter(ours: float, pools: float) -> float:
    """
    The shorter of two times.  In HTCondor a time of 0 is none at all, which is
    longer than any.
    """
    return min(ours, pools) if pools else ours


_RAISE = PoolRule(
    LEVEL, Level.atLeast, "a setting for the whole pool may raise it but not lower it"
)
_SHORTEN = PoolRule(
    seconds(0, _LONGEST, whole=True),
    _shorter,
    "a setting for the whole pool may shorten it but not lengthen it",
)

TABLE = (
    *WAY_TABLE,
    Setting(
        "RVGAHP_SITE",
        SITE,
        CE,
        "The name of the site, if the start is to fail where the CE's certificate has another.",
        isFixed=True,
    ),
    Setting(
        "BATCH_GAHP",
        path(),
        CE,
        "The program for ``blahpd`` and ``batch_gahp``.  Where it is not set, rvgahp's own "
        "``rvgahp_blahpd`` serves.",
        isFixed=True,
    ),
    Setting("FT_GAHP", path(), CE, "The program for ``condor_ft-gahp``.", isFixed=True),
    Setting("LIBEXEC", path(), CE, "HTCondor's directory of helper programs.", isFixed=True),
    Setting(
        "GLITE_LOCATION", path(), CE, "The directory of the batch GAHP, given to it.", isFixed=True
    ),
    Setting(
        "BLAHPD_LOCATION",
        path(),
        CE,
        "The directory above the batch GAHP's ``bin``, given to it under that name.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_BOSCO_DIR",
        path(),
        CE,
        "The directory that ``condor_remote_cluster`` has installed at the site, usually "
        "``$ENV(HOME)/bosco``; its programs serve where BATCH_GAHP and FT_GAHP are not set.",
        isFixed=True,
    ),
    Setting("RVGAHP_UMASK", MODE, CE, "The umask with which GAHPs start.", "0022", isFixed=True),
    Setting(
        "RVGAHP_GAHP_NAMES",
        GAHP_NAMES,
        CE,
        "Further GAHPs that the CE offers.  For each, ``RVGAHP_GAHP_`` and its name, with ``_`` "
        "for every character that is no letter, digit or ``_``, is its command line.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_PORT",
        integer(0, 65535),
        PROXY,
        "Where to listen; 0 is any port.",
        "41000",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_INTERFACE",
        ADDRESS,
        PROXY,
        "On which address to listen; ``*`` is all.",
        "*",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_SOCKET",
        path(LONGEST_SOCKET_PATH),
        PROXY,
        "The UNIX socket on which clients find the proxy.",
        "/run/rvgahp/proxy.sock",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_ACCOUNT",
        ACCOUNT,
        BOTH,
        "The account that the proxy runs under, and a CE that root has started.  Clients speak "
        "to a proxy of this account, of root, or of their own user, and to no other.",
        "rvgahp",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_SITE_SOCKETS",
        siteSockets(LONGEST_SOCKET_PATH),
        PROXY,
        "Further UNIX sockets, each for one site: whoever connects there needs not name the site "
        "and gets no other.  For users who have a path in ``grid_resource``, as with C rvgahp.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_SOCKET_MODE",
        MODE,
        PROXY,
        "The permissions of each of these sockets.",
        "0666",
        isFixed=True,
    ),
    *VIEW_TABLE,
    Setting(
        "RVGAHP_FORWARD_TO",
        ADDRESS_PORT,
        PROXY,
        "Where file transfers go in place of the gridmanager's address in CONDOR_INHERIT: "
        "the address and port of HTCondor's shared port, as they are reached from this host.",
    ),
    Setting(
        "RVGAHP_MAX_ARRIVALS",
        integer(1, 1 << 20),
        PROXY,
        "How many connections that have not said yet what they are may wait at once.",
        "1024",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_MAX_ARRIVALS_PER_ADDRESS",
        integer(1, 1 << 20),
        PROXY,
        "How many of these may come from one address.",
        "256",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_CERTFILE",
        path(),
        BOTH,
        "The daemon's certificate in PEM, intermediate ones after it.",
        beside={"proxy": "host.crt", "ce": "ce.crt"},
    ),
    Setting(
        "RVGAHP_KEYFILE",
        path(),
        BOTH,
        "Its private key in PEM, readable by the daemon's account alone.",
        beside={"proxy": "host.key", "ce": "ce.key"},
    ),
    Setting(
        "RVGAHP_CAFILE",
        path(),
        BOTH,
        "The certificates in PEM of the authorities whose word on the other side counts.",
        beside={"proxy": "ca.crt", "ce": "ca.crt"},
    ),
    Setting(
        "SEC_DEFAULT_ENCRYPTION",
        LEVEL,
        BOTH,
        "How much this side wants a GAHP's bytes to be secret.",
        "REQUIRED",
        pool=_RAISE,
    ),
    Setting(
        "SEC_DEFAULT_INTEGRITY",
        LEVEL,
        BOTH,
        "How much this side wants a GAHP's bytes to be authenticated.",
        "REQUIRED",
        pool=_RAISE,
    ),
    Setting(
        "SEC_DEFAULT_CRYPTO_METHODS",
        METHODS,
        BOTH,
        "The ciphers, the best first.  rvgahp has ``AES`` and drops the others.",
        "AES",
    ),
    Setting(
        "SEC_DEFAULT_SESSION_DURATION",
        seconds(1, _LONGEST, whole=True),
        BOTH,
        "For how long the keys of a security session are good; before the end they are renewed.",
        "86400",
        pool=_SHORTEN,
    ),
    Setting(
        "SEC_DEFAULT_SESSION_LEASE",
        seconds(1, _LONGEST, whole=True),
        BOTH,
        "For how long a security session outlives the last word from the other side.",
        "3000",
        pool=_SHORTEN,
    ),
    Setting(
        "RVGAHP_CLEARTEXT_PEERS",
        NETWORKS,
        BOTH,
        "The other side's addresses for which a channel may have neither secrecy nor "
        "authentication, where both sides' levels and both sides' lists say so.",
    ),
    Setting(
        "RVGAHP_REPLAY_LIMIT",
        amount(64 * _KIB, _GIB),
        BOTH,
        "How much of a stream may be on its way or kept for sending again, in each direction, "
        "while it is fast; it begins with 1 MiB.",
        "16 MiB",
    ),
    Setting(
        "RVGAHP_REPLAY_TOTAL",
        amount(_MIB, 1024 * _GIB),
        BOTH,
        "The same for all streams of a process together, also what the other side was allowed "
        "and has not sent; each has 1 MiB in each direction besides, and of the rest at most "
        "half of what the others leave.",
        "256 MiB",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_START_TIMEOUT",
        seconds(0.1, 10),
        PROXY,
        "How long a GAHP may take until it runs, and again until it is ready, before it"
        " counts as failed.  The gridmanager does nothing else meanwhile.",
        "10",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_STDIN_LIMIT",
        amount(_MIB, _GIB),
        PROXY,
        "How many bytes of its stdin each client may hold, and of output that its stdout"
        " does not take.",
        "64 MiB",
    ),
    Setting(
        "GRIDMANAGER_GAHP_CALL_TIMEOUT",
        seconds(0, _LONGEST, whole=True),
        PROXY,
        "How long the gridmanager waits for the result of a batch request; 0: as long as it "
        "takes.  Clients answer in its place before that.",
        "300",
    ),
    Setting(
        "GRIDMANAGER_GAHP_RESPONSE_TIMEOUT",
        seconds(2, _LONGEST, whole=True),
        PROXY,
        "How long the gridmanager waits for a reply to a line, before it ends itself.  Clients "
        "answer before that.",
        "20",
    ),
    Setting(
        "RVGAHP_STDIN_GRACE",
        seconds(0, 86400),
        BOTH,
        "How long a GAHP may go on without output after the end of its input; then it is sent "
        "TERM.",
        "60",
    ),
    Setting(
        "RVGAHP_KILL_GRACE",
        seconds(0, 3600),
        BOTH,
        "How long a GAHP may go on after TERM; then it is sent KILL.",
        "10",
        isFixed=True,
    ),
    *SECURITY_TABLE,
)
"""Every setting, in the manual's order."""
