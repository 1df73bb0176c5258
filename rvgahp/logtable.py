# -*- test-case-name: tests.test_settingtable -*-
"""
The rows of the table of settings that are about the log.  Layer 2: pure;
L{rvgahp.settingrow} and L{rvgahp.settingkinds}.
"""

from __future__ import annotations

from rvgahp.settingkinds import Kind, amount, integer
from rvgahp.settingrow import BOTH, Setting

__all__ = ["LOG_TABLE"]

_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")
_FORMATS = ("AUTO", "TEXT", "JSON", "JOURNAL")


def _oneOf(typeName: str, words: tuple[str, ...]) -> Kind:
    """
    One of some words, in any case.  Value: it, in lower case.
    """

    def parse(text: str) -> str:
        if text.upper() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(typeName, f"{', '.join(words[:-1])} or {words[-1]}", parse)


LOG_TABLE = (
    Setting(
        "RVGAHP_LOG_LEVEL",
        _oneOf("log level", _LEVELS),
        BOTH,
        "What the daemon's log has: this and what matters more (:doc:`logs`).",
        "INFO",
    ),
    Setting(
        "RVGAHP_LOG_FORMAT",
        _oneOf("log format", _FORMATS),
        BOTH,
        "How it is written: lines of text, lines of JSON, or entries of systemd's journal with "
        "fields.  ``AUTO``: for the journal where systemd has connected the daemon to it and no "
        "``--logfile`` is given, else text.",
        "AUTO",
        isFixed=True,
    ),
    Setting(
        "RVGAHP_MAX_LOG",
        amount(0, 1 << 40),
        BOTH,
        "The size at which the file that ``--logfile`` names becomes a former one, with ``.1`` "
        "behind its name; 0: never, as where logrotate does it.",
        "10 MiB",
    ),
    Setting(
        "RVGAHP_MAX_NUM_LOG",
        integer(0, 1000),
        BOTH,
        "How many former ones are kept.",
        "5",
    ),
)
"""Rows of L{rvgahp.settingtable.TABLE}."""
