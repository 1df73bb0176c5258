"""
What the gridmanager double is made of: how it ends, its times, its reader of lines.

Nothing here comes from C{rvgahp}: the double judges that code.  References are to
HTCondor's C{src/condor_gridmanager}: C{gc} is C{gahp-client.cpp}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

#: From so many bytes on a token is the gridmanager's end (C{gc} C{read_argv}, its buffer).
TOKEN_LENGTH = 1024 * 500

#: The bytes of a banner from its C{$} on, backslashes not counted, its LF counted
#: (C{gahp-client.h} C{m_gahp_version}).
BANNER_LENGTH = 150

#: The most that is read from stdout at once (C{gc} C{m_buffer_size}).
READ_SIZE = 4096

_PIECE = re.compile(rb"[^\\ \r\n]+|[\\ \r\n]")
_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")


class GridmanagerError(Exception):
    """
    Something that must not happen to a gridmanager.
    """


class GridmanagerDied(GridmanagerError):
    """
    The real one ends itself here (EXCEPT or ASSERT), and with it the dialogues with all
    GAHPs of that user.
    """


class GridmanagerHung(GridmanagerError):
    """
    The real one stands still here, for as long as it takes, at 100 % CPU or blocked.
    """


class ResourceDown(GridmanagerError):
    """
    A ping failed: the GAHP could not be started, or said so.  No job is lost.
    """


class JobHeld(GridmanagerError):
    """
    A job was put on hold by the gridmanager, not by its owner.
    """


class CommandRefused(GridmanagerError):
    """
    A synchronous command failed; the real one logs it and goes on.
    """


class OutOfStep(GridmanagerError):
    """
    A line that no GAHP may send.  The real one logs it or does not even see it, and goes on:
    what comes then may be taken for the answer to something else.
    """


@dataclass(frozen=True)
class Times:
    """
    The gridmanager's times in seconds, its default settings.

    @ivar response: for each line that it waits for.  GRIDMANAGER_GAHP_RESPONSE_TIMEOUT.
    @ivar call: for a request to the batch GAHP.  GRIDMANAGER_GAHP_CALL_TIMEOUT.
    @ivar transfer: for a request to the transfer GAHP (C{infnbatchjob.cpp}, hard-coded).
    @ivar poll: between two RESULTS where notices are on: C{gc} C{Startup}.
    @ivar pollWithout: and where they are not.
    @ivar probeDelay: least time between two pings while the resource is up.
    @ivar probeInterval: between two pings while it is down.
        GRIDMANAGER_RESOURCE_PROBE_INTERVAL.
    @ivar jobPoll: between two questions for one job's status.
        GRIDMANAGER_JOB_PROBE_INTERVAL.
    @ivar second: what the real one rounds to.
    @ivar banner: the double's own: the real one waits for ever.
    @ivar write: the double's own, likewise: for one blocked write.
    @ivar leave: the double's own: from the end of the GAHP's stdin, or of its stdout, to its
        exit.
    """

    response: float = 20
    call: float = 300
    transfer: float = 3600
    poll: float = 60
    pollWithout: float = 5
    probeDelay: float = 15
    probeInterval: float = 300
    jobPoll: float = 60
    second: float = 1
    banner: float = 30
    write: float = 20
    leave: float = 30

    def scaled(self, factor: float, **others: float) -> Times:
        """
        @param factor: what all times are multiplied by, but those in C{others}.
        """
        numbers = {field.name: getattr(self, field.name) * factor for field in fields(self)}
        return Times(**{**numbers, **others})


def escape(token: bytes) -> bytes:
    """
    @return: the token as the gridmanager writes it (C{gc} C{escapeGahpString}).
    """
    return re.sub(rb"([ \\\r\n])", rb"\\\1", token)


def number(token: bytes) -> int:
    """
    @return: what C's C{atoi} makes of it: 0 where there is no number.
    """
    match = _NUMBER.match(token)
    return int(match.group(1)) if match else 0


def isNull(token: bytes) -> bool:
    """
    @return: whether it stands for no value.
    """
    return token.upper() == b"NULL"


def isNotice(line: list[bytes]) -> bool:
    """
    @return: whether it is taken for the notice that there are results, wherever it stands.
    """
    return len(line) == 1 and line[0][:1] == b"R"


class LineReader:
    """
    Bytes in, tokens out, as C{gc} C{read_argv} reads them.  An empty line is a line.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._tokens: list[bytes] = []
        self._token = bytearray()
        self._escaped = False

    @property
    def rest(self) -> bytes:
        """
        What was read and not yet used.
        """
        return self._buffer[self._at :]

    @property
    def isEmpty(self) -> bool:
        """
        Whether all is used.
        """
        return self._at >= len(self._buffer)

    def feed(self, data: bytes) -> None:
        """
        Take more bytes.
        """
        self._buffer = self.rest + data
        self._at = 0

    def forget(self) -> None:
        """
        Drop the beginning of a line that does not end.
        """
        self._tokens, self._token, self._escaped = [], bytearray(), False

    def byte(self) -> bytes:
        """
        @return: the next byte; C{b""} if there is none.
        """
        data = self._buffer[self._at : self._at + 1]
        self._at += len(data)
        return data

    def line(self) -> list[bytes] | None:
        """
        @return: the tokens of the next line, at least one; C{None} if its end is not there.
        @raise GridmanagerDied: a token is too long.
        """
        while self._at < len(self._buffer):
            if self._escaped:
                self._token += self.byte()
                self._escaped = False
            else:
                match = _PIECE.match(self._buffer, self._at)
                assert match
                self._at = match.end()
                if (piece := match.group()) in b" \n":
                    self._endToken()
                    if piece == b"\n":
                        tokens = self._tokens
                        self.forget()
                        return tokens
                elif piece == b"\\":
                    self._escaped = True
                elif piece != b"\r":
                    self._token += piece
            if len(self._token) >= TOKEN_LENGTH:
                raise GridmanagerDied(f"ASSERT: a token of {TOKEN_LENGTH} bytes or more")
        return None

    def _endToken(self) -> None:
        # A string of C ends at a NUL.
        self._tokens.append(bytes(self._token).partition(b"\0")[0])
        self._token.clear()
