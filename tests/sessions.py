"""
Security sessions for tests.
"""

from __future__ import annotations

from rvgahp.gahprequest import GAHPRequest
from rvgahp.policy import Level, Outcome, Policy
from rvgahp.session import SecuritySession

SESSION_ID = "submit.example.org:4711:1790000000:1"
KEY = bytes(range(32))

#: What the GAHP of a session is started for.
REQUEST = GAHPRequest("alice@submit.example.org", "cat", "", "hpc", "access:1: ALLOW START *")

REQUIRED = Policy(Level.REQUIRED, Level.REQUIRED, ("AES",))
INTEGRITY = Policy(Level.NEVER, Level.REQUIRED, ("AES",))
NEVER = Policy(Level.NEVER, Level.NEVER, ("AES",))

#: The policy with which both sides come to each outcome.
POLICIES = {Outcome.ENCRYPT: REQUIRED, Outcome.INTEGRITY: INTEGRITY, Outcome.NONE: NEVER}


def makeSession(
    outcome: Outcome = Outcome.ENCRYPT,
    key: bytes = KEY,
    sessionId: str = SESSION_ID,
    keyNumber: int = 1,
) -> SecuritySession:
    """
    @return: a session with this outcome.
    """
    policy = POLICIES[outcome]
    return SecuritySession(sessionId, key, policy, policy, 86400, 3000, keyNumber)
