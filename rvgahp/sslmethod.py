# -*- test-case-name: tests.test_sslmethod -*-
"""
Authentication method SSL: the certificate that the CE has shown.

Layer 3.  TLS has done all the work, so its exchange is an empty message and the answer to
it.
"""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from rvgahp.certificates import siteOf
from rvgahp.errors import CredentialError, NotAuthorized
from rvgahp.iauthentication import (
    AuthenticationContext,
    IAuthenticationMethod,
    IClientExchange,
    IServerExchange,
    Proof,
)
from rvgahp.names import SITE_DOMAIN, SITE_URI
from rvgahp.onelinename import isAmbiguous, oneLine
from rvgahp.peerchain import PeerChain

__all__ = ["SSLMethod"]


@implementer(IPlugin, IAuthenticationMethod)
class SSLMethod:
    """
    It is always there.
    """

    name = "SSL"

    def problem(self, settings: Any) -> str:
        return ""

    def server(self, context: AuthenticationContext) -> _Server:
        return _Server(context.peer)

    def client(self, context: AuthenticationContext) -> _Client:
        return _Client()


@implementer(IServerExchange)
class _Server:
    """
    The proxy's end.
    """

    def __init__(self, peer: PeerChain | None) -> None:
        self._peer = peer

    def received(self, data: bytes) -> Proof:
        if self._peer is None:
            raise NotAuthorized(
                "method SSL needs a certificate, and the CE has shown none: see RVGAHP_CERTFILE"
                " there"
            )
        if data:
            raise NotAuthorized("method SSL has no messages")
        try:
            return _ours(self._peer) if self._peer.isOurs else _theirs(self._peer)
        except CredentialError as e:
            raise NotAuthorized(str(e)) from e
        except ValueError:  # such as a subject in Latin-1, which OpenSSL lets pass
            raise NotAuthorized(
                "the CE's certificate is malformed; have another one made"
            ) from None


@implementer(IClientExchange)
class _Client:
    """
    The CE's end.
    """

    def begin(self) -> bytes:
        return b""

    def received(self, data: bytes) -> bytes:
        raise NotAuthorized("method SSL has no messages")

    def ended(self, data: bytes) -> None:
        """
        TLS has proved who the proxy is.
        """


def _ours(peer: PeerChain) -> Proof:
    """
    @raise CredentialError: the certificate names no site.
    """
    if peer.proxies:
        raise CredentialError(
            "A proxy certificate of a CE's certificate does not count: show the certificate itself."
        )
    site = siteOf(peer.endEntity)
    return Proof(
        # The subject of a site with a long name is empty.
        oneLine(peer.endEntity.subject) or SITE_URI + site,
        canonical=f"{site}@{SITE_DOMAIN}",
        rule="built in: our own authority has signed a certificate for this site",
    )


def _theirs(peer: PeerChain) -> Proof:
    """
    @raise CredentialError: the certificates have no subject that could be mapped.
    """
    peer.checkProxies()
    subject = peer.endEntity.subject
    line = oneLine(subject)
    if not line or isAmbiguous(subject):
        raise CredentialError(
            f"The certificate's subject {line[:200]!a} cannot be mapped: it is empty, or another"
            " subject would look the same in one line."
        )
    return Proof(line)
