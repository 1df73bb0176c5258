"""
Tests of L{rvgahp.cetunnels}: real connections to the port of a session whose GAHP is never
started, and a proxy and a client that do what a test wants.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frames, limits, tunnellimits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.cetunnels import CETunnels, openTunnelPort
from rvgahp.channel import AnsweringChannel
from rvgahp.clienttunnels import NO_KIND
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, ChannelLost, NotAuthorized, NotYet, SessionGone, StartFailed
from rvgahp.gahpsession import GAHPSession
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.processlauncher import ProcessLauncher
from rvgahp.session import SessionKeys
from rvgahp.settings import settingsFrom
from rvgahp.stream import Stream
from rvgahp.way import Way
from tests.channelends import User
from tests.sessions import REQUEST, SESSION_ID, makeSession
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair
from tests.tcpends import Program

SETTINGS = {"RVGAHP_BROKER_HOST": "proxy.example.org"}


class PortTests(SynchronousTestCase):
    """
    The port at the site.
    """

    def refusal(self, number: int) -> str:
        """
        @return: why it cannot be had.
        """
        with self.assertRaises(StartFailed) as caught:
            openTunnelPort(number)
        return str(caught.exception)

    def test_any(self) -> None:
        """
        The kernel chooses, and nobody reaches it from another host.
        """
        with openTunnelPort(0) as first, openTunnelPort(0) as second:
            numbers = {first.getsockname()[1], second.getsockname()[1]}
            self.assertEqual(len(numbers), 2)
            self.assertEqual(first.getsockname()[0], "127.0.0.1")

    def test_wished(self) -> None:
        """
        The one that the gridmanager knows can be had again as soon as it is free, with
        connections of old around or not.
        """
        with openTunnelPort(0) as port:
            number = port.getsockname()[1]
            with socket.create_connection(port.getsockname()):
                port.accept()[0].close()
        with openTunnelPort(number) as port:
            self.assertEqual(port.getsockname(), ("127.0.0.1", number))

    def test_taken(self) -> None:
        """
        One that somebody has is refused, with its number and the kernel's word.
        """
        with openTunnelPort(0) as port:
            number = port.getsockname()[1]
            self.assertEqual(
                self.refusal(number),
                f"the site cannot listen on port {number}, which its gridmanager knows, for"
                " tunnels: Address already in use",
            )

    def test_impossible(self) -> None:
        """
        What is no port is refused like it, and is no bug.
        """
        for number in (-1, 65536, 1 << 80):
            self.assertIn("there is no such port", self.refusal(number))

    def test_noDescriptor(self) -> None:
        """
        Without a descriptor the sentence says so.
        """

        def exhausted(*arguments: Any, **more: Any) -> None:
            raise OSError(24, os.strerror(24))

        self.patch(socket, "create_server", exhausted)
        self.assertIn("cannot listen on a port, for tunnels: Too many open", self.refusal(0))


class CETunnelsTestCase(SynchronousTestCase):
    """
    A session with tunnels.

    @ivar dialled: makes the outcome of a dial.
    @ivar ticket: makes the answer of the proxy to OpenChannel.
    @ivar asked: session and stream of each OpenChannel.
    @ivar gate: connections that the CE has dialled.
    @ivar isReachable: whether the GAHP's own stream shows that the submit host is there.
    @ivar signals: what the GAHP got, and when.
    """

    def setUp(self) -> None:
        """
        Make the port.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        self.budget = Budget(1 << 40)
        self.launcher = ProcessLauncher(self.loop, 1.0)
        self.gate: list[socket.socket] = []
        self.asked: list[tuple[str, int]] = []
        self.dialled: Callable[[], Deferred[socket.socket]] = self.connected
        self.ticket: Callable[[], Deferred[bytes]] = lambda: succeed(bytes(limits.TICKET_BYTES))
        self.agreed = makeSession()
        self.session = GAHPSession(
            self.loop,
            REQUEST,
            self.agreed,
            settingsFrom("ce", Configuration(None, SETTINGS)),
            self.budget,
            self.launcher,
            Way(self._dial, self._openChannel, lambda: True),
            [],
            lambda session, reason: None,
        )
        self.isReachable = True
        self.patch(self.session, "isReachable", lambda: self.isReachable)
        self.signals: list[tuple[int, float]] = []
        self.patch(self.session, "signal", self._signalled)
        self.session.started.addErrback(lambda _: None)
        self.tunnels = self.make()
        self.session.tunnels = self.tunnels
        self.programs: list[Program] = []
        self.users: list[User] = []

    def make(self) -> CETunnels:
        """
        @return: the session's tunnels.
        """
        return CETunnels(self.loop, openTunnelPort(0), self.session)

    def _signalled(self, number: int) -> None:
        self.signals.append((number, self.loop.seconds()))

    def tearDown(self) -> None:
        """
        The session is over; nothing is left.
        """
        self.session._finish("the test is over")
        self.assertEqual(len(self.tunnels), 0)
        for user in self.users:
            assert user.carrier is not None
            user.carrier.close()
        for program in self.programs:
            program.close()
        for connection in self.gate:
            connection.close()
        self.loop.settle()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(self.budget.held, 0)
        self.assertEqual(descriptorCount(), self.before)

    # -- proxy and client ---------------------------------------------------

    def _dial(self) -> Deferred[socket.socket]:
        return self.dialled()

    def _openChannel(self, session: str, stream: int) -> Deferred[bytes]:
        self.asked.append((session, stream))
        return self.ticket()

    def connected(self) -> Deferred[socket.socket]:
        """
        @return: a dial that succeeds.
        """
        ours, theirs = socketPair()
        self.gate.append(theirs)
        return succeed(ours)

    def answer(self, connection: socket.socket, number: int) -> User:
        """
        Do what gate, proxy and client do with a connection that was dialled.

        @return: who uses the client's end.
        """
        user = User()
        user.carrier = Carrier(self.loop, Stream(1 << 20, Budget(1 << 40)), user)
        self.users.append(user)
        self.hand(connection, user.carrier, number)
        return user

    def hand(
        self, connection: socket.socket, carrier: Carrier, number: int, kind: int = TUNNEL_STREAM
    ) -> None:
        """
        The client gets a connection for a stream.
        """
        self.gate.remove(connection)
        connection.recv(limits.PREAMBLE_BYTES)
        keys = SessionKeys(self.agreed, self.loop.seconds())
        AnsweringChannel(self.loop, connection, carrier, keys, number, kind, carrier.generation)
        self.loop.settle()

    # -- the site -----------------------------------------------------------

    def connect(self) -> Program:
        """
        @return: a connection to the port.
        """
        connection = socket.create_connection(("127.0.0.1", self.tunnels.number))
        connection.setblocking(False)
        self.programs.append(Program(connection))
        self.loop.settle()
        return self.programs[-1]

    def opened(self) -> tuple[Program, User]:
        """
        @return: both ends of a tunnel.
        """
        program = self.connect()
        user = self.answer(self.gate[-1], self.asked[-1][1])
        self.assertEqual(user.opened, 1)
        return program, user

    def assertReset(self, program: Program) -> None:
        """
        It hears that it was no end in good order.
        """
        self.loop.settle()
        program.readOn()
        self.assertEqual(program.end, "reset")

    def ends(self, deed: Callable[[], object]) -> list[str]:
        """
        @return: the reasons with which tunnels have ended meanwhile, as they are logged.
        """
        with capturedLogs() as logs:
            deed()
        return [event["reason"] for event in logs if "sent" in event]


