"""
Tests of L{rvgahp.clienttunnels}: the CE's ends of tunnels that do what a test wants, and a
port where the gridmanager would be.
"""

from __future__ import annotations

import os
import resource
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frames, limits, tunnellimits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.clienttunnels import Tunnels
from rvgahp.forward import Forward
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.session import SessionKeys
from rvgahp.stream import Stream
from tests.channelends import TICKET, User
from tests.sessions import makeSession
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair
from tests.tcpends import Program
from tests.test_cedarpeek import FOLLOWING, ID, SEEN

WINDOW = 1 << 20


class Site:
    """
    The CE's end of one tunnel.

    @ivar user: what came.
    @ivar carrier: its end of the stream.
    """

    def __init__(self, case: TunnelsTestCase, number: int) -> None:
        self._case = case
        self.number = number
        self.user = User()
        self.carrier = Carrier(case.loop, Stream(WINDOW, case.budget), self.user)
        self.user.carrier = self.carrier
        self.generation = 0

    def dial(self) -> DialingChannel:
        """
        Dial one more channel, which is handed over.
        """
        ours, theirs = socketPair()
        self.generation += 1
        channel = DialingChannel(
            self._case.loop,
            ours,
            self.carrier,
            makeSession(),
            self.number,
            TUNNEL_STREAM,
            self.generation,
            TICKET,
        )
        theirs.recv(limits.PREAMBLE_BYTES)
        self._case.tunnels.channelHanded(self.number, theirs)
        return channel

    def send(self, *portions: bytes) -> None:
        """
        Send bytes, each portion in a frame of its own.
        """
        for portion in portions:
            self.carrier.send(frames.STDOUT, portion)

    def failure(self) -> str:
        """
        @return: why the client's end has failed; empty if it has not.
        """
        said = [payload for kind, payload in self.user.frames() if kind == frames.FAILED]
        return b"".join(said).decode()


