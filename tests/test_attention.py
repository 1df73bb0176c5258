"""
Tests of L{rvgahp.attention}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.attention import sentences, span

NOW = 1_000_000

SITE = {
    "site": "a",
    "connected": True,
    "since": NOW - 7200,
    "sessions": 2,
    "unclaimed": 1,
    "draining": False,
    "reason": "",
    "roundTrip": 0.01,
    "certificateExpires": NOW + 30 * 86400,
    "certificateBegan": NOW - 60 * 86400,
    "certificateRenews": True,
}

END = {"site": "a", "gahp": "cat", "when": NOW - 60, "seconds": 0.1, "sent": 0, "received": 0}
END |= {"reason": "", "by": "site", "owner": "alice@x"}
END |= {"outcome": None, "status": None, "lived": None}


def said(**seen: Any) -> list[str]:
    return sentences({"now": NOW, **seen})


class SentencesTests(SynchronousTestCase):
    """
    What is told of what is wrong.
    """

    def test_well(self) -> None:
        """
        Where all is well nothing is said.
        """
        session = {"session": "s", "state": "running"}
        limit = {"limit": "L", "most": 10, "used": 8, "by": "alice"}
        certificate = {name: SITE[name] for name in SITE if name.startswith("certificate")}
        seen: dict[str, Any] = {"sites": [SITE], "sessions": [session], "limits": [limit]}
        self.assertEqual(said(**seen, ends=[END] * 2, **certificate, draining=False), [])
        self.assertEqual(said(), [])

    def test_conflict(self) -> None:
        """
        Policies that exclude each other, at either end; a reason's full stop is not doubled.
        """
        proxy = {"host": "h", "port": 1, "connected": True, "since": NOW, "conflict": "Why."}
        self.assertEqual(said(proxies=[proxy]), ["No GAHP can be started: Why."])
        site = {**SITE, "conflict": "Why."}
        self.assertEqual(said(sites=[site]), ["No GAHP can be started at site a: Why."])
        away = {**proxy, "connected": False, "conflict": "", "reason": "Refused."}
        self.assertEqual(said(proxies=[away]), ["The proxy h port 1 is away for 0 s: Refused."])

    def test_site(self) -> None:
        """
        A site that is gone, for how long, and why; one that was never there; one that is slow,
        or drained.
        """
        gone = {**SITE, "connected": False, "reason": "Connection lost"}
        never = {**SITE, "site": "b", "connected": False, "since": None}
        slow = {**SITE, "site": "c", "roundTrip": 1.26, "draining": True}
        self.assertEqual(
            said(sites=[slow, gone, never]),
            [
                "Site a is away for 2 h (sessions that wait for it: 3): Connection lost.",
                "Site b has not been connected since this proxy was started.",
                "Site c is slow: it took 1.3 s for a ping.",
                "Nothing new is started at site c: it is drained.",
            ],
        )
        (one,) = said(sites=[{**gone, "sessions": 0, "unclaimed": 0}])
        self.assertEqual(one, "Site a is away for 2 h: Connection lost.")

    def test_proxy(self) -> None:
        """
        A proxy that a CE does not reach.
        """
        proxy = {"host": "h", "port": 1, "connected": False, "since": NOW - 5, "reason": "refused"}
        self.assertEqual(said(proxies=[proxy]), ["The proxy h port 1 is away for 5 s: refused."])
        (one,) = said(proxies=[{**proxy, "reason": ""}])
        self.assertIn("it is being dialled", one)

    def test_stalled(self) -> None:
        """
        A session without a channel.
        """
        session = {"session": "s", "user": "alice", "gahp": "cat", "state": "stalled"}
        (one,) = said(sessions=[{**session, "stalled": 130}])
        self.assertIn("Session s of alice (cat) has had no channel for 2 min", one)
        (one,) = said(sessions=[{**session, "stalled": 5, "session": "h:1:2:3:ab", "site": "b"}])
        self.assertIn("Session 3:ab of alice at site b (cat) has", one)
        (one,) = said(sessions=[{**session, "stalled": 1, "user": None, "owner": "a@x"}])
        self.assertIn("of a@x", one)

    def test_stalledMany(self) -> None:
        """
        Where many of one site are stalled, which is one trouble, it is one sentence.
        """
        session = {"session": "s", "user": "alice", "gahp": "cat", "state": "stalled", "site": "a"}
        many = [{**session, "stalled": seconds} for seconds in (5, 130, 7)]
        self.assertEqual(len(said(sessions=many)), 3)
        many.append({**session, "stalled": 9})
        found = said(sessions=[*many, {**session, "site": "b", "stalled": 1}])
        self.assertEqual(len(found), 2)
        words = "4 sessions at site a have had no channel, the longest for 2 min."
        self.assertEqual(found[0], words)
        (one,) = said(sessions=[{**one, "site": ""} for one in many])
        self.assertEqual(one, words.replace(" at site a", ""))

    def test_dying(self) -> None:
        """
        A GAHP whose last three lives were short and mute, or which heard nothing; not where one
        was longer, or long ago, or at another site, or where somebody has ended it.
        """
        (one,) = said(ends=[{**END, "seconds": 99}, *[END] * 3])
        words = (
            "cat at site a has died 3 times within 10 s of its start, last 60 s ago: without a"
            " word; rvgahp trace may tell why."
        )
        self.assertEqual(one, words)
        (one,) = said(ends=[END, END, {**END, "sent": 9}])
        self.assertIn("60 s ago: after its first words; rvgahp trace", one)
        self.assertEqual(len(said(ends=[END, END, {**END, "sent": None, "received": None}])), 1)
        for other in (
            {"seconds": 10},
            {"sent": 1, "received": 1},
            {"when": NOW - 3601},
            {"site": "b"},
            {"gahp": "other"},
            {"seconds": None},
            {"by": "killed"},
            {"by": "client"},
            {"reason": "ended by root at the site (rvgahp kill): why not"},
        ):
            self.assertEqual(said(ends=[END, END, {**END, **other}]), [], other)

    def test_crashed(self) -> None:
        """
        Where the CE tells how GAHPs end, those that crash soon are dying, also after they have
        answered, and not those that end as they should, though they were mute.
        """
        status = "exited with status 127 (a program in it was not found)"
        crash = {**END, "sent": 9, "received": 9, "outcome": "crashed", "status": status}
        crash |= {"seconds": None, "lived": 9.9}
        (one,) = said(ends=[crash] * 4)
        words = (
            "cat at site a has died 4 times within 10 s of its start, last 60 s ago: it exited with"
            " status 127 (a program in it was not found), after its first words; rvgahp trace may"
            " tell why."
        )
        self.assertEqual(one, words)
        for other in ({"lived": 10.1}, {"outcome": "ended"}, {"outcome": "killed"}):
            self.assertEqual(said(ends=[crash, crash, {**crash, **other}]), [], other)
        for outcome in ("ended", "killed"):
            self.assertEqual(said(ends=[{**END, "outcome": outcome}] * 3), [], outcome)

    def test_notStarted(self) -> None:
        """
        One that could not be started three times, and why.
        """
        start = {**END, "by": "start", "reason": "it is not there"}
        self.assertEqual(said(ends=[start, start]), [])
        (one,) = said(ends=[start] * 3)
        self.assertEqual(one, "cat at site a cannot be started, last 60 s ago: it is not there")

    def test_dyingForOne(self) -> None:
        """
        What fails for one user is not hidden by what goes well for another.
        """
        well = {**END, "owner": "bob@x", "seconds": 99}
        (one,) = said(ends=[END, well, END, well, END, well])
        self.assertIn("cat at site a, for alice@x, has died 3 times", one)

    def test_limits(self) -> None:
        """
        Who is near a limit, or at it.
        """
        limit = {"limit": "MOST", "most": 10, "by": "alice"}
        for used, words in (
            (9, "alice is near its limit: 9 of 10 (MOST)."),
            (10, "starts are refused"),
        ):
            (one,) = said(limits=[{**limit, "used": used}])
            self.assertIn(words, one)

    def test_certificates(self) -> None:
        """
        A certificate that ends within a week, or has; the daemon's own, too.
        """
        named = ("certificateExpires", "certificateBegan", "certificateRenews")
        own = dict(zip(named, (NOW + 3 * 86400, NOW - 87 * 86400, False), strict=True))
        ended = {**SITE, "certificateExpires": NOW - 1}
        away = {**ended, "connected": False, "reason": "lost"}
        self.assertEqual(
            said(sites=[ended], **own),
            [
                "The certificate of this daemon ends in 3 d; rvgahp has not made it: renew it where"
                " it was made.",
                "The certificate of site a has ended, and should have been renewed long ago; see"
                " the log of its CE.",
            ],
        )
        (one,) = said(**{**own, "certificateRenews": True})
        self.assertIn("renewed long ago; see its log.", one)
        _, one = said(sites=[away])
        self.assertIn("has ended; it is renewed if the site comes again within", one)

    def test_shortCertificates(self) -> None:
        """
        One that is made for a week, and renewed in time, is not about to end; one that was not
        renewed in time is.
        """
        for left, isTold in ((6, False), (2.4, False), (2.3, True), (0, True)):
            end = int(NOW + left * 86400)
            site = {**SITE, "certificateExpires": end, "certificateBegan": end - 7 * 86400}
            self.assertEqual(bool(said(sites=[site])), isTold, left)

    def test_drained(self) -> None:
        """
        That all is drained is said once.
        """
        (one,) = said(draining=True, sites=[{**SITE, "draining": True}])
        self.assertIn("rvgahp resume", one)

    def test_span(self) -> None:
        """
        Times, as people say them.
        """
        for seconds, text in (
            (-1, "0 s"),
            (89.9, "89 s"),
            (90, "1 min"),
            (5399, "89 min"),
            (5400, "1 h 30 min"),
            (7200, "2 h"),
            (2 * 86400, "2 d"),
        ):
            self.assertEqual(span(seconds), text)
