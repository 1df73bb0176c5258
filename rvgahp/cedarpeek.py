# -*- test-case-name: tests.test_cedarpeek -*-
"""
The guard of a tunnel: what a connection from the site may ask of HTCondor's shared port.

Layer 0: bytes in, bytes out; L{rvgahp.errors} and L{rvgahp.tunnellimits}.

Behind the shared port's TCP port are all of a submit host's daemons, and the first
message, which nobody authenticates, says which one is meant.  The guard lets only one
be meant.  So that no message means one thing here and another there, it takes a single
form, the one that HTCondor's own clients write (C{sendSharedPortID} in
C{src/condor_io/shared_port_client.cpp}; the same in 9.0.0 and 25.14), where
C{HandleConnectRequest} in C{src/condor_io/shared_port_server.cpp} would take more::

    1 byte    1: the only packet of its message
    4 bytes   length of all that follows
    8 bytes   75, SHARED_PORT_CONNECT
    string    the shared port id, and a NUL
    string    the client's name, at most 1023 bytes, and a NUL
    8 bytes   seconds until the client's deadline, an integer of 32 bits; -1: none
    8 bytes   0: no further arguments

HTCondor's buffer holds 4091 bytes of a packet, so the one packet is no hardship
(C{src/condor_includes/buffers.h}); it is what C{SEC_USE_LOW_DATA_MODE} asks of clients
too.  What HTCondor would read otherwise than it looks is refused: a number with bits
above its type's (it drops them, C{Stream::get} in C{src/condor_io/stream.cpp}), a name
that begins with 0xAD (it is a null pointer of that one byte), a longer one (its buffer
has 1024 bytes), an C{end} of 2 to 10 (it means 1).
"""

from __future__ import annotations

from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.tunnellimits import PEEK_BYTES

__all__ = ["Guard"]

#: C{SHARED_PORT_CONNECT}, C{src/condor_includes/condor_commands.h}.
_COMMAND = (75).to_bytes(8, "big")

_HEADER_BYTES = 5

#: What comes after the client's name: its NUL, and two integers.
_TAIL_BYTES = 17

#: Bytes of a string at the shared port, without its NUL.
_STRING_BYTES = 1023

#: First byte of a string that is none.
_NULL_POINTER = b"\xad"

#: Characters of another's id that an error shows.
_SHOWN = 80


class Guard:
    """
    Reads the first message of one connection.
    """

    def __init__(self, sharedPortId: str) -> None:
        """
        @param sharedPortId: whom the connection may be for.
        @raise ConfigurationError: it is no such id: one has letters, digits, C{.-_}
            (C{SharedPortIdIsValid}), and C{self} is the shared port daemon.
        """
        letters = sharedPortId.translate({ord(c): None for c in ".-_"})
        wellFormed = letters.isascii() and letters.isalnum() and sharedPortId != "self"
        if not wellFormed or len(sharedPortId) > _STRING_BYTES:
            raise ConfigurationError(
                f"{sharedPortId[:_SHOWN]!a} is no shared port id that a gridmanager can have"
            )
        self._id = sharedPortId
        self._start = _COMMAND + sharedPortId.encode("ascii") + b"\0"
        self._held = bytearray()

    def received(self, data: bytes) -> bytes | None:
        """
        Take bytes from the site, until the message is whole; no more after that.

        @param data: what came, in any portions.
        @return: L{None} if more must come; else all that has come, the message and what
            followed it, to be sent on without delay: the shared port waits no longer
            than a second for the rest of a command.
        @raise NotAuthorized: however it goes on, it is not the request that is allowed.
        """
        self._held += data
        problem = self._problem()
        if problem:
            raise NotAuthorized(
                f"a tunnel's connection may ask for shared port id {self._id} only, and {problem}"
            )
        length = int.from_bytes(self._held[1:_HEADER_BYTES], "big")
        if len(self._held) < _HEADER_BYTES + length:
            return None
        passed, self._held = bytes(self._held), bytearray()
        return passed

    def _problem(self) -> str:
        """
        @return: what is wrong with what has come; empty if it can still become good.
        """
        held = bytes(self._held[:PEEK_BYTES])
        if held[:1] not in (b"", b"\1"):
            return "this one does not begin with a message of CEDAR in one packet"
        shortest, longest = _bounds(held[1:_HEADER_BYTES], 4, signed=False)
        if _HEADER_BYTES + shortest > PEEK_BYTES:
            return f"this one's first message has more than {PEEK_BYTES} bytes"
        body = held[_HEADER_BYTES : _HEADER_BYTES + shortest]
        if not self._start.startswith(body[: len(self._start)]):
            return _wrongTarget(body)
        fixed = len(self._start) + _TAIL_BYTES
        if longest < fixed or shortest > fixed + _STRING_BYTES:
            return "this one's request has not the length that it would have for that id"
        if len(held) < _HEADER_BYTES:
            return ""
        return _wrongRest(body[len(self._start) :], shortest - fixed)


def _wrongTarget(body: bytes) -> str:
    """
    @return: what is wrong with a message that is not for the one who is meant.
    """
    if not _COMMAND.startswith(body[: len(_COMMAND)]):
        return "this one's first command is not SHARED_PORT_CONNECT"
    asked = body[len(_COMMAND) :].partition(b"\0")[0].decode("latin-1")
    return f"this one asks for {ascii(asked)[:_SHOWN]}"


def _wrongRest(rest: bytes, nameBytes: int) -> str:
    """
    @param rest: what has come of the message after the id.
    @param nameBytes: how long the client's name is, if nothing follows the last item.
    @return: what is wrong with it.
    """
    end = rest.find(b"\0")
    if rest[:1] == _NULL_POINTER or (end != nameBytes if end >= 0 else len(rest) > nameBytes):
        return "the client's name in this one's request does not end where it must"
    tail = rest[nameBytes + 1 :]
    lowest, highest = _bounds(tail[:8], 8, signed=True)
    if highest < -(2**31) or lowest >= 2**31:
        return "the deadline in this one's request is no integer of 32 bits"
    if any(tail[8:]):
        return "this one's request has further arguments"
    return ""


def _bounds(known: bytes, size: int, *, signed: bool) -> tuple[int, int]:
    """
    @param known: the first bytes of an integer.
    @param size: how many it has.
    @return: it with all others 0, and with all others 255.
    """
    low, high = known.ljust(size, b"\0"), known.ljust(size, b"\xff")
    return int.from_bytes(low, "big", signed=signed), int.from_bytes(high, "big", signed=signed)
