# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: key, certificate, authorities and revocation lists, and their dates.

Layer 6; L{rvgahp.credentials} and L{rvgahp.trust} read them as the daemons do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from cryptography import x509

from rvgahp.accountnames import ownAccount
from rvgahp.certificates import renewalTime, siteOf
from rvgahp.credentials import Credentials, loadCredentials
from rvgahp.doctoraccount import closedTo
from rvgahp.doctorcase import Case
from rvgahp.errors import CredentialError
from rvgahp.files import readFile
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.onelinename import oneLine
from rvgahp.proxyenrolment import needsOwnCredentials
from rvgahp.trust import Trust, certificatesIn, loadTrust

__all__ = ["certificates", "revocations"]

_NAME = "certificate"

#: Before the end of a certificate that nobody renews by itself.
_SOON = timedelta(days=14)

_EXPIRED = (
    "if this machine's clock is right, start rvgahp-ce, which has the proxy renew it for some time"
    " after its end (RVGAHP_RENEWAL_GRACE); if that is refused: rvgahp invite there and rvgahp join"
    " --replace here, or rvgahp credentials."
)

_CLOSED = (
    "give the three files a directory that belongs to the CE's account alone, and name them there:"
    " RVGAHP_CERTFILE, RVGAHP_KEYFILE, RVGAHP_CAFILE (doc/accounts.rst)."
)

_ENDED = {
    "ce": "if this machine's clock is right (see clock above), have a new one made: rvgahp invite"
    " on the submit host and rvgahp join --replace here, or rvgahp credentials ce.",
    "proxy": "if this machine's clock is right (see clock above), have a new one made, as by rvgahp"
    " credentials host, and start the proxy again.",
}

_CLOCKS = "compare this machine's clock with the one that made it; set the one that is wrong."


def certificates(case: Case, now: datetime | None = None) -> Findings:
    """
    The daemon's own certificate and key, and the authorities; C{case} gets them.

    @raise CredentialError: they cannot be used.
    """
    now = now or datetime.now(timezone.utc)
    files = [case.settings.get(f"RVGAHP_{name}FILE") for name in ("CERT", "KEY", "CA")]
    isOwn = case.settings.role == "proxy" and needsOwnCredentials(case.settings)
    if isOwn:
        directory = case.settings.get("RVGAHP_STATE_DIR")
        files = [os.path.join(directory, name) for name in ("host.crt", "host.key", "ca.crt")]
        if os.path.isdir(directory) and not os.access(directory, os.X_OK):
            yield warning(
                _NAME,
                f"account {ownAccount()} may not look into {directory}, where the proxy's is",
                "run rvgahp doctor as the proxy's account, or as root.",
            )
            return
        if not os.path.lexists(files[0]):
            yield ok(_NAME, f"none yet: the proxy makes its own in {directory} when it starts")
            return
    grace = timedelta(seconds=case.settings.get("RVGAHP_RENEWAL_GRACE"))
    cert, key, ca = files
    try:
        found = loadCredentials(
            cert, key, ca, case.settings.role, now, grace if case.settings.role == "ce" else None
        )
    except CredentialError as e:
        remedy = _untimely((cert, ca), now, _ENDED[case.settings.role])
        if not remedy:
            raise
        yield wrong(_NAME, str(e), remedy)
        return
    case.credentials = found
    yield _ownDates(case, files, found, now, isOwn)
    yield from _authorityDates(files[2], found, now)
    if case.settings.role == "ce" and _siteOf(found.certificate):
        yield _signer(files, found)


def _untimely(paths: tuple[str, ...], now: datetime, ended: str) -> str:
    """
    @param ended: what to do about one that has ended.
    @return: what to do about the dates of the first of these whose time is not now; empty if it
        is that of all.
    """
    for path in paths:
        with suppress(CredentialError, ValueError, x509.InvalidVersion):
            for one in certificatesIn(readFile(path))[:1]:
                if now < one.not_valid_before_utc:
                    return _CLOCKS
                if now > one.not_valid_after_utc:
                    return ended
    return ""


