# -*- test-case-name: tests.test_statusweb -*-
"""
Who looks at a daemon, and what he may see and do.

Layer 3: L{rvgahp.peercred}.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from rvgahp.peercred import LocalUser

__all__ = ["Viewer", "viewerOf"]


class Viewer(NamedTuple):
    """
    A local user who asks.

    @ivar user: he.
    @ivar isAdministrator: whether he may see and do all.
    """

    user: LocalUser
    isAdministrator: bool


def viewerOf(user: LocalUser, administrators: tuple[str, ...]) -> Viewer:
    """
    @param administrators: names of accounts (RVGAHP_ADMINISTRATORS).
    """
    isAdministrator = user.uid in (0, os.geteuid()) or user.name in administrators
    return Viewer(user, isAdministrator)
