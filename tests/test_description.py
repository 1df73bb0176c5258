"""
Tests of L{rvgahp.description}: a site over TLS in memory, who asks over a real UNIX socket.
"""

from __future__ import annotations

import os
import pwd
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.amp import UNHANDLED_ERROR_CODE, AmpBox, Command, RemoteAmpError

from rvgahp import limits, localcommands, tunnellimits
from rvgahp.errors import SessionGone
from rvgahp.peercred import LocalUser
from rvgahp.siteconnection import SOFTWARE
from tests.broker import BrokerTestCase, CEDouble
from tests.identities import SITE, authority
from tests.localclient import LocalClient
from tests.steppedloop import socketPair

_QUESTION = {"site": SITE, "account": "", "gahp": "blahpd"}


class DescriptionTestCase(BrokerTestCase):
    """
    Somebody asks.
    """

    def question(
        self, client: LocalClient, command: type[Command], **arguments: Any
    ) -> dict[bytes, bytes]:
        """
        @return: the box that comes back.
        """
        box = command.makeArguments(arguments, None)
        client.send({**box, b"_command": command.commandName, b"_ask": b"7"})
        self.settle()
        (answer,) = client.read()
        return answer

    def described(self, **changes: Any) -> dict[str, Any]:
        """
        @return: what is told of a site.
        """
        box = self.question(self.client(), localcommands.DescribeSite, **{**_QUESTION, **changes})
        self.assertEqual(box[b"_answer"], b"7", box)
        values: dict[str, Any] = localcommands.DescribeSite.parseResponse(AmpBox(box), None)
        return values

    def refusal(
        self, client: LocalClient | None = None, code: bytes = b"NoSuchSite", **changes: Any
    ) -> str:
        """
        @return: the sentence of a refusal with this error.
        """
        client = client or self.client()
        box = self.question(client, localcommands.DescribeSite, **{**_QUESTION, **changes})
        self.assertEqual(box.get(b"_error_code"), code, box)
        return box[b"_error_description"].decode()


