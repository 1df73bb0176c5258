"""
Tests of L{rvgahp.claims}: a proxy that has been restarted, with CEs over TLS and clients
over UNIX sockets.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from rvgahp import commands, limits, localcommands
from rvgahp.errors import Busy, InternalError, NotAuthorized, NotYet, SessionGone
from rvgahp.mapfile import parse
from rvgahp.primitives import hmac
from tests.broker import ACCESS_FILE, DOMAIN, OWNER, BrokerTestCase, CEDouble, entryOf
from tests.identities import SITE
from tests.localclient import LocalClient
from tests.sessions import SESSION_ID, makeSession

OTHER = "other.example"

CLAIM_KEY = makeSession().claimKey()


class ClaimsTestCase(BrokerTestCase):
    """
    What all have in common.
    """

    def entry(self, **changes: Any) -> dict[str, Any]:
        """
        @return: what its CE lists of the session.
        """
        return {**entryOf(SESSION_ID, claim=CLAIM_KEY), **changes}

    def listed(self, **changes: Any) -> CEDouble:
        """
        @return: a CE that has listed the session.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([self.entry(**changes)]))
        return ce

    def call(self, client: LocalClient, command: Any, **arguments: Any) -> dict[bytes, bytes]:
        """
        @return: what the proxy answers.
        """
        tag = b"tag %d" % self.number
        self.number += 1
        box = command.makeArguments(arguments, None)
        client.send({**box, b"_command": command.commandName, b"_ask": tag})
        self.settle()
        client.read()
        (answer,) = (
            box for box in client.boxes if tag in (box.get(b"_answer"), box.get(b"_error"))
        )
        return answer

    number = 0

    def claim(
        self, client: LocalClient, session: str = SESSION_ID, site: str = SITE
    ) -> dict[bytes, bytes]:
        """
        @return: what the proxy says to a claim.
        """
        return self.call(client, localcommands.Claim, session=session, site=site)

    def prove(
        self, client: LocalClient, nonce: bytes, key: bytes = CLAIM_KEY, session: str = SESSION_ID
    ) -> dict[bytes, bytes]:
        """
        @return: what the proxy says to this proof.
        """
        proof = hmac(key, b"claim" + nonce)
        return self.call(client, localcommands.Prove, session=session, proof=proof)

    def claimed(self) -> LocalClient:
        """
        @return: a client that has claimed the session.
        """
        client = self.client()
        answer = self.prove(client, self.claim(client)[b"nonce"])
        self.assertIn(b"_answer", answer)
        return client

    def assertRefused(self, answer: dict[bytes, bytes], code: type[Exception], word: str) -> None:
        """
        It is a refusal, of this kind, with this word in its sentence.
        """
        self.assertEqual(answer.get(b"_error_code"), code.__name__.encode(), answer)
        self.assertIn(word, answer[b"_error_description"].decode())

    def openChannel(self, ce: CEDouble, stream: int = 0) -> Deferred[Any]:
        """
        @return: what the proxy says to the CE that wants a ticket.
        """
        return ce.call(commands.OpenChannel, session=SESSION_ID, stream=stream)


