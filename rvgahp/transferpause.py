# -*- test-case-name: tests.test_transferpause -*-
"""
Stops a GAHP whose transfers cannot go on, and lets it go on when they can.

Layer 4: a reactor is passed in.  C{condor_ft-gahp} gives a transfer up after 30 s without
a byte (C{clientSockTimeout}, C{src/condor_utils/file_transfer.h}), a proxy's after 20 s,
and nothing configures that; the job is held.  A process that is stopped does not notice:
tried with the real one, stopped 10 s into an outage and for two minutes, the transfer was
completed.  The gridmanager's side sets no time-out (C{FileTransfer::Reap},
C{src/condor_utils/file_transfer.cpp}).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

from twisted.logger import Logger

from rvgahp import limits
from rvgahp.carrier import Carrier


class TransferPause:
    """
    Looks at the tunnels of one GAHP while there are any.

    @ivar isStopped: whether the GAHP is stopped.
    """

    def __init__(
        self,
        reactor: Any,
        log: Logger,
        carriers: Callable[[], Iterable[Carrier]],
        kill: Callable[[int], object],
    ) -> None:
        """
        @param log: the session's.
        @param carriers: those of the tunnels that live now.
        @param kill: sends a signal to the GAHP and to the processes it has started.
        """
        self._reactor = reactor
        self._log = log
        self._carriers = carriers
        self._kill = kill
        self._timer: Any = None
        self._goodSince: float | None = None
        self.isStopped = self._isClosed = False

    def watch(self) -> None:
        """
        There is a tunnel.
        """
        if self._timer is None and not self._isClosed:
            self._timer = self._reactor.callLater(limits.PAUSE_POLL, self._look)

    def close(self) -> None:
        """
        The GAHP is to end, or has: it must be able to.
        """
        self._isClosed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._goOn()

    def _look(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        quiet = [now - carrier.lastHeard for carrier in self._carriers()]
        if max(quiet, default=0.0) >= limits.PAUSE_AFTER:
            self._goodSince = None
            self._stop(max(quiet))
        elif not all(carrier.isConnected() for carrier in self._carriers()):
            self._goodSince = None
        elif self.isStopped:
            self._goodSince = self._goodSince or now
            if now - self._goodSince >= limits.PAUSE_END:
                self._goOn()
        if quiet or self.isStopped:
            self.watch()

    def _stop(self, seconds: float) -> None:
        if not self.isStopped:
            self.isStopped = True
            self._kill(signal.SIGSTOP)
            self._log.warn(
                "Session {session}: nothing was heard in a tunnel for {seconds:.0f} s; the GAHP is"
                " stopped until the submit host is reached again",
                seconds=seconds,
            )

    def _goOn(self) -> None:
        if self.isStopped:
            self.isStopped = False
            self._goodSince = None
            self._kill(signal.SIGCONT)
            self._log.info("Session {session}: the GAHP goes on")
