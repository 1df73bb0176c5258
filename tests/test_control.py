"""
Tests of L{rvgahp.control}: both ends over real TLS in memory.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs
from twisted.protocols.amp import IBoxSender, UnhandledCommand
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rvgahp import commands, errors, limits, watchlimits
from rvgahp.boxes import encodeBox
from rvgahp.control import ControlConnection, Responders
from rvgahp.errors import InternalError, ProtocolError, RvgahpError
from tests.tlspair import TWISTED_WARNINGS, RawPeer, TLSPair

SECRET = bytes(range(100, 132))

START: dict[str, Any] = {
    "session": "s",
    "key": SECRET,
    "keyNumber": 1,
    "gahp": "blahpd",
    "account": "",
    "tunnel": False,
    "tunnelPort": 0,
    "owner": "alice",
    "serverPolicy": "R:R:AES",
    "outcome": "encrypt",
    "method": "AES",
    "duration": 1,
    "lease": 1,
    "commands": ["gahp"],
    "tickets": [b"t" * 16],
}


class Answers(Responders):
    """
    Answers StartGAHP as a test wants it answered.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer: Callable[[], Any] = lambda: {"tunnelPort": 0}

    @commands.StartGAHP.responder
    def start(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.answer()

    @commands.Ping.responder
    def ping(self) -> dict[str, Any]:
        return {}


class TurnsClock(Clock):
    """
    One that can take a single turn: what is to be done at once is done in the next, as a
    reactor does it.
    """

    def turn(self) -> None:
        """
        Do what is due now, and not what that wants done.
        """
        for call in [one for one in self.calls if one.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


class End:
    """
    One end and what it was told.
    """

    def __init__(self, clock: Clock) -> None:
        self.answers = Answers()
        self.secured = 0
        self.reasons: list[Failure] = []
        self.control = ControlConnection(clock, self.answers, self._secured, self.reasons.append)

    def _secured(self, control: ControlConnection) -> None:
        assert control is self.control
        self.secured += 1


class ControlTestCase(SynchronousTestCase):
    """
    A connection; which end is who is each test's business.
    """

    suppress = TWISTED_WARNINGS

    def setUp(self) -> None:
        """
        Begin with a clock.
        """
        self.clock = TurnsClock()

    def pair(self) -> tuple[End, End]:
        """
        @return: the proxy's and the CE's end, with TLS set up.
        """
        proxy, ce = End(self.clock), End(self.clock)
        self.wire = TLSPair(proxy.control, ce.control, self.clock)
        self.wire.flush()
        return proxy, ce

    def raw(self) -> tuple[End, RawPeer]:
        """
        @return: the proxy's end, and a CE's that does as a test says.
        """
        proxy, peer = End(self.clock), RawPeer()
        self.wire = TLSPair(proxy.control, peer, self.clock)
        self.wire.flush()
        return proxy, peer

    def assertNothingLeft(self) -> None:
        """
        No timer is left behind.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CallTests(ControlTestCase):
    """
    Calls and their answers.
    """

    def test_interfaces(self) -> None:
        """
        A connection is what Twisted and AMP take it for.
        """
        proxy, _ = self.pair()
        for interface in (IProtocol, IBoxSender, IHandshakeListener):
            verifyObject(interface, proxy.control)

    def test_bothWays(self) -> None:
        """
        Either end calls, and gets the other's answer.
        """
        proxy, ce = self.pair()
        self.assertEqual((proxy.secured, ce.secured), (1, 1))
        for caller, answerer in ((proxy, ce), (ce, proxy)):
            called = caller.control.caller.call(commands.StartGAHP, **START)
            self.wire.flush()
            self.assertEqual(self.successResultOf(called), {"tunnelPort": 0})
            self.assertEqual(answerer.answers.calls, [START])
        self.assertNothingLeft()

    def test_everyError(self) -> None:
        """
        Each declared error arrives as what it was, with its sentence.
        """
        proxy, ce = self.pair()
        for error in commands.StartGAHP.errors:

            def refuse(error: type[Exception] = error) -> None:
                raise error("a sentence, ünïcode and all")

            ce.answers.answer = refuse
            called = proxy.control.caller.call(commands.StartGAHP, **START)
            self.wire.flush()
            failure = self.failureResultOf(called, error)
            self.assertEqual(str(failure.value), "a sentence, ünïcode and all")
        self.assertEqual(proxy.reasons, [])

    def test_longError(self) -> None:
        """
        A sentence that repeats what the other side has said arrives cut, as one line without
        control characters.
        """
        proxy, ce = self.pair()

        def refuse() -> None:
            raise errors.StartFailed("one\r\ntwo\x1b[2J" + "x" * 70000)

        ce.answers.answer = refuse
        called = proxy.control.caller.call(commands.StartGAHP, **START)
        self.wire.flush()
        said = str(self.failureResultOf(called, errors.StartFailed).value)
        self.assertEqual(said[:13], "one  two [2Jx")
        self.assertEqual(len(said), limits.WORDS)

    def test_undeclaredError(self) -> None:
        """
        An error of ours that the command does not declare arrives as InternalError
        with its sentence, and is no bug.
        """
        proxy, ce = self.pair()

        def refuse() -> None:
            raise ProtocolError("that makes no sense")

        ce.answers.answer = refuse
        called = proxy.control.caller.call(commands.StartGAHP, **START)
        self.wire.flush()
        failure = self.failureResultOf(called, InternalError)
        self.assertEqual(str(failure.value), "that makes no sense")

    def test_bugInResponder(self) -> None:
        """
        A bug in one answer costs that call alone: the caller is told that it is one,
        the log has the traceback and no key, and the connection goes on.
        """
        proxy, ce = self.pair()
        ce.answers.answer = lambda: 1 // 0
        with capturedLogs() as logs:
            called = proxy.control.caller.call(commands.StartGAHP, **START)
            self.wire.flush()
        self.failureResultOf(called, InternalError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNotIn(repr(SECRET), repr(logs))
        again = proxy.control.caller.call(commands.Ping)
        self.wire.flush()
        self.assertEqual(self.successResultOf(again), {"sessions": None})

    def test_badAnswer(self) -> None:
        """
        An answer that its command does not allow is a bug of the answerer: told as
        such, and the connection goes on.
        """
        proxy, ce = self.pair()
        ce.answers.answer = lambda: {"tunnelPort": "no number"}
        called = proxy.control.caller.call(commands.StartGAHP, **START)
        self.wire.flush()
        self.failureResultOf(called, InternalError)
        self.assertNotEqual(self.flushLoggedErrors(), [])
        self.assertEqual(proxy.reasons, [])

    def test_unknownCommand(self) -> None:
        """
        An unknown command is refused as UNHANDLED, and the connection goes on.
        """
        proxy, ce = self.pair()
        called = proxy.control.caller.call(commands.OpenChannel, session="s", stream=1)
        self.wire.flush()
        self.failureResultOf(called, UnhandledCommand)
        self.assertEqual((proxy.reasons, ce.reasons), ([], []))

    def test_undeclaredArgument(self) -> None:
        """
        Keys that a command does not have are ignored: a newer peer may send them.
        """
        proxy, peer = self.raw()
        peer.send({b"_command": b"Ping", b"_ask": b"1", b"mood": b"fine"})
        self.wire.flush()
        self.assertEqual(peer.answersTo(b"1"), [{b"_answer": b"1"}])
        self.assertEqual(proxy.reasons, [])

    def test_callWithUndeclaredArgument(self) -> None:
        """
        A mistake of ours in a call fails that call, not the caller's function.
        """
        proxy, _ = self.pair()
        self.failureResultOf(proxy.control.caller.call(commands.Ping, mood="fine"))

    def test_malformedArguments(self) -> None:
        """
        Arguments that are missing, no numbers, or no UTF-8 are refused, and the
        connection goes on.
        """
        proxy, peer = self.raw()
        good = commands.StartGAHP.makeArguments(START, None)
        for key, value in ((b"lease", b"soon"), (b"lease", b"9" * 5000), (b"owner", b"\xff")):
            peer.send({**good, key: value, b"_command": b"StartGAHP", b"_ask": b"1"})
            peer.send({b"_command": b"StartGAHP", b"_ask": b"2", b"key": SECRET})
        with capturedLogs() as logs:
            self.wire.flush()
        self.flushLoggedErrors()
        codes = {box[b"_error_code"] for box in peer.boxes}
        self.assertEqual((len(peer.boxes), codes), (6, {b"InternalError"}))
        self.assertNotIn(repr(SECRET), repr([event.get("log_failure") for event in logs]))
        self.assertEqual(proxy.answers.calls, [])
        self.assertEqual(proxy.reasons, [])

    def test_timeout(self) -> None:
        """
        A call that is not answered fails in time; an answer that comes later harms
        nothing, and is no bug.
        """
        proxy, ce = self.pair()
        late: Deferred[dict[str, int]] = Deferred()
        ce.answers.answer = lambda: late
        called = proxy.control.caller.call(commands.StartGAHP, 3.0, **START)
        self.wire.flush()
        self.clock.advance(2.9)
        self.assertNoResult(called)
        self.clock.advance(0.2)
        self.assertIn("3 s", str(self.failureResultOf(called, TimeoutError).value))
        late.callback({"tunnelPort": 0})
        self.wire.flush()
        self.assertEqual((proxy.reasons, ce.reasons), ([], []))
        self.assertNothingLeft()

    def test_lostWhileCalling(self) -> None:
        """
        Calls that wait when the connection ends fail then, and so does a later one.
        """
        proxy, ce = self.pair()
        ce.answers.answer = Deferred
        called = proxy.control.caller.call(commands.StartGAHP, **START)
        self.wire.flush()
        ce.control.abort()
        self.wire.flush()
        self.failureResultOf(called)
        self.failureResultOf(proxy.control.caller.call(commands.Ping))
        self.assertNothingLeft()

    def test_failedCallback(self) -> None:
        """
        A failure that the caller forgets to handle does not cost the connection.
        """
        proxy, ce = self.pair()

        def refuse() -> None:
            raise RvgahpError("no")

        ce.answers.answer = refuse
        proxy.control.caller.call(commands.StartGAHP, **START)
        self.wire.flush()
        self.assertEqual(proxy.reasons, [])
        self.assertEqual(len(self.flushLoggedErrors(InternalError)), 1)


class HostilePeerTests(ControlTestCase):
    """
    A peer that speaks TLS and no sense.
    """

    def assertDropped(self, proxy: End, peer: RawPeer) -> None:
        """
        The connection has ended at both ends, with no timer left.
        """
        self.wire.flush()
        self.assertEqual(len(proxy.reasons), 1)
        self.assertIsNotNone(peer.reason)
        self.assertNothingLeft()

    def test_largeBoxBeforeGreeting(self) -> None:
        """
        Before Hello is answered a box has 16 KiB at the most.
        """
        proxy, peer = self.raw()
        peer.send({b"_command": b"Ping", b"_ask": b"1", b"x": bytes(15_000)})
        self.wire.flush()
        self.assertEqual(proxy.reasons, [])
        peer.send({b"_command": b"Ping", b"_ask": b"2", b"x": bytes(17_000)})
        self.assertDropped(proxy, peer)
        self.assertEqual(peer.answersTo(b"2"), [])

    def test_largeBoxAfterGreeting(self) -> None:
        """
        Afterwards it has 128 KiB; one of 20 MB ends the connection long before it is
        whole.
        """
        proxy, peer = self.raw()
        proxy.control.greeted()
        peer.send({b"_command": b"Ping", b"_ask": b"1", b"x": bytes(60_000), b"y": bytes(60_000)})
        self.wire.flush()
        self.assertEqual(len(peer.answersTo(b"1")), 1)
        peer.send({b"x%d" % number: bytes(65_000) for number in range(300)})
        self.assertDropped(proxy, peer)

    def test_unread(self) -> None:
        """
        Of answers that the peer does not read 8 MiB wait; then the connection is dropped.
        When it reads, that begins anew, and what waits has been sent.
        """
        proxy, peer = self.raw()
        proxy.control.greeted()
        producer = self.wire.proxySide.producer
        assert producer is not None
        count = limits.CONTROL_UNSENT_BYTES // 60_000
        for _ in range(3):
            producer.pauseProducing()
            for _ in range(count - 1):
                peer.send({b"_command": b"Ping", b"_ask": b"x" * 60_000})
            self.wire.flush()
            producer.resumeProducing()
        self.assertEqual((proxy.reasons, len(peer.boxes)), ([], 3 * (count - 1)))
        producer.pauseProducing()
        with capturedLogs() as logs:
            for _ in range(count + 1):
                peer.send({b"_command": b"Ping", b"_ask": b"x" * 60_000})
            self.assertDropped(proxy, peer)
        self.assertIn("it does not read", logs[0]["reason"])

    def starts(self, count: int) -> list[bytes]:
        """
        @return: so many calls, each with its number.
        """
        sessions = ({**START, "session": str(number)} for number in range(count))
        arguments = (commands.StartGAHP.makeArguments(one, None) for one in sessions)
        return [encodeBox({b"_command": b"StartGAHP", b"_ask": b"1", **one}) for one in arguments]

    def obeyed(self, proxy: End) -> list[int]:
        """
        @return: the numbers of what has been obeyed after one turn of the reactor more.
        """
        self.clock.turn()
        self.wire.deliver()
        return [int(call["session"]) for call in proxy.answers.calls]

    def test_turns(self) -> None:
        """
        Of what is said at once, in one piece or in many, so much is obeyed in one turn of the
        reactor, in its order, and nothing is read until the next.
        """
        for size in (50, 1):
            proxy, peer = self.raw()
            boxes = self.starts(50)
            for number in range(0, 50, size):
                peer.transport.write(b"".join(boxes[number : number + size]))
            reading: list[bool] = []
            proxy.control.transport.pauseProducing = lambda reading=reading: reading.append(False)
            proxy.control.transport.resumeProducing = lambda reading=reading: reading.append(True)
            for count in (16, 32, 48, 50):
                self.assertEqual(self.obeyed(proxy), [*range(count)])
            self.assertEqual(reading, [False, True] * 3)
            proxy.control.abort()
            self.assertDropped(proxy, peer)

    def test_turnsEnd(self) -> None:
        """
        What waits for its turn when the connection ends is obeyed, too.
        """
        proxy, peer = self.raw()
        peer.transport.write(b"".join(self.starts(20)))
        self.assertEqual(self.obeyed(proxy), [*range(watchlimits.CALLS_PER_TURN)])
        proxy.control.transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(proxy.answers.calls), 20)
        self.assertEqual(len(proxy.reasons), 1)

    def test_garbage(self) -> None:
        """
        What is no box, a box of nothing known and an empty one end the connection
        with a line in the log, without a traceback and without their bytes.
        """
        for garbage in (
            b"GET / HTTP/1.1\r\nsecret: swordfish\r\n\r\n",
            b"\0\x06secret\0\x09swordfish\0\0",
            b"\0\0",
            b"\0\x06_error\0\x011\0\0",
        ):
            proxy, peer = self.raw()
            with capturedLogs() as logs:
                peer.transport.write(garbage)
                self.assertDropped(proxy, peer)
            lines = [event for event in logs if event.get("log_namespace", "").startswith("rvgahp")]
            self.assertEqual(len(lines), 1, garbage)
            self.assertNotIn("swordfish", repr(logs))

    def test_unsolicitedAnswer(self) -> None:
        """
        An answer, or a refusal, that nobody asked for ends the connection.
        """
        for box in (
            {b"_answer": b"7", b"tunnelPort": b"1"},
            {b"_error": b"7", b"_error_code": b"Busy", b"_error_description": b"later"},
        ):
            proxy, peer = self.raw()
            peer.send(box)
            self.assertDropped(proxy, peer)

    def test_halfARefusal(self) -> None:
        """
        A refusal without its code ends the connection, and the call with it.
        """
        proxy, peer = self.raw()
        called = proxy.control.caller.call(commands.Ping)
        self.wire.flush()
        peer.send({b"_error": peer.boxes[0][b"_ask"]})
        self.wire.flush()
        self.assertEqual(len(proxy.reasons), 1)
        self.clock.advance(limits.CALL_TIMEOUT)
        self.failureResultOf(called)

    def test_commandWithoutTag(self) -> None:
        """
        A command to which no answer is wanted is obeyed without one, also where it is
        refused, and that is no bug of ours.
        """
        proxy, peer = self.raw()
        peer.send({b"_command": b"Ping"})
        peer.send({b"_command": b"NoSuchThing"})
        self.wire.flush()
        self.assertEqual((peer.boxes, proxy.reasons), ([], []))

    def test_boxesAfterTheEnd(self) -> None:
        """
        What comes in one piece with the end of the world is not obeyed any more.
        """
        proxy, peer = self.raw()
        ask = {b"_command": b"StartGAHP", **commands.StartGAHP.makeArguments(START, None)}
        proxy.answers.answer = proxy.control.abort
        peer.send({**ask, b"_ask": b"1"})
        peer.send({**ask, b"_ask": b"2"})
        self.wire.flush()
        self.flushLoggedErrors()
        self.assertEqual(len(proxy.answers.calls), 1)


class LivenessTests(ControlTestCase):
    """
    Pings, on a clock.
    """

    def test_pings(self) -> None:
        """
        A greeted end pings every 5 s for as long as it is answered.
        """
        proxy, peer = self.raw()
        self.clock.advance(100)
        self.wire.flush()
        self.assertEqual(peer.boxes, [])
        proxy.control.greeted()
        for count in range(1, 5):
            self.clock.advance(limits.CONTROL_PING_INTERVAL)
            self.wire.flush()
            self.assertEqual([box[b"_command"] for box in peer.boxes], [b"Ping"] * count)
            peer.send({b"_answer": peer.boxes[-1][b"_ask"]})
            self.wire.flush()

    def test_silence(self) -> None:
        """
        A ping that is not answered within 10 s ends the connection.
        """
        proxy, _peer = self.raw()
        proxy.control.greeted()
        self.clock.advance(limits.CONTROL_PING_INTERVAL)
        self.wire.flush()
        self.clock.advance(limits.CONTROL_PING_TIMEOUT - 0.1)
        self.wire.flush()
        self.assertEqual(proxy.reasons, [])
        self.clock.advance(0.2)
        self.wire.flush()
        self.assertEqual(len(proxy.reasons), 1)
        self.assertEqual(proxy.control.problem, "no answer to a ping")
        self.assertNothingLeft()

    def test_refusedPing(self) -> None:
        """
        A refusal is an answer: the peer lives, and is pinged again.
        """
        proxy, peer = self.raw()
        proxy.control.greeted()
        for count in (1, 2, 3):
            self.clock.advance(limits.CONTROL_PING_INTERVAL)
            self.wire.flush()
            self.assertEqual(len(peer.boxes), count)
            refusal = {b"_error_code": b"Busy", b"_error_description": b"not now"}
            peer.send({b"_error": peer.boxes[-1][b"_ask"], **refusal})
            self.wire.flush()
        self.assertEqual(proxy.reasons, [])

    def test_absurdNews(self) -> None:
        """
        Of an answer that cannot be read nothing is believed, and the pings go on.
        """
        proxy, peer = self.raw()
        heard: list[Any] = []
        proxy.control.greeted(lambda answer, seconds: heard.append(answer["sessions"]))
        whole = {"session": "s", "phase": "\x1b[2J" * 1000, "pid": 1, "stalled": 0, "channels": 1}
        whole |= {"received": 1, "sent": 1, "tunnels": 0, "tunnelsReceived": 0, "tunnelsSent": 0}
        good = commands.Ping.makeResponse({"sessions": [whole]}, None)[b"sessions"]
        for news, count in (
            (b"", 1),
            (b"\xff" * 60_000, 1),
            (good[:-3], 2),
            (good.replace(b"\0\x03pid\0\x011", b"\0\x03pid\0\x01x"), 2),
            (good.replace(b"\0\x03pid\0\x011", b""), 2),
            (good.replace(b"\0\x01s", b"\0\x01\xff"), 2),
            (good, 3),
        ):
            self.clock.advance(limits.CONTROL_PING_INTERVAL)
            self.wire.flush()
            peer.send({b"_answer": peer.boxes[-1][b"_ask"], b"sessions": news})
            self.wire.flush()
            self.assertEqual(len(heard), count, repr(news[:60]))
        self.assertEqual(proxy.reasons, [])
        self.assertEqual(heard[:2], [[], []])
        self.assertNotIn("\x1b", heard[2][0]["phase"])

    def test_waiting(self) -> None:
        """
        It is known for how long an answer is waited for, and who wants to know is told how long
        it took; his bug is no end of the pings.
        """
        proxy, peer = self.raw()
        took: list[float] = []

        def heard(answer: dict[str, Any], seconds: float) -> None:
            took.append(seconds)
            raise ZeroDivisionError

        proxy.control.greeted(heard)
        self.assertEqual(proxy.control.waiting(), 0.0)
        for count in (1, 2):
            self.clock.advance(limits.CONTROL_PING_INTERVAL)
            self.wire.flush()
            self.assertEqual(len(peer.boxes), count)
            self.clock.advance(3)
            self.assertEqual(proxy.control.waiting(), 3.0)
            peer.send({b"_answer": peer.boxes[-1][b"_ask"]})
            self.wire.flush()
            self.assertEqual(proxy.control.waiting(), 0.0)
        self.assertEqual(took, [3.0, 3.0])
        gc.collect()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class EndTests(ControlTestCase):
    """
    How a connection ends.
    """

    def test_close(self) -> None:
        """
        A close that the peer answers is over at once, each end told once.
        """
        proxy, ce = self.pair()
        proxy.control.greeted()
        proxy.control.close()
        proxy.control.close()
        self.wire.flush()
        self.assertEqual((len(proxy.reasons), len(ce.reasons)), (1, 1))
        proxy.reasons[0].trap(ConnectionDone)
        proxy.control.close()
        proxy.control.abort()
        self.assertNothingLeft()

    def test_closeUnanswered(self) -> None:
        """
        A peer that does not answer TLS's goodbye is left after 2 s.
        """
        proxy, _ = self.pair()
        proxy.control.close()
        self.clock.advance(limits.CLOSE_TIMEOUT - 0.1)
        self.assertFalse(self.wire.proxySide.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(self.wire.proxySide.disconnecting)
        self.wire.flush()
        self.assertNothingLeft()

    def test_bugs(self) -> None:
        """
        What nobody handled is logged with the peer's address.
        """
        proxy, _ = self.pair()
        self.assertIsInstance(ControlConnection.log, Logger)
        proxy.control.unhandledError(Failure(ZeroDivisionError("why")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(proxy.control.peer, "192.0.2.7:40001")