class ClaimTests(ClaimsTestCase):
    """
    Who may claim, and what he has of it.
    """

    def test_adopted(self) -> None:
        """
        After the claim all is as if the client had asked for the GAHP over this connection:
        the CE gets tickets, channels are handed over, ends are told.
        """
        ce = self.listed()
        client = self.claimed()
        ticket = self.successResultOf(self.openChannel(ce))["ticket"]
        self.assertTrue(self.admit(ticket)[0])
        client.read()
        self.assertEqual(client.boxes[-1][b"session"], SESSION_ID.encode())
        self.assertEqual(client.handed[0].recv(10), b"token")
        client.close()
        self.settle()
        self.assertEqual(ce.ends, [(SESSION_ID, "its client is gone")])
        self.failureResultOf(self.openChannel(ce), SessionGone)

    def test_answerFirst(self) -> None:
        """
        A channel that has arrived by then comes after the answer to the proof.
        """
        ce = self.listed()
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        proof = hmac(CLAIM_KEY, b"claim" + nonce)
        box = localcommands.Prove.makeArguments({"session": SESSION_ID, "proof": proof}, None)
        client.send({**box, b"_command": b"Prove", b"_ask": b"p"})
        while SESSION_ID not in self.proxy.sessions:
            self.loop.advance(0)
            (local,) = (one for one in self.loop.readers.values() if hasattr(one, "user"))
            local.doRead()
        self.admit(self.proxy.openChannel(SITE, SESSION_ID, 0))
        client.read()
        self.assertEqual(
            [one.get(b"_answer", one.get(b"_command")) for one in client.boxes[1:]],
            [b"p", b"Channel"],
        )
        self.assertEqual(len(ce.ends), 0)

    def test_wrongProof(self) -> None:
        """
        A wrong proof is refused, and costs the question; the session is there for whoever
        has a right one.
        """
        self.listed()
        client = self.client()
        for make in (
            lambda nonce: hmac(bytes(32), b"claim" + nonce),
            lambda nonce: hmac(CLAIM_KEY, nonce),
            lambda nonce: hmac(CLAIM_KEY, b"claim" + bytes(32)),
            lambda nonce: hmac(CLAIM_KEY, b"claim" + nonce)[:-1],
            lambda nonce: hmac(makeSession().proofKey(), b"claim" + nonce),
            lambda nonce: b"",
            lambda nonce: CLAIM_KEY,
        ):
            nonce = self.claim(client)[b"nonce"]
            answer = self.call(client, localcommands.Prove, session=SESSION_ID, proof=make(nonce))
            self.assertRefused(answer, NotAuthorized, "the proof for session")
            self.assertRefused(self.prove(client, nonce), NotYet, "just now")
        self.assertEqual(self.proxy.sessions, {})
        self.claimed()

    def test_questions(self) -> None:
        """
        No question is asked twice, and each is for one connection.
        """
        self.listed()
        first, second = self.client(), self.client()
        nonces = [self.claim(one)[b"nonce"] for one in (first, second, first)]
        self.assertEqual(len(set(nonces)), 3)
        self.assertEqual({len(nonce) for nonce in nonces}, {limits.NONCE_BYTES})
        self.assertRefused(self.prove(second, nonces[2]), NotAuthorized, "is wrong")
        self.assertRefused(self.prove(first, nonces[0]), NotAuthorized, "is wrong")
        self.assertRefused(self.prove(self.client(), nonces[0]), NotYet, "just now")

    def test_otherSession(self) -> None:
        """
        A question for one session is none for another.
        """
        ce, _ = self.dialCE()
        ce.hello()
        other = entryOf("host:1:1:2", claim=bytes(32))
        self.successResultOf(ce.listEntries([self.entry(), other]))
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        answer = self.prove(client, nonce, bytes(32), "host:1:1:2")
        self.assertRefused(answer, NotYet, "session host:1:1:2 has not been claimed just now")

    def test_anotherUser(self) -> None:
        """
        Another user's session is not to be had, not even with its key.
        """
        name = OWNER.partition("@")[0]
        for owner in (f"somebody-else@{DOMAIN}", name, f"{name}@elsewhere", OWNER.upper()):
            self.listed(owner=owner)
            client = self.client()
            nonce = self.claim(client)[b"nonce"]
            answer = self.prove(client, nonce)
            self.assertRefused(answer, NotAuthorized, f"session {SESSION_ID} is not of {OWNER}")
            self.assertEqual(self.proxy.sessions, {})
            self.proxy.claims.forget(SESSION_ID, SITE)

    def test_mapped(self) -> None:
        """
        Whoever has the owner's name by the map file is the owner.
        """
        account = OWNER.partition("@")[0]
        self.access.names.mapFile = parse(f"FS ^{account}$ boss@x.org".encode(), "/m/map")
        self.listed(owner="boss@x.org")
        self.claimed()
        (record,) = self.proxy.sessions.values()
        self.assertEqual(record.owner, "boss@x.org")

    def test_notAllowed(self) -> None:
        """
        Whom the rules do not let have the session any more has it no longer: it is ended, and
        the client is told that it is gone, so that it does not ask again.
        """
        ce = self.listed(account="bob")
        self.obey("DENY START account=bob *")
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        self.assertRefused(self.prove(client, nonce), SessionGone, f"{ACCESS_FILE}:1 denies it")
        self.assertEqual(self.proxy.sessions, {})
        ((ended, reason),) = ce.ends
        self.assertEqual(ended, SESSION_ID)
        self.assertIn("denies it", reason)
        self.failureResultOf(self.openChannel(ce), SessionGone)

    def test_grant(self) -> None:
        """
        What is claimed has its rule, and the account that was asked for.
        """
        self.obey("ALLOW START account=bob *")
        self.listed(account="bob")
        self.claimed()
        (record,) = self.proxy.sessions.values()
        rule = f"{ACCESS_FILE}:1: ALLOW START account=bob *"
        self.assertEqual(record.grant, (OWNER, rule, "blahpd", "bob"))

    def test_anotherSite(self) -> None:
        """
        Nor is a session at another site than the one it is claimed of.
        """
        self.listed()
        self.readyCE(site=OTHER)
        self.assertRefused(self.claim(self.client(), site=OTHER), SessionGone, OTHER)
        self.claimed()

    def test_stranger(self) -> None:
        """
        Who may start nothing at a site does not learn whether it is connected or revoked, and
        is told so.
        """
        self.obey(f"DENY START site={SITE} *")
        answers = [self.claim(self.client())]
        ce = self.readyCE()
        answers.append(self.claim(self.client()))
        ce.control.abort()
        self.patch(self.proxy.enrolment, "isRevoked", lambda site: True)
        answers.append(self.claim(self.client()))
        for answer in answers:
            self.assertRefused(answer, NotYet, f"may start nothing at site {SITE}")

    def test_tooLate(self) -> None:
        """
        A question is good for 10 s.
        """
        self.listed()
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        self.spend(limits.CLAIM_LIFETIME + 0.1)
        self.assertRefused(self.prove(client, nonce), NotYet, "just now")
        nonce = self.claim(client)[b"nonce"]
        self.spend(limits.CLAIM_LIFETIME - 0.1)
        self.assertIn(b"_answer", self.prove(client, nonce))

    def test_busy(self) -> None:
        """
        A connection has one session, be it asked for or claimed; one that has been refused
        may claim again.
        """
        client = self.client()
        self.assertRefused(self.claim(client), NotYet, SITE)
        ce = self.listed()
        nonce = self.claim(client)[b"nonce"]
        request = dict.fromkeys(("site", "gahp", "account"), SITE)
        asked = self.call(
            client, localcommands.RequestGAHP, versions=[1], tunnel=False, tunnelPort=0, **request
        )
        self.assertRefused(asked, Busy, "open another")
        self.assertIn(b"_answer", self.prove(client, nonce))
        self.assertRefused(self.claim(client), Busy, "open another")
        self.assertEqual(ce.starts, [])
        other = self.ask()
        self.assertRefused(self.claim(other), Busy, "open another")

    def test_busyAsking(self) -> None:
        """
        So it is while the site has not answered yet: else the one of the two sessions
        would have nobody who sees its client go.
        """
        ce = self.listed()
        ce.answer = Deferred
        self.assertRefused(self.claim(self.ask()), Busy, "open another")
        pending = self.client()
        pending.request(site="another.example")  # which the proxy, being young, waits for
        self.settle()
        self.assertEqual(pending.read(), [])
        self.assertRefused(self.claim(pending), Busy, "open another")
        self.spend(limits.RESTART_GRACE)

    def test_rivals(self) -> None:
        """
        Of two connections that claim a session the one has it that proves first; the other
        hears that there is none to be had.
        """
        self.listed()
        first, second = self.client(), self.client()
        nonces = [self.claim(one)[b"nonce"] for one in (first, second)]
        self.assertIn(b"_answer", self.prove(second, nonces[1]))
        self.assertRefused(self.prove(first, nonces[0]), NotYet, "just now")
        self.assertRefused(self.claim(first), SessionGone, SITE)
        first.close()
        self.settle()
        self.assertIn(SESSION_ID, self.proxy.sessions)

    def test_twice(self) -> None:
        """
        A proof that has been taken is no good again.
        """
        self.listed()
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        self.assertIn(b"_answer", self.prove(client, nonce))
        self.assertRefused(self.prove(client, nonce), NotYet, "just now")
        self.assertEqual(list(self.proxy.sessions), [SESSION_ID])

    def test_clientGoes(self) -> None:
        """
        A client that goes before it has proved anything ends nothing, and nothing is kept
        of it.
        """
        ce = self.listed()
        client = self.client()
        self.claim(client)
        client.close()
        self.settle()
        self.assertEqual((self.proxy.claims._asked, ce.ends), ({}, []))
        self.claimed()

    def test_noSecrets(self) -> None:
        """
        Neither claim keys nor questions nor proofs get into the log.
        """
        with capturedLogs() as logs:
            self.listed()
            client = self.client()
            nonce = self.claim(client)[b"nonce"]
            self.prove(client, nonce, bytes(32))
            nonce2 = self.claim(client)[b"nonce"]
            self.prove(client, nonce2)
        self.assertIn(SESSION_ID, repr(logs))
        for secret in (CLAIM_KEY, nonce, nonce2, hmac(CLAIM_KEY, b"claim" + nonce2)):
            for form in (repr(secret)[2:-1], secret.hex()):
                self.assertNotIn(form, repr(logs))