class CarriedTests(CETunnelsTestCase):
    """
    Connections that get through.
    """

    def test_bothWays(self) -> None:
        """
        Each connection is a stream with a number of its own; what is said goes both ways,
        and the log has how much it was.
        """
        tunnels = [self.opened() for _ in range(3)]
        self.assertEqual(self.asked, [(SESSION_ID, number) for number in (1, 2, 3)])
        for number, (program, user) in enumerate(tunnels):
            program.write(b"hello %d" % number)
            assert user.carrier is not None
            user.carrier.send(frames.STDIN, b"hi")
            self.loop.settle()
            self.assertEqual(user.frames(), [(frames.STDOUT, b"hello %d" % number)])
            program.read()
            self.assertEqual(program.came, b"hi")
        program, user = tunnels[1]
        assert user.carrier is not None
        user.carrier.send(frames.END_STDIN)
        program.finish()
        with capturedLogs() as logs:
            self.loop.spend(1)
        (event,) = logs
        self.assertEqual(
            (event["session"], event["stream"], event["reason"], event["sent"], event["received"]),
            (SESSION_ID, 2, "in good order", 7, 2),
        )
        self.assertEqual(len(self.tunnels), 2)
        self.assertNotIn("hello", repr(logs))

    def test_numbers(self) -> None:
        """
        A number is not used again.
        """
        for number in range(1, 4):
            program, _ = self.opened()
            self.assertEqual(self.asked[-1][1], number)
            program.reset()
            self.loop.spend(1)

    def test_early(self) -> None:
        """
        Nothing is read of a connection before it has its channel, and its end is not
        forgotten.
        """
        program = self.connect()
        program.write(b"early")
        program.finish()
        self.loop.settle()
        user = self.answer(self.gate[0], 1)
        self.loop.settle()
        self.assertEqual(user.frames(), [(frames.STDOUT, b"early"), (frames.END_STDOUT, b"")])

    def test_idle(self) -> None:
        """
        The time for the channel means nothing to one that has it.
        """
        program, user = self.opened()
        self.loop.spend(tunnellimits.OPEN_TIMEOUT * 30)
        program.write(b"x")
        self.loop.settle()
        self.assertEqual(user.frames(), [(frames.STDOUT, b"x")])
        self.assertEqual(len(self.asked), 1)


