# -*- test-case-name: tests.test_descriptorlimit -*-
"""
How many descriptors a daemon may have.

Layer 3.
"""

from __future__ import annotations

import resource

from rvgahp import limits


def raiseDescriptorLimit() -> int:
    """
    @return: how many descriptors this process may have from now on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.WANTED_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
