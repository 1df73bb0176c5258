# -*- test-case-name: tests.test_inquiry -*-
"""
Questions to the proxy over its UNIX socket, each with a limit of time.
C{doc/protocol.rst}, step 4a.

Layer 6.  For commands that have no reactor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.protocols.amp import UNHANDLED_ERROR_CODE, AmpBox, Command

from rvgahp import limits, localcommands
from rvgahp.boxes import BoxReader
from rvgahp.errors import InternalError, ProtocolError, RvgahpError, VersionMismatch
from rvgahp.patience import Patience, TookTooLong, Wait
from rvgahp.proxysocket import connect, findSocket

#: Seconds for an answer.  A proxy that has just started waits for its sites for a while.
_LIMIT = 10.0

#: Seconds for the first one, before which it is not known that it is a proxy that listens.
_FIRST_LIMIT = 3.0

_TAG = b"1"


class Companion(Protocol):
    """
    What is to be served while an answer is waited for.
    """

    def descriptors(self) -> Sequence[int]:
        """
        @return: those that are to be watched.
        """

    def serve(self, ready: Sequence[int]) -> None:
        """
        Some descriptors have something to read; ours may be among them.
        """


class NoProxy(RvgahpError):
    """
    What listens where the proxy should is another program, or it hangs.
    """


class Inquiry:
    """
    One connection to the proxy, over which one may ask again and again.
    """

    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        """
        @param connection: what L{rvgahp.proxysocket.connect} returned; ours from now on.
        """
        self._connection = connection
        self._patience = patience
        self._reader = BoxReader(limits.LOCAL_BOX_BYTES)
        self._isProxy = False  # as far as is known
        self._companion: Companion | None = None

    def close(self) -> None:
        """
        No more questions.
        """
        self._connection.close()

    def askBeside(
        self, companion: Companion, limit: float, command: type[Command], **arguments: Any
    ) -> dict[str, Any]:
        """
        L{ask}, and serve another meanwhile.

        @param limit: seconds for the answer.
        """
        self._companion = companion
        try:
            return self._ask(limit, command, arguments)
        finally:
            self._companion = None

    def askWithin(self, limit: float, command: type[Command], **arguments: Any) -> dict[str, Any]:
        """
        L{ask}, of something that takes its time.

        @param limit: seconds for the answer.
        """
        return self._ask(limit, command, arguments)

    def ask(self, command: type[Command], **arguments: Any) -> dict[str, Any]:
        """
        @return: the values of the answer.
        @raise NoProxy: nothing has come yet that only a proxy would send.
        @raise RvgahpError: the proxy refused, in its own words and class; or it gave no
            answer that can be understood.
        """
        return self._ask(_LIMIT if self._isProxy else _FIRST_LIMIT, command, arguments)

    def _ask(
        self, limit: float, command: type[Command], arguments: dict[str, Any]
    ) -> dict[str, Any]:
        name = command.commandName.decode("ascii")
        question = command.makeArguments(arguments, None)
        question.update({b"_command": command.commandName, b"_ask": _TAG})
        try:
            self._connection.sendall(AmpBox(question).serialize())
            answer = self._receive(self._patience.wait(f"the proxy's answer to {name}", limit))
        except OSError as e:
            raise ProtocolError(f"the proxy was lost: {e.strerror or e}") from None
        if answer.get(b"_error") == _TAG:
            raise self.refusal(command, answer)
        try:
            values: dict[str, Any] = command.parseResponse(AmpBox(answer), None)
        except (LookupError, ValueError) as e:
            raise ProtocolError(
                f"the proxy's answer to {name} was not understood ({type(e).__name__})"
            ) from None
        return values

    def _receive(self, wait: Wait) -> dict[bytes, bytes]:
        while True:
            for box in self._boxes(wait):
                self._isProxy = True
                if box.get(b"_command") == localcommands.SessionLost.commandName:
                    # So it refuses a connection as a whole.
                    raise ProtocolError(_text(box.get(b"reason", b"the proxy takes no more")))
                if _TAG in (box.get(b"_answer"), box.get(b"_error")):
                    return box

    def _boxes(self, wait: Wait) -> list[dict[bytes, bytes]]:
        try:
            self._await(wait)
            data = self._connection.recv(limits.LOCAL_BOX_BYTES)
            boxes = self._reader.read(data)
        except (TookTooLong, ProtocolError) as e:
            if self._isProxy:
                raise
            raise NoProxy(
                f"what listens there does not speak this protocol, or hangs ({e}); is it another"
                " program, such as the rvgahp_proxy of C rvgahp?"
            ) from None
        if not data:
            raise ProtocolError("the proxy closed the connection without a word")
        return boxes

    def _await(self, wait: Wait) -> None:
        own, companion = self._connection.fileno(), self._companion
        ready: Sequence[int] = ()
        while own not in ready:
            ready = wait.readable(own, *(companion.descriptors() if companion else ()))
            if companion is not None:
                companion.serve(ready)

    @staticmethod
    def refusal(command: type[Command], box: dict[bytes, bytes]) -> RvgahpError:
        """
        @return: what a refusal says, in its class.
        """
        code = box.get(b"_error_code", b"")
        if code == UNHANDLED_ERROR_CODE:
            return VersionMismatch(
                f"the proxy does not know {command.commandName.decode('ascii')}: it is older than"
                " this program"
            )
        sentence = _text(box.get(b"_error_description", b""))
        for error, known in command.errors.items():
            if known == code and issubclass(error, RvgahpError):
                return error(sentence)
        return InternalError(sentence)


def askProxy(
    path: str | None,
    wake: Callable[[], int],
    limit: float,
    command: type[Command],
    **arguments: Any,
) -> dict[str, Any]:
    """
    Ask this host's proxy one thing.

    @param path: of its socket; L{None}: where the client looks.
    @param wake: makes a descriptor that becomes readable when we are to end.
    @param limit: seconds for the answer.
    @return: as of L{Inquiry.ask}, and so it fails.
    """
    inquiry = Inquiry(connect(findSocket(path)), Patience(wake()))
    try:
        inquiry.ask(localcommands.DescribeProxy)  # else something that hangs is waited for too long
        return inquiry.askWithin(limit, command, **arguments)
    finally:
        inquiry.close()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
