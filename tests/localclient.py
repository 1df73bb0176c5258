"""
A client's end of a conversation with the proxy, for tests: boxes, and the sockets that
come beside them.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Any

from rvgahp import localcommands
from rvgahp.boxes import BoxReader, encodeBox

#: What a client asks by default.
REQUEST: dict[str, Any] = {
    "versions": [1],
    "site": "site.example",
    "gahp": "blahpd",
    "account": "",
    "tunnel": False,
    "tunnelPort": 0,
}


class LocalClient:
    """
    One client.

    @ivar boxes: what has come.
    @ivar handed: sockets that have come, in order.
    @ivar isOver: the proxy has closed the connection.
    """

    def __init__(self, connection: socket.socket) -> None:
        """
        @param connection: connected to the proxy; L{close} closes it.
        """
        connection.setblocking(False)
        self.connection = connection
        self.boxes: list[dict[bytes, bytes]] = []
        self.handed: list[socket.socket] = []
        self.isOver = False
        self._reader = BoxReader(1 << 20)

    def send(self, box: dict[bytes, bytes]) -> None:
        """
        Send one box.
        """
        self.connection.sendall(encodeBox(box))

    def request(self, tag: bytes = b"1", **changes: Any) -> None:
        """
        Ask for a GAHP.
        """
        box = localcommands.RequestGAHP.makeArguments({**REQUEST, **changes}, None)
        self.send({**box, b"_command": b"RequestGAHP", b"_ask": tag})

    def read(self) -> list[dict[bytes, bytes]]:
        """
        Read all that is there now.

        @return: the boxes among it.
        """
        fresh: list[dict[bytes, bytes]] = []
        while not self.isOver:
            try:
                data, ancillary, _, _ = self.connection.recvmsg(
                    65536, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            except ConnectionResetError:
                data, ancillary = b"", []
            for _, _, rights in ancillary:
                numbers = array.array("i", rights)
                self.handed += [socket.socket(fileno=number) for number in numbers]
            self.isOver = not data
            fresh += self._reader.read(data)
        self.boxes += fresh
        return fresh

    def acknowledge(self) -> None:
        """
        Answer the last Channel.
        """
        asks = [box[b"_ask"] for box in self.boxes if box.get(b"_command") == b"Channel"]
        self.send({b"_answer": asks[-1]})

    def close(self) -> None:
        """
        Go away, with all that was handed over.
        """
        for connection in (self.connection, *self.handed):
            connection.close()


class Script:
    """
    What is to happen to calls of C{sendmsg}, one after the other: an error number, or how
    many bytes are taken at the most.
    """

    def __init__(self, *steps: OSError | int) -> None:
        self.steps = list(steps)


class ScriptedSocket(socket.socket):
    """
    A socket whose C{sendmsg} fails, or takes little, where a script says so.
    """

    script: Script

    @classmethod
    def taking(cls, connection: socket.socket, *steps: OSError | int) -> ScriptedSocket:
        """
        @return: the same connection, with a script.
        """
        scripted = cls(fileno=connection.detach())
        scripted.setblocking(False)
        scripted.script = Script(*steps)
        return scripted

    def sendmsg(self, buffers: Any, *arguments: Any) -> int:
        if not self.script.steps:
            return super().sendmsg(buffers, *arguments)
        step = self.script.steps.pop(0)
        if isinstance(step, OSError):
            raise step
        return super().sendmsg([bytes(buffers[0])[:step]], *arguments)


def failure(number: int) -> OSError:
    """
    @return: the kernel's refusal with this error number.
    """
    return OSError(number, os.strerror(number))