class ListTests(ClaimsTestCase):
    """
    What CEs list, and when.
    """

    def test_notYet(self) -> None:
        """
        Before its CE has listed all its sessions one that is not among them may still be;
        afterwards it is gone.
        """
        client = self.client()
        self.assertRefused(self.claim(client), NotYet, f"site {SITE} is not connected")
        ce, _ = self.dialCE()
        self.assertRefused(self.claim(client), NotYet, SITE)
        ce.hello()
        self.assertRefused(self.claim(client), NotYet, SITE)
        self.successResultOf(ce.list("host:1:1:2", last=False))
        self.assertRefused(self.claim(client), NotYet, SITE)
        self.successResultOf(ce.list("host:1:1:3"))
        self.assertRefused(self.claim(client), SessionGone, "has ended it or was restarted")

    def test_early(self) -> None:
        """
        One that is listed can be claimed before all are, and stays.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([self.entry()], last=False))
        client = self.claimed()
        self.successResultOf(ce.list("host:1:1:2"))
        self.assertEqual(list(self.proxy.sessions), [SESSION_ID])
        self.assertEqual(client.read(), [])

    def test_ceReconnects(self) -> None:
        """
        A CE that connects again lists again: what it lists then counts, before a claim and
        after it.
        """
        for isClaimed in (False, True):
            for isThere in (True, False):
                client = self.client()
                ce = self.listed()
                if isClaimed:
                    client = self.claimed()
                ce.control.abort()
                self.settle()
                ce, _ = self.dialCE()
                ce.hello()
                entries = [self.entry()] if isThere else []
                self.successResultOf(ce.listEntries(entries))
                client.read()
                lost = [box for box in client.boxes if box.get(b"_command") == b"SessionLost"]
                self.assertEqual(len(lost), isClaimed and not isThere)
                if not isThere:
                    self.failureResultOf(self.openChannel(ce), SessionGone)
                elif isClaimed:
                    self.successResultOf(self.openChannel(ce))
                else:
                    self.failureResultOf(self.openChannel(ce), NotYet)
                client.close()
                self.settle()
                ce.control.abort()
                self.settle()
                self.proxy._gone.clear()

    def test_ceAway(self) -> None:
        """
        A session can be claimed while its CE, which has listed it, is away.
        """
        ce = self.listed()
        ce.control.abort()
        self.settle()
        client = self.claimed()
        client.close()
        self.settle()
        ce, _ = self.dialCE()
        ce.hello()
        self.assertEqual(
            self.successResultOf(ce.listEntries([self.entry()])), {"gone": [SESSION_ID]}
        )

    def test_ended(self) -> None:
        """
        A session that its CE ends before it is claimed is gone; another CE's word on that
        is nothing.
        """
        ce, other = self.listed(), self.readyCE(site=OTHER)
        end = {"session": SESSION_ID, "reason": "it ended", "received": 0, "sent": 0}
        self.successResultOf(other.call(commands.SessionEnded, **end))
        client = self.client()
        self.assertIn(b"nonce", self.claim(client))
        self.successResultOf(ce.call(commands.SessionEnded, **end))
        self.assertRefused(self.claim(client), SessionGone, SITE)
        self.failureResultOf(self.openChannel(ce), SessionGone)

    def test_endedMeanwhile(self) -> None:
        """
        So it is if that comes between question and proof.
        """
        ce = self.listed()
        client = self.client()
        nonce = self.claim(client)[b"nonce"]
        end = {"session": SESSION_ID, "reason": "it ended", "received": 0, "sent": 0}
        self.successResultOf(ce.call(commands.SessionEnded, **end))
        self.assertRefused(self.prove(client, nonce), NotYet, "just now")
        self.assertRefused(self.claim(client), SessionGone, SITE)

    def test_openChannel(self) -> None:
        """
        Before the claim a CE hears that it is too early for a channel; another CE, that
        there is no such session; after it the CE gets what the session has.
        """
        ce, other = self.listed(tunnel=True), self.readyCE(site=OTHER)
        for stream in (0, 1):
            self.failureResultOf(self.openChannel(ce, stream), NotYet)
            self.failureResultOf(self.openChannel(other, stream), SessionGone)
        self.claimed()
        for stream in (0, 1):
            self.successResultOf(self.openChannel(ce, stream))
            self.failureResultOf(self.openChannel(other, stream), NotAuthorized)

    def test_withoutTunnels(self) -> None:
        """
        One without tunnels gets none by being claimed.
        """
        ce = self.listed()
        self.claimed()
        self.successResultOf(self.openChannel(ce))
        self.failureResultOf(self.openChannel(ce, 1), NotAuthorized)

    def test_anothers(self) -> None:
        """
        A CE that lists another's session does not get it, be it claimed or not.
        """
        ce = self.listed()
        thief, _ = self.dialCE(site=OTHER)
        thief.hello()
        forged = self.entry(claim=bytes(32))
        self.successResultOf(thief.listEntries([forged], last=False))
        client = self.client()
        self.assertRefused(self.claim(client, site=OTHER), NotYet, OTHER)
        client = self.claimed()
        self.successResultOf(thief.listEntries([forged]))
        self.assertRefused(self.claim(self.client(), site=OTHER), SessionGone, OTHER)
        self.failureResultOf(self.openChannel(thief), NotAuthorized)
        self.successResultOf(self.openChannel(ce))
        self.assertEqual(client.read(), [])

    def test_unguessable(self) -> None:
        """
        It cannot list one first, either: the name of a session tells nothing of the next.
        """
        ce = self.readyCE()
        self.ask()
        self.ask()
        first, second = (start["session"].rsplit(":", 1)[1] for start in ce.starts)
        self.assertNotEqual(first, second)
        self.assertEqual(len(bytes.fromhex(first)), 8)

    def test_own(self) -> None:
        """
        Sessions whose clients are here are not up for a claim.
        """
        ce = self.readyCE()
        client = self.ask()
        session = ce.starts[0]["session"]
        ce.control.abort()
        self.settle()
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.list(session))
        self.assertRefused(self.claim(self.client(), session), SessionGone, SITE)
        self.assertEqual(client.read(), [])

    def test_impossible(self) -> None:
        """
        What can be no session is refused, and nothing is kept of it; what was listed before
        stays.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([self.entry()], last=False))
        with capturedLogs() as logs:
            for changes in (
                {"session": ""},
                {"session": "s" * 129},
                {"session": "größer:1:1:1"},
                {"keyNumber": 0},
                {"keyNumber": -1},
                {"keyNumber": 1 << 16},
                {"keyNumber": 10**400},
                {"gahp": "blahpd\nSession forged: all is well"},
                {"gahp": ""},
            ):
                entry = {**self.entry(session="host:1:1:2"), **changes}
                self.failureResultOf(ce.listEntries([entry], last=False), InternalError)
                self.assertEqual(list(self.proxy.claims._listed), [SESSION_ID])
        self.assertEqual([event for event in logs if event["log_level"].name != "info"], [])
        self.successResultOf(ce.list())
        self.assertEqual(list(self.proxy.claims._listed), [SESSION_ID])

    def test_lengths(self) -> None:
        """
        However long or short a key is said to be good for yet, the session can be claimed.
        """
        ce, _ = self.dialCE()
        ce.hello()
        for number, left in enumerate((0, -1, -(10**400), 10**400, limits.LONGEST_DURATION)):
            session = f"host:1:1:{number}"
            entry = self.entry(session=session, left=left)
            self.successResultOf(ce.listEntries([entry], last=False))
            client = self.client()
            nonce = self.claim(client, session)[b"nonce"]
            self.assertIn(b"_answer", self.prove(client, nonce, session=session))

    def test_bound(self) -> None:
        """
        A CE can list so many, and no more.
        """
        self.patch(limits, "LISTED_SESSIONS", 5)
        ce, _ = self.dialCE()
        ce.hello()
        for number in range(5):
            self.successResultOf(ce.list(f"host:1:1:{number}", last=False))
        self.failureResultOf(ce.list("host:1:1:5", last=False), Busy)
        self.assertEqual(len(self.proxy.claims._listed), 5)


