"""
Tests of L{rvgahp.splice}: both ends of a tunnel in one loop, with a real TCP connection at
each, and a channel between them.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frames, limits, tunnellimits
from rvgahp.budget import ASSURED_BYTES, Budget
from rvgahp.channel import AnsweringChannel, DialingChannel
from rvgahp.session import SessionKeys
from rvgahp.splice import Splice
from rvgahp.stream import Stream
from tests.channelends import Ends, Way
from tests.loops import Polled, Twisted
from tests.steppedloop import descriptorCount
from tests.tcpends import Program, connectionPair

CE, CLIENT = 0, 1

#: Kinds of frames that have nothing in them.
ENDS = (frames.END_STDIN, frames.END_STDOUT, frames.END_STDERR)

BROKE = "the tunnelled connection broke: Connection reset by peer"


OVER = "it is over at the other end"


class WaitingSplice(Splice):
    """
    One end of a tunnel, which says when it wants another channel.
    """

    wants: Callable[[str], object]

    def withoutChannel(self, reason: str) -> None:
        self.wants(reason)


class Tunnel(Ends):
    """
    Both ends of one tunnel.  A channel that breaks is followed by another after a moment, as
    the CE's dials and the client's words have it.

    @ivar splices: that of the CE and that of the client.
    @ivar waits: for each end, the reasons for which it wanted another channel.
    @ivar isReachable: whether another can be had.
    @ivar ways: to the client and to the CE, if there is a relay.
    @ivar programs: the one that has connected at the site, and the one that it means.
    @ivar overs: for each end, the reasons with which it was over.
    """

    def __init__(self, window: int = 1 << 20, buffer: int = 0, loop: Any = None) -> None:
        super().__init__()
        super().close()  # its carriers have other users
        if loop is not None:
            self.loop = loop
            self.keys = SessionKeys(self.session, loop.seconds())
        self.overs: tuple[list[str], list[str]] = ([], [])
        self.waits: tuple[list[str], list[str]] = ([], [])
        self.isReachable = True
        self.ways: tuple[Way, Way] | None = None
        self._resuming: Any = None
        self.budgets = Budget(1 << 40), Budget(1 << 40)
        self.splices = tuple(
            WaitingSplice(
                self.loop,
                Stream(window, budget),
                number == CE,
                lambda splice, reason, overs=overs: overs.append(reason),  # type: ignore[misc]
            )
            for number, (budget, overs) in enumerate(zip(self.budgets, self.overs, strict=True))
        )
        self.ce, self.client = (splice.carrier for splice in self.splices)
        self.programs: list[Program] = []
        for splice, waits in zip(self.splices, self.waits, strict=True):
            ours, theirs = connectionPair(buffer)
            self.programs.append(Program(theirs))
            splice.wants = partial(self._wanted, waits)
            splice.splice(ours)

    def _wanted(self, waits: list[str], reason: str) -> None:
        waits.append(reason)
        if self._resuming is None:
            self._resuming = self.loop.callLater(limits.REDIAL_FIRST, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        waiting = [
            splice
            for splice, overs in zip(self.splices, self.overs, strict=True)
            if not (overs or splice.carrier.isConnected())
        ]
        if all(self.overs) or not waiting:
            return
        if any(self.overs):
            for splice in waiting:
                splice.forgotten(OVER)
        elif self.ce.isConnected():
            self.ce.drop("its other end has lost it")
        elif self.isReachable:
            self.makeRelay()

    def makeRelay(self) -> tuple[Way, Way]:
        """
        Make a channel through a relay.

        @return: the ways to the client and to the CE.
        """
        *_, toClient, toCE = self.relayed()
        self.ways = toClient, toCE
        return self.ways

    def reach(self) -> None:
        """
        The network is there again.
        """
        self.isReachable = True
        self._resume()

    def readAll(self) -> None:
        """
        Have both programs read until nothing comes.
        """
        self.loop.settle()
        while sum(program.read() for program in self.programs):
            self.loop.settle()

    def close(self) -> None:
        """
        All goes.
        """
        if self._resuming is not None:
            self._resuming.cancel()
        for splice in self.splices:
            splice.close("the test is over")
        for program in self.programs:
            program.close()
        super().close()


class SpliceTestCase(SynchronousTestCase):
    """
    Tests with tunnels, of which nothing may be left.
    """

    def setUp(self) -> None:
        """
        Count what is there.
        """
        self.before = descriptorCount()
        self.tunnels: list[Tunnel] = []

    def tearDown(self) -> None:
        """
        All go.
        """
        for tunnel in self.tunnels:
            tunnel.close()
            tunnel.loop.settle()
            self.assertNothingLeft(tunnel)
            self.assertEqual([len(overs) for overs in tunnel.overs], [1, 1])
        self.assertEqual(descriptorCount(), self.before)

    def assertNothingLeft(self, tunnel: Tunnel) -> None:
        """
        No delayed call, nobody in the loop, and no bytes.
        """
        tunnel.loop.settle()
        self.assertEqual(tunnel.loop.getDelayedCalls(), [])
        self.assertEqual((tunnel.loop.readers, tunnel.loop.writers), ({}, {}))
        self.assertEqual([budget.held for budget in tunnel.budgets], [0, 0])

    def make(self, window: int = 1 << 20, buffer: int = 0) -> Tunnel:
        """
        @return: a tunnel without a channel.
        """
        tunnel = Tunnel(window, buffer)
        self.tunnels.append(tunnel)
        return tunnel

    def open(self, window: int = 1 << 20, buffer: int = 0) -> Tunnel:
        """
        @return: one with a channel.
        """
        tunnel = self.make(window, buffer)
        self.channels: tuple[DialingChannel, AnsweringChannel] = tunnel.connect()
        tunnel.loop.settle()
        return tunnel

    def relayed(self) -> tuple[Tunnel, Way, Way]:
        """
        @return: one with a relay, and the ways to the client and to the CE.
        """
        tunnel = self.make()
        toClient, toCE = tunnel.makeRelay()
        tunnel.loop.settle()
        return tunnel, toClient, toCE

    def assertOver(self, tunnel: Tunnel, ce: str = "", client: str = "") -> None:
        """
        Both ends are over, for these reasons.
        """
        self.assertEqual(tunnel.overs, ([ce], [client]))

    def assertReset(self, tunnel: Tunnel, *which: int) -> None:
        """
        These programs hear that it was no end in good order.
        """
        for number in which:
            program = tunnel.programs[number]
            program.read()
            self.assertEqual(program.end, "reset")


class CarriedTests(SpliceTestCase):
    """
    What is carried, and its end.
    """

    def test_bothWays(self) -> None:
        """
        Bytes of both directions at once come out as they went in, and are counted.
        """
        tunnel = self.open()
        there, back = os.urandom(300_000), os.urandom(200_001)
        for program, data in zip(tunnel.programs, (there, back), strict=True):
            self.assertEqual(program.write(data), len(data))
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].came, there)
        self.assertEqual(tunnel.programs[CE].came, back)
        ce, client = tunnel.splices
        self.assertEqual((ce.sent, ce.received), (len(there), len(back)))
        self.assertEqual((client.sent, client.received), (len(back), len(there)))

    def test_beforeTheChannel(self) -> None:
        """
        What is written before there is a channel stays with the kernel, and is carried
        then, with the end behind it.
        """
        tunnel = self.make()
        for program in tunnel.programs:
            program.write(b"early")
            program.finish()
        tunnel.loop.settle()
        self.assertEqual([splice.sent for splice in tunnel.splices], [0, 0])
        tunnel.connect()
        tunnel.readAll()
        for program in tunnel.programs:
            self.assertEqual((program.came, program.end), (b"early", "eof"))
        self.assertOver(tunnel)

    def test_halfClose(self) -> None:
        """
        Each direction ends for itself, behind its last byte, and the other goes on; with
        both the tunnel is over, without any delay, and nothing is left of it.
        """
        for first in (CE, CLIENT):
            tunnel = self.open()
            near, far = tunnel.programs[first], tunnel.programs[1 - first]
            near.write(b"the last word")
            near.finish()
            tunnel.readAll()
            self.assertEqual((far.came, far.end), (b"the last word", "eof"))
            tunnel.loop.spend(1000)
            self.assertEqual((near.end, tunnel.overs), ("", ([], [])))
            far.write(b"still here")
            tunnel.readAll()
            self.assertEqual((near.came, near.end), (b"still here", ""))
            far.finish()
            now = tunnel.loop.seconds()
            tunnel.readAll()
            self.assertEqual(near.end, "eof")
            self.assertOver(tunnel)
            self.assertEqual(tunnel.loop.seconds(), now)
            self.assertNothingLeft(tunnel)

    def test_nothing(self) -> None:
        """
        A tunnel through which nothing goes ends in good order, too.
        """
        tunnel = self.open()
        for program in tunnel.programs:
            program.finish()
        tunnel.readAll()
        self.assertOver(tunnel)
        self.assertEqual([program.end for program in tunnel.programs], ["eof", "eof"])

    def test_waitsForTheOther(self) -> None:
        """
        An end is not over before the other has acknowledged its last byte.
        """
        tunnel, toClient, toCE = self.relayed()
        toCE.hold()
        for program in tunnel.programs:
            program.write(b"x")
            program.finish()
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].end, "eof")
        self.assertEqual((tunnel.programs[CE].end, tunnel.overs), ("", ([], [])))
        toClient.hold()
        toCE.resume()
        tunnel.readAll()
        # Now the CE has all, and the client does not know it.
        self.assertEqual(tunnel.programs[CE].end, "eof")
        self.assertEqual(tunnel.overs[CLIENT], [])
        toClient.resume()
        tunnel.readAll()
        self.assertOver(tunnel)

    def test_waitsForTheSink(self) -> None:
        """
        An end is not over before its program can have all: what the kernel has not taken
        is not acknowledged.
        """
        tunnel = self.open(buffer=8192)
        data = os.urandom(500_000)
        rest = tunnel.programs[CE].write(data)
        while rest < len(data):
            tunnel.loop.settle()
            taken = tunnel.programs[CE].write(data[rest:])
            self.assertTrue(taken)
            rest += taken
        for program in tunnel.programs:
            program.finish()
        tunnel.loop.spend(100)
        self.assertEqual(tunnel.overs, ([], []))
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].came, data)
        self.assertOver(tunnel)

    def test_idle(self) -> None:
        """
        A tunnel may say nothing for as long as it likes.
        """
        tunnel = self.open()
        tunnel.loop.spend(4000)
        tunnel.programs[CE].write(b"good morning")
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].came, b"good morning")

    def test_newChannel(self) -> None:
        """
        A newer channel takes the place of the present one, and nobody notices.
        """
        tunnel = self.open()
        tunnel.programs[CE].write(b"one ")
        tunnel.loop.settle()
        tunnel.connect()
        tunnel.loop.settle()
        tunnel.programs[CE].write(b"two")
        tunnel.programs[CE].finish()
        tunnel.programs[CLIENT].finish()
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].came, b"one two")
        self.assertOver(tunnel)


class FailureTests(SpliceTestCase):
    """
    What breaks, and who hears of it.
    """

    def test_reset(self) -> None:
        """
        A connection that is reset is reset at the other end, too, at once; each end has
        the reason, and nothing is left.
        """
        for first in (CE, CLIENT):
            tunnel = self.open()
            tunnel.programs[first].reset()
            tunnel.loop.settle()
            reasons = [BROKE, f"its other end failed: {BROKE}"]
            self.assertOver(tunnel, *(reasons if first == CE else reversed(reasons)))
            self.assertReset(tunnel, 1 - first)
            self.assertNothingLeft(tunnel)

    def test_failed(self) -> None:
        """
        An end that gives up says why, and both connections are reset, after what was
        carried before.
        """
        for first in (CE, CLIENT):
            tunnel = self.open()
            tunnel.programs[first].write(b"before")
            tunnel.loop.settle()
            tunnel.splices[first].fail("there is no way on; größer")
            tunnel.splices[first].fail("again")
            tunnel.loop.settle()
            reasons = [
                "there is no way on; größer",
                "its other end failed: there is no way on; größer",
            ]
            self.assertOver(tunnel, *(reasons if first == CE else reversed(reasons)))
            self.assertReset(tunnel, CE, CLIENT)
            self.assertNothingLeft(tunnel)

    def test_bothFail(self) -> None:
        """
        Ends that fail at the same time are both over, with a reason, and once.
        """
        tunnel = self.open()
        for program in tunnel.programs:
            program.reset()
        tunnel.loop.settle()
        self.assertTrue(all(BROKE in reason for (reason,) in tunnel.overs))

    def test_withoutChannel(self) -> None:
        """
        With nobody to be told it is over at once.
        """
        tunnel = self.make()
        tunnel.splices[CE].fail("no way")
        self.assertEqual(tunnel.overs, (["no way"], []))
        self.assertReset(tunnel, CE)

    def test_unheard(self) -> None:
        """
        An end that has failed waits 10 s for the other to say that it has heard.
        """
        tunnel, toClient, _ = self.relayed()
        toClient.hold()
        tunnel.splices[CE].fail("no way")
        tunnel.loop.spend(tunnellimits.END_TIMEOUT - 0.1)
        self.assertEqual(tunnel.overs, ([], []))
        self.assertReset(tunnel, CE)
        tunnel.loop.spend(0.2)
        self.assertEqual(tunnel.overs, (["no way"], []))
        toClient.resume()
        tunnel.loop.settle()
        self.assertOver(tunnel, "no way", "its other end failed: no way")

    def test_neverRead(self) -> None:
        """
        The same where the word waits behind bytes that the other program does not read.
        """
        tunnel = self.open(buffer=8192)
        data = bytes(1 << 20)
        while tunnel.programs[CE].write(data):
            tunnel.loop.settle()
        tunnel.programs[CE].reset()
        tunnel.loop.spend(tunnellimits.END_TIMEOUT + 1)
        for reason, *others in tunnel.overs:
            self.assertIn(BROKE, reason)
            self.assertEqual(others, [])
        self.assertReset(tunnel, CLIENT)

    def test_lostBytes(self) -> None:
        """
        It is no end in good order if the connection breaks behind both ends, and before
        its last bytes are written.
        """
        tunnel = self.open(buffer=8192)
        tunnel.programs[CLIENT].finish()
        tunnel.programs[CE].write(bytes(400_000))
        tunnel.loop.settle()
        tunnel.programs[CE].write(bytes(400_000))
        tunnel.programs[CE].finish()
        tunnel.loop.settle()
        self.assertEqual(tunnel.overs, ([], []))
        tunnel.programs[CLIENT].reset()
        tunnel.loop.settle()
        for reason, *others in tunnel.overs:
            self.assertIn("the tunnelled connection broke", reason)
            self.assertEqual(others, [])

    def test_wrongFrames(self) -> None:
        """
        A frame that is not for this end, of a GAHP or of the other direction, ends the
        tunnel: another channel would not mend it.
        """
        both = (frames.STDERR, frames.END_STDERR, frames.EXIT, frames.STOP)
        wrong = [(CE, kind) for kind in (*both, frames.STDIN, frames.END_STDIN)] + [
            (CLIENT, kind) for kind in (*both, frames.STDOUT, frames.END_STDOUT)
        ]
        for sender, kind in wrong:
            tunnel = self.open()
            payload = b"" if kind in ENDS else b"\0\0"[: 1 + (kind == frames.EXIT)]
            tunnel.splices[sender].carrier.send(kind, payload)
            tunnel.loop.spend(1)
            reason = f"a frame of kind {kind} is not for a tunnel"
            self.assertEqual((tunnel.overs[1 - sender], tunnel.overs[sender]), ([reason], [OVER]))
            self.assertReset(tunnel, CE, CLIENT)

    def test_ignoredFrames(self) -> None:
        """
        A frame that may mean something one day is nothing.
        """
        tunnel = self.open()
        tunnel.splices[CE].carrier.send(frames.FIRST_IGNORED, b"what is this")
        tunnel.programs[CE].write(b"x")
        tunnel.readAll()
        self.assertEqual(tunnel.programs[CLIENT].came, b"x")

    def test_unprintable(self) -> None:
        """
        What the other end says of its failure cannot play tricks with who reads it in a
        log, whatever bytes it has.
        """
        tunnel = self.open()
        tunnel.splices[CLIENT].carrier.send(frames.FAILED, b"a\x1b[2J\nCE: all is well\xff")
        tunnel.loop.settle()
        (reason,) = tunnel.overs[CE]
        self.assertTrue(reason.isprintable(), reason)
        self.assertIn("CE: all is well", reason)

    def test_longSentence(self) -> None:
        """
        A sentence that is too long for its frame is cut, be it within a character.
        """
        tunnel = self.open()
        tunnel.splices[CE].fail("x" + "ü" * 5000)
        tunnel.loop.settle()
        (reason,) = tunnel.overs[CLIENT]
        self.assertLess(len(reason), limits.CONTROL_FRAME_BYTES)
        self.assertIn("xüüü", reason)


class ResumptionTests(SpliceTestCase):
    """
    Channels that break.
    """

    def cut(self, tunnel: Tunnel, victim: int = CE) -> None:
        """
        The channel breaks; one end notices first.
        """
        tunnel.splices[victim].carrier.drop("cut")
        tunnel.loop.settle()

    def assertCarried(self, tunnel: Tunnel, ce: bytes, client: bytes) -> None:
        """
        Both programs have got just these bytes in all.
        """
        tunnel.readAll()
        self.assertEqual((tunnel.programs[CE].came, tunnel.programs[CLIENT].came), (ce, client))

    def test_resumed(self) -> None:
        """
        With the next channel the bytes go on where they were, both ways, whoever noticed;
        meanwhile the programs hear nothing of it.
        """
        for victim in (CE, CLIENT):
            tunnel = self.open()
            there, back = b"", b""
            for count in range(1, 5):
                there += bytes([count]) * 50_000
                back += bytes([count]) * 30_000
                tunnel.programs[CE].write(there[-50_000:])
                tunnel.programs[CLIENT].write(back[-30_000:])
                for _ in range(count):
                    tunnel.loop.turn()
                self.cut(tunnel, victim)
                self.assertEqual([program.end for program in tunnel.programs], ["", ""])
                tunnel.loop.spend(1)
                self.assertEqual(tunnel.client.generation, count + 1)
            self.assertCarried(tunnel, back, there)
            self.assertEqual([len(waits) for waits in tunnel.waits], [4, 4])
            for program in tunnel.programs:
                program.finish()
            tunnel.readAll()
            self.assertOver(tunnel)
            self.assertEqual([program.end for program in tunnel.programs], ["eof", "eof"])

    def test_spoilt(self) -> None:
        """
        The same where a byte on the way is altered, whichever it is.
        """
        for at in (0, 20, 100, 5000):
            tunnel, toClient, _ = self.relayed()
            toClient.flipAt = toClient.carried + at
            tunnel.programs[CE].write(b"hello" * 2000)
            tunnel.loop.spend(1)
            self.assertCarried(tunnel, b"", b"hello" * 2000)
            self.assertEqual(len(tunnel.waits[CLIENT]), 1)

    def test_away(self) -> None:
        """
        While there is no channel, what the programs write is taken as far as there is
        room, and their ends are kept; then all comes, and it is an end in good order.
        """
        tunnel = self.open(1 << 18)
        tunnel.isReachable = False
        self.cut(tunnel)
        data = [Random(number).randbytes(1 << 20) for number in (CE, CLIENT)]
        sent = [0, 0]
        for _ in range(20):
            for number, program in enumerate(tunnel.programs):
                sent[number] += program.write(data[number][sent[number] :])
            tunnel.loop.spend(10)
        for splice, budget in zip(tunnel.splices, tunnel.budgets, strict=True):
            self.assertLessEqual(budget.held - ASSURED_BYTES, (1 << 18) + limits.READ_BYTES + 8)
            self.assertGreater(splice.sent, 100_000)
        tunnel.reach()
        while sent != [len(one) for one in data]:
            tunnel.readAll()
            for number, program in enumerate(tunnel.programs):
                sent[number] += program.write(data[number][sent[number] :])
        for program in tunnel.programs:
            program.finish()
        self.assertCarried(tunnel, data[CLIENT], data[CE])
        self.assertOver(tunnel)

    def test_states(self) -> None:
        """
        In each state: after a cut all is carried, and it ends in good order.
        """

        def fresh(tunnel: Tunnel) -> None:
            pass

        def talking(tunnel: Tunnel) -> None:
            for program in tunnel.programs:
                program.write(b"word")

        def half(tunnel: Tunnel) -> None:
            talking(tunnel)
            tunnel.programs[CE].finish()

        def otherHalf(tunnel: Tunnel) -> None:
            talking(tunnel)
            tunnel.programs[CLIENT].finish()

        def both(tunnel: Tunnel) -> None:
            half(tunnel)
            tunnel.programs[CLIENT].finish()

        for deed in (fresh, talking, half, otherHalf, both):
            for turns in range(9):
                for victim in (CE, CLIENT):
                    tunnel = self.open()
                    deed(tunnel)
                    for _ in range(turns):
                        tunnel.loop.turn()
                    self.cut(tunnel, victim)
                    tunnel.loop.spend(1)
                    tunnel.readAll()
                    for program in tunnel.programs:
                        try:
                            program.finish()
                        except OSError:
                            pass  # it is over already
                    tunnel.loop.spend(1)
                    tunnel.readAll()
                    word = b"" if deed is fresh else b"word"
                    self.assertCarried(tunnel, word, word)
                    self.assertOver(tunnel)

    def forget(self, tunnel: Tunnel, which: int) -> None:
        """
        There is no channel, and the other end has forgotten it.
        """
        tunnel.isReachable = False
        self.cut(tunnel)
        tunnel.splices[which].forgotten(OVER)
        tunnel.splices[which].forgotten("again")
        tunnel.loop.settle()

    def test_forgotten(self) -> None:
        """
        If the other end has forgotten it before both directions have ended, it is over, and
        not in good order.
        """

        def fresh(tunnel: Tunnel, which: int) -> None:
            pass

        def ended(tunnel: Tunnel, which: int) -> None:
            tunnel.programs[which].finish()

        def peerEnded(tunnel: Tunnel, which: int) -> None:
            tunnel.programs[1 - which].finish()

        for deed in (fresh, ended, peerEnded):
            for which in (CE, CLIENT):
                tunnel = self.open()
                tunnel.programs[1 - which].write(b"all of it")
                deed(tunnel, which)
                tunnel.loop.settle()
                self.forget(tunnel, which)
                self.assertEqual(tunnel.overs[which], [OVER], deed)
                if deed is not peerEnded:  # else it has had an end before
                    self.assertReset(tunnel, which)

    def test_forgottenAtTheEnd(self) -> None:
        """
        If all was carried, and only our last word about that was lost, it is an end in good
        order.
        """
        for which in (CE, CLIENT):
            tunnel, *ways = self.relayed()
            for program in tunnel.programs:
                program.write(b"all of it")
                program.finish()
            ways[which].hold()  # our acknowledgements
            tunnel.loop.settle()
            self.assertFalse(tunnel.overs[1 - which])
            ways[which].resume()
            self.forget(tunnel, which)
            tunnel.readAll()
            self.assertEqual(tunnel.overs[which], [""])
            self.assertEqual(
                (tunnel.programs[which].came, tunnel.programs[which].end), (b"all of it", "eof")
            )

    def test_forgottenInTheMiddle(self) -> None:
        """
        If bytes still wait for the program then, it is none, though both have ended: the
        other end has failed.
        """
        for which in (CE, CLIENT):
            tunnel = self.open(buffer=8192)
            tunnel.programs[which].finish()
            tunnel.programs[1 - which].write(bytes(400_000))
            tunnel.loop.settle()
            tunnel.programs[1 - which].write(bytes(400_000))
            tunnel.programs[1 - which].finish()
            tunnel.loop.settle()
            self.assertTrue(tunnel.splices[which]._hasEnded())
            self.assertTrue(tunnel.splices[which].carrier.stream.undelivered())
            self.forget(tunnel, which)
            self.assertEqual(tunnel.overs[which], [OVER])
            tunnel.programs[which].readOn()
            self.assertEqual(tunnel.programs[which].end, "reset")

    def test_failedWhileAway(self) -> None:
        """
        An end that fails while there is no channel says so over the next one, if there is
        one soon; if not, the other end learns it when it asks.
        """
        for isSoon in (True, False):
            tunnel = self.open()
            tunnel.isReachable = False
            self.cut(tunnel)
            tunnel.programs[CE].reset()
            tunnel.loop.spend(1 if isSoon else tunnellimits.END_TIMEOUT + 1)
            tunnel.reach()
            tunnel.loop.spend(1)
            self.assertOver(tunnel, BROKE, f"its other end failed: {BROKE}" if isSoon else OVER)
            self.assertReset(tunnel, CLIENT)

    def test_failedAndCut(self) -> None:
        """
        If the channel breaks while the word of a failure is on its way, the end that failed
        is over, and the other learns it when it asks.
        """
        tunnel, toClient, _ = self.relayed()
        toClient.hold()
        tunnel.splices[CE].fail("no way")
        self.cut(tunnel)
        toClient.resume()
        tunnel.loop.spend(1)
        self.assertEqual(tunnel.overs[CE], ["no way"])
        self.assertIn(tunnel.overs[CLIENT], ([OVER], ["its other end failed: no way"]))
        self.assertReset(tunnel, CE, CLIENT)


class CloseTests(SpliceTestCase):
    """
    The end of the session.
    """

    def test_states(self) -> None:
        """
        A tunnel can be closed in each state, is then over, once and for the reason given,
        and its connection is reset; what comes afterwards does nothing.
        """

        def running(tunnel: Tunnel) -> None:
            tunnel.programs[CE].write(b"x")

        def ending(tunnel: Tunnel) -> None:
            tunnel.programs[CE].finish()

        def failing(tunnel: Tunnel) -> None:
            tunnel.splices[CE].carrier.send(frames.STDOUT, bytes(200_000))
            tunnel.programs[CE].reset()

        for deed in (running, ending, failing):
            for turns in range(4):
                tunnel = self.open()
                deed(tunnel)
                for _ in range(turns):
                    tunnel.loop.turn()
                alreadyOver = bool(tunnel.overs[CE])
                tunnel.splices[CE].close("closed")
                tunnel.splices[CE].close("again")
                tunnel.splices[CE].fail("late")
                tunnel.splices[CE].roomMade()
                tunnel.splices[CE].delivered(0)
                tunnel.splices[CE].channelLost("late")
                tunnel.loop.spend(100)
                if not alreadyOver:
                    self.assertEqual(tunnel.overs[CE], ["closed"])
                self.assertEqual([len(overs) for overs in tunnel.overs], [1, 1])
                self.assertNothingLeft(tunnel)

    def test_withoutAnything(self) -> None:
        """
        One that has neither connection nor channel can be closed.
        """
        overs: list[str] = []
        ends = Ends()
        ends.close()
        splice = Splice(
            ends.loop, Stream(1000, Budget(1000)), True, lambda _, reason: overs.append(reason)
        )
        splice.close("nothing")
        self.assertEqual((overs, ends.loop.getDelayedCalls()), (["nothing"], []))


class PressureTests(SpliceTestCase):
    """
    A program that does not read.
    """

    def test_stops(self) -> None:
        """
        It stops the other program, and no more than the window and one read is held; the
        other direction goes on; when it reads again, all comes.
        """
        window = 1 << 18
        for slow in (CE, CLIENT):
            tunnel = self.open(window, 8192)
            fast = 1 - slow
            data = Random(slow).randbytes(4 << 20)
            sent = 0
            while True:
                taken = tunnel.programs[fast].write(data[sent:])
                tunnel.loop.spend(1)
                if not taken:
                    break
                sent += taken
            self.assertLess(sent, len(data) // 2)
            held = tunnel.splices[slow].carrier.stream.undelivered()
            self.assertLessEqual(held, window)
            self.assertGreater(held, window // 2)
            kept = tunnel.budgets[fast].held - ASSURED_BYTES
            self.assertLessEqual(kept, window + limits.READ_BYTES + 8)
            tunnel.programs[slow].write(b"and back")
            tunnel.loop.settle()
            tunnel.programs[fast].read()
            self.assertEqual(tunnel.programs[fast].came, b"and back")
            while sent < len(data):
                tunnel.readAll()
                sent += tunnel.programs[fast].write(data[sent:])
            tunnel.programs[fast].finish()
            tunnel.readAll()
            self.assertEqual(tunnel.programs[slow].came, data)
            self.assertEqual(tunnel.programs[slow].end, "eof")

    def test_goneMeanwhile(self) -> None:
        """
        A program that breaks while the other one has been stopped ends the tunnel.
        """
        tunnel = self.open(1 << 18, 8192)
        while tunnel.programs[CE].write(bytes(1 << 20)):
            tunnel.loop.settle()
        tunnel.programs[CLIENT].reset()
        tunnel.loop.spend(tunnellimits.END_TIMEOUT + 1)
        for reason, *others in tunnel.overs:
            self.assertIn("the tunnelled connection broke", reason)
            self.assertEqual(others, [])


class OrderTests(SpliceTestCase):
    """
    Events in every order.
    """

    def _deeds(self, tunnel: Tunnel, random: Random) -> list[Any]:
        ends = list(zip(tunnel.splices, tunnel.programs, strict=True))

        def way(deed: Callable[[Way], object]) -> Callable[[], object]:
            return lambda: deed(random.choice(tunnel.ways or ()))

        def write(program: Program) -> None:
            size = random.choice((1, 1000, 300_000))
            data = random.randbytes(size)
            self.sent[id(program)] += data[: program.write(data)]

        calm: list[Any] = [tunnel.loop.turn] * 20
        for _, program in ends:
            calm += [partial(write, program)] * 4
            calm += [program.read] * 4
            calm += [program.finish]
        rough: list[Any] = [lambda: tunnel.loop.spend(random.choice((0.2, 5, 20)))]
        rough += [
            way(Way.end),
            way(lambda one: setattr(one, "cutAt", one.carried + random.randrange(400))),
        ]
        rough += [splice.roomMade for splice in tunnel.splices]
        self.mustBeGood = random.randrange(2) == 0
        for splice, program in ends:
            if not self.mustBeGood:
                rough += [
                    program.reset,
                    program.close,
                    partial(splice.fail, "no way"),
                    partial(splice.close, "enough"),
                ]
        return calm + [random.choice(rough) for _ in range(random.randrange(6))]

    def test_any(self) -> None:
        """
        Whatever happens to a tunnel in whatever order, nothing is raised, each end is over
        once in the end, and if both say that it was in good order, all has been carried.
        That they do say if nothing has broken but channels.
        """
        seed = int.from_bytes(os.urandom(4), "big")
        goods = 0
        for number in range(seed, seed + 150):
            random = Random(number)
            tunnel = Tunnel(1 << random.choice((12, 18)), random.choice((0, 8192)))
            self.sent = {id(program): bytearray() for program in tunnel.programs}
            try:
                goods += self._live(tunnel, random)
            except BaseException:
                print(f"seed {number}")
                raise
            finally:
                tunnel.close()
                tunnel.loop.settle()
            self.assertEqual(tunnel.loop.getDelayedCalls(), [], number)
        self.assertGreater(goods, 60)

    def _live(self, tunnel: Tunnel, random: Random) -> bool:
        tunnel.makeRelay()
        if random.randrange(4):
            tunnel.loop.settle()
        deeds = self._deeds(tunnel, random)
        random.shuffle(deeds)
        for deed in deeds:
            try:
                deed()
            except OSError:
                pass  # a program that has gone does nothing more
        for program in tunnel.programs:
            if program.connection.fileno() >= 0:
                try:
                    program.finish()
                except OSError:
                    pass
        self._read(tunnel)
        end = time.monotonic() + 10
        while not all(tunnel.overs) and time.monotonic() < end:
            # Where windows are small, the kernel takes its own time.
            open_ = [one.connection for one in tunnel.programs if one.connection.fileno() >= 0]
            select.select(open_, [], [], 0.3)
            self._read(tunnel)
        self.assertEqual([len(overs) for overs in tunnel.overs], [1, 1], tunnel.overs)
        if tunnel.overs != ([""], [""]):
            self.assertFalse(self.mustBeGood, tunnel.overs)
            return False
        for near, far in ((CE, CLIENT), (CLIENT, CE)):
            program = tunnel.programs[far]
            if program.connection.fileno() >= 0:
                program.readOn()
                self.assertEqual(program.came, self.sent[id(tunnel.programs[near])])
                self.assertEqual(program.end, "eof")
        return True

    @staticmethod
    def _read(tunnel: Tunnel) -> None:
        for _ in range(20):
            tunnel.loop.spend(5)
            for program in tunnel.programs:
                if program.connection.fileno() >= 0:
                    program.read()


class LoopTests(SynchronousTestCase):
    """
    The same in the loops of client and CE.
    """

    def test_reset(self) -> None:
        """
        Bytes, half-close, reset: in the client's loop and in Twisted's.
        """
        for kind in (Polled, Twisted):
            driver = kind()
            tunnel = Tunnel(loop=driver.loop)
            tunnel.connect()
            tunnel.programs[CE].write(b"x")
            tunnel.programs[CE].finish()
            far = tunnel.programs[CLIENT]
            driver.until(lambda: (far.read(), far.end)[1])  # noqa: B023  # called at once
            self.assertEqual((far.came, far.end), (b"x", "eof"))
            far.reset()
            tunnel.splices[CE].carrier.send(frames.STDOUT, b"y")
            driver.until(lambda: all(tunnel.overs))  # noqa: B023
            for (reason,) in tunnel.overs:
                self.assertIn("the tunnelled connection broke", reason)
            tunnel.close()
            driver.settle()
            driver.close()
