# -*- test-case-name: tests.test_settingtable -*-
"""
The rows of the table of settings that are about who looks at a daemon.  Layer 2: pure;
L{rvgahp.settingrow}, L{rvgahp.settingkinds} and L{rvgahp.listkinds}.
"""

from __future__ import annotations

from rvgahp.listkinds import ACCOUNTS
from rvgahp.settingkinds import HOST_PORT, LOOPBACK_PORT, path
from rvgahp.settingrow import BOTH, LONGEST_SOCKET_PATH, PROXY, Setting

__all__ = ["VIEW_TABLE"]

VIEW_TABLE = (
    Setting(
        "RVGAHP_STATUS_SOCKET",
        path(LONGEST_SOCKET_PATH),
        BOTH,
        "The UNIX socket of the local HTTP interface, :doc:`status`.  Where it is not set: for the "
        "proxy RVGAHP_SOCKET with ``.status`` for its ending, for the CE ``rvgahp-ce.status`` "
        "beside its configuration file.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_ADMINISTRATORS",
        ACCOUNTS,
        BOTH,
        "Accounts of this host that may see and do all by :doc:`status`, beside root and the "
        "daemon's own.",
    ),
    Setting(
        "RVGAHP_METRICS_ADDRESS",
        HOST_PORT,
        BOTH,
        "Where Prometheus finds the daemon's metrics, :doc:`metrics`, such as ``127.0.0.1:9710``: "
        "whoever can connect there can read them.  Where it is not set there are none.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_PAGE_ADDRESS",
        LOOPBACK_PORT,
        PROXY,
        "Where browsers find the status page, :doc:`page`, such as ``9711``: on this host alone, "
        "and each account sees there what it sees by :doc:`status`.  Where it is not set there is "
        "none.",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_PAGE_READERS",
        ACCOUNTS,
        PROXY,
        "Accounts of this host that see all on the status page, and may do nothing, such as that "
        "of a web server before it, :doc:`page`.",
    ),
)
"""Rows of L{rvgahp.settingtable.TABLE}."""
