"""
Tables for people and a dictionary for machines.
"""

from __future__ import annotations

import sys
from typing import Any

from contestants import PIPE
from series import Series

_NAME_WIDTH = 28
_WIDTH = 10


class Column:
    """
    One column of a table.
    """

    def __init__(self, title: str, share: float | None, scale: float, digits: int) -> None:
        """
        @param share: which quantile; L{None} for the median.
        @param scale: what a sample is multiplied by.
        @param digits: behind the point.
        """
        self.title = title
        self._share = share
        self._scale = scale
        self._digits = digits

    def cell(self, series: Series, name: str) -> str:
        if not series.samples.get(name):
            return "-"
        plain = series.median(name)
        if self._share is not None:
            plain = series.quantile(name, self._share)
        return f"{plain * self._scale:.{self._digits}f}"


class Criterion:
    """
    Something that must hold of rvgahp.
    """

    def __init__(self, what: str, value: float | None, bound: float, atMost: bool = True) -> None:
        """
        @param value: L{None} where it cannot be told.
        """
        self.what = what
        self.value = value
        self.bound = bound
        self._atMost = atMost

    def isMet(self) -> bool | None:
        """
        @return: L{None} where it cannot be told.
        """
        if self.value is None:
            return None
        return self.value <= self.bound if self._atMost else self.value >= self.bound

    def __str__(self) -> str:
        relation = "at most" if self._atMost else "at least"
        if self.value is None:
            return f"{self.what}: {relation} {self.bound:g}; not measured"
        word = "met" if self.isMet() else "NOT MET"
        return f"{self.what}: {self.value:.2f}, {relation} {self.bound:g}: {word}"


class Report:
    """
    What one run found.
    """

    def __init__(self, environment: dict[str, Any]) -> None:
        self._data: dict[str, Any] = {"environment": environment, "tables": {}, "criteria": []}
        for key, value in environment.items():
            print(f"{key}: {value}")

    def table(
        self,
        title: str,
        series: Series,
        columns: list[Column],
        rows: list[str],
        ssh: str,
        pairs: Series | None = None,
        extra: dict[str, dict[str, int]] | None = None,
        plain: tuple[str, str] = ("/pipe", PIPE),
    ) -> None:
        """
        Print a table.

        @param rows: contestants; one that this machine lacks has dashes.
        @param ssh: which contestant the column C{/ssh} is of.
        @param pairs: of which ratios are made, where not of C{series}.
        @param extra: further columns.
        @param plain: title and contestant of the column before C{/ssh}.
        """
        pairs, extra = pairs or series, extra or {}
        titles = [*(column.title for column in columns), plain[0], "/ssh", *extra]
        print(f"\n{title}\n{_line('', titles)}")
        for name in rows:
            cells = [column.cell(series, name) for column in columns]
            cells += [_shown(pairs.ratio(name, other)) for other in (plain[1], ssh)]
            cells += [str(values.get(name, "-")) for values in extra.values()]
            print(_line(name, cells))
        sys.stdout.flush()
        self._data["tables"][title] = {
            "samples": series.samples,
            "ratiosToPlain": {name: pairs.ratio(name, plain[1]) for name in series.names},
            "ratiosToSSH": {name: pairs.ratio(name, ssh) for name in series.names},
            **extra,
        }

    def criterion(self, criterion: Criterion) -> None:
        """
        Print whether it is met.
        """
        print(criterion, flush=True)
        self._data["criteria"].append(
            {
                "what": criterion.what,
                "value": criterion.value,
                "bound": criterion.bound,
                "met": criterion.isMet(),
            }
        )

    def asDictionary(self) -> dict[str, Any]:
        """
        @return: all of it, samples in seconds or bytes per second.
        """
        return self._data


def _shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _line(name: str, cells: list[str]) -> str:
    return f"{name:{_NAME_WIDTH}}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)
