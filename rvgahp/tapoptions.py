# -*- test-case-name: tests.test_taps -*-
"""
What the command lines of the two daemons have in common.

Layer 5.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, TextIO, TypeVar

from twisted.logger import Logger
from twisted.python.usage import Options, UsageError

from rvgahp import __version__
from rvgahp.accessreader import readAccessRules
from rvgahp.accessrules import AccessRules
from rvgahp.credentials import Credentials, loadCredentials
from rvgahp.daemonlog import DaemonLog, daemonLog, sayToFile
from rvgahp.errors import RvgahpError
from rvgahp.logsinks import journalOutput
from rvgahp.settings import Settings, load

_STDERR = 2

_Me = TypeVar("_Me", bound="DaemonOptions")


class CannotStart(SystemExit, Exception):
    """
    Ends twistd, after the reason has been said.  As an L{Exception} it makes a daemon's
    twistd tell whoever started it, who would wait for ever, and remove its pid file; as a
    L{SystemExit} it is no traceback.

    @ivar sentence: the reason.
    """

    def __init__(self, sentence: str) -> None:
        # twistd shows no more than 100 bytes of this, if it shows it.
        super().__init__("the line above says why, and so does the log")
        self.sentence = sentence
        self.code = 1  # in place of words, which would be printed


def keptStderr(options: Options) -> TextIO | None:
    """
    @return: a copy of stderr, which twistd closes when it puts itself into the background;
        L{None} if it does not.  To be closed when the daemon runs, for whoever started it
        may wait for that.
    """
    if options.parent is None or options.parent["nodaemon"]:
        return None
    try:
        return os.fdopen(os.dup(2), "w")
    except OSError:
        return None  # there is none


def _lastWords(role: str, problem: object) -> str:
    """
    @return: the line on stderr; for the journal, which reads it, with the priority before it.
    """
    priority = "<2>" if journalOutput(os.environ) == _STDERR else ""
    return f"{priority}rvgahp-{role}: {problem}"


def refuseStart(role: str, problem: object, stderr: TextIO | None) -> NoReturn:
    """
    Say why a service does not start.

    @param problem: a sentence.
    @param stderr: where, in place of twistd's own stderr (L{keptStderr}).
    @raise CannotStart: always.
    """
    Logger().critical("{reason}", reason=problem)
    # sys.stderr is the log by now.
    print(_lastWords(role, problem), file=stderr or sys.__stderr__)
    raise CannotStart(str(problem)) from None


class DaemonOptions(Options):
    """
    C{--config FILE}, and the settings that may be given in its place.

    @cvar role: C{"proxy"} or C{"ce"}.
    @cvar overrides: the setting that each option overrides, by option.
    @ivar settings: all settings, checked.
    @ivar rules: who may do what.
    @ivar credentials: key, certificate and authorities, checked; L{None}: none were read.
    """

    role = ""
    overrides: dict[str, str] = {}
    settings: Settings
    credentials: Credentials | None = None
    rules: AccessRules
    _from: tuple[str | None, dict[str, str]]

    def opt_version(self) -> None:
        """
        Print the version and exit.
        """
        print(f"rvgahp {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *words: str) -> None:
        """
        @raise UsageError: there is a word that is no option.
        """
        if words:
            raise UsageError(f"{words[0]!a} is no option; see --help")

    def postOptions(self) -> None:
        """
        Read the configuration, now: twistd changes its directory and forks later.

        @raise UsageError: something is wrong with the words.
        @raise CannotStart: something is wrong with a setting or a credential.
        """
        config = self["config"]
        if config == "":
            raise UsageError("--config needs the path of a file")
        given = {
            setting: self[option]
            for option, setting in self.overrides.items()
            if self[option] is not None
        }
        self._from = config and os.path.abspath(config), given
        try:
            self._read()
        except RvgahpError as e:
            self._refuse(str(e))

    def _read(self) -> None:
        self.settings = load(self.role, *self._from)
        self.readCredentials()
        self.rules, notes = readAccessRules(self.settings)
        self.settings.notes += notes
        self.check()

    def again(self: _Me) -> _Me:
        """
        Read everything again.  Blocks, within limits; to be called in a thread.

        @return: the same words, with what the files say now.
        @raise RvgahpError: something is wrong with a file.
        """
        other = type(self)()
        other.parent = self.parent
        other._from = self._from
        other._read()
        return other

    def _refuse(self, sentence: str) -> NoReturn:
        """
        Say it on stderr and in the log, which twistd has not opened yet.  Not as a
        L{UsageError}: it would come after all that there is to be said about options.
        """
        print(_lastWords(self.role, sentence), file=sys.stderr)
        path = self.parent["logfile"] if self.parent is not None else None
        if path and path != "-":
            known = getattr(self, "settings", None)
            isJSON = known is not None and known.get("RVGAHP_LOG_FORMAT") == "json"
            with suppress(OSError):
                sayToFile(f"rvgahp-{self.role}", sentence, path, isJSON)
        raise CannotStart(sentence)

    def openLog(self, reactor: Any, **always: Any) -> DaemonLog | None:
        """
        @param always: fields that each event has.
        @return: as of L{daemonLog}.
        @raise CannotStart: there can be no such log.
        """
        try:
            return daemonLog(reactor, self.settings, self.parent, always)
        except OSError as e:
            where = e.filename or "on stdout"
            self._refuse(f"the log {where} cannot be opened: {e.strerror or e}")

    def readCredentials(self) -> None:
        """
        @raise rvgahp.errors.CredentialError: they cannot be used.
        """
        grace = timedelta(seconds=self.settings.get("RVGAHP_RENEWAL_GRACE"))
        self.credentials = loadCredentials(
            self.settings.get("RVGAHP_CERTFILE"),
            self.settings.get("RVGAHP_KEYFILE"),
            self.settings.get("RVGAHP_CAFILE"),
            role=self.role,
            grace=grace if self.role == "ce" else None,
        )

    def check(self) -> None:
        """
        Check what only this role can.

        @raise RvgahpError: it does not hold.
        """


def parameters(*rows: tuple[str, str | None, str]) -> list[list[Any]]:
    """
    @param rows: an option's long name, its letter, and what it means.
    @return: C{optParameters}; what is not given is L{None}.
    """
    return [[name, letter, None, text] for name, letter, text in rows]
