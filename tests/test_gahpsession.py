"""
Tests of L{rvgahp.gahpsession}: real GAHPs on a reactor of their own, and the client's end
of their channel beside them.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs

from rvgahp import frames, limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import AnsweringChannel
from rvgahp.configuration import Configuration
from rvgahp.errors import ChannelLost, NotYet, SessionGone, StartFailed
from rvgahp.gahpenvironment import GAHPEnvironment
from rvgahp.gahpsession import STOPPED, GAHPSession
from rvgahp.handshakemessages import GAHP_STREAM
from rvgahp.igahp import GAHPCommand
from rvgahp.phase import Phase
from rvgahp.processlauncher import ProcessLauncher
from rvgahp.session import SessionKeys
from rvgahp.settings import settingsFrom
from rvgahp.stream import Stream
from rvgahp.way import Way
from tests.channelends import User
from tests.privatereactor import ReactorTestCase
from tests.procfs import childrenOf, isAlive
from tests.sessions import KEY, REQUEST, SESSION_ID, makeSession
from tests.steppedloop import socketPair

#: What the proxy gives who asks for one more.
ASKED = bytes([204]) * limits.TICKET_BYTES

TICKETS = [bytes([number]) * limits.TICKET_BYTES for number in (201, 202, 203)]

SETTINGS = {
    "RVGAHP_BROKER_HOST": "proxy.example.org",
    "RVGAHP_STDIN_GRACE": "0.3",
    "RVGAHP_KILL_GRACE": "0.2",
}

ENVIRONMENT = GAHPEnvironment({"PATH": "/usr/bin:/bin", "HOME": "/"})


class SessionTestCase(ReactorTestCase):
    """
    One session, and its client.

    @ivar tickets: what was shown at the gate.
    @ivar failures: how many of the next dials fail.
    @ivar overs: the reasons with which it was over.
    @ivar asked: session and stream of each OpenChannel.
    @ivar ticket: makes the answer to it.
    @ivar isUp: whether the proxy is there.
    """

    def setUp(self) -> None:
        """
        Begin with times that a test can wait for.
        """
        super().setUp()
        self.patch(limits, "ORPHAN_GRACE", 0.1)
        self.patch(limits, "OUTPUT_GRACE", 0.2)
        self.tickets: list[bytes] = []
        self.dials = self.failures = 0
        self.isUp = True
        self.asked: list[tuple[str, int]] = []
        self.ticket: Callable[[], Deferred[bytes]] = lambda: succeed(ASKED)
        self.overs: list[str] = []
        self.agreed = makeSession()
        self.launcher = ProcessLauncher(self.reactor, 0.2)
        self.user = User()
        self.budget = Budget(1 << 28)
        self.client = Carrier(self.reactor, Stream(1 << 24, Budget(1 << 28)), self.user)
        self.user.carrier = self.client
        self.session = GAHPSession(
            self.reactor,
            REQUEST,
            self.agreed,
            settingsFrom("ce", Configuration(None, SETTINGS)),
            self.budget,
            self.launcher,
            Way(self._dial, self._openChannel, lambda: self.isUp),
            TICKETS,
            lambda session, reason: self.overs.append(reason),
        )

    def tearDown(self) -> None:
        """
        Nothing is left of it.
        """
        if not self.overs:
            self.session.kill()
        self.client.close()
        self.resultOf(self.launcher.stop())
        self.assertEqual(len(self.overs), 1)
        self.assertIs(self.session.phase, Phase.OVER)
        self.assertEqual(self.budget.held, 0)
        super().tearDown()

    def _openChannel(self, session: str, stream: int) -> Deferred[bytes]:
        self.asked.append((session, stream))
        return self.ticket()

    def _dial(self) -> Deferred[socket.socket]:
        self.dials += 1
        if self.failures:
            self.failures -= 1
            return fail(ChannelLost("nobody is there"))
        theirs, ours = socketPair()
        self.reactor.callLater(0, self._admit, ours)
        return succeed(theirs)

    def _admit(self, connection: socket.socket) -> None:
        """
        What gate, proxy and client do.
        """
        preamble = connection.recv(limits.PREAMBLE_BYTES)
        if not preamble:  # it was given up
            connection.close()
            return
        self.tickets.append(preamble[-limits.TICKET_BYTES :])
        AnsweringChannel(
            self.reactor,
            connection,
            self.client,
            SessionKeys(self.agreed, self.reactor.seconds()),
            0,
            GAHP_STREAM,
            self.client.generation,
        )

    def start(self, *words: str) -> None:
        """
        Start a program.
        """
        self.session.start(GAHPCommand(words[0], list(words[1:])), ENVIRONMENT)

    def shell(self, script: str) -> None:
        """
        Start a shell script, and wait until it runs and has its channel.
        """
        self.start("/bin/sh", "-c", script)
        self.resultOf(self.session.started)
        self.until(lambda: self.user.opened)

    def output(self) -> bytes:
        """
        @return: what the client has got of its stdout.
        """
        return b"".join(payload for kind, payload in self.user.frames() if kind == frames.STDOUT)

    def exit(self) -> tuple[bool, int, str]:
        """
        @return: how it ended, as the client is told, when it is told.
        """

        def found() -> list[bytes]:
            return [payload for kind, payload in self.user.frames() if kind == frames.EXIT]

        return frames.decodeExit(self.until(found)[0])

    def over(self) -> str:
        """
        @return: the reason with which it is over, when it is.
        """
        self.until(lambda: self.overs)
        return self.overs[0] or "in good order"

    def pid(self) -> int:
        """
        @return: the GAHP's process.
        """
        (launcher,) = childrenOf(os.getpid())
        (pid,) = self.until(lambda: childrenOf(launcher))
        return pid


class RunTests(SessionTestCase):
    """
    From start to exit.
    """

    def test_dialogue(self) -> None:
        """
        What the client says goes in, what the GAHP says comes out, then the ends of both
        outputs and the exit status; when the client has it all, it is over.
        """
        self.shell("read line; echo got $line; echo oops >&2; exit 7")
        self.client.send(frames.STDIN, b"hello\n")
        self.assertEqual(self.exit(), (False, 7, ""))
        self.assertEqual(self.over(), "in good order")
        heard = self.user.frames()
        self.assertIn((frames.STDOUT, b"got hello\n"), heard)
        self.assertIn((frames.STDERR, b"oops\n"), heard)
        self.assertEqual(
            {kind for kind, _ in heard[-3:]}, {frames.END_STDOUT, frames.END_STDERR, frames.EXIT}
        )
        self.assertEqual(heard[-1][0], frames.EXIT)
        self.assertEqual(self.tickets, TICKETS[:1])

    def test_endOfInput(self) -> None:
        """
        The end of the client's input is the end of the GAHP's, after all of it.
        """
        self.shell("exec wc -c")
        for _ in range(50):
            self.client.send(frames.STDIN, b"x" * 100_000)
        self.client.send(frames.END_STDIN)
        self.exit()
        self.assertEqual(self.output().strip(), b"5000000")
        self.over()

    def test_quick(self) -> None:
        """
        One that is gone before anything was noticed has run.
        """
        self.start("/bin/true")
        time.sleep(0.1)
        self.resultOf(self.session.started)
        self.assertEqual(self.exit(), (False, 0, ""))
        self.over()

    def test_unread(self) -> None:
        """
        Before the client has acknowledged the exit, the session is not over.
        """
        self.user.delivers = False
        self.shell("echo out")
        self.exit()
        self.spend(0.1)
        self.assertEqual(self.overs, [])
        self.assertIs(self.session.phase, Phase.EXITED)
        self.client.deliver(sum(self.user.costs))
        self.over()

    def test_grandchild(self) -> None:
        """
        After its exit, output that a child of its own holds open is waited for while
        something comes, and then no longer.
        """
        self.shell(
            "echo $$;"
            " (for n in 1 2 3 4 5 6; do sleep 0.05; echo $n; done; exec sleep 1000) & exit 5"
        )
        self.assertEqual(self.exit(), (False, 5, ""))
        group, *lines = self.output().split()
        self.assertEqual(lines, [b"%d" % number for number in range(1, 7)])
        self.over()
        os.killpg(int(group), signal.SIGKILL)

    def test_noSecrets(self) -> None:
        """
        Neither the key nor a ticket nor a byte of the dialogue gets into the log.
        """
        with capturedLogs() as logs:
            self.shell("echo swordfish; exec cat")
            self.until(self.output)
            self.client.send(frames.END_STDIN)
            self.over()
        for secret in (KEY, *TICKETS, b"swordfish"):
            self.assertNotIn(repr(secret)[2:-1], repr(logs))


class StartTests(SessionTestCase):
    """
    Starts that fail.
    """

    def test_cannotBeExecuted(self) -> None:
        """
        The reason is in the failure, and the session is over.
        """
        self.start("/no/such/program")
        failed: list[Any] = []
        self.session.started.addErrback(failed.append)
        self.assertIn("/no/such/program: No such file", self.over())
        failed[0].trap(StartFailed)
        self.assertIn("/no/such/program: No such file", failed[0].getErrorMessage())

    def test_noProcess(self) -> None:
        """
        So it is where no process can be had.
        """

        def refuse(*arguments: Any, **more: Any) -> None:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

        self.patch(self.reactor, "spawnProcess", refuse)
        self.start("/bin/true")
        failure = self.failureResultOf(self.session.started, StartFailed)
        self.assertIn("temporarily unavailable", failure.getErrorMessage())
        self.assertEqual(self.dials, 0)

    def test_tooLarge(self) -> None:
        """
        And where the request is too large for the launcher.
        """
        command = GAHPCommand("/bin/true", [], {"HUGE": "x" * 1_000_000})
        self.session.start(command, ENVIRONMENT)
        failed: list[Any] = []
        self.session.started.addErrback(failed.append)
        self.assertIn("its arguments and environment", self.over())
        self.spend(0.05)
        self.assertEqual(self.dials, 0)

    def test_launcherLost(self) -> None:
        """
        Where the launcher is lost, the client is told that with the exit status.
        """
        self.shell("exec cat")
        (launcher,) = childrenOf(os.getpid())
        with capturedLogs() as logs:
            os.kill(launcher, signal.SIGKILL)
            self.over()
        signalled, value, sentence = self.exit()
        self.assertEqual((signalled, value), (True, signal.SIGKILL))
        self.assertIn("the site's CE lost its launcher", sentence)
        ends = [str(event.get("end")) for event in logs]
        self.assertIn(f"was ended by SIGKILL: {sentence}", ends)

    def test_secondDial(self) -> None:
        """
        A dial that fails is tried again with the next ticket.
        """
        self.failures = 1
        self.shell("exec cat")
        self.client.send(frames.END_STDIN)
        self.over()
        self.assertEqual((self.dials, self.tickets), (2, [TICKETS[1]]))

    def test_noDial(self) -> None:
        """
        When dials have failed for long enough, the GAHP is ended, and the reason told.
        """
        self.patch(limits, "FIRST_DIALS_TIMEOUT", 0.2)
        self.failures = 1000
        self.start("/bin/sh", "-c", "exec cat")
        self.resultOf(self.session.started)
        self.assertEqual(self.over(), "the site could not open a channel: nobody is there")
        self.assertGreater(self.dials, len(TICKETS))

    def test_handshakesFail(self) -> None:
        """
        So it is where nobody who answers knows the key.
        """
        self.patch(limits, "FIRST_DIALS_TIMEOUT", 0.2)
        self.agreed = makeSession(key=bytes(32))
        self.start("/bin/sh", "-c", "exec cat")
        self.resultOf(self.session.started)
        self.assertIn("the site could not open a channel", self.over())
        self.assertEqual(self.tickets[: len(TICKETS)], TICKETS)


class ResumptionTests(SessionTestCase):
    """
    Channels that break.
    """

    def cut(self) -> None:
        """
        The network breaks the channel.
        """
        self.client.drop("cut")

    def test_resumed(self) -> None:
        """
        A channel that breaks ends nothing: another is dialled with a ticket that is asked
        for, and all goes on where it was, as often as that happens.
        """
        self.shell("exec cat")
        sent = b""
        for count in range(1, 6):
            line = b"line %d\n" % count * 5000
            sent += line
            self.client.send(frames.STDIN, line)
            self.cut()
            self.until(lambda: self.user.opened == count + 1)  # noqa: B023  # called at once
        self.client.send(frames.END_STDIN)
        self.assertEqual(self.exit(), (False, 0, ""))
        self.assertEqual(self.output(), sent)
        self.assertEqual(self.over(), "in good order")
        self.assertEqual(self.asked, [(SESSION_ID, 0)] * 5)
        self.assertEqual(self.tickets, [TICKETS[0], *[ASKED] * 5])

    def test_waits(self) -> None:
        """
        Without a channel the GAHP lives, and its output is kept; the proxy is asked again
        and again.
        """
        self.shell("cat; echo bye")
        self.ticket = lambda: fail(NotYet("nobody has claimed it"))
        self.client.send(frames.STDIN, b"one\n")
        self.until(self.output)
        self.cut()
        self.client.send(frames.STDIN, b"two\n")
        self.client.send(frames.END_STDIN)
        self.until(lambda: len(self.asked) >= 4)
        self.assertEqual((self.overs, self.session.phase), ([], Phase.RUNNING))
        self.ticket = lambda: succeed(ASKED)
        self.assertEqual(self.exit(), (False, 0, ""))
        self.assertEqual(self.output(), b"one\ntwo\nbye\n")
        self.over()

    def test_afterExit(self) -> None:
        """
        Where it breaks with the last words unread, they come over the next channel.
        """
        self.user.delivers = False
        self.shell("read line; echo out; exit 6")
        self.client.send(frames.STDIN, b"go\n")
        self.cut()
        self.assertEqual(self.exit(), (False, 6, ""))
        self.cut()
        self.until(self.client.isConnected)
        self.assertEqual(self.overs, [])
        self.assertEqual(self.output(), b"out\n")
        self.client.deliver(sum(self.user.costs))
        self.client.acknowledge()
        self.assertEqual(self.over(), "in good order")

    def test_gone(self) -> None:
        """
        When the proxy knows that the session is over the GAHP is ended, and nothing is
        dialled any more.
        """
        self.shell("trap '' TERM; exec cat")
        self.ticket = lambda: fail(SessionGone("session s has no client here"))
        self.cut()
        self.assertEqual(
            self.over(), "the site could not open a channel: session s has no client here"
        )
        dials = self.dials
        self.session.redial(1)
        self.spend(0.1)
        self.assertEqual((len(self.asked), self.dials), (1, dials))

    def test_goneAfterExit(self) -> None:
        """
        After the GAHP's exit that means that the client has gone with all it wanted, or
        without; the second is said.
        """
        self.user.delivers = False
        self.shell("echo out")
        self.exit()
        self.ticket = lambda: fail(SessionGone("session s has no client here"))
        self.cut()
        self.assertIn("has no client here", self.over())

    def test_redial(self) -> None:
        """
        The client's word that this channel is lost is believed; of another it is not.
        """
        self.shell("exec cat")
        self.session.redial(7)
        self.spend(0.05)
        self.assertEqual((self.user.lost, self.user.opened), ([], 1))
        self.session.redial(1)
        self.until(lambda: self.user.opened == 2)
        self.client.send(frames.STDIN, b"still here\n")
        self.until(lambda: self.output() == b"still here\n")

    def test_leaseWhileDialling(self) -> None:
        """
        After the lease nothing is dialled any more.
        """
        self.shell("trap '' TERM; exec cat")
        self.ticket = lambda: fail(NotYet("nobody has claimed it"))
        self.cut()
        self.until(lambda: len(self.asked) >= 2)
        self.session.peerSilent(self.agreed.lease + 60)
        count = len(self.asked)
        self.session.redial(1)
        self.spend(0.05)
        self.assertEqual(len(self.asked), count)
        self.assertIn("for the lease of 3000 s", self.over())

    def test_isReachable(self) -> None:
        """
        The submit host can be reached while there is a channel that is not silent, and the
        proxy.
        """
        self.assertFalse(self.session.isReachable())
        self.shell("exec cat")
        self.assertTrue(self.session.isReachable())
        self.isUp = False
        self.assertFalse(self.session.isReachable())
        self.isUp = True
        self.session.carrier.lastHeard -= limits.PAUSE_AFTER
        self.assertFalse(self.session.isReachable())
        self.session.carrier.lastHeard += limits.PAUSE_AFTER
        self.ticket = lambda: fail(NotYet("nobody has claimed it"))
        self.cut()
        self.until(lambda: not self.session.isReachable())


class EndTests(SessionTestCase):
    """
    GAHPs that are to end.
    """

    def stop(self) -> None:
        """
        The client is told to end.
        """
        self.client.send(frames.STOP, bytes((signal.SIGTERM,)))

    def test_stop(self) -> None:
        """
        A client that was told to end has its GAHP's input ended, and its exit status.
        """
        self.shell("cat; exit 9")
        self.stop()
        self.assertEqual(self.exit(), (False, 9, ""))
        self.over()

    def test_terminated(self) -> None:
        """
        One that does not mind its input gets TERM.
        """
        self.shell("trap 'echo bye; exit 3' TERM; while :; do sleep 0.02; done")
        self.stop()
        self.assertEqual(self.exit(), (False, 3, ""))
        self.assertEqual(self.output(), b"bye\n")
        self.over()

    def test_killed(self) -> None:
        """
        One that does not mind TERM gets KILL, with what it has started.
        """
        self.shell("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.02; done")
        self.until(self.output)
        child = int(self.output())
        self.stop()
        self.assertEqual(self.exit(), (True, signal.SIGKILL, ""))
        self.until(lambda: not isAlive(child))
        self.over()

    def test_nothingAfterItsInput(self) -> None:
        """
        One that gives no output after the end of its input is ended, and the client is
        told why.
        """
        self.shell("while :; do sleep 0.02; done")
        self.client.send(frames.END_STDIN)
        self.assertEqual(
            self.exit(), (True, signal.SIGTERM, "it gave no output for 0.3 s after its input")
        )
        self.over()

    def test_busyAfterItsInput(self) -> None:
        """
        One that goes on saying something is not.
        """
        self.shell("cat; for n in 1 2 3 4 5 6 7 8 9; do sleep 0.05; echo $n; done; exit 4")
        self.client.send(frames.END_STDIN)
        self.assertEqual(self.exit(), (False, 4, ""))
        self.over()

    def test_clientGone(self) -> None:
        """
        The GAHP of a client that has gone is ended, however much it has to say.
        """
        self.shell("exec yes")
        self.until(self.output)
        self.session.clientGone("its client is gone")
        self.assertEqual(self.over(), "its client is gone")

    def test_clientGoneWhileStarting(self) -> None:
        """
        Also one that has not begun yet.
        """
        self.start("/bin/sleep", "1000")
        pid = self.pid()
        self.session.clientGone("its client is gone")
        self.session.started.addErrback(lambda _: None)
        self.over()
        self.assertFalse(isAlive(pid))

    def test_clientGoneAfterExit(self) -> None:
        """
        If it has exited, that is the end of it.
        """
        self.user.delivers = False
        self.shell("echo out")
        self.exit()
        self.session.clientGone("its client is gone")
        self.assertEqual(self.over(), "in good order")

    def test_clientGoneTwice(self) -> None:
        """
        The end is told as often as they like.
        """
        self.shell("exec cat")
        self.session.clientGone("one")
        self.session.clientGone("two")
        self.stop()
        self.assertEqual(self.over(), "one")

    def test_strangeFrame(self) -> None:
        """
        A frame that is not for a CE ends the session: another channel would not mend it.
        """
        self.shell("exec cat")
        self.client.send(frames.STDOUT, b"for you")
        self.assertIn("a frame of kind 1 is not for a CE", self.over())
        self.assertEqual((self.dials, self.asked), (1, []))

    def test_lease(self) -> None:
        """
        A client that is silent for the lease and a minute has no session any more.
        """
        self.shell("exec cat")
        self.session.peerSilent(self.agreed.lease + 59)
        self.assertIs(self.session.phase, Phase.RUNNING)
        self.session.peerSilent(self.agreed.lease + 60)
        self.assertIn("for the lease of 3000 s", self.over())

    def test_kill(self) -> None:
        """
        When the CE stops, all is over at once, and what is noticed later changes nothing.
        """
        self.shell("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.02; done")
        self.until(self.output)
        pid, child = self.pid(), int(self.output())
        self.session.kill()
        self.assertEqual(self.overs, [STOPPED])
        self.assertEqual(
            [call for call in self.reactor.getDelayedCalls() if "Carrier" not in str(call)], []
        )
        self.until(lambda: not isAlive(pid) and not isAlive(child))
        self.spend(0.1)

    def test_killWhileStarting(self) -> None:
        """
        So it is for one that has not begun.
        """
        self.start("/bin/sleep", "1000")
        self.session.kill()
        self.failureResultOf(self.session.started, StartFailed)

    def test_killWhileDialling(self) -> None:
        """
        A dial that is still on its way is called off.
        """
        cancelled: list[Any] = []
        waiting: Deferred[socket.socket] = Deferred(cancelled.append)
        self.patch(self.session.way, "dial", lambda: waiting)
        self.start("/bin/sleep", "1000")
        self.session.kill()
        self.session.started.addErrback(lambda _: None)
        self.assertEqual(cancelled, [waiting])
