"""
Tests of L{rvgahp.transferpause}: on a clock, with carriers whose state a test sets.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.logrecord import BoundLogger
from rvgahp.stream import Stream
from rvgahp.transferpause import TransferPause
from tests.channelends import User

STOP, CONTINUE = int(signal.SIGSTOP), int(signal.SIGCONT)


class Tunnel(Carrier):
    """
    A stream with a channel, or without one, as a test wants.
    """

    isUp = True

    def isConnected(self) -> bool:
        return self.isUp

    def hear(self, now: float) -> None:
        """
        A record has come.
        """
        self.lastHeard = now


class PauseTests(SynchronousTestCase):
    """
    Tests of L{TransferPause}.
    """

    def setUp(self) -> None:
        """
        Begin without tunnels.
        """
        self.clock: Any = Clock()
        self.clock.advance(1000)
        self.tunnels: list[Tunnel] = []
        self.signals: list[tuple[int, float]] = []
        self.talking = True
        self.pause = TransferPause(
            self.clock,
            BoundLogger(Logger(), session="s1"),
            lambda: self.tunnels,
            lambda number: self.signals.append((int(number), self.clock.seconds())),
        )

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.pause.close()
        for tunnel in self.tunnels:
            tunnel.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.pause.isStopped)

    def tunnel(self, isUp: bool = True) -> Tunnel:
        """
        @return: one more.
        """
        tunnel = Tunnel(self.clock, Stream(1, Budget(1)), User())
        tunnel.isUp = isUp
        self.tunnels.append(tunnel)
        self.pause.watch()
        return tunnel

    def spend(self, seconds: float, *talking: Tunnel) -> None:
        """
        Let time pass, in which something comes over these tunnels.
        """
        for _ in range(int(seconds * 10)):
            for tunnel in talking:
                tunnel.hear(self.clock.seconds())
            self.clock.advance(0.1)
        for tunnel in talking:
            tunnel.hear(self.clock.seconds())

    def numbers(self) -> list[int]:
        """
        @return: the signals so far.
        """
        return [number for number, _ in self.signals]

    def test_silence(self) -> None:
        """
        After 12 s of silence in one of several tunnels, and not before, the GAHP is
        stopped, once, and in time for its own limit of 20 s.
        """
        quiet, *others = (self.tunnel() for _ in range(3))
        self.spend(100, quiet, *others)
        begin = self.clock.seconds()
        self.spend(limits.PAUSE_AFTER - 0.2, *others)
        self.assertEqual(self.signals, [])
        self.spend(100, *others)
        ((number, when),) = self.signals
        self.assertEqual(number, STOP)
        self.assertLessEqual(when - begin, limits.PAUSE_AFTER + limits.PAUSE_POLL + 0.2)
        self.assertLess(limits.PAUSE_AFTER + limits.PAUSE_POLL, 20 - limits.PING_INTERVAL)
        self.assertTrue(self.pause.isStopped)

    def test_shortBreak(self) -> None:
        """
        Without a channel for less than that, it is not.
        """
        tunnel = self.tunnel()
        for _ in range(10):
            tunnel.isUp = False
            self.spend(limits.PAUSE_AFTER - 1)
            tunnel.isUp = True
            self.spend(1, tunnel)
        self.assertEqual(self.signals, [])

    def test_goesOn(self) -> None:
        """
        It goes on when all tunnels have had their channels for a second, and not while one
        has none.
        """
        tunnels = [self.tunnel() for _ in range(3)]
        for tunnel in tunnels:
            tunnel.isUp = False
        self.spend(30)
        for tunnel in tunnels[1:]:
            tunnel.isUp = True
        self.spend(30, *tunnels[1:])
        self.assertEqual(self.numbers(), [STOP])
        tunnels[0].isUp = True
        begin = self.clock.seconds()
        self.spend(10, *tunnels)
        number, when = self.signals[1]
        self.assertEqual(number, CONTINUE)
        self.assertGreaterEqual(when - begin, limits.PAUSE_END)
        self.assertLessEqual(when - begin, limits.PAUSE_END + 2 * limits.PAUSE_POLL)
        self.spend(100, *tunnels)
        self.assertEqual(self.numbers(), [STOP, CONTINUE])

    def test_flapping(self) -> None:
        """
        A channel that goes within that second, and comes again, has to last for another.
        """
        tunnel = self.tunnel()
        tunnel.isUp = False
        self.spend(30)
        for _ in range(10):
            tunnel.isUp = True
            self.spend(0.7 * limits.PAUSE_END, tunnel)
            tunnel.isUp = False
            self.spend(1.3 * limits.PAUSE_END)
        self.assertEqual(self.numbers(), [STOP])
        tunnel.isUp = True
        self.spend(limits.PAUSE_END + 2 * limits.PAUSE_POLL, tunnel)
        self.assertEqual(self.numbers(), [STOP, CONTINUE])

    def test_again(self) -> None:
        """
        It can be stopped as often as need be.
        """
        tunnel = self.tunnel()
        for count in range(1, 4):
            tunnel.isUp = False
            self.spend(20)
            tunnel.isUp = True
            self.spend(10, tunnel)
            self.assertEqual(self.numbers(), [STOP, CONTINUE] * count)

    def test_first(self) -> None:
        """
        A new tunnel that gets no first channel counts like one that has lost its own.
        """
        old = self.tunnel()
        self.spend(100, old)
        new = self.tunnel(isUp=False)
        self.spend(limits.PAUSE_AFTER - 0.2, old)
        self.assertEqual(self.signals, [])
        self.spend(limits.PAUSE_POLL + 0.4, old)
        self.assertEqual(self.numbers(), [STOP])
        new.isUp = True
        self.spend(10, old, new)
        self.assertEqual(self.numbers(), [STOP, CONTINUE])

    def test_tunnelEnds(self) -> None:
        """
        When the tunnel for which it was stopped ends, it goes on; with the last tunnel it
        is looked at no more.
        """
        first, second = self.tunnel(), self.tunnel()
        self.spend(30, second)
        self.tunnels.remove(first)
        first.close()
        self.spend(3, second)
        self.assertEqual(self.numbers(), [STOP, CONTINUE])
        self.spend(30)
        self.assertEqual(self.numbers()[2:], [STOP])
        self.tunnels.remove(second)
        second.close()
        self.spend(3)
        self.assertEqual(self.numbers()[2:], [STOP, CONTINUE])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_none(self) -> None:
        """
        Without tunnels there is nothing to do; when there is one again, there is.
        """
        self.pause.watch()
        self.spend(3)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.tunnel()
        self.spend(30)
        self.assertEqual(self.numbers(), [STOP])

    def test_closed(self) -> None:
        """
        A GAHP that is to end while it is stopped goes on first, and is not stopped again.
        """
        for isStopped in (False, True):
            self.signals.clear()
            self.tunnel()
            self.spend(30 if isStopped else 1)
            self.pause.close()
            self.pause.close()
            self.tunnel()
            self.spend(100)
            self.assertEqual(self.numbers(), [STOP, CONTINUE] if isStopped else [])
            for tunnel in self.tunnels:
                tunnel.close()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.tunnels.clear()
            self.pause = TransferPause(
                self.clock,
                BoundLogger(Logger(), session="s1"),
                lambda: self.tunnels,
                lambda number: self.signals.append((int(number), self.clock.seconds())),
            )

    def test_log(self) -> None:
        """
        Both are in the log, with the session, each once.
        """
        tunnel = self.tunnel()
        with capturedLogs() as logs:
            tunnel.isUp = False
            self.spend(60)
            tunnel.isUp = True
            self.spend(60, tunnel)
        self.assertEqual([event["session"] for event in logs], ["s1", "s1"])
        self.assertEqual([event["log_level"].name for event in logs], ["warn", "info"])
