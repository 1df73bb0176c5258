# -*- test-case-name: tests.test_pagerows -*-
"""
What the status page shows: tables whose rows have keys, and what is otherwise with them than it
was.  C{doc/page.rst}.

Layer 0: pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rvgahp.attention import NEAR, SLOW, concerns, endsSoon, isFailure

__all__ = ["TABLES", "changes", "viewOf"]

TABLES = ("sites", "sessions", "ends", "limits", "day")

_LONGEST = 300
"""Characters of one text of others."""

_SAID = 6
"""Sentences of one kind; of more it is told how many there are."""

_ENDS = 100
"""Ends of sessions, the newest."""

_BAD, _WARN, _WELL = 2, 1, 0

_HEAD = ("software", "pid", "since", "you", "administrator", "draining", "certificateExpires")

_LEVELS = {"stalled": _BAD, "site away": _BAD, "unclaimed": _WARN, "ending": _WARN}

_CALM = {"ping": (0.2, 0.002), "stalledSince": (0.0, 2.0)}
"""What moves a little at each look, and by how much it may without being told: a part of what
was told, or so many seconds."""


def viewOf(seen: dict[str, Any], day: Iterable[dict[str, int]] = ()) -> dict[str, Any]:
    """
    @param seen: as in C{doc/status.rst}.
    @param day: pieces of the last day.
    @return: C{head}, C{attention}, and each of L{TABLES}: rows by their keys.  Each row has
        C{level}: 2 for what is wrong, 1 for what soon will be, else 0.
    """
    now = seen["now"]
    return {
        "head": {name: _plain(seen[name]) for name in _HEAD} | {"states": _states(seen)},
        "attention": _attention(seen),
        "sites": _keyed(_site(one, now) for one in seen["sites"]),
        "sessions": _keyed(_session(one, now) for one in seen["sessions"]),
        "ends": _keyed(_end(one) for one in seen["ends"][-_ENDS:]),
        "limits": _keyed(_limit(one) for one in seen["limits"]),
        "day": {str(one["time"]): one for one in day},
    }


def changes(former: Mapping[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """
    What is otherwise.  Numbers in C{view} that have moved a little stay as they were.

    @return: C{head} and C{attention} if they are new, and of each table that is: C{put}, its
        new rows and those that are otherwise, and C{drop}, keys.
    """
    found: dict[str, Any] = {
        name: view[name] for name in ("head", "attention") if view[name] != former[name]
    }
    for name in TABLES:
        told, rows = former[name], view[name]
        for key, row in rows.items():
            if key in told:
                _calm(told[key], row)
        put = {key: row for key, row in rows.items() if told.get(key) != row}
        drop = [key for key in told if key not in rows]
        if put or drop:
            found[name] = {"put": put, "drop": drop}
    return found


def _calm(told: Mapping[str, Any], row: dict[str, Any]) -> None:
    for name, (part, least) in _CALM.items():
        before, after = told.get(name), row.get(name)
        if before is None or after is None or told["level"] != row["level"]:
            continue
        if abs(after - before) <= max(part * before, least):
            row[name] = before


def _keyed(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row.pop("key"): {name: _plain(value) for name, value in row.items()} for row in rows}


def _plain(value: Any) -> Any:
    """
    @return: a text as it can be shown anywhere: short, and with a blank for each character that
        is not printed or turns the direction of others.
    """
    if not isinstance(value, str) or (value.isascii() and value.isprintable()):
        return value if not isinstance(value, str) else value[:_LONGEST]
    return "".join(one if one.isprintable() else " " for one in value[:_LONGEST])


def _states(seen: dict[str, Any]) -> dict[str, int]:
    sites = Counter("here" if one["connected"] else "away" for one in seen["sites"])
    return {**sites, **Counter(f"session {one['state']}" for one in seen["sessions"])}


def _attention(seen: dict[str, Any]) -> dict[str, Any]:
    said = concerns(seen)
    told: Counter[str] = Counter()
    few = []
    for kind, sentence in said:
        told[kind] += 1
        if told[kind] <= _SAID:
            few.append([kind, _plain(sentence)])
    return {"counts": dict(told), "said": few}


def _site(one: dict[str, Any], now: int) -> dict[str, Any]:
    trip, ends = one.get("roundTrip"), one.get("certificateExpires")
    states = {
        "AWAY": (not one["connected"], _BAD),
        "slow": ((trip or 0) >= SLOW, _WARN),
        "draining": (one["draining"], _WARN),
        "certificate ends": (endsSoon(one, now), _WARN),
    }
    found = [name for name, (isSo, _) in states.items() if isSo]
    return {
        "key": one["site"],
        "site": one["site"],
        "level": max((states[name][1] for name in found), default=_WELL),
        "state": ", ".join(found) or "connected",
        "since": one["since"],
        "ping": None if trip is None else round(trip, 3),
        "sessions": one["sessions"] + one["unclaimed"],
        "ends": ends,
        "address": one["address"],
        "gahps": ", ".join(one.get("gahps") or ()),
        "software": one.get("software") or "",
        "reason": one["reason"],
    }


def _session(one: dict[str, Any], now: int) -> dict[str, Any]:
    stalled = one.get("stalled") or 0
    return {
        "key": one["session"],
        "level": _LEVELS.get(one["state"], _WELL),
        "state": "STALLED" if one["state"] == "stalled" else one["state"],
        "stalledSince": now - stalled if one["state"] == "stalled" else None,
        "user": one["user"] or one["owner"],
        "site": one["site"],
        "gahp": one["gahp"],
        "account": one["account"],
        "since": one.get("since"),
        "received": one.get("received"),
        "sent": one.get("sent"),
        "resumed": one.get("resumed"),
        "tunnels": one.get("tunnels"),
        "name": ":".join(one["session"].split(":")[-2:]),
        "pid": one.get("pid"),
    }


def _end(one: dict[str, Any]) -> dict[str, Any]:
    # A client may go as it likes.
    isOdd = isFailure(one) or (one["reason"] and one["by"] != "client")
    return {
        "key": f"{one['session']} {one['when']}",
        "level": _WARN if isOdd else _WELL,
        "when": one["when"],
        "user": one["user"] or one["owner"],
        "site": one["site"],
        "gahp": one["gahp"],
        "seconds": None if one["seconds"] is None else round(one["seconds"], 1),
        "by": one["by"],
        "reason": one["reason"],
        "received": one["received"],
        "sent": one["sent"],
    }


def _limit(one: dict[str, Any]) -> dict[str, Any]:
    used, most = one["used"], one["most"]
    isNear = bool(most) and used >= NEAR * most
    return {
        "key": f"{one['limit']} {one['by']}",
        "level": _WARN if isNear else _WELL,
        "limit": one["limit"],
        "used": used,
        "most": most,
        "by": one["by"],
    }
