# -*- test-case-name: tests.test_blah_program -*-
"""
The program C{rvgahp_blahpd}: the batch GAHP on standard input and output.

Imports only what the banner needs; the gridmanager waits for it at 100 % CPU.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress

from rvgahp import __version__
from rvgahp.blah import limits
from rvgahp.blah.stdio import DialogueStreams
from rvgahp.gahplines import LineSplitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvgahp.blah.server import GahpServer

__all__ = ["BANNER", "main"]

#: As it stands on the wire; with its end at most 150 bytes, the gridmanager's
#: buffer (gahp-client.cpp, command_version).
BANNER = b"$GahpVersion: %s Nov 20 2026 rvgahp_blahpd\\ (poly,new_esc_format) $" % (
    __version__.encode("ascii")
)

DESCRIPTION = """\
Run a site's batch jobs for an HTCondor gridmanager.

This is a GAHP server, to be used in place of blahpd: it is started by
rvgahp-ce, by ssh or by the gridmanager itself, which then talks to it in lines
on standard input and output.  It takes no arguments."""

EPILOG = """\
Talk to it yourself to see whether a site works; replies begin with S (done),
F (refused) or E (not understood):

  $ rvgahp_blahpd
  BLAH_PING 2 fork
  BLAH_JOB_SUBMIT 3 [gridtype="fork";Cmd="/bin/date";Iwd="/tmp";Out="date.out"]
  RESULTS                     the job's id, after "3 0 No\\ error"
  BLAH_JOB_STATUS 4 fork/20261120/0123456789abcdef
  RESULTS                     1 idle, 2 running, 3 removed, 4 completed, 5 held
  QUIT

A blank or a backslash inside an argument is written with a backslash before it.

environment:
  RVGAHP_BLAH_DIR   directory of the records of this account's fork jobs
                    (default: $HOME/.rvgahp/blah); records of finished jobs are
                    thrown away after 7 days

exit status: 0 after QUIT, 1 when the input ended without it, 2 for a wrong use.
Local resource managers are plugins; doc/blahpd.rst says how to write one."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the program.

    @param argv: its arguments; those of the process by default.
    @return: the exit status.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments:
        _parse(arguments)
    try:
        streams = DialogueStreams()
        signalPipe = _takeSignals()
        streams.write(BANNER + b"\r\n")
        status = _serve(streams, signalPipe)
    except OSError:
        _complain("Connection closed by remote host")
        status = 1
    # Not sys.exit: requests that only look may still be at it in their
    # threads, and the interpreter's end under them is not for them to meet.
    os._exit(status)


def _parse(arguments: Sequence[str]) -> None:
    """
    Answer --help and --version, and refuse the rest; always exits.
    """
    import argparse

    parser = argparse.ArgumentParser(
        prog="rvgahp_blahpd",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.parse_args(arguments)


def _takeSignals() -> int:
    """
    Have the signals that end us arrive as bytes, between two lines.

    @return: the descriptor to read them from.
    """
    # A writer that is gone is an error to its writer; a job's status is ours
    # to fetch, whatever our starter ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _nextTimeDie)
    return reading


def _nextTimeDie(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)


def _serve(streams: DialogueStreams, signalPipe: int) -> int:
    """
    Hold the dialogue to its end.

    @return: the exit status.
    @raise OSError: the client does not take what we write.
    """
    from rvgahp.blah.registry import ManagerRegistry
    from rvgahp.blah.requests import makeRequests
    from rvgahp.blah.server import GahpServer

    requests = makeRequests(ManagerRegistry(_complain))
    server = GahpServer(streams.write, _complain, requests, BANNER)
    splitter = LineSplitter(limits.LINE_LENGTH)
    poll = select.poll()
    poll.register(streams.input, select.POLLIN)
    poll.register(signalPipe, select.POLLIN)
    try:
        while not server.ended:
            ready = [fd for fd, _ in poll.poll()]
            if signalPipe in ready:
                number = os.read(signalPipe, 1)[0]
                _complain(f"ended by signal {number}")
                return 128 + number
            data = streams.read()
            if data == b"":
                _complain("Connection closed by remote host")
                return 1
            _obey(server, splitter.feed(data or b""))
        return 0
    finally:
        server.finishChanges(limits.LAST_CHANGES)


def _obey(server: GahpServer, lines: list[bytes | None]) -> None:
    for line in lines:
        if server.ended:
            return
        if line is None:
            server.lineTooLong()
        else:
            server.lineReceived(line)


def _complain(sentence: str) -> None:
    """
    Tell the operator, in whole lines.
    """
    # An error: there is no stderr.
    with suppress(OSError):
        os.write(2, f"rvgahp_blahpd: {sentence}\n".encode("utf-8", "replace"))
