"""
Tests of L{rvgahp.pagerows}.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.pagerows import TABLES, changes, viewOf
from tests import pagestage
from tests.pagestage import HOSTILE, ROOT, Stage

NOW = 1_000_000


def seen(**parts: Any) -> dict[str, Any]:
    """
    @return: a document.
    """
    empty: dict[str, Any] = {"sites": [], "sessions": [], "ends": [], "limits": [], "now": NOW}
    about = {"software": "r 1", "pid": 1, "since": NOW - 5, "you": "root", "administrator": True}
    return {**empty, **about, "draining": False, "certificateExpires": NOW * 2, **parts}


def applied(view: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """
    @return: what a browser has after an event.
    """
    made = copy.deepcopy(view)
    for name in ("head", "attention"):
        made[name] = found.get(name, made[name])
    for name in TABLES:
        told = found.get(name, {"put": {}, "drop": []})
        for key in told["drop"]:
            del made[name][key]
        made[name].update(told["put"])
    return made


class ViewTests(SynchronousTestCase):
    """
    What is shown.
    """

    def test_troubles(self) -> None:
        """
        Whatever is wrong is marked where it stands, the worse the higher.
        """
        view = viewOf(seen(**pagestage.troubles(NOW)))
        levels = {key: (row["level"], row["state"]) for key, row in view["sites"].items()}
        self.assertEqual(
            levels,
            {
                "hpc.example.edu": (2, "AWAY"),
                "far.example.au": (1, "slow"),
                "old.example.org": (1, "certificate ends"),
                "cluster.example.edu": (0, "connected"),
                "quiet.example.org": (1, "draining"),
            },
        )
        states = [(row["level"], row["state"]) for row in view["sessions"].values()]
        self.assertEqual(states, [(2, "STALLED"), (2, "site away"), (0, "running")])
        self.assertEqual([row["level"] for row in view["ends"].values()], [1, 1, 1])
        others = [
            pagestage.end(4, NOW, reason="its client is gone"),
            pagestage.end(5, NOW, by="lease", reason="nothing was heard for the lease"),
        ]
        ends = viewOf(seen(ends=others))["ends"].values()
        self.assertEqual([row["level"] for row in ends], [0, 1])
        self.assertEqual([row["level"] for row in view["limits"].values()], [1, 0])
        kinds = ["away", "stalled", "failing", "limit", "certificate", "slow", "drained"]
        self.assertEqual([kind for kind, _ in view["attention"]["said"]], kinds)

    def test_several(self) -> None:
        """
        A site with several troubles tells of each, and is as bad as the worst.
        """
        one = pagestage.site("a", NOW, connected=False, draining=True, certificateExpires=NOW)
        (row,) = viewOf(seen(sites=[one]))["sites"].values()
        self.assertEqual((row["level"], row["state"]), (2, "AWAY, draining, certificate ends"))

    def test_unclaimed(self) -> None:
        """
        A session of which little is known is shown with that.
        """
        known = {"session": "s", "owner": "a@x", "site": "a", "gahp": "cat", "account": ""}
        one = {"state": "unclaimed", "user": None, **known}
        row = viewOf(seen(sessions=[one]))["sessions"]["s"]
        self.assertEqual((row["level"], row["user"], row["since"]), (1, "a@x", None))

    def test_many(self) -> None:
        """
        Of one kind of trouble few are said and all counted, so that others are seen, too; of
        ends there are the newest.
        """
        away = [pagestage.site(f"s{one}", NOW, connected=False) for one in range(40)]
        ends = [pagestage.end(one, NOW) for one in range(300, 0, -1)]
        stalled = [pagestage.session(1, NOW, state="stalled", stalled=50)]
        view = viewOf(seen(sites=away, sessions=stalled, ends=ends))
        self.assertEqual(view["attention"]["counts"], {"away": 40, "stalled": 1})
        self.assertEqual(len(view["attention"]["said"]), 7)
        self.assertEqual(len(view["ends"]), 100)
        self.assertEqual(max(row["when"] for row in view["ends"].values()), ends[-1]["when"])

    def test_texts(self) -> None:
        """
        Texts of others are short, and have nothing that is not printed or turns others round.
        """
        long = "x" * 10000
        sites = [
            pagestage.site(f"{number}", NOW, reason=text, software=text, gahps=[text], address=text)
            for number, text in enumerate((*HOSTILE, long))
        ]
        text = json.dumps(viewOf(seen(sites=sites, you=HOSTILE[-1])))
        for forbidden in ("\\u202e", "\\u2066", "\\u001b", "\\u0000", "\\ud800", "x" * 301):
            self.assertNotIn(forbidden, text)
        self.assertIn("x" * 300, text)


class ChangesTests(SynchronousTestCase):
    """
    What is told.
    """

    def test_nothing(self) -> None:
        """
        Where nothing is otherwise there is nothing to tell, though time goes on.
        """
        stage = Stage(3, 3, isWell=True)
        document = stage.document(ROOT)
        view = viewOf(document)
        self.assertEqual(changes(view, viewOf({**document, "now": document["now"] + 5})), {})

    def test_calm(self) -> None:
        """
        What moves a little is not told, nor told later for having moved a little often; what
        moves much is.
        """
        told = viewOf(seen(sites=[pagestage.site("a", NOW, roundTrip=0.1)]))
        trip = 0.1
        for trip, isTold in ((0.11, False), (0.12, False), (0.13, True), (0.14, False)):
            view = viewOf(seen(sites=[pagestage.site("a", NOW, roundTrip=trip)]))
            self.assertEqual("sites" in changes(told, view), isTold, trip)
            told = view
        self.assertEqual(told["sites"]["a"]["ping"], 0.13)

    def test_stalled(self) -> None:
        """
        For how long a session has stalled is told once.
        """
        one = pagestage.session(1, NOW, state="stalled", stalled=50)
        told = viewOf(seen(sessions=[one]))
        later = viewOf(seen(sessions=[{**one, "stalled": 61}], now=NOW + 10))
        self.assertNotIn("sessions", changes(told, later))

    def test_rows(self) -> None:
        """
        Of a table just those rows are told that are new, otherwise, or gone.
        """
        rows = [pagestage.site(name, NOW) for name in "abc"]
        told = viewOf(seen(sites=rows))
        now = [rows[0], {**rows[1], "draining": True}, pagestage.site("d", NOW)]
        found = changes(told, viewOf(seen(sites=now)))
        self.assertEqual(set(found["sites"]["put"]), {"b", "d"})
        self.assertEqual(found["sites"]["drop"], ["c"])
        self.assertNotIn("sessions", found)

    @given(st.randoms(use_true_random=False), st.integers(1, 6))
    def test_same(self, random: Any, steps: int) -> None:
        """
        Whoever was told all changes has what the proxy thinks he has.
        """

        def rows() -> list[dict[str, Any]]:
            names = random.sample("abcdef", random.randrange(7))
            return [
                pagestage.site(name, NOW, roundTrip=random.choice((0.02, 0.021, 0.9)))
                for name in names
            ]

        told = viewOf(seen(sites=rows()))
        browser = copy.deepcopy(told)
        for _ in range(steps):
            view = viewOf(seen(sites=rows(), draining=random.random() < 0.5))
            browser = applied(browser, json.loads(json.dumps(changes(told, view))))
            self.assertEqual(browser, view)
            told = view
