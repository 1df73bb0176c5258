"""
Tests of L{rvgahp.clientfront}: a real client with a front, and a CE and GAHP that do
what a test wants.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from rvgahp import frames
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.stream import Stream
from tests.channelends import User
from tests.clientdriver import ClientTestCase
from tests.procfs import descriptors
from tests.sessions import SESSION_ID

BANNER = b"$GahpVersion: 1.8.0 a GAHP $\r\n"
COMMANDS = b"S ASYNC_MODE_ON BLAH_JOB_CANCEL BLAH_PING COMMANDS RESULTS\r\n"


class FrontTestCase(ClientTestCase):
    """
    A client that was asked for a GAHP.

    @cvar role: its name.
    """

    role = "blahpd"

    def asked(self, *words: str, **numbers: float) -> dict[bytes, bytes]:
        numbers = {"SITE_RETRY_FIRST": 0.05, "LIFE_POLL": 0.05, **numbers}
        return super().asked(*(words or ("site", self.role)), **numbers)

    def fetched(self, number: int) -> None:
        """
        The GAHP has a result, the only one, and the gridmanager gets it.
        """
        line = b"%d 0 No\\ error" % number
        self.until(lambda: b"RESULTS" in self.given())
        self.gahp(b"S 1", line)
        self.heard(b"R")
        self.tell(b"RESULTS")
        self.heard(b"S 1", line)

    def tell(self, *lines: bytes) -> None:
        """
        The gridmanager writes.
        """
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(b"".join(line + b"\r\n" for line in lines))
        self.process.stdin.flush()

    def heard(self, *lines: bytes) -> None:
        """
        The gridmanager reads just these lines.
        """
        assert self.process is not None and self.process.stdout is not None
        output = self.process.stdout
        os.set_blocking(output.fileno(), False)
        wanted, came = b"".join(line + b"\r\n" for line in lines), bytearray()

        def read() -> bool:
            came.extend(output.read(len(wanted) - len(came)) or b"")
            return len(came) == len(wanted)

        self.until(read)
        self.assertEqual(bytes(came), wanted)

    def given(self) -> bytes:
        """
        @return: all that the present GAHP has had on its stdin.
        """
        return b"".join(payload for kind, payload in self.user.frames() if kind == frames.STDIN)

    def gahp(self, *lines: bytes) -> None:
        """
        The GAHP writes.
        """
        self.ce.send(frames.STDOUT, b"".join(line + b"\r\n" for line in lines))

    def greet(self) -> None:
        """
        The GAHP's part until it is ready.
        """
        self.ce.send(frames.STDOUT, BANNER)
        self.until(lambda: b"ASYNC_MODE_ON" in self.given())
        self.ce.send(frames.STDOUT, COMMANDS + b"S\r\n")

    def ready(self, **changes: Any) -> None:
        """
        Start a client, and greet it.
        """
        self.running(**changes)
        self.greet()
        self.heard(BANNER[:-2])
        self.tell(b"ASYNC_MODE_ON")
        self.heard(b"S")

    def next(self, **changes: Any) -> None:
        """
        The session is known to be lost, and the client asks anew; grant it.
        """
        self.ce.close()
        assert self.proxy is not None
        with contextlib.suppress(BrokenPipeError):  # it may know
            self.send({b"_command": b"SessionLost", b"reason": b"the site has been restarted"})
        proxy = self.proxy
        self.accepted()
        proxy.close()
        self.grantNext(**changes)

    def grantNext(self, **changes: Any) -> None:
        """
        Grant what the client has asked anew.
        """
        self.ce.close()
        self.user = User()
        self.ce = Carrier(self.reactor, Stream(1 << 24, Budget(1 << 28)), self.user)
        self.user.carrier = self.ce
        self.answer(**changes)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})

    def leave(self) -> None:
        """
        The gridmanager closes our stdin.
        """
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None


class GreetingTests(FrontTestCase):
    """
    Until the banner.
    """

    def test_ready(self) -> None:
        """
        The banner is passed on when the GAHP has been greeted; what is answered here never
        reaches it, and its R is not passed on.
        """
        self.running()
        self.ce.send(frames.STDOUT, b"Welcome to the cluster\n" + BANNER)
        self.until(lambda: self.given() == b"COMMANDS\r\nASYNC_MODE_ON\r\n")
        self.gahp(COMMANDS.strip())
        self.gahp(b"S", b"R")
        self.heard(BANNER[:-2])
        self.tell(b"ASYNC_MODE_ON", b"RESULTS", b"VERSION")
        self.heard(b"S", b"S 0", b"S " + BANNER.strip())

    def test_notReady(self) -> None:
        """
        A GAHP that ends before, says rubbish or says nothing ends the client with a
        sentence and nothing on stdout.
        """
        self.running()
        self.ce.send(frames.STDOUT, BANNER)
        self.exit(False, 3, "its disk is full")
        self.assertBenign(3, "its disk is full")

    def test_rubbish(self) -> None:
        """
        So does one that says rubbish.
        """
        self.running()
        self.ce.send(frames.STDOUT, BANNER + b"Segmentation fault\n")
        self.assertBenign(255, "")

    def test_silent(self) -> None:
        """
        So does one that says nothing.
        """
        self.running(startTimeout=1)
        self.assertBenign(255, "it was not ready within 1 s")

    def test_lastWords(self) -> None:
        """
        What is said at the end, by the GAHP or about it, is said some time before that: the
        gridmanager looks at stderr, then at stdout, and at the end of that no more at stderr.
        """
        self.running(LAST_WORDS=1.0)
        self.ce.send(frames.STDERR, b"a word\n")
        self.exit(False, 3)
        assert self.process is not None and self.process.stderr is not None
        stderr, came = self.process.stderr, bytearray()
        os.set_blocking(stderr.fileno(), False)

        def read() -> bool:
            came.extend(stderr.read() or b"")
            return came.count(b"\n") == 2

        self.until(read)
        self.spend(0.3)
        self.assertIsNone(self.process.poll())
        self.assertEqual(self.ended()[0], 3)

    def test_lastRubbish(self) -> None:
        """
        What a GAHP has said on stderr is passed on before the reason for its end, whatever
        that is.
        """
        self.running()
        self.ce.send(frames.STDERR, b"a word\n")
        self.ce.send(frames.STDOUT, BANNER + b"Segmentation fault\n")
        status, output, errors = self.ended()
        self.assertEqual((status, output), (255, b""))
        self.assertRegex(errors, "^a word\nrvgahp_client: blahpd at site site: .*\n$")

    def assertBenign(self, status: int, words: str) -> None:
        """
        It ended as the gridmanager can stand it.
        """
        found, output, errors = self.ended()
        self.assertEqual((found, output, errors.count("\n")), (status, b"", 1), errors)
        self.assertIn(f"rvgahp_client: blahpd at site site: {words}", errors)


class StderrTests(FrontTestCase):
    """
    The GAHP's stderr.
    """

    def test_lines(self) -> None:
        """
        It comes in whole lines, in the order in which they were ended, also where the last
        is not.
        """
        self.ready()
        assert self.process is not None and self.process.stderr is not None
        errors = self.process.stderr
        self.ce.send(frames.STDERR, b"one\nhalf a li")
        self.until(self.ce.stream.isAcknowledged)
        self.assertEqual(os.read(errors.fileno(), 100), b"one\n")
        self.ce.send(frames.STDERR, b"ne\nno end")
        self.until(self.ce.stream.isAcknowledged)
        self.assertEqual(os.read(errors.fileno(), 100), b"half a line\n")
        self.leave()
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"", "no end\n"))

    def test_lost(self) -> None:
        """
        What the GAHP said last, without an end, is a line of its own when it is lost.
        """
        self.ready()
        assert self.process is not None and self.process.stderr is not None
        self.ce.send(frames.STDERR, b"no end")
        self.until(self.ce.stream.isAcknowledged)
        self.next()
        self.assertEqual(self.process.stderr.readline(), b"no end\n")


class RoleTests(FrontTestCase):
    """
    A GAHP that has another name at the site.
    """

    def test_script(self) -> None:
        """
        It has the front of the one that the gridmanager asked for.
        """
        words = ("--rgahp-script", "mine", "site", "blahpd")
        self.assertEqual(self.asked(*words, ACK_DELAY=0.0)[b"gahp"], b"mine")
        self.answer()
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.greet()
        self.heard(BANNER[:-2])
        self.tell(b"RESULTS")
        self.heard(b"S 0")


class OverTests(FrontTestCase):
    """
    A GAHP that ends while the gridmanager does not.
    """

    def test_exit(self) -> None:
        """
        When it has exited the gridmanager is served on; what fails is told, what is owed is
        kept, and another GAHP is asked for and gets that.
        """
        self.ready()
        self.tell(b"BLAH_PING 2 fork", b"BLAH_JOB_CANCEL 3 fork/1")
        self.heard(b"S", b"S")
        self.until(lambda: b"fork/1" in self.given())
        self.exit(True, signal.SIGKILL)
        self.heard(b"R")
        self.tell(b"RESULTS")
        self.heard(b"S 1")
        assert self.process is not None and self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        self.assertTrue(self.process.stdout.readline().startswith(b"2 1 the\\ GAHP\\ ended"))
        self.next()
        self.assertNotIn(b"CANCEL", self.given())
        self.greet()
        self.until(lambda: b"BLAH_JOB_CANCEL 3 fork/1\r\n" in self.given())
        self.gahp(b"S", b"R")
        self.fetched(3)

    def test_sessionLost(self) -> None:
        """
        A session that the proxy knows to be lost is such an end, and it is said once.
        """
        self.ready()
        self.next()
        self.greet()
        self.tell(b"BLAH_PING 5 fork")
        self.heard(b"S")
        self.until(lambda: b"BLAH_PING 5" in self.given())
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        status, _, errors = self.ended()
        self.assertEqual((status, errors.count("\n")), (0, 1), errors)
        self.assertIn("the site has been restarted", errors)
        self.assertIn("it is started again", errors)

    def test_silent(self) -> None:
        """
        One that says nothing though a reply is due is ended too, after the time that follows
        from what the proxy knows of the gridmanager's settings.
        """
        self.ready(callTimeout=1, responseTimeout=2, SILENCE=1)
        self.tell(b"BLAH_JOB_CANCEL 3 fork/1", b"WHATEVER")
        self.heard(b"S", b"E the\\ site\\ did\\ not\\ answer\\ in\\ time")
        assert self.proxy is not None
        with self.proxy:
            self.accepted()
        self.grantNext()
        self.greet()
        self.until(lambda: b"BLAH_JOB_CANCEL 3 fork/1\r\n" in self.given())
        self.gahp(b"S", b"R")
        self.until(lambda: b"RESULTS" in self.given())
        self.gahp(b"S 1", b"3 0 No\\ error")
        self.heard(b"R")
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.assertRegex(
            self.ended()[2],
            "^rvgahp_client: blahpd at site site: no reply to a command came: .*\n"
            "rvgahp_client: blahpd at site site: it has been silent for 2 s, though a reply is due;"
            " it is started again when that can be done\n$",
        )

    def test_refused(self) -> None:
        """
        A refusal of the next GAHP is no end either: it is asked for again; meanwhile pings
        fail.
        """
        self.ready()
        self.exit(False, 1)
        for _ in range(3):
            assert self.proxy is not None
            self.proxy.close()
            self.accepted()
            words = b"site site is not connected"
            box = {b"_error": b"1", b"_error_code": b"NoSuchSite", b"_error_description": words}
            self.send(box)
        self.tell(b"BLAH_PING 9 fork")
        self.heard(b"S", b"R")
        self.next()
        self.greet()
        self.tell(b"BLAH_PING 10 fork")
        self.heard(b"S")
        self.until(lambda: b"BLAH_PING 10" in self.given())

    def test_leave(self) -> None:
        """
        While there is no GAHP, the end of stdin is the end.
        """
        self.ready(SITE_RETRY_FIRST=60.0)
        self.exit(False, 1)
        self.until(lambda: not self.ce.isConnected())
        self.leave()
        self.assertEqual(self.ended()[0], 0)

    def test_formerLink(self) -> None:
        """
        The next GAHP is asked for over a new connection, when the one before and all that
        belonged to it is closed: no word about a former session can meet the next.
        """
        self.ready()
        assert self.process is not None
        before = descriptors(self.process.pid)
        for _ in range(3):
            assert self.proxy is not None
            former, self.proxy = self.proxy, None
            self.exit(False, 5)
            self.accepted()
            former.setblocking(True)
            self.assertEqual(former.recv(1), b"")
            former.close()
            self.grantNext()
            self.greet()
            self.tell(b"BLAH_PING 2 fork")
            self.heard(b"S")
            self.until(lambda: b"BLAH_PING 2" in self.given())
            self.tell(b"RESULTS")
            self.heard(b"S 0")
            self.assertEqual(descriptors(self.process.pid), before)
            self.gahp(b"S", b"R")
            self.fetched(2)

    def test_renewed(self) -> None:
        """
        A key for the next session reaches it as soon as there is one; one for another is
        refused.
        """
        self.ready()
        self.next()
        for session, answer in ((b"former:1", b"_error"), (SESSION_ID.encode(), b"_answer")):
            box = {b"session": session, b"key": bytes(32), b"keyNumber": b"2", b"duration": b"60"}
            self.send({b"_command": b"RenewKey", b"_ask": b"9", **box})
            self.assertEqual(self.box().get(answer), b"9")
        self.greet()

    def test_asksOnce(self) -> None:
        """
        A proxy that hangs up just before the time for its answer is over is asked again
        once, not once for each.
        """
        self.ready(ANSWER_TIMEOUT=0.4, RESTART_POLL=0.5)
        self.exit(False, 5)
        assert self.proxy is not None
        self.proxy.close()
        self.accepted()
        self.proxy.close()
        self.accepted()
        self.grantNext()
        self.greet()
        self.port.settimeout(1)
        self.assertRaises(TimeoutError, self.port.accept)


class LinkTests(FrontTestCase):
    """
    A site that is not heard.
    """

    def test_silence(self) -> None:
        """
        After a while of silence pings fail at once, and later ones reach the GAHP again.
        """
        self.ready(LIVE=0.3)
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        self.tell(b"BLAH_PING 2 fork")
        self.heard(b"S", b"R")
        self.ce.send(frames.STDERR, b"")
        self.until(self.ce.stream.isAcknowledged)
        self.spend(0.1)
        self.tell(b"BLAH_PING 3 fork")
        self.until(lambda: b"BLAH_PING 3" in self.given())


class ResumptionTests(FrontTestCase):
    """
    A channel that breaks, and another in its place.
    """

    def broken(self, **changes: Any) -> dict[bytes, bytes]:
        """
        A client whose channel is lost; before that it has given a submit to the GAHP.

        @return: its request for another channel.
        """
        self.ready(**changes)
        self.tell(b"BLAH_JOB_SUBMIT 2 [first]")
        self.heard(b"S")
        self.until(lambda: b"SUBMIT 2" in self.given())
        self.ce.drop("cut")
        box = self.box()
        self.assertEqual(box[b"_command"], b"Redial")
        return box

    def redial(self, generation: int) -> None:
        """
        Another channel comes.
        """
        self.dial(generation=generation)
        self.until(self.ce.isConnected)
        self.until(lambda: self.ce.stream.isAcknowledged() and not self.ce.stream.owing())

    def result(self, requestId: bytes) -> bytes:
        """
        The gridmanager is told of a result, and fetches it.

        @return: its line.
        """
        assert self.process is not None and self.process.stdout is not None
        output = self.process.stdout
        os.set_blocking(output.fileno(), False)
        came = bytearray()
        for _ in range(100):
            self.tell(b"RESULTS")
            self.spend(0.05)
            came.extend(output.read(4096) or b"")
            lines = bytes(came).split(b"\r\n")[:-1]
            for line in lines:
                if line.startswith(requestId + b" "):
                    return line
        raise AssertionError(f"no result: {came!r}")

    def test_resumed(self) -> None:
        """
        What is said while there is no channel arrives once, in order, when there is another;
        what arrived before is not said again.  It is never told to anybody.
        """
        self.broken()
        self.tell(b"BLAH_JOB_SUBMIT 3 [second]", b"BLAH_PING 4 fork")
        self.heard(b"S", b"S")
        self.redial(2)
        self.until(lambda: b"PING 4" in self.given() and b"SUBMIT 3" in self.given())
        self.assertEqual([self.given().count(b"SUBMIT %d" % number) for number in (2, 3)], [1, 1])
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.assertEqual(self.ended()[2], "")

    def test_expired(self) -> None:
        """
        What the gridmanager has given up meanwhile does not arrive, and is told so.
        """
        self.broken(callTimeout=2)
        self.tell(b"BLAH_JOB_SUBMIT 3 [second]", b"BLAH_JOB_CANCEL 4 fork/1")
        self.heard(b"S", b"S")
        self.spend(2.2)
        self.redial(2)
        self.until(lambda: b"CANCEL 4" in self.given())
        self.assertNotIn(b"SUBMIT 3", self.given())
        self.assertIn(b"never\\ reached\\ the\\ site", self.result(b"3"))

    def test_refused(self) -> None:
        """
        The site knows the session no more: what may have arrived has an unknown outcome, and
        what certainly has not goes to the next GAHP with what is owed; a ping fails.
        """
        box = self.broken()
        self.tell(b"BLAH_JOB_SUBMIT 3 [second]", b"BLAH_PING 4 fork", b"BLAH_JOB_CANCEL 5 fork/1")
        self.heard(b"S", b"S", b"S")
        self.send(
            {
                b"_error": box[b"_ask"],
                b"_error_code": b"SessionGone",
                b"_error_description": b"the site has been restarted",
            }
        )
        proxy = self.proxy
        assert proxy is not None
        self.accepted()
        proxy.close()
        self.grantNext()
        self.greet()
        self.until(lambda: b"SUBMIT 3" in self.given() and b"CANCEL 5" in self.given())
        self.assertNotIn(b"SUBMIT 2", self.given())
        self.assertNotIn(b"PING", self.given())
        self.assertIn(b"may\\ have\\ been\\ done", self.result(b"2"))

    def test_gone(self) -> None:
        """
        The gridmanager goes while there is no channel: what has not arrived never does, but
        the end does.
        """
        self.broken()
        self.tell(b"BLAH_JOB_SUBMIT 3 [second]")
        self.heard(b"S")
        self.leave()
        self.spend(0.3)
        self.redial(2)
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.assertNotIn(b"SUBMIT 3", self.given())
        self.exit(False, 0)
        self.assertEqual(self.ended()[0], 0)

    def test_lease(self) -> None:
        """
        No channel comes any more: when the lease is over another GAHP is asked for, and gets
        what never arrived.
        """
        self.broken(lease=1, SILENCE_LIMIT=0.2, PING_INTERVAL=0.1)
        self.tell(b"BLAH_JOB_SUBMIT 3 [second]")
        proxy = self.proxy
        assert proxy is not None
        self.accepted()
        proxy.close()
        self.grantNext()
        self.greet()
        self.until(lambda: b"SUBMIT 3" in self.given())
        self.assertIn(b"may\\ have\\ been\\ done", self.result(b"2"))


class ProxyTests(FrontTestCase):
    """
    A C{condor_ft-gahp} whose proxy is restarted.
    """

    role = "condor_ft-gahp"

    def test_held(self) -> None:
        """
        While the proxy is away no transfer is begun, for it could get no tunnel; other
        commands go as ever.  When the session has been claimed, it is.
        """
        self.running(LIVE=1000.0)  # so that no timer wakes the front
        self.ce.send(frames.STDOUT, BANNER)
        self.until(lambda: b"ASYNC_MODE_ON" in self.given())
        self.ce.send(frames.STDOUT, b"S DOWNLOAD_SANDBOX GET_SANDBOX_PATH RESULTS\r\nS\r\n")
        self.heard(BANNER[:-2])
        assert self.proxy is not None
        self.proxy.close()
        self.assertEqual(self.accepted()[b"_command"], b"Claim")
        self.tell(b"DOWNLOAD_SANDBOX 5 one []", b"GET_SANDBOX_PATH one")
        self.until(lambda: b"GET_SANDBOX_PATH one" in self.given())
        self.tell(b"GET_SANDBOX_PATH two")  # what went with the other has come before it
        self.until(lambda: b"GET_SANDBOX_PATH two" in self.given())
        self.assertNotIn(b"DOWNLOAD_SANDBOX", self.given())
        self.gahp(b"S /one", b"S /two")
        self.heard(b"S", b"S /one", b"S /two")
        self.until(lambda: not self.ce.stream.owing())  # an acknowledgement wakes the front, too
        self.ce.send(frames.STDOUT)
        self.until(self.ce.stream.isAcknowledged)
        self.send({b"_answer": b"1", b"nonce": bytes(32)})
        self.assertEqual(self.box()[b"_command"], b"Prove")
        self.send({b"_answer": b"2"})
        self.until(lambda: b"DOWNLOAD_SANDBOX 5 one []" in self.given())


class FullDiskTests(FrontTestCase):
    """
    A stdout that is on a full disk.
    """

    def test_full(self) -> None:
        """
        It is said, and the exit status is not 0 though the GAHP's is.
        """
        with open("/dev/full", "wb") as full:
            self.output = full
            self.running()
            self.greet()
            self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
            self.exit(False, 0)
            process = self.process
            assert process is not None
            self.until(lambda: process.poll() is not None)
        assert process.stderr is not None
        self.assertEqual(process.returncode, 255)
        self.assertIn(b"stdout takes no more: No space left on device\n", process.stderr.read())


class LeavingTests(FrontTestCase):
    """
    The gridmanager goes.
    """

    def test_stdin(self) -> None:
        """
        At the end of stdin the GAHP's ends, and the client has its status.
        """
        self.ready()
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 4)
        self.assertEqual(self.ended(), (4, b"", ""))

    def test_signal(self) -> None:
        """
        SIGTERM is the end of stdin, and the GAHP is told too.
        """
        self.ready()
        self.signal(signal.SIGTERM)
        self.until(lambda: len(self.user.frames()) > 0 and self.user.frames()[-1][0] == frames.STOP)
        self.assertIn((frames.END_STDIN, b""), self.user.frames())
        self.exit(True, signal.SIGTERM)
        self.assertEqual(self.ended()[0], 128 + signal.SIGTERM)

    def test_owed(self) -> None:
        """
        With a cancel that has not reached the GAHP the client closes its stdio, and stays
        until it is delivered and has had its time.
        """
        self.ready(LIVE=0.3, LAST_RESULT=0.3)
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        self.tell(b"BLAH_JOB_CANCEL 2 fork/1")
        self.heard(b"S")
        self.leave()
        assert self.process is not None and self.process.stdout is not None
        output = self.process.stdout
        os.set_blocking(output.fileno(), False)
        came: list[bytes | None] = []

        def isClosed() -> bool:
            came.append(output.read())
            return came[-1] == b""

        self.until(isClosed)
        self.assertEqual([one for one in came if one], [])
        self.assertIsNone(self.process.poll())
        self.assertNotIn(b"CANCEL", self.given())
        self.ce.send(frames.STDERR, b"")
        self.until(lambda: b"BLAH_JOB_CANCEL 2 fork/1" in self.given())
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.until(lambda: self.process is not None and self.process.poll() is not None)

    def detached(self, **changes: Any) -> int:
        """
        A client whose gridmanager has gone while a cancel is owed.

        @return: its pid.
        """
        self.ready(LIVE=0.3, **changes)
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        self.tell(b"BLAH_JOB_CANCEL 2 fork/1")
        self.heard(b"S")
        self.leave()
        assert self.process is not None
        pid = self.process.pid
        self.until(lambda: os.getsid(pid) == pid)
        return pid

    def assertDelivers(self) -> None:
        """
        The next GAHP gets the cancel, and then the client ends.
        """
        self.next()
        self.greet()
        self.until(lambda: b"BLAH_JOB_CANCEL 2 fork/1" in self.given())
        self.gahp(b"S", b"R")
        self.until(lambda: b"RESULTS" in self.given())
        self.gahp(b"S 1", b"2 0 No\\ error")
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.until(lambda: self.process is not None and self.process.poll() is not None)

    def test_aloof(self) -> None:
        """
        A client that stays has a session of its own and /dev/null for its stdio, of which no
        number is free, and no end of a terminal ends it.
        """
        pid = self.detached()
        found = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]
        self.assertEqual(found, ["/dev/null"] * 3)
        for _ in range(3):
            self.signal(signal.SIGHUP)
            self.spend(0.1)
        self.exit(False, 5)
        self.assertDelivers()

    def test_impatient(self) -> None:
        """
        One that stays goes when it is told to end for the second time.
        """
        self.ready(LIVE=0.3)
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        self.tell(b"BLAH_JOB_CANCEL 2 fork/1")
        self.heard(b"S")
        assert self.process is not None
        pid = self.process.pid
        self.signal(signal.SIGTERM)
        self.until(lambda: os.getsid(pid) == pid)
        self.signal(signal.SIGTERM)
        self.assertEqual(self.ended()[0], 128 + signal.SIGTERM)

    def test_lease(self) -> None:
        """
        One that cannot deliver goes when the lease is over.
        """
        self.detached(lease=1, SITE_RETRY_FIRST=60.0)
        self.exit(False, 5)
        self.assertEqual(self.ended()[0], 0)

    def test_noStderr(self) -> None:
        """
        That nobody reads our stderr any more, which was noticed before, loses nothing else.
        """
        self.ready(LIVE=0.3)
        assert self.process is not None and self.process.stderr is not None
        self.process.stderr.close()
        self.process.stderr = None
        self.ce.send(frames.STDERR, b"a word\n")
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        self.tell(b"BLAH_JOB_CANCEL 2 fork/1")
        self.heard(b"S")
        self.leave()
        pid = self.process.pid
        self.until(lambda: os.getsid(pid) == pid)
        self.exit(False, 5)
        self.next()
        self.ce.send(frames.STDERR, b"one more\n")
        self.exit(False, 6)
        self.assertDelivers()

    def lostWithCancel(self) -> None:
        """
        A client without a GAHP that owes a cancel.
        """
        self.ready()
        self.tell(b"BLAH_JOB_CANCEL 2 fork/1")
        self.heard(b"S")
        self.until(lambda: b"BLAH_JOB_CANCEL 2 fork/1" in self.given())
        self.exit(False, 5)
        self.until(lambda: not self.ce.isConnected())

    def test_stdinWithoutGAHP(self) -> None:
        """
        With a cancel owed, the end of stdin is no end while there is no GAHP.
        """
        self.lostWithCancel()
        self.leave()
        self.assertDelivers()

    def test_signalWithoutGAHP(self) -> None:
        """
        Nor is SIGTERM; the next GAHP is told of it too.
        """
        self.lostWithCancel()
        self.signal(signal.SIGTERM)
        self.assertDelivers()
        self.assertEqual(self.user.frames()[-1][0], frames.STOP)

    def test_unreadStdout(self) -> None:
        """
        SIGTERM while there is no GAHP: none is asked for any more, even if stdout waits to
        be read.
        """
        self.ready(SITE_RETRY_FIRST=0.5)
        for _ in range(2):
            self.tell(*[b"VERSION"] * 4000)
        self.spend(0.3)
        self.exit(False, 5)
        self.until(lambda: not self.ce.isConnected())
        self.signal(signal.SIGTERM)
        self.port.settimeout(1.5)
        self.assertRaises(TimeoutError, self.port.accept)


class BoundTests(FrontTestCase):
    """
    What is held.
    """

    def test_stdin(self) -> None:
        """
        stdin is read as long as what is held stays below its limit, and no longer.
        """
        self.ready(LIVE=0.3, stdinLimit=1 << 20)
        self.spend(0.8)  # what the CE acknowledges late is a sign of life
        assert self.process is not None and self.process.stdin is not None
        fd = self.process.stdin.fileno()
        os.set_blocking(fd, False)
        line = b"BLAH_JOB_SUBMIT %d [" + b"a" * 30_000 + b"]\r\n"
        written = 0
        for number in range(2, 1000):
            data = line % number
            while data:
                try:
                    count = os.write(fd, data)
                except BlockingIOError:
                    if written > 1 << 20 and not self._takes(fd):
                        break
                    self.spend(0.02)
                    continue
                written += count
                data = data[count:]
            if data:
                break
        self.assertGreater(written, 1 << 20)
        self.assertLess(written, 2 << 20)

    def test_unread(self) -> None:
        """
        What the site has not taken counts, though it is sent.
        """
        self.ready(stdinLimit=1 << 20)
        self.user.delivers = False
        assert self.process is not None and self.process.stdin is not None
        fd = self.process.stdin.fileno()
        os.set_blocking(fd, False)
        data = (b"WHATEVER " + b"a" * 500_000 + b"\r\n") * 100
        written, quiet = 0, 0
        while quiet < 25 and written < len(data):
            try:
                written += os.write(fd, data[written : written + 65536])
                quiet = 0
            except BlockingIOError:
                quiet += 1
                self.spend(0.02)
        self.assertLess(written, 5 << 20)

    def _takes(self, fd: int) -> bool:
        """
        @return: whether the client reads on, within a moment.
        """
        for _ in range(10):
            self.spend(0.02)
            try:
                return os.write(fd, b"") < 0
            except BlockingIOError:
                pass
        return False
