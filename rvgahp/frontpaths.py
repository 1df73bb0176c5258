# -*- test-case-name: tests.test_frontpaths -*-
"""
Where the site has said that sandboxes are.

Layer 0: L{rvgahp.frontlimits} and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict

from rvgahp import frontlimits


class SandboxPaths:
    """
    Paths by sandbox id, the latest ones only.  A path does not change: condor_ft-gahp
    makes it of the id (HTCondor: C{src/condor_ft-gahp/io_loop.cpp},
    C{define_sandbox_path}).
    """

    def __init__(self) -> None:
        self._paths: OrderedDict[bytes, bytes] = OrderedDict()

    def learn(self, sandbox: bytes, path: bytes) -> None:
        """
        @param path: C{NULL} or nothing if the site told none.
        """
        size = len(sandbox) + len(path)
        if path.upper() in (b"", b"NULL") or size > frontlimits.SANDBOX_PATH_BYTES:
            return
        self._paths[sandbox] = path
        if len(self._paths) > frontlimits.SANDBOX_PATHS:
            self._paths.popitem(last=False)

    def get(self, sandbox: bytes) -> bytes | None:
        """
        @return: the path, or L{None} if it is not known.
        """
        return self._paths.get(sandbox)
