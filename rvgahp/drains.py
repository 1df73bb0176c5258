# -*- test-case-name: tests.test_drains -*-
"""
What takes no new sessions for a while, because somebody has said so.

Layer 0.  It lasts until it is taken back, or the daemon is started again.
"""

from __future__ import annotations

from rvgahp.errors import Busy

__all__ = ["Drains"]


class Drains:
    """
    Of one daemon.

    @ivar isAll: all is drained.
    @ivar sites: those that are drained by name.
    """

    def __init__(self) -> None:
        self.isAll = False
        self.sites: set[str] = set()

    def drain(self, site: str) -> None:
        """
        Take nothing new.

        @param site: where; empty: anywhere.
        """
        if site:
            self.sites.add(site)
        else:
            self.isAll = True

    def resume(self, site: str) -> None:
        """
        Take all again.

        @param site: where; empty: everywhere, where a site was drained by name, too.
        """
        self.sites.discard(site)
        if not site:
            self.isAll = False
            self.sites.clear()

    def isDraining(self, site: str) -> bool:
        """
        @return: whether it takes nothing new.
        """
        return self.isAll or site in self.sites

    def check(self, site: str, whose: str) -> None:
        """
        Something new is wanted.

        @param whose: who drains, for people.
        @raise Busy: it is not taken.
        """
        if self.isDraining(site):
            what = "all sites" if self.isAll else f"site {site}"
            raise Busy(
                f"{whose} drains {what} (rvgahp drain): what runs goes on, and nothing new is"
                " started until that is over; HTCondor will try again by itself"
            )
