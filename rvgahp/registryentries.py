# -*- test-case-name: tests.test_registry -*-
"""
What the files of L{rvgahp.registry} hold, and how they are read.

Layer 3: L{rvgahp.files}.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.files import readFile
from rvgahp.names import checkSite

__all__ = ["Entry", "Invitation", "SiteEntry", "changed", "parsed"]

_HASH = re.compile("[0-9a-f]{64}")

Entry = TypeVar("Entry", bound="SiteEntry | Invitation")


@dataclass(frozen=True)
class SiteEntry:
    """
    What is known of one site.

    @ivar site: its name.
    @ivar owner: the canonical name of whose it is; empty: it came with a certificate that
        was not made here, and is the administrator's.
    @ivar account: the owner's, on this host.
    @ivar since: when it was enrolled, or came first; seconds since 1970.
    @ivar revokedBy: the canonical name of who has revoked it; empty: nobody.
    @ivar serials: of its certificates that are good, in hexadecimal, the oldest first: the one
        that was let in last, and those that were made since.
    """

    site: str
    owner: str
    account: str
    since: int
    revokedBy: str = ""
    serials: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Invitation:
    """
    One invitation.

    @ivar name: the SHA-256 of its secret, in hexadecimal.
    @ivar site: the site that it is for.
    @ivar owner: who has invited, and will be the site's owner.
    @ivar account: his, on this host.
    @ivar ends: until when it works; seconds since 1970.
    @ivar usedBy: the SHA-256 of the public key that has used it; empty: none.
    """

    name: str
    site: str
    owner: str
    account: str
    ends: int
    usedBy: str = ""


def changed(entry: Any, **changes: Any) -> Any:
    """
    @return: the same but for the changes.
    """
    return type(entry)(**{**asdict(entry), **changes})


def parsed(path: str, kind: type[Entry], key: str, stem: str) -> Entry:
    """
    @param key: the field that the file has its name from.
    @raise CredentialError: it is not what it should be.
    """
    try:
        values = json.loads(readFile(path))
        entry = kind(**values)
        wanted = {name: type(value) for name, value in asdict(_MODELS[kind]).items()}
        isSound = {name: type(value) for name, value in values.items()} == wanted
        if isinstance(entry, SiteEntry):
            checkSite(entry.site)
            isSound = isSound and all(isinstance(one, str) for one in entry.serials)
        else:
            checkSite(entry.site)
            isSound = isSound and bool(_HASH.fullmatch(entry.name))
        if isSound and getattr(entry, key) == stem:
            return entry
    except (ValueError, TypeError, ConfigurationError):
        pass
    raise CredentialError(
        f"{path} is broken, and what it is for is refused: put it back as it was, or remove it."
    )


_MODELS: dict[type, SiteEntry | Invitation] = {
    SiteEntry: SiteEntry("", "", "", 0),
    Invitation: Invitation("", "", "", "", 0),
}
