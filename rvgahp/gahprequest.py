# -*- test-case-name: tests.test_ce -*-
"""
What a GAHP is started for.

Layer 4.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.logger import Logger

from rvgahp.logrecord import BoundLogger


class GAHPRequest(NamedTuple):
    """
    What the proxy has asked for, and what the CE has made of it.

    @ivar owner: the canonical name of the user on the submit host.
    @ivar gahp: its name.
    @ivar account: the one that he asked for; empty: any.
    @ivar runsAs: the one that its program has.
    @ivar rule: that has allowed it.
    @ivar site: the CE's name at the proxy; C{proxy}: where that is, for people.
    """

    owner: str
    gahp: str
    account: str
    runsAs: str
    rule: str
    site: str = ""
    proxy: str = ""

    def bound(self, log: Logger, session: str) -> BoundLogger:
        """
        @return: C{log} for what is written of this session.
        """
        return BoundLogger(
            log,
            session=session,
            site=self.site,
            proxy=self.proxy,
            owner=self.owner,
            gahp=self.gahp,
            account=self.runsAs,
        )
