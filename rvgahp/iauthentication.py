# -*- test-case-name: tests.test_authentication -*-
"""
What a site may add: methods by which a CE proves to the proxy who it is.

Layer 2.  A plugin is an object in a module of the package C{twisted.plugins} that provides
both L{IAuthenticationMethod} and C{twisted.plugin.IPlugin}; C{doc/authentication.rst} has a
complete one.  The same plugin serves the proxy and the CE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from zope.interface import Attribute, Interface

from rvgahp.peerchain import PeerChain


class Proof(NamedTuple):
    """
    What the proxy's end of an exchange has found out.

    @ivar principal: who the CE is, in the method's own words; the map file turns it into a
        canonical name.
    @ivar data: the last message for the CE, in which the proxy may prove who it is.
    @ivar canonical: the canonical name, C{user@domain}, where the method knows it without a
        map; empty: the map decides.
    @ivar rule: why it is that one, for the log.
    """

    principal: str
    data: bytes = b""
    canonical: str = ""
    rule: str = ""


class Identity(NamedTuple):
    """
    Who a CE is.

    @ivar method: the method by which it proved that.
    @ivar principal: what was proved.
    @ivar canonical: the canonical name, C{user@domain}.
    @ivar address: where it dialled from.
    @ivar rule: what made the principal the canonical name: the map's file and line, or
        C{built in: ...}, or the words of a method.
    @ivar isMapped: whether the proxy's map was asked, and not the method.
    """

    method: str
    principal: str
    canonical: str
    address: str
    rule: str
    isMapped: bool


@dataclass(frozen=True)
class AuthenticationContext:
    """
    What one exchange may know of its connection.

    @ivar settings: the daemon's: C{settings.get(NAME)}, and C{settings.role}, which is
        C{"proxy"} or C{"ce"}.
    @ivar host: the name or address of the proxy that the CE meant to dial.  At the proxy it
        is what the CE's TLS says, empty if it says nothing (an address is never said).
    @ivar peer: the certificates that the other side has shown, verified; L{None} at the
        proxy if the CE showed none.
    @ivar address: the other side's IP address.
    @ivar exporter: from a label and a length in bytes to as many bytes that only the two
        ends of this very TLS connection have (RFC 8446, 7.5; RFC 9266 has a label for
        channel binding).  An exchange that proves them cannot be passed on by somebody in
        between.
    """

    settings: Any
    host: str
    peer: PeerChain | None
    address: str
    exporter: Callable[[bytes, int], bytes]


class IServerExchange(Interface):
    """
    The proxy's end of one exchange.
    """

    def received(data: bytes) -> Any:
        """
        A message of the CE has come.  The next one comes only when this one is answered.

        Nobody has vouched for the CE yet: C{data} may be anything, of up to
        L{rvgahp.limits.AUTHENTICATION_BYTES}.

        @return: the answer, L{bytes} of no more than that; or a L{Proof}, which ends the
            exchange; or a C{Deferred} that fires with one of these.  It is cancelled if the
            connection ends, at the latest L{rvgahp.limits.GREETING_TIMEOUT} after its
            beginning.
        @raise rvgahp.errors.NotAuthorized: the CE has not proved anything.  Its sentence
            goes to the CE and into both logs, so it must hold no secret.
        """


class IClientExchange(Interface):
    """
    The CE's end of one exchange.
    """

    def begin() -> Any:
        """
        @return: the first message, L{bytes} of up to
            L{rvgahp.limits.AUTHENTICATION_BYTES}; or a C{Deferred} of it, as for all that
            follow.
        @raise rvgahp.errors.NotAuthorized: there is nothing to begin with.
        """

    def received(data: bytes) -> Any:
        """
        The proxy has answered, and wants to hear more.

        @return: the next message, or a C{Deferred} of it.
        @raise rvgahp.errors.NotAuthorized: this is not our proxy.  The connection ends.
        """

    def ended(data: bytes) -> Any:
        """
        The proxy says that the exchange is over.  A hostile one may say so at any time: an
        exchange by which the proxy, too, proves who it is must see here that it has.

        @param data: the last message.
        @return: anything, or a C{Deferred}.
        @raise rvgahp.errors.NotAuthorized: the proxy has not proved who it is.  The
            connection ends.
        """


class IAuthenticationMethod(Interface):
    """
    A method of authentication.
    """

    name = Attribute("""HTCondor's name for it, in capitals: C{SSL}, C{IDTOKENS}, ...""")

    def problem(settings: Any) -> str:
        """
        Whether it can be used by this daemon.  Asked once, at its start.

        @return: a sentence that says what is missing, empty if nothing is.
        """

    def server(context: AuthenticationContext) -> Any:
        """
        @return: an L{IServerExchange}, for the proxy.
        """

    def client(context: AuthenticationContext) -> Any:
        """
        @return: an L{IClientExchange}, for the CE.
        """
