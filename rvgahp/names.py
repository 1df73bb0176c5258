# -*- test-case-name: tests.test_names -*-
"""
What a site, a GAHP and an account may be called.  Layer 0: the standard library and
L{rvgahp.errors} only, and no C{re}, since the client imports it at each start.

A site's name travels in C{grid_resource} (words parted by blanks), in a
certificate's C{rvgahp:site:NAME} and in logs, so it has nothing that would
need quoting in any of them.  One C{@} is let in because the documented set-up
of reverse GAHPs writes C{alice@login.example.edu} there (HTCondor
C{docs/grid-computing/grid-universe.rst}).  Names are compared exactly: case
counts.
"""

from __future__ import annotations

from rvgahp.errors import ConfigurationError

__all__ = [
    "CE_FILE",
    "FILE_TRANSFER_GAHP",
    "MAX_ACCOUNT",
    "MAX_GAHP_NAME",
    "MAX_SITE_NAME",
    "SITE_DOMAIN",
    "SITE_URI",
    "checkAccount",
    "checkGAHPName",
    "checkSite",
    "siteName",
]

CE_FILE = "~/.rvgahp/condor_config.rvgahp"
"""The CE's configuration file where none is named."""

MAX_SITE_NAME = 253
"""The longest name of a site, in characters: that of a host name."""

MAX_GAHP_NAME = 64
"""The longest name of a GAHP, in characters."""

MAX_ACCOUNT = 64
"""The longest name of an account at a site, in characters."""

FILE_TRANSFER_GAHP = "condor_ft-gahp"
"""The GAHP that HTCondor starts for every job, to carry its executable and its output."""

SITE_URI = "rvgahp:site:"
"""What a URI in a CE's certificate begins with; the site's name follows."""

SITE_DOMAIN = "site.rvgahp"
"""The domain of the canonical name of a CE for whose site the proxy's own authority vouches:
C{NAME@site.rvgahp}."""

_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_IN_SITE = _LETTERS_AND_DIGITS | frozenset(".-_@")
_IN_GAHP = _LETTERS_AND_DIGITS | frozenset(".-_+")
_IN_ACCOUNT = _LETTERS_AND_DIGITS | frozenset(".-_")


def checkSite(name: str) -> str:
    """
    See that a site may have this name.

    @param name: The name, as given by a user, a peer or a certificate.
    @return: The same name.
    @raise ConfigurationError: The name is not 1 to 253 ASCII letters, digits,
        C{.}, C{-}, C{_} and at most one C{@}, with a letter or digit first and
        last.
    """
    if (
        0 < len(name) <= MAX_SITE_NAME
        and _IN_SITE.issuperset(name)
        and name.count("@") <= 1
        and name[0] in _LETTERS_AND_DIGITS
        and name[-1] in _LETTERS_AND_DIGITS
    ):
        return name
    raise ConfigurationError(
        f"{_shown(name)} cannot be the name of a site: it must have 1 to {MAX_SITE_NAME} letters, "
        "digits, dots, hyphens, underscores and at most one @, and begin and end with a letter "
        "or a digit."
    )


def checkGAHPName(name: str) -> str:
    """
    See that a GAHP may have this name.

    @param name: The name, as the gridmanager gives it to the client or as
        C{RVGAHP_GAHP_NAMES} lists it.
    @return: The same name.
    @raise ConfigurationError: The name is not 1 to 64 ASCII letters, digits,
        C{.}, C{-}, C{_} and C{+} with a letter or digit first.
    """
    if (
        0 < len(name) <= MAX_GAHP_NAME
        and _IN_GAHP.issuperset(name)
        and name[0] in _LETTERS_AND_DIGITS
    ):
        return name
    raise ConfigurationError(
        f"{_shown(name)} cannot be the name of a GAHP: it must have 1 to {MAX_GAHP_NAME} letters, "
        "digits, dots, hyphens, underscores and plus signs, and begin with a letter or a digit."
    )


def checkAccount(name: str) -> str:
    """
    See that an account at a site may have this name.  Whether there is one is for the
    site to say.

    @param name: The name, as it stands in C{grid_resource} before the C{@}.
    @return: The same name.
    @raise ConfigurationError: The name is not 1 to 64 ASCII letters, digits,
        C{.}, C{-} and C{_}, with none of C{.} and C{-} first.
    """
    if 0 < len(name) <= MAX_ACCOUNT and _IN_ACCOUNT.issuperset(name) and name[0] not in ".-":
        return name
    raise ConfigurationError(
        f"{_shown(name)} cannot be the name of an account: it must have 1 to {MAX_ACCOUNT} "
        "letters, digits, dots, hyphens and underscores, and begin with a letter, a digit or an "
        "underscore."
    )


def _shown(name: str) -> str:
    """
    A name that was refused, fit for one line of a log whatever is in it.
    """
    return ascii(name if len(name) <= 80 else name[:80] + "...")


def siteName(site: str) -> str:
    """
    @param site: As a certificate has it that an authority of RVGAHP_CAFILE has signed.
    @return: The canonical name of the CE.
    """
    return f"{site}@{SITE_DOMAIN}"