class TunnelsTestCase(SynchronousTestCase):
    """
    One session's tunnels.

    @ivar said: what people are told.
    @ivar waiting: which waited for another channel, each time that one more did.
    """

    #: Whom the shared port is asked for; empty: there is none.
    sharedPortId = ID

    def setUp(self) -> None:
        """
        Listen where the gridmanager would.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        self.port = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port.setblocking(False)
        self.number: int = self.port.getsockname()[1]
        self.budget, self.clientBudget = Budget(1 << 40), Budget(1 << 40)
        self.said: list[str] = []
        sock = f"?sock={self.sharedPortId}" if self.sharedPortId else ""
        self.forward = Forward(f"4711 <127.0.0.1:{self.number}{sock}> 0 0")
        self.keys = SessionKeys(makeSession(), self.loop.seconds())
        self.tunnels = Tunnels(
            self.loop,  # type: ignore[arg-type]  # as good as a Poller
            self.keys,
            self.forward,
            lambda: Stream(WINDOW, self.clientBudget),
            self.said.append,
            lambda: self.waiting.append(self.tunnels.broken()),
        )
        self.waiting: list[list[tuple[int, int]]] = []
        self.sites: list[Site] = []
        self.programs: list[Program] = []

    def tearDown(self) -> None:
        """
        The session is over; nothing is left.
        """
        self.tunnels.close()
        self.assertEqual(len(self.tunnels), 0)
        for site in self.sites:
            site.carrier.close()
        for program in self.programs:
            program.close()
        self.port.close()
        self.loop.settle()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual((self.budget.held, self.clientBudget.held), (0, 0))
        self.assertEqual(descriptorCount(), self.before)

    def site(self, number: int = 1) -> Site:
        """
        @return: the CE's end of a tunnel, without a channel.
        """
        site = Site(self, number)
        self.sites.append(site)
        return site

    def opened(self, number: int = 1) -> Site:
        """
        @return: one with a channel.
        """
        site = self.site(number)
        site.dial()
        self.loop.settle()
        self.assertEqual(site.user.opened, 1)
        return site

    def accept(self) -> Program | None:
        """
        @return: the gridmanager's end of the next connection, if there is one.
        """
        self.loop.settle()
        try:
            connection, _ = self.port.accept()
        except BlockingIOError:
            return None
        connection.setblocking(False)
        self.programs.append(Program(connection))
        self.loop.settle()
        return self.programs[-1]

    def passed(self, number: int = 1) -> tuple[Site, Program]:
        """
        @return: both ends of a tunnel whose first message has passed.
        """
        site = self.opened(number)
        site.send(SEEN)
        program = self.accept()
        assert program is not None
        program.read()
        self.assertEqual(program.came, SEEN)
        program.came.clear()
        return site, program

    def assertRefused(self, site: Site, *words: str) -> None:
        """
        The gridmanager has not heard of it; the site, and people here, are told why, in
        these words; and it is over.
        """
        self.assertIsNone(self.accept())
        self.loop.spend(1)
        for word in words:
            self.assertIn(word, site.failure())
        self.assertEqual(self.said, [f"tunnel {site.number}: {site.failure()}"])
        self.assertEqual(len(self.tunnels), 0)
        self.said.clear()


class GuardTests(TunnelsTestCase):
    """
    What may pass.
    """

    def test_pieces(self) -> None:
        """
        In whatever pieces the first message comes, the gridmanager is not dialled before
        it is complete; then it gets all, in order.
        """
        data = SEEN + FOLLOWING
        allSizes = ((len(data),), (1,) * len(data), (len(SEEN) - 1, 1, 7), (len(SEEN), 40))
        for number, sizes in enumerate(allSizes, 1):
            site = self.opened(number)
            offset = 0
            for size in (*sizes, len(data)):
                if offset < len(SEEN):
                    self.assertIsNone(self.accept())
                site.send(data[offset : offset + size])
                offset += size
                self.loop.settle()
            program = self.accept()
            assert program is not None
            self.loop.settle()
            program.read()
            self.assertEqual(program.came, data)
            self.assertIsNone(self.accept())
        self.assertEqual(self.said, [])

    def test_refused(self) -> None:
        """
        What asks for something else is refused at the first byte that shows it, and nothing
        is dialled.
        """
        other = SEEN.replace(ID.encode(), ID.encode()[:-1] + b"2")
        for number, (data, words) in enumerate(
            (
                (b"GET / HTTP/1.0\r\n", "does not begin with a message of CEDAR"),
                (other[: other.index(b"_2")] + b"_2", "this one asks for"),
                (SEEN.replace(b"\0\x4b", b"\0\x3c"), "is not SHARED_PORT_CONNECT"),
                (b"\1\0\1\0\0", "more than 2048 bytes"),
            ),
            1,
        ):
            site = self.opened(number)
            for octet in data[:-1]:
                site.send(bytes((octet,)))
            site.send(data[-1:])
            self.assertRefused(site, "refused: ", ID, words)

    def test_refusedAtOnce(self) -> None:
        """
        What comes behind a message that is refused, be it a good one, its end or much, is
        for nobody.
        """
        site = self.opened()
        site.send(b"GET /", SEEN, bytes(200_000))
        site.carrier.send(frames.END_STDOUT)
        self.assertRefused(site, "refused: ")

    def test_endTooEarly(self) -> None:
        """
        So is one that ends before its first message is complete, or without any.
        """
        for number, portion in enumerate((b"", SEEN[:-1]), 1):
            site = self.opened(number)
            site.send(portion)
            site.carrier.send(frames.END_STDOUT)
            self.assertRefused(site, "it ended before its first message was complete")

    def test_late(self) -> None:
        """
        So is one that takes longer than 10 s, however it dribbles.
        """
        for number in (1, 2):
            site = self.opened(number)
            for octet in SEEN[:9]:
                if number == 2:
                    site.send(bytes((octet,)))
                self.loop.spend(tunnellimits.PEEK_TIMEOUT / 10)
            self.assertEqual((site.failure(), len(self.tunnels)), ("", 1))
            self.loop.spend(tunnellimits.PEEK_TIMEOUT / 10)
            self.assertRefused(site, "its first message was not complete after 10 s")

    def test_inTime(self) -> None:
        """
        For one that came in time that time means nothing.
        """
        site = self.opened()
        site.send(SEEN[:-1])
        self.loop.spend(tunnellimits.PEEK_TIMEOUT - 0.1)
        site.send(SEEN[-1:])
        program = self.accept()
        assert program is not None
        self.loop.spend(1000)
        program.write(b"still here")
        self.loop.spend(1)
        self.assertIn((frames.STDIN, b"still here"), site.user.frames())

    def test_manyFrames(self) -> None:
        """
        A hundred thousand frames with nothing in them are held in a few bytes.
        """
        site = self.opened()
        for _ in range(100_000):
            site.send(b"")
        self.loop.settle()
        (tunnel,) = self.tunnels._tunnels.values()
        self.assertEqual(len(tunnel._held), 0)
        site.send(SEEN)
        program = self.accept()
        assert program is not None
        self.loop.spend(1)
        program.read()
        self.assertEqual(program.came, SEEN)
        self.assertTrue(site.carrier.stream.isAcknowledged())

    def test_heldWithinTheWindow(self) -> None:
        """
        Nothing is acknowledged, and so no more than the window can come, before it has
        been passed on.
        """
        site = self.opened()
        site.send(SEEN)
        while site.carrier.room():
            site.send(bytes(min(100_000, site.carrier.room())))
        # The kernel connects at once, and the loop has not told us yet.
        while not (tunnel := self.tunnels._tunnels[1]).carrier.stream.undelivered():
            self.loop.turn()
        self.assertFalse(site.carrier.stream.isAcknowledged(1))
        self.assertLessEqual(tunnel.carrier.stream.undelivered(), WINDOW)


class PassedTests(TunnelsTestCase):
    """
    Tunnels whose first message has passed.
    """

    def test_bothWays(self) -> None:
        """
        Bytes go both ways, and each direction ends for itself.
        """
        site, program = self.passed()
        site.send(FOLLOWING)
        program.write(b"answer")
        self.loop.settle()
        program.read()
        self.assertEqual(program.came, FOLLOWING)
        self.assertEqual(site.user.frames(), [(frames.STDIN, b"answer")])
        site.carrier.send(frames.END_STDOUT)
        self.loop.settle()
        program.read()
        self.assertEqual(program.end, "eof")
        program.write(b"more")
        program.finish()
        self.loop.spend(1)
        self.assertEqual(
            site.user.frames(), [(frames.STDIN, b"answermore"), (frames.END_STDIN, b"")]
        )
        self.assertEqual((len(self.tunnels), self.said), (0, []))

    def test_endWithTheMessage(self) -> None:
        """
        An end that comes with the message, before there is a connection, comes out behind
        it.
        """
        site = self.opened()
        site.send(SEEN, FOLLOWING)
        site.carrier.send(frames.END_STDOUT)
        program = self.accept()
        assert program is not None
        self.loop.settle()
        program.read()
        self.assertEqual((program.came, program.end), (SEEN + FOLLOWING, "eof"))

    def test_targetRefuses(self) -> None:
        """
        A gridmanager that cannot be reached is named to the site and to people here.
        """
        self.port.close()
        site = self.opened()
        site.send(SEEN, FOLLOWING)
        self.loop.spend(1)
        self.assertEqual(
            site.failure(),
            f"the gridmanager's port, 127.0.0.1 port {self.number}, could not be reached:"
            " Connection refused",
        )
        self.assertEqual(self.said, [f"tunnel 1: {site.failure()}"])
        self.assertEqual(len(self.tunnels), 0)

    def test_targetSilent(self) -> None:
        """
        One that does not answer is given up after 10 s.
        """
        self.port.listen(0)
        queued = [socket.socket() for _ in range(8)]
        for one in queued:
            self.addCleanup(one.close)
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.number))
        site = self.opened()
        site.send(SEEN)
        self.loop.spend(limits.DIAL_TIMEOUT - 0.1)
        self.assertEqual(site.failure(), "")
        self.loop.spend(1)
        self.assertIn("could not be reached: no answer within 10 s", site.failure())

    def test_noDescriptor(self) -> None:
        """
        Without a descriptor that one tunnel fails.
        """
        site = self.opened()
        number = descriptorCount()
        spare = [os.dup(0) for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
        try:
            site.send(SEEN)
            self.loop.settle()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in spare:
                os.close(fd)
        self.assertLessEqual(descriptorCount(), number)
        self.loop.spend(1)
        self.assertIn("could not be reached: Too many open files", site.failure())

    def test_broken(self) -> None:
        """
        What breaks here is told there, and what breaks there breaks here.
        """
        site, program = self.passed(1)
        program.reset()
        self.loop.spend(1)
        self.assertEqual(site.failure(), "the tunnelled connection broke: Connection reset by peer")
        other, program = self.passed(2)
        other.carrier.send(frames.FAILED, b"no more")
        self.loop.spend(1)
        program.read()
        self.assertEqual(program.end, "reset")
        self.assertEqual(self.said[1:], ["tunnel 2: its other end failed: no more"])
        self.assertTrue(other.carrier.stream.isAcknowledged())

    def test_failedWhileDialling(self) -> None:
        """
        A site that gives up while the gridmanager is dialled leaves nothing.
        """
        site = self.opened()
        site.send(SEEN)
        site.carrier.send(frames.FAILED, b"no more")
        self.loop.spend(1)
        self.assertEqual(len(self.tunnels), 0)
        other = self.opened(2)
        other.send(SEEN)
        other.carrier.send(frames.EXIT, b"\0\0")  # which is for no tunnel
        self.loop.spend(1)
        self.assertEqual(len(self.tunnels), 0)


class OwnPortTests(TunnelsTestCase):
    """
    A gridmanager that has a port of its own.
    """

    sharedPortId = ""

    def test_atOnce(self) -> None:
        """
        It is connected at once, since the other side might speak first, and everything
        passes, at any time.
        """
        site = self.opened()
        program = self.accept()
        assert program is not None
        program.write(b"hello")
        self.loop.spend(tunnellimits.PEEK_TIMEOUT * 3)
        self.assertIn((frames.STDIN, b"hello"), site.user.frames())
        site.send(b"GET / HTTP/1.0\r\n")
        self.loop.settle()
        program.read()
        self.assertEqual(program.came, b"GET / HTTP/1.0\r\n")
        site.carrier.send(frames.END_STDOUT)
        program.finish()
        self.loop.spend(1)
        self.assertEqual((len(self.tunnels), self.said), (0, []))

    def test_newChannel(self) -> None:
        """
        A newer channel makes no second connection.
        """
        site = self.opened()
        program = self.accept()
        assert program is not None
        site.dial()
        self.loop.settle()
        self.assertEqual(site.user.opened, 2)
        self.assertIsNone(self.accept())
        site.send(b"x")
        self.loop.settle()
        program.read()
        self.assertEqual(program.came, b"x")

    def test_endAtOnce(self) -> None:
        """
        One that ends at once ends in good order.
        """
        site = self.opened()
        site.carrier.send(frames.END_STDOUT)
        program = self.accept()
        assert program is not None
        self.loop.settle()
        program.read()
        self.assertEqual(program.end, "eof")

    def test_endBeforeTheConnection(self) -> None:
        """
        Bytes and end that come before the connection is there are held for it, in order.
        """
        site = self.site()
        site.dial()
        site.send(b"one ", b"two")
        site.carrier.send(frames.END_STDOUT)
        program = self.accept()
        assert program is not None
        self.loop.settle()
        program.read()
        self.assertEqual((program.came, program.end), (b"one two", "eof"))


class NumberTests(TunnelsTestCase):
    """
    How many tunnels there are, and which.
    """

    def handed(self, number: int) -> socket.socket:
        """
        @return: the far end of a connection that is handed over, and says nothing.
        """
        ours, theirs = socketPair()
        self.addCleanup(ours.close)
        self.tunnels.channelHanded(number, theirs)
        return ours

    def isClosed(self, connection: socket.socket) -> bool:
        """
        @return: whether the client has closed it.
        """
        try:
            return connection.recv(1) == b""
        except BlockingIOError:
            return False

    def test_most(self) -> None:
        """
        There are 64 at one time; the next one is closed, the others stay, and when one of
        them ends there is room for another.
        """
        passed = [self.passed(number) for number in range(1, tunnellimits.TUNNELS + 1)]
        self.assertEqual(len(self.tunnels), 64)
        refused = self.handed(65)
        self.assertTrue(self.isClosed(refused))
        self.assertEqual(len(self.tunnels), 64)
        site, program = passed[7]
        site.carrier.send(frames.END_STDOUT)
        program.finish()
        self.loop.spend(1)
        self.assertEqual(len(self.tunnels), 63)
        self.passed(65)
        for site, program in (*passed[:7], *passed[8:]):
            site.send(b"x")
            self.loop.settle()
            program.read()
            self.assertEqual(program.came, b"x")

    def test_silent(self) -> None:
        """
        Connections that say nothing hold their places for the time of a handshake only.
        """
        silent = [self.handed(number) for number in range(1, 65)]
        self.assertTrue(self.isClosed(self.handed(65)))
        self.loop.spend(limits.HANDSHAKE_TIMEOUT + 1)
        self.assertEqual(len(self.tunnels), 0)
        self.assertTrue(all(map(self.isClosed, silent)))
        self.passed(1)

    def test_ended(self) -> None:
        """
        The number of a tunnel that was open and has ended opens no other.
        """
        site, program = self.passed(1)
        site.carrier.send(frames.END_STDOUT)
        program.finish()
        self.loop.spend(1)
        self.assertEqual(len(self.tunnels), 0)
        late = self.handed(1)
        self.assertEqual(len(self.tunnels), 0)
        self.loop.spend(limits.HANDSHAKE_TIMEOUT + 1)
        self.assertTrue(self.isClosed(late))
        self.passed(2)

    def test_remembered(self) -> None:
        """
        Of those that have ended so many are remembered, and no more.
        """
        for number in range(1, 4):
            site = self.opened(number)
            site.carrier.send(frames.FAILED, b"enough")
            self.loop.settle()
        self.assertEqual(list(self.tunnels._ended), [1, 2, 3])
        self.assertEqual(self.tunnels._ended.maxlen, 1024)

    def test_notYetOpen(self) -> None:
        """
        A number whose handshake failed is as good as new.
        """
        self.handed(1).sendall(b"rubbish, and enough of it to be known for that")
        self.loop.settle()
        self.assertEqual((len(self.tunnels), self.said), (0, []))
        self.passed(1)

    def test_twoHandshakes(self) -> None:
        """
        Of two handshakes of one tunnel at the same time one may fail, be it the first or
        the second, before or after the other is done.
        """
        number = 0
        for failsFirst in (True, False):
            for early in (True, False):
                number += 1
                site = self.site(number)
                channels: list[Any] = []
                for isBad in (failsFirst, not failsFirst):
                    if isBad:
                        bad = self.handed(number)
                    else:
                        channels.append(site.dial())
                if early:
                    bad.send(b"rubbish, and enough of it to be known for that")
                self.loop.settle()
                if not early:
                    bad.send(b"rubbish, and enough of it to be known for that")
                    self.loop.settle()
                self.assertEqual((site.user.opened, self.said), (1, []))
                site.send(SEEN)
                program = self.accept()
                assert program is not None
                program.read()
                self.assertEqual(program.came, SEEN)

    def test_manyHandshakes(self) -> None:
        """
        One tunnel has so many at one time, and no more; when their time is over there is
        room for others.
        """
        pending = [self.handed(1) for _ in range(limits.HANDSHAKES)]
        self.assertTrue(self.isClosed(self.handed(1)))
        self.assertFalse(any(map(self.isClosed, pending)))
        self.loop.spend(limits.HANDSHAKE_TIMEOUT + 1)
        self.assertTrue(all(map(self.isClosed, pending)))
        self.passed(1)

    def test_twoHandshakesFail(self) -> None:
        """
        When both fail it is over, when the last one has.
        """
        first, second = self.handed(1), self.handed(1)
        for one in (first, second):
            self.assertEqual(len(self.tunnels), 1)
            one.sendall(b"rubbish, and enough of it to be known for that")
            self.loop.settle()
        self.assertEqual((len(self.tunnels), self.said), (0, []))

    def test_newChannel(self) -> None:
        """
        A newer channel for an open tunnel takes the place of the first, without a second
        connection or another deadline.
        """
        site, program = self.passed()
        site.dial()
        self.loop.settle()
        site.send(b"on")
        self.loop.spend(tunnellimits.PEEK_TIMEOUT * 2)
        program.read()
        self.assertEqual(program.came, b"on")
        self.assertIsNone(self.accept())

    def test_anothersDial(self) -> None:
        """
        A channel whose Dial names another stream than it was announced for is refused.
        """
        site = self.site(2)
        ours, theirs = socketPair()
        DialingChannel(self.loop, ours, site.carrier, makeSession(), 2, TUNNEL_STREAM, 1, TICKET)
        theirs.recv(limits.PREAMBLE_BYTES)
        self.tunnels.channelHanded(1, theirs)
        self.loop.settle()
        self.assertEqual((site.user.opened, len(self.tunnels)), (0, 0))


class ResumptionTests(TunnelsTestCase):
    """
    Channels that break.
    """

    def cut(self, site: Site) -> None:
        """
        The channel breaks.
        """
        site.carrier.drop("cut")
        self.loop.settle()

    def resume(self, site: Site) -> None:
        """
        The CE has dialled again.
        """
        site.dial()
        self.loop.settle()

    def test_resumed(self) -> None:
        """
        A broken channel ends no tunnel; the session is told that one waits, the
        gridmanager hears nothing of it, and the bytes go on where they were.
        """
        other, _ = self.passed(1)
        site, program = self.passed(2)
        for count in range(1, 5):
            site.send(b"out %d." % count)
            program.write(b"in %d." % count)
            self.cut(site)
            self.assertEqual(self.tunnels.broken(), [(2, count)])
            self.assertEqual(len(self.waiting), count)
            site.send(b"more.")
            program.write(b"more.")
            self.loop.spend(100)
            self.resume(site)
            self.assertEqual(self.tunnels.broken(), [])
        program.read()
        self.assertEqual(program.came, b"".join(b"out %d.more." % n for n in range(1, 5)))
        self.assertEqual(
            site.user.frames(),
            [(frames.STDIN, b"".join(b"in %d.more." % n for n in range(1, 5)))],
        )
        self.assertEqual((program.end, self.said, other.user.lost), ("", [], []))

    def test_guarded(self) -> None:
        """
        A first message in pieces, each over another channel, is checked as one; so is what
        is not allowed.
        """
        site = self.opened(1)
        for at in range(0, len(SEEN), 20):
            self.assertIsNone(self.accept())
            site.send(SEEN[at : at + 20])
            self.loop.settle()
            self.cut(site)
            self.resume(site)
        program = self.accept()
        assert program is not None
        program.read()
        self.assertEqual(program.came, SEEN)
        other = self.opened(2)
        other.send(SEEN[:-20])
        self.loop.settle()
        self.cut(other)
        self.resume(other)
        other.send(b"x" * 20)
        self.assertIsNone(self.accept())
        self.assertNotEqual(other.failure(), "")

    def test_late(self) -> None:
        """
        What a broken channel takes does not count for the first message; but with another
        it has its limit again.
        """
        site = self.opened()
        site.send(SEEN[:-1])
        self.loop.settle()
        self.cut(site)
        self.loop.spend(10 * tunnellimits.PEEK_TIMEOUT)
        self.assertEqual((len(self.tunnels), self.said), (1, []))
        self.resume(site)
        self.loop.spend(tunnellimits.PEEK_TIMEOUT - 1)
        self.assertEqual(len(self.tunnels), 1)
        self.loop.spend(2)
        self.assertIn("its first message was not complete", site.failure())

    def test_forgotten(self) -> None:
        """
        When the site says that a tunnel is over there, it is over here; so it is for one
        that there is not.
        """
        site, program = self.passed(1)
        _, other = self.passed(2)
        self.cut(site)
        self.tunnels.forgotten(7, "over")
        self.tunnels.forgotten(1, "tunnel 1 of the session is over at the site")
        self.loop.settle()
        program.read()
        other.read()
        self.assertEqual((program.end, other.end), ("reset", ""))
        self.assertEqual(self.said, ["tunnel 1: tunnel 1 of the session is over at the site"])
        self.assertEqual(len(self.tunnels), 1)

    def ended(self) -> Site:
        """
        @return: a tunnel that has ended here, of which the CE has not heard.
        """
        site, program = self.passed(1)
        self.cut(site)
        program.reset()
        self.loop.spend(tunnellimits.END_TIMEOUT + 1)
        self.assertEqual(len(self.tunnels), 0)
        return site

    def test_farewell(self) -> None:
        """
        A CE that dials a tunnel that has ended here is told so, provably, and nothing is
        opened for it.
        """
        site = self.ended()
        for _ in range(3):
            site.carrier.isRefused = False
            self.resume(site)
            self.assertTrue(site.carrier.isRefused)
            self.assertIn("is not the one that was announced", site.user.lost[-1])
        self.assertIsNone(self.accept())
        self.assertEqual((len(self.tunnels), len(self.said)), (0, 1))

    def test_farewells(self) -> None:
        """
        Dials of such tunnels that say nothing take no more than so many descriptors, and
        those not for long.
        """
        self.ended()
        before = descriptorCount()
        connections = []
        for _ in range(3 * tunnellimits.TUNNELS):
            ours, theirs = socketPair()
            self.addCleanup(ours.close)
            connections.append(ours)
            self.tunnels.channelHanded(1, theirs)
        self.assertEqual(descriptorCount() - before, len(connections) + tunnellimits.TUNNELS)
        self.loop.spend(limits.HANDSHAKE_TIMEOUT + 1)
        self.assertEqual(descriptorCount() - before, len(connections))
        for connection in connections:
            self.assertEqual(connection.recv(1), b"")

    def test_closed(self) -> None:
        """
        The end of the session ends those that wait for a channel, and farewells.
        """
        self.ended()
        waiting, program = self.passed(2)
        self.cut(waiting)
        ours, theirs = socketPair()
        self.tunnels.channelHanded(1, theirs)
        self.tunnels.close()
        self.assertEqual(ours.recv(1), b"")
        ours.close()
        program.read()
        self.assertEqual(program.end, "reset")


class CloseTests(TunnelsTestCase):
    """
    The end of the session.
    """

    def test_states(self) -> None:
        """
        Tunnels in every state are closed with it, without a word; connections to the
        gridmanager are reset.
        """
        waiting, theirs = socketPair()
        self.tunnels.channelHanded(1, theirs)
        self.opened(2)
        self.opened(3).send(SEEN[:-1])
        _, program = self.passed(4)
        dialling = self.opened(5)
        dialling.send(SEEN)
        while 5 not in [n for n, one in self.tunnels._tunnels.items() if one._connecting]:
            self.loop.turn()
        self.assertEqual(len(self.tunnels), 5)
        self.tunnels.close()
        self.assertEqual((len(self.tunnels), self.said), (0, []))
        self.assertEqual(waiting.recv(1), b"")
        waiting.close()
        self.loop.spend(1)
        program.read()
        self.assertEqual(program.end, "reset")
        self.tunnels.close()
