# -*- test-case-name: tests.test_accounts -*-
"""
As which account a CE starts a GAHP.

Layer 3: the standard library, L{rvgahp.errors} and L{rvgahp.mapfile}.
"""

from __future__ import annotations

import re
from typing import Protocol

from rvgahp.accountnames import ownAccount
from rvgahp.errors import NotAuthorized
from rvgahp.mapfile import MapFile

#: The method under which the map file has owners, for whom the proxy vouches.
_METHOD = "PROXY"

#: What no account's name has.  C{@} has a meaning in maps and in grid_resource.
_IMPOSSIBLE = re.compile(r"[\x00-\x20\x7f:/@]")


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


class Accounts(Protocol):
    """
    As whom a CE starts GAHPs.
    """

    def accountFor(self, owner: str, asked: str, site: str) -> str:
        """
        Find the account, before it is decided whether this owner may have it.

        @param owner: the canonical name of the job's owner, as the proxy says.
        @param asked: the account that he asks for; empty: any.
        @param site: the CE's name there.
        @return: the account.
        @raise NotAuthorized: there is none; the sentence is for the job's owner.
        """


class OwnAccount:
    """
    Of a CE that starts all GAHPs as itself.
    """

    def accountFor(self, owner: str, asked: str, site: str) -> str:
        """
        As of L{Accounts}.
        """
        checkAsked(asked, site)
        return ownAccount()


class MappedAccounts:
    """
    Of a CE that root has started.
    """

    def __init__(self, path: str, table: MapFile | None) -> None:
        """
        @param path: of CERTIFICATE_MAPFILE; empty where it is not set.
        @param table: what it holds.
        """
        self._path = path
        self._table = table

    def __eq__(self, other: object) -> bool:
        """
        Whether the maps say the same.
        """
        return isinstance(other, MappedAccounts) and self._table == other._table

    def __hash__(self) -> int:
        """
        The same for equal ones.
        """
        return hash(self._table)

    def accountFor(self, owner: str, asked: str, site: str) -> str:
        """
        As of L{Accounts}: the one that is asked for, else the map's.
        """
        if asked:
            return asked
        found = self._table.lookup(_METHOD, owner) if self._table is not None else None
        name = owner[:200]
        if found is None:
            where = self._path or "the file that it names in CERTIFICATE_MAPFILE"
            raise NotAuthorized(
                f"site {site} has no account for {name!a}: name one in grid_resource, as"
                f" ACCOUNT@{site}, if you may use one there; else ask the site's"
                f" administrator for a line '{_METHOD} {ascii(name)[1:-1]} ACCOUNT' in {where}"
            )
        if _IMPOSSIBLE.search(found.canonical):
            raise NotAuthorized(
                f"site {site} maps {name!a} to {found.canonical[:80]!a}, which is no name of"
                f" an account: ask its administrator to mend {found.path}, line {found.number}"
            )
        return found.canonical
