# -*- test-case-name: tests.test_proxyaccess -*-
"""
What local users and CEs may do at the proxy: its rules, the built-in ones among them, and the
names of users.  C{doc/access.rst}.

Layer 4.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred, fail

from rvgahp.access import Access
from rvgahp.accessrules import REGISTER, START, AccessDecision, AccessRules, Subject
from rvgahp.errors import NotAuthorized
from rvgahp.localnames import LocalNames
from rvgahp.names import SITE_DOMAIN, siteName

if TYPE_CHECKING:
    from rvgahp.peercred import LocalUser

__all__ = ["Grant", "ProxyAccess", "accountAt"]


def accountAt(site: str, account: str) -> str:
    """
    @param account: The one that a client asks for; empty: any.
    @return: The one that is meant at this site: none where it is a part of the site's name.
    """
    return "" if site.startswith(f"{account}@") else account


class Grant(NamedTuple):
    """
    Somebody's leave to start a GAHP.

    @ivar owner: His canonical name.
    @ivar rule: The rule that lets him.
    @ivar gahp: The GAHP.
    @ivar account: The account at the site that he asks for; empty: any.
    """

    owner: str
    rule: str
    gahp: str
    account: str


class ProxyAccess(Access):
    """
    Asks for one proxy.

    @ivar names: Names local users.
    @ivar ownerOf: From a site to the canonical name of its owner, or L{None}.
    """

    def __init__(
        self,
        reactor: Any,
        rules: AccessRules,
        names: LocalNames,
        ownerOf: Callable[[str], str | None] = lambda site: None,
        **lookup: Any,
    ) -> None:
        """
        @param lookup: As for L{Access}.
        """
        super().__init__(reactor, rules, **lookup)
        self.names = names
        self.ownerOf = ownerOf

    def grant(self, user: LocalUser, site: str, gahp: str, account: str) -> Grant:
        """
        See that a local user may start a GAHP.

        @param account: The one that is meant at this site; empty: any.
        @raise NotAuthorized: He may not, or has no name; the sentence is for him.
        """
        owner = self.names.canonical(user)
        rule = self.settle(self._decide(user, owner, site, gahp, account))
        return Grant(owner, rule, gahp, account)

    def usable(self, user: LocalUser, sites: list[str], gahp: str, account: str) -> list[str]:
        """
        Of the sites that may be meant, those that a user may use.  Of others he learns nothing,
        not even whether they are connected.

        @param sites: From L{rvgahp.sites.candidates}.
        @return: One or more.
        @raise NotAuthorized: There is none; the sentence is about the last.
        """
        owner = self.names.canonical(user)
        decisions = {
            site: self._decide(user, owner, site, gahp, accountAt(site, account)) for site in sites
        }
        found = [site for site in sites if decisions[site].isAllowed]
        if not found:
            self.settle(decisions[sites[-1]])
        return found

    def knows(self, user: LocalUser, site: str) -> bool:
        """
        @return: Whether a user may start anything at a site, and so may learn of it.
        """
        try:
            owner = self.names.canonical(user)
        except NotAuthorized:
            return False
        things = {"site": site, "gahp": "", "account": ""}
        rules = self.rules.whatever("gahp", "account")
        builtIn = self._builtIn(user, owner, site)
        return rules.decide(START, Subject(owner), things, builtIn).isAllowed

    def register(self, name: str, site: str, address: str) -> Deferred[str]:
        """
        See that a CE may register a site.

        @param name: Its canonical name.
        @param address: Where it dialled from.
        @return: fires with the rule that lets it; fails with L{NotAuthorized}.
        """
        if name.endswith(f"@{SITE_DOMAIN}") and name != siteName(site):
            # Not even by a rule: *@site.rvgahp, or alice@*, would let one be any other.
            refusal = f"{name} may not register site {site}: its certificate is of another site"
            self.warn("Refused: {what} [{rule}]", "no rule", refusal)
            return fail(NotAuthorized(refusal))
        builtIn = "the site of its certificate" if name == siteName(site) else None
        return self.checkPeer(REGISTER, name, address, {"site": site}, builtIn)

    def _decide(
        self, user: LocalUser, owner: str, site: str, gahp: str, account: str
    ) -> AccessDecision:
        things = {"site": site, "gahp": gahp, "account": account}
        builtIn = self._builtIn(user, owner, site)
        return self.rules.decide(START, Subject(owner), things, builtIn)

    def _builtIn(self, user: LocalUser, owner: str, site: str) -> str | None:
        """
        @return: The built-in rule that lets a user use a site.
        """
        if self.ownerOf(site) == owner:
            return "the owner of the site"
        if user.uid == 0:
            return "root"
        if user.uid == os.geteuid():
            return "the account of the proxy"
        return None
