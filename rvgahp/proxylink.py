# -*- test-case-name: tests.test_proxylink -*-
"""
The client's conversation with the proxy: boxes, some with a socket beside them.

Layer 1: the standard library.  C{doc/protocol.rst}, steps 4, 6 and 12.
"""

from __future__ import annotations

import array
import os
import socket

from rvgahp import limits
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.descriptor import Descriptor
from rvgahp.errors import ProtocolError, SessionGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from rvgahp.descriptor import Loop

    Box = dict[bytes, bytes]

    class LinkUser(Protocol):
        """
        Who is told of the proxy's words.
        """

        def answered(self, box: Box) -> None:
            """
            The proxy granted the request.
            """

        def refused(self, sentence: str) -> None:
            """
            The proxy refused the request.
            """

        def channelHanded(self, stream: int, connection: socket.socket) -> None:
            """
            The proxy passed a connection that the CE dialled.  It is ours now.
            """

        def renewKey(self, box: Box) -> None:
            """
            The proxy sent the session's next key: B{secret}.

            @raise SessionGone: not this session's.
            @raise ProtocolError, KeyError, ValueError: it makes no sense.
            """

        def sessionLost(self, reason: str) -> None:
            """
            The CE has given the session up; an empty C{reason} if in good order.
            """

        def linkLost(self, reason: str, closed: bool) -> None:
            """
            The proxy went away.  What runs goes on.

            @param closed: it has closed the connection, as one does that is stopped.
            """


def _asSocket(number: int) -> socket.socket | None:
    """
    @return: the socket behind a descriptor; what is none is closed.
    """
    try:
        return socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None


_DESCRIPTORS = 4


class ProxyLink(Descriptor):
    """
    The connection to the proxy's UNIX socket.
    """

    def __init__(self, loop: Loop, connection: socket.socket, user: LinkUser) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self._connection = connection
        self._user = user
        self._reader = BoxReader(limits.LOCAL_BOX_BYTES)
        self._handed: list[socket.socket] = []
        self._asked = 0
        self._asking: dict[
            bytes, tuple[Callable[[Box], object], Callable[[bytes, str], object]]
        ] = {}
        self.resumeReading()

    def request(
        self, site: str, gahp: str, account: str = "", tunnel: bool = False, tunnelPort: int = 0
    ) -> None:
        """
        Ask for a GAHP; L{LinkUser.answered} or L{LinkUser.refused} tells the end.

        @param tunnel: whether we can serve tunnels.
        @param tunnelPort: the port that they must have at the site; 0: any.
        """
        versions = b"".join(b"\0\x01%d" % version for version in limits.PROTOCOL_VERSIONS)
        self.ask(
            {
                b"_command": b"RequestGAHP",
                b"versions": versions,
                b"site": site.encode(),
                b"gahp": gahp.encode(),
                b"account": account.encode(),
                b"tunnel": b"True" if tunnel else b"False",
                b"tunnelPort": b"%d" % tunnelPort,
            },
            self._user.answered,
            lambda code, sentence: self._user.refused(sentence),
        )

    def redial(
        self, session: str, stream: int, generation: int, gone: Callable[[str], object]
    ) -> None:
        """
        Have the CE dial a stream again, whose channel of this generation is lost.

        @param gone: called with a sentence if the CE knows the stream no more.
        """
        box = {
            b"_command": b"Redial",
            b"session": session.encode("ascii"),
            b"stream": b"%d" % stream,
            b"generation": b"%d" % generation,
        }

        def refused(code: bytes, sentence: str) -> None:
            if code == b"SessionGone":
                gone(sentence)

        self.ask(box, lambda _: None, refused)

    def ask(
        self,
        box: Box,
        answered: Callable[[Box], object],
        refused: Callable[[bytes, str], object],
    ) -> None:
        """
        Call a command.

        @param box: the command and its arguments.
        @param answered: called with the answer; what it raises of L{ProtocolError},
            C{KeyError} and C{ValueError} drops the connection.
        @param refused: called with the error's code and sentence.  Neither is called when
            the connection is lost.
        """
        self._asked += 1
        tag = b"%d" % self._asked
        self._asking[tag] = answered, refused
        self._send({**box, b"_ask": tag})

    def _send(self, box: Box) -> None:
        self.write([encodeBox(box)])

    def doRead(self) -> None:
        space = socket.CMSG_SPACE(_DESCRIPTORS * 4)
        try:
            data, ancillary, _, _ = self._connection.recvmsg(
                limits.LOCAL_BOX_BYTES, space, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError as e:
            self._lost(e.strerror or str(e))
            return
        self._takeDescriptors(ancillary)
        if not data:
            self._lost("it closed the connection")
            return
        try:
            if len(self._handed) > _DESCRIPTORS:
                raise ProtocolError("more descriptors than boxes")
            for box in self._reader.read(data):
                self._boxReceived(box)
        except (ProtocolError, KeyError, ValueError) as e:
            self._lost(f"it sent what was not understood ({e})", closed=False)

    def close(self) -> None:
        for connection in self._handed:
            connection.close()
        self._handed.clear()
        super().close()

    def _takeDescriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self._handed += filter(None, map(_asSocket, numbers))

    def _boxReceived(self, box: Box) -> None:
        if self.isClosed:
            return
        if b"_command" in box:
            self._commanded(box[b"_command"], box)
        elif box.get(b"_answer") in self._asking:
            self._asking.pop(box[b"_answer"])[0](box)
        elif box.get(b"_error") in self._asking:
            sentence = box[b"_error_description"].decode("utf-8", "replace")
            self._asking.pop(box[b"_error"])[1](box[b"_error_code"], sentence)

    def _commanded(self, command: bytes, box: Box) -> None:
        if command == b"Channel":
            stream, tag = int(box[b"stream"]), box[b"_ask"]
            if not self._handed:
                raise ProtocolError("a Channel without its connection")
            connection = self._handed.pop(0)
            self._send({b"_answer": tag})
            connection.setblocking(False)
            self._user.channelHanded(stream, connection)
        elif command == b"SessionLost":
            self._user.sessionLost(box[b"reason"].decode("utf-8", "replace"))
        elif command == b"RenewKey":
            self._renewKey(box)
        else:
            self._refuse(box, b"UNHANDLED", "this client has no such command")

    def _renewKey(self, box: Box) -> None:
        try:
            self._user.renewKey(box)
        except SessionGone as e:
            self._refuse(box, b"SessionGone", str(e))
        except ProtocolError as e:
            self._refuse(box, b"InternalError", str(e))
        except (KeyError, ValueError):
            # Without its words: they may have a part of the key.
            self._refuse(box, b"InternalError", "a RenewKey of unknown form came")
        else:
            if b"_ask" in box:
                self._send({b"_answer": box[b"_ask"]})

    def _refuse(self, box: Box, code: bytes, sentence: str) -> None:
        if b"_ask" in box:
            self._send(
                {
                    b"_error": box[b"_ask"],
                    b"_error_code": code,
                    b"_error_description": sentence.encode(),
                }
            )

    def readEnded(self, problem: str) -> None:
        self._lost(problem or "it closed the connection")

    def writeFailed(self, problem: str) -> None:
        # A proxy that takes no more clients says why before it hangs up.
        self.doRead()
        self._lost(problem)

    def _lost(self, reason: str, closed: bool = True) -> None:
        if not self.isClosed:
            self.close()
            self._user.linkLost(reason, closed)