class AnswerTests(DescriptionTestCase):
    """
    What is told.
    """

    def test_proxy(self) -> None:
        """
        The proxy tells what it is, its policy, and whom the kernel says is asking.
        """
        box = self.question(self.client(), localcommands.DescribeProxy)
        self.assertEqual(
            localcommands.DescribeProxy.parseResponse(AmpBox(box), None),
            {
                "software": SOFTWARE,
                "policy": "R:R:AES",
                "user": pwd.getpwuid(os.getuid()).pw_name,
            },
        )

    def test_site(self) -> None:
        """
        Of a site it tells all that the page lists, as it is.
        """
        before = int(time.time())
        self.readyCE()
        told = self.described()
        self.assertLessEqual(before, told.pop("since"))
        self.assertGreater(told.pop("expires"), time.time())
        self.assertEqual(
            told,
            {
                "site": SITE,
                "address": "192.0.2.7",
                "software": "double 1",
                "identity": f"{SITE}@site.rvgahp",
                "authentication": "SSL",
                "issuer": authority("ours").certificate.subject.rfc4514_string(),
                "gahps": ["blahpd"],
                "policy": "R:R:AES",
                "outcome": "encrypt",
                "method": "AES",
                "conflict": "",
            },
        )

    def test_noSecrets(self) -> None:
        """
        No key and no ticket of a session that is there is in an answer, in any clothes.
        """
        ce = self.readyCE()
        self.ask()
        (start,) = ce.starts
        box = self.question(self.client(), localcommands.DescribeSite, **_QUESTION)
        box |= self.question(self.client(), localcommands.DescribeProxy)
        words = b" ".join(box.values())
        for secret in (start["key"], *start["tickets"]):
            for form in (secret, secret.hex().encode()):
                self.assertNotIn(form, words)

    def test_manyQuestions(self) -> None:
        """
        One connection may ask again and again, before and after it asks for a GAHP.
        """
        self.readyCE()
        client = self.client()
        for _ in range(3):
            self.assertIn(
                b"_answer", self.question(client, localcommands.DescribeSite, **_QUESTION)
            )
        client.request()
        self.settle()
        client.read()
        self.assertIn(b"_answer", self.question(client, localcommands.DescribeProxy))

    def test_boast(self) -> None:
        """
        A CE that says as much of itself as fits in Hello still fits in an answer.
        """
        ce, _ = self.dialCE()
        name = "u" * 64
        ce.hello(gahps=[name] * 200, software="\N{SNOWMAN}" * 700)
        self.settle()
        self.successResultOf(ce.list())
        told = self.described()
        self.assertEqual(told["software"], "\N{SNOWMAN}" * 200)
        self.assertEqual(told["gahps"], [name] * (8 * 1024 // 66))

    def test_account(self) -> None:
        """
        With an account the site that has both for its name is meant first, as when a GAHP
        is asked for.
        """
        self.readyCE()
        self.assertEqual(self.described(account="alice")["site"], SITE)
        self.readyCE(site=f"alice@{SITE}", instance=b"j" * 16)
        self.assertEqual(self.described(account="alice")["site"], f"alice@{SITE}")
        self.assertEqual(self.described()["site"], SITE)


class RefusalTests(DescriptionTestCase):
    """
    What is not told.
    """

    def test_notAllowed(self) -> None:
        """
        Who may not start the GAHP there is told so in the words of RequestGAHP, and nothing of
        the site, not even whether it is connected.
        """
        self.become("bob")
        code = b"NotAuthorized"
        absent = self.refusal(code=code)
        self.readyCE()
        self.assertEqual(self.refusal(code=code), absent)
        asked = self.ask()
        self.assertEqual(asked.boxes[0][b"_error_code"], b"NotAuthorized")
        self.assertEqual(asked.boxes[0][b"_error_description"].decode(), absent)
        self.obey("ALLOW START gahp=blahpd *")
        self.described()
        self.assertIn("may not start cat", self.refusal(code=code, gahp="cat"))

    def test_noSuchSite(self) -> None:
        """
        A site that is not connected, or has not listed its sessions yet, or cannot be, is
        refused in the words of RequestGAHP.
        """
        self.spend(limits.YOUTH)
        self.dialCE()
        self.assertIn(f"site {SITE} is not connected", self.refusal())
        self.readyCE(site="other.example", instance=b"j" * 16)
        self.assertIn(f"site {SITE} is not connected", self.refusal())
        self.assertNotIn("other.example", self.refusal())
        self.assertIn("cannot be the name", self.refusal(site="no site"))
        self.assertIn("no site is named", self.refusal(site=""))
        asked = self.ask()
        self.assertEqual(asked.boxes[0][b"_error_description"].decode(), self.refusal())

    def test_goneMeanwhile(self) -> None:
        """
        One who goes while a young proxy waits for the site harms nobody.
        """
        client = self.client()
        box = localcommands.DescribeSite.makeArguments(dict(_QUESTION), None)
        client.send({**box, b"_command": b"DescribeSite", b"_ask": b"7"})
        self.settle()
        client.close()
        self.settle()
        self.readyCE()

    def test_oneAtATime(self) -> None:
        """
        While a site is waited for, its asker can ask nothing more of the kind: it would be
        remembered; then he can.
        """
        client = self.client()
        box = localcommands.DescribeSite.makeArguments(dict(_QUESTION), None)
        for tag in (b"7", b"8", b"9"):
            client.send({**box, b"_command": b"DescribeSite", b"_ask": tag})
        self.settle()
        client.read()
        self.assertEqual([one[b"_error"] for one in client.boxes], [b"8", b"9"])
        self.assertEqual({one[b"_error_code"] for one in client.boxes}, {b"Busy"})
        self.readyCE()
        self.settle()
        client.read()
        self.assertEqual(client.boxes[-1][b"_answer"], b"7")
        self.assertIn(b"_answer", self.question(client, localcommands.DescribeSite, **_QUESTION))

    def test_socketOfASite(self) -> None:
        """
        The socket of one site tells of that one alone, and needs no name.
        """
        self.readyCE()
        ours, theirs = socketPair()
        self.clients.arrived(ours, SITE)
        client = LocalClient(theirs)
        self.local.append(client)
        box = self.question(client, localcommands.DescribeSite, **{**_QUESTION, "site": ""})
        self.assertEqual(box[b"site"], SITE.encode())
        self.assertIn("alone", self.refusal(client, site="other.example"))


class PolicyTests(DescriptionTestCase):
    """
    What the policies of both sides lead to.
    """

    settings = {
        "RVGAHP.SEC_DEFAULT_ENCRYPTION": "OPTIONAL",
        "RVGAHP.SEC_DEFAULT_INTEGRITY": "OPTIONAL",
    }

    def told(self, policy: str, gahp: str = "blahpd") -> tuple[str, str, str]:
        """
        @return: outcome, method and conflict with a site of this policy.
        """
        ce, _ = self.dialCE()
        hello: Deferred[dict[str, Any]] = ce.hello(policy=policy)
        self.successResultOf(hello)
        self.successResultOf(ce.list())
        told = self.described(gahp=gahp)
        return told["outcome"], told["method"], told["conflict"]

    def test_outcomes(self) -> None:
        """
        The outcome is told, and a conflict in the words in which a start would be refused.
        """
        self.assertEqual(self.told("P:P:AES"), ("encrypt", "AES", ""))
        self.assertEqual(self.told("N:R:AES"), ("integrity", "AES", ""))
        outcome, _, conflict = self.told("N:R:AES", "condor_ft-gahp")
        self.assertEqual(outcome, "integrity")
        self.assertIn("only started where channels are encrypted", conflict)
        outcome, method, conflict = self.told("N:N:AES")
        self.assertEqual((outcome, method), ("none", ""))
        self.assertIn("RVGAHP_CLEARTEXT_PEERS", conflict)
        refused = self.ask()
        self.assertEqual(refused.boxes[0][b"_error_description"].decode(), conflict)

    def test_noMethod(self) -> None:
        """
        Policies that exclude each other have no outcome.
        """
        outcome, method, conflict = self.told("R:R:BLOWFISH")
        self.assertEqual((outcome, method), ("", ""))
        self.assertIn("No crypto method is common", conflict)


class ProbeTests(DescriptionTestCase):
    """
    The tunnels of a client's session are tried.
    """

    def tunnelled(self) -> CEDouble:
        """
        @return: a CE with a GAHP that has a tunnel; its client is this process.
        """
        ce = self.readyCE()
        ce.answer = lambda: {"tunnelPort": 4711}
        self.ask(gahp="condor_ft-gahp", tunnel=True)
        (self.record,) = self.proxy.sessions.values()
        return ce

    def probe(self, **changes: Any) -> dict[bytes, bytes]:
        """
        @return: the box that answers one.
        """
        values = {"process": os.getpid(), "request": b"let me in", **changes}
        return self.question(self.client(), localcommands.ProbeTunnel, **values)

    def assertNoProbe(self, code: str, words: str, **changes: Any) -> None:
        """
        One is refused.
        """
        box = self.probe(**changes)
        self.assertEqual(box.get(b"_error_code"), code.encode(), box)
        self.assertIn(words, box[b"_error_description"].decode())

    def test_answered(self) -> None:
        """
        The CE is asked for that session, and what it says is passed on, as far as it fits.
        """
        ce = self.tunnelled()
        ce.answerProbe = lambda: {"answer": b"yes", "problem": "but"}
        box = self.probe()
        self.assertEqual((box[b"answer"], box[b"problem"]), (b"yes", b"but"))
        self.assertEqual(ce.probes, [{"session": self.record.sessionId, "request": b"let me in"}])
        ce.answerProbe = lambda: {"answer": bytes(60000), "problem": "\N{SNOWMAN}" * 20000}
        box = self.probe()
        self.assertEqual(box[b"answer"], bytes(tunnellimits.PEEK_BYTES))
        self.assertEqual(box[b"problem"].decode(), "\N{SNOWMAN}" * 2000)

    def test_whose(self) -> None:
        """
        Only the client's own account may ask, and root; of another's process no more is said
        than of one that is not there.
        """
        ce = self.tunnelled()
        self.assertNoProbe("NotAuthorized", "process 1 is no client of", process=1)
        ours = self.record.client.user
        self.record.client.user = LocalUser(4242, "bob", 77)
        for uid, isAllowed in ((0, True), (4242, True), (4243, False)):
            self.become("eve", uid)
            if isAllowed:
                self.assertIn(b"_answer", self.probe(process=77))
            else:
                self.assertNoProbe("NotAuthorized", "process 77 is no client of eve", process=77)
        self.assertNoProbe("NotAuthorized", "process 78 is no client of eve", process=78)
        self.assertEqual(len(ce.probes), 2)
        self.record.client.user = ours

    def test_noTunnel(self) -> None:
        """
        A client that serves no tunnels has none to be tried, and the CE is not asked.
        """
        ce = self.readyCE()
        self.ask()
        self.assertNoProbe("NotAuthorized", "whose GAHP has a tunnel")
        self.assertEqual(ce.probes, [])

    def test_oneAtATime(self) -> None:
        """
        While the CE is at one for a session another is refused, and after it is not.
        """
        ce = self.tunnelled()
        answer: Deferred[dict[str, Any]] = Deferred()
        ce.answerProbe = lambda: answer
        first = self.client()
        values = {"process": os.getpid(), "request": b""}
        box = localcommands.ProbeTunnel.makeArguments(values, None)
        first.send({**box, b"_command": b"ProbeTunnel", b"_ask": b"7"})
        self.settle()
        self.assertNoProbe("Busy", "already")
        answer.callback({"answer": b"", "problem": ""})
        self.settle()
        self.assertEqual(len(first.read()), 1)
        ce.answerProbe = lambda: {"answer": b"", "problem": ""}
        self.assertIn(b"_answer", self.probe())
        self.assertEqual(len(ce.probes), 2)

    def test_siteFails(self) -> None:
        """
        A CE that is older, that refuses, that does not answer or goes away is told as what
        it is.
        """
        ce = self.tunnelled()
        for problem, code, words in (
            (RemoteAmpError(UNHANDLED_ERROR_CODE, "what?"), "VersionMismatch", "older"),
            (SessionGone("no such"), "SessionGone", "no such"),
            (ZeroDivisionError(), "InternalError", "a bug in answering DialTunnel"),
        ):

            def fail(problem: Exception = problem) -> None:
                raise problem

            ce.answerProbe = fail
            self.assertNoProbe(code, words)
        self.flushLoggedErrors(ZeroDivisionError)
        ce.answerProbe = Deferred
        client = self.client()
        values = {"process": os.getpid(), "request": b""}
        box = localcommands.ProbeTunnel.makeArguments(values, None)
        question = {**box, b"_command": b"ProbeTunnel", b"_ask": b"7"}
        client.send(question)
        self.spend(tunnellimits.PROBE_TIMEOUT + limits.CALL_TIMEOUT)
        (refusal,) = client.read()
        self.assertEqual(refusal[b"_error_code"], b"Busy")
        self.assertIn(b"no answer within 28 s (DialTunnel)", refusal[b"_error_description"])
        client.send(question)
        self.settle()
        ce.control.abort()
        self.settle()
        (refusal,) = client.read()
        self.assertEqual(refusal[b"_error_code"], b"NoSuchSite")
        self.assertNoProbe("NoSuchSite", "is not connected")
