# -*- test-case-name: tests.test_access -*-
"""
Asks the rules, with the names of the peer's host where a rule needs these.

Layer 3: a reactor is passed in; L{rvgahp.accessrules}, L{rvgahp.peernames}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger

from rvgahp.accessrules import AccessDecision, AccessRules, Subject
from rvgahp.errors import NotAuthorized
from rvgahp.lookups import namesOf
from rvgahp.peernames import PeerNames

__all__ = ["Access"]


class Access:
    """
    What a daemon asks before it does something for somebody.

    @ivar rules: Those in force.  Others may be put in their place at any time.
    @ivar warn: Says why somebody was refused; where strangers can cause that, another is to be
        put in its place, L{rvgahp.refusals.Warnings.warn}.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        rules: AccessRules,
        lookup: Callable[[str, float], tuple[str, ...]] = namesOf,
    ) -> None:
        """
        @param lookup: As L{namesOf}; called in a thread.
        """
        self.rules = rules
        self.warn: Callable[[str, str, str], object] = self._warn
        self._peers = PeerNames(reactor, lookup)

    def _warn(self, form: str, rule: str, what: str) -> None:
        self.log.warn(form, rule=rule, what=what)

    def check(
        self,
        level: str,
        subject: Subject,
        things: Mapping[str, str],
        builtIn: str | None = None,
        log: Logger | None = None,
    ) -> str:
        """
        See that somebody may do something; the arguments are L{AccessRules.decide}'s.

        @param log: As for L{settle}.
        @return: The rule that lets him.
        @raise NotAuthorized: None does, or one denies it; the sentence is for him.
        """
        return self.settle(self.rules.decide(level, subject, things, builtIn), log)

    def settle(self, decision: AccessDecision, log: Logger | None = None) -> str:
        """
        Follow a decision.

        @param log: That of the session that it is about; L{None}: of none.
        @return: The rule that lets him.
        @raise NotAuthorized: He may not.
        """
        if decision.isAllowed:
            return decision.rule
        rule = decision.rule or "no rule"
        if log is None:
            self.warn("Refused: {what} [{rule}]", rule, decision.refusal)
        else:
            log.warn(
                "Session {session}: refused: {what} [{rule}]", what=decision.refusal, rule=rule
            )
        raise NotAuthorized(decision.refusal)

    def checkPeer(
        self,
        level: str,
        name: str,
        address: str,
        things: Mapping[str, str],
        builtIn: str | None = None,
        log: Logger | None = None,
        proven: str = "",
    ) -> Deferred[str]:
        """
        The same for somebody who comes from another host.

        @param address: Its IP address.
        @param proven: A name of the host that has been proved, whatever the resolver says of
            the address; may be empty.
        @param log: As for L{settle}.
        @return: fires with the rule that lets him, at once unless a rule needs names of hosts;
            fails with L{NotAuthorized}.
        """
        if not self.rules.needsNames(level):
            return execute(self.check, level, Subject(name, address), things, builtIn, log)
        further = (proven,) if proven else ()

        def found(names: tuple[str, ...]) -> str:
            subject = Subject(name, address, (*names, *further))
            return self.check(level, subject, things, builtIn, log)

        return self._peers.find(address).addCallback(found)