class RefusedTests(CETunnelsTestCase):
    """
    Connections that do not.
    """

    def test_owner(self) -> None:
        """
        One whose owner is not the GAHP's account is reset, nothing is asked of the proxy,
        and the log says who it was.
        """
        self.tunnels.close("")
        uid = os.geteuid()
        self.patch(os, "geteuid", lambda: uid + 1)
        self.session.tunnels = self.tunnels = self.make()
        with capturedLogs() as logs:
            program = self.connect()
        self.assertReset(program)
        self.assertEqual((len(self.tunnels), self.asked, self.gate), (0, [], []))
        (event,) = logs
        self.assertEqual((event["session"], event["port"]), (SESSION_ID, self.tunnels.number))
        self.assertIn(str(uid), str(event["reason"]))

    def test_account(self) -> None:
        """
        It is the account that the GAHP runs as, which is known when it runs; a probe is the
        CE's own.
        """
        uid = os.geteuid()
        self.session.launched(uid + 1)
        with capturedLogs() as logs:
            program = self.connect()
        self.assertReset(program)
        self.assertIn(f"uid {uid + 1}", str(logs[0]["reason"]))
        self.tunnels.probe(b"x")
        self.loop.until(lambda: len(self.tunnels))
        self.session.launched(uid)
        self.connect()
        self.assertEqual(len(self.tunnels), 2)

    def test_most(self) -> None:
        """
        There are 64 at one time; the next one is reset, and when one of them ends there is
        room for another.
        """
        programs = [self.connect() for _ in range(tunnellimits.TUNNELS)]
        with capturedLogs() as logs:
            refused = self.connect()
        self.assertIn("no more are allowed", str(logs[0]["reason"]))
        self.assertReset(refused)
        self.assertEqual(len(self.tunnels), 64)
        user = self.answer(self.gate[5], 6)
        assert user.carrier is not None
        user.carrier.send(frames.FAILED, b"no more")
        self.assertReset(programs[5])
        self.assertEqual(len(self.tunnels), 63)
        self.connect()
        self.assertEqual(len(self.tunnels), 64)
        self.assertEqual([program.end for program in programs].count(""), 63)