def _ownDates(
    case: Case, files: list[str], found: Credentials, now: datetime, isOwn: bool
) -> Finding:
    """
    @param isOwn: whether the proxy has made it.
    """
    path = files[0]
    begin, end = found.certificate.not_valid_before_utc, found.certificate.not_valid_after_utc
    if now > end:
        return wrong(_NAME, f"The certificate {path} has expired, on {_time(end)}", _EXPIRED)
    if now < begin:
        return wrong(_NAME, f"The certificate {path} is not valid before {_time(begin)}", _CLOCKS)
    site = _siteOf(found.certificate)
    what = f"{path}{f', of site {site},' if site else ''} is good until {_time(end)}"
    if isOwn or site:
        closed = closedTo(case, files) if site else ""
        if closed:
            return warning(_NAME, f"{what}, and cannot be renewed: {closed}", _CLOSED)
        return _renewal(case, what, found.certificate, now)
    if end - now < _SOON:
        remedy = "have a new one made, put it in place, and say rvgahp reload."
        return warning(_NAME, f"{what}, which is soon", remedy)
    return ok(_NAME, what)


def _renewal(case: Case, what: str, certificate: x509.Certificate, now: datetime) -> Finding:
    """
    One that the daemon has renewed, at a third of its life; at two thirds that is overdue.
    """
    due, end = renewalTime(certificate), certificate.not_valid_after_utc
    if now - due > (end - due) / 2:
        return warning(
            _NAME,
            f"{what}, and should have been renewed since {_time(due)}",
            f"see in the log of {case.daemon} why it was not; it renews it by itself while it is"
            " connected.",
        )
    return ok(_NAME, f"{what}, and is renewed by itself from {_time(due)} on")


def _authorityDates(path: str, found: Credentials, now: datetime) -> Findings:
    for one in certificatesIn(found.caPEM):
        begin, end = one.not_valid_before_utc, one.not_valid_after_utc
        name = oneLine(one.subject)
        if now > end:
            yield warning(
                "authority",
                f"{name} in {path} has expired, on {_time(end)}",
                "take it out, or get the one that has taken its place.",
            )
        elif now < begin:
            yield warning(
                "authority", f"{name} in {path} is not valid before {_time(begin)}", _CLOCKS
            )
        else:
            yield ok("authority", f"{name} in {path} is good until {_time(end)}")


def _signer(files: list[str], found: Credentials) -> Finding:
    """
    Proxy and sites have one authority, unless the proxy's certificate is of another PKI.
    """
    if Trust(certificatesIn(found.caPEM)).hasSigned(found.certificate):
        return ok("authority", f"{files[0]} is signed by an authority in {files[2]}")
    return warning(
        "authority",
        f"{files[0]} is signed by {oneLine(found.certificate.issuer)}, which is not in {files[2]}",
        f"unless the proxy's own certificate is of another authority: put the three files that"
        f" were made together in place ({', '.join(files)}).",
    )


def revocations(case: Case, now: datetime | None = None) -> Findings:
    """
    Other authorities, and revocation lists with their dates.

    @raise CredentialError: a file cannot be used.
    """
    now = now or datetime.now(timezone.utc)
    isProxy = case.settings.role == "proxy"
    siteCA = case.settings.get("RVGAHP_SITE_CAFILE") if isProxy else None
    crlFile = case.settings.get("RVGAHP_CRLFILE")
    trust = loadTrust(siteCA, crlFile)
    if trust.others:
        yield ok("authority", f"{siteCA} has {len(trust.others)} of the sites' own PKI")
    ours = certificatesIn(case.credentials.caPEM) if case.credentials else []
    for one in (*ours, *trust.others):
        revoked = trust.listOf(one.subject)
        if revoked is None:
            continue
        name, end = oneLine(one.subject), revoked.next_update_utc
        if now < revoked.last_update_utc:
            yield warning(
                "revocation list",
                f"that of {name} in {crlFile} is of {_time(revoked.last_update_utc)}",
                _CLOCKS,
            )
        elif end is not None and now > end:
            yield wrong(
                "revocation list",
                f"that of {name} in {crlFile} was good until {_time(end)}: nobody whose certificate"
                f" {name} has signed is let in",
                "get a new one from the authority, and say rvgahp reload.",
            )
        else:
            until = f" until {_time(end)}" if end is not None else ""
            yield ok("revocation list", f"that of {name} in {crlFile} is good{until}")


def _siteOf(certificate: x509.Certificate) -> str:
    try:
        return siteOf(certificate)
    except CredentialError:
        return ""


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
