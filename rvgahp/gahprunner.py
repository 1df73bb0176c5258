# -*- test-case-name: tests.test_ce -*-
"""
What a CE runs GAHPs with, whichever of its proxies wants them.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import MutableMapping
from typing import Any, cast

from twisted.internet.defer import Deferred

from rvgahp.access import Access
from rvgahp.accounts import Accounts, OwnAccount
from rvgahp.budget import Budget
from rvgahp.counts import Counts
from rvgahp.drains import Drains
from rvgahp.gahpenvironment import GAHPEnvironment, Surroundings
from rvgahp.gahpsession import GAHPSession
from rvgahp.gahptable import GAHPTable
from rvgahp.occupancy import Occupancy
from rvgahp.processlauncher import ProcessLauncher
from rvgahp.separation import NamedStart, Separation, endWithoutLauncher
from rvgahp.settings import Settings
from rvgahp.startlimits import CELimits


class GAHPRunner:
    """
    One CE's.

    @ivar gahps: what there is to be started.
    @ivar access: who may start what.
    @ivar drains: whether starts are taken.
    @ivar counts: of all that comes and goes.
    @ivar budget: of the bytes that streams keep.
    @ivar launcher: starts programs.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        gahps: GAHPTable,
        descriptors: int,
        access: Access,
        separation: Separation | None = None,
    ) -> None:
        """
        @param descriptors: the soft RLIMIT_NOFILE of GAHPs; 0 leaves ours.
        @param separation: of a CE that root has started.
        """
        self._reactor = reactor
        self._settings = settings
        self.gahps = gahps
        self._descriptors = descriptors
        self.access = access
        self._separation = separation
        self._own = OwnAccount()
        self.counts = Counts()
        self.drains = Drains()
        self.budget = Budget(settings.get("RVGAHP_REPLAY_TOTAL"))
        self.launcher = ProcessLauncher(reactor, settings.get("RVGAHP_KILL_GRACE"))
        self._limits = CELimits(reactor.seconds, lambda: self._settings)
        self._served: list[Occupancy[GAHPSession]] = []

    def serve(self, running: Occupancy[GAHPSession]) -> None:
        """
        There is one more proxy.

        @param running: the sessions that it will have.
        """
        self._served.append(running)

    @property
    def accounts(self) -> Accounts:
        """
        Finds the accounts of GAHPs.
        """
        return self._separation.accounts if self._separation is not None else self._own

    def checkLimits(
        self, owner: str, site: str, settings: Settings, running: Occupancy[GAHPSession]
    ) -> None:
        """
        One more is to be started.

        @param site: where, by the name that the proxy knows.
        @param settings: the CE's, with what is the proxy's own.
        @param running: what it has.
        @raise rvgahp.errors.Busy: that would be too many.
        """
        ofOwner = sum(one.count(owner) for one in self._served)
        ofProxy = len(running), settings.get("RVGAHP_MAX_SESSIONS")
        ofAll = sum(map(len, self._served))
        self._limits.check(owner, ofOwner, site, ofProxy, ofAll, id(running))

    def separate(self) -> None:
        """
        If root has started us, leave root to the launcher, and let go of it.

        @raise OSError: the launcher cannot be started.
        @raise rvgahp.errors.ConfigurationError: we cannot let go of root, or the launcher
            cannot do what the settings say.
        """
        if self._separation is not None:
            sessions: ChainMap[str, GAHPSession] = ChainMap()
            # The list itself, for proxies may come.
            sessions.maps = cast(list[MutableMapping[str, GAHPSession]], self._served)
            self.launcher.startRuled(
                self._separation.rules(self.gahps, self._descriptors),
                lambda: endWithoutLauncher(self._reactor, sessions),
            )
            self._separation.letGo()

    def open(self) -> None:
        """
        Sessions may come.  Not before: twistd may still have changed the account.
        """
        if self._separation is None:
            self._environment = GAHPEnvironment(
                os.environ, self._settings.get("RVGAHP_UMASK"), self._descriptors
            )
        self.launcher.start()

    def surroundings(self, gahp: str, account: str) -> Surroundings:
        """
        @param account: the one that was found, and that the owner may have.
        @return: those of a GAHP.
        """
        return self._environment if self._separation is None else NamedStart(gahp, account)

    def close(self) -> Deferred[None]:
        """
        All sessions have ended.

        @return: fires when no process of ours is left.
        """
        return self.launcher.stop()
