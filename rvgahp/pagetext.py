# -*- test-case-name: tests.test_pagetext -*-
"""
The status page as it is sent first: with all that it says in it, so that it is of use without
JavaScript, too.

Layer 3: it does no I/O, but knows this host's time zone.  Each text that is put in goes
through L{escape}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from html import escape
from string import Template
from typing import Any, NamedTuple

from rvgahp.attention import size, span

__all__ = ["COLUMNS", "FIRST", "Column", "pageText"]

FIRST = 50
"""Rows of a table, if not all are asked for."""

_MARKS = ("\N{BLACK CIRCLE}", "\N{BLACK UP-POINTING TRIANGLE}", "\N{HEAVY MULTIPLICATION X}")
"""By level: shapes that differ without colour."""

_WORDS = {
    "away": "away",
    "policy": "policy",
    "stalled": "stalled",
    "failing": "failing",
    "limit": "at a limit",
    "certificate": "certificate",
    "slow": "slow",
    "drained": "drained",
}
"""By kind of what needs attention."""

_URGENT = ("away", "policy", "stalled", "failing")


class Column(NamedTuple):
    """
    One of a table.

    @ivar field: of a row.
    @ivar label: what it is, for people.
    @ivar form: how it is shown, one of L{_FORMS}; the page's script knows the same.
    @ivar isWide: whether there is no room for it on a phone.
    """

    field: str
    label: str
    form: str = "text"
    isWide: bool = False


COLUMNS = {
    "sites": (
        Column("state", "State", "state"),
        Column("site", "Site"),
        Column("since", "For", "age"),
        Column("sessions", "Sessions", "count", True),
        Column("ping", "Ping", "ping", True),
        Column("ends", "Certificate", "left", True),
        Column("reason", "Why", "text", True),
        Column("address", "From", "text", True),
        Column("gahps", "GAHPs", "text", True),
        Column("software", "Software", "text", True),
    ),
    "sessions": (
        Column("state", "State", "state"),
        Column("user", "User"),
        Column("site", "Site"),
        Column("gahp", "GAHP", "text", True),
        Column("since", "Age", "age", True),
        Column("received", "In", "bytes", True),
        Column("sent", "Out", "bytes", True),
        Column("resumed", "Resumed", "count", True),
        Column("tunnels", "Tunnels", "count", True),
        Column("account", "Account", "text", True),
        Column("name", "Session", "text", True),
        Column("pid", "Process", "text", True),
    ),
    "ends": (
        Column("when", "Ended", "ago"),
        Column("user", "User", "text", True),
        Column("site", "Site"),
        Column("gahp", "GAHP"),
        Column("seconds", "Lived", "lived", True),
        Column("received", "In", "bytes", True),
        Column("sent", "Out", "bytes", True),
        Column("by", "By", "text", True),
        Column("reason", "Why", "text", True),
    ),
    "limits": (
        Column("used", "Used", "used"),
        Column("by", "By"),
        Column("limit", "Limit"),
    ),
    "day": (
        Column("time", "From", "clock"),
        Column("starts", "Starts", "count"),
        Column("failures", "Failed starts", "count"),
        Column("stalls", "Stalls", "count"),
        Column("toSite", "Bytes to sites", "bytes"),
        Column("fromSite", "Bytes from sites", "bytes"),
    ),
}
"""Of each table."""

_ORDERS: dict[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "sites": lambda key, row: (-row["level"], key),
    "sessions": lambda key, row: (-row["level"], -(row["since"] or 0), key),
    "ends": lambda key, row: (-row["when"], key),
    "limits": lambda key, row: (-row["level"], row["limit"], -row["used"], key),
    "day": lambda key, row: -row["time"],
}
"""How rows are sorted: what needs attention first, or what is newest."""


def _state(row: Mapping[str, Any], _: str, now: int) -> str:
    since = row.get("stalledSince")
    return row["state"] if since is None else f"{row['state']} {span(now - since)}"


def _used(row: Mapping[str, Any], _: str, now: int) -> str:
    return f"{row['used']} of {row['most']}"


def _of(form: Callable[[Any, int], str]) -> Callable[[Mapping[str, Any], str, int], str]:
    """
    @return: the form of a cell whose value may not be known.
    """

    def text(row: Mapping[str, Any], field: str, now: int) -> str:
        value = row[field]
        return "-" if value is None or value == "" else form(value, now)

    return text


_FORMS = {
    "text": _of(lambda value, now: str(value)),
    "count": _of(lambda value, now: f"{value:,}"),
    "bytes": _of(lambda value, now: size(value)),
    "lived": _of(lambda value, now: f"{value:.1f} s" if value < 10 else span(value)),
    "age": _of(lambda value, now: span(now - value)),
    "ago": _of(lambda value, now: f"{span(now - value)} ago"),
    "left": _of(lambda value, now: f"{span(value - now)} left" if value > now else "has ended"),
    "ping": _of(lambda value, now: f"{value * 1000:.0f} ms"),
    "clock": _of(lambda value, now: time.strftime("%H:%M", time.localtime(value))),
    "state": _state,
    "used": _used,
}


def pageText(
    template: str, view: Mapping[str, Any], now: int, host: str, build: str, most: int = FIRST
) -> bytes:
    """
    @param template: C{page.html}.
    @param view: what is shown (L{rvgahp.pagerows}).
    @param now: seconds since 1970.
    @param host: this one's name.
    @param build: which page it is: another one is to be loaded anew.
    @param most: rows of a table; 0: all.
    """
    head = view["head"]
    parts = {name: _table(name, view[name], now, most) for name in COLUMNS}
    attention = view["attention"]
    text = Template(template).substitute(
        parts,
        host=escape(host),
        build=escape(build),
        now=time.strftime("%H:%M:%S", time.localtime(now)),
        title=escape(titleOf(view, host)),
        about=escape(_about(head, now)),
        counts=_counts(attention),
        said="".join(_concern(kind, sentence) for kind, sentence in attention["said"]),
        more=escape(_more(attention)),
        well=" hidden" if attention["said"] else "",
        noday="" if head["administrator"] else " hidden",
    )
    return text.encode("utf-8", "replace")


def titleOf(view: Mapping[str, Any], host: str) -> str:
    """
    @return: the page's title, which the browser has on its tab.
    """
    wrong = sum(view["attention"]["counts"].values())
    return f"({wrong}) {host}: rvgahp" if wrong else f"{host}: rvgahp"


def _about(head: Mapping[str, Any], now: int) -> str:
    whose = "all" if head["administrator"] else f"what {head['you']} may see"
    return f"{head['software']}, process {head['pid']}, for {span(now - head['since'])}; {whose}"


def _counts(attention: Mapping[str, Any]) -> str:
    """
    @return: how many there are of each kind, unless all are said.
    """
    if not _more(attention):
        return ""
    levels = {kind: 2 if kind in _URGENT else 1 for kind in attention["counts"]}
    return "".join(
        f'<li class="level{levels[kind]}">{_mark(levels[kind])} {number:,} {_WORDS[kind]}</li>'
        for kind, number in attention["counts"].items()
    )


def _concern(kind: str, sentence: str) -> str:
    level = 2 if kind in _URGENT else 1
    return (
        f'<li class="level{level}"><b>{_mark(level)} {_WORDS[kind]}</b> '
        f"<span>{escape(sentence)}</span></li>"
    )


def _more(attention: Mapping[str, Any]) -> str:
    more = sum(attention["counts"].values()) - len(attention["said"])
    return f"and {more:,} more, in the tables" if more else ""


def _mark(level: int) -> str:
    return f'<i aria-hidden="true">{_MARKS[level]}</i>'


def _table(name: str, rows: Mapping[str, Mapping[str, Any]], now: int, most: int) -> str:
    """
    @return: a table's head and body.
    """
    columns = COLUMNS[name]
    order = sorted(rows, key=lambda key: _ORDERS[name](key, rows[key]))
    shown = order[:most] if most and name != "day" else order
    head = "".join(
        f'<th scope="col" data-field="{one.field}" data-form="{one.form}"{_class(one)}>'
        f"{one.label}</th>"
        for one in columns
    )
    body = "".join(_row(columns, key, rows[key], now) for key in shown)
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _row(columns: tuple[Column, ...], key: str, row: Mapping[str, Any], now: int) -> str:
    marked = columns[0] if "level" in row else None
    cells = "".join(
        f"<td{_class(one)}>{_mark(row['level']) + '&nbsp;' if one is marked else ''}"
        f"{escape(_FORMS[one.form](row, one.field, now))}</td>"
        for one in columns
    )
    return f'<tr data-key="{escape(key)}" class="level{row.get("level", 0)}">{cells}</tr>'


def _class(column: Column) -> str:
    names = [column.form, *(["wide"] if column.isWide else [])]
    return f' class="{" ".join(names)}"'
