"""
Tests of L{rvgahp.traceport}, with real connections.
"""

from __future__ import annotations

import select
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.cedarpeek import Guard
from rvgahp.errors import NotAuthorized
from rvgahp.sinful import parseInherit
from rvgahp.traceport import TracePort, connectRequest, makeName


class TracePortTests(SynchronousTestCase):
    """
    Who connects, and what he gets.
    """

    def setUp(self) -> None:
        self.port = TracePort()
        self.addCleanup(self.port.close)

    def connect(self, data: bytes) -> socket.socket:
        """
        @return: a connection over which C{data} has been sent.
        """
        connection = socket.create_connection(self.port.address)
        connection.settimeout(5)
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection

    def serve(self) -> None:
        """
        Serve whoever is there.
        """
        while True:
            ready, _, _ = select.select(self.port.descriptors(), [], [], 0.01)
            if not ready:
                break
            self.port.serve(ready)

    def test_inherit(self) -> None:
        """
        The variable leads to this port, and to one behind a shared port: the guard lets our
        request pass, and none for another.
        """
        sinful = parseInherit(self.port.inherit())
        self.assertEqual((sinful.host, sinful.port), self.port.address)
        self.assertTrue(sinful.isDialable())
        guard = Guard(sinful.sharedPortId)
        self.assertEqual(guard.received(self.port.request), self.port.request)
        other = connectRequest(makeName("other"))
        self.assertRaises(NotAuthorized, Guard(sinful.sharedPortId).received, other)

    def test_answered(self) -> None:
        """
        The right request, in whatever pieces, is answered with the word, and then closed.
        """
        request = self.port.request
        whole, half = self.connect(request), self.connect(request[:20])
        self.serve()
        self.assertEqual((self.port.arrivals, self.port.answered), (2, 1))
        half.sendall(request[20:])
        self.serve()
        self.assertEqual((self.port.arrivals, self.port.answered), (2, 2))
        for connection in (whole, half):
            self.assertEqual(connection.recv(100), self.port.word)
            self.assertEqual(connection.recv(100), b"")

    def test_others(self) -> None:
        """
        Anything else is counted and gets nothing, and so do those who say nothing, too many
        of them included.
        """
        request = self.port.request
        wrong = [connectRequest("self"), request + b"x", b"GET", b""]
        connections = [self.connect(data) for data in wrong]
        connections[-1].shutdown(socket.SHUT_WR)
        self.serve()
        for connection in connections:
            try:
                self.assertEqual(connection.recv(100), b"")
            except ConnectionResetError:
                pass  # it had said more than was read
        silent = [self.connect(b"") for _ in range(17)]
        self.serve()
        self.assertEqual(len(self.port.descriptors()), 1 + 16)
        self.assertEqual(silent[-1].recv(100), b"")
        self.assertEqual((self.port.arrivals, self.port.answered), (21, 0))

    def test_look(self) -> None:
        """
        To look is enough to count.
        """
        self.assertEqual(self.port.look(), 0)
        self.connect(b"")
        self.connect(b"")
        self.assertEqual(self.port.look(), 2)

    def test_secret(self) -> None:
        """
        No two ports have the same word or name.
        """
        other = TracePort()
        other.close()
        self.assertNotEqual(self.port.word, other.word)
        self.assertNotEqual(self.port.sharedPortId, other.sharedPortId)
