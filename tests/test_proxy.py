"""
Tests of L{rvgahp.proxy}: CEs over TLS in memory, clients over real UNIX sockets.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.protocols.amp import RemoteAmpError

from rvgahp import commands, limits, localcommands, proxy
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, NotAuthorized, SessionGone, UnknownGAHP
from rvgahp.mapfile import parse
from rvgahp.proxy import commonVersion
from rvgahp.settings import settingsFrom
from tests.broker import ACCESS_FILE, DOMAIN, OWNER, POLICY, BrokerTestCase, entryOf
from tests.identities import SITE
from tests.localclient import LocalClient


class StartTests(BrokerTestCase):
    """
    Starting a GAHP.
    """

    def assertRefused(self, client: LocalClient, code: bytes, *words: str) -> None:
        """
        The client has been refused, with such an error and these words.
        """
        self.settle()
        client.read()
        (box,) = client.boxes
        self.assertEqual(box.get(b"_error_code"), code)
        for word in words:
            self.assertIn(word, box[b"_error_description"].decode())
        self.assertEqual(self.proxy.sessions, {})

    def test_started(self) -> None:
        """
        The site is asked with all it needs, and the client told all it needs; both have
        the same key, and nobody else.
        """
        ce = self.readyCE()
        with capturedLogs() as logs:
            client = self.ask(account="alice")
        (start,) = ce.starts
        (box,) = client.boxes
        answer = localcommands.RequestGAHP.parseResponse(box, None)
        key, tickets = start.pop("key"), start.pop("tickets")
        session = start.pop("session")
        self.assertEqual(
            start,
            {
                "keyNumber": 1,
                "gahp": "blahpd",
                "account": "alice",
                "tunnel": False,
                "tunnelPort": 0,
                "owner": OWNER,
                "serverPolicy": POLICY,
                "outcome": "encrypt",
                "method": "AES",
                "duration": 86400,
                "lease": 3000,
                "commands": ["gahp"],
            },
        )
        self.assertEqual(
            answer,
            {
                "version": 1,
                "session": session,
                "key": key,
                "keyNumber": 1,
                "serverPolicy": POLICY,
                "clientPolicy": POLICY,
                "outcome": "encrypt",
                "method": "AES",
                "duration": 86400,
                "lease": 3000,
                "window": 16 << 20,
                "total": 256 << 20,
                "startTimeout": 10,
                "stdinLimit": 64 << 20,
                "callTimeout": 300,
                "responseTimeout": 20,
                "site": SITE,
                "tunnelPort": 0,
                "forwardTo": "",
            },
        )
        self.assertEqual(len(key), limits.KEY_BYTES)
        self.assertEqual(len(set(tickets)), limits.TICKETS_PER_START)
        self.assertRegex(session, rf"^[^:]+:{os.getpid()}:\d+:1:[0-9a-f]{{16}}$")
        for secret in (key, *tickets):
            self.assertNotIn(repr(secret)[2:-1], repr(logs))

    def test_timers(self) -> None:
        """
        The client is told the gridmanager's own timers as the configuration has them.
        """
        settings = {
            "GRIDMANAGER_GAHP_CALL_TIMEOUT": "0",
            "RVGAHP.GRIDMANAGER_GAHP_RESPONSE_TIMEOUT": "45",
        }
        self.proxy.settings = settingsFrom("proxy", Configuration(None, settings))
        self.readyCE()
        (box,) = self.ask().boxes
        answer = localcommands.RequestGAHP.parseResponse(box, None)
        self.assertEqual((answer["callTimeout"], answer["responseTimeout"]), (0, 45))

    def test_sessionsDiffer(self) -> None:
        """
        No two starts have an id or a key in common.
        """
        ce = self.readyCE()
        for _ in range(5):
            self.ask()
        for name in ("session", "key"):
            self.assertEqual(len({start[name] for start in ce.starts}), 5)

    def test_noSite(self) -> None:
        """
        A site that is not connected is named, and no other; so is one that there cannot be.
        """
        self.spend(limits.YOUTH)
        self.readyCE()
        self.dialCE(site="half.example")[0].hello()
        client = self.ask(site="elsewhere.example")
        self.assertRefused(client, b"NoSuchSite", "site elsewhere.example is not connected")
        self.assertRefused(self.ask(site="half.example"), b"NoSuchSite", "site half.example is")
        self.assertRefused(self.ask(site="no such\nthing"), b"NoSuchSite", "cannot be the name")
        self.assertRefused(self.ask(site=""), b"NoSuchSite", "no site is named")

    def test_restarted(self) -> None:
        """
        A proxy that was just started waits for the site, but not for long, nor for a
        client that has gone meanwhile.
        """
        client, gone, other = self.ask(), self.ask(), self.ask(site="other.example")
        self.spend(limits.RESTART_GRACE - 0.1)
        self.assertEqual(client.read(), [])
        gone.close()
        self.settle()
        ce = self.readyCE()
        self.settle()
        self.assertEqual([box.get(b"_answer") for box in client.read()], [b"1"])
        self.assertEqual(len(ce.starts), 1)
        self.spend(0.2)
        (box,) = other.read()
        self.assertEqual(box[b"_error_code"], b"NoSuchSite")
        self.assertNotIn(SITE, box[b"_error_description"].decode())

    def test_account(self) -> None:
        """
        The account is the site's to judge, unless there is a site that has it in its name:
        then that is meant.
        """
        plain = self.readyCE()
        self.ask(account="alice")
        mine = self.readyCE(site=f"alice@{SITE}", instance=b"j" * 16)
        self.ask(account="alice")
        self.ask(account="bob")
        self.assertEqual([start["account"] for start in plain.starts], ["alice", "bob"])
        self.assertEqual([start["account"] for start in mine.starts], [""])
        sites = {record.site for record in self.proxy.sessions.values()}
        self.assertEqual(sites, {SITE, mine.site})
        client = self.ask(account="no such\nthing")
        self.assertEqual(client.boxes[0][b"_error_code"], b"NoSuchSite")

    def test_socketOfASite(self) -> None:
        """
        Whoever comes by the socket of one site gets that one, named or not, and no other.
        """
        ce, other = self.readyCE(), self.readyCE(site="other.example", instance=b"j" * 16)
        for site in ("", SITE):
            client = self.client(SITE)
            client.request(site=site, account="alice")
            self.settle()
            self.assertEqual(client.read()[0][b"_answer"], b"1")
        self.assertEqual([start["account"] for start in ce.starts], ["alice", "alice"])
        client = self.client(SITE)
        client.request(site=other.site)
        self.settle()
        client.read()
        (box,) = client.boxes
        self.assertEqual(box[b"_error_code"], b"NoSuchSite")
        for word in (SITE, other.site, "RVGAHP_SITE_SOCKETS"):
            self.assertIn(word, box[b"_error_description"].decode())
        self.assertEqual(other.starts, [])

    def test_impossibleGAHP(self) -> None:
        """
        A name that no GAHP can have does not get as far as a site or a log.
        """
        ce = self.readyCE()
        with capturedLogs() as logs:
            client = self.ask(gahp="blahpd\nSession forged: all is well")
        self.assertRefused(client, b"UnknownGAHP", "cannot be the name")
        self.assertEqual(ce.starts, [])
        self.assertNotIn("forged", repr([event.get("gahp") for event in logs]))

    def test_versions(self) -> None:
        """
        A client with no version in common is told to be upgraded.
        """
        self.readyCE()
        self.assertRefused(self.ask(versions=[7]), b"VersionMismatch", "[7]", "upgrade")
        self.assertEqual(commonVersion([5, 1]), 1)

    def test_refusals(self) -> None:
        """
        Each refusal of the site reaches the client as it is; the log has it too.
        """
        ce = self.readyCE()
        for error, code in commands.StartGAHP.errors.items():

            def refuse(error: type[Exception] = error) -> None:
                raise error("for a reason")

            ce.answer = refuse
            with capturedLogs() as logs:
                client = self.ask()
            self.assertRefused(client, code, "for a reason")
            self.assertIn("for a reason", [event.get("reason") for event in logs])
        self.assertEqual(ce.ends, [])

    def test_tooSlow(self) -> None:
        """
        A site that does not answer in time is named, and told to end what it started; an
        answer that comes later changes nothing.
        """
        ce = self.readyCE()
        late: Deferred[dict[str, int]] = Deferred()
        ce.answer = lambda: late
        client = self.ask()
        self.spend(self.proxy.startTimeout - 0.1)
        self.assertEqual(client.read(), [])
        self.spend(0.2)
        self.assertRefused(client, b"StartFailed", SITE, "within 10 s", "log")
        self.assertEqual([name for name, _ in ce.ends], [ce.starts[0]["session"]])
        late.callback({"tunnelPort": 0})
        self.settle()
        self.assertFalse(self.admit(ce.starts[0]["tickets"][0])[0])
        self.assertEqual(client.read(), [])

    def test_connectionLost(self) -> None:
        """
        If the site's connection breaks meanwhile, the client may try again, and the site
        learns later that this session is over.
        """
        ce = self.readyCE()
        ce.answer = Deferred
        client = self.ask()
        ce.control.abort()
        self.assertRefused(client, b"StartFailed", f"connection to site {SITE} was lost", "again")
        session = ce.starts[0]["session"]
        ce, _ = self.dialCE()
        ce.hello()
        self.assertEqual(self.successResultOf(ce.list(session)), {"gone": [session]})

    def test_strangeAnswer(self) -> None:
        """
        An answer that is not understood is not taken for a lost connection; the site is to
        end what it started.
        """
        ce = self.readyCE()
        ce.answer = lambda: fail(RemoteAmpError(b"FromTheFuture", "it is not 2040 yet"))
        client = self.ask()
        self.assertRefused(
            client, b"StartFailed", "was not understood", "it is not 2040 yet", "upgrade"
        )
        self.assertEqual(len(ce.ends), 1)

    def test_clientGoneMeanwhile(self) -> None:
        """
        A client that goes before the site has answered: the site is told at once, and the
        answer is for nobody.
        """
        ce = self.readyCE()
        answer: Deferred[dict[str, int]] = Deferred()
        ce.answer = lambda: answer
        client = self.ask()
        client.close()
        self.settle()
        self.assertEqual(ce.ends, [(ce.starts[0]["session"], "its client is gone")])
        answer.callback({"tunnelPort": 0})
        self.settle()
        self.assertEqual(self.proxy.sessions, {})
        self.assertFalse(self.admit(ce.starts[0]["tickets"][0])[0])

    def test_clientGoneAtOnce(self) -> None:
        """
        A client that goes as soon as it has asked leaves nothing behind.
        """
        ce = self.readyCE()
        client = self.client()
        client.request()
        client.close()
        self.settle()
        self.assertEqual(len(ce.starts), len(ce.ends))
        self.assertEqual(self.proxy.sessions, {})

    def test_clientGoneLater(self) -> None:
        """
        The end of a running GAHP's client is told.
        """
        ce = self.readyCE()
        client = self.ask()
        client.close()
        self.settle()
        self.assertEqual(ce.ends, [(ce.starts[0]["session"], "its client is gone")])


class AccessTests(BrokerTestCase):
    """
    Who may start what where.
    """

    def refusal(self, client: LocalClient) -> str:
        """
        @return: the sentence with which a client was refused what it may not.
        """
        (box,) = client.boxes
        self.assertEqual(box.get(b"_error_code"), b"NotAuthorized", box)
        self.assertEqual(self.proxy.sessions, {})
        return box[b"_error_description"].decode()

    def test_allowed(self) -> None:
        """
        Whom a rule lets is started for under his canonical name, and the session has the rule.
        """
        self.obey(f"ALLOW START site={SITE} gahp=blahpd account=bob alice@{DOMAIN}")
        self.become("alice")
        ce = self.readyCE()
        with capturedLogs() as logs:
            self.assertIn(b"_answer", self.ask(account="bob").boxes[0])
        (start,) = ce.starts
        self.assertEqual((start["owner"], start["account"]), (f"alice@{DOMAIN}", "bob"))
        (record,) = self.proxy.sessions.values()
        self.assertEqual(record.owner, f"alice@{DOMAIN}")
        self.assertTrue(record.rule.startswith(f"{ACCESS_FILE}:1: ALLOW"), record.rule)
        self.assertIn(record.rule, [event.get("rule") for event in logs])

    def test_refused(self) -> None:
        """
        Others are refused before the site is asked, each with a sentence that says who, what,
        why, and what to do.
        """
        self.obey(f"ALLOW START account=bob alice@{DOMAIN}\nDENY START gahp=cat *")
        ce = self.readyCE()
        self.become("alice")
        for changes, words in (
            ({}, f"no rule of {ACCESS_FILE} allows it"),
            ({"account": "eve"}, f"at site {SITE} as account eve: no rule"),
            ({"account": "bob", "gahp": "cat"}, f"start cat at site {SITE} as account bob: "),
            ({"account": "bob", "gahp": "cat"}, f"{ACCESS_FILE}:2 denies it"),
        ):
            sentence = self.refusal(self.ask(**changes))
            for word in (f"alice@{DOMAIN} may not start ", words, "rvgahp invite"):
                self.assertIn(word, sentence)
        self.assertEqual(ce.starts, [])

    def test_builtIn(self) -> None:
        """
        Without rules the owner of a site, root and the proxy's own account may use it, and
        nobody else; a rule that denies stands above.
        """
        ce = self.readyCE()
        self.access.ownerOf = {SITE: f"alice@{DOMAIN}"}.get
        for name, uid, rule in (
            ("alice", 4242, "the owner of the site"),
            ("root", 0, "root"),
            ("rvgahp", os.geteuid(), "root" if not os.geteuid() else "the account of the proxy"),
        ):
            self.become(name, uid)
            self.assertIn(b"_answer", self.ask().boxes[0])
            record = list(self.proxy.sessions.values())[-1]
            self.assertEqual(record.rule, f"built in: {rule}")
        self.become("bob")
        (box,) = self.ask().boxes
        self.assertEqual(box.get(b"_error_code"), b"NotAuthorized")
        self.obey("DENY START *")
        self.become("root", 0)
        (box,) = self.ask().boxes
        self.assertEqual(box.get(b"_error_code"), b"NotAuthorized")
        self.assertEqual(len(ce.starts), 3)

    def test_euid(self) -> None:
        """
        The proxy's own account need not be root's.
        """
        self.patch(os, "geteuid", lambda: 4242)
        self.become("rvgahp")
        self.readyCE()
        self.ask()
        (record,) = self.proxy.sessions.values()
        self.assertEqual(record.rule, "built in: the account of the proxy")

    def test_absentSite(self) -> None:
        """
        Who may not use a site does not learn whether it is connected; nor does he wait for it.
        """
        self.become("bob")
        absent = self.refusal(self.ask())
        self.readyCE()
        self.assertEqual(self.refusal(self.ask()), absent)

    def test_siteOfAnAccount(self) -> None:
        """
        With an account, of the two sites that may be meant those count that he may use.
        """
        ce = self.readyCE()
        mine = self.readyCE(site=f"alice@{SITE}", instance=b"j" * 16)
        self.become("bob")
        self.obey(f"ALLOW START site={SITE} account=alice *")
        with capturedLogs() as logs:
            self.ask(account="alice")
        self.assertEqual([start["account"] for start in ce.starts], ["alice"])
        self.assertEqual([one for one in logs if "Refused" in str(one.get("log_format"))], [])
        self.obey(f"ALLOW START site=alice@{SITE} account=* *")
        self.ask(account="alice")
        self.assertEqual([start["account"] for start in mine.starts], [""])
        self.obey(f"ALLOW START account=alice *\nDENY START site={SITE} *")
        client = self.ask(account="alice")
        self.assertIn(f"at site {SITE} as account alice", str(client.boxes))
        self.assertEqual((len(ce.starts), len(mine.starts)), (1, 1))

    def test_changedMeanwhile(self) -> None:
        """
        Rules that change while the site is waited for count.
        """
        self.obey("ALLOW START *")
        self.become("bob")
        client = self.ask()
        self.obey("")
        ce = self.readyCE()
        self.settle()
        client.read()
        self.assertIn("no rule of", self.refusal(client))
        self.assertEqual(ce.starts, [])

    def test_map(self) -> None:
        """
        A user has the name that the map file gives him; without a proper one he may nothing.
        """
        text = b"FS ^alice$ physicist@x.org\nFS ^eve$ eve@banned.htcondor.org\nFS ^bob$ @x"
        self.access.names.mapFile = parse(text, "/m/map")
        self.obey("ALLOW START *")
        ce = self.readyCE()
        for name, word in (("eve", "always denied"), ("bob", "has no canonical name")):
            self.become(name)
            self.assertIn(word, self.refusal(self.ask()))
        self.become("alice")
        self.ask()
        self.assertEqual([start["owner"] for start in ce.starts], ["physicist@x.org"])


class EndTests(BrokerTestCase):
    """
    Sessions that end at the site.
    """

    def test_ended(self) -> None:
        """
        The client is told the reason, which is empty where all was in good order, once;
        and its going away afterwards is told to nobody.
        """
        ce = self.readyCE()
        for reason in ("", "it broke"):
            client = self.ask()
            session = ce.starts[-1]["session"]
            for _ in range(2):
                end = {"session": session, "reason": reason, "received": 0, "sent": 0}
                self.successResultOf(ce.call(commands.SessionEnded, **end))
            self.assertEqual([box[b"reason"].decode() for box in client.read()], [reason])
            client.close()
            self.settle()
        self.assertEqual(ce.ends, [])

    def test_anothers(self) -> None:
        """
        A site cannot end another's sessions.
        """
        ce, other = self.readyCE(), self.readyCE(site="other.example")
        client = self.ask()
        session = ce.starts[-1]["session"]
        end = {"session": session, "reason": "mine", "received": 0, "sent": 0}
        self.successResultOf(other.call(commands.SessionEnded, **end))
        self.assertEqual(client.read(), [])
        self.assertIn(session, self.proxy.sessions)

    def test_rememberedNotForEver(self) -> None:
        """
        Of the ends that absent CEs must be told, so many are kept.
        """
        self.patch(proxy, "_REMEMBERED", 3)
        for number in range(5):
            self.proxy.remember(f"s{number}", SITE)
        listed = self.proxy.sessionsListed(SITE, [entryOf(f"s{number}") for number in range(5)])
        self.assertEqual(listed, ["s2", "s3", "s4"])


class TicketTests(BrokerTestCase):
    """
    Tickets, and who gets them.
    """

    def test_used(self) -> None:
        """
        A ticket opens the gate once, and not after 10 s.
        """
        ce = self.readyCE()
        self.ask()
        first, second, _ = ce.starts[0]["tickets"]
        self.assertTrue(self.admit(first)[0])
        self.assertFalse(self.admit(first)[0])
        self.spend(limits.TICKET_LIFETIME)
        self.assertFalse(self.admit(second)[0])
        self.assertFalse(self.admit(bytes(16))[0])

    def test_openChannel(self) -> None:
        """
        A CE gets tickets for its own sessions, as long as they are there.
        """
        ce, other = self.readyCE(), self.readyCE(site="other.example")
        client = self.ask(tunnel=True)
        wanted = {"session": ce.starts[0]["session"], "stream": 7}
        ticket = self.successResultOf(ce.call(commands.OpenChannel, **wanted))["ticket"]
        self.assertTrue(self.admit(ticket)[0])
        self.failureResultOf(other.call(commands.OpenChannel, **wanted), NotAuthorized)
        client.read()
        self.assertEqual(client.boxes[-1][b"stream"], b"7")
        client.close()
        self.settle()
        self.failureResultOf(ce.call(commands.OpenChannel, **wanted), SessionGone)

    def test_bound(self) -> None:
        """
        No session has more than 200 tickets out, those of its start among them; old and
        used ones do not count, and neither do those of other sessions.
        """
        ce = self.readyCE()
        self.ask(tunnel=True)
        self.ask(tunnel=True)
        wanted, other = ({"session": start["session"], "stream": 7} for start in ce.starts)
        tickets = [
            self.successResultOf(ce.call(commands.OpenChannel, **wanted))["ticket"]
            for _ in range(200 - limits.TICKETS_PER_START)
        ]
        self.assertEqual(len(set(tickets)), len(tickets))
        refused = self.failureResultOf(ce.call(commands.OpenChannel, **wanted), Busy)
        self.assertIn("200 tickets", refused.getErrorMessage())
        self.successResultOf(ce.call(commands.OpenChannel, **other))
        self.assertTrue(self.admit(tickets[0])[0])
        self.successResultOf(ce.call(commands.OpenChannel, **wanted))
        self.failureResultOf(ce.call(commands.OpenChannel, **wanted), Busy)
        self.spend(limits.TICKET_LIFETIME)
        self.successResultOf(ce.call(commands.OpenChannel, **wanted))

    def test_withoutTunnels(self) -> None:
        """
        A session without tunnels gets tickets for its GAHP's stream only.
        """
        ce = self.readyCE()
        client = self.ask()
        wanted = {"session": ce.starts[0]["session"]}
        refused = self.failureResultOf(
            ce.call(commands.OpenChannel, **wanted, stream=1), NotAuthorized
        )
        self.assertIn("has no tunnels", refused.getErrorMessage())
        ticket = self.successResultOf(ce.call(commands.OpenChannel, **wanted, stream=0))["ticket"]
        self.assertTrue(self.admit(ticket)[0])
        client.read()
        self.assertEqual(client.boxes[-1][b"stream"], b"0")

    def test_impossibleStreams(self) -> None:
        """
        A stream's number has four bytes.
        """
        ce = self.readyCE()
        self.ask(tunnel=True)
        wanted = {"session": ce.starts[0]["session"]}
        for stream in (-1, 2**32, 10**40):
            refused = self.failureResultOf(
                ce.call(commands.OpenChannel, **wanted, stream=stream), NotAuthorized
            )
            self.assertIn(str(stream), refused.getErrorMessage())
        for stream in (1, 2**32 - 1):
            self.successResultOf(ce.call(commands.OpenChannel, **wanted, stream=stream))


class TunnelTests(BrokerTestCase):
    """
    Starts of GAHPs with tunnels.
    """

    settings = {"RVGAHP_FORWARD_TO": "[2001:db8::7]:9618"}

    def test_started(self) -> None:
        """
        The site is told that there may be tunnels, and on which port if one is wished; the
        client is told the site's port, and where tunnels go.
        """
        ce = self.readyCE()
        ce.answer = lambda: {"tunnelPort": 40123}
        for wished in (0, 40123):
            client = self.ask(tunnel=True, tunnelPort=wished)
            start = ce.starts[-1]
            self.assertEqual(start["commands"], ["gahp", "tunnel"])
            self.assertEqual((start["tunnel"], start["tunnelPort"]), (True, wished))
            answer = localcommands.RequestGAHP.parseResponse(client.boxes[0], None)
            self.assertEqual(answer["tunnelPort"], 40123)
            self.assertEqual(answer["forwardTo"], "[2001:db8::7]:9618")

    def test_notAsked(self) -> None:
        """
        Who has not asked for tunnels gets none, whatever he and the site say of ports.
        """
        ce = self.readyCE()
        ce.answer = lambda: {"tunnelPort": 40123}
        client = self.ask(tunnel=False, tunnelPort=40123)
        self.assertEqual((ce.starts[0]["tunnel"], ce.starts[0]["tunnelPort"]), (False, 0))
        self.assertEqual(ce.starts[0]["commands"], ["gahp"])
        self.assertEqual(client.boxes[0][b"tunnelPort"], b"0")


class IntegrityTests(BrokerTestCase):
    """
    A proxy that does not ask for secrecy.
    """

    settings = {
        "RVGAHP.SEC_DEFAULT_ENCRYPTION": "NEVER",
        "RVGAHP.SEC_DEFAULT_INTEGRITY": "OPTIONAL",
    }

    def refusal(self, client: LocalClient) -> str:
        """
        @return: why a start was refused because of the policies.
        """
        (box,) = client.boxes
        self.assertEqual(box.get(b"_error_code"), b"PolicyConflict")
        return box[b"_error_description"].decode()

    def ready(self, policy: str) -> Any:
        """
        @return: a CE with this policy that takes starts.
        """
        ce, _ = self.dialCE()
        ce.hello(policy=policy)
        self.successResultOf(ce.list())
        return ce

    def test_conflict(self) -> None:
        """
        A CE that requires what we never allow is not asked; the sentence names the setting
        and both levels.
        """
        ce = self.ready("R:R:AES")
        refusal = self.refusal(self.ask())
        for word in ("SEC_DEFAULT_ENCRYPTION", "NEVER", "REQUIRED"):
            self.assertIn(word, refusal)
        self.assertEqual(ce.starts, [])

    def test_integrity(self) -> None:
        """
        Authenticated and readable is enough for one GAHP, and not for one that carries a
        key, or that has tunnels to the gridmanager.
        """
        ce = self.ready("O:R:AES")
        client = self.ask()
        self.assertEqual(client.boxes[0][b"outcome"], b"integrity")
        self.assertEqual(ce.starts[0]["outcome"], "integrity")
        refusal = self.refusal(self.ask(gahp="condor_ft-gahp"))
        self.assertIn("only started where channels are encrypted", refusal)
        refusal = self.refusal(self.ask(tunnel=True))
        self.assertIn("only started where channels are encrypted", refusal)
        self.assertEqual(len(ce.starts), 1)

    def test_cleartext(self) -> None:
        """
        Neither secret nor authenticated it goes only to peers that are named.
        """
        ce = self.ready("O:O:AES")
        self.assertIn("does not name 192.0.2.7", self.refusal(self.ask()))
        self.assertEqual(ce.starts, [])


class CleartextTests(IntegrityTests):
    """
    The same, where the CE's network is named.
    """

    settings = {**IntegrityTests.settings, "RVGAHP_CLEARTEXT_PEERS": "192.0.2.0/24"}

    def test_cleartext(self) -> None:
        """
        To those it goes.
        """
        ce = self.ready("O:O:AES")
        self.assertEqual(self.ask().boxes[0][b"outcome"], b"none")
        self.assertEqual((ce.starts[0]["outcome"], ce.starts[0]["method"]), ("none", ""))


class UnknownTests(BrokerTestCase):
    """
    A site's own word.
    """

    def test_unknownGAHP(self) -> None:
        """
        That a GAHP is not on offer is the site's to say.
        """
        ce = self.readyCE()

        def refuse() -> None:
            raise UnknownGAHP("the site offers no GAHP named 'x'")

        ce.answer = refuse
        (box,) = self.ask(gahp="x").boxes
        self.assertEqual(box[b"_error_code"], b"UnknownGAHP")
