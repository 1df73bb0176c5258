# -*- test-case-name: tests.test_settingtable -*-
"""
The table's rows on how a CE reaches its proxy.  Layer 2: pure; L{rvgahp.settingrow},
L{rvgahp.settingkinds} and L{rvgahp.listkinds}.
"""

from __future__ import annotations

from rvgahp.listkinds import HOST_PORTS, PROXY_NAMES
from rvgahp.settingkinds import GATEWAY, HOST, integer, path
from rvgahp.settingrow import CE, Setting

__all__ = ["WAY_TABLE"]

WAY_TABLE = (
    Setting(
        "RVGAHP_BROKER_HOST",
        HOST,
        CE,
        "The host on which the proxy runs, as the CE reaches it and as the proxy's certificate "
        "has it.  With RVGAHP_PROXY_NAMES it may be left out.",
        required=True,
        isFixed=True,
    ),
    Setting(
        "RVGAHP_BROKER_PORT", integer(1, 65535), CE, "The proxy's port.", "41000", isFixed=True
    ),
    Setting(
        "RVGAHP_CONNECT_TO",
        HOST_PORTS,
        CE,
        "Where to dial in place of RVGAHP_BROKER_HOST and RVGAHP_BROKER_PORT, such as a relay; "
        "several are tried in turn.  The certificate is still that of RVGAHP_BROKER_HOST.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_PROXY_NAMES",
        PROXY_NAMES,
        CE,
        "Further proxies that the CE serves, by names of your choice (:doc:`ways`).  For each, "
        "``RVGAHP_PROXY_``, its name and one of ``_BROKER_HOST``, ``_BROKER_PORT``, "
        "``_CONNECT_TO``, ``_CERTFILE``, ``_KEYFILE``, ``_CAFILE``, ``_SITE`` and "
        "``_MAX_SESSIONS`` is its own; only the first must be set.",
    ),
    Setting(
        "RVGAHP_CONNECT_THROUGH",
        GATEWAY,
        CE,
        "The HTTP proxy or SOCKS server through which to dial (:doc:`ways`).",
    ),
    Setting(
        "RVGAHP_CONNECT_THROUGH_CREDENTIALS",
        path(),
        CE,
        "A file of one line, ``USER:PASSWORD``, for that one; readable by the CE's account alone.",
    ),
)
"""They, in the manual's order."""
