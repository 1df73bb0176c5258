# -*- test-case-name: tests.test_gahpsession -*-
"""
The CE's end of one session: a GAHP's stdio spliced onto its stream, and how both
end.  C{doc/protocol.rst}, step 11.

Layer 4: a reactor is passed in.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rvgahp import frames, limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.cetunnels import CETunnels
from rvgahp.channeldialer import ChannelDialer
from rvgahp.commands import LEASE_OVER
from rvgahp.delayedcalls import DelayedCalls
from rvgahp.errors import StartFailed, StreamBroken
from rvgahp.frames import Frame
from rvgahp.gahpend import GAHPLife
from rvgahp.gahpenvironment import Surroundings
from rvgahp.gahpoutput import GAHPOutput
from rvgahp.gahpprocess import GAHPProcess
from rvgahp.gahprequest import GAHPRequest
from rvgahp.igahp import GAHPCommand
from rvgahp.phase import Phase
from rvgahp.processlauncher import ProcessLauncher
from rvgahp.session import SecuritySession, SessionKeys
from rvgahp.settings import Settings
from rvgahp.stream import Stream
from rvgahp.way import Way

#: Why sessions end when the CE is stopped.
STOPPED = "rvgahp-ce at the site was stopped"


class GAHPSession:
    """
    One GAHP, from StartGAHP until its exit status has been acknowledged.

    @ivar started: fires with C{None} when the program runs; fails with L{StartFailed}.
    @ivar phase: where it is.
    @ivar process: its program; C{output} is what that says.
    @ivar life: how that went, and ended.
    @ivar sessionId: the session's id.
    @ivar log: what it writes is of this session, and says so.
    @ivar keys: the session's, as they are known here.
    @ivar request: what it was started for.
    @ivar tunnels: of the GAHP's connections to the submit host, if it has any.
    @ivar way: to the proxy.
    @ivar makeStream: makes our end of one more stream.
    @ivar carrier: of the GAHP's stream.
    @ivar since: when that was, in seconds since 1970.
    @ivar isAbandoned: the proxy has said that its client is gone.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        request: GAHPRequest,
        session: SecuritySession,
        settings: Settings,
        budget: Budget,
        launcher: ProcessLauncher,
        way: Way,
        tickets: list[bytes],
        over: Callable[[GAHPSession, str], object],
    ) -> None:
        """
        @param request: what it is started for.
        @param tickets: for the stream 0.  B{Secret} until they are used.
        @param over: called once, when nothing is left, with the reason, which is
            empty if all was in good order.
        @raise OSError: no descriptors are left.
        """
        self.log = request.bound(self.log, session.sessionId)
        self.process = GAHPProcess(reactor, launcher, self)
        self._reactor = reactor
        self.sessionId = session.sessionId
        self.keys = SessionKeys(session, reactor.seconds())
        self._settings, self.way = settings, way
        self.request = request
        self._over = over
        self.since = time.time()
        self.phase = Phase.STARTING
        self.started: Deferred[None] = Deferred()
        self.makeStream = partial(Stream, settings.get("RVGAHP_REPLAY_LIMIT"), budget)
        self.carrier = Carrier(reactor, self.makeStream(), self)
        self.tunnels: CETunnels | None = None
        self._dialer = ChannelDialer(
            reactor,
            self.keys,
            self.carrier,
            way,
            lambda: way.openChannel(self.sessionId, 0),
            self._unreachable,
            tickets,
            log=self.log,
        )
        self.output = GAHPOutput(self.carrier)
        self.life = GAHPLife(reactor.seconds)
        self.isAbandoned = self._discarding = self._stdinOver = False
        self._endReason, self._lastOutput = "", 0.0
        self._calls = DelayedCalls(reactor)

    # -- requests -----------------------------------------------------------

    def start(self, command: GAHPCommand, environment: Surroundings) -> None:
        """
        Start the program and dial the first channel.  L{started} tells the end.
        """
        try:
            self.process.start(command, environment)
        except OSError as e:
            self.launchFailed(e.strerror or str(e))
            return
        if self.phase is not Phase.OVER:  # the failure may be known already
            self._dialer.start()

    def signal(self, number: int) -> None:
        """
        Send a signal to the GAHP and to the processes it has started.
        """
        self.process.signal(number)

    def isReachable(self) -> bool:
        """
        @return: whether the submit host is: the proxy is, and of the client something was heard.
        """
        quiet = self._reactor.seconds() - self.carrier.lastHeard
        return self.carrier.isConnected() and quiet < limits.PAUSE_AFTER and self.way.isUp()

    def clientGone(self, reason: str) -> None:
        """
        The proxy says that the client is gone: nobody will read what comes.
        """
        self.isAbandoned = True
        self._lostForGood(reason)

    def kill(self) -> None:
        """
        The CE stops: end the GAHP now, and whatever it has started.
        """
        self.process.signal(signal.SIGKILL)
        self._finish(STOPPED)

    # -- the channel --------------------------------------------------------

    def _unreachable(self, reason: str) -> None:
        """
        There will be no channel, or no more.
        """
        self._lostForGood(f"the site could not open a channel: {reason}")

    def channelOpened(self) -> None:
        self._dialer.opened()
        self.roomMade()

    def channelLost(self, reason: str) -> None:
        if not self._discarding:
            self._dialer.lost(reason)

    def redial(self, generation: int) -> None:
        """
        The client has lost its channel.
        """
        self._dialer.redial(generation)

    def _lostForGood(self, reason: str) -> None:
        if self.phase is Phase.OVER:
            return
        self._discarding = True
        self._dialer.close()
        if self.phase is Phase.EXITED:
            isDone = self.isAbandoned or self.carrier.stream.isAcknowledged()
            self._finish("" if isDone else reason)
        else:
            self.process.stdout.resumeReading()
            self._end(reason)

    def peerSilent(self, seconds: float) -> None:
        lease = self.keys.present.lease
        if seconds >= lease + limits.SITE_LEASE_MORE and not self._discarding:
            self._lostForGood(f"{LEASE_OVER} of {lease} s")

    # -- from the stream ----------------------------------------------------

    def roomMade(self) -> None:
        if self.phase is Phase.OVER:
            return
        if self.carrier.room():
            self.process.stdout.resumeReading()
            self.output.sendStderr()
        if self.output.isComplete and self.carrier.stream.isAcknowledged():
            self._finish("")

    def framesReceived(self, received: list[Frame]) -> None:
        for frame in received:
            if frame.kind == frames.STDIN:
                self.process.put(frame.payload, frame.cost)
            elif frame.kind == frames.END_STDIN:
                self.process.stdin.put(b"", frame.cost)
                self.process.stdin.endWriting()
                self._stdinEnded()
            elif frame.kind == frames.STOP:
                self.carrier.deliver(frame.cost)
                self._end("its client was told to end", "")
            else:
                raise StreamBroken(f"a frame of kind {frame.kind} is not for a CE")

    def stdinDelivered(self, cost: int) -> None:
        if self.phase is not Phase.OVER:
            self.carrier.deliver(cost)

    def _stdinEnded(self) -> None:
        self._stdinOver = True
        self._lastOutput = self._reactor.seconds()
        self._calls.later(self._settings.get("RVGAHP_STDIN_GRACE"), self._checkOutput)

    def _checkOutput(self) -> None:
        """
        Its input has ended: it may finish, for as long as it does something.
        """
        if self.phase not in (Phase.STARTING, Phase.RUNNING):
            return
        if self.phase is Phase.STARTING or not self.carrier.room():
            self._lastOutput = self._reactor.seconds()  # it may be waiting for us
        grace = self._settings.get("RVGAHP_STDIN_GRACE")
        left = self._lastOutput + grace - self._reactor.seconds()
        if left > 0:
            self._calls.later(max(left, 0.01), self._checkOutput)
        else:
            self._end(f"it gave no output for {grace:g} s after its input")

    # -- from the process ---------------------------------------------------

    def launched(self, uid: int) -> None:
        self.life.launched()
        if self.tunnels is not None:
            self.tunnels.owner = uid
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING
        if not self.started.called:
            self.started.callback(None)

    def launchFailed(self, problem: str) -> None:
        self._finish(f"the GAHP could not be started: {problem}")

    def stdoutReceived(self, data: bytes) -> None:
        self._lastOutput = self._reactor.seconds()
        if not self._discarding and not self.output.stdout(data):
            self.process.stdout.pauseReading()

    def stdoutEnded(self) -> None:
        self.output.endStdout()
        self._tellExit()

    def stderrReceived(self, data: bytes) -> None:
        self._lastOutput = self._reactor.seconds()
        if not self._discarding:
            self.output.stderr(data)

    def stderrEnded(self) -> None:
        self.output.endStderr()
        self._tellExit()

    def exited(self, signalled: bool, value: int, why: str = "") -> None:
        if self.phase is Phase.OVER:
            return
        self._endReason = self._endReason or why
        self._lastOutput = self._reactor.seconds()
        end = self.life.exited(signalled, value, why, self.phase, self._stdinOver)
        self.log.info("Session {session}: the GAHP {end}", end=end)
        if self._discarding:
            self._finish(self._endReason)
            return
        self.phase = Phase.EXITED
        self._tellExit()
        if not self.output.isComplete:
            self._calls.later(limits.OUTPUT_GRACE, self._waitNoLonger)

    def _waitNoLonger(self) -> None:
        """
        It has exited, and some child of its own holds its output open.
        """
        if self.phase is not Phase.EXITED or self.output.isComplete:
            return
        blocked = self.output.isStdoutOpen and not self.carrier.room()
        left = self._lastOutput + limits.OUTPUT_GRACE - self._reactor.seconds()
        if blocked or left > 0:
            wait = limits.OUTPUT_GRACE if blocked else max(left, 0.01)
            self._calls.later(wait, self._waitNoLonger)
            return
        self.process.stdout.close()
        self.output.endStdout()
        self.output.endStderr()
        self._tellExit()

    def _tellExit(self) -> None:
        if self.life.exit is not None and not self._discarding:
            self.output.tellExit(*self.life.exit, self._endReason)

    # -- the end ------------------------------------------------------------

    def _end(self, reason: str, told: str | None = None) -> None:
        """
        End the GAHP: close its stdin, then TERM, then KILL.

        @param told: what the client is told with the exit status; C{reason}
            unless given.
        """
        if self.phase not in (Phase.STARTING, Phase.RUNNING):
            return
        self.phase = Phase.ENDING
        self._endReason = reason if told is None else told
        self.log.info("Session {session}: ending the GAHP: {reason}", reason=reason)
        if self.tunnels is not None:
            self.tunnels.letGo()
        self.process.stdin.close()
        self._calls.later(0 if self._stdinOver else limits.ORPHAN_GRACE, self._terminate)

    def _terminate(self) -> None:
        self.process.signal(signal.SIGTERM)
        grace = self._settings.get("RVGAHP_KILL_GRACE")
        self._calls.later(grace, self.process.signal, signal.SIGKILL)

    def _finish(self, reason: str) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        if not self.started.called:
            self.started.errback(StartFailed(reason or "it ended while it was being started"))
        self._calls.cancel()
        if self.tunnels is not None:
            self.tunnels.close("its session is over")
        self._dialer.close()
        self.carrier.close()
        self.process.close()
        self._over(self, reason)
