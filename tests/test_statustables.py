"""
Tests of L{rvgahp.statustables}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.statustables import overview, sessionTable, shortName, table

SESSION = {
    "session": "h:1:2:7:abc",
    "user": "alice",
    "owner": "alice@x",
    "site": "a",
    "gahp": "cat",
    "account": "",
    "since": 1000,
    "state": "stalled",
    "stalled": 40,
    "resumed": 2,
    "received": 999,
    "sent": 5 << 20,
    "tunnels": None,
    "pid": 7,
}

SITE = {"site": "a", "connected": True, "since": 1000, "address": "192.0.2.7", "sessions": 1}
SITE |= {"unclaimed": 1, "draining": True, "roundTrip": 0.0214, "certificateExpires": 865060}
SITE |= {"gahps": ["blahpd", "cat"], "software": "r 1"}

SEEN: dict[str, Any] = {
    "role": "proxy",
    "software": "r 1",
    "pid": 1,
    "since": 0,
    "now": 1060,
    "you": "alice",
    "administrator": True,
    "sites": [SITE],
    "sessions": [SESSION],
    "limits": [{"limit": "MOST", "most": 10, "used": 1, "by": ""}],
    "attention": ["Look\x1b[2J here."],
}


class TableTests(SynchronousTestCase):
    """
    Lines for people.
    """

    def test_overview(self) -> None:
        """
        What needs attention stands first, without what a terminal would obey; a site and a
        session have a line each.
        """
        lines = overview(SEEN)
        self.assertIn("process 1", lines[0])
        self.assertEqual(lines[2:4], ["NEEDS ATTENTION", "  Look [2J here."])
        words = " ".join(lines[6].split())
        site = "a connected, draining 60 s 192.0.2.7 21 ms 2 10 d left blahpd,cat r 1"
        self.assertEqual(words, site)
        words = " ".join(lines[9].split())
        self.assertEqual(words, "7:abc alice a cat - 60 s STALLED 40 s 2 999 B 5.0 MiB - 7")
        self.assertEqual(lines[-1].split(), ["MOST", "1", "of", "10", "-"])

    def test_unknown(self) -> None:
        """
        What is not known is a hyphen.
        """
        away: dict[str, Any] = {
            "site": "b",
            "connected": False,
            "since": None,
            "address": "",
            "sessions": 0,
        }
        away |= {"unclaimed": 0, "draining": False}
        unclaimed: dict[str, Any] = {
            "session": "s",
            "owner": "o@x",
            "site": "b",
            "gahp": "cat",
            "account": "c",
        }
        unclaimed |= {"state": "unclaimed", "user": None}
        lines = overview({**SEEN, "sites": [away], "sessions": [unclaimed]})
        found = [" ".join(line.split()) for line in lines]
        self.assertIn("b AWAY - - - 0 - - -", found)
        self.assertIn("s o@x b cat c - unclaimed - - - - -", found)

    def test_CE(self) -> None:
        """
        A CE has its proxies, and owners in place of users and sites.
        """
        proxy = {"host": "h", "port": 1, "address": "", "software": "", "connected": False}
        proxy |= {"since": 1000, "reason": "refused"}
        seen = {**SEEN, "role": "ce", "site": "a", "proxies": [proxy]}
        del seen["sites"]
        found = [" ".join(line.split()) for line in overview(seen)]
        self.assertIn("h:1 AWAY 60 s - - refused", found)
        self.assertIn("7:abc alice@x cat - 60 s STALLED 40 s 2 999 B 5.0 MiB - 7", found)

    def test_none(self) -> None:
        """
        That there is nothing is said, of whom.
        """
        self.assertEqual(sessionTable({**SEEN, "sessions": []}), ["No sessions."])
        nothing = {**SEEN, "sessions": [], "sites": [], "administrator": False, "limits": []}
        lines = overview(nothing)
        self.assertIn("No sites that you may use.", lines)
        self.assertEqual(lines[-1], "No sessions of alice's.")

    def test_long(self) -> None:
        """
        Of many sites and sessions those that something is wrong with stand first, the others in
        their order; below more lines than a screen has it is said that there is a word above.
        """
        sites = [{**SITE, "site": f"s{number}"} for number in range(12)]
        sites[11] |= {"connected": False}
        sites[10] |= {"roundTrip": 0.6}
        seen = {**SEEN, "sites": sites, "attention": ["Look here."]}
        lines = overview(seen)
        first = lines.index("NEEDS ATTENTION") + 4
        self.assertEqual([line.split()[0] for line in lines[first:][:3]], ["s10", "s11", "s0"])
        self.assertNotIn("NEEDS ATTENTION: 1, in the first lines.", lines)
        sessions = [{**SESSION, "state": "running", "session": str(one)} for one in range(9)]
        lines = overview({**seen, "sessions": [*sessions, SESSION]})
        self.assertEqual(lines[-1], "NEEDS ATTENTION: 1, in the first lines.")
        rows = sessionTable({**seen, "sessions": [*sessions, SESSION]})
        self.assertIn("STALLED", rows[1])

    def test_table(self) -> None:
        """
        Columns are as wide as they have to be, and nothing stands at a line's end.
        """
        self.assertEqual(table(["A", "B"], [["long", "x"], ["s", ""]]), ["A     B", "long  x", "s"])

    def test_wide(self) -> None:
        """
        What is very long does not make everything wide, nor are there more sentences than a
        screen has lines.
        """
        lines = overview({**SEEN, "sites": [{**SITE, "gahps": ["x" * 500]}]})
        self.assertLess(max(map(len, lines)), 200)
        lines = overview({**SEEN, "sites": [{**SITE, "software": "a\x1b[2J\u202eb"}]})
        self.assertIn("a [2J b", "".join(lines))
        lines = overview({**SEEN, "attention": [f"{number}." for number in range(25)]})
        self.assertEqual(lines[22:24], ["  19.", "  ... and 5 more (rvgahp status --json)"])

    def test_shortName(self) -> None:
        """
        The end of an id.
        """
        self.assertEqual([shortName(name) for name in ("a:b:c:d", "c:d", "d")], ["c:d", "c:d", "d"])
