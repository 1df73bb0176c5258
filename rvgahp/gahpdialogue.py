# -*- test-case-name: tests.test_gahpdialogue -*-
"""
The gridmanager's part in a conversation with a GAHP, said by hand: the real
C{rvgahp_client} is started, as the gridmanager would, and spoken to line by line.

Layer 6.  For C{rvgahp demo} and C{rvgahp trace}.  What the gridmanager does is told
after HTCondor 25.14, C{src/condor_gridmanager/gahp-client.cpp}.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rvgahp.complaint import FAILURE
from rvgahp.errors import ProtocolError, StartFailed
from rvgahp.gahplines import joinTokens, splitTokens
from rvgahp.patience import Patience, TookTooLong, Wait

#: Seconds for the banner.  The gridmanager has no limit; the client's own add up to 23.
BANNER_LIMIT = 30.0

#: Seconds for the answer to a line; with more the gridmanager ends itself
#: (GRIDMANAGER_GAHP_RESPONSE_TIMEOUT).
ANSWER_LIMIT = 20.0

#: Bytes of the longest banner that the gridmanager takes (C{command_version}).
BANNER_BYTES = 150

#: Lines of stderr that are kept, as the gridmanager keeps them.
_STDERR_LINES = 4

_STDERR_BYTES = 4096
_COMPLAINT = "rvgahp_client: "

#: How the gridmanager learns of a tunnel's port: the first such line with a number that is
#: not 0 (C{err_pipe_ready}).
_ANNOUNCEMENT = re.compile(
    rb"^Allocated\sport\s([1-9][0-9]{0,4})\sfor\sremote\sforward\sto\s(.*)\n", re.M
)

_LINE_BYTES = 1 << 20
_FIRST_POLL, _LAST_POLL = 0.02, 0.5  # seconds between two RESULTS

#: Seconds until the client has ended after a QUIT, after the end of its input, and after
#: TERM.
_QUIT_LIMIT = 5.0
_EOF_LIMIT = 1.0
_TERM_LIMIT = 5.0


class Ended(StartFailed):
    """
    The GAHP has ended, and the client with its status.
    """


class GaveUp(Ended):
    """
    The client has ended for a reason of its own, and said which.
    """


def findClient() -> str:
    """
    @return: the path of C{rvgahp_client}: beside the interpreter, else on the PATH.
    @raise StartFailed: it is not there.
    """
    beside = Path(sys.executable).with_name("rvgahp_client")
    path = shutil.which(str(beside)) or shutil.which("rvgahp_client")
    if path is None:
        raise StartFailed(
            f"there is no program rvgahp_client, neither in {beside.parent} nor on the PATH"
        )
    return path


class Dialogue:
    """
    One client, and the conversation with its GAHP.

    @ivar pid: the client's process.
    @ivar tunnel: the port at the site that the client has announced on stderr, and the
        address that it leads to; L{None}: none so far.
    """

    def __init__(
        self,
        words: Sequence[str],
        patience: Patience,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """
        @param words: the client's command line.
        @param environ: its environment; by default ours.
        @raise OSError: it cannot be started.
        """
        self._patience = patience
        # Ctrl-C is for us: what runs at the site is ended in order, and then the client.
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env=environ,
        )
        self.pid = self._process.pid
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin, self._stdout, self._stderr = (
            stream.fileno()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        os.set_blocking(self._stderr, False)
        self._open = {self._stdout, self._stderr}
        self._heard = b""
        self._complaints = b""
        self.tunnel: tuple[int, str] | None = None
        self._count = 1
        self._asked = ""  # the command whose reply is to be read next
        self._due = 0  # results that are to be read next
        self._arrived: dict[str, list[str]] = {}  # results by request
        self._isStuck = False

    # -- lines --------------------------------------------------------------

    def banner(self) -> str:
        """
        @return: what the GAHP says first; what comes before its C{$} is skipped, as the
            gridmanager does.
        @raise StartFailed: it did not come, or is none that the gridmanager takes.
        """
        wait = self._patience.wait("the GAHP's banner", BANNER_LIMIT)
        skipped = 0
        while True:
            line = self._line(wait)
            start = line.find(b"$")
            if start >= 0:
                break
            skipped += len(line)
            if skipped > _LINE_BYTES:
                raise ProtocolError(f"{skipped} bytes came, and no banner among them")
        if len(line) - start > BANNER_BYTES:
            raise ProtocolError(
                f"the banner has {len(line) - start} bytes, and the gridmanager takes"
                f" {BANNER_BYTES}"
            )
        return " ".join(_tokens(line[start:]))

    def ask(self, *words: str) -> list[str]:
        """
        @return: the tokens of the reply.
        @raise StartFailed: there is none, or it is none that the gridmanager takes.
        @raise TookTooLong: it did not come in time; nothing can be asked any more.
        """
        if self._isStuck:
            raise StartFailed(f"{words[0]} was not asked, since the GAHP answers no more")
        wait = self._patience.wait(f"the answer to {words[0]}", ANSWER_LIMIT)
        try:
            self._finishReply(wait)  # if we were interrupted in the last one
            self._asked = words[0]
            with suppress(BrokenPipeError):  # its status tells more
                os.write(self._stdin, joinTokens(word.encode() for word in words) + b"\r\n")
            return self._finishReply(wait)
        except TookTooLong:
            self._isStuck = True
            raise

    def _finishReply(self, wait: Wait) -> list[str]:
        """
        Read the reply that is due, and the results that it announces.
        """
        reply: list[str] = []
        if self._asked:
            reply = _tokens(self._line(wait))
            command, self._asked = self._asked, ""
            if command == "RESULTS":
                self._due = _count(reply)
        while self._due:
            tokens = _tokens(self._line(wait))
            self._due -= 1
            self._arrived[tokens[0]] = tokens[1:]
        return reply

    def newRequest(self) -> str:
        """
        @return: an id for L{begin}.
        """
        self._count += 1
        return str(self._count)

    def begin(self, request: str, *words: str) -> None:
        """
        Give a command whose result comes later (L{collect}).

        @raise StartFailed: it was refused.
        """
        reply = self.ask(words[0], request, *words[1:])
        if reply[0] != "S":
            raise StartFailed(f"{words[0]} was answered {' '.join(reply)}")

    def collect(self, request: str, fields: int, wait: Wait) -> list[str]:
        """
        @param fields: how many the result has without the request's id.  The gridmanager
            ends itself over any other number.
        @return: the result, without the id.
        @raise StartFailed: it is no such result.
        """
        pause = _FIRST_POLL
        while True:
            self.ask("RESULTS")
            result = self._arrived.pop(request, None)
            if result is None:
                wait.pause(pause)
                pause = min(1.5 * pause, _LAST_POLL)
            elif len(result) == fields:
                return result
            else:
                raise StartFailed(f"{wait.what} has {len(result)} fields in place of {fields}")

    def result(self, *words: str, fields: int, limit: float) -> list[str]:
        """
        L{begin} and L{collect}.
        """
        request = self.newRequest()
        wait = self._patience.wait(f"the result of {words[0]}", limit)
        self.begin(request, *words)
        return self.collect(request, fields, wait)

    def _line(self, wait: Wait) -> bytes:
        while b"\n" not in self._heard:
            if len(self._heard) > _LINE_BYTES:
                raise ProtocolError(f"a line of more than {_LINE_BYTES} bytes came")
            ready = wait.readable(*self._open)
            if self._stderr in ready:
                self._hearComplaints()
            if self._stdout in ready:
                data = os.read(self._stdout, 65536)
                if not data:
                    raise self._ended()
                self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.rstrip(b"\r")

    # -- what it complains of, and its end ----------------------------------

    def _hearComplaints(self) -> None:
        """
        Read what there is of stderr.
        """
        with suppress(BlockingIOError):
            data = os.read(self._stderr, 65536)
            self._complaints += data
            announced = _ANNOUNCEMENT.search(self._complaints)
            if announced and self.tunnel is None:
                self.tunnel = int(announced[1]), announced[2].decode("utf-8", "replace")
            self._complaints = self._complaints[-_STDERR_BYTES:]
            if not data:
                self._open.discard(self._stderr)

    def complaint(self, word: str, limit: float) -> str:
        """
        @return: the first line of stderr that has C{word}, without the client's name.
        @raise TookTooLong: none came within C{limit} seconds.
        @raise Ended: none can come any more.
        """
        wait = self._patience.wait("the client's word on it", limit)
        while True:
            for line in self._complaints.decode("utf-8", "replace").splitlines(keepends=True):
                if word in line and line.endswith("\n"):
                    return line.removeprefix(_COMPLAINT).rstrip()
            if self._stderr not in self._open:
                raise self._ended()
            wait.readable(self._stderr)
            self._hearComplaints()

    def lastWords(self) -> str:
        """
        @return: the last lines of the client's stderr.
        """
        self._hearComplaints()
        lines = self._complaints.decode("utf-8", "replace").splitlines()
        return " / ".join([line.strip() for line in lines if line.strip()][-_STDERR_LINES:])

    def _ended(self) -> Ended:
        try:
            status = self._process.wait(_QUIT_LIMIT)
        except subprocess.TimeoutExpired:
            return Ended(f"the GAHP closed its output: {self.lastWords()}")
        said = self.lastWords()
        last = said.rpartition(" / ")[2]
        if status == FAILURE and last.startswith(_COMPLAINT):
            return GaveUp(last[len(_COMPLAINT) :])
        return Ended(f"the GAHP ended with status {status}: {said or 'nothing on stderr'}")

    def quit(self) -> int:
        """
        @return: the client's exit status, which is the GAHP's.
        @raise StartFailed: it does not end.
        """
        self.ask("QUIT")
        try:
            return self._process.wait(_QUIT_LIMIT)
        except subprocess.TimeoutExpired:
            raise StartFailed(f"after QUIT it did not end within {_QUIT_LIMIT:g} s") from None

    def close(self) -> None:
        """
        If it still runs, end it: its input ends, then TERM, then KILL.
        """
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.close()
        steps = ((_EOF_LIMIT, self._process.terminate), (_TERM_LIMIT, self._process.kill))
        for limit, end in steps:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(limit)
                break
            end()
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()


def _count(reply: list[str]) -> int:
    """
    @return: how many lines follow this reply to RESULTS.
    """
    if reply[0] != "S" or len(reply) < 2 or not reply[1].isdecimal() or len(reply[1]) > 6:
        raise StartFailed(f"RESULTS was answered {' '.join(reply)}")
    return int(reply[1])


def _tokens(line: bytes) -> list[str]:
    return [token.decode("utf-8", "backslashreplace") for token in splitTokens(line)]
