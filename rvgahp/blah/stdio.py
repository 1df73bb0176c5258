# -*- test-case-name: tests.test_blah_program -*-
"""
The program's standard streams, kept for the dialogue alone.  Standard library
only.
"""

from __future__ import annotations

import os
import select

__all__ = ["DialogueStreams"]


class DialogueStreams:
    """
    What was standard input and output, taken out of everybody's reach.

    A line on stdout that is not a reply breaks the dialogue, and with it the
    gridmanager.  So whatever else in the process, or in a program that a
    plugin runs, writes to descriptor 1 writes to stderr; and what reads
    descriptor 0 finds nothing, rather than the client's next command.

    @ivar input: the descriptor to poll before L{read}.
    """

    def __init__(self) -> None:
        """
        @raise OSError: the process was started without standard streams.
        """
        self.input = os.dup(0)
        self._output = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        try:
            os.dup2(2, 1)
        except OSError:
            # There is no stderr.
            os.dup2(nothing, 1)
        os.close(nothing)

    def read(self) -> bytes | None:
        """
        @return: what the client wrote; empty when it is gone; C{None} if
            there is nothing after all.
        """
        try:
            return os.read(self.input, 65536)
        except BlockingIOError:
            return None
        except OSError:
            # A reset socket, a hung-up terminal: the end, not so nicely said.
            return b""

    def write(self, data: bytes) -> None:
        """
        Write all of it, whether or not our starter made the stream
        non-blocking.

        @raise OSError: the client is gone.
        """
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._output, select.POLLOUT)
                poll.poll()
