# -*- test-case-name: tests.test_proxy -*-
"""
Why a site has not started a GAHP, for people.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import TimeoutError
from twisted.python.failure import Failure

from rvgahp.errors import RvgahpError

if TYPE_CHECKING:
    from rvgahp.siteconnection import SiteConnection


def startProblem(failure: Failure, connection: SiteConnection, timeout: float) -> str:
    """
    @param failure: what became of StartGAHP.
    @param timeout: seconds that the site had.
    """
    site = connection.site
    if failure.check(RvgahpError):
        return failure.getErrorMessage()
    if failure.check(TimeoutError):
        return (
            f"site {site} gave no answer within {timeout:g} s"
            " (StartGAHP); see the log of its rvgahp-ce"
        )
    if not connection.control.connected:
        return f"the connection to site {site} was lost; try again"
    return (
        f"the answer of site {site} to StartGAHP was not understood"
        f" ({failure.getErrorMessage()}); upgrade the older side"
    )
