# -*- test-case-name: tests.test_blah_server -*-
"""
The GAHP server's side of the dialogue: lines in, lines out.

Commands without a request id are answered where they are read.  Those with one
are acknowledged at once and carried out in threads: a local resource manager
waits for programs and file systems, and a plugin's author writes that most
simply, and most surely, as plain calls that block.  At most 50 wait at a time,
so threads cost little; an event loop would cost 0.2 s of each start, while
which the gridmanager does nothing else.

The words are blahpd's (C{src/blahp/src/server.c}, C{commands.c}).  Reads no
input and knows no local resource manager.  May import the standard library,
L{rvgahp.gahplines} and this package.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from rvgahp.blah import limits
from rvgahp.errors import ProtocolError
from rvgahp.gahplines import escapeToken, joinTokens, splitTokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rvgahp.blah.requests import Request

__all__ = ["GahpServer"]


class GahpServer:
    """
    One dialogue.  The methods are called by one thread, which reads the input;
    requests finish in others.

    @ivar ended: whether the client has said QUIT.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        complain: Callable[[str], None],
        requests: Iterable[Request],
        banner: bytes,
    ) -> None:
        """
        @param write: writes bytes to the client, all of them; may raise
            L{OSError} when it has gone.
        @param complain: told what the operator should know.
        @param requests: the asynchronous commands.
        @param banner: the line that VERSION tells, as it stands on the wire.
        """
        self.ended = False
        self._write = write
        self._complain = complain
        self._requests = {request.name.encode("ascii"): request for request in requests}
        self._banner = banner
        self._commands = {
            b"ASYNC_MODE_OFF": self._asyncModeOff,
            b"ASYNC_MODE_ON": self._asyncModeOn,
            b"COMMANDS": self._listCommands,
            b"QUIT": self._quit,
            b"RESULTS": self._sendResults,
            b"VERSION": self._sendVersion,
        }
        # Guards all below, and the output: an R must not fall into a reply.
        self._changed = threading.Condition()
        self._results: list[bytes] = []
        self._running = 0
        self._changing = 0
        self._asyncMode = False
        self._noticed = False

    def lineReceived(self, line: bytes) -> None:
        """
        Obey one line.  Whatever it holds, it gets its answer.

        @param line: the line without its end; not empty.
        @raise OSError: the client has gone.
        """
        try:
            command, *arguments = splitTokens(line)
        except ProtocolError as error:
            return self._reply(b"E", str(error))
        name = command.upper()
        if name in self._commands:
            if self._countFits(0, arguments):
                self._commands[name]()
        elif name in self._requests:
            self._begin(self._requests[name], arguments)
        else:
            self._reply(b"E", "Unknown command")
        return None

    def lineTooLong(self) -> None:
        """
        Answer a line that grew over the limit and was thrown away.
        """
        self._reply(b"E", f"A line may have at most {limits.LINE_LENGTH} bytes")

    def finishChanges(self, seconds: float) -> None:
        """
        Let submits and cancels that have begun come to their end.

        @param seconds: the longest time to wait.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._changing and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())

    def _begin(self, request: Request, arguments: list[bytes]) -> None:
        if not self._countFits(request.parameters, arguments):
            return
        requestId = arguments[0]
        if not requestId.isdigit() or len(requestId) > limits.REQUEST_ID_DIGITS:
            self._reply(b"E", "A request id must be a decimal number")
            return
        with self._changed:
            # Held until the acknowledgement is out: the result comes after it.
            if self._running >= limits.REQUESTS or len(self._results) >= limits.RESULTS:
                self._reply(b"F", "Threads limit reached")
                return
            thread = threading.Thread(target=self._carryOut, args=(request, arguments), daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._reply(b"F", "Cannot start thread")
                return
            self._running += 1
            self._changing += request.changes
            self._reply(b"S")

    def _carryOut(self, request: Request, arguments: list[bytes]) -> None:
        """
        Work for one request, in its thread.
        """
        requestId, *others = arguments
        result = joinTokens([requestId, *request.run(others, self._complain)])
        with self._changed:
            self._running -= 1
            self._changing -= request.changes
            self._changed.notify_all()
            self._results.append(result)
            # An error: the client has gone, as the reader of the input will see.
            with suppress(OSError):
                self._notice()

    def _notice(self) -> None:
        """
        In asynchronous mode, say once that there are results.
        """
        if self._asyncMode and self._results and not self._noticed:
            self._noticed = True
            self._write(b"R\r\n")

    def _sendResults(self) -> None:
        with self._changed:
            results, self._results = self._results, []
            self._noticed = False
            self._write(b"\r\n".join([b"S %d" % len(results), *results]) + b"\r\n")

    def _asyncModeOn(self) -> None:
        with self._changed:
            self._asyncMode = True
            self._reply(b"S")
            # What was ready before would otherwise wait for the next result.
            self._notice()

    def _asyncModeOff(self) -> None:
        with self._changed:
            self._asyncMode = False
            self._reply(b"S")

    def _listCommands(self) -> None:
        listed = [name for name, request in self._requests.items() if request.listed]
        self._reply(b"S " + joinTokens(sorted([*self._commands, *listed])))

    def _sendVersion(self) -> None:
        self._reply(b"S " + self._banner)

    def _quit(self) -> None:
        self.ended = True
        self._reply(b"S", "Server exiting")

    def _countFits(self, expected: int, arguments: list[bytes]) -> bool:
        if len(arguments) == expected:
            return True
        self._reply(b"E", f"expected {expected} parameters, {len(arguments)} found")
        return False

    def _reply(self, line: bytes, reason: str = "") -> None:
        if reason:
            line += b" " + escapeToken(reason.encode("ascii"))
        with self._changed:
            self._write(line + b"\r\n")
