"""
Tests of L{rvgahp.tunnelprobe}: a port of the test's own, and then a CE with a real GAHP.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import cetunnels, commands, limits, tunnellimits, tunnelprobe
from rvgahp.errors import Busy, NotAuthorized, SessionGone, StartFailed
from rvgahp.gahpsession import GAHPSession
from rvgahp.splice import breakOnClose
from rvgahp.tunnelprobe import TunnelProbe
from tests.proxydouble import ProxyDouble
from tests.steppedloop import SteppedLoop, descriptorCount
from tests.test_ce import START, CETestCase

_REQUEST = b"let me in"


class ProbeTests(SynchronousTestCase):
    """
    One connection.
    """

    def setUp(self) -> None:
        """
        Begin with a port.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        self.port = socket.create_server(("127.0.0.1", 0))
        self.port.settimeout(5)

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.port.close()
        self.assertEqual(descriptorCount(), self.before)
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def probe(self) -> TunnelProbe:
        """
        @return: one that has dialled.
        """
        return TunnelProbe(self.loop, self.port.getsockname()[1], _REQUEST)

    def connected(self) -> tuple[TunnelProbe, socket.socket]:
        """
        @return: one whose request has come, and the port's end of it.
        """
        probe = self.probe()
        connection, _ = self.port.accept()
        self.addCleanup(connection.close)
        self.loop.settle()
        self.assertEqual(connection.recv(100), _REQUEST)
        return probe, connection

    def result(self, probe: TunnelProbe) -> tuple[bytes, str]:
        """
        @return: answer and problem.
        """
        self.loop.settle()
        values = self.successResultOf(probe.done)
        return values["answer"], values["problem"]

    def test_answered(self) -> None:
        """
        What comes until the end is the answer, in whatever pieces it does.
        """
        probe, connection = self.connected()
        for piece in (b"come", b" in"):
            connection.sendall(piece)
            self.loop.settle()
            self.assertNoResult(probe.done)
        connection.close()
        self.assertEqual(self.result(probe), (b"come in", ""))

    def test_enough(self) -> None:
        """
        Of more than 2 KiB the first is given back, and the rest not waited for.
        """
        probe, connection = self.connected()
        connection.sendall(b"x" * (tunnellimits.PEEK_BYTES + 1))
        self.assertEqual(self.result(probe), (b"x" * tunnellimits.PEEK_BYTES, ""))
        connection.close()

    def test_late(self) -> None:
        """
        One that never ends is given up, with what has come.
        """
        probe, connection = self.connected()
        connection.sendall(b"wait")
        self.loop.spend(tunnellimits.PROBE_TIMEOUT - 0.1)
        self.assertNoResult(probe.done)
        self.loop.spend(0.2)
        self.assertEqual(self.result(probe), (b"wait", "its end did not come within 18 s"))
        connection.close()

    def test_reset(self) -> None:
        """
        Why it was reset is the tunnel's to say; if that says nothing, the kernel's word has
        to do.
        """
        for reason, said in (("it is closed", "it is closed"), ("", os.strerror(errno.ECONNRESET))):
            probe, connection = self.connected()
            breakOnClose(connection)
            connection.close()
            self.loop.settle()
            self.assertNoResult(probe.done)
            if reason:
                probe.ended(reason)
            else:
                self.loop.spend(tunnellimits.PROBE_TIMEOUT)
            self.assertEqual(self.result(probe), (b"", said))

    def test_nobody(self) -> None:
        """
        Where nobody listens that is told.
        """
        self.port.close()
        with socket.create_server(("127.0.0.1", 0)) as closed:
            number = closed.getsockname()[1]
        _, problem = self.result(TunnelProbe(self.loop, number, _REQUEST))
        self.assertIn("its own tunnel port: Connection refused", problem)

    def test_which(self) -> None:
        """
        Its connection is known from others that come to the port at the same time, and from
        one that has ended.
        """
        with socket.create_connection(self.port.getsockname()) as other:
            probe = self.probe()
            first, second = self.port.accept()[0], self.port.accept()[0]
            known = {probe.isFrom(one): one for one in (first, second)}
            self.assertEqual(set(known), {True, False})
            self.assertEqual(known[False].getpeername(), other.getsockname())
        probe.ended("enough")
        self.assertEqual(self.result(probe), (b"", "enough"))
        probe.ended("again")
        for one in (first, second):
            one.close()
            self.assertFalse(probe.isFrom(one))


