"""
Tests of L{rvgahp.client}: a real client with a proxy that does what a test wants.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frames, frontlimits
from rvgahp.clientrun import Client
from rvgahp.clientwords import Arguments
from rvgahp.poller import Poller
from tests.clientdriver import ClientTestCase
from tests.procfs import catches

#: Has a signal come at the first moment at which it is caught.
_SIGNAL_AT_ONCE = """
import signal
install = signal.signal
def installAndRaise(number, handler):
    install(number, handler)
    if number == signal.SIGTERM:
        signal.raise_signal(number)
signal.signal = installAndRaise
"""


class RestartTests(SynchronousTestCase):
    """
    GAHPs that are lost one after the other.
    """

    def test_delays(self) -> None:
        """
        The next is asked for after a time that doubles, up to a limit, and begins anew when
        one has been ready for so long.
        """
        now = [0.0]
        loop = Poller()
        self.patch(loop, "seconds", lambda: now[0])
        client = Client(loop, Arguments(["--socket", "/nowhere", "site", "blahpd"]))
        first, longest = frontlimits.SITE_RETRY_FIRST, frontlimits.SITE_RETRY_LONGEST

        def delay() -> float:
            client.restart()
            assert client._asking is not None
            return client._asking.time - now[0]

        delays = [delay() for _ in range(10)]
        self.assertEqual(delays, [min(longest, first * 2**count) for count in range(10)])
        client.siteReady()
        now[0] += longest - 1
        self.assertEqual(delay(), longest)
        client.siteReady()
        now[0] += longest
        self.assertEqual([delay(), delay()], [first, 2 * first])


class MemoryTests(SynchronousTestCase):
    """
    Many sessions, one after the other.
    """

    def test_garbage(self) -> None:
        """
        What was of one session is not kept for good when the next begins.
        """
        self.addCleanup(gc.enable)
        self.addCleanup(gc.unfreeze)
        gc.disable()
        client = Client(Poller(), Arguments(["site", "blahpd"]))
        client.sessionRunning()
        frozen = gc.get_freeze_count()
        former: list[object] = [[] for _ in range(100)]
        client.sessionRunning()
        self.assertLessEqual(gc.get_freeze_count(), frozen, former)


class RequestTests(ClientTestCase):
    """
    Before there is a channel.
    """

    def test_request(self) -> None:
        """
        It asks for what it was told, and says what it can.
        """
        box = self.asked("alice@login.example.edu:22", "gähp")
        self.assertEqual(
            box,
            {
                b"_command": b"RequestGAHP",
                b"_ask": b"1",
                b"versions": b"\0\x011",
                b"site": b"login.example.edu",
                b"gahp": "gähp".encode(),
                b"account": b"alice",
                b"tunnel": b"False",
                b"tunnelPort": b"0",
            },
        )

    def test_refused(self) -> None:
        """
        A refusal is passed on in one line.
        """
        self.asked()
        refusal = {b"_error_code": b"Busy", b"_error_description": "too much\nto dö".encode()}
        self.send({**refusal, b"_error": b"1"})
        self.assertFails("too much to dö")

    def test_notTaken(self) -> None:
        """
        A connection that the proxy does not take at all has a reason too.
        """
        self.asked()
        lost = {b"_command": b"SessionLost", b"session": b"", b"reason": b"no account"}
        self.send(lost)
        self.assertFails("no account")

    def test_noAnswer(self) -> None:
        """
        A proxy that does not answer is not waited for for ever.
        """
        self.asked(ANSWER_TIMEOUT=0.1)
        self.assertFails("no answer within", "RequestGAHP")

    def test_socketAlone(self) -> None:
        """
        Where only a socket is named, no site is asked for, and sentences name the socket.
        """
        box = self.asked(self.path, "cat")
        self.assertEqual((box[b"site"], box[b"account"]), (b"", b""))
        assert self.proxy is not None
        self.proxy.sendall(b"nonsense")
        status, _, errors = self.ended()
        self.assertEqual(status, 255)
        self.assertIn(f"rvgahp_client: cat at the site of socket {self.path}: ", errors)

    def test_restarting(self) -> None:
        """
        A proxy that goes before it has answered, as one does that is restarted, is asked
        again, and whoever listens there then may answer.
        """
        first = self.asked()
        assert self.proxy is not None
        self.proxy.close()
        self.unlisten()
        self.spend(0.2)
        self.listen()
        self.assertEqual(self.accepted(), first)
        self.answer()
        self.dial()
        self.until(lambda: self.user.opened)
        self.exit(False, 4)
        self.assertEqual(self.ended(), (4, b"", ""))

    def test_notThereYet(self) -> None:
        """
        So is one that is not there at first.
        """
        self.unlisten()
        self.start()
        self.spend(0.2)
        self.listen()
        self.assertEqual(self.accepted()[b"site"], b"site")

    def test_gone(self) -> None:
        """
        One that does not come back is not waited for for long, and the sentence has a
        remedy.
        """
        self.asked(RESTART_GRACE=0.2)
        assert self.proxy is not None
        self.port.close()
        self.proxy.close()
        self.assertFails(f"no proxy listens on {self.path}", "start rvgahp-proxy")

    def test_goneAgainAndAgain(self) -> None:
        """
        Nor is one that is there each time, and goes.
        """
        self.start(RESTART_GRACE=0.2)
        assert self.process is not None
        self.port.settimeout(0.01)
        while self.process.poll() is None:
            try:
                self.port.accept()[0].close()
            except TimeoutError:
                pass
        self.assertFails("the proxy was lost: ", "its log")

    def test_signalWhileWaiting(self) -> None:
        """
        A signal ends the wait.
        """
        self.unlisten()
        self.start(RESTART_GRACE=30)  # which shall not be over before the signal comes
        process = self.process
        assert process is not None
        self.until(lambda: catches(process.pid, signal.SIGTERM))
        self.signal(signal.SIGTERM)
        self.assertEqual(self.ended()[0], 128 + signal.SIGTERM)

    def test_signalAtOnce(self) -> None:
        """
        One that comes as soon as it is caught is not forgotten.
        """
        self.unlisten()
        self.prelude = _SIGNAL_AT_ONCE
        self.start(RESTART_GRACE=30)
        self.assertEqual(self.ended()[0], 128 + signal.SIGTERM)

    def test_goneBeforeTheChannel(self) -> None:
        """
        The same after the answer.
        """
        self.granted()
        assert self.proxy is not None
        self.proxy.close()
        self.assertFails("the proxy was lost")

    def assertNotUnderstood(self, said: str, **changes: object) -> None:
        """
        Such an answer is not understood, and it is said why, without the key.
        """
        self.granted(**changes)
        self.assertFails("answer was not understood", said)

    def test_key(self) -> None:
        """
        An answer with a key that is none.
        """
        self.assertNotUnderstood("32 bytes", key=b"swordfish")

    def test_outcome(self) -> None:
        """
        One whose outcome is not that of its policies.
        """
        self.assertNotUnderstood("policies", outcome="none", method="")

    def test_conflict(self) -> None:
        """
        One whose policies exclude each other.
        """
        self.assertNotUnderstood("SEC_DEFAULT_ENCRYPTION", serverPolicy="N:N:AES")

    def test_missing(self) -> None:
        """
        One that lacks something.
        """
        self.asked()
        self.send({b"_answer": b"1", b"session": b"s"})
        self.assertFails("answer was not understood")

    def test_garbage(self) -> None:
        """
        What is no box at all.
        """
        self.asked()
        assert self.proxy is not None
        self.proxy.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertFails("not understood")

    def test_signal(self) -> None:
        """
        A signal ends it at once while there is nothing to wait for.
        """
        self.asked()
        self.signal(signal.SIGTERM)
        self.assertEqual(self.ended(), (128 + signal.SIGTERM, b"", ""))


class ChannelTests(ClientTestCase):
    """
    Channels.
    """

    def test_notReached(self) -> None:
        """
        A channel that does not come is not waited for for ever.
        """
        self.granted(FIRST_CHANNEL_TIMEOUT=0.1)
        self.assertFails("its connection did not come", "proxy's port")

    def test_wrongKey(self) -> None:
        """
        A channel whose other end does not know the key is dropped, and the next one is
        good.
        """
        self.granted()
        self.dial(key=bytes(32))
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.until(lambda: self.user.lost)
        self.dial(generation=2)
        self.until(lambda: self.user.opened)

    def test_onlyWrongKeys(self) -> None:
        """
        If no other comes, that is said.
        """
        self.granted(FIRST_CHANNEL_TIMEOUT=1.0)
        self.dial(key=bytes(32))
        self.assertFails("its connection did not come", "session key")

    def test_unknownStream(self) -> None:
        """
        A channel for a stream that there is not is taken and closed.
        """
        self.running()
        ours, theirs = socket.socketpair()
        self.send(
            {b"_command": b"Channel", b"_ask": b"8", b"session": b"", b"stream": b"5"}, theirs
        )
        self.assertEqual(self.box(), {b"_answer": b"8"})
        ours.settimeout(10)
        self.assertEqual(ours.recv(1), b"")
        ours.close()

    def test_unknownCommand(self) -> None:
        """
        A command that it does not have is refused as that.
        """
        self.running()
        self.send({b"_command": b"Dance", b"_ask": b"9"})
        box = self.box()
        self.assertEqual((box[b"_error"], box[b"_error_code"]), (b"9", b"UNHANDLED"))

    def test_noDescriptor(self) -> None:
        """
        A Channel without a socket is a broken proxy, of which a running GAHP takes no
        notice.
        """
        self.running()
        self.send({b"_command": b"Channel", b"_ask": b"8", b"session": b"", b"stream": b"0"})
        self.exit(False, 6)
        self.assertEqual(self.ended(), (6, b"", ""))

    def test_proxyGone(self) -> None:
        """
        A running GAHP goes on without the proxy.
        """
        self.running()
        assert self.proxy is not None
        self.proxy.close()
        self.ce.send(frames.STDOUT, b"still here")
        self.exit(False, 5)
        self.assertEqual(self.ended(), (5, b"still here", ""))

    def test_proxyGoneAtOnce(self) -> None:
        """
        So does one whose channel the proxy has just handed over: it is not needed for the
        handshake.
        """
        self.granted()
        self.dial()
        assert self.proxy is not None
        self.proxy.close()
        self.until(lambda: self.user.opened)
        self.exit(False, 5)
        self.assertEqual(self.ended(), (5, b"", ""))

    def test_proxyGoneAndNoChannel(self) -> None:
        """
        If that handshake fails, nothing more can come.
        """
        self.granted()
        self.dial(key=bytes(32))
        assert self.proxy is not None
        self.proxy.close()
        self.assertFails("the proxy was lost", "session key")

    def lose(self, reason: bytes) -> None:
        """
        Tell the client that its session is lost.
        """
        self.send({b"_command": b"SessionLost", b"session": b"s", b"reason": reason})

    def test_lost(self) -> None:
        """
        A session that the site has given up is over, with the site's reason.
        """
        self.running()
        self.lose(b"rvgahp-ce at the site was stopped")
        self.assertFails("rvgahp-ce at the site was stopped")

    def test_lostInGoodOrder(self) -> None:
        """
        One that has ended in good order is not lost.
        """
        self.running()
        self.lose(b"")
        self.ce.send(frames.STDOUT, b"the rest")
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"the rest", ""))


class SignalTests(ClientTestCase):
    """
    Signals while a GAHP runs.
    """

    def test_stop(self) -> None:
        """
        The GAHP is asked to end, and its status is ours.
        """
        self.running()
        self.signal(signal.SIGTERM)
        self.until(self.user.frames)
        self.assertEqual(self.user.frames()[0], (frames.STOP, bytes((signal.SIGTERM,))))
        self.exit(True, signal.SIGTERM)
        self.assertEqual(self.ended(), (128 + signal.SIGTERM, b"", ""))

    def test_twice(self) -> None:
        """
        A second one ends us at once.
        """
        self.running()
        self.signal(signal.SIGINT)
        self.until(self.user.frames)
        self.signal(signal.SIGHUP)
        self.assertEqual(self.ended(), (128 + signal.SIGHUP, b"", ""))

    def test_unsaid(self) -> None:
        """
        If the GAHP reads nothing, so that the word cannot be said, we go soon.
        """
        self.running(ORPHAN_GRACE=0.1)
        self.user.delivers = False
        self.ce.stream.window = 0  # the CE takes nothing more
        self.until(self._stuff)
        self.signal(signal.SIGTERM)
        self.assertEqual(self.ended()[0], 128 + signal.SIGTERM)

    def _stuff(self) -> bool:
        """
        Write to the client's stdin what it takes.

        @return: whether it takes no more.
        """
        assert self.process is not None and self.process.stdin is not None
        fd = self.process.stdin.fileno()
        os.set_blocking(fd, False)
        try:
            os.write(fd, bytes(65536))
        except OSError as e:
            if e.errno != errno.EAGAIN:
                raise
            self.spend(0.2)
            try:
                os.write(fd, bytes(65536))
            except BlockingIOError:
                return True
        return False
