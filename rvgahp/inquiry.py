# -*- test-case-name: tests.test_inquiry -*-
"""
Questions to the proxy over its UNIX socket, each with a limit of time.
C{doc/protocol.rst}, step 4a.

Layer 6.  For commands that have no reactor.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.protocols.amp import UNHANDLED_ERROR_CODE, AmpBox, Command

from rvgahp import commands, limits
from rvgahp.boxes import BoxReader
from rvgahp.errors import InternalError, ProtocolError, RvgahpError, VersionMismatch
from rvgahp.patience import Patience, TookTooLong, Wait

#: Seconds for an answer.  A proxy that has just started waits for its sites for a while.
_LIMIT = 10.0

#: Seconds for the first one, before which it is not known that it is a proxy that listens.
_FIRST_LIMIT = 3.0

_TAG = b"1"


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

    def close(self) -> None:
        """
        No more questions.
        """
        self._connection.close()

    def ask(self, command: type[Command], **arguments: str) -> dict[str, Any]:
        """
        @return: the values of the answer.
        @raise NoProxy: nothing has come yet that only a proxy would send.
        @raise RvgahpError: the proxy refused, in its own words and class; or it gave no
            answer that can be understood.
        """
        name = command.commandName.decode("ascii")
        question = command.makeArguments(dict(arguments), None)
        question.update({b"_command": command.commandName, b"_ask": _TAG})
        try:
            self._connection.sendall(AmpBox(question).serialize())
            answer = self._receive(name)
        except OSError as e:
            raise ProtocolError(f"the proxy was lost: {e.strerror or e}") from None
        if answer.get(b"_error") == _TAG:
            raise self._refusal(command, answer)
        try:
            values: dict[str, Any] = command.parseResponse(AmpBox(answer), None)
        except (LookupError, ValueError) as e:
            raise ProtocolError(
                f"the proxy's answer to {name} was not understood ({type(e).__name__})"
            ) from None
        return values

    def _receive(self, name: str) -> dict[bytes, bytes]:
        limit = _LIMIT if self._isProxy else _FIRST_LIMIT
        wait = self._patience.wait(f"the proxy's answer to {name}", limit)
        while True:
            for box in self._boxes(wait):
                self._isProxy = True
                if box.get(b"_command") == commands.SessionLost.commandName:
                    # So it refuses a connection as a whole.
                    raise ProtocolError(_text(box.get(b"reason", b"the proxy takes no more")))
                if _TAG in (box.get(b"_answer"), box.get(b"_error")):
                    return box

    def _boxes(self, wait: Wait) -> list[dict[bytes, bytes]]:
        try:
            wait.readable(self._connection.fileno())
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

    @staticmethod
    def _refusal(command: type[Command], box: dict[bytes, bytes]) -> RvgahpError:
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


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