class TicketTests(CETunnelsTestCase):
    """
    What the proxy says to OpenChannel.
    """

    def test_final(self) -> None:
        """
        A session that is gone, or that may have no tunnels, ends the tunnel at once, with
        the proxy's word.
        """
        for error in (SessionGone, NotAuthorized):
            self.asked.clear()
            self.ticket = lambda error=error: fail(error("so it is"))  # type: ignore[misc]
            (reason,) = self.ends(self.connect)
            self.assertEqual(reason, "so it is")
            self.assertReset(self.programs[-1])
            self.loop.spend(100)
            self.assertEqual(len(self.asked), 1)

    def test_passing(self) -> None:
        """
        What may be over soon is tried again, less and less often; after 15 s it is given
        up, with the last reason.
        """
        for error in (NotYet, Busy, ChannelLost):
            self.asked.clear()
            times: list[float] = []

            def refuse(error: type[Exception] = error, times: list[float] = times) -> Any:
                times.append(self.loop.seconds())
                return fail(error(f"not now, {len(times)}"))

            self.ticket = refuse
            program = self.connect()
            start = self.loop.seconds()
            self.loop.spend(tunnellimits.OPEN_TIMEOUT - 0.1)
            self.assertEqual(len(self.tunnels), 1)
            (reason,) = self.ends(lambda: self.loop.spend(0.2))
            self.assertEqual(reason, f"no channel within 15 s: not now, {len(times)}")
            self.assertReset(program)
            self.loop.spend(100)
            self.assertLess(times[-1] - start, tunnellimits.OPEN_TIMEOUT)
            waits = [later - sooner for sooner, later in pairwise(times)]
            self.assertLess(len(waits), 20)
            self.assertGreater(len(waits), 6)
            self.assertLess(waits[0], 0.1)
            self.assertGreater(max(waits), 2)

    def test_comesThrough(self) -> None:
        """
        When the proxy is there again, the tunnel opens.
        """
        good = self.ticket
        self.ticket = lambda: fail(ChannelLost("the site is not connected to the proxy"))
        program = self.connect()
        self.loop.spend(2)
        self.ticket = good
        self.loop.until(lambda: self.asked and self.gateIsAsked())
        program.write(b"x")
        user = self.answer(self.gate[-1], 1)
        self.loop.settle()
        self.assertEqual(user.frames(), [(frames.STDOUT, b"x")])

    def gateIsAsked(self) -> bool:
        """
        @return: whether a ticket was shown on the last connection.
        """
        try:
            return bool(self.gate[-1].recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def test_unanswered(self) -> None:
        """
        A proxy, or its port, that does not answer is given up, too.
        """
        never: list[Deferred[Any]] = []

        def silence() -> Deferred[Any]:
            never.append(Deferred())
            return never[-1]

        good = self.ticket
        for name in ("ticket", "dialled"):
            self.ticket, self.dialled = good, self.connected
            setattr(self, name, silence)
            program = self.connect()
            reasons = self.ends(lambda: self.loop.spend(tunnellimits.OPEN_TIMEOUT + 0.1))
            self.assertEqual(reasons, ["no channel within 15 s: no dial was answered"])
            self.assertReset(program)

    def test_handshakeFails(self) -> None:
        """
        A channel whose handshake fails is dialled again, with another ticket; the last
        reason is told.
        """
        self.connect()
        for _ in range(3):
            with self.gate.pop() as connection:
                connection.recv(4096)
            self.loop.spend(0.5)
        self.assertGreater(len(self.asked), 3)
        (reason,) = self.ends(lambda: self.loop.spend(tunnellimits.OPEN_TIMEOUT))
        self.assertIn("no channel within 15 s: ", reason)
        self.assertIn("the other end closed the connection", reason)


class CloseTests(CETunnelsTestCase):
    """
    The end of the session.
    """

    def test_states(self) -> None:
        """
        With the session all its tunnels are over, and its port is closed; connections are
        reset.
        """
        open_, user = self.opened()
        never: Deferred[Any] = Deferred()
        self.ticket = lambda: never
        asking = self.connect()
        self.ticket = lambda: fail(ChannelLost("not now"))
        waiting = self.connect()
        failing, _ = open_, self.connect()
        self.assertEqual(len(self.tunnels), 4)
        number = self.tunnels.number
        reasons = self.ends(lambda: self.session._finish("enough"))
        self.assertEqual(reasons, ["its session is over"] * 4)
        for program in (open_, asking, waiting, failing):
            self.assertReset(program)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", number))
        self.loop.settle()
        self.assertEqual(len(user.lost), 1)

    def test_twice(self) -> None:
        """
        It can be closed again.
        """
        self.opened()
        self.tunnels.close("once")
        self.tunnels.close("twice")
        self.assertEqual(len(self.tunnels), 0)

    def test_bugInTheMiddle(self) -> None:
        """
        The end of one tunnel while another is being closed does no harm.
        """
        _, user = self.opened()
        self.opened()
        assert user.carrier is not None
        user.carrier.send(frames.FAILED, b"no more")
        self.tunnels.close("enough")
        self.assertEqual(len(self.tunnels), 0)


class ResumptionTests(CETunnelsTestCase):
    """
    Channels that break.
    """

    def cut(self, user: User) -> None:
        """
        The network breaks a tunnel's channel.
        """
        assert user.carrier is not None
        user.carrier.drop("cut")
        self.loop.settle()

    def resume(self, user: User, kind: int = TUNNEL_STREAM) -> None:
        """
        The client gets what the CE has dialled after the loss.
        """
        assert user.carrier is not None
        count = len(self.gate)
        self.loop.until(lambda: len(self.gate) > count)
        self.loop.settle()
        self.hand(self.gate[-1], user.carrier, self.asked[-1][1], kind)

    def test_resumed(self) -> None:
        """
        A broken channel ends no tunnel: another is dialled for it, with a ticket for its
        number, and the bytes go on where they were, both ways; the others notice nothing.
        """
        self.opened()
        program, user = self.opened()
        other, otherUser = self.opened()
        assert user.carrier is not None
        for count in range(1, 6):
            program.write(b"out %d." % count)
            user.carrier.send(frames.STDIN, b"in %d." % count)
            self.cut(user)
            program.write(b"more %d." % count)
            user.carrier.send(frames.STDIN, b"more %d." % count)
            self.resume(user)
            self.assertEqual(self.asked[-1], (SESSION_ID, 2))
            self.loop.settle()
            program.read()
        self.assertEqual(
            user.frames(),
            [(frames.STDOUT, b"".join(b"out %d.more %d." % (n, n) for n in range(1, 6)))],
        )
        self.assertEqual(program.came, b"".join(b"in %d.more %d." % (n, n) for n in range(1, 6)))
        self.assertEqual((len(self.tunnels), user.carrier.generation), (3, 6))
        other.write(b"x")
        self.loop.settle()
        self.assertEqual(otherUser.frames(), [(frames.STDOUT, b"x")])
        self.assertEqual(otherUser.lost, [])

    def test_endsMeanwhile(self) -> None:
        """
        Ends that come while there is no channel come through with the next one.
        """
        program, user = self.opened()
        assert user.carrier is not None
        self.cut(user)
        program.write(b"last words")
        program.finish()
        user.carrier.send(frames.END_STDIN)
        self.loop.settle()
        self.resume(user)
        self.loop.settle()
        self.assertEqual(user.frames(), [(frames.STDOUT, b"last words"), (frames.END_STDOUT, b"")])
        program.readOn()
        self.assertEqual(program.end, "eof")
        self.loop.spend(1)
        self.assertEqual(len(self.tunnels), 0)

    def test_over(self) -> None:
        """
        If the client has forgotten a tunnel when it is dialled again, its connection is
        reset, and the reason is logged; no other tunnel ends.
        """
        program, user = self.opened()
        self.opened()
        self.cut(user)
        (reason,) = self.ends(lambda: self.resume(user, NO_KIND))
        self.assertIn("stream 1 is not the one that was announced", reason)
        self.assertReset(program)
        self.loop.spend(1)
        self.assertEqual((len(self.tunnels), len(self.asked)), (1, 3))

    def test_overInGoodOrder(self) -> None:
        """
        If all had been carried when it was forgotten, that is an end in good order.
        """
        program, user = self.opened()
        assert user.carrier is not None
        user.carrier.send(frames.STDIN, b"all")
        user.carrier.send(frames.END_STDIN)
        program.finish()
        user.delivers = False  # our acknowledgement is all that is missing
        self.loop.settle()
        self.cut(user)
        (reason,) = self.ends(lambda: self.resume(user, NO_KIND))
        self.assertEqual(reason, "in good order")
        program.readOn()
        self.assertEqual((program.came, program.end), (b"all", "eof"))

    def test_redial(self) -> None:
        """
        The client's word that a tunnel's channel is lost is believed for that tunnel; of
        one that there is not, it hears that it is over.
        """
        _, first = self.opened()
        _, second = self.opened()
        self.tunnels.redial(2, 1)
        self.loop.settle()
        self.assertEqual((len(first.lost), len(second.lost)), (0, 1))
        self.resume(second)
        for number in (0, 3, -1):
            refused = self.assertRaises(SessionGone, self.tunnels.redial, number, 1)
            self.assertIn(f"tunnel {number} of the session is over", str(refused))

    def test_session(self) -> None:
        """
        The end of the session ends a tunnel that waits, too, and its dials.
        """
        program, user = self.opened()
        self.ticket = lambda: fail(ChannelLost("not now"))
        self.cut(user)
        self.loop.spend(3)
        reasons = self.ends(lambda: self.session._finish("enough"))
        self.assertEqual(reasons, ["its session is over"])
        self.assertReset(program)
        count = len(self.asked)
        self.loop.spend(60)
        self.assertEqual(len(self.asked), count)

    def test_outage(self) -> None:
        """
        A new tunnel is given its time only while the submit host can be reached: all of it
        after an outage, whenever that ends.
        """
        for length in (0.5, 1, 1.9, 2, 5.3):
            self.isReachable = False
            self.ticket = lambda: fail(ChannelLost("the site is not connected to the proxy"))
            self.connect()
            self.loop.spend(length * tunnellimits.OPEN_TIMEOUT)
            self.isReachable = True
            self.loop.spend(tunnellimits.OPEN_TIMEOUT - limits.PAUSE_POLL - 0.1)
            self.assertEqual(len(self.tunnels), 1)
            reasons = self.ends(lambda: self.loop.spend(2 * limits.PAUSE_POLL + 0.2))
            self.assertEqual(
                reasons, ["no channel within 15 s: the site is not connected to the proxy"]
            )

    def test_afterOutage(self) -> None:
        """
        When the submit host is reached again, the channel of a new tunnel is dialled at once,
        and again soon where the proxy cannot give a ticket yet: its next dial may be far.
        """
        self.isReachable = False
        good, self.ticket = self.ticket, lambda: fail(ChannelLost("not now"))
        self.connect()
        self.loop.spend(20 * limits.REDIAL_LONGEST)
        self.isReachable = True
        self.loop.spend(3)
        self.ticket = good
        count = len(self.asked)
        self.loop.spend(limits.PAUSE_POLL + 0.1)
        self.assertEqual(len(self.asked), count + 1)

    def test_pause(self) -> None:
        """
        In an outage the GAHP is stopped before its own limit of 20 s, and goes on when
        its tunnels have had their channels for a second.
        """
        _, user = self.opened()
        self.ticket, good = lambda: fail(ChannelLost("not now")), self.ticket
        begin = self.loop.seconds()
        self.cut(user)
        self.loop.spend(60)
        ((number, when),) = self.signals
        self.assertEqual(number, signal.SIGSTOP)
        self.assertLessEqual(when - begin, limits.PAUSE_AFTER + limits.PAUSE_POLL)
        self.ticket = good
        self.resume(user)
        opened = self.loop.seconds()
        self.loop.spend(10)
        number, when = self.signals[1]
        self.assertEqual(number, signal.SIGCONT)
        self.assertLessEqual(when - opened, limits.PAUSE_END + 2 * limits.PAUSE_POLL)
        self.assertGreaterEqual(when - opened, limits.PAUSE_END)
        self.assertEqual(len(self.signals), 2)

    def test_letGo(self) -> None:
        """
        A GAHP that is to end while it is stopped goes on first, and is not stopped again.
        """
        _, user = self.opened()
        self.ticket = lambda: fail(ChannelLost("not now"))
        self.cut(user)
        self.loop.spend(60)
        self.tunnels.letGo()
        self.connect()
        self.loop.spend(60)
        self.assertEqual([number for number, _ in self.signals], [signal.SIGSTOP, signal.SIGCONT])
