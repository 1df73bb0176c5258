"""
Tests of L{rvgahp.history}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import watchlimits
from rvgahp.gahpend import GAHPEnd
from rvgahp.history import History


class HistoryTests(SynchronousTestCase):
    """
    What is remembered.
    """

    def setUp(self) -> None:
        self.now = 1000.0
        self.history = History(lambda: self.now)

    def end(self, session: str, **changes: Any) -> dict[str, Any]:
        """
        @return: what the audit log has of an end.
        """
        told = {"seconds": 1.5, "by": "site", "reason": "", "received": 1, "sent": 2}
        return {"session": session, "site": "a", **told, **changes}

    def test_departures(self) -> None:
        """
        Of a site that has gone it is known when and why, until it comes again.
        """
        self.history.siteWent("a", "192.0.2.7", "lost")
        self.assertEqual(self.history.departures["a"], (1000.0, "192.0.2.7", "lost", None))
        self.history.siteCame("a")
        self.assertEqual(dict(self.history.departures), {})
        self.history.siteCame("b")

    def test_bound(self) -> None:
        """
        Of so many the one that went first is forgotten; of ends, too.
        """
        self.patch(watchlimits, "REMEMBERED_SITES", 2)
        for site in ("a", "b", "a", "c"):
            self.history.siteWent(site, "", "")
        self.assertEqual(list(self.history.departures), ["a", "c"])
        for number in range(watchlimits.REMEMBERED_ENDS + 3):
            self.history.ended(self.end(str(number)))
        self.assertEqual(len(self.history.ends), watchlimits.REMEMBERED_ENDS)
        self.assertEqual(self.history.ends[0].session, "3")

    def test_forgotten(self) -> None:
        """
        A site that does not come again is forgotten one day, unless it is expected.
        """
        for site in ("a", "b"):
            self.history.siteWent(site, "", "lost")
        self.now += watchlimits.SITE_REMEMBERED
        self.history.siteWent("c", "", "lost")
        self.history.forget(["b"])
        self.assertEqual(list(self.history.departures), ["a", "b", "c"])
        self.now += 1
        self.history.forget(["b"])
        self.assertEqual(list(self.history.departures), ["b", "c"])

    def test_end(self) -> None:
        """
        An end has what was recorded of it; one of a session that is older than the proxy has
        less.
        """
        how = GAHPEnd(False, 3, "crashed", 0.5)
        known = {"gahp": "cat", "who": "alice@x", "uid": 7, "user": "alice", "end": how}
        self.history.ended(self.end("s", **known))
        self.history.ended(self.end("u", received=-1, sent=10**400))
        self.assertEqual(self.history.ends.pop()[-3:-1], (0, 2**53 - 1))
        self.history.ended(self.end("t", seconds=None, received=None, sent=None))
        first, second = self.history.ends
        expected = ("s", "a", "cat", "alice@x", 7, "alice", 1.5, "site", "", 1, 2, how)
        self.assertEqual(first, (1000.0, *expected))
        self.assertEqual(
            (second.uid, second.user, second.seconds, second.how), (-1, "", None, None)
        )
