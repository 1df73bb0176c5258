# -*- test-case-name: tests.test_sites -*-
"""
The sites that are connected, and which of them a client means.
C{doc/protocol.rst}, step 4.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from rvgahp import limits
from rvgahp.errors import ConfigurationError, NoSuchSite
from rvgahp.names import checkAccount, checkSite

if TYPE_CHECKING:
    from rvgahp.closedenrolment import ClosedEnrolment
    from rvgahp.siteconnection import SiteConnection


def candidates(site: str, account: str, bound: str) -> list[str]:
    """
    What the site may be called that a client means.

    @param site: the site that it asks for; empty: that of the socket.
    @param account: the account that it asks for there, or empty.  A site may have
        C{account@site} for its name, as the documented set-up of reverse GAHPs has it
        (HTCondor C{docs/grid-computing/grid-universe.rst}); that name goes first.
    @param bound: the site that the socket is for; empty for the main one.
    @return: one name or two, the better first.
    @raise NoSuchSite: there cannot be such a site; the sentence says why.
    """
    try:
        if account:
            checkAccount(account)
        if not site:
            names = [bound]
        elif account:
            names = [f"{account}@{checkSite(site)}", site]
        else:
            names = [checkSite(site)]
    except ConfigurationError as e:
        raise NoSuchSite(str(e)) from None
    if names == [""]:
        raise NoSuchSite(
            "no site is named, and this socket is for all of them; name one, or a socket that"
            " RVGAHP_SITE_SOCKETS of the proxy's configuration has for one"
        )
    if bound and bound not in names:
        raise NoSuchSite(
            f"the socket is for site {bound} alone (RVGAHP_SITE_SOCKETS of the proxy's"
            f" configuration), and site {site} is asked for; name that one, or another socket"
        )
    return [bound] if bound else names


def meant(names: list[str], user: str, enrolment: ClosedEnrolment) -> list[str]:
    """
    Of ACCOUNT@HOST and HOST, one only where it is the user's own; and HOST where the other is
    somebody else's, who could have enrolled it to get what is meant for HOST.

    @param names: those of L{candidates} that the user may use.
    @param user: his canonical name.
    @return: the same, or one of them.
    """
    if len(names) < 2:
        return names
    first, second = map(enrolment.ownerOf, names)
    if first == user:
        return names[:1]
    isOdd = first not in (None, second) and enrolment.isKnown(names[1])
    return names[1:] if second == user or isOdd else names


class Sites(dict[str, "SiteConnection"]):
    """
    The CEs that have said Hello, by site.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._grown = reactor.seconds() + limits.YOUTH
        self._waiting: list[tuple[list[str], Deferred[SiteConnection]]] = []

    def find(self, names: list[str]) -> Deferred[SiteConnection]:
        """
        The site with the first of these names that one has.  When the proxy has just
        been started the sites are only about to dial, and are waited for.

        @return: fires with a site that takes starts; fails with L{NoSuchSite}.
        """
        connection = self._ready(names)
        if connection is not None:
            return succeed(connection)
        if self._reactor.seconds() >= self._grown:
            return fail(_missing(names))
        waiting: Deferred[SiteConnection] = Deferred()
        entry = names, waiting
        self._waiting.append(entry)

        def tooLate(_: object, seconds: float) -> Failure:
            self._waiting.remove(entry)
            return Failure(_missing(names))

        return waiting.addTimeout(limits.RESTART_GRACE, self._reactor, tooLate)

    def becameReady(self) -> None:
        """
        A site takes starts as soon as the answer to its last Sessions has been sent.
        """
        if self._waiting:
            self._reactor.callLater(0, self._serve)

    def _serve(self) -> None:
        for entry in list(self._waiting):
            names, waiting = entry
            connection = self._ready(names)
            if connection is not None:
                self._waiting.remove(entry)
                waiting.callback(connection)

    def _ready(self, names: list[str]) -> SiteConnection | None:
        for name in names:
            connection = self.get(name)
            if connection is not None and connection.isReady:
                return connection
        return None


def _missing(names: list[str]) -> NoSuchSite:
    # Who else is connected is not for everyone to know.
    other = f", nor is {names[1]}" if names[1:] else ""
    return NoSuchSite(
        f"site {names[0]} is not connected to the proxy{other}; check that rvgahp-ce runs at"
        " the site, and the name: the proxy's log, which its administrator can read, has those"
        " that are connected"
    )
