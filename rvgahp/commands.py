# -*- test-case-name: tests.test_commands -*-
"""
The words of the control connection.  L{rvgahp.localcommands} has those that only the proxy's
UNIX socket hears; C{Redial} and C{RenewKey} are of both.

Layer 2: AMP commands and nothing else.  C{doc/protocol.rst} says what each means
and when it is sent.  Every command declares all errors of ours: a refusal is
never a reason to lose the connection.
"""

from __future__ import annotations

from twisted.protocols.amp import AmpList as BoxList
from twisted.protocols.amp import Boolean, Command, Integer, ListOf, String, Unicode

from rvgahp import errors, limits

#: What the reason of L{SessionEnded} begins with when the session's lease is over.
LEASE_OVER = "nothing was heard for the lease"

ERRORS: dict[type[Exception], bytes] = {
    error: error.__name__.encode("ascii")
    for error in (
        errors.VersionMismatch,
        errors.NotAuthorized,
        errors.SiteTaken,
        errors.NoSuchSite,
        errors.UnknownGAHP,
        errors.PolicyConflict,
        errors.StartFailed,
        errors.Busy,
        errors.SessionGone,
        errors.NotYet,
        errors.InternalError,
    )
}


def plain(text: str) -> str:
    """
    @return: what the other side says for people, as one line that a log and a terminal can
        bear: with a blank for each character that is not printed, and not too long.
    """
    return "".join(one if one.isprintable() else " " for one in text[: limits.WORDS])


class Words(Unicode):
    """
    What one side says for people; it arrives as L{plain}.
    """

    def fromString(self, inString: bytes) -> str:
        return plain(super().fromString(inString))


class Authenticate(Command):
    """
    CE to proxy, first: by one of these methods I can prove who I am.  C{data} is for the
    first of them, and is empty where the proxy chooses another.
    """

    arguments = [(b"methods", ListOf(Unicode())), (b"data", String())]
    response = [(b"method", Unicode()), (b"data", String()), (b"done", Boolean())]
    errors = ERRORS


class AuthenticateMore(Command):
    """
    CE to proxy: the method's next message, and the answer to it.
    """

    arguments = [(b"data", String())]
    response = [(b"data", String()), (b"done", Boolean())]
    errors = ERRORS


class Enrol(Command):
    """
    CE to proxy, in place of all others: I was invited, and want a certificate.
    C{secret} is B{secret}.
    """

    arguments = [(b"secret", String()), (b"request", String())]
    response = [
        (b"site", Unicode()),
        (b"owner", Unicode()),
        (b"certificate", String()),
        (b"authorities", String()),
    ]
    errors = ERRORS


class RenewCertificate(Command):
    """
    CE to proxy, before or after Hello: a certificate for my next key.
    """

    arguments = [(b"request", String())]
    response = [(b"certificate", String()), (b"authorities", String())]
    errors = ERRORS


class Hello(Command):
    """
    CE to proxy, when it has been authenticated: who I am and what I offer.
    """

    arguments = [
        (b"versions", ListOf(Integer())),
        (b"instance", String()),
        (b"site", Unicode()),
        (b"software", Words()),
        (b"gahps", ListOf(Unicode())),
        (b"policy", Unicode()),
    ]
    response = [
        (b"version", Integer()),
        (b"instance", String()),
        (b"software", Words()),
        (b"policy", Unicode()),
    ]
    errors = ERRORS


class Sessions(Command):
    """
    CE to proxy: the sessions that live here.  The site takes starts after the last.
    """

    arguments = [
        (
            b"sessions",
            BoxList(
                [
                    (b"session", Unicode()),
                    (b"claim", String()),
                    (b"owner", Unicode()),
                    (b"gahp", Unicode()),
                    (b"tunnel", Boolean()),
                    (b"keyNumber", Integer()),
                    (b"left", Integer()),
                    (b"outcome", Unicode()),
                    (b"method", Unicode()),
                    (b"account", Unicode()),
                ]
            ),
        ),
        (b"last", Boolean()),
    ]
    response = [(b"gone", ListOf(Unicode()))]
    errors = ERRORS


class Ping(Command):
    """
    Either way: are you there?  A CE answers with news of its sessions
    (L{rvgahp.sessionnews}).
    """

    response = [
        (
            b"sessions",
            BoxList(
                [
                    (b"session", Unicode()),
                    (b"phase", Words()),
                    (b"pid", Integer()),
                    (b"stalled", Integer()),
                    (b"channels", Integer()),
                    (b"received", Integer()),
                    (b"sent", Integer()),
                    (b"tunnels", Integer()),
                    (b"tunnelsReceived", Integer()),
                    (b"tunnelsSent", Integer()),
                ],
                optional=True,
            ),
        )
    ]
    errors = ERRORS


class Dismiss(Command):
    """
    Proxy to CE: this connection will be closed now, and why.
    """

    arguments = [(b"reason", Words())]
    requiresAnswer = False


class StartGAHP(Command):
    """
    Proxy to CE.  C{key} and C{tickets} are B{secret}.
    """

    arguments = [
        (b"session", Unicode()),
        (b"key", String()),
        (b"keyNumber", Integer()),
        (b"gahp", Unicode()),
        (b"account", Unicode()),
        (b"tunnel", Boolean()),
        (b"tunnelPort", Integer()),
        (b"owner", Unicode()),
        (b"serverPolicy", Unicode()),
        (b"outcome", Unicode()),
        (b"method", Unicode()),
        (b"duration", Integer()),
        (b"lease", Integer()),
        (b"commands", ListOf(Unicode())),
        (b"tickets", ListOf(String())),
    ]
    response = [(b"tunnelPort", Integer())]
    errors = ERRORS


class EndSession(Command):
    """
    Proxy to CE: the session's client is gone; end its GAHP.
    """

    arguments = [(b"session", Unicode()), (b"reason", Words())]
    errors = ERRORS


class SessionEnded(Command):
    """
    CE to proxy: the session is over; C{reason} is empty if in good order, and begins with
    L{LEASE_OVER} if that is why.  C{received} and C{sent} count the bytes of its GAHP's stdin
    and stdout.  The others tell how that ended (L{rvgahp.gahpend}): an older CE has none.
    """

    arguments = [
        (b"session", Unicode()),
        (b"reason", Words()),
        (b"received", Integer()),
        (b"sent", Integer()),
        (b"outcome", Unicode(optional=True)),
        (b"status", Integer(optional=True)),
        (b"signal", Integer(optional=True)),
        (b"lived", Integer(optional=True)),
    ]
    errors = ERRORS


class OpenChannel(Command):
    """
    CE to proxy: a ticket for one more channel.
    """

    arguments = [(b"session", Unicode()), (b"stream", Integer())]
    response = [(b"ticket", String())]
    errors = ERRORS


class Redial(Command):
    """
    Client to proxy, then proxy to CE: this generation of the stream's channels is lost.
    """

    arguments = [
        (b"session", Unicode()),
        (b"stream", Integer()),
        (b"generation", Integer()),
    ]
    errors = ERRORS


class RenewKey(Command):
    """
    Proxy to CE, then proxy to client: the session's next key.  C{key} is B{secret}.
    """

    arguments = [
        (b"session", Unicode()),
        (b"key", String()),
        (b"keyNumber", Integer()),
        (b"duration", Integer()),
    ]
    errors = ERRORS


class DialTunnel(Command):
    """
    Proxy to CE: connect to this session's tunnel port, as its GAHP would.
    """

    arguments = [(b"session", Unicode()), (b"request", String())]
    response = [(b"answer", String()), (b"problem", Words())]
    errors = ERRORS
