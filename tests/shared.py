"""
The sandbox that tests share, one at a time.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.playground import Playground

#: The one that runs now, by what is equal for the classes that can share it.
current: dict[object, Playground] = {}


def stopShared() -> None:
    """
    Stop it, if there is one: it is not what the next test needs, or that test counts our
    children.
    """
    while current:
        current.popitem()[1].stop()


atexit.register(stopShared)
