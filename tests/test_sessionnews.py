"""
Tests of L{rvgahp.sessionnews}; L{tests.test_whole_status} has real sessions.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands, watchlimits
from rvgahp.phase import Phase
from rvgahp.sessionnews import SessionNews, factsOf


class TunnelsDouble(list[object]):
    """
    The tunnels of a session, as far as they are asked.
    """

    def carried(self) -> tuple[int, int]:
        return 30, 40


def session(**changes: Any) -> Any:
    """
    @return: what stands for a session, connected and with some bytes.
    """
    carrier = SimpleNamespace(isConnected=lambda: True, lastHeard=100.0, channels=1)
    process = SimpleNamespace(pid=77, received=10)
    values = {"carrier": carrier, "process": process, "output": SimpleNamespace(sent=20)}
    return SimpleNamespace(**{**values, "tunnels": None, "phase": Phase.RUNNING, **changes})


class FactsTests(SynchronousTestCase):
    """
    Of one session.
    """

    def test_facts(self) -> None:
        """
        They are the fields of the answer to a ping.
        """
        facts = factsOf(session(tunnels=TunnelsDouble([1, 2])), 105.0)
        self.assertEqual((facts["phase"], facts["pid"], facts["stalled"]), ("running", 77, 0))
        self.assertEqual((facts["received"], facts["sent"]), (10, 20))
        told = facts["tunnels"], facts["tunnelsReceived"], facts["tunnelsSent"]
        self.assertEqual(told, (2, 30, 40))
        answer = {"sessions": [{"session": "s", **facts}]}
        box = commands.Ping.makeResponse(answer, None)
        self.assertEqual(commands.Ping.parseResponse(box, None), answer)

    def test_stalled(self) -> None:
        """
        Without a channel it is stalled, a second at the least.
        """
        one = session()
        one.carrier.isConnected = lambda: False
        one.process.pid = None
        self.assertEqual([factsOf(one, now)["stalled"] for now in (100.2, 130.7)], [1, 30])
        self.assertEqual(factsOf(one, 100.0)["pid"], 0)


class NewsTests(SynchronousTestCase):
    """
    Of all.
    """

    def setUp(self) -> None:
        self.sessions: dict[str, Any] = {}
        self.news = SessionNews(self.sessions)

    def told(self) -> list[str]:
        """
        @return: of which sessions there is news.
        """
        return [one["session"] for one in self.news.take(100.0)]

    def test_changes(self) -> None:
        """
        What has changed is told once, on each connection anew; what is gone is forgotten.
        """
        self.sessions.update(a=session(), b=session())
        self.assertEqual(self.told(), ["a", "b"])
        self.assertEqual(self.told(), [])
        self.sessions["b"].process.received += 1
        self.assertEqual(self.told(), ["b"])
        self.news.forget()
        self.assertEqual(self.told(), ["a", "b"])
        b = self.sessions.pop("b")
        self.assertEqual(self.told(), [])
        self.sessions["b"] = b
        self.assertEqual(self.told(), ["b"])

    def test_turns(self) -> None:
        """
        Where there is more than one answer can have, who has waited longest goes first; and
        the longest answer fits in a box.
        """
        self.patch(watchlimits, "NEWS", 2)
        self.sessions.update({name: session() for name in "abcde"})
        turns = []
        for _ in range(5):
            turns.append("".join(self.told()))
            for one in self.sessions.values():
                one.process.received += 1
        self.assertEqual(turns, ["ab", "cd", "ea", "bc", "de"])

    def test_largest(self) -> None:
        """
        The longest answer fits in a box.
        """
        for number in range(watchlimits.NEWS + 1):
            one = session(tunnels=TunnelsDouble(), phase=Phase.STARTING)
            one.process.received = one.output.sent = 2**60
            self.sessions[f"{number}".rjust(100, "x")] = one
        news = self.news.take(100.0)
        self.assertEqual(len(news), watchlimits.NEWS)
        box = commands.Ping.makeResponse({"sessions": news}, None)
        self.assertLess(len(box.serialize()), 65000)
