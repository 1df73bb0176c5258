# -*- test-case-name: tests.test_protection -*-
"""
What one side's settings demand of the channels of a session, when it is made and again
at each renewal of its key.

Layer 3: policies and settings; nothing is asked of anybody.
"""

from __future__ import annotations

from rvgahp.errors import PolicyConflict
from rvgahp.policy import Outcome, Policy, resolve
from rvgahp.session import SecuritySession
from rvgahp.settings import Settings


def checkAgreed(session: SecuritySession, outcome: str, method: str) -> None:
    """
    @param outcome: what the proxy says that the two policies give.
    @param method: likewise.
    @raise PolicyConflict: they give something else.
    """
    if (session.outcome.value, session.method) != (outcome, method):
        raise PolicyConflict(
            f"the policies of proxy and site give '{session.outcome.value}' here and"
            f" '{outcome}' at the proxy"
        )


def checkStart(
    settings: Settings, outcome: Outcome, peer: str, gahp: str, isConfidential: bool
) -> None:
    """
    @param settings: ours.
    @param outcome: what the policies of proxy and site resolve to.
    @param peer: the other side's IP address.
    @param isConfidential: whether the GAHP may only be started where channels are
        encrypted.
    @raise PolicyConflict: the channels would be less safe than our settings or the GAHP
        want them.
    """
    if isConfidential and outcome is not Outcome.ENCRYPT:
        raise PolicyConflict(
            f"{gahp} is only started where channels are encrypted, and the settings of proxy and"
            f" site give '{outcome.value}'"
        )
    _checkCleartext(settings, outcome, peer)


def checkRenewal(
    settings: Settings, session: SecuritySession, server: Policy, client: Policy, peer: str
) -> None:
    """
    @param settings: ours.
    @param session: made with earlier policies.
    @param server: the proxy's present policy.
    @param client: the CE's present policy.
    @param peer: the other side's IP address.
    @raise PolicyConflict: today the two sides would not make this session.
    """
    outcome, method = resolve(server, client)
    if (outcome, method) != (session.outcome, session.method):
        raise PolicyConflict(
            f"the policies of proxy and site now give {_named(outcome, method)}, and the"
            f" session was made with {_named(session.outcome, session.method)}"
        )
    _checkCleartext(settings, session.outcome, peer)


def _named(outcome: Outcome, method: str) -> str:
    """
    @return: what protects records, for people.
    """
    return f"'{outcome.value}' by {method}" if method else f"'{outcome.value}'"


def _checkCleartext(settings: Settings, outcome: Outcome, peer: str) -> None:
    if outcome is Outcome.NONE and not settings.allowsCleartext(peer):
        side = "proxy" if settings.role == "proxy" else "site"
        raise PolicyConflict(
            "the settings of proxy and site leave channels unprotected, and"
            f" RVGAHP_CLEARTEXT_PEERS of the {side} does not name {peer}"
        )
