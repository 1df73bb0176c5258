# -*- test-case-name: tests.test_settingtable -*-
"""
What a setting is: one row of the table, and the words that the table and its readers
share.  Layer 2: pure; L{rvgahp.settingkinds} and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rvgahp.settingkinds import Kind

__all__ = [
    "BOTH",
    "BUILT_IN_GAHPS",
    "CE",
    "GAHP_PREFIX",
    "LONGEST_SOCKET_PATH",
    "OF_PROXY",
    "PREFIX",
    "PROXY",
    "PROXY_PREFIX",
    "SUBSYSTEM_PREFIX",
    "PoolRule",
    "Setting",
]

PREFIX = "RVGAHP_"
"""What the names of rvgahp's own settings begin with."""

SUBSYSTEM_PREFIX = "RVGAHP."
"""HTCondor's way to say a setting to one subsystem: before its name."""

GAHP_PREFIX = "RVGAHP_GAHP_"
"""Before the name of a GAHP: the setting that holds its command line."""

PROXY_PREFIX = "RVGAHP_PROXY_"
"""Before the name of a further proxy of a CE, which is before what a setting of ours has after
C{RVGAHP_}."""

OF_PROXY = (
    "BROKER_HOST",
    "BROKER_PORT",
    "CONNECT_TO",
    "CERTFILE",
    "KEYFILE",
    "CAFILE",
    "SITE",
    "MAX_SESSIONS",
)
"""The settings that each proxy of a CE has for itself."""

PROXY = ("proxy",)
CE = ("ce",)
BOTH = ("proxy", "ce")

LONGEST_SOCKET_PATH = 107
"""The bytes of a C{sun_path} on Linux, without its closing NUL."""

BUILT_IN_GAHPS = {
    "blahpd": "BATCH_GAHP",
    "batch_gahp": "BATCH_GAHP",
    "condor_ft-gahp": "FT_GAHP",
}
"""The GAHPs that have settings of HTCondor's own, and which."""


@dataclass(frozen=True)
class PoolRule:
    """
    What becomes of a setting that a whole pool has, such as
    C{SEC_DEFAULT_ENCRYPTION}, where nothing is said to rvgahp alone.

    @ivar kind: What a pool may write there.
    @ivar combine: From our default and the pool's value to the one in force.
    @ivar because: Why the pool's does not count where it does not.
    """

    kind: Kind
    combine: Callable[[Any, Any], Any]
    because: str


@dataclass(frozen=True)
class Setting:
    """
    One row of the table.

    @ivar name: The name in capitals; HTCondor takes any case.
    @ivar kind: What it may be.
    @ivar roles: Whose it is, C{"proxy"} and C{"ce"}.
    @ivar doc: What it means, in a sentence or two of reStructuredText.
    @ivar default: The text that stands for it where it is not set; C{""}: none.
    @ivar required: Whether the daemon cannot start without it.
    @ivar beside: Instead of a default, by role: the name of a file in the
        configuration file's directory.
    @ivar pool: The rule for a value that a whole pool has; without one, such a
        value counts like any other.
    @ivar isFixed: Whether a change counts only when the daemon is started again.
    """

    name: str
    kind: Kind
    roles: tuple[str, ...]
    doc: str
    default: str = ""
    required: bool = False
    beside: Mapping[str, str] | None = None
    pool: PoolRule | None = None
    isFixed: bool = False
