# -*- test-case-name: tests.test_registry -*-
"""
The proxy's register of sites and of open invitations, in files (C{doc/enrolment.rst}).
Layer 3: L{rvgahp.files}; the time is passed in.

In RVGAHP_STATE_DIR there is C{sites/NAME.json} for each site and C{invitations/HASH.json}
for each invitation.  Each is written whole, and only by the one proxy whose directory it
is; what it knows it has read at its start.  Of an invitation's secret there is nothing but
its SHA-256, which is its file's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection
from dataclasses import asdict

from twisted.logger import Logger

from rvgahp.enrolmentlimits import (
    INVITATION_LIFETIME,
    OPEN_INVITATIONS,
    SITE_NAME,
    SITE_SERIALS,
)
from rvgahp.errors import Busy, CredentialError, NotAuthorized, WrongCode
from rvgahp.files import makeDirectory, writeFile
from rvgahp.keyexchange import PRIVATE
from rvgahp.names import checkSite
from rvgahp.registryentries import Entry, Invitation, SiteEntry, changed, parsed

__all__ = ["Invitation", "Registry", "SiteEntry"]

_HASH = re.compile("[0-9a-f]{64}")
_ENDING = ".json"

#: What L{rvgahp.files} writes before it has its name, left when that was cut short.
_CUT_SHORT = re.compile(r".*\.json\.[0-9a-f]{16}")


class Registry:
    """
    The register.
    """

    log = Logger()

    def __init__(self, directory: str, now: Callable[[], float]) -> None:
        """
        Read it.  A file that is broken is said in the log, and costs its site alone.

        @param directory: RVGAHP_STATE_DIR, which is there.
        @param now: tells the time in seconds since 1970.
        @raise CredentialError: a directory cannot be made or read.
        """
        self._now = now
        self._sitesDirectory = os.path.join(directory, "sites")
        self._invitationsDirectory = os.path.join(directory, "invitations")
        self._problems: dict[str, str] = {}
        self._sites = self._readAll(self._sitesDirectory, SiteEntry, "site")
        self._invitations = self._readAll(self._invitationsDirectory, Invitation, "name")

    # -- files --------------------------------------------------------------

    def _readAll(self, directory: str, kind: type[Entry], key: str) -> dict[str, Entry]:
        makeDirectory(directory)
        found = {}
        try:
            names = sorted(os.listdir(directory))
        except OSError as e:
            raise CredentialError(f"{directory} cannot be read: {e.strerror}.") from e
        for name in names:
            stem = name.removesuffix(_ENDING)
            path = os.path.join(directory, name)
            if stem == name:
                if _CUT_SHORT.fullmatch(name):
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                continue
            try:
                found[stem] = parsed(path, kind, key, stem)
            except CredentialError as e:
                if kind is SiteEntry:
                    self._problems[stem] = str(e)
                self.log.error("{reason}", reason=e)
        return found

    def _write(self, directory: str, stem: str, entry: SiteEntry | Invitation) -> None:
        """
        @param stem: a site's checked name or a hash.
        """
        content = json.dumps(asdict(entry), indent=2).encode() + b"\n"
        path = os.path.join(directory, stem + _ENDING)
        writeFile(path, content, PRIVATE, replace=True)

    # -- sites --------------------------------------------------------------

    def find(self, site: str) -> SiteEntry | None:
        """
        @return: what is known of a site; L{None}: nothing.
        @raise NotAuthorized: its file is broken.
        """
        if site in self._problems:
            raise NotAuthorized(
                f"what the proxy knows of site {site} cannot be read; the proxy's administrator"
                " finds more in its log"
            )
        return self._sites.get(site)

    def names(self) -> Collection[str]:
        """
        @return: the names of all sites of which something is known.
        """
        return self._sites.keys() | self._problems.keys()

    def ownerOf(self, site: str) -> str | None:
        """
        @return: the canonical name of the owner of an enrolled site; L{None} if it is not
            enrolled, or has been revoked, or nothing can be said.
        """
        entry = self._sites.get(site)
        return (entry.owner or None) if entry is not None and not entry.revokedBy else None

    def isRevoked(self, site: str) -> bool:
        """
        @return: whether the site may not come; so it is, too, if its file is broken.
        """
        entry = self._sites.get(site)
        return site in self._problems or (entry is not None and bool(entry.revokedBy))

    def put(self, entry: SiteEntry) -> None:
        """
        Write down what is known of a site from now on.

        @raise CredentialError: it cannot be written.
        """
        # The first is that of the certificate that was let in last.
        serials = [*entry.serials[:1], *entry.serials[1:][1 - SITE_SERIALS :]]
        entry = changed(entry, serials=serials)
        self._write(self._sitesDirectory, checkSite(entry.site), entry)
        self._sites[entry.site] = entry

    def addSerial(self, site: str, serial: int, shown: int) -> None:
        """
        One more certificate of a site is good.

        @param shown: the serial number of the one that it has now, which stays good.
        """
        entry = self._sites[site]
        first, *others = entry.serials
        kept = [one for one in others if one != f"{shown:x}"]
        if first != f"{shown:x}":
            kept.append(f"{shown:x}")
        self.put(changed(entry, serials=[first, *kept, f"{serial:x}"]))

    def letIn(self, site: str, serial: int) -> None:
        """
        A CE has come with this certificate: those from before it are good no more.  So of two
        that have the same key, by theft, one is soon refused, and somebody notices.

        @raise CredentialError: it cannot be written.
        """
        entry = self._sites[site]
        at = entry.serials.index(f"{serial:x}")
        if at:
            self.put(changed(entry, serials=entry.serials[at:]))

    def isGood(self, site: str, serial: int) -> bool:
        """
        @return: whether a certificate that was made here is still one of the site's.
        """
        entry = self._sites.get(site)
        return entry is not None and f"{serial:x}" in entry.serials

    def revoke(self, site: str, by: str) -> None:
        """
        A site may not come any more, and no invitation to it works.

        @param by: the canonical name of who wants it so.
        """
        # First, for who has one would be let in, even if it is of before it was this owner's.
        for invitation in list(self._invitations.values()):
            if invitation.site == site:
                self._remove(invitation)
        if self._sites[site].revokedBy != by:
            self.put(changed(self._sites[site], revokedBy=by, serials=[]))

    def checkNeighbours(self, site: str, owner: str, account: str) -> None:
        """
        See that what others call ACCOUNT@HOST in grid_resource does not become another site
        than they mean.

        @param account: the owner's, on this host, which he may put before another's HOST.
        @raise NotAuthorized: it would.
        """
        first, _, host = site.rpartition("@")
        near = [host] if first not in ("", account) else []
        if not first:
            near = [one for one in self.names() if one.endswith(f"@{site}")]
        for name in near:
            entry = self.find(name)
            if entry is not None and entry.owner != owner:
                raise NotAuthorized(
                    f"site {site} would be taken for {name}, which is another's; choose another"
                    f" name, such as {account}@ and the host, or ask the proxy's administrator to"
                    " invite it"
                )

    # -- invitations --------------------------------------------------------

    def invite(self, secret: bytes, site: str, owner: str, account: str) -> Invitation:
        """
        Write down an invitation.

        @param secret: B{secret}.
        @raise NotAuthorized: a site of such a name could not be written down.
        @raise Busy: the owner has too many that are open.
        @raise CredentialError: it cannot be written.
        """
        if len(site) > SITE_NAME:
            raise NotAuthorized(
                f"an enrolled site can have a name of {SITE_NAME} characters, not {len(site)}"
            )
        self._expire()
        count = sum(one.owner == owner and not one.usedBy for one in self._invitations.values())
        if count >= OPEN_INVITATIONS:
            raise Busy(
                f"{owner} has {count} open invitations, and no more are allowed; they end by"
                f" themselves within {INVITATION_LIFETIME // 60} minutes"
            )
        ends = int(self._now()) + INVITATION_LIFETIME
        made = Invitation(_digest(secret), checkSite(site), owner, account, ends)
        self._write(self._invitationsDirectory, made.name, made)
        self._invitations[made.name] = made
        return made

    def use(self, secret: bytes, publicKey: bytes) -> Invitation:
        """
        An invitation is used up.

        @param secret: B{secret}.  That it is looked for by its hash tells by no length of time
            how near to another one it is.
        @param publicKey: the SubjectPublicKeyInfo of who uses it.  The same key may use it
            again, because the answer may have been lost.
        @raise WrongCode: there is no such one, for this key.
        @raise CredentialError: that it is used cannot be written.
        """
        self._expire()
        found = self._invitations.get(_digest(secret))
        key = _digest(publicKey)
        if found is None or found.usedBy not in ("", key):
            raise WrongCode(
                "the code is unknown here, or has been used, or is too old; ask for another"
                " (rvgahp invite)"
            )
        if not found.usedBy:
            found = changed(found, usedBy=key)
            self._write(self._invitationsDirectory, found.name, found)
            self._invitations[found.name] = found
        return found

    def _expire(self) -> None:
        now = self._now()
        for invitation in list(self._invitations.values()):
            if invitation.ends <= now:
                self._remove(invitation)

    def _remove(self, invitation: Invitation) -> None:
        del self._invitations[invitation.name]
        path = os.path.join(self._invitationsDirectory, invitation.name + _ENDING)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as e:  # It is too old, and will be, when it is read again.
            self.log.warn("{path} cannot be removed: {reason}", path=path, reason=e.strerror)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
