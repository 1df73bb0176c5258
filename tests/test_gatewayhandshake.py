"""
Tests of L{rvgahp.gatewayhandshake}: real sockets, in a loop with a clock of its own.  What is
said is tested in C{tests/test_negotiation.py}, and where it is cut in C{tests/test_dialling.py}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.gatewayhandshake import GatewayHandshake
from rvgahp.negotiation import Connect, Negotiation, Socks
from tests.gateways import CONNECTED
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair
from tests.tcpends import connectionPair, reset


class Long(Negotiation):
    """
    Asks with more than the kernel takes, and is content with any answer.
    """

    def begin(self) -> bytes:
        return bytes(8 << 20)

    def take(self, seen: bytes) -> tuple[int, bytes]:
        self.isDone = True
        return len(seen), b""


class HandshakeTests(SynchronousTestCase):
    """
    What becomes of the socket.
    """

    def setUp(self) -> None:
        """
        Begin with nothing.
        """
        self.loop = SteppedLoop()
        self.before = descriptorCount()
        self.results: list[Any] = []

    def begin(self, pair: Any, negotiation: Negotiation) -> GatewayHandshake:
        """
        Begin at the first end of a pair.
        """
        add = self.results.append
        handshake = GatewayHandshake(self.loop, pair[0], negotiation, add, add)
        self.assertEqual(self.results, [], "it must not be called from in here")
        self.addCleanup(pair[1].close)
        return handshake

    def assertNothingLeft(self) -> None:
        """
        No reader and no writer.
        """
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def test_handedOn(self) -> None:
        """
        The socket is the caller's when it is done: to give the handshake up then does nothing
        to it, and what has come behind the answer is in it.
        """
        pair = socketPair()
        handshake = self.begin(pair, Socks("h", 1, None))
        self.assertEqual(pair[1].recv(100), b"\x05\x01\x00")
        pair[1].sendall(b"\x05\x00")
        self.loop.settle()
        self.assertEqual(pair[1].recv(100)[:5], b"\x05\x01\x00\x03\x01")
        pair[1].sendall(b"\x05\x00\x00\x01" + bytes(6) + b"more")
        self.loop.settle()
        self.assertEqual(self.results, [pair[0]])
        handshake.close()
        self.assertEqual(pair[0].recv(100), b"more")
        self.assertNothingLeft()
        pair[0].close()

    def test_early(self) -> None:
        """
        A gateway that answers before it has heard all is no gateway.
        """
        pair = socketPair()
        self.begin(pair, Long())
        pair[1].sendall(CONNECTED)
        self.loop.settle()
        self.assertEqual(self.results, ["it answered before it was asked"])
        self.assertEqual(pair[0].fileno(), -1)
        self.assertNothingLeft()

    def test_reset(self) -> None:
        """
        A connection that breaks is told by the kernel's word.
        """
        ours, theirs = connectionPair()
        self.begin((ours, theirs), Connect("h", 1, None))
        theirs.recv(1)
        reset(theirs)
        self.loop.settle()
        self.assertEqual(self.results, ["the connection broke (Connection reset by peer)"])
        self.assertNothingLeft()

    def test_writeFailed(self) -> None:
        """
        So is one that breaks before the question is out.
        """
        ours, theirs = connectionPair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        self.begin((ours, theirs), Connect("h", 1, None))
        self.loop.settle()
        (problem,) = self.results
        self.assertIn("the connection broke (", problem)
        self.assertNothingLeft()

    def test_closed(self) -> None:
        """
        One that is given up tells nothing, and leaves nothing.
        """
        pair = socketPair()
        handshake = self.begin(pair, Long())
        handshake.close()
        self.loop.settle()
        self.assertEqual(self.results, [])
        self.assertNothingLeft()
