# -*- test-case-name: tests.test_proxy -*-
"""
What a client is told of a session whose GAHP has been started.  C{doc/protocol.rst}, step 4.

Layer 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvgahp.proxysession import ProxySession
    from rvgahp.settings import Settings


def introduction(
    record: ProxySession, version: int, settings: Settings, tunnelPort: int
) -> dict[str, Any]:
    """
    @param version: of the protocol.
    @param tunnelPort: the CE's answer.
    @return: the values of L{rvgahp.localcommands.RequestGAHP}, the session key (B{secret}) among
        them.
    """
    session = record.session
    return {
        "version": version,
        "session": session.sessionId,
        "key": session.key,
        "keyNumber": session.keyNumber,
        "serverPolicy": session.serverPolicy.encode(),
        "clientPolicy": session.clientPolicy.encode(),
        "outcome": session.outcome.value,
        "method": session.method,
        "duration": session.duration,
        "lease": session.lease,
        "window": settings.get("RVGAHP_REPLAY_LIMIT"),
        "total": settings.get("RVGAHP_REPLAY_TOTAL"),
        "startTimeout": math.ceil(settings.get("RVGAHP_START_TIMEOUT")),
        "stdinLimit": settings.get("RVGAHP_STDIN_LIMIT"),
        "callTimeout": settings.get("GRIDMANAGER_GAHP_CALL_TIMEOUT"),
        "responseTimeout": settings.get("GRIDMANAGER_GAHP_RESPONSE_TIMEOUT"),
        "site": record.site,
        "tunnelPort": tunnelPort if record.hasTunnels else 0,
        "forwardTo": settings.get("RVGAHP_FORWARD_TO") or "",
    }
