# -*- test-case-name: tests.test_tls -*-
"""
Why TLS did not come to be, in words.

Layer 3.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from OpenSSL.SSL import Error as OpenSSLError
from OpenSSL.SSL import X509VerificationCodes as Codes
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from rvgahp.errors import CredentialError
from rvgahp.onelinename import oneLine
from rvgahp.trust import Trust

__all__ = ["PeerRefused", "explain", "nameOf", "refusal"]

#: OpenSSL's words for what the other side says of us, and ours.
_EXPLANATIONS = (
    (
        "certificate expired",
        "our certificate has expired, it says, or its own revocation list (CRL) has",
    ),
    ("certificate revoked", "our certificate has been revoked, it says"),
    ("unknown ca", "it does not know the authority (CA) that signed our certificate"),
    (
        "bad certificate",
        "it refuses our certificate; its log says why, and perhaps its clock is wrong",
    ),
    ("certificate unknown", "it refuses our certificate"),
    ("alert internal error", "it refuses our certificate; its log says why"),
    ("certificate required", "it wants a certificate of ours"),
    ("unsupported certificate", "our certificate is not for this role, it says"),
    ("unsupported protocol", "it does not speak TLS 1.3"),
    ("protocol version", "it does not speak TLS 1.3"),
    ("version too low", "it does not speak TLS 1.3"),
    ("wrong version number", "it does not speak TLS"),
    ("http request", "it speaks HTTP, not TLS"),
)

_UNKNOWN = (
    "its certificate's authority (CA) is not one that we know: {issuer} (compare RVGAHP_CAFILE"
    " on both sides)"
)
_NO_LIST = "no revocation list in RVGAHP_CRLFILE is right for what {issuer} has signed"
_BAD_LIST = "the revocation list of {issuer} in RVGAHP_CRLFILE is not one that it has signed"
_PURPOSE = (
    "its certificate is for another role: the proxy needs a host certificate, a CE one for its site"
)
_FORGED = "its certificate does not bear the signature of {issuer}"
_NO_AUTHORITY = "the certificate of {issuer}, which signed another, is not an authority's"

#: What OpenSSL finds wrong with a certificate, or with the revocation list that it needs.
_REASONS = {
    Codes.ERR_CERT_HAS_EXPIRED: "the certificate of {subject} expired on {end}; here it is {now}",
    Codes.ERR_CERT_NOT_YET_VALID: (
        "the certificate of {subject} is not valid before {begin}, and here it is {now}: are both"
        " clocks right?"
    ),
    Codes.ERR_CERT_REVOKED: "the certificate of {subject} has been revoked",
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: _UNKNOWN,
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _UNKNOWN,
    Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: _UNKNOWN,
    Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: _UNKNOWN,
    Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: _UNKNOWN,
    Codes.ERR_CERT_UNTRUSTED: _UNKNOWN,
    Codes.ERR_INVALID_PURPOSE: _PURPOSE,
    Codes.ERR_CERT_SIGNATURE_FAILURE: _FORGED,
    Codes.ERR_INVALID_CA: _NO_AUTHORITY,
    Codes.ERR_KEYUSAGE_NO_CERTSIGN: _NO_AUTHORITY,
    Codes.ERR_PATH_LENGTH_EXCEEDED: "the chain of its certificates is longer than one of them lets",
    Codes.ERR_PROXY_PATH_LENGTH_EXCEEDED: (
        "the chain of its proxy certificates is longer than one of them lets"
    ),
    Codes.ERR_PROXY_CERTIFICATES_NOT_ALLOWED: (
        "it showed a proxy certificate, which only counts where RVGAHP_SITE_CAFILE is set"
    ),
    Codes.ERR_CRL_HAS_EXPIRED: (
        "the revocation list (CRL) of {issuer} expired on {listEnd}: get its new one into"
        " RVGAHP_CRLFILE"
    ),
    Codes.ERR_CRL_NOT_YET_VALID: (
        "the revocation list (CRL) of {issuer} is not valid yet: is this machine's clock right?"
    ),
    Codes.ERR_UNABLE_TO_GET_CRL: _NO_LIST,
    Codes.ERR_DIFFERENT_CRL_SCOPE: _NO_LIST,
    Codes.ERR_UNABLE_TO_GET_CRL_ISSUER: _BAD_LIST,
    Codes.ERR_CRL_SIGNATURE_FAILURE: _BAD_LIST,
    Codes.ERR_KEYUSAGE_NO_CRL_SIGN: _BAD_LIST,
}


class PeerRefused(CredentialError, OpenSSLError):
    """
    The other side's certificate is not good enough.  Raised in the midst of a handshake,
    it must be one of OpenSSL's errors for Twisted, which looks for a list in it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__([("", "", sentence)])
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence


def refusal(code: int, certificate: x509.Certificate, trust: Trust, now: datetime) -> PeerRefused:
    """
    @param code: what OpenSSL says of it.
    @param now: the time by which that is so.
    @return: the same for people, as a clause.
    """
    template = _REASONS.get(code)
    if template is None:
        return PeerRefused(f"its certificate cannot be verified (OpenSSL's error {code})")
    revoked = trust.listOf(certificate.issuer)
    return PeerRefused(
        template.format(
            subject=_shown(certificate.subject) or "it",
            issuer=_shown(certificate.issuer),
            begin=_time(certificate.not_valid_before_utc),
            end=_time(certificate.not_valid_after_utc),
            now=_time(now),
            listEnd=_time(revoked.next_update_utc) if revoked is not None else "",
        )
    )


def _shown(name: x509.Name) -> str:
    line = oneLine(name)
    return line if len(line) <= 200 else line[:200] + "..."


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else ""


def nameOf(reason: Failure) -> str:
    """
    @return: the name of why a connection ended, for those who count: that of the error.
    """
    return "TLSError" if reason.check(OpenSSLError) else type(reason.value).__name__


def explain(reason: Failure) -> str:
    """
    @return: why a TLS connection ended, as a clause for people.
    """
    error = reason.value
    if isinstance(error, PeerRefused):
        return str(error)
    if isinstance(error, OpenSSLError):
        words = str(error.args).lower()
        found = (ours for theirs, ours in _EXPLANATIONS if theirs in words)
        return next(found, f"TLS failed ({words})")
    if isinstance(error, ConnectionDone):
        return "it closed the connection"
    if isinstance(error, ConnectionLost):
        return "the connection broke"
    return str(error) or type(error).__name__
