# -*- test-case-name: tests.test_complaint -*-
"""
What the client itself says to people.

Layer 1: the standard library.
"""

from __future__ import annotations

import os
import select
import time

from rvgahp import limits

#: The client's own failure, as with ssh: no GAHP in use exits so.
FAILURE = 255


def encodeComplaint(sentence: str) -> bytes:
    """
    @return: the line that says it.  Others have a part in what is said, so there is
        nothing in it that a terminal would obey.
    """
    words = "".join(one if one.isprintable() else " " for one in sentence)
    return f"rvgahp_client: {words}\n".encode()


def complain(sentence: str) -> None:
    """
    One line on stderr, in one write if it is not a very long one.
    """
    announce(encodeComplaint(sentence))


def announce(data: bytes) -> None:
    """
    Lines on stderr as they are.  A stderr that nobody reads is not waited for for ever.
    """
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    try:
        while data and poll.poll(limits.CLIENT_STDERR_GRACE * 1000):
            data = data[os.write(2, data[: limits.BLOCKING_WRITE_BYTES]) :]
    except OSError:
        pass  # there is nobody to be told


def sayLast(sentence: str) -> None:
    """
    One line on stderr before we exit, and time for it to be read.
    """
    complain(sentence)
    time.sleep(limits.LAST_WORDS)
