# -*- test-case-name: tests.test_attention -*-
"""
What needs somebody's attention, said in sentences: from what a daemon shows of itself.

Layer 0: pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

__all__ = [
    "NEAR",
    "SLOW",
    "concerns",
    "endsSoon",
    "isFailure",
    "isTroubled",
    "sentences",
    "shortName",
    "size",
    "span",
]

SLOW = 0.5
"""Seconds for a ping that a site is slow with."""

WEEK = 7 * 86400
"""Seconds before its end from which on a certificate needs somebody's attention."""

_LATE = 3
"""The part of a certificate's life that is left when it should have been renewed long ago: one of
ours is when that much is used up."""

_SHORT = 10
"""Seconds that a GAHP lives that is of no use to anybody."""

_RECENT = 3600
"""Seconds for which an end counts as recent."""

NEAR = 0.9
"""The part of a limit from which on it is near."""

_TIMES = 3
"""Ends after each other that are no accident."""

_NAMED = 3
"""Stalled sessions of one site that are told one by one."""


def sentences(seen: dict[str, Any]) -> list[str]:
    """
    @param seen: as in C{doc/status.rst}.
    @return: what is wrong or soon will be, the most urgent first.
    """
    return [sentence for _, sentence in concerns(seen)]


def concerns(seen: dict[str, Any]) -> list[tuple[str, str]]:
    """
    @param seen: as in C{doc/status.rst}.
    @return: the same sentences, each after the kind of what is wrong, in one word.
    """
    kinds = {
        "away": (_proxies, _absent),
        "policy": (_conflicts,),
        "stalled": (_stalled,),
        "failing": (_dying,),
        "limit": (_limits,),
        "certificate": (_certificates,),
        "slow": (_slow,),
        "drained": (_draining,),
    }
    return [
        (kind, sentence)
        for kind, steps in kinds.items()
        for step in steps
        for sentence in step(seen)
    ]


def _proxies(seen: dict[str, Any]) -> Iterator[str]:
    for proxy in seen.get("proxies", ()):
        if not proxy["connected"]:
            away = span(seen["now"] - proxy["since"])
            where = f"{proxy['host']} port {proxy['port']}"
            reason = proxy["reason"] or "it is being dialled"
            yield f"The proxy {where} is away for {away}: {reason.rstrip('.')}."
        elif proxy.get("unanswered"):
            yield f"No channel gets through{_which(seen, proxy)}: {proxy['unanswered']}."


def _which(seen: dict[str, Any], proxy: dict[str, Any]) -> str:
    """
    @return: whose it is; empty where a CE has but one proxy.
    """
    several = len(seen["proxies"]) > 1
    return f" for the proxy {proxy['host']} port {proxy['port']}" if several else ""


def _absent(seen: dict[str, Any]) -> Iterator[str]:
    for site in seen.get("sites", ()):
        if site["connected"]:
            continue
        if site["since"] is None:
            yield f"Site {site['site']} has not been connected since this proxy was started."
            continue
        away = span(seen["now"] - site["since"])
        waiting = site["sessions"] + site["unclaimed"]
        sessions = f" (sessions that wait for it: {waiting})" if waiting else ""
        yield f"Site {site['site']} is away for {away}{sessions}: {site['reason'].rstrip('.')}."


def _conflicts(seen: dict[str, Any]) -> Iterator[str]:
    for proxy in seen.get("proxies", ()):
        if proxy.get("conflict"):
            yield f"No GAHP can be started{_which(seen, proxy)}: {proxy['conflict']}"
    for site in seen.get("sites", ()):
        if site.get("conflict"):
            yield f"No GAHP can be started at site {site['site']}: {site['conflict']}"


def isTroubled(one: dict[str, Any]) -> bool:
    """
    @param one: a site or a session.
    @return: whether something is wrong with it.
    """
    if "connected" in one:
        return not one["connected"] or (one.get("roundTrip") or 0) >= SLOW
    return one["state"] in ("stalled", "site away")


def _stalled(seen: dict[str, Any]) -> Iterator[str]:
    sites: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in seen.get("sessions", ()):
        if one["state"] == "stalled":
            sites[one.get("site", "")].append(one)
    for site, stalled in sites.items():
        where = f" at site {site}" if site else ""
        if len(stalled) > _NAMED:
            longest = span(max(one["stalled"] for one in stalled))
            yield f"{len(stalled)} sessions{where} have had no channel, the longest for {longest}."
            continue
        for one in stalled:
            yield (
                f"Session {shortName(one['session'])} of {one.get('user') or one['owner']}{where}"
                f" ({one['gahp']}) has had no channel for {span(one['stalled'])}; it is dialled"
                " again and again."
            )


def _dying(seen: dict[str, Any]) -> Iterator[str]:
    lives: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for end in seen.get("ends", ()):
        if end["when"] >= seen["now"] - _RECENT:
            lives[end["site"], end["gahp"]].append(end)
    for (site, gahp), ends in lives.items():
        where = f"{gahp} at site {site}"
        if _isDying(ends):
            yield _howDying(where, ends, seen["now"])
            continue
        # What fails for one may be hidden by what goes well for others.
        for owner in sorted({end["owner"] for end in ends}):
            his = [end for end in ends if end["owner"] == owner]
            if _isDying(his):
                yield _howDying(f"{where}, for {owner},", his, seen["now"])


