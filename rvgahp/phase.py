# -*- test-case-name: tests.test_gahpsession -*-
"""
Where a session of the CE is on its way.

Layer 0.
"""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """
    Where a session is.

    STARTING: the GAHP's program is not executed yet.  RUNNING: it is.  ENDING: it
    has been asked to end.  EXITED: it has; its output and status are on their way.
    OVER: nothing is left.
    """

    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    EXITED = "exited"
    OVER = "over"
