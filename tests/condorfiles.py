"""
Configuration files for the tests that read them as HTCondor does.
"""

from __future__ import annotations

import importlib.util
import os

from twisted.trial.unittest import SynchronousTestCase

__all__ = ["ConfigurationTestCase"]


class ConfigurationTestCase(SynchronousTestCase):
    """
    A test with a home directory of its own and an environment without
    HTCondor's variables.

    @ivar home: The home directory.
    @ivar environment: What stands for C{os.environ}; a child process has it too.
    """

    skip: str | None = (
        None
        if importlib.util.find_spec("htcondor2") is not None
        else "the htcondor package is not there for this Python"
    )

    def setUp(self) -> None:
        """
        Make both.
        """
        self.home = os.path.realpath(self.mktemp())
        os.makedirs(self.home)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("_CONDOR_", "CONDOR_"))
        }
        self.environment["HOME"] = self.home
        self.patch(os, "environ", self.environment)

    def write(self, text: str | bytes, name: str = "condor_config") -> str:
        """
        Write a file below the home directory.

        @return: Its path.
        """
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode("utf-8") if isinstance(text, str) else text)
        return path

    def program(self, text: str, name: str = "program") -> str:
        """
        Write a shell script into C{bin} below the home directory.

        @return: Its path.
        """
        path = self.write(f"#!/bin/sh\n{text}\n", os.path.join("bin", name))
        os.chmod(path, 0o700)
        return path
