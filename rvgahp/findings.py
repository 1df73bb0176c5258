# -*- test-case-name: tests.test_doctor -*-
"""
What C{rvgahp doctor} finds: one sentence each, how bad it is, and what to do.

Layer 6: pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rvgahp.errors import RvgahpError
from rvgahp.patience import Interrupted

__all__ = ["OK", "WARNING", "WRONG", "Finding", "Findings", "guarded", "ok", "warning", "wrong"]

OK, WARNING, WRONG = "ok", "warning", "wrong"

_BUG = "That is a bug of rvgahp doctor: report it; the other lines count all the same."


@dataclass(frozen=True)
class Finding:
    """
    One of them.

    @ivar name: what was looked at.
    @ivar level: L{OK}, L{WARNING} or L{WRONG}.
    @ivar sentence: what was seen; perhaps in the words of others.
    @ivar remedy: what to do; empty where all is well.
    """

    name: str
    level: str
    sentence: str
    remedy: str = ""


Findings = Iterator[Finding]


def ok(name: str, sentence: str) -> Finding:
    """
    @return: all is well.
    """
    return Finding(name, OK, sentence)


def warning(name: str, sentence: str, remedy: str) -> Finding:
    """
    @return: it works, or may, and somebody should look.
    """
    return Finding(name, WARNING, sentence, remedy)


def wrong(name: str, sentence: str, remedy: str) -> Finding:
    """
    @return: it does not work.
    """
    return Finding(name, WRONG, sentence, remedy)


def guarded(name: str, remedy: str, check: Callable[[], Iterable[Finding]]) -> Findings:
    """
    What a check finds; if it fails, that is a finding, too.

    @param name: what is looked at.
    @param remedy: what to do where a daemon's own code refuses something.
    @raise Interrupted: we are to end.
    """
    try:
        yield from check()
    except Interrupted:
        raise
    except RvgahpError as e:
        yield wrong(name, str(e), remedy)
    except OSError as e:
        what = f"{e.filename}: " if e.filename else ""
        yield wrong(name, f"{what}{e.strerror or e}", remedy)
    except Exception as e:
        yield wrong(name, f"this check failed: {type(e).__name__}: {e}", _BUG)
