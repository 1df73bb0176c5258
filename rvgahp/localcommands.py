# -*- test-case-name: tests.test_commands -*-
"""
The words of the proxy's UNIX socket.

Layer 2: AMP commands and nothing else.  C{doc/protocol.rst} says what each means and when it
is sent.
"""

from __future__ import annotations

from twisted.protocols.amp import Boolean, Command, Integer, ListOf, String, Unicode

from rvgahp.commands import ERRORS


class Claim(Command):
    """
    Client to proxy, which has been restarted: this session is mine.
    """

    arguments = [(b"session", Unicode()), (b"site", Unicode())]
    response = [(b"nonce", String())]
    errors = ERRORS


class Prove(Command):
    """
    Client to proxy: the proof of it.
    """

    arguments = [(b"session", Unicode()), (b"proof", String())]
    errors = ERRORS


class RequestGAHP(Command):
    """
    Client to proxy.  The answer's C{key} is B{secret}.
    """

    arguments = [
        (b"versions", ListOf(Integer())),
        (b"site", Unicode()),
        (b"gahp", Unicode()),
        (b"account", Unicode()),
        (b"tunnel", Boolean()),
        (b"tunnelPort", Integer()),
    ]
    response = [
        (b"version", Integer()),
        (b"session", Unicode()),
        (b"key", String()),
        (b"keyNumber", Integer()),
        (b"serverPolicy", Unicode()),
        (b"clientPolicy", Unicode()),
        (b"outcome", Unicode()),
        (b"method", Unicode()),
        (b"duration", Integer()),
        (b"lease", Integer()),
        (b"window", Integer()),
        (b"total", Integer()),
        (b"startTimeout", Integer()),
        (b"stdinLimit", Integer()),
        (b"callTimeout", Integer()),
        (b"responseTimeout", Integer()),
        (b"site", Unicode()),
        (b"tunnelPort", Integer()),
        (b"forwardTo", Unicode()),
    ]
    errors = ERRORS


class DescribeProxy(Command):
    """
    Client to proxy: who are you, and whom do you take me for?
    """

    response = [(b"software", Unicode()), (b"policy", Unicode()), (b"user", Unicode())]
    errors = ERRORS


class DescribeSite(Command):
    """
    Client to proxy: what is there to know of a site, before a GAHP is asked for?
    """

    arguments = [(b"site", Unicode()), (b"account", Unicode()), (b"gahp", Unicode())]
    response = [
        (b"site", Unicode()),
        (b"since", Integer()),
        (b"address", Unicode()),
        (b"software", Unicode()),
        (b"identity", Unicode()),
        (b"authentication", Unicode()),
        (b"issuer", Unicode()),
        (b"expires", Integer()),
        (b"gahps", ListOf(Unicode())),
        (b"policy", Unicode()),
        (b"outcome", Unicode()),
        (b"method", Unicode()),
        (b"conflict", Unicode()),
    ]
    errors = ERRORS


class Invite(Command):
    """
    Local user to proxy: let a CE enrol itself as this site, for me.  C{code} is B{secret}.
    """

    arguments = [(b"site", Unicode())]
    response = [(b"code", Unicode()), (b"seconds", Integer())]
    errors = ERRORS


class Revoke(Command):
    """
    Local user to proxy: this site is enrolled no more; end what runs there.
    """

    arguments = [(b"site", Unicode())]
    response = [(b"ended", Integer())]
    errors = ERRORS


class Reload(Command):
    """
    The administrator to the proxy: read everything again.
    """

    response = [(b"changes", ListOf(Unicode())), (b"problems", ListOf(Unicode()))]
    errors = ERRORS


class ProbeTunnel(Command):
    """
    Client to proxy: have the CE use the tunnel of that process's session.
    """

    arguments = [(b"process", Integer()), (b"request", String())]
    response = [(b"answer", String()), (b"problem", Unicode())]
    errors = ERRORS


class Channel(Command):
    """
    Proxy to client, with a connected socket beside it.
    """

    arguments = [(b"session", Unicode()), (b"stream", Integer())]
    errors = ERRORS


class SessionLost(Command):
    """
    Proxy to client: the CE has ended the session.
    """

    arguments = [(b"session", Unicode()), (b"reason", Unicode())]
    requiresAnswer = False