def _isDying(ends: Sequence[dict[str, Any]]) -> bool:
    return len(ends) >= _TIMES and all(map(isFailure, ends[-_TIMES:]))


def isFailure(end: dict[str, Any]) -> bool:
    """
    @return: whether a GAHP was of no use: it could not be started, or has crashed at once.
        Where its CE is older and does not say whether it has, one has that ended by itself
        before it had said or heard anything.
    """
    if end["by"] == "start":
        return True
    lived = end["seconds"] if end.get("lived") is None else end["lived"]
    isShort = lived is not None and lived < _SHORT
    if end["by"] != "site" or end["reason"] or not isShort:
        return False
    if end.get("outcome") is None:
        return not end["sent"] or not end["received"]
    return bool(end["outcome"] == "crashed")


def _howDying(where: str, ends: Sequence[dict[str, Any]], now: int) -> str:
    """
    @param ends: the last of which were failures.
    """
    last = ends[-1]
    ago = span(now - last["when"])
    if last["by"] == "start":
        return f"{where} cannot be started, last {ago} ago: {last['reason']}"
    times = sum(1 for _ in takewhile(isFailure, reversed(ends)))
    how = f" it {last['status']}," if last.get("status") else ""
    said = "after its first words" if last["sent"] else "without a word"
    return (
        f"{where} has died {times} times within {_SHORT} s of its start, last {ago} ago:{how}"
        f" {said}; rvgahp trace may tell why."
    )


def _limits(seen: dict[str, Any]) -> Iterator[str]:
    for limit in seen.get("limits", ()):
        if limit["most"] and limit["used"] >= NEAR * limit["most"]:
            used, most = limit["used"], limit["most"]
            isFull = used >= most
            where, then = ("at", "; further starts are refused") if isFull else ("near", "")
            yield f"{limit['by']} is {where} its limit: {used} of {most} ({limit['limit']}){then}."


def _certificates(seen: dict[str, Any]) -> Iterator[str]:
    proxies = [one for one in seen.get("proxies", ()) if "certificateExpires" in one]
    owners = [("this daemon", seen)]
    if len(proxies) > 1:
        # Without what makes it look like a site.
        owners = [
            (
                f"this daemon{_which(seen, one)}",
                {name: value for name, value in one.items() if name != "connected"},
            )
            for one in proxies
        ]
    owners += [(f"site {site['site']}", site) for site in seen.get("sites", ())]
    for whose, owner in owners:
        if not endsSoon(owner, seen["now"]):
            continue
        left = owner["certificateExpires"] - seen["now"]
        when = "has ended" if left <= 0 else f"ends in {span(left)}"
        yield f"The certificate of {whose} {when}{_remedy(owner)}."


def endsSoon(owner: dict[str, Any], now: int) -> bool:
    """
    @param owner: a site, or the daemon itself.
    @return: whether its certificate does, or has ended.  One that is made for days, and renewed,
        is not always about to end.
    """
    end, began = owner.get("certificateExpires"), owner.get("certificateBegan")
    if end is None:
        return False
    soon = WEEK if began is None else min(WEEK, (end - began) / _LATE)
    return bool(end - now <= soon)


def _remedy(owner: dict[str, Any]) -> str:
    """
    @return: what is to be done about a certificate, as the end of a sentence.
    """
    if not owner.get("certificateRenews"):
        return "; rvgahp has not made it: renew it where it was made"
    if "connected" not in owner:
        return ", and should have been renewed long ago; see its log"
    if owner["connected"]:
        return ", and should have been renewed long ago; see the log of its CE"
    return "; it is renewed if the site comes again within RVGAHP_RENEWAL_GRACE of that"


def _slow(seen: dict[str, Any]) -> Iterator[str]:
    for site in seen.get("sites", ()):
        if (site.get("roundTrip") or 0) >= SLOW:
            yield f"Site {site['site']} is slow: it took {site['roundTrip']:.1f} s for a ping."


def _draining(seen: dict[str, Any]) -> Iterator[str]:
    if seen.get("draining"):
        yield "Nothing new is started: it is drained (rvgahp resume)."
        return
    for site in (*seen.get("sites", ()), *seen.get("proxies", ())):
        if site.get("draining"):
            yield f"Nothing new is started at site {site['site']}: it is drained."


def shortName(session: str) -> str:
    """
    @return: the end of a session's id, by which C{rvgahp kill} finds it.
    """
    return ":".join(session.split(":")[-2:])


def span(seconds: float) -> str:
    """
    @return: a time as people say it: C{"45 s"}, C{"12 min"}, C{"3 h 20 min"}, C{"5 d"}.
    """
    seconds = max(0, int(seconds))
    if seconds < 90:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def size(value: int | None) -> str:
    """
    @return: a number of bytes, as people read it.
    """
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1000:
            return f"{value} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
