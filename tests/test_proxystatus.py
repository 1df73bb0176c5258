"""
Tests of L{rvgahp.proxystatus} and L{rvgahp.proxyoperator}: a proxy with sites and clients, and
people who look.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from rvgahp import limits, watchlimits
from rvgahp.errors import Busy, NoSuchSite, NotAuthorized, SessionGone, StartFailed
from rvgahp.peerchain import Validity
from rvgahp.peercred import LocalUser
from rvgahp.proxyoperator import ProxyOperator
from rvgahp.proxystatus import ProxyStatus
from rvgahp.viewer import Viewer
from tests.broker import DOMAIN, BrokerTestCase, entryOf
from tests.identities import SITE

VALIDITY = Validity(1_800_000_000, 1_900_000_000, True)

ROOT = Viewer(LocalUser(0, "root", 1), True)
ALICE = Viewer(LocalUser(4242, "alice", 2), False)
BOB = Viewer(LocalUser(4243, "bob", 3), False)

NEWS = {"phase": "running", "pid": 77, "stalled": 0, "channels": 3, "received": 10, "sent": 20}
NEWS |= {"tunnels": 1, "tunnelsReceived": 5, "tunnelsSent": 6}

#: What an older CE does not tell of the end of a GAHP.
UNTOLD = {"outcome": None, "status": None, "signal": None, "lived": None}


class SettingsOf:
    """
    Settings with another number of sessions for each user.
    """

    def __init__(self, settings: Any, most: int) -> None:
        self._settings = settings
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)

    def get(self, name: str) -> Any:
        return self._most if name.endswith("PER_USER") else self._settings.get(name)


class StatusTestCase(BrokerTestCase):
    """
    A proxy at which alice may use the site, and bob nothing.
    """

    rules = "ALLOW START alice@*"

    def setUp(self) -> None:
        super().setUp()
        self.operator = ProxyOperator(self.proxy, ProxyStatus(self.proxy, lambda: VALIDITY))

    def seen(self, viewer: Viewer = ROOT) -> dict[str, Any]:
        """
        @return: what somebody sees, after a way through JSON.
        """
        seen: dict[str, Any] = json.loads(json.dumps(self.operator.document(viewer)))
        return seen

    def started(self, **changes: Any) -> Any:
        """
        @return: alice's client, whose session runs.
        """
        self.become("alice", ALICE.user.uid)
        client = self.ask(**changes)
        self.settle()
        return client

    def session(self) -> dict[str, Any]:
        """
        @return: what is shown of the only one.
        """
        (one,) = self.seen()["sessions"]
        return dict(one)


class DocumentTests(StatusTestCase):
    """
    What is shown.
    """

    def test_empty(self) -> None:
        """
        Of itself the proxy shows who it is, and who asks.
        """
        seen = self.seen(BOB)
        self.assertEqual((seen["form"], seen["role"], seen["pid"]), (1, "proxy", os.getpid()))
        self.assertEqual((seen["you"], seen["administrator"]), ("bob", False))
        self.assertEqual(seen["certificateExpires"], VALIDITY.expires)
        self.assertEqual((seen["sites"], seen["sessions"], seen["attention"]), ([], [], []))

    def test_site(self) -> None:
        """
        A site has what it has said, how long a ping took, and how many sessions; who may use
        nothing there does not see it.
        """
        ce = self.readyCE()
        self.started()
        self.spend(6)
        (site,) = self.seen()["sites"]
        self.assertEqual((site["site"], site["connected"], site["sessions"]), (SITE, True, 1))
        self.assertEqual((site["address"], site["identity"]), ("192.0.2.7", f"{SITE}@site.rvgahp"))
        self.assertEqual((site["gahps"], site["method"]), (["blahpd"], "SSL"))
        self.assertEqual(site["roundTrip"], 0.0)
        self.assertGreater(site["certificateExpires"], site["since"])
        self.assertEqual(self.seen(ALICE)["sites"], [site])
        self.assertEqual(self.seen(BOB)["sites"], [])
        ce.control.abort()

    def test_forgotten(self) -> None:
        """
        A site that was never enrolled and does not come again is forgotten one day: it is shown
        no more, and is no name that can be drained; one that is enrolled is shown for good.
        """
        ce = self.readyCE()
        ce.control.abort()
        self.settle()
        later = time.time() + watchlimits.SITE_REMEMBERED
        history, enrolled = self.proxy.watch.history, [SITE]
        self.patch(self.proxy.enrolment, "enrolled", lambda: enrolled)
        self.patch(history, "_now", lambda: later + 60)
        self.assertTrue(self.seen()["attention"][0].startswith(f"Site {SITE} is away"))
        enrolled.clear()
        self.patch(history, "_now", lambda: later - 60)
        self.assertEqual([one["site"] for one in self.seen()["sites"]], [SITE])
        self.patch(history, "_now", lambda: later + 60)
        self.assertEqual((self.seen()["sites"], self.seen()["attention"]), ([], []))
        self.assertRaises(NoSuchSite, self.operator.drain, ROOT, SITE)

    def test_acquainted(self) -> None:
        """
        One that was here before this proxy's start is expected for that time, too, and not for
        ever.
        """
        self.patch(self.proxy.enrolment, "acquainted", lambda: [SITE])
        (site,) = self.seen()["sites"]
        self.assertEqual((site["since"], site["certificateRenews"]), (None, None))
        first = time.time() - watchlimits.SITE_REMEMBERED
        status = ProxyStatus(self.proxy, lambda: VALIDITY)
        self.patch(status, "_since", first - 60)
        self.assertEqual(status.whole()["sites"], [])

    def test_away(self) -> None:
        """
        A site that has gone is shown with the time and the reason, one that is enrolled and has
        not come without; when it comes again it is there once.
        """
        self.patch(self.proxy.enrolment, "enrolled", lambda: ["never.example", SITE])
        ce = self.readyCE()
        ce.control.abort()
        self.settle()
        gone, never = sorted(self.seen()["sites"], key=lambda one: one["since"] is None)
        self.assertEqual(
            (gone["site"], gone["connected"], gone["address"]), (SITE, False, "192.0.2.7")
        )
        self.assertTrue(gone["reason"])
        self.assertEqual((never["site"], never["since"]), ("never.example", None))
        self.assertEqual(len(self.seen()["attention"]), 2)
        self.assertEqual(self.seen(BOB)["sites"], [])
        self.readyCE()
        self.assertEqual(list(self.proxy.watch.history.departures), [])
        states = {one["site"]: one["connected"] for one in self.seen()["sites"]}
        self.assertEqual(states, {SITE: True, "never.example": False})

    def test_silent(self) -> None:
        """
        Of a site that did not answer a ping that is the reason, not the end of its connection.
        """
        ce = self.readyCE()
        ce.answersPings = False
        self.spend(limits.CONTROL_PING_INTERVAL + limits.CONTROL_PING_TIMEOUT + 1)
        (site,) = self.seen()["sites"]
        self.assertEqual((site["connected"], site["reason"]), (False, "no answer to a ping"))

    def test_session(self) -> None:
        """
        A session is starting, runs, and has what its CE tells with each ping; another user
        does not see it.
        """
        ce = self.readyCE()
        starting: list[Any] = []
        ce.answer = lambda: starting.append(self.session()) or {"tunnelPort": 0}  # type: ignore
        self.started(tunnel=True)
        self.assertEqual(starting[0]["state"], "starting")
        one = self.session()
        self.assertEqual((one["state"], one["received"], one["pid"]), ("running", None, None))
        self.assertEqual((one["user"], one["site"]), ("alice", SITE))
        self.assertEqual(one["owner"], f"alice@{DOMAIN}")
        ce.news = [{"session": one["session"], **NEWS}, {"session": "unknown", **NEWS}]
        self.spend(6)
        one = self.session()
        self.assertEqual((one["received"], one["sent"]), (10, 20))
        self.assertEqual((one["pid"], one["resumed"]), (77, 2))
        self.assertEqual((one["tunnels"], one["tunnelsReceived"], one["tunnelsSent"]), (1, 5, 6))
        self.assertEqual(self.seen(ALICE)["sessions"], [one])
        self.assertEqual(self.seen(BOB)["sessions"], [])

    def test_slow(self) -> None:
        """
        A site that does not answer a ping is slow while that is so, and not only afterwards.
        """
        ce = self.readyCE()
        self.spend(6)
        ce.answersPings = False
        self.spend(8)
        seen = self.seen()
        self.assertGreater(seen["sites"][0]["roundTrip"], 2)
        self.assertIn("is slow", seen["attention"][0])
        ce.control.abort()

    def test_states(self) -> None:
        """
        A stalled session is so for as long as its CE has said, and since; one that ends says
        so, whatever word its CE has for it; one whose site is away is that.
        """
        ce = self.readyCE()
        self.started()
        name = self.session()["session"]
        ce.news = [{"session": name, **NEWS}]
        self.spend(6)
        one = self.session()
        tunnels = one["tunnels"], one["tunnelsReceived"], one["tunnelsSent"]
        self.assertEqual(tunnels, (None, None, None))
        ce.news = [{"session": name, **NEWS, "stalled": 30}]
        self.spend(6)
        self.spend(1.5)
        one = self.session()
        self.assertEqual(one["state"], "stalled")
        self.assertTrue(31 <= one["stalled"] <= 33, one)
        self.assertIn("has had no channel", self.seen()["attention"][0])
        ce.news = [{"session": name, **NEWS, "stalled": 30, "phase": "ending"}]
        self.spend(6)
        self.assertEqual(self.session()["state"], "ending")
        for phase, state in (("ending", "ending"), ("exited", "exited"), ("\x1b[2J", "running")):
            ce.news = [{"session": name, **NEWS, "phase": phase}]
            self.spend(6)
            self.assertEqual(self.session()["state"], state)
        ce.control.abort()
        self.settle()
        self.assertEqual(self.session()["state"], "site away")

    def test_impossibleNews(self) -> None:
        """
        Numbers that can be none are shown as those that can, which all programs know.
        """
        ce = self.readyCE()
        self.started()
        name = self.session()["session"]
        told = {**NEWS, "received": -1, "sent": 10**400, "channels": -5, "stalled": -9}
        ce.news = [{"session": name, **told}]
        self.spend(6)
        one = self.session()
        self.assertEqual((one["received"], one["sent"]), (0, 2**53 - 1))
        self.assertEqual((one["state"], one["resumed"]), ("running", 0))

    def test_anothersNews(self) -> None:
        """
        What a CE tells of another site's session is not believed.
        """
        self.readyCE()
        self.started()
        other = self.readyCE(site="other.example")
        other.news = [{"session": self.session()["session"], **NEWS}]
        self.spend(6)
        self.assertIsNone(self.session()["received"])

    def test_unclaimed(self) -> None:
        """
        A session that nobody has claimed is shown to administrators, without its key.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([entryOf("old", claim=b"k" * 32)]))
        one = self.session()
        self.assertEqual((one["session"], one["state"], one["site"]), ("old", "unclaimed", SITE))
        self.assertNotIn("claim", one)
        self.assertEqual(self.seen()["sites"][0]["unclaimed"], 1)
        self.assertEqual(self.seen(ALICE)["sessions"], [])
        ce.control.abort()

    def test_ownUnclaimed(self) -> None:
        """
        Its owner sees it, too, for he can end it.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([entryOf("old", owner=f"alice@{DOMAIN}")]))
        self.assertEqual([one["session"] for one in self.seen(ALICE)["sessions"]], ["old"])
        self.assertEqual(self.seen(BOB)["sessions"], [])
        ce.control.abort()

    def test_noSecrets(self) -> None:
        """
        No key, ticket or proof is shown, in whatever form.
        """
        tickets: list[bytes] = []
        issue = self.proxy._tickets.issue
        ce = self.readyCE()

        def issued(*words: Any) -> bytes:
            tickets.append(issue(*words))
            return tickets[-1]

        self.patch(self.proxy._tickets, "issue", issued)
        self.started()
        other, _ = self.dialCE(site="other.example")
        other.hello()
        self.successResultOf(other.listEntries([entryOf("old", claim=b"\xc1aim" * 8)]))
        (record,) = self.proxy.sessions.values()
        secrets = [record.session.key, b"\xc1aim" * 8, self.proxy.instance, *tickets]
        self.assertEqual(len(secrets), 3 + limits.TICKETS_PER_START)
        seen = self.operator.document(ROOT)
        self.assertEqual(len(seen["sessions"]), 2)
        shown = (json.dumps(seen) + repr(seen)).lower()
        for secret in secrets:
            for form in (secret.hex(), repr(secret)[2:-1], b64encode(secret).decode()):
                self.assertNotIn(form.lower(), shown)
        for one in (ce, other):
            one.control.abort()

    def test_revoked(self) -> None:
        """
        A site that was revoked is not waited for.
        """
        ce = self.readyCE()
        ce.control.abort()
        self.settle()
        (away,) = self.seen()["sites"]
        self.assertGreater(away["certificateExpires"], away["since"])
        self.patch(self.proxy.enrolment, "isRevoked", lambda site: site == SITE)
        self.assertEqual((self.seen()["sites"], self.seen()["attention"]), ([], []))

    def test_limits(self) -> None:
        """
        Who is nearest to a limit: of all, or of what one may see.
        """
        self.readyCE()
        self.started()
        self.started()
        self.become("carol", 4244)
        self.obey("ALLOW START alice@* carol@*")
        self.ask()
        users, sites = self.seen()["limits"]
        self.assertEqual((users["by"], users["used"], users["most"]), ("alice", 2, 1000))
        self.assertEqual((sites["by"], sites["used"]), (SITE, 3))
        self.patch(self.proxy, "settings", SettingsOf(self.proxy.settings, 2))
        self.ask()
        rows = [(one["by"], one["used"]) for one in self.seen()["limits"]]
        self.assertEqual(rows, [("alice", 2), ("carol", 2), (SITE, 4)])
        users, sites = self.seen(BOB)["limits"]
        self.assertEqual((users["by"], users["used"], sites["by"]), ("", 0, ""))

    def test_ends(self) -> None:
        """
        What has ended is shown to its user and to administrators.
        """
        self.readyCE()
        client = self.started()
        name = self.session()["session"]
        client.close()
        self.spend(25)
        (end,) = self.seen(ALICE)["ends"]
        self.assertEqual((end["session"], end["by"], end["user"]), (name, "client", "alice"))
        self.assertEqual(self.seen()["ends"], [end])
        self.assertEqual(self.seen(BOB)["ends"], [])

    def test_crashed(self) -> None:
        """
        Of a GAHP that crashes soon after its first answer, again and again, it is said how it
        ends; what its CE tells stands in the document, the counts and the log.
        """
        self.readyCE()
        end = {"received": 5, "sent": 6, "outcome": "crashed", "status": 127, "lived": 250}
        with capturedLogs() as logs:
            for _ in range(3):
                self.started()
                name = self.session()["session"]
                self.proxy.sessionEnded(SITE, name, "", signal=None, **end)
        (shown, *_) = self.seen(ALICE)["ends"]
        status = "exited with status 127 (a program in it was not found)"
        told = shown["outcome"], shown["status"], shown["lived"]
        self.assertEqual(told, ("crashed", status, 0.25))
        said = self.seen()["attention"][0]
        self.assertIn(f"blahpd at site {SITE} has died 3 times within 10 s of its start", said)
        self.assertIn(f"it {status}, after its first words", said)
        self.assertEqual(self.proxy.watch.counts.outcomes, {"crashed": 3})
        self.assertIn(f"its GAHP {status}", [event.get("reason") for event in logs])

    def test_notStarted(self) -> None:
        """
        What a site could not start stands among the ends, with its reason; not where its client
        has gone meanwhile.
        """
        ce = self.readyCE()
        ce.answer = lambda: fail(StartFailed("it is not there"))
        for _ in range(3):
            self.started()
        (end, *_) = self.seen(ALICE)["ends"]
        told = end["by"], end["user"], end["gahp"], end["seconds"]
        self.assertEqual(told, ("start", "alice", "blahpd", 0))
        self.assertIn("it is not there", end["reason"])
        self.assertIn(f"blahpd at site {SITE} cannot be started", self.seen()["attention"][0])
        self.assertEqual(self.seen(BOB)["ends"], [])
        late: Deferred[Any] = Deferred()
        ce.answer = lambda: late
        self.started().close()
        self.settle()
        late.errback(StartFailed("gone"))
        self.settle()
        self.assertEqual(len(self.seen()["ends"]), 3)


class CountsTests(StatusTestCase):
    """
    What is counted, for the metrics.
    """

    def test_counts(self) -> None:
        """
        A start, how long it took, one that failed, a CE that was refused, what its sessions
        have carried, and their end.
        """
        counts = self.proxy.watch.counts
        ce = self.readyCE()
        client = self.started()
        self.started(gahp="bad/name")
        self.assertEqual((counts.starts, counts.failures), ({"blahpd": 1}, {"UnknownGAHP": 1}))
        self.assertEqual(sum(counts.startSeconds.counts), 1)
        ce.news = [{"session": self.session()["session"], **NEWS, "stalled": 3}]
        self.spend(6)
        self.assertEqual((counts.carried["received"], counts.carried["tunnelsSent"]), (10, 6))
        self.assertEqual((counts.stalls, counts.resumptions), (1, 2))
        client.close()
        self.settle()
        last = {"received": 12, "sent": 2**99, **UNTOLD}
        self.proxy.sessionEnded(SITE, ce.starts[0]["session"], "its client is gone", **last)
        self.assertEqual(counts.ends, {"client": 1})
        self.assertEqual((counts.carried["received"], counts.carried["sent"]), (12, 2**53 - 1))
        other, _ = self.dialCE()
        self.failureResultOf(other.hello(instance=b"short"), NotAuthorized)
        self.assertEqual(counts.refusals, {"register": 1})

    def test_short(self) -> None:
        """
        What a session has carried that its CE tells of at its end alone is counted, too; one of
        whose end its CE says nothing has carried what it told last.
        """
        ce = self.readyCE()
        carried = self.proxy.watch.counts.carried
        self.started()
        name = self.session()["session"]
        self.proxy.sessionEnded(SITE, name, "", received=5, sent=6, **UNTOLD)
        self.assertEqual((carried["received"], carried["sent"]), (5, 6))
        client = self.started()
        ce.news = [{"session": self.session()["session"], **NEWS}]
        self.spend(6)
        client.close()
        self.spend(25)
        self.assertEqual((carried["received"], carried["sent"]), (15, 26))


class OperatorTests(StatusTestCase):
    """
    What the proxy may be told.
    """

    def test_killStarting(self) -> None:
        """
        One that is still being started ends, too, whatever its CE answers then; and it is not
        said that it could not be started.
        """
        for result in ({"tunnelPort": 0}, Failure(StartFailed("ended"))):
            ce = self.readyCE()
            late: Deferred[Any] = Deferred()
            ce.answer = iter([late]).__next__
            client = self.started()
            self.assertEqual(self.session()["state"], "starting")
            self.kill(ROOT, "too slow")
            self.settle()
            self.assertEqual(len(ce.ends), 1)
            self.assertRaises(StopIteration, self.kill, ROOT)
            late.callback(result)
            self.settle()
            self.assertEqual(self.seen()["sessions"], [])
            self.assertNotIn("start", [end["by"] for end in self.seen()["ends"]])
            client.read()
            lost = [box for box in client.boxes if box.get(b"_command") == b"SessionLost"]
            self.assertIn(b"too slow", lost[0][b"reason"])
            client.close()
            self.settle()

    def test_killAway(self) -> None:
        """
        One whose site is away ends, and the site learns of it when it comes again.
        """
        ce = self.readyCE()
        self.started()
        name = self.session()["session"]
        ce.control.abort()
        self.settle()
        self.kill(ROOT, "")
        self.assertEqual(self.seen()["sessions"], [])
        ce, _ = self.dialCE()
        ce.hello()
        told = self.successResultOf(ce.listEntries([entryOf(name)]))
        self.assertEqual(told, {"gone": [name]})
        self.assertEqual(self.seen()["sessions"], [])
        ce.control.abort()

    def test_misspelt(self) -> None:
        """
        A site that nobody knows is not drained; one that is away is, and it is told whether it
        is drained still.
        """
        for tell in (self.operator.drain, self.operator.resume):
            e = self.assertRaises(NoSuchSite, tell, ROOT, "nonesuch")
            self.assertIn("site nonesuch is not known here", str(e))
        self.readyCE().control.abort()
        self.settle()
        self.operator.drain(ROOT, SITE)
        self.operator.drain(ROOT, "")
        told = self.operator.resume(ROOT, SITE)
        self.assertEqual(told, {"resumed": SITE, "draining": True})
        self.assertEqual(self.operator.resume(ROOT, ""), {"resumed": "all", "draining": False})
        self.patch(self.proxy.enrolment, "isKnown", lambda site: site == "enrolled.example")
        self.operator.drain(ROOT, "enrolled.example")

    def kill(self, viewer: Viewer, reason: str = "") -> dict[str, Any]:
        """
        End the only session.
        """
        return self.operator.kill(viewer, next(iter(self.proxy.sessions)), reason)

    def test_kill(self) -> None:
        """
        A session that is killed ends at both ends with who and why; the record of its end has
        that, and the bytes that its CE tells.
        """
        for viewer, reason, words in (
            (ROOT, "too long", "ended by root (rvgahp kill): too long"),
            (ALICE, "a\x1bb", "ended by alice (rvgahp kill): a b"),
            (ALICE, "", "ended by alice (rvgahp kill): without a reason"),
        ):
            ce, client = self.readyCE(), self.started()
            name = self.session()["session"]
            with capturedLogs() as logs:
                self.assertEqual(self.kill(viewer, reason), {"session": name, "site": SITE})
            self.assertIn(words, [event.get("reason") for event in logs])
            self.settle()
            self.assertEqual(ce.ends, [(name, words)])
            client.read()
            lost = [box for box in client.boxes if box.get(b"_command") == b"SessionLost"]
            self.assertEqual(lost[-1][b"reason"], words.encode())
            self.proxy.sessionEnded(SITE, name, words, received=7, sent=8, **UNTOLD)
            end = self.seen()["ends"][-1]
            self.assertEqual((end["by"], end["reason"], end["received"]), ("killed", words, 7))
            client.close()

    def test_killAnothers(self) -> None:
        """
        Another's session is none for who asks, and lives.
        """
        self.readyCE()
        self.started()
        e = self.assertRaises(SessionGone, self.kill, BOB)
        self.assertIn("you have no session", str(e))
        self.assertRaises(SessionGone, self.operator.kill, ROOT, "unknown", "")
        self.assertEqual(len(self.proxy.sessions), 1)

    def test_killUnclaimed(self) -> None:
        """
        One that nobody has claimed can be ended by its owner, and administrators.
        """
        for viewer in (ROOT, ALICE):
            ce, _ = self.dialCE()
            ce.hello()
            self.successResultOf(ce.listEntries([entryOf("old", owner=f"alice@{DOMAIN}")]))
            self.assertRaises(SessionGone, self.operator.kill, BOB, "old", "")
            self.operator.kill(viewer, "old", "")
            self.settle()
            self.assertEqual([name for name, _ in ce.ends], ["old"])
            self.assertEqual(self.seen()["sessions"], [])
            ce.control.abort()
            self.settle()

    def test_drain(self) -> None:
        """
        While a site is drained nothing new is started there, with a sentence, and what runs goes
        on.
        """
        ce = self.readyCE()
        self.started()
        self.assertEqual(self.operator.drain(ROOT, SITE), {"draining": SITE})
        self.assertTrue(self.seen()["sites"][0]["draining"])
        (box,) = self.started().boxes
        self.assertEqual(box[b"_error_code"], Busy.__name__.encode())
        self.assertIn(f"drains site {SITE} (rvgahp drain)".encode(), box[b"_error_description"])
        self.assertEqual((len(ce.starts), ce.ends), (1, []))
        self.operator.resume(ROOT, "")
        self.started()
        self.assertEqual(len(ce.starts), 2)

    def nameless(self, user: LocalUser) -> str:
        raise NotAuthorized(f"{user.name} has no name")

    def test_killedBefore(self) -> None:
        """
        Where the proxy stops, or somebody claims what was killed, before the CE has told of the
        end, it is still known who has ended it.
        """
        self.readyCE()
        self.started()
        self.kill(ROOT, "why not")
        self.proxy.watch.ends.close()
        (end,) = self.seen()["ends"]
        self.assertEqual(end["by"], "killed")
        self.assertIn("why not", end["reason"])

    def test_mayDrain(self) -> None:
        """
        Who is neither an administrator nor the owner of the site may not; the owner may not
        drain all.
        """
        self.patch(self.proxy.enrolment, "ownerOf", lambda site: f"alice@{DOMAIN}")
        self.patch(self.proxy.enrolment, "isKnown", lambda site: True)
        self.operator.drain(ALICE, SITE)
        self.operator.resume(ALICE, SITE)
        for viewer, site in ((BOB, SITE), (BOB, ""), (ALICE, "")):
            for tell in (self.operator.drain, self.operator.resume):
                e = self.assertRaises(NotAuthorized, tell, viewer, site)
                self.assertIn(f"{viewer.user.name} may not", str(e))
        self.assertFalse(self.seen()["draining"])
        # Who has no name is not the owner of what has no owner.
        self.patch(self.proxy.enrolment, "ownerOf", lambda site: None)
        self.patch(self.proxy.access.names, "canonical", self.nameless)
        self.assertRaises(NotAuthorized, self.operator.drain, BOB, SITE)
