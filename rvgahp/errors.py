# -*- test-case-name: tests.test_errors -*-
"""
Everything that rvgahp refuses or reports, under one root.  Layer 0.

Each class is named for what happened and its docstring is written to the
operator who meets it.  Each takes exactly one string, the sentence that is
shown: AMP rebuilds a declared error as C{ErrorClass(description)} at the
calling side, so more arguments cannot travel.  The sentence goes to the peer
as it is; it must never hold a key, a ticket or a byte of a stream.
"""


class RvgahpError(Exception):
    """
    Something that rvgahp explains in one sentence.  Its text is for people.
    """


class ConfigurationError(RvgahpError):
    """
    A setting is misspelt, missing or impossible.  The sentence names the
    setting and the file; mend it there and start again.
    """


class CredentialError(RvgahpError):
    """
    A key or certificate cannot be read, does not fit, or is not what the role
    needs.  The sentence names the file.
    """


class PolicyConflict(RvgahpError):
    """
    The two sides' security settings exclude each other: one requires what the
    other never allows, or no cryptographic method is common to both.
    """


class ProtocolError(RvgahpError):
    """
    The peer sent something that the protocol does not allow.  The channel or
    connection it came on is dropped; what else runs goes on.
    """


class StreamBroken(ProtocolError):
    """
    What the peer has put into a stream makes no sense.  No other channel would mend that,
    so the stream is over.
    """


class VersionMismatch(RvgahpError):
    """
    The two ends have no protocol version in common.  Upgrade the older one.
    """


class NotAuthorized(RvgahpError):
    """
    Who asks may not have what he asks for.
    """


class WrongCode(NotAuthorized):
    """
    A site came with a code of C{rvgahp invite} that is unknown, used up or too old.  Ask for
    another.
    """


class SiteTaken(RvgahpError):
    """
    Another CE with this site's name is connected and alive.  Stop that one, or
    give this one a certificate with a name of its own.
    """


class NoSuchSite(RvgahpError):
    """
    No CE of that name is connected to the proxy.  Check the spelling, and that
    C{twistd rvgahp-ce} runs at the site.
    """


class UnknownGAHP(RvgahpError):
    """
    The site offers no GAHP of that name.
    """


class StartFailed(RvgahpError):
    """
    The site knows the GAHP and could not start it.
    """


class Busy(RvgahpError):
    """
    A limit is reached; try again later.  The sentence names the limit.
    """


class SessionGone(RvgahpError):
    """
    The security session has ended for good: its client went away in this
    proxy's sight, or its lease ran out.  Nothing of it can be resumed.
    """


class NotYet(RvgahpError):
    """
    The proxy cannot tell yet whether the session lives: it was restarted and
    the other end has not claimed it.  Ask again.
    """


class InternalError(RvgahpError):
    """
    A bug at the side that says so; its log has the details.
    """


class ChannelLost(RvgahpError):
    """
    A channel broke or was refused before its stream was at its end.
    """


class StreamOver(ChannelLost):
    """
    A channel was refused because its stream is over at the other end.
    """
