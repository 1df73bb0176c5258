"""
Tests of L{rvgahp.renewal}: a CE over TLS in memory, a client over a real UNIX socket, and
a clock of the test's own.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs

from rvgahp import commands, limits
from rvgahp.errors import InternalError, PolicyConflict
from rvgahp.settingtable import TABLE
from tests.broker import ACCESS_FILE, BrokerTestCase
from tests.identities import SITE
from tests.localclient import LocalClient
from tests.privatereactor import ReactorTestCase

DAY = 86400

#: When the first renewal is tried.
DUE = DAY * limits.RENEWAL_SHARE


class RenewalTestCase(BrokerTestCase):
    """
    One session.

    @ivar ce: its CE.
    @ivar user: its client.
    @ivar session: its id.
    @ivar keys: numbers and keys that the client has got.
    """

    def setUp(self) -> None:
        """
        Begin with a GAHP that was started.  Pings would take most of a day's time.
        """
        self.patch(limits, "CONTROL_PING_INTERVAL", 1e9)
        super().setUp()
        self.ce = self.readyCE()
        self.user = self.ask(tunnel=True)
        (start,) = self.ce.starts
        self.session: str = start["session"]
        self.keys = [(start["keyNumber"], start["key"])]
        self.tickets: list[bytes] = start["tickets"]

    def pass_(self, seconds: float) -> None:
        """
        Let time pass; the client answers what it is asked.
        """
        end = self.loop.seconds() + seconds
        while self.loop.seconds() < end:
            idle = self.loop.nextCall() - self.loop.seconds()
            self.spend(min(end - self.loop.seconds(), max(0.1, idle)))
            self.answer(self.user)

    def answer(self, client: LocalClient, **refusal: bytes) -> list[bytes]:
        """
        The client answers, or refuses, what has come.

        @return: what that was.
        """
        fresh = client.read()
        for box in fresh:
            if box.get(b"_command") == b"RenewKey":
                self.assertEqual(box[b"session"], self.session.encode())
                self.keys.append((int(box[b"keyNumber"]), box[b"key"]))
            if b"_ask" in box:
                self.say(client, box[b"_ask"], **refusal)
        self.settle()
        return [box[b"_command"] for box in fresh if b"_command" in box]

    def say(self, client: LocalClient, tag: bytes, **refusal: bytes) -> None:
        """
        The client answers or refuses one box.
        """
        if refusal:
            named = {b"_error_" + name.encode(): value for name, value in refusal.items()}
            client.send({b"_error": tag, **named})
        else:
            client.send({b"_answer": tag})

    def numbers(self) -> list[int]:
        """
        @return: the numbers of the keys that the CE has been sent.
        """
        return [renewal["keyNumber"] for renewal in self.ce.renewals]

    def warnings(self, seconds: float) -> list[str]:
        """
        @return: why the key was not renewed in so long a time.
        """
        with capturedLogs() as logs:
            self.pass_(seconds)
        return [str(event["reason"]) for event in logs if "not renewed" in event["log_format"]]


class RenewalTests(RenewalTestCase):
    """
    Renewals that come about.
    """

    def test_first(self) -> None:
        """
        At three quarters of the duration both ends get the next key; nothing of it is in
        the log.
        """
        with capturedLogs() as logs:
            self.pass_(DUE - 1)
            self.assertEqual((self.ce.renewals, len(self.keys)), ([], 1))
            self.pass_(2)
        (renewal,) = self.ce.renewals
        key = renewal["key"]
        self.assertEqual(
            renewal, {"session": self.session, "key": key, "keyNumber": 2, "duration": DAY}
        )
        self.assertEqual(len(key), limits.KEY_BYTES)
        self.assertEqual(self.keys[1:], [(2, key)])
        self.assertNotEqual(key, self.keys[0][1])
        said = [event for event in logs if event.get("keyNumber") == 2]
        self.assertEqual([event["session"] for event in said], [self.session])
        for _, secret in self.keys:
            self.assertNotIn(repr(secret)[2:-1], repr(logs))

    def test_notAllowed(self) -> None:
        """
        Where the rules do not let the user have the session any more, no key is renewed: it is
        ended at the site, and the client is told why.
        """
        self.pass_(DUE - 1)
        self.obey("DENY START *")
        with capturedLogs() as logs:
            self.spend(2)
        self.assertEqual(self.ce.renewals, [])
        ((ended, reason),) = self.ce.ends
        (box,) = self.user.read()
        self.assertEqual(ended, self.session)
        self.assertIn(f"{ACCESS_FILE}:1 denies it", reason)
        self.assertEqual(box[b"_command"], b"SessionLost")
        self.assertEqual(box[b"reason"].decode(), reason)
        self.assertEqual(self.proxy.sessions, {})
        self.assertIn(reason, [str(event.get("reason")) for event in logs])
        self.user.close()
        self.settle()
        self.assertEqual(len(self.ce.ends), 1)

    def test_notAllowedUnheard(self) -> None:
        """
        So it is while the site is not connected, which hears of it when it comes back.
        """
        self.ce.control.abort()
        self.obey("DENY START *")
        self.spend(DUE + 1)
        self.assertEqual(self.user.read()[-1][b"_command"], b"SessionLost")
        ce, _ = self.dialCE()
        ce.hello()
        self.assertEqual(self.successResultOf(ce.list(self.session)), {"gone": [self.session]})

    def test_otherRule(self) -> None:
        """
        Where another rule lets him it goes on by that one.
        """
        self.obey("ALLOW START *")
        self.pass_(DUE + 1)
        self.assertEqual(self.numbers(), [2])
        (record,) = self.proxy.sessions.values()
        self.assertEqual(record.rule, f"{ACCESS_FILE}:1: ALLOW START *")

    def test_ceFirst(self) -> None:
        """
        The client gets a key when the CE has answered that it has it, and not before.
        """
        answer: Deferred[dict[str, Any]] = Deferred()
        self.ce.answerRenewal = lambda: answer
        self.pass_(DUE + 5)
        self.assertEqual((self.numbers(), len(self.keys)), ([2], 1))
        answer.callback({})
        self.pass_(0.1)
        self.assertEqual(len(self.keys), 2)

    def test_again(self) -> None:
        """
        Each key is renewed at three quarters of its own duration, with a number one more.
        """
        self.pass_(DUE * 5 + 5)
        self.assertEqual(self.numbers(), [2, 3, 4, 5, 6])
        self.assertEqual(
            self.keys[1:], [(one["keyNumber"], one["key"]) for one in self.ce.renewals]
        )
        self.assertEqual(len({key for _, key in self.keys}), 6)

    def test_otherSessions(self) -> None:
        """
        Each client gets the keys of its own session.
        """
        self.pass_(1000)
        other = self.ask()
        (_, start) = self.ce.starts
        self.pass_(DUE)
        (first, second) = self.ce.renewals
        self.assertEqual([first["session"], second["session"]], [self.session, start["session"]])
        self.assertEqual(self.keys[1:], [(2, first["key"])])
        other.read()
        keys = [box for box in other.boxes if box.get(b"_command") == b"RenewKey"]
        self.assertEqual([box[b"key"] for box in keys], [second["key"]])

    def test_ended(self) -> None:
        """
        With the session its renewals end, also one that is under way.
        """
        answer: Deferred[dict[str, Any]] = Deferred()
        self.ce.answerRenewal = lambda: answer
        self.pass_(DUE + 1)
        self.user.close()
        self.settle()
        with capturedLogs() as logs:
            answer.callback({})
            self.spend(2 * DAY)
        self.assertEqual(self.numbers(), [2])
        self.assertEqual([event for event in logs if event.get("keyNumber")], [])

    def test_endedAtOnce(self) -> None:
        """
        A client that goes in the moment of its answer leaves no timer.
        """
        client = self.client()
        client.request()
        while not self.ce.starts[1:]:
            for pair in self.pairs:
                pair.flush()
            self.loop.turn()
        client.close()
        self.settle()
        self.assertEqual(len(self.proxy.sessions), 1)


class FailureTests(RenewalTestCase):
    """
    Renewals that do not come about, or late.
    """

    def lose(self) -> None:
        """
        The CE's connection ends.
        """
        self.ce.control.abort()
        self.settle()
        self.assertEqual(self.proxy.sites, {})

    def return_(self, **hello: Any) -> None:
        """
        The CE connects again, and lists its session.
        """
        renewals = self.ce.renewals
        self.ce, _ = self.dialCE()
        self.ce.renewals = renewals
        self.ce.hello(**hello)
        self.settle()
        self.successResultOf(self.ce.list(self.session))

    def test_notConnected(self) -> None:
        """
        A site that is away when it is time gets the key as soon as it is back.
        """
        self.lose()
        (reason,) = self.warnings(DUE + 100)
        self.assertIn(f"site {SITE} is not connected", reason)
        self.return_()
        self.answer(self.user)
        self.assertEqual(self.numbers(), [2])
        self.assertEqual(self.keys[1:], [(2, self.ce.renewals[0]["key"])])
        self.pass_(DUE)
        self.assertEqual(self.numbers(), [2, 3])

    def test_notDue(self) -> None:
        """
        A site that comes back before it is time does not get it sooner.
        """
        self.pass_(DUE / 2)
        self.lose()
        self.return_()
        self.pass_(DUE / 2 - 1)
        self.assertEqual(self.numbers(), [])
        self.pass_(2)
        self.assertEqual(self.numbers(), [2])

    def test_bounded(self) -> None:
        """
        It is tried a few times, and not after the end of the duration, whoever comes back
        then; each failure is logged with the time that is left.
        """
        self.lose()
        with capturedLogs() as logs:
            self.pass_(DAY * 3)
        left = [event["left"] for event in logs if "left" in event]
        self.assertEqual([round(one) for one in left[:4]], [21600, 5400, 1350, 338])
        self.assertEqual(len(left), 9)
        self.assertLess(left[-1], limits.RENEWAL_LAST)
        self.return_()
        self.pass_(DAY)
        self.assertEqual((self.numbers(), len(self.keys)), ([], 1))

    def test_lostMeanwhile(self) -> None:
        """
        If the connection ends before the CE has answered, it may have the key or not: the
        client gets it, and the CE the same again when it is back.
        """
        self.ce.answerRenewal = Deferred
        self.pass_(DUE + 1)
        self.lose()
        self.answer(self.user)
        self.assertEqual(self.keys[1:], [(2, self.ce.renewals[0]["key"])])
        self.return_()
        self.assertEqual(self.ce.renewals[0], self.ce.renewals[1])
        self.answer(self.user)
        self.assertEqual(self.keys[1], self.keys[2])
        self.pass_(DUE)
        self.assertEqual(self.numbers(), [2, 2, 3])

    def test_noAnswer(self) -> None:
        """
        If the CE does not answer in time, likewise; it is tried again later.
        """
        self.ce.answerRenewal = Deferred
        (reason,) = self.warnings(DUE + limits.CALL_TIMEOUT + 1)
        self.assertIn("no answer within 10 s", reason)
        self.assertEqual(self.keys[1:], [(2, self.ce.renewals[0]["key"])])
        self.ce.answerRenewal = dict
        self.pass_(DAY * 3 / 16)
        self.assertEqual(self.ce.renewals[0], self.ce.renewals[1])
        self.assertEqual(self.numbers(), [2, 2])

    def test_refused(self) -> None:
        """
        If the CE refuses, the client does not get the key, and the log says why; nothing
        else is lost by it.
        """
        for error in (PolicyConflict("we want more now"), InternalError("a bug")):
            self.ce.answerRenewal = lambda: fail(error)  # noqa: B023  # called at once
            reasons = self.warnings(DUE + 1 if len(self.ce.renewals) == 0 else DAY * 3 / 16)
            self.assertEqual(len(reasons), 1)
            self.assertIn(f"site {SITE} refuses: {error}", reasons[0])
        self.assertEqual((self.numbers(), len(self.keys)), ([2, 2], 1))
        self.assertTrue(self.ce.control.connected)
        self.ce.answerRenewal = dict
        self.pass_(DAY * 3 / 64)
        self.assertEqual(self.keys[1:], [(2, self.ce.renewals[0]["key"])])

    def test_policy(self) -> None:
        """
        If the policies of today give another result, neither end gets a key, and the log
        says why; if they do so again later, it is renewed.
        """
        self.lose()
        self.return_(policy="O:N:AES")
        (reason,) = self.warnings(DUE + 1)
        self.assertIn("The two sides' SEC_DEFAULT_INTEGRITY exclude each other", reason)
        self.lose()
        self.return_()
        self.answer(self.user)
        self.assertEqual((self.numbers(), len(self.keys)), ([2], 2))

    def test_badAnswer(self) -> None:
        """
        An answer that makes no sense costs that try, and not the connection.
        """

        def answer() -> Any:
            raise ZeroDivisionError

        self.ce.answerRenewal = answer
        (reason,) = self.warnings(DUE + 1)
        self.assertIn("a bug in answering RenewKey", reason)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.ce.control.connected)

    def test_clientRefuses(self) -> None:
        """
        A client that does not take it is named in the log, and the session goes on.
        """
        with capturedLogs() as logs:
            self.spend(DUE + 1)
            self.answer(self.user, code=b"UNHANDLED", description=b"no such command")
        (reason,) = [event["reason"] for event in logs if "not taken" in event["log_format"]]
        self.assertIn("no such command", str(reason))
        self.assertEqual(list(self.proxy.sessions), [self.session])
        self.assertEqual(self.ce.ends, [])

    def test_clientSilent(self) -> None:
        """
        So does that of one that does not read.
        """
        with capturedLogs() as logs:
            self.spend(DUE + limits.CALL_TIMEOUT + 1)
        self.assertEqual(len([one for one in logs if "not taken" in one["log_format"]]), 1)
        self.assertEqual(list(self.proxy.sessions), [self.session])
        self.pass_(DUE)
        self.assertEqual([number for number, _ in self.keys], [1, 2, 3])


class ChannelTests(RenewalTestCase):
    """
    Channels that arrive while a key is renewed.
    """

    def setUp(self) -> None:
        """
        Begin with a RenewKey that the CE has and has not answered.
        """
        super().setUp()
        self.reply: Deferred[dict[str, Any]] = Deferred()
        self.ce.answerRenewal = lambda: self.reply
        self.spend(DUE)
        self.assertEqual(self.numbers(), [2])

    def dial(self, stream: int = 0) -> None:
        """
        The CE opens a channel.
        """
        opened = self.ce.call(commands.OpenChannel, session=self.session, stream=stream)
        self.assertTrue(self.admit(self.successResultOf(opened)["ticket"])[0])

    def heard(self) -> list[bytes]:
        """
        @return: what the client was told, in order.
        """
        told: list[bytes] = []
        while True:
            fresh = self.answer(self.user)
            told += fresh
            if not fresh:
                return told

    def test_waits(self) -> None:
        """
        A channel waits until the client has been sent the key, for it may be dialled with
        that; then it comes, and after it the next.
        """
        self.dial()
        self.dial(1)
        self.assertEqual(self.heard(), [])
        self.reply.callback({})
        self.settle()
        self.assertEqual(self.heard(), [b"RenewKey", b"Channel", b"Channel"])
        self.dial(2)
        self.assertEqual(self.heard(), [b"Channel"])

    def test_waitsBehindAnother(self) -> None:
        """
        It waits also if the client answers an earlier one in the meantime.
        """
        self.reply.callback({})
        self.reply = Deferred()
        self.settle()
        self.assertEqual(self.heard(), [b"RenewKey"])
        self.spend(DUE - 1)
        self.dial(1)
        self.spend(2)
        self.assertEqual(self.numbers(), [2, 3])
        self.dial(2)
        self.assertEqual(self.heard(), [b"Channel"])
        self.reply.callback({})
        self.settle()
        self.assertEqual(self.heard(), [b"RenewKey", b"Channel"])

    def test_waitsLong(self) -> None:
        """
        It waits as long as the CE may take for its answer.
        """
        self.dial()
        self.spend(limits.CALL_TIMEOUT - 0.1)
        self.assertEqual(self.heard(), [])
        self.spend(0.2)
        self.assertEqual(self.heard(), [b"RenewKey", b"Channel"])

    def test_refused(self) -> None:
        """
        It comes without a key if the CE has refused it.
        """
        self.dial()
        self.reply.errback(PolicyConflict("no"))
        self.settle()
        self.assertEqual(self.heard(), [b"Channel"])


class ShortTests(RenewalTestCase):
    """
    The shortest duration.
    """

    settings = {"RVGAHP.SEC_DEFAULT_SESSION_DURATION": "1"}

    def test_renewed(self) -> None:
        """
        It is renewed as any other.
        """
        self.pass_(7.51)
        self.assertEqual(self.numbers(), list(range(2, 12)))

    def test_lateStart(self) -> None:
        """
        A start that takes longer than the duration is no harm: the key that came with it
        is renewed at once.
        """
        started: Deferred[dict[str, int]] = Deferred()
        self.ce.answer = lambda: started
        late = self.ask()
        self.pass_(5)
        started.callback({"tunnelPort": 0})
        self.settle()
        late.read()
        self.assertEqual([box.get(b"_command") for box in late.boxes], [None, b"RenewKey"])

    def test_notRetried(self) -> None:
        """
        When so little is left a failed renewal is not tried again.
        """
        self.ce.answerRenewal = lambda: fail(PolicyConflict("no"))
        self.pass_(10)
        self.assertEqual(self.numbers(), [2])


class LongTests(ReactorTestCase):
    """
    The longest duration.
    """

    def test_timer(self) -> None:
        """
        A real reactor waits for a renewal that is 51 years off, and does not wait with it
        for what is sooner; and the longest duration that can be set is one that keys can
        have.
        """
        (setting,) = [row for row in TABLE if row.name == "SEC_DEFAULT_SESSION_DURATION"]
        longest = setting.kind.parse(str(limits.LONGEST_DURATION))
        self.assertRaises(ValueError, setting.kind.parse, str(longest + 1))
        never: list[int] = []
        soon: list[int] = []
        renewal = self.reactor.callLater(longest * limits.RENEWAL_SHARE, never.append, 1)
        self.turn(0.01)
        self.reactor.callLater(0.01, soon.append, 1)
        self.until(lambda: soon)
        self.assertEqual(never, [])
        renewal.cancel()
