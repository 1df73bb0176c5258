"""
Samples of several contestants, taken in rounds, and what is made of them.
"""

from __future__ import annotations

import statistics


class Series:
    """
    For each contestant its samples, one for each round.

    @ivar names: the contestants, in the order of the tables.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.samples: dict[str, list[float]] = {name: [] for name in names}

    def add(self, name: str, sample: float) -> None:
        """
        One more.
        """
        self.samples[name].append(sample)

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def quantile(self, name: str, share: float) -> float:
        """
        @return: the sample that the given share of all does not exceed.
        """
        ordered = sorted(self.samples[name])
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def ratio(self, name: str, other: str) -> float | None:
        """
        @return: the median over the rounds of this one's sample to the other's of
            the same round; L{None} where there is no other.
        """
        if other not in self.samples or name not in self.samples:
            return None
        pairs = zip(self.samples[name], self.samples[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def difference(self, name: str, other: str) -> float:
        """
        @return: the median of this one less that of the other.
        """
        return self.median(name) - self.median(other)
