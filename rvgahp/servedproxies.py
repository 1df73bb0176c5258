# -*- test-case-name: tests.test_servedproxies -*-
"""
Which proxies a CE serves: of each its settings, the CE's credentials there and its name.
C{doc/ways.rst}.

Layer 3; L{rvgahp.settings}, L{rvgahp.credentials}.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rvgahp.credentials import Credentials, loadCredentials, siteOf
from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.settings import Settings
from rvgahp.tls import utcNow
from rvgahp.wayout import placeOf
from rvgahp.waysettings import placeIn

__all__ = ["Served", "Unusable", "readServed"]


@dataclass(frozen=True)
class Served:
    """
    One that can be served.

    @ivar name: the operator's for it; empty for the one that has none.
    @ivar settings: the CE's, with what is this proxy's own.
    @ivar site: the CE's name there.
    @ivar credentials: the CE's there.
    """

    name: str
    settings: Settings
    site: str
    credentials: Credentials

    @property
    def place(self) -> str:
        """
        Where the proxy is, for people.
        """
        return placeIn(self.settings)


@dataclass(frozen=True)
class Unusable:
    """
    One that cannot, until the CE is started again.

    @ivar name: as of L{Served}.
    @ivar host: where it is; C{port}: the same.
    @ivar problem: why, in a sentence.
    @ivar since: since when, in seconds since 1970.
    """

    name: str
    host: str
    port: int
    problem: str
    since: float

    @property
    def place(self) -> str:
        """
        Where the proxy is, for people.
        """
        return placeOf(self.host, self.port)

    def document(self) -> dict[str, Any]:
        """
        @return: this, as a CE shows it.
        """
        return {
            "name": self.name,
            "site": None,
            "host": self.host,
            "port": self.port,
            "through": "",
            "address": "",
            "software": "",
            "connected": False,
            "since": int(self.since),
            "reason": self.problem,
            "sessions": 0,
            "draining": False,
            "unanswered": "",
            "conflict": "",
        }


def readServed(settings: Settings) -> tuple[list[Served], list[Unusable]]:
    """
    Blocks while files are read.

    @param settings: a CE's; gets notes.
    @return: those that can be served, and those that cannot.
    @raise rvgahp.errors.RvgahpError: none can.
    @raise ConfigurationError: two are the same.
    """
    served: list[Served] = []
    unusable: list[Unusable] = []
    first: Exception | None = None
    for name, own in settings.ofProxies().items():
        try:
            served.append(_read(name, own, settings.notes))
        except (ConfigurationError, CredentialError) as e:
            first = first or e
            place = own.get("RVGAHP_BROKER_HOST"), own.get("RVGAHP_BROKER_PORT")
            unusable.append(Unusable(name, *place, str(e), time.time()))
    if not served:
        assert first is not None  # there is one proxy at least
        raise first
    _refuseSame(served)
    return served, unusable


def _read(name: str, settings: Settings, notes: list[str]) -> Served:
    """
    @param notes: gets what is odd.
    @raise CredentialError: the credentials cannot be used, or neither the certificate nor
        RVGAHP_SITE names a site.
    @raise ConfigurationError: they name two.
    """
    path = settings.get("RVGAHP_CERTFILE")
    credentials = loadCredentials(
        path,
        settings.get("RVGAHP_KEYFILE"),
        settings.get("RVGAHP_CAFILE"),
        role="ce",
        grace=timedelta(seconds=settings.get("RVGAHP_RENEWAL_GRACE")),
    )
    wanted = settings.get("RVGAHP_SITE")
    try:
        site = siteOf(credentials.certificate)
    except CredentialError as e:
        if not wanted:
            raise CredentialError(f"{e} With one of the site's own PKI, set RVGAHP_SITE.") from None
        site = wanted
    if wanted and wanted != site:
        raise ConfigurationError(
            f"RVGAHP_SITE is {wanted}, and the certificate {path} is of site {site}; mend the one"
            " or replace the other."
        )
    begin = credentials.certificate.not_valid_before_utc
    if utcNow() < begin:
        notes.append(
            f"The certificate {path} is not valid before {begin:%Y-%m-%d %H:%M} UTC: is this"
            " machine's clock right?"
        )
    return Served(name, settings, site, credentials)


def _refuseSame(served: list[Served]) -> None:
    """
    @raise ConfigurationError: two are the same: each would take the other's place there, for ever.
    """
    known: dict[tuple[str, int, str], str] = {}
    for one in served:
        get = one.settings.get
        key = get("RVGAHP_BROKER_HOST").lower(), get("RVGAHP_BROKER_PORT"), one.site
        if key in known:
            first, second = (name or "RVGAHP_BROKER_HOST" for name in (known[key], one.name))
            raise ConfigurationError(
                f"Two proxies of RVGAHP_PROXY_NAMES are one, {first} and {second}: both are at"
                f" {key[0]} port {key[1]}, for site {one.site}.  Take one out."
            )
        known[key] = one.name
