"""
Tests of L{rvgahp.socketowner}.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import subprocess
import sys
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import socketowner
from rvgahp.errors import NotAuthorized
from rvgahp.socketowner import checkOwner, ownerOf
from tests.procfs import PATIENCE, waitFor

#: Runs as another account: connects, does as it is told, says so, and waits.
_OTHER = """
import os, socket, sys
os.setgid({gid})
os.setuid({uid})
connection = socket.socket()
connection.connect(("127.0.0.1", int(sys.argv[1])))
connection.send(b"hello")
{deed}
print("done", flush=True)
sys.stdin.read()
"""

#: Octets of the kernel's answer that say of which socket it is: type, number of the
#: question, ports, addresses.
_IDENTITY = [*range(4, 6), *range(8, 12), *range(20, 28), *range(40, 44)]


class LoopbackTestCase(SynchronousTestCase):
    """
    A tunnel's port.
    """

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        self.addCleanup(connection.close)
        return connection

    def connect(self, family: int = socket.AF_INET, source: int = 0) -> socket.socket:
        """
        @return: our own end of a connection to the port.
        """
        peer = socket.socket(family)
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
        # Bound, its port is nobody else's; by connect alone it could be shared.
        peer.bind((host, source))
        peer.connect((host, self.port))
        return peer

    def reset(self, peer: socket.socket) -> None:
        """
        End a connection without FIN and C{TIME_WAIT}: its port is free at once.
        """
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    def assertRefused(self, connection: socket.socket, reason: str) -> None:
        """
        Nobody may come in by it, also not root.
        """
        e = self.assertRaises(NotAuthorized, ownerOf, connection)
        self.assertIn("the kernel does not tell whose connection it is: ", str(e))
        self.assertIn(reason, str(e))
        for uid in (0, os.geteuid()):
            self.assertRaises(NotAuthorized, checkOwner, connection, uid)


class OwnerTests(LoopbackTestCase):
    """
    Connections of our own.
    """

    def assertOurs(self, connection: socket.socket, peer: socket.socket) -> None:
        owner = ownerOf(connection)
        self.assertEqual(owner.uid, os.geteuid())
        self.assertEqual(owner.inode, os.fstat(peer.fileno()).st_ino)
        checkOwner(connection, os.geteuid())

    def test_ourselves(self) -> None:
        """
        The peer's socket is found, not ours: the uid is ours, and the inode its.
        """
        peer = self.connect()
        connection = self.accept()
        self.assertOurs(connection, peer)
        peer.send(b"hello")
        self.assertOurs(connection, peer)

    def test_mapped(self) -> None:
        """
        A peer that has an IPv6 socket is found too.
        """
        peer = self.connect(socket.AF_INET6)
        self.assertOurs(self.accept(), peer)

    def test_among(self) -> None:
        """
        Among many connections, each is its own peer's.
        """
        for family in [socket.AF_INET, socket.AF_INET6] * 20:
            peer = self.connect(family)
            self.assertOurs(self.accept(), peer)

    def test_halfClosed(self) -> None:
        """
        A peer that has ended its own direction and listens on is still the owner.
        """
        peer = self.connect()
        peer.shutdown(socket.SHUT_WR)
        self.assertOurs(self.accept(), peer)

    def test_closed(self) -> None:
        """
        A peer that has written and closed at once is refused, though its bytes are
        there, and its uid would look like root's.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            peer = self.connect(family)
            peer.send(b"hello")
            peer.close()
            connection = self.accept()
            self.assertRefused(connection, "closed it")
            self.assertEqual(connection.recv(10), b"hello")

    def test_reset(self) -> None:
        """
        A connection that was reset is refused, also when another was made since from
        the same port.
        """
        peer = self.connect()
        source = peer.getsockname()[1]
        peer.send(b"hello")
        self.reset(peer)
        second = self.connect(source=source)
        self.assertRefused(self.accept(), "not connected")
        self.assertOurs(self.accept(), second)

    def test_resetMeanwhile(self) -> None:
        """
        The same if it happens just before the kernel is asked.
        """
        peer = self.connect()
        source = peer.getsockname()[1]
        connection = self.accept()
        ask = socketowner._ask

        def late(*addresses: tuple[bytes, bytes]) -> bytes:
            self.reset(peer)
            self.connect(source=source)
            answer = ask(*addresses)
            self.assertEqual(struct.unpack_from("=I", answer, 80), (os.geteuid(),))
            return answer

        self.patch(socketowner, "_ask", late)
        e = self.assertRaises(NotAuthorized, ownerOf, connection)
        self.assertIn("not connected", str(e))

    def test_vanished(self) -> None:
        """
        A peer whose socket the kernel has forgotten, after C{FIN_WAIT2}, is refused, also
        when something listens at its port then, which the kernel finds instead.
        """
        peer = self.connect()
        source = peer.getsockname()[1]
        connection = self.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
        peer.close()

        def reason() -> str:
            return str(self.assertRaises(NotAuthorized, ownerOf, connection))

        waitFor(lambda: "No such file" in reason(), "the end of FIN_WAIT2")
        self.assertRefused(connection, "No such file")
        listener = socket.create_server(("127.0.0.1", source))
        self.addCleanup(listener.close)
        self.assertRefused(connection, "its answer is about another socket")

    def test_noIPv4(self) -> None:
        """
        What is no IPv4 connection is refused.
        """
        end, other = socket.socketpair()
        self.addCleanup(end.close)
        self.addCleanup(other.close)
        self.assertRefused(end, "not of IPv4")
        self.assertRefused(self.listener, "not connected")

    def test_closedHere(self) -> None:
        """
        A connection that we have closed ourselves is refused.
        """
        self.connect()
        connection = self.accept()
        connection.close()
        self.assertRefused(connection, "Bad file descriptor")


