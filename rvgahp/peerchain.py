# -*- test-case-name: tests.test_peerchain -*-
"""
The certificates that the other side of a TLS connection has shown, and what they say.

Layer 2: C{cryptography} and the standard library.  OpenSSL has verified the chain already;
here it is only read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from cryptography import x509

from rvgahp.certificates import siteOf
from rvgahp.errors import CredentialError
from rvgahp.onelinename import elements

__all__ = ["PeerChain", "Validity"]

#: The extension that makes a proxy certificate (RFC 3820, 3.8).
_PROXY_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")

#: The policy language of a proxy that may do all that its end entity may
#: (id-ppl-inheritAll, RFC 3820, 3.8.2), as it is encoded.
_INHERIT_ALL = bytes.fromhex("2b06010505071501")

_INTEGER, _OBJECT_IDENTIFIER = 0x02, 0x06


class Validity(NamedTuple):
    """
    When a certificate is good, for people.

    @ivar began: seconds since 1970.
    @ivar expires: the same.
    @ivar renews: whether rvgahp renews it by itself; else whoever made it must.
    """

    began: int
    expires: int
    renews: bool

    @classmethod
    def of(cls, certificate: x509.Certificate, renews: bool) -> Validity:
        """
        @return: that of one certificate.
        """
        began, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return cls(int(began.timestamp()), int(expires.timestamp()), renews)

    def shown(self) -> dict[str, Any]:
        """
        @return: fields of C{doc/status.rst}.
        """
        return {
            "certificateBegan": self.began,
            "certificateExpires": self.expires,
            "certificateRenews": self.renews,
        }


class PeerChain:
    """
    A verified chain.

    @ivar certificates: all of them, the one that was shown first, the authority last.
    @ivar isOurs: an authority of the proxy's own (RVGAHP_CAFILE) is at its end.
    """

    def __init__(
        self,
        certificates: Sequence[x509.Certificate],
        ours: Collection[x509.Certificate],
        others: Collection[x509.Certificate] = (),
    ) -> None:
        """
        @param ours: the proxy's own authorities.
        @param others: those of the sites' PKI.  What leads over one of them is theirs, and
            if one of ours has signed it.
        @raise CredentialError: One of them cannot be read.
        """
        self.certificates = tuple(certificates)
        self._proxies = [info for info in map(_proxyInfo, self.certificates) if info is not None]
        self.isOurs = self.certificates[-1] in ours and not any(
            one in others for one in self.certificates
        )

    @property
    def proxies(self) -> tuple[x509.Certificate, ...]:
        """
        The proxy certificates (RFC 3820), the one that was shown first.
        """
        return self.certificates[: len(self._proxies)]

    @property
    def endEntity(self) -> x509.Certificate:
        """
        The certificate that an authority has signed: the first that is no proxy.
        """
        return self.certificates[len(self._proxies)]

    @property
    def site(self) -> str:
        """
        The site for which one of our own authorities vouches; empty if none does.
        """
        if not self.isOurs or self._proxies:
            return ""
        try:
            return siteOf(self.endEntity)
        except CredentialError:
            return ""

    @property
    def begin(self) -> datetime:
        """
        When the last of the certificates begins to be valid.
        """
        return max(one.not_valid_before_utc for one in self.certificates)

    @property
    def end(self) -> datetime:
        """
        When the first of the certificates stops being valid.
        """
        return min(one.not_valid_after_utc for one in self.certificates)

    @cached_property
    def validity(self) -> Validity:
        """
        That of the certificate that ends first.  Whether it is renewed is not known here.
        """
        first = min(self.certificates, key=lambda one: one.not_valid_after_utc)
        return Validity.of(first, False)

    def checkProxies(self) -> None:
        """
        See that the proxy certificates may do what their end entity may.

        @raise CredentialError: One of them is limited, independent, or restricted in a way
            that is not known here.
        """
        for info in self._proxies:
            if _language(info) != _INHERIT_ALL:
                raise CredentialError(
                    "Its proxy certificate may not do all that its owner may: it is limited,"
                    " independent or restricted; make a full one, without options such as -limited."
                )


def _proxyInfo(certificate: x509.Certificate) -> bytes | None:
    """
    @return: the extension that makes it a proxy certificate, L{None} if it is none.
    @raise CredentialError: It cannot be read.
    """
    try:
        found = certificate.extensions.get_extension_for_oid(_PROXY_CERT_INFO)
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension) as e:
        raise CredentialError("Its certificate is malformed.") from e
    value: bytes = getattr(found.value, "value", b"")
    return value


def _language(info: bytes) -> bytes:
    """
    @param info: ProxyCertInfo in DER: SEQUENCE { INTEGER OPTIONAL, SEQUENCE { OBJECT
        IDENTIFIER, OCTET STRING OPTIONAL } } (RFC 3820, 3.8).
    @return: the identifier of its policy language, empty if it cannot be read.
    """
    try:
        ((_, content),) = elements(info)
        fields = elements(content)
        if fields and fields[0][0] == _INTEGER:
            fields = fields[1:]
        tag, language = elements(fields[0][1])[0]
    except (ValueError, IndexError):
        return b""
    return language if tag == _OBJECT_IDENTIFIER else b""
