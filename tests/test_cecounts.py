"""
Tests of L{rvgahp.cecounts}; L{tests.test_whole_status} has a real CE.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.cecounts import CECounts
from rvgahp.counts import Counts
from rvgahp.errors import NotAuthorized, StartFailed
from rvgahp.gahpend import GAHPLife
from rvgahp.phase import Phase


def session(name: str = "s") -> Any:
    """
    @return: what stands for a session with a channel.
    """
    carrier = SimpleNamespace(isConnected=lambda: True, lastHeard=0.0, channels=1, losses=0)
    process = SimpleNamespace(pid=77, received=10)
    values = {"carrier": carrier, "process": process, "output": SimpleNamespace(sent=20)}
    life = GAHPLife(Clock().seconds)
    rest = {"life": life, "tunnels": None, "phase": Phase.RUNNING, "sessionId": name}
    return SimpleNamespace(**values, **rest)


class CECountsTests(SynchronousTestCase):
    """
    What is counted.
    """

    def setUp(self) -> None:
        self.counts = Counts()
        self.ce = CECounts(self.counts)

    def test_carried(self) -> None:
        """
        Bytes, stalls and resumptions are counted once, whoever looks how often, and up to the
        session's end; those of a stall that was over before anyone looked, too.
        """
        one, other = session("s"), session("t")
        self.ce.look([one, other])
        one.process.received = 15
        self.ce.look([one, other])
        self.ce.look([one, other])
        self.assertEqual(self.counts.carried["received"], 25)
        self.assertEqual((self.counts.stalls, self.counts.resumptions), (0, 0))
        one.carrier.losses, one.carrier.channels = 2, 3
        one.output.sent = 1020
        self.ce.ended(one, "site")
        self.assertEqual(self.counts.carried["sent"], 1040)
        self.assertEqual((self.counts.stalls, self.counts.resumptions), (2, 2))
        self.assertEqual(self.counts.ends, {"site": 1})
        self.ce.ended(session("u"), "client")  # at which nobody has looked
        self.assertEqual(self.counts.carried["sent"], 1060)

    def test_outcomes(self) -> None:
        """
        How GAHPs end: by themselves, or by the end of their session; one whose program never ran
        is counted where its start fails, and once.
        """
        for exits, isLaunched, outcome in (
            ((False, 0), True, "ended"),
            ((True, 11), True, "crashed"),
            (None, True, "killed"),
            (None, False, ""),
        ):
            one = session()
            if isLaunched:
                one.life.launched()
            if exits is not None:
                one.life.exited(*exits, "", Phase.RUNNING, False)
            self.ce.ended(one, "site" if isLaunched else "")
            self.assertEqual(self.counts.outcomes, {outcome: 1} if outcome else {})
            self.counts.outcomes.clear()
        self.assertEqual(self.counts.ends, {"site": 3})

    def test_starts(self) -> None:
        """
        Starts and refusals.
        """
        self.ce.started("cat", 0.01)
        self.ce.notStarted(NotAuthorized("a rule denies it"))
        self.assertEqual(self.counts.outcomes, {})
        self.assertEqual(
            (self.counts.starts, self.counts.failures), ({"cat": 1}, {"NotAuthorized": 1})
        )
        self.ce.notStarted(StartFailed("its program is not there"))
        self.assertEqual(self.counts.outcomes, {"not_started": 1})
