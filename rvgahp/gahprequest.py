# -*- test-case-name: tests.test_ce -*-
"""
What a GAHP is started for.

Layer 4.
"""

from __future__ import annotations

from typing import NamedTuple


class GAHPRequest(NamedTuple):
    """
    What the proxy has asked for, and what the CE has made of it.

    @ivar owner: the canonical name of the user on the submit host.
    @ivar gahp: its name.
    @ivar account: the one that he asked for; empty: any.
    @ivar runsAs: the one that its program has.
    @ivar rule: that has allowed it.
    """

    owner: str
    gahp: str
    account: str
    runsAs: str
    rule: str
