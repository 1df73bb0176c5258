# -*- test-case-name: tests.test_occupancy -*-
"""
A table that knows how many of its entries are whose.

Layer 0.
"""

from __future__ import annotations

from collections import Counter, UserDict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

__all__ = ["Occupancy"]

V = TypeVar("V")


class Occupancy(UserDict[str, V]):
    """
    A dictionary that counts.  There is no other way into it and out of it than a
    dictionary's, so that the counts are right whatever happens to an entry.
    """

    def __init__(self, owners: Callable[[V], Iterable[Hashable]]) -> None:
        """
        @param owners: by whom an entry is counted.  It is asked once, when the entry comes.
        """
        self._owners = owners
        self._counted: dict[str, tuple[Hashable, ...]] = {}
        self._counts: Counter[Hashable] = Counter()
        super().__init__()

    def count(self, owner: Hashable) -> int:
        """
        @return: how many entries are C{owner}'s.
        """
        return self._counts[owner]

    def __setitem__(self, name: str, value: V) -> None:
        owners = tuple(self._owners(value))
        if name in self.data:
            self._forget(name)
        self.data[name] = value
        self._counted[name] = owners
        self._counts.update(owners)

    def __delitem__(self, name: str) -> None:
        del self.data[name]
        self._forget(name)

    def _forget(self, name: str) -> None:
        for owner in self._counted.pop(name):
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]
