"""
Tests of L{rvgahp.watch}: a whole proxy, CEs over TLS in memory, clients over UNIX sockets.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs

from rvgahp import commands, limits, localclients, localcommands, watchlimits
from rvgahp.configuration import Configuration
from rvgahp.errors import StartFailed
from rvgahp.peercred import LocalUser
from rvgahp.primitives import hmac
from rvgahp.settings import settingsFrom
from rvgahp.tls import clientOptions
from tests.broker import ACCESS_FILE, DOMAIN, BrokerTestCase, CEDouble, entryOf
from tests.identities import HOST, SITE, ceCredentials
from tests.localclient import LocalClient

OTHER = "other.example"
USERS = {1001: "alice", 1002: "bob"}
ALICE = f"alice@{DOMAIN}"


class WatchTestCase(BrokerTestCase):
    """
    A proxy with small limits and an audit log, and clients of several users.
    """

    limits_: dict[str, str] = {}
    rules = "ALLOW START *"

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        values = {"RVGAHP_AUDIT_LOG": str(self.path.absolute()), **self.limits_}
        self.proxy.settings = settingsFrom("proxy", Configuration(None, values))
        self.uid = 1001
        self.patch(localclients, "peerOf", lambda _: LocalUser(self.uid, USERS[self.uid], 4711))

    def lines(self) -> list[dict[str, Any]]:
        """
        @return: what the audit log has, without times.
        """
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        for line in lines:
            del line["time"]
        return lines

    def audited(self, event: str) -> list[dict[str, Any]]:
        """
        @return: of these, those of an event.
        """
        return [line for line in self.lines() if line["event"] == event]

    def ended(self, ce: CEDouble, session: str, reason: str = "", size: int = 0) -> None:
        """
        A CE says that a session is over.
        """
        end = {"session": session, "reason": reason, "received": size, "sent": 2 * size}
        self.successResultOf(ce.call(commands.SessionEnded, **end))

    def call(self, client: LocalClient, command: Any, **arguments: Any) -> dict[bytes, bytes]:
        """
        @return: what the proxy answers to a client.
        """
        box = command.makeArguments(arguments, None)
        client.send({**box, b"_command": command.commandName, b"_ask": b"call"})
        self.settle()
        client.read()
        return [
            box for box in client.boxes if b"call" in (box.get(b"_answer"), box.get(b"_error"))
        ][-1]

    def claim(self, session: str) -> LocalClient:
        """
        @return: a client that has claimed a session whose claim key is zeros.
        """
        client = self.client()
        nonce = self.call(client, localcommands.Claim, session=session, site=SITE)[b"nonce"]
        proof = hmac(bytes(32), b"claim" + nonce)
        answer = self.call(client, localcommands.Prove, session=session, proof=proof)
        self.assertIn(b"_answer", answer)
        return client


class LimitTests(WatchTestCase):
    """
    How many GAHPs there can be.
    """

    limits_ = {"RVGAHP_MAX_SESSIONS_PER_USER": "2", "RVGAHP_MAX_SESSIONS_PER_SITE": "3"}

    def refusal(self, client: LocalClient) -> str:
        """
        @return: the sentence by which it was refused.
        """
        (box,) = client.boxes
        self.assertEqual(box.get(b"_error_code"), b"Busy", box)
        return box[b"_error_description"].decode()

    def test_user(self) -> None:
        """
        Who has as many as he may is refused before the CE is asked, with a sentence for him;
        another is served; when one of his has ended he is, too.
        """
        ce = self.readyCE()
        first, _ = self.ask(), self.ask()
        self.assertIn("alice has 2 GAHPs", self.refusal(self.ask()))
        self.assertEqual(len(ce.starts), 2)
        self.uid = 1002
        self.assertIn(b"_answer", self.ask().boxes[0])
        self.uid = 1001
        first.close()
        self.settle()
        self.assertIn(b"_answer", self.ask().boxes[0])
        self.assertEqual(len(ce.starts), 4)

    def test_site(self) -> None:
        """
        A site has a limit of its own, whoever asks.
        """
        ce = self.readyCE()
        self.ask(), self.ask()
        self.uid = 1002
        self.ask()
        self.assertIn(f"site {SITE} runs 3 GAHPs", self.refusal(self.ask()))
        self.assertEqual(len(ce.starts), 3)
        other = self.readyCE(site=OTHER, instance=b"j" * 16)
        self.assertIn(b"_answer", self.ask(site=OTHER).boxes[0])
        self.assertEqual(len(other.starts), 1)

    def test_listed(self) -> None:
        """
        What a site lists after a restart of the proxy counts at once, and once.
        """
        ce, _ = self.dialCE()
        ce.hello()
        names = ["s1", "s2", "s3"]
        entries = [entryOf(name, owner=ALICE) for name in names]
        self.successResultOf(ce.listEntries(entries))
        self.assertIn("runs 3 GAHPs", self.refusal(self.ask()))
        self.claim("s1"), self.claim("s2")
        self.assertIn("alice has 2 GAHPs", self.refusal(self.ask()))
        self.uid = 1002
        self.assertIn("runs 3 GAHPs", self.refusal(self.ask()))
        self.ended(ce, "s3")
        self.assertIn(b"_answer", self.ask().boxes[0])

    def test_claimsAreNotRefused(self) -> None:
        """
        What runs goes on, also where there are more than are allowed now.
        """
        ce, _ = self.dialCE()
        ce.hello()
        names = [f"s{number}" for number in range(5)]
        self.successResultOf(ce.listEntries([entryOf(name, owner=ALICE) for name in names]))
        for name in names:
            self.claim(name)
        self.assertEqual(len(self.proxy.sessions), 5)

    def test_rate(self) -> None:
        """
        Starts beyond the rate are refused, and refusals cost nothing.
        """
        values = {"RVGAHP_MAX_STARTS_PER_SECOND": "1"}
        self.proxy.settings = settingsFrom("proxy", Configuration(None, values))
        ce = self.readyCE()
        asked = [self.ask() for _ in range(15)]
        self.assertEqual(len(ce.starts), 10)
        self.assertIn("alice has too many GAHPs started", self.refusal(asked[-1]))
        self.spend(1.0)
        self.assertIn(b"_answer", self.ask().boxes[0])
        self.refusal(self.ask())


class RandomTests(WatchTestCase):
    """
    The counts, whatever happens.
    """

    limits_ = {"RVGAHP_MAX_SESSIONS_PER_USER": "4", "RVGAHP_MAX_SESSIONS_PER_SITE": "6"}
    steps = 250

    def test_exact(self) -> None:
        """
        Starts that succeed, fail, or are never answered, clients that go at any time, CEs
        that are lost and come back with some of their sessions, sessions that end, and such
        as are claimed: at each time the counts are those of a model, and a start is allowed
        just where that allows it.
        """
        seed = Random().randrange(2**32)
        print(f"\nseed {seed}")
        self.random = random = Random(seed)
        # By session: its client, and his uid; L{None} where nobody has claimed it.
        self.model: dict[str, tuple[LocalClient, int] | None] = {}
        self.pending: list[tuple[LocalClient, int, Deferred[Any]]] = []
        self.ce = self.readyCE()
        for number in range(self.steps):
            self.uid = random.choice(list(USERS))
            step = random.choice(("start",) * 5 + ("close", "end", "lose", "answer", "late"))
            getattr(self, f"_{step}")(number)
            self.settle()
            self.assertCounts(f"seed {seed}, step {number}: {step}")
        self._late(0)

    def assertCounts(self, why: str) -> None:
        owners = [one[1] for one in self.model.values() if one] + [one[1] for one in self.pending]
        for uid in USERS:
            self.assertEqual(self.proxy.watch.sessions.count(uid), owners.count(uid), why)
        ofSite = self.proxy.watch.sessions.count(SITE) + self.proxy.claims.count(SITE)
        self.assertEqual(ofSite, len(self.model) + len(self.pending), why)

    def _start(self, number: int) -> None:
        owners = [one[1] for one in self.model.values() if one] + [one[1] for one in self.pending]
        mayStart = owners.count(self.uid) < 4 and len(self.model) + len(self.pending) < 6
        kind = self.random.choice(("good", "good", "bad", "pending"))
        waiting: Deferred[Any] = Deferred()
        answers = {
            "good": lambda: {"tunnelPort": 0},
            "bad": lambda: fail(StartFailed("it cannot")),
            "pending": lambda: waiting,
        }
        self.ce.answer = answers[kind]
        before = len(self.ce.starts)
        client = self.ask()
        self.assertEqual(len(self.ce.starts) - before, mayStart)
        if not mayStart:
            self.assertEqual(client.boxes[0][b"_error_code"], b"Busy")
        elif kind == "good":
            self.model[self.ce.starts[-1]["session"]] = client, self.uid
        elif kind == "pending":
            self.pending.append((client, self.uid, waiting))

    def _answer(self, number: int) -> None:
        if self.pending:
            client, uid, waiting = self.pending.pop(0)
            if self.random.random() < 0.5:
                waiting.errback(StartFailed("it cannot after all"))
            else:
                session = next(
                    one
                    for one, record in self.proxy.sessions.items()
                    if record.client.user.uid == uid and one not in self.model
                )
                waiting.callback({"tunnelPort": 0})
                self.model[session] = client, uid

    def _close(self, number: int) -> None:
        clients = [one for one in self.model.items() if one[1]]
        if clients and self.random.random() < 0.7:
            session, found = self.random.choice(clients)
            assert found is not None
            found[0].close()
            del self.model[session]
        elif self.pending:
            client, _, waiting = self.pending.pop(0)
            client.close()
            self.settle()
            waiting.callback({"tunnelPort": 0})

    def _end(self, number: int) -> None:
        if self.model:
            session = self.random.choice(list(self.model))
            self.ended(self.ce, session, self.random.choice(("", "it broke")))
            del self.model[session]

    def _late(self, number: int) -> None:
        """
        No answer at all.
        """
        self.spend(self.proxy.startTimeout + 0.1)
        for _, _, waiting in self.pending:
            waiting.callback({"tunnelPort": 0})
        self.pending.clear()

    def _lose(self, number: int) -> None:
        """
        The CE is lost, with what it has not answered, and comes back with some of its
        sessions and with some of which the proxy knows nothing.
        """
        self.ce.control.abort()
        self.settle()
        self.pending.clear()
        self.ce, _ = self.dialCE()
        self.ce.hello()
        kept = [one for one in self.model if self.random.random() < 0.7]
        more = [f"old {number} {one}" for one in range(self.random.randrange(3))]
        entries = [entryOf(one, owner=f"{USERS[self.uid]}@{DOMAIN}") for one in kept + more]
        self.successResultOf(self.ce.listEntries(entries))
        self.model = {one: self.model[one] for one in kept} | dict.fromkeys(more)
        for one in more:
            if self.random.random() < 0.5:
                self.model[one] = self.claim(one), self.uid


class AuditTests(WatchTestCase):
    """
    What is recorded.
    """

    def assertLine(self, line: dict[str, Any], **fields: Any) -> None:
        """
        It has just these fields.
        """
        self.assertEqual(line, fields)

    WHO = {"who": ALICE, "user": "alice", "uid": 1001, "pid": 4711}

    def test_session(self) -> None:
        """
        A start, with who asked for what; and its end, when its CE has told of it, with its
        bytes as it says.
        """
        ce = self.readyCE()
        client = self.ask()
        session = ce.starts[0]["session"]
        known = {**self.WHO, "session": session, "site": SITE, "gahp": "blahpd"}
        (line,) = self.audited("start")
        known["rule"] = f"{ACCESS_FILE}:1: ALLOW START *"
        self.assertLine(line, event="start", decision="allowed", **known)
        self.loop.advance(2.5)
        client.close()
        self.settle()
        self.assertEqual(self.audited("end"), [])
        self.ended(ce, session, "its client is gone", 100)
        (line,) = self.audited("end")
        reason = "its client is gone"
        counts = {"seconds": 2.5, "received": 100, "sent": 200}
        self.assertLine(line, event="end", by="client", reason=reason, **counts, **known)

    def test_ends(self) -> None:
        """
        Who has ended it: the site, in good order or not, the lease, or the CE's restart; and
        a CE that says nothing after its client has gone is waited for, and not for ever.
        """
        ce = self.readyCE()
        for reason in ("", "it broke", commands.LEASE_OVER + " of 3000 s"):
            self.ask()
            self.ended(ce, ce.starts[-1]["session"], reason)
        client = self.ask()  # the GAHP ends first, but its client is seen to go before
        client.close()
        self.settle()
        self.ended(ce, ce.starts[-1]["session"], "")
        client = self.ask()
        client.close()
        self.spend(watchlimits.AUDIT_END_TIMEOUT + 1)
        self.assertEqual(self.audited("end")[-1]["seconds"], 0)
        self.ended(ce, ce.starts[-1]["session"], "too late")
        self.ask()
        ce.control.abort()
        self.settle()
        self.readyCE()
        ends = [(line["by"], "received" in line) for line in self.audited("end")]
        expected = [("site", True), ("site", True), ("lease", True), ("site", True)]
        self.assertEqual(ends, [*expected, ("client", False), ("lost", False)])
        self.assertEqual(len(self.proxy.watch.ends), 0)

    def test_anothers(self) -> None:
        """
        What a site says of sessions that it has not is not recorded.
        """
        ce, other = self.readyCE(), self.readyCE(site=OTHER, instance=b"j" * 16)
        self.ask()
        self.ended(other, ce.starts[0]["session"], "mine")
        self.ended(other, "no such session", "mine")
        self.assertEqual(self.audited("end"), [])

    def test_restarted(self) -> None:
        """
        A session that is older than this proxy is recorded when it is claimed, and at its
        end, claimed or not.
        """
        ce, _ = self.dialCE()
        ce.hello()
        entries = [entryOf(name, owner=ALICE) for name in ("s1", "s2")]
        self.successResultOf(ce.listEntries(entries))
        self.claim("s1")
        (line,) = self.audited("claim")
        known = {**self.WHO, "session": "s1", "site": SITE, "gahp": "blahpd"}
        self.assertLine(line, event="claim", decision="allowed", **known)
        self.ended(ce, "s1", "", 5)
        self.ended(ce, "s2", "", 6)
        first, second = self.audited("end")
        self.assertLine(first, event="end", by="site", received=5, sent=10, **known)
        counts = {"received": 6, "sent": 12}
        self.assertLine(second, event="end", by="site", session="s2", site=SITE, **counts)

    def test_older(self) -> None:
        """
        Of a session that is older than this proxy only what comes from now on is counted.
        """
        ce, _ = self.dialCE()
        ce.hello()
        entries = [entryOf(name, owner=ALICE) for name in ("s1", "s2")]
        self.successResultOf(ce.listEntries(entries))
        counts = self.proxy.watch.counts
        news = {"phase": "running", "pid": 7, "stalled": 0, "tunnels": 0}
        news |= {"tunnelsReceived": 0, "tunnelsSent": 0}
        last = {"sent": 2000, "outcome": None, "status": None, "lived": None, "signal": None}
        self.claim("s1")
        ce.news = [{"session": "s1", **news, "received": 1000, "sent": 1000, "channels": 9}]
        self.spend(6)
        self.assertEqual((counts.carried["received"], counts.resumptions), (0, 0))
        ce.news = [{"session": "s1", **news, "received": 1001, "sent": 1000, "channels": 10}]
        self.spend(6)
        self.assertEqual((counts.carried["received"], counts.resumptions), (1, 1))
        self.proxy.sessionEnded(SITE, "s1", "", received=1003, **last)
        self.proxy.sessionEnded(SITE, "s2", "", received=1000, **last)
        self.assertEqual((counts.carried["received"], counts.carried["sent"]), (3, 1000))

    def test_stopped(self) -> None:
        """
        When the proxy stops, a session whose CE was waited for is recorded without its bytes;
        those that go on are not.
        """
        self.readyCE()
        self.ask().close()
        self.ask()
        self.settle()
        self.proxy.watch.close()
        (line,) = self.audited("end")
        self.assertNotIn("received", line)

    def test_refused(self) -> None:
        """
        A start that is refused, here or by the CE, with the reason; one that begins again and
        again, a hundred times and then two each second.
        """
        self.spend(limits.YOUTH)
        self.ask(site="elsewhere.example", account="bob")
        reason = self.audited("refused")[0].pop("reason")
        self.assertIn("elsewhere.example is not connected", reason)
        ce = self.readyCE()
        ce.answer = lambda: fail(StartFailed("no disk is left"))
        self.ask()
        self.assertLine(
            self.audited("refused")[1],
            event="refused",
            decision="refused",
            action="start",
            reason="no disk is left",
            site=SITE,
            gahp="blahpd",
            **self.WHO,
        )
        for _ in range(200):
            self.ask().close()
        self.assertEqual(len(self.audited("refused")), 100)
        ce.answer = lambda: {"tunnelPort": 0}
        self.ask()
        self.assertEqual(self.audited("start")[0]["omitted"], 102)

    def test_register(self) -> None:
        """
        A CE that is accepted, and one that is refused, with the reason.
        """
        self.readyCE()
        (line,) = self.audited("register")
        known = {"who": f"{SITE}@site.rvgahp", "method": "SSL", "principal": f"/CN={SITE}"}
        known |= {"site": SITE, "address": "192.0.2.7", "software": "double 1"}
        known["rule"] = "built in: the site of its certificate"
        self.assertLine(line, event="register", decision="allowed", **known)
        ce, _ = self.dialCE(options=clientOptions(ceCredentials(OTHER), HOST))
        self.failureResultOf(ce.hello(site=SITE))
        (line,) = self.audited("refused")
        reason = f"{OTHER}@site.rvgahp may not register site {SITE}: its certificate is of"
        self.assertIn(reason, line.pop("reason"))
        known = {"who": f"{OTHER}@site.rvgahp", "method": "SSL", "principal": f"/CN={OTHER}"}
        known |= {"site": SITE, "address": "192.0.2.7"}
        self.assertLine(line, event="refused", decision="refused", action="register", **known)

    def test_denied(self) -> None:
        """
        A start, and a CE, that a rule denies, each with who it was and which rule.
        """
        self.obey("DENY START bob@*\nDENY REGISTER */192.0.2.7\nALLOW START *")
        self.uid = 1002
        self.ask()
        ce, _ = self.dialCE()
        self.failureResultOf(ce.hello())
        start, register = self.audited("refused")
        self.assertIn(f"{ACCESS_FILE}:1 denies it", start["reason"])
        self.assertEqual((start["action"], start["who"]), ("start", f"bob@{DOMAIN}"))
        self.assertIn(f"{ACCESS_FILE}:2 denies it", register["reason"])
        self.assertEqual((register["action"], register["who"]), ("register", f"{SITE}@site.rvgahp"))

    def test_log(self) -> None:
        """
        The log has one who is refused at once, with the rule, and then how often, whatever he
        does.
        """
        self.obey("DENY START *")
        with capturedLogs() as logs:
            for _ in range(50):
                self.ask().close()
            self.spend(watchlimits.WARNINGS_PERIOD)
        first, *more = [one for one in logs if str(one.get("rule")).startswith(ACCESS_FILE)]
        self.assertEqual(first["rule"], f"{ACCESS_FILE}:1: DENY START *")
        self.assertIn(f"{ALICE} may not start", first["what"])
        self.assertEqual([one["more"] for one in more], [" (49 more within 10 s)"])

    def test_unauthenticated(self) -> None:
        """
        A CE that has not proved who it is has no name in its refusal.
        """
        ce, _ = self.dialCE(authenticates=False)
        self.failureResultOf(ce.hello())
        (line,) = self.audited("refused")
        self.assertEqual(line.pop("reason"), "Authenticate comes first")
        known = {"address": "192.0.2.7"}
        self.assertLine(line, event="refused", decision="refused", action="register", **known)

    def test_none(self) -> None:
        """
        Without the setting nothing is written, and all works.
        """
        self.proxy.settings = settingsFrom("proxy", Configuration(None, {}))
        self.readyCE()
        self.assertIn(b"_answer", self.ask().boxes[0])
        self.assertFalse(self.path.exists())


class PenaltyTests(WatchTestCase):
    """
    What a CE's failures count.
    """

    ADDRESS = "192.0.2.7"

    def seconds(self) -> float:
        """
        @return: what its address has to pay.
        """
        end, _ = self.proxy.watch.penalties._tables[0].get(self.ADDRESS)
        return max(0.0, end - self.loop.seconds())

    def test_hello(self) -> None:
        """
        A Hello that is refused is a failure, once for each connection.
        """
        ce, _ = self.dialCE()
        for _ in range(5):
            self.failureResultOf(ce.hello(site=OTHER))
        ce.control.abort()
        self.settle()
        self.assertEqual(self.seconds(), 2.0)

    def test_taken(self) -> None:
        """
        One that finds its site taken by another CE has done nothing wrong.
        """
        self.readyCE()
        ce, _ = self.dialCE(instance=b"j" * 16)
        self.failureResultOf(ce.hello())
        ce.control.abort()
        self.settle()
        self.assertEqual(self.seconds(), 0.0)

    def test_late(self) -> None:
        """
        One that says no Hello in time.
        """
        self.dialCE()
        self.spend(limits.GREETING_TIMEOUT + 0.1)
        self.assertAlmostEqual(self.seconds(), 1.9)

    def test_TLS(self) -> None:
        """
        One whose certificate is refused.
        """
        self.dialCE(options=clientOptions(ceCredentials(signer="others"), HOST))
        self.assertEqual(self.seconds(), 2.0)

    def test_gone(self) -> None:
        """
        One that goes before its Hello, and one that has to make room.
        """
        ce, _ = self.dialCE()
        ce.control.abort()
        self.settle()
        self.assertEqual(self.seconds(), 0.5)
        self.dialCE()
        self.room.clear()
        self.settle()
        self.assertEqual(self.seconds(), 1.0)

    def test_good(self) -> None:
        """
        One that is accepted is trusted from then on, and the hour begins when it goes.
        """
        penalties = self.proxy.watch.penalties
        for _ in range(10):
            penalties.failed(self.ADDRESS, "garbage")
        self.assertTrue(penalties.isRefused(self.ADDRESS))
        ce = self.readyCE()
        self.assertFalse(penalties.isRefused(self.ADDRESS))
        self.loop.advance(10)
        ce.control.abort()
        self.settle()
        self.assertEqual(penalties._proved[self.ADDRESS], self.loop.seconds() + 3600)
        self.assertEqual(penalties._here, {})
