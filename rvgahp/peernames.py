# -*- test-case-name: tests.test_peernames -*-
"""
The names of the hosts from which others come, for rules that have names.

Layer 3: a reactor is passed in; L{rvgahp.lookups}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import maplimits
from rvgahp.lookups import namesOf

__all__ = ["PeerNames"]


class PeerNames:
    """
    Asks the resolver in threads, and remembers for a while what it said.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, lookup: Callable[[str, float], tuple[str, ...]] = namesOf
    ) -> None:
        """
        @param reactor: Its threads are used.
        @param lookup: As L{namesOf}; called in a thread.
        """
        self._reactor = reactor
        self._lookup = lookup
        # Oldest first: names, and until when they are good.
        self._known: dict[str, tuple[tuple[str, ...], float]] = {}
        self._asked: dict[str, list[Deferred[tuple[str, ...]]]] = {}

    def find(self, address: str) -> Deferred[tuple[str, ...]]:
        """
        @param address: A peer's IP address.
        @return: fires with the names of its host, within L{maplimits.PEER_LOOKUP_TIMEOUT};
            with none where they cannot be had.
        """
        names, until = self._known.get(address, ((), 0.0))
        if self._reactor.seconds() < until:
            return succeed(names)
        found: Deferred[tuple[str, ...]] = Deferred()
        if address in self._asked:
            self._asked[address].append(found)
            return found
        if len(self._asked) >= maplimits.PEERS_PENDING:
            self.log.warn("{count} hosts are being looked up", count=len(self._asked))
            return succeed(())
        self._asked[address] = [found]
        asked = deferToThreadPool(
            self._reactor,
            self._reactor.getThreadPool(),
            self._lookup,
            address,
            maplimits.PEER_LOOKUP_TIMEOUT,
        )
        # It has a deadline of its own, and must wait for a thread, too.
        asked.addTimeout(maplimits.PEER_LOOKUP_TIMEOUT, self._reactor)
        asked.addCallbacks(self._found, self._notFound, (address,), errbackArgs=(address,))
        return found

    def _found(self, names: tuple[str, ...], address: str) -> None:
        self._remember(address, names, maplimits.PEER_NAMES_LIFETIME)

    def _notFound(self, failure: Failure, address: str) -> None:
        self.log.warn(
            "The host at {address} has no name: {reason}",
            address=address,
            reason=failure.getErrorMessage(),
        )
        self._remember(address, (), maplimits.PEER_FAILURE_LIFETIME)

    def _remember(self, address: str, names: tuple[str, ...], seconds: float) -> None:
        self._known.pop(address, None)
        self._known[address] = names, self._reactor.seconds() + seconds
        while len(self._known) > maplimits.PEERS_KNOWN:
            del self._known[next(iter(self._known))]
        for found in self._asked.pop(address):
            found.callback(names)