class RenewalTests(ClaimsTestCase):
    """
    Keys of sessions that have been claimed.
    """

    def test_renewed(self) -> None:
        """
        At 3/4 of what was left the CE gets the key with the number that comes next, and
        then the client.
        """
        for number, following in ((7, 8), (limits.LAST_KEY_NUMBER, 1)):
            ce = self.listed(keyNumber=number, left=1000)
            client = self.claimed()
            self.spend(749)
            self.assertEqual(ce.renewals, [])
            self.spend(2)
            (renewal,) = ce.renewals
            self.assertEqual((renewal["session"], renewal["keyNumber"]), (SESSION_ID, following))
            client.read()
            box = client.boxes[-1]
            self.assertEqual(box[b"_command"], b"RenewKey")
            self.assertEqual(box[b"key"], renewal["key"])
            self.assertEqual(box[b"keyNumber"], b"%d" % following)
            client.send({b"_answer": box[b"_ask"]})
            self.settle()
            client.close()
            self.settle()
            ce.control.abort()
            self.settle()
            self.proxy._gone.clear()

    def test_counted(self) -> None:
        """
        What is left counts from when it was listed, however late it is claimed.
        """
        ce = self.listed(left=1000)
        self.spend(800)
        self.claimed()
        self.spend(149)
        self.assertEqual(ce.renewals, [])
        self.spend(2)
        self.assertEqual(len(ce.renewals), 1)

    def test_otherPolicies(self) -> None:
        """
        Where the policies of today give another result than that with which the session was
        made, no key is renewed; what runs goes on, and channels open with the present one.
        """
        for changes in (
            {"outcome": "integrity"},
            {"outcome": "none", "method": ""},
            {"method": "BLOWFISH"},
            {"outcome": "no such thing"},
        ):
            ce = self.listed(left=1000, **changes)
            client = self.claimed()
            self.spend(5000)
            self.assertEqual(ce.renewals, [])
            self.successResultOf(self.openChannel(ce))
            client.close()
            self.settle()
            ce.control.abort()
            self.settle()
            self.proxy._gone.clear()

    def test_conflict(self) -> None:
        """
        Nor where they exclude each other by now.
        """
        ce, _ = self.dialCE()
        ce.hello(policy="N:N:AES")
        self.successResultOf(ce.listEntries([self.entry(left=1000)]))
        self.claimed()
        self.spend(5000)
        self.assertEqual(ce.renewals, [])
        self.successResultOf(self.openChannel(ce))

    def test_ceAway(self) -> None:
        """
        That the CE was away when it was claimed is no obstacle: its policy is known.
        """
        ce, _ = self.dialCE()
        ce.hello(policy="O:R:AES")
        self.successResultOf(ce.listEntries([self.entry(left=1000)]))
        ce.control.abort()
        self.settle()
        self.claimed()
        ce, _ = self.dialCE()
        ce.hello(policy="O:R:AES")
        self.successResultOf(ce.listEntries([self.entry(left=990)]))
        self.spend(760)
        self.assertEqual(len(ce.renewals), 1)


class OptionalTests(ClaimsTestCase):
    """
    A proxy whose own policy would give another result than with that site.
    """

    settings = {
        "RVGAHP.SEC_DEFAULT_ENCRYPTION": "OPTIONAL",
        "RVGAHP.SEC_DEFAULT_INTEGRITY": "REQUIRED",
    }

    def test_ceAway(self) -> None:
        """
        It is the site's policy as it was listed that counts, be the site there or not.
        """
        ce = self.listed(left=1000)
        ce.control.abort()
        self.settle()
        self.claimed()
        ce = self.listed(left=1000)
        self.spend(760)
        self.assertEqual(len(ce.renewals), 1)
