# -*- test-case-name: tests.test_blah_submitad -*-
"""
The submit ad: reading the ClassAd in which the gridmanager describes a job.

The attributes are those of C{buildSubmitAd} in
C{src/condor_gridmanager/infnbatchjob.cpp}.  ClassAds are read by C{classad2}
of the htcondor distribution, imported at the first submit.  May import the
standard library, C{classad2} and this package's pure modules.
"""

from __future__ import annotations

import os
import re

from rvgahp.blah import limits
from rvgahp.blah.arguments import environmentV1, environmentV2, splitV1, splitV2
from rvgahp.blah.errors import BadSubmitAd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SubmitAd"]

_QUOTED = re.compile(rb"""(["'])(?:(?!\1|\\).|\\.)*\1""", re.DOTALL)
_HIGH_OCTAL = re.compile(r"\\([23][0-7]{2})|\\.", re.DOTALL)


class SubmitAd:
    """
    A job as it was asked for.  All texts are bytes: they need not be UTF-8,
    and arrive in the job as they were.

    @ivar manager: the name of the local resource manager, lower case.
    @ivar iwd: the directory to run in, absolute.
    @ivar command: the program, absolute.
    @ivar arguments: its arguments, without the program's own name.
    @ivar environment: the variables that the job asked for.
    @ivar stdin: the file to read, absolute; empty for none.
    @ivar stdout: the file to write, likewise.
    @ivar stderr: likewise; may be the same file.
    @ivar proxy: the X.509 proxy file, absolute; empty for none.
    """

    def __init__(self, text: bytes) -> None:
        """
        @param text: the ad, in the new ClassAd syntax.
        @raise BadSubmitAd: it cannot be read, or lacks what a job needs.
        """
        self._ad = _parse(text)
        self.manager = self._manager()
        self.iwd = self._iwd()
        command = self.string("Cmd")
        if not command:
            raise BadSubmitAd("The submit ad has no Cmd, so there is no program to run.")
        self.command = os.path.join(self.iwd, command)
        self.arguments = self._arguments()
        self.environment = self._environment()
        self.stdin = self._path("In")
        self.stdout = self._path("Out")
        self.stderr = self._path("Err")
        self.proxy = self._path("x509userproxy")

    def string(self, name: str) -> bytes | None:
        """
        @param name: an attribute's name, in any case of letters.
        @return: its value; C{None} if the ad does not define it.
        @raise BadSubmitAd: its value is not a string.
        """
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise BadSubmitAd(f"The submit ad's {name} is not a string.")
        return value.encode("latin-1")

    def value(self, name: str) -> Any:
        """
        @param name: as for L{string}.
        @return: the value as C{classad2} gives it, strings with one character
            for each byte; C{None} if the ad does not define it.
        """
        if name not in self._ad:
            return None
        try:
            value = self._ad.eval(name)
        except Exception as error:
            raise BadSubmitAd(f"The submit ad's {name} cannot be evaluated.") from error
        return None if value is _classad2().Value.Undefined else value

    def _manager(self) -> str:
        name = self.string("gridtype")
        if not name:
            words = (self.string("GridResource") or b"").split()
            # "batch slurm host ..."; older gridmanagers wrote the type itself.
            if len(words) > 1 and words[0].lower() == b"batch":
                del words[0]
            name = words[0] if words else b""
        if not name:
            raise BadSubmitAd("The submit ad has neither gridtype nor GridResource.")
        return name.decode("latin-1").lower()

    def _iwd(self) -> bytes:
        iwd = self.string("Iwd")
        if not iwd or not iwd.startswith(b"/"):
            raise BadSubmitAd("The submit ad has no Iwd that is an absolute path.")
        return iwd

    def _path(self, name: str) -> bytes:
        path = self.string(name)
        return os.path.join(self.iwd, path) if path else b""

    def _arguments(self) -> list[bytes]:
        v2 = self.string("Arguments")
        return splitV1(self.string("Args") or b"") if v2 is None else splitV2(v2)

    def _environment(self) -> dict[bytes, bytes]:
        v2 = self.string("Environment")
        if v2 is not None:
            return environmentV2(v2)
        return environmentV1(self.string("Env") or b"", self.string("EnvDelim") or b"")


def _parse(text: bytes) -> Any:
    """
    Have C{classad2} read the ad, one character for each byte.

    Its strings must be UTF-8, and HTCondor writes every byte above 127 as an
    octal escape.  So each such byte, escaped or not, is given to it as the
    character of that number, and comes back as that.
    """
    classad2 = _classad2()
    if len(_QUOTED.sub(b"", text)) > limits.AD_SYNTAX_LENGTH:
        raise BadSubmitAd(
            f"The submit ad has over {limits.AD_SYNTAX_LENGTH} bytes of expressions; "
            "only its strings may be long."
        )
    characters = _HIGH_OCTAL.sub(
        lambda match: chr(int(match[1], 8)) if match[1] else match[0], text.decode("latin-1")
    )
    try:
        return classad2.ClassAd(characters)
    except Exception as error:
        raise BadSubmitAd("The submit ad is not a ClassAd that can be read.") from error


def _classad2() -> Any:
    try:
        import classad2
    except ImportError as error:
        raise BadSubmitAd(
            "Submit ads cannot be read: the Python module classad2 is missing at the site; "
            "install the htcondor distribution into the environment of rvgahp_blahpd."
        ) from error
    return classad2