class KernelTests(LoopbackTestCase):
    """
    What the kernel may answer.
    """

    def setUp(self) -> None:
        super().setUp()
        self.peer = self.connect()
        self.connection = self.accept()
        self.addresses = (
            socketowner._packed(self.peer.getsockname()),
            socketowner._packed(self.connection.getsockname()),
        )
        self.answer = socketowner._ask(*self.addresses)

    def refusal(self, answer: bytes) -> str:
        return str(self.assertRaises(NotAuthorized, socketowner._parse, answer, *self.addresses))

    def changed(self, offset: int, *octets: int) -> bytes:
        return self.answer[:offset] + bytes(octets) + self.answer[offset + len(octets) :]

    def test_anotherSocket(self) -> None:
        """
        An answer that differs in any octet of what makes the socket is refused.
        """
        self.assertEqual(socketowner._parse(self.answer, *self.addresses).uid, os.geteuid())
        for offset in _IDENTITY:
            for bit in range(8):
                answer = self.changed(offset, self.answer[offset] ^ 1 << bit)
                self.assertIn("about another socket", self.refusal(answer), offset)
        for family in (0, socket.AF_INET6):
            self.assertIn("about another socket", self.refusal(self.changed(16, family)))

    def test_state(self) -> None:
        """
        A socket that is still connecting is none that has sent anything to us.
        """
        self.assertIn("about another socket", self.refusal(self.changed(17, 2)))

    def test_noInode(self) -> None:
        """
        A socket that nobody has is refused, whatever its uid.
        """
        self.assertIn("has closed it", self.refusal(self.changed(84, 0, 0, 0, 0)))

    def test_short(self) -> None:
        """
        An answer that ends before its time is refused.
        """
        for size in range(88):
            self.assertIn("too short", self.refusal(self.answer[:size]))

    def test_forbidden(self) -> None:
        """
        Where netlink is not to be had, nobody comes in.
        """
        self.patch(socketowner, "_SOCK_DIAG", 31)  # no such protocol
        self.assertRefused(self.connection, "Protocol not supported")

    def test_error(self) -> None:
        """
        The kernel's own error is told.
        """
        self.patch(socketowner, "_BY_FAMILY", 9999)
        self.assertRefused(self.connection, "Invalid argument")

    def test_silence(self) -> None:
        """
        A kernel that does not answer at once is not waited for.
        """
        self.patch(socketowner, "_REQUEST", 0)  # what is no request has no answer
        self.assertRefused(self.connection, "Resource temporarily unavailable")

    def test_descriptors(self) -> None:
        """
        No descriptor is left of a question, be it answered or not.
        """
        before = os.listdir("/proc/self/fd")
        ownerOf(self.connection)
        self.peer.close()
        self.assertRaises(NotAuthorized, ownerOf, self.connection)
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) - 1)


