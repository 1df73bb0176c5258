# -*- test-case-name: tests.test_doctorway -*-
"""
C{rvgahp doctor}: what to do where a CE does not come through to its proxy.

Layer 6: pure.
"""

from __future__ import annotations

__all__ = ["OTHER_NAME", "forConnection", "forHandshake"]

_REFUSED = (
    "see whether rvgahp-proxy runs there (rvgahp doctor there), and whether {setting} and"
    " RVGAHP_BROKER_PORT are right; else a firewall refuses."
)
_SWALLOWED = (
    "a firewall swallows what is sent there, or that host is down: have this site's firewall let"
    " out, and the submit host's let in, connections to that port; or take a port that is let out,"
    " such as 443 (RVGAHP_BROKER_PORT; doc/systemd.rst).  See that {setting} is right."
)

OTHER_NAME = (
    "set RVGAHP_BROKER_HOST to the name that the certificate is for (and RVGAHP_CONNECT_TO to"
    " where it is dialled, if that is another); or have a certificate made for this name there:"
    " RVGAHP_PUBLIC_ADDRESS, or rvgahp credentials host."
)

_JOIN = "rvgahp invite on the submit host, and rvgahp join --replace here, or rvgahp credentials ce"

#: What to do about a handshake that came to nothing, by words of its reason.
_REMEDIES = (
    (
        "is not one that we know",
        "put the authority (CA) of that proxy into RVGAHP_CAFILE; where the site is enrolled:"
        f" {_JOIN}.",
    ),
    (
        "does not know the authority",
        f"have a certificate made by the proxy's own authority: {_JOIN}.",
    ),
    ("clock", "compare both machines' clocks, and set the one that is wrong."),
    (
        "here it is",
        "if this machine's clock is right, have the proxy's certificate renewed (rvgahp doctor"
        " there).",
    ),
    (
        "has expired",
        f"compare both machines' clocks, and set the one that is wrong; else {_JOIN}.",
    ),
    ("revoked", f"ask the site's owner why; to let it in again: {_JOIN}."),
    (
        "it refuses our certificate",
        f"see the proxy's log, which says why; the usual remedy is {_JOIN}.",
    ),
)

_NO_HANDSHAKE = (
    "see that RVGAHP_BROKER_PORT is the proxy's (rvgahp doctor there).  If it is, something on the"
    " way lets no TLS through, such as a firewall that looks inside, or one that drops large"
    " packets (MTU)."
)


def forConnection(problem: str, setting: str) -> str:
    """
    @param problem: why nobody could be connected to.
    @param setting: what says where the proxy is.
    @return: what to do about it.
    """
    return (_SWALLOWED if "no answer" in problem else _REFUSED).format(setting=setting)


def forHandshake(problem: str) -> str:
    """
    @return: what to do about a handshake that came to nothing.
    """
    return next((remedy for words, remedy in _REMEDIES if words in problem), _NO_HANDSHAKE)
