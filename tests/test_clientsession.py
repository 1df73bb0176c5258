"""
Tests of L{rvgahp.clientsession}: a real client, with a CE that does what a test wants.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from rvgahp import frames, limits
from tests.byhand import Box
from tests.clientdriver import ClientTestCase
from tests.procfs import PATIENCE
from tests.sessions import KEY, SESSION_ID


class StdioTests(ClientTestCase):
    """
    What goes in and out.
    """

    def test_both(self) -> None:
        """
        stdin goes to the site, its end too; stdout and stderr come from there.
        """
        self.running()
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(b"a line\n")
        self.process.stdin.close()
        self.until(lambda: len(self.user.frames()) == 2)
        self.assertEqual(self.user.frames(), [(frames.STDIN, b"a line\n"), (frames.END_STDIN, b"")])
        self.process.stdin = None
        self.ce.send(frames.STDOUT, b"out\n")
        self.ce.send(frames.STDERR, b"err\n")
        self.exit(False, 3)
        self.assertEqual(self.ended(), (3, b"out\n", "err\n"))
        self.assertTrue(self.ce.stream.isAcknowledged())

    def test_statuses(self) -> None:
        """
        The GAHP's end by a signal is 128 and its number, and what is to be known about
        it is said.
        """
        self.running()
        self.exit(True, signal.SIGKILL, "it gave no output")
        self.assertEqual(
            self.ended(), (128 + signal.SIGKILL, b"", "rvgahp_client: it gave no output\n")
        )

    def test_all(self) -> None:
        """
        All of a large output is written before it ends, however slowly it is read.
        """
        self.running()
        data = bytes(range(256)) * 3000
        for begin in range(0, len(data), 100_000):
            self.ce.send(frames.STDOUT, data[begin : begin + 100_000])
        self.exit(False, 0)
        self.spend(0.2)
        assert self.process is not None
        self.assertIsNone(self.process.poll())
        process = self.process
        output, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, len(output), errors), (0, len(data), b""))
        self.assertEqual(output, data)


class EndTests(ClientTestCase):
    """
    Ends that are not in order.
    """

    def unreadExit(self) -> bytes:
        """
        The GAHP has ended, and its output is more than a pipe holds.

        @return: that output.
        """
        self.running()
        data = bytes(500_000)
        for _ in range(4):
            self.ce.send(frames.STDOUT, data[:125_000])
        self.exit(False, 4)
        self.spend(0.3)
        return data

    def test_channelLostAfterExit(self) -> None:
        """
        One that breaks when all has come is no loss.
        """
        data = self.unreadExit()
        self.ce.close()
        self.spend(0.1)
        self.assertEqual(self.ended_(), (4, data, b""))

    def test_sessionLostAfterExit(self) -> None:
        """
        Nor is a session that the site gives up then.
        """
        data = self.unreadExit()
        self.send(
            {b"_command": b"SessionLost", b"session": b"s", b"reason": b"the channel was lost"}
        )
        self.spend(0.1)
        self.assertEqual(self.ended_(), (4, data, b""))

    def ended_(self) -> tuple[int, bytes, bytes]:
        """
        @return: exit status and outputs, which are read only now.
        """
        assert self.process is not None
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors

    def test_strangeFrame(self) -> None:
        """
        A frame that is not for a client ends the session, and it is said.
        """
        self.running()
        self.ce.send(frames.STDIN, b"for you")
        self.assertFails("a frame of kind 0 is not for a client")

    def test_strangeExit(self) -> None:
        """
        So does an exit status that makes no sense.
        """
        self.running()
        self.ce.send(frames.STDOUT, bytes(200_000))
        self.ce.send(frames.EXIT, b"?")
        status, _, errors = self.ended()
        self.assertEqual(status, 255)
        self.assertIn("An exit status of unknown form came", errors)
        self.assertNotIn("Traceback", errors)

    def test_silence(self) -> None:
        """
        A silent site is waited for, and that is said once; but not longer than the lease.
        """
        self.running(lease=1, SILENCE_LIMIT=0.2, PING_INTERVAL=0.1)
        assert self.process is not None
        process = self.process
        output, errors = process.communicate(timeout=20)  # without a turn of the CE
        self.assertEqual((process.returncode, output), (255, b""))
        self.assertEqual(errors.count(b"nothing heard from the site"), 1, errors)
        self.assertIn(b"the site was silent for the lease of 1 s", errors)


class RedialTests(ClientTestCase):
    """
    Channels that break.
    """

    def broken(self, **changes: Any) -> None:
        """
        Start a client, and have its channel break.
        """
        self.running(**changes)
        self.ce.drop("cut")

    def redial(self) -> tuple[bytes, float]:
        """
        Wait until the client asks for another channel.

        @return: the tag of the question, and when it came.
        """
        box = self.box()
        tag = box.pop(b"_ask")
        self.assertEqual(
            box,
            {
                b"_command": b"Redial",
                b"session": SESSION_ID.encode(),
                b"stream": b"0",
                b"generation": b"%d" % self.ce.generation,
            },
        )
        return tag, time.monotonic()

    def refuse(self, tag: bytes, code: bytes, sentence: bytes = b"so it is") -> None:
        """
        The proxy, or the CE, does not do it.
        """
        self.send({b"_error": tag, b"_error_code": code, b"_error_description": sentence})

    def test_resumed(self) -> None:
        """
        After each loss the next channel goes on where the last one was, with all that was
        said meanwhile, here and there; a CE that dials at once is asked nothing.
        """
        self.running()
        assert self.process is not None and self.process.stdin is not None
        sent = b""
        for generation in range(2, 7):
            self.ce.drop("cut")
            self.ce.send(frames.STDOUT, b"out %d\n" % generation)
            sent += b"in %d\n" % generation
            self.process.stdin.write(b"in %d\n" % generation)
            self.process.stdin.flush()
            self.dial(generation=generation)
            self.assertEqual(self.box(), {b"_answer": b"7"})
            self.until(lambda: self.user.frames() == [(frames.STDIN, sent)])  # noqa: B023
        self.exit(False, 0)
        output = b"".join(b"out %d\n" % generation for generation in range(2, 7))
        self.assertEqual(self.ended(), (0, output, ""))

    def test_asks(self) -> None:
        """
        If no channel comes soon the CE is asked for one, and again from time to time,
        whatever the answer, for as long as there is none.
        """
        begin = time.monotonic()
        self.broken(REDIAL_ASK_FIRST=0.2, REDIAL_ASK_AGAIN=0.4)
        tag, last = self.redial()
        self.assertGreater(last - begin, 0.2)
        for code in (b"", b"NoSuchSite", b"NotYet", b"Busy", b"InternalError"):
            if code:
                self.refuse(tag, code)
            tag, now = self.redial()
            self.assertGreater(now - last, 0.3)
            last = now
        self.dial(generation=2)
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.until(self.ce.isConnected)
        self.spend(1)
        self.assertIsNone(self._received())
        self.exit(False, 5)
        self.assertEqual(self.ended(), (5, b"", ""))

    def test_times(self) -> None:
        """
        That is after a quarter of a second, and then every two.
        """
        self.assertEqual((limits.REDIAL_ASK_FIRST, limits.REDIAL_ASK_AGAIN), (0.25, 2.0))

    def test_again(self) -> None:
        """
        The generation that is named is that of the channel that was lost last.
        """
        self.broken(REDIAL_ASK_FIRST=0.1, REDIAL_ASK_AGAIN=0.2)
        for generation in (2, 3, 7):
            self.redial()
            self.dial(generation=generation)
            while self.box() != {b"_answer": b"7"}:
                pass
            self.until(self.ce.isConnected)
            self.spend(0.3)
            while self._received():
                pass
            self.ce.drop("cut")
        self.redial()

    def test_gone(self) -> None:
        """
        If the CE knows the session no more, that is the end, with its sentence.
        """
        self.broken(REDIAL_ASK_FIRST=0.1)
        tag, _ = self.redial()
        self.refuse(tag, b"SessionGone", b"session s is over at the site")
        self.assertFails("session s is over at the site")

    def test_goneAfterExit(self) -> None:
        """
        After the GAHP's last word it asks nothing, and needs nothing.
        """
        self.running(REDIAL_ASK_FIRST=0.1)
        self.exit(False, 4)
        self.until(lambda: self.ce.stream.isAcknowledged() or not self.ce.isConnected())
        self.ce.drop("cut")
        self.assertEqual(self.ended(), (4, b"", ""))

    def test_lease(self) -> None:
        """
        Without a channel, too, it is over after the lease.
        """
        self.broken(lease=1, SILENCE_LIMIT=0.2, PING_INTERVAL=0.1)
        status, _, errors = self.ended()
        self.assertEqual(status, 255)
        self.assertIn("the site was silent for the lease of 1 s", errors)


class RenewalTests(ClientTestCase):
    """
    Keys that come while it runs.
    """

    def key(self, number: int) -> bytes:
        """
        @return: the key of this number.
        """
        return bytes([number]) * 32 if number > 1 else KEY

    def renew(self, number: int, **changes: bytes) -> Box:
        """
        @return: what the client says to this key.
        """
        values = {
            "session": SESSION_ID.encode(),
            "key": self.key(number),
            "keyNumber": b"%d" % number,
            "duration": b"86400",
        }
        box = {name.encode(): value for name, value in {**values, **changes}.items() if value}
        self.send({b"_command": b"RenewKey", b"_ask": b"9", **box})
        return self.box()

    def opens(self, generation: int, key: bytes, keyNumber: int) -> bool:
        """
        @return: whether a new channel with such a key carries the stream.
        """
        channel = self.dial(key, 0, generation, keyNumber)
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.until(lambda: channel.isOpen or channel.isClosed)
        return channel.isOpen

    def test_renewed(self) -> None:
        """
        Channels open with one key after the other, also with the last before the present
        one; the stream is whole.
        """
        self.running()
        for number in (2, 3, 4):
            self.assertEqual(self.renew(number), {b"_answer": b"9"})
            self.assertEqual(self.renew(number), {b"_answer": b"9"})
            self.assertTrue(self.opens(10 * number, self.key(number - 1), number - 1))
            self.ce.send(frames.STDOUT, b"former %d\n" % number)
            self.assertTrue(self.opens(10 * number + 1, self.key(number), number))
            self.ce.send(frames.STDOUT, b"present %d\n" % number)
        for number in (1, 2):
            self.assertFalse(self.opens(100 + number, self.key(number), number))
        self.exit(False, 0)
        expected = b"".join(b"former %d\npresent %d\n" % (one, one) for one in (2, 3, 4))
        self.assertEqual(self.ended(), (0, expected, ""))

    def test_hostile(self) -> None:
        """
        What is no next key of its session is refused and changes nothing: neither the
        session nor the connection with the proxy ends.
        """
        self.running()
        secret = b"not for other ears, nor eyes: 32"
        for number, changes, code in (
            (2, {"session": b"another:1:1:1"}, b"SessionGone"),
            (2, {"session": b"\xff"}, b"SessionGone"),
            (2, {"session": b""}, b"InternalError"),
            (2, {"key": secret[:31]}, b"InternalError"),
            (2, {"key": secret + b"3"}, b"InternalError"),
            (2, {"key": b""}, b"InternalError"),
            (1, {"key": secret}, b"InternalError"),
            (3, {"key": secret}, b"InternalError"),
            (2, {"keyNumber": secret}, b"InternalError"),
            (2, {"keyNumber": b"9" * 5000}, b"InternalError"),
            (2, {"keyNumber": b"-65533"}, b"InternalError"),
            (2, {"keyNumber": b""}, b"InternalError"),
            (2, {"duration": secret}, b"InternalError"),
            (2, {"duration": b"9" * 4000}, b"InternalError"),
            (2, {"duration": b"0"}, b"InternalError"),
            (2, {"duration": b""}, b"InternalError"),
        ):
            box = self.renew(number, **changes)
            self.assertEqual(box.get(b"_error_code"), code, changes)
            self.assertNotIn(secret[:8], box[b"_error_description"])
        self.assertTrue(self.opens(2, KEY, 1))
        self.assertFalse(self.opens(3, self.key(2), 2))
        self.assertEqual(self.renew(2), {b"_answer": b"9"})
        self.assertTrue(self.opens(4, self.key(2), 2))
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"", ""))

    def test_tooSoon(self) -> None:
        """
        Before there is a session there is no next key.
        """
        self.asked()
        self.assertEqual(self.renew(2)[b"_error_code"], b"SessionGone")
        self.answer()
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.until(self.ce.isConnected)
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"", ""))

    def test_over(self) -> None:
        """
        A key whose duration is over opens no channel, and the CE is told why; what runs
        goes on.
        """
        self.running(duration=1)
        self.spend(1.1)
        self.assertFalse(self.opens(2, KEY, 1))
        self.ce.send(frames.STDOUT, b"still here\n")
        self.assertEqual(self.renew(2), {b"_answer": b"9"})
        self.assertTrue(self.opens(3, self.key(2), 2))
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"still here\n", ""))
