# -*- test-case-name: tests.test_accounts -*-
"""
Accounts and their names; as which a CE starts a GAHP.

Layer 3: the standard library and L{rvgahp.errors}.
"""

from __future__ import annotations

import os
import pwd

from rvgahp.errors import NotAuthorized


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


def checkAsked(account: str, site: str) -> None:
    """
    A CE starts GAHPs as the account that it runs as, and as no other.

    @param account: the one that the job's owner asks for; empty: any.
    @param site: the CE's.
    @raise NotAuthorized: it is another; the sentence is for the job's owner.
    """
    own = ownAccount()
    if account and account != own:
        raise NotAuthorized(
            f"account {account[:80]!a} was asked for, and rvgahp-ce at {site} runs as {own!a}"
            f" and starts GAHPs as nobody else; leave the account out of grid_resource, or name"
            " that one"
        )
