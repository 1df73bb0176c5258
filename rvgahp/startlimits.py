# -*- test-case-name: tests.test_startlimits -*-
"""
How many GAHPs one may have, and how often they may be started.  C{doc/limits.rst}.

Layer 3: a clock is passed in.  Settings are read at each use, for they may change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from rvgahp import watchlimits
from rvgahp.errors import Busy
from rvgahp.settings import Settings
from rvgahp.tokenbucket import TokenBuckets

__all__ = ["CELimits", "ProxyLimits"]


class _Limits:
    """
    What both daemons have in common.
    """

    def __init__(self, seconds: Callable[[], float], settings: Callable[[], Settings]) -> None:
        """
        @param seconds: the time.
        @param settings: those in force now.
        """
        self._seconds = seconds
        self._settings = settings
        self._starts = TokenBuckets(watchlimits.STARTING_USERS)

    def _most(self, setting: str) -> int:
        most: int = self._settings().get(setting)
        return most

    def _mayStart(self, who: Hashable, rate: int) -> bool:
        return self._starts.take(who, rate, watchlimits.STARTS_BURST * rate, self._seconds())


class ProxyLimits(_Limits):
    """
    Those of the proxy: of a user, and of a site.
    """

    def check(self, uid: int, user: str, ofUser: int, site: str, ofSite: int) -> None:
        """
        One more is to be started.

        @param ofUser: how many the user has.
        @param ofSite: how many run at the site.
        @raise Busy: that would be too many; nothing was counted.
        """
        most = self._most("RVGAHP_MAX_SESSIONS_PER_USER")
        if ofUser >= most:
            raise Busy(
                f"{user} has {ofUser} GAHPs by way of this host's proxy, whose administrator"
                f" allows a user {most} (RVGAHP_MAX_SESSIONS_PER_USER); HTCondor will try again"
                " by itself"
            )
        most = self._most("RVGAHP_MAX_SESSIONS_PER_SITE")
        if ofSite >= most:
            raise Busy(
                f"site {site} runs {ofSite} GAHPs for this host's proxy, whose administrator"
                f" allows a site {most} (RVGAHP_MAX_SESSIONS_PER_SITE); HTCondor will try again"
                " by itself"
            )
        rate = self._most("RVGAHP_MAX_STARTS_PER_SECOND")
        if not self._mayStart(uid, rate):
            raise Busy(
                f"{user} has too many GAHPs started by way of this host's proxy, whose"
                f" administrator allows a user {rate} in a second (RVGAHP_MAX_STARTS_PER_SECOND);"
                " HTCondor will try again by itself"
            )


class CELimits(_Limits):
    """
    Those of a CE: of an owner, and of all.
    """

    def check(
        self,
        owner: str,
        ofOwner: int,
        site: str,
        ofProxy: tuple[int, int],
        ofAll: int,
        proxy: Hashable = "",
    ) -> None:
        """
        One more is to be started.

        @param owner: for whom.
        @param ofOwner: how many run for him, whichever proxy says so.
        @param ofProxy: how many run for the proxy, and how many may.
        @param ofAll: how many run.
        @param proxy: which one it is; each has a rate of starts of its own.
        @raise Busy: that would be too many; nothing was counted.
        """
        most = self._most("RVGAHP_MAX_SESSIONS_PER_OWNER")
        if ofOwner >= most:
            raise Busy(
                f"{owner} has {ofOwner} GAHPs at site {site}, whose administrator allows an owner"
                f" {most} (RVGAHP_MAX_SESSIONS_PER_OWNER); HTCondor will try again by itself"
            )
        most = self._most("RVGAHP_MAX_SESSIONS")
        if ofAll >= most:
            raise Busy(
                f"site {site} runs {ofAll} GAHPs, and its administrator allows {most}"
                " (RVGAHP_MAX_SESSIONS); HTCondor will try again by itself"
            )
        has, most = ofProxy
        if has >= most:
            raise Busy(
                f"site {site} runs {has} GAHPs for this proxy, and its administrator allows it"
                f" {most} (RVGAHP_PROXY_..._MAX_SESSIONS); HTCondor will try again by itself"
            )
        rate = self._most("RVGAHP_MAX_STARTS_PER_SECOND")
        if not self._mayStart(proxy, rate):
            raise Busy(
                f"too many GAHPs are started at site {site}, whose administrator allows {rate} in"
                " a second (RVGAHP_MAX_STARTS_PER_SECOND); HTCondor will try again by itself"
            )