class CheckTests(LoopbackTestCase):
    """
    Who may come in.
    """

    def test_named(self) -> None:
        """
        The refusal names both accounts, one without a name by its number.
        """
        self.connect()
        connection = self.accept()
        e = self.assertRaises(NotAuthorized, checkOwner, connection, 3_999_999)
        ours = os.geteuid()
        self.assertEqual(
            str(e),
            "a tunnel's connection must come from uid 3999999, and this one comes from"
            f" {pwd.getpwuid(ours).pw_name} (uid {ours})",
        )


class OtherAccountTests(LoopbackTestCase):
    """
    Connections of another account.
    """

    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() != 0:
            raise SkipTest("only root can have processes of another account")
        self.nobody = pwd.getpwnam("nobody")

    def other(self, deed: str, *fds: int) -> subprocess.Popen[bytes]:
        """
        Have the other account connect, with some of our descriptors.
        """
        script = _OTHER.format(uid=self.nobody.pw_uid, gid=self.nobody.pw_gid, deed=deed)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=fds,
        )
        self.addCleanup(process.communicate, timeout=PATIENCE)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"done\n")
        return process

    def test_other(self) -> None:
        """
        It is found, let in where it may, and refused where it may not.
        """
        self.other("")
        connection = self.accept()
        self.assertEqual(ownerOf(connection).uid, self.nobody.pw_uid)
        checkOwner(connection, self.nobody.pw_uid)
        e = self.assertRaises(NotAuthorized, checkOwner, connection, 0)
        self.assertIn("must come from root (uid 0), and this one comes from nobody", str(e))

    def test_closed(self) -> None:
        """
        One that has written and closed at once is let in nowhere, be it taken for root or
        for itself.
        """
        self.other("connection.close()")
        connection = self.accept()
        self.assertRefused(connection, "has closed it")
        self.assertRaises(NotAuthorized, checkOwner, connection, self.nobody.pw_uid)

    def test_gone(self) -> None:
        """
        So is one whose process has ended.
        """
        process = self.other("")
        process.communicate(timeout=PATIENCE)
        self.assertRefused(self.accept(), "has closed it")

    def test_received(self) -> None:
        """
        A socket that another account has made and given to us is its, not ours.
        """
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        with theirs:
            fd = theirs.fileno()
            deed = f"socket.send_fds(socket.socket(fileno={fd}), [b'x'], [connection.fileno()])"
            self.other(deed + "; connection.close()", fd)
        _, (received,), _, _ = socket.recv_fds(ours, 1, 1)
        self.addCleanup(os.close, received)
        connection = self.accept()
        self.assertEqual(ownerOf(connection).inode, os.fstat(received).st_ino)
        self.assertRaises(NotAuthorized, checkOwner, connection, 0)
        checkOwner(connection, self.nobody.pw_uid)

    def test_given(self) -> None:
        """
        A socket that we have made and given to another account is ours.
        """
        with self.connect() as peer:
            self.other("connection.close()", peer.fileno())
        checkOwner(self.accept(), 0)