class CETests(CETestCase):
    """
    A CE is asked for one.
    """

    settings = {"FT_GAHP": "/bin/cat"}

    def started(self, **changes: Any) -> ProxyDouble:
        """
        @return: the proxy's end of a CE that has a GAHP with a tunnel.
        """
        # Nobody answers its own dials; else the tunnel would wait for that.
        self.patch(GAHPSession, "isReachable", lambda session: True)
        proxy = self.accepted()
        changes = {"tunnel": True, "commands": ["gahp", "tunnel"], **changes}
        arguments = {**START, "gahp": "condor_ft-gahp", "tunnelPort": 0, **changes}
        answer = self.called(proxy.call(commands.StartGAHP, **arguments))
        self.assertEqual(answer["tunnelPort"] > 0, changes["tunnel"])
        return proxy

    def dial(
        self, proxy: ProxyDouble, request: bytes = _REQUEST, session: str = "s1"
    ) -> Deferred[Any]:
        """
        Ask for one.
        """
        return proxy.call(commands.DialTunnel, session=session, request=request)

    def test_noChannel(self) -> None:
        """
        If no dial becomes a channel, the answer says for how long there was none, and why.
        """
        self.patch(tunnellimits, "OPEN_TIMEOUT", 0.2)
        result = self.called(self.dial(self.started()))
        self.assertEqual(result["answer"], b"")
        self.assertRegex(result["problem"], r"^no channel within 0\.2 s: .")

    def test_refused(self) -> None:
        """
        If the port takes it for somebody else's, the answer says so in the log's words.
        """

        def checkOwner(connection: socket.socket, uid: int) -> None:
            raise NotAuthorized("the kernel does not tell")

        self.patch(cetunnels, "checkOwner", checkOwner)
        result = self.called(self.dial(self.started()))
        self.assertEqual(result, {"answer": b"", "problem": "the kernel does not tell"})

    def test_others(self) -> None:
        """
        What becomes of other connections at the same time, refused or ended, is nothing to
        it.
        """
        self.patch(tunnellimits, "OPEN_TIMEOUT", 0.8)
        self.patch(limits, "PAUSE_POLL", 0.05)
        self.started()
        assert self.ce is not None
        tunnels = self.ce.proxies[0].sessions["s1"].tunnels
        assert tunnels is not None
        address = "127.0.0.1", tunnels.number
        names: list[object] = []
        refused: list[object] = []

        def checkOwner(connection: socket.socket, uid: int) -> None:
            if connection.getpeername() in names:
                refused.append(connection)
                raise NotAuthorized("a stranger")

        self.patch(cetunnels, "checkOwner", checkOwner)
        with socket.create_connection(address):
            self.until(lambda: len(tunnels) == 1)
            self.spend(0.4)  # so that it ends first
            with socket.create_connection(address) as stranger:
                names.append(stranger.getsockname())
                asked = tunnels.probe(_REQUEST)  # before the stranger is accepted
                self.until(lambda: refused and len(tunnels) == 2)
                self.until(lambda: len(tunnels) == 1)
                self.assertNoResult(asked)
                self.assertIn("no channel", self.resultOf(asked)["problem"])

    def test_oneAtATime(self) -> None:
        """
        While one is under way another is refused; when the session ends it ends, too.
        """
        proxy = self.started()
        first = self.dial(proxy)
        self.assertIsInstance(self.called(self.dial(proxy)), Busy)
        proxy.call(commands.EndSession, session="s1", reason="enough")
        self.assertEqual(self.called(first)["problem"], "its session is over")

    def test_again(self) -> None:
        """
        After one there can be another.
        """
        self.patch(tunnellimits, "OPEN_TIMEOUT", 0.05)
        proxy = self.started()
        for _ in range(3):
            self.assertIn("no channel", self.called(self.dial(proxy))["problem"])

    def test_refusals(self) -> None:
        """
        One for no session, for one without a tunnel, of too many bytes, or with no
        descriptor left, is refused with a sentence.
        """
        proxy = self.started()
        self.assertIsInstance(self.called(self.dial(proxy, session="s2")), SessionGone)
        result = self.called(self.dial(proxy, bytes(tunnellimits.PEEK_BYTES + 1)))
        self.assertIsInstance(result, NotAuthorized)
        self.assertIn("at most 2048 bytes", str(result))

        def connect(*arguments: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(tunnelprobe, "TCPConnect", connect)
        result = self.called(self.dial(proxy))
        self.assertIsInstance(result, StartFailed)
        self.assertIn("descriptors", str(result))

    def test_noTunnel(self) -> None:
        """
        A session without a tunnel has none to be probed.
        """
        result = self.called(self.dial(self.started(tunnel=False)))
        self.assertIsInstance(result, NotAuthorized)
        self.assertIn("has no tunnel", str(result))
