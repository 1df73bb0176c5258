# -*- test-case-name: tests.test_client -*-
"""
What the client itself says to people.

Layer 1: the standard library.
"""

from __future__ import annotations

import os

#: The client's own failure, as with ssh: no GAHP in use exits so.
FAILURE = 255


def complain(sentence: str) -> None:
    """
    One line on stderr, in one write.
    """
    line = f"rvgahp_client: {' '.join(sentence.splitlines())}\n"
    try:
        os.write(2, line.encode("utf-8", "replace"))
    except OSError:
        pass  # there is nobody to be told
