# -*- test-case-name: tests.test_accounts -*-
"""
Names of this host's accounts.

Layer 1: the standard library.
"""

from __future__ import annotations

import os
import pwd

__all__ = ["accountName", "ownAccount"]


def accountName(uid: int) -> str:
    """
    @return: an account's name, or its number where it has none.
    """
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def ownAccount() -> str:
    """
    @return: the name of the account that this process runs as.
    """
    return accountName(os.geteuid())
