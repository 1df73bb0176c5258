# -*- test-case-name: tests.test_statustables -*-
"""
What a daemon shows of itself, as tables for people.

Layer 6: pure; L{rvgahp.attention}, L{rvgahp.screen}.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rvgahp.attention import isTroubled, shortName, size, span
from rvgahp.screen import plain

__all__ = ["overview", "sessionTable", "shortName"]

_WIDEST = 50
"""Characters of a cell, so that one site that says much does not make all lines long."""

_MOST_SENTENCES = 20
"""What needs attention, at the most, for people."""


_SCREEN = 24
"""Lines that every terminal has: the first of more are soon out of sight."""


def overview(seen: dict[str, Any]) -> list[str]:
    """
    @param seen: as in C{doc/status.rst}.
    @return: lines: what needs attention, and all the rest.
    """
    lines = [_title(seen), ""]
    if seen["attention"]:
        lines += ["NEEDS ATTENTION", *_attention(seen["attention"]), ""]
    if "proxies" in seen:
        lines += [*_proxies(seen), ""]
    if "sites" in seen:
        lines += [*_sites(seen), ""]
    lines += sessionTable(seen)
    if seen["limits"]:
        lines += ["", *_limits(seen)]
    if seen["attention"] and len(lines) > _SCREEN:
        lines += ["", f"NEEDS ATTENTION: {len(seen['attention'])}, in the first lines."]
    return lines


def sessionTable(seen: dict[str, Any]) -> list[str]:
    """
    @return: lines: the sessions.
    """
    if not seen["sessions"]:
        return ["No sessions." if seen["administrator"] else f"No sessions of {seen['you']}'s."]
    isProxy = seen["role"] == "proxy"
    where = "site" if isProxy else "proxy" if _hasSeveral(seen) else ""
    head = ["SESSION", "USER" if isProxy else "OWNER", *([where.upper()] if where else [])]
    head += ["GAHP", "ACCOUNT", "AGE", "STATE", "RESUMED", "IN", "OUT", "TUNNELS", "PID"]
    rows = []
    for one in _troubledFirst(seen["sessions"]):
        whose = one["owner"] if not isProxy else one["user"] or one["owner"]
        row = [shortName(one["session"]), whose, *([one[where]] if where else [])]
        row += [one["gahp"], one["account"] or "-", _age(seen, one.get("since")), _state(one)]
        row += [_number(one.get("resumed")), size(one.get("received")), size(one.get("sent"))]
        rows.append([*row, _number(one.get("tunnels")), _number(one.get("pid"))])
    return table(head, rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """
    @return: lines with columns as wide as they have to be.
    """
    shown = [list(head), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def _troubledFirst(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda one: not isTroubled(one))


def _cell(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _title(seen: dict[str, Any]) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(seen["since"]))
    name = "rvgahp-proxy" if seen["role"] == "proxy" else f"rvgahp-ce of site {seen['site']}"
    what = "all" if seen["administrator"] else f"what is {seen['you']}'s"
    software = plain(seen["software"])
    return f"{name} ({software}), process {seen['pid']}, since {since}; you see {what}"


def _attention(sentences: Sequence[str]) -> list[str]:
    """
    @return: the first of them, so that they do not push everything else from the screen.
    """
    lines = [f"  {plain(one)}" for one in sentences[:_MOST_SENTENCES]]
    more = len(sentences) - len(lines)
    return [*lines, f"  ... and {more} more (rvgahp status --json)"] if more else lines


def _proxies(seen: dict[str, Any]) -> list[str]:
    several = _hasSeveral(seen)
    rows = [
        [
            f"{one['host']}:{one['port']}",
            *([one["site"] or "-", str(one["sessions"])] if several else []),
            "connected" if one["connected"] else "AWAY",
            _age(seen, one["since"]),
            one["address"] or "-",
            one["software"] or "-",
            one["reason"] or "-",
        ]
        for one in seen["proxies"]
    ]
    more = ["SITE", "SESSIONS"] if several else []
    return table(["PROXY", *more, "STATE", "FOR", "ADDRESS", "SOFTWARE", "REASON"], rows)


def _hasSeveral(seen: dict[str, Any]) -> bool:
    return len(seen.get("proxies", ())) > 1


def _sites(seen: dict[str, Any]) -> list[str]:
    if not seen["sites"]:
        return ["No sites." if seen["administrator"] else "No sites that you may use."]
    head = ["SITE", "STATE", "FOR", "FROM", "PING", "SESSIONS", "CERTIFICATE", "GAHPS", "SOFTWARE"]
    return table(head, [_site(seen, one) for one in _troubledFirst(seen["sites"])])


def _site(seen: dict[str, Any], one: dict[str, Any]) -> list[str]:
    state = "connected" if one["connected"] else "AWAY"
    state += ", draining" if one["draining"] else ""
    trip, ends = one.get("roundTrip"), one.get("certificateExpires")
    return [
        one["site"],
        state,
        _age(seen, one["since"]),
        one["address"] or "-",
        "-" if trip is None else f"{trip * 1000:.0f} ms",
        str(one["sessions"] + one["unclaimed"]),
        "-" if ends is None else f"{span(ends - seen['now'])} left",
        ",".join(one.get("gahps") or ["-"]),
        one.get("software") or "-",
    ]


def _limits(seen: dict[str, Any]) -> list[str]:
    rows = [
        [one["limit"], f"{one['used']} of {one['most']}", one["by"] or "-"]
        for one in seen["limits"]
    ]
    return table(["LIMIT", "USED", "BY"], rows)


def _age(seen: dict[str, Any], since: int | None) -> str:
    return "-" if since is None else span(seen["now"] - since)


def _state(one: dict[str, Any]) -> str:
    state: str = one["state"]
    return f"STALLED {span(one['stalled'])}" if state == "stalled" else state


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
