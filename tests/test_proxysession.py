"""
Tests of L{rvgahp.proxysession}: channels that arrive sooner or later than their client.
"""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from rvgahp import commands, limits
from rvgahp.errors import SessionGone
from rvgahp.proxysession import MOST_WAITING
from tests.broker import BrokerTestCase, CEDouble
from tests.localclient import LocalClient


class ChannelTests(BrokerTestCase):
    """
    Handing channels over.
    """

    def started(self) -> tuple[CEDouble, LocalClient]:
        """
        @return: a CE and a client for whom a GAHP was started.
        """
        ce = self.readyCE()
        client = self.ask(tunnel=True)
        self.assertIn(b"_answer", client.boxes[0])
        return ce, client

    def ticket(self, ce: CEDouble, stream: int) -> bytes:
        """
        @return: a ticket for one more channel.
        """
        session = ce.starts[-1]["session"]
        opened = ce.call(commands.OpenChannel, session=session, stream=stream)
        ticket: bytes = self.successResultOf(opened)["ticket"]
        return ticket

    def tokens(self, client: LocalClient) -> list[bytes]:
        """
        @return: what was sent on the sockets that the client has got.
        """
        client.read()
        return [handed.recv(100) for handed in client.handed]

    def assertClosed(self, kept: socket.socket) -> None:
        """
        The channel at whose other end C{kept} is was closed.
        """
        try:
            self.assertEqual(kept.recv(1), b"")
        except ConnectionResetError:
            pass  # with what was sent unread

    def test_afterTheAnswer(self) -> None:
        """
        A channel that comes later is handed over at once.
        """
        ce, client = self.started()
        good, kept = self.admit(ce.starts[0]["tickets"][0])
        self.assertTrue(good)
        self.assertEqual(self.tokens(client), [b"token"])
        client.handed[0].sendall(b"back")
        self.assertEqual(kept.recv(10), b"back")

    def test_beforeTheAnswer(self) -> None:
        """
        One that comes before the client has its answer waits, for the site's whole time if
        need be, and comes after it.
        """
        ce = self.readyCE()
        answer: Deferred[dict[str, int]] = Deferred()
        ce.answer = lambda: answer
        client = self.ask()
        self.admit(ce.starts[0]["tickets"][0])
        self.spend(self.proxy.startTimeout - 1)
        self.assertEqual(client.read(), [])
        answer.callback({"tunnelPort": 0})
        self.settle()
        client.read()
        self.assertEqual(
            [b"_answer" in box or box[b"_command"] for box in client.boxes], [True, b"Channel"]
        )
        self.assertEqual(self.tokens(client), [b"token"])

    def test_oneAtATime(self) -> None:
        """
        A client has one unanswered Channel; others wait and come one after the other.
        """
        ce, client = self.started()
        for stream in (1, 2, 3):
            self.admit(self.ticket(ce, stream), b"stream %d" % stream)
        for count in (1, 2, 3):
            self.settle()
            client.read()
            self.assertEqual(len(client.handed), count)
            self.assertEqual(client.boxes[-1][b"stream"], b"%d" % count)
            client.acknowledge()
        self.assertEqual(self.tokens(client), [b"stream 1", b"stream 2", b"stream 3"])

    def test_newerReplaces(self) -> None:
        """
        Of two channels for one stream that wait, the newer stays.
        """
        ce, client = self.started()
        self.admit(self.ticket(ce, 1), b"first")
        _, older = self.admit(self.ticket(ce, 2), b"older")
        self.admit(self.ticket(ce, 2), b"newer")
        self.assertClosed(older)
        client.read()
        client.acknowledge()
        self.settle()
        self.assertEqual(self.tokens(client), [b"first", b"newer"])

    def test_waitsNotLong(self) -> None:
        """
        What a client does not take waits for 5 s.
        """
        ce, _client = self.started()
        self.admit(self.ticket(ce, 1), b"first")
        _, waiting = self.admit(self.ticket(ce, 2), b"second")
        self.spend(limits.HANDOVER_TIMEOUT - 0.1)
        waiting.setblocking(False)
        self.assertRaises(BlockingIOError, waiting.recv, 1)
        self.spend(0.2)
        self.assertClosed(waiting)

    def test_doesNotRead(self) -> None:
        """
        A client that takes one and does not say so gets no second; that is logged, once.
        """
        ce, client = self.started()
        self.admit(self.ticket(ce, 1))
        with capturedLogs() as logs:
            self.spend(limits.SILENCE_LIMIT + 1)
        lines = [event["log_format"] for event in logs if "session" in event]
        self.assertEqual(lines, ["Session {session}: its client does not read"])
        _, second = self.admit(self.ticket(ce, 1), b"second")
        self.spend(limits.HANDOVER_TIMEOUT + 1)
        self.assertClosed(second)
        self.assertEqual(self.tokens(client), [b"token"])

    def test_readsAgain(self) -> None:
        """
        One that takes it after all, however late, gets the next.
        """
        ce, client = self.started()
        self.admit(self.ticket(ce, 1), b"first")
        with capturedLogs():
            self.spend(limits.SILENCE_LIMIT * 2)
        client.read()
        client.acknowledge()
        self.settle()
        self.admit(self.ticket(ce, 2), b"second")
        self.assertEqual(self.tokens(client), [b"first", b"second"])

    def test_notTooMany(self) -> None:
        """
        However many streams a CE opens, few channels wait; the oldest go.
        """
        ce, _client = self.started()
        kept = []
        for stream in range(1, MOST_WAITING + 5):
            _, end = self.admit(self.ticket(ce, stream))
            kept.append(end)
        # The first is with the client; of the others the first three had to go.
        for end in kept[1:4]:
            self.assertClosed(end)
        for end in kept[4:]:
            end.setblocking(False)
            self.assertRaises(BlockingIOError, end.recv, 1)

    def test_clientGone(self) -> None:
        """
        With the client its channels go.
        """
        ce, client = self.started()
        self.admit(self.ticket(ce, 1))
        _, waiting = self.admit(self.ticket(ce, 2))
        client.close()
        self.settle()
        self.assertClosed(waiting)
        self.assertEqual(self.proxy.sessions, {})

    def test_lost(self) -> None:
        """
        A session that its CE has ended takes no more channels; the client is told why.
        """
        ce, client = self.started()
        ticket = self.ticket(ce, 3)
        self.admit(self.ticket(ce, 1))
        _, waiting = self.admit(self.ticket(ce, 2))
        session = ce.starts[0]["session"]
        end = {"session": session, "reason": "enough", "received": 0, "sent": 0}
        self.successResultOf(ce.call(commands.SessionEnded, **end))
        self.assertClosed(waiting)
        self.assertFalse(self.admit(ticket)[0])
        client.read()
        self.assertEqual(client.boxes[-1][b"_command"], b"SessionLost")
        self.assertEqual(client.boxes[-1][b"reason"], b"enough")
        client.acknowledge()
        self.settle()
        client.close()
        self.settle()
        self.assertEqual(ce.ends, [])


class RedialTests(BrokerTestCase):
    """
    Clients that have lost a channel.
    """

    def started(self) -> tuple[CEDouble, LocalClient, str]:
        """
        @return: a CE and a client for whom a GAHP was started, and its session.
        """
        ce = self.readyCE()
        client = self.ask(tunnel=True)
        client.boxes.clear()
        return ce, client, ce.starts[-1]["session"]

    def redial(self, client: LocalClient, session: str, stream: int = 0) -> None:
        """
        The client says that it has lost the third channel of a stream.
        """
        box = commands.Redial.makeArguments(
            {"session": session, "stream": stream, "generation": 3}, None
        )
        client.send({**box, b"_command": b"Redial", b"_ask": b"r%d" % stream})
        self.settle()
        client.read()

    def refusals(self, client: LocalClient) -> list[tuple[bytes, str]]:
        """
        @return: what has been refused, and why.
        """
        return [
            (box[b"_error_code"], box[b"_error_description"].decode())
            for box in client.boxes
            if b"_error" in box
        ]

    def test_passedOn(self) -> None:
        """
        It is passed on as it is, and the answer is the CE's.
        """
        ce, client, session = self.started()
        self.redial(client, session, 7)
        self.assertEqual(ce.redials, [{"session": session, "stream": 7, "generation": 3}])
        self.assertEqual(client.boxes, [{b"_answer": b"r7"}])

    def test_refusals(self) -> None:
        """
        So are refusals.
        """
        ce, client, session = self.started()

        def refuse() -> None:
            raise SessionGone("tunnel 7 of the session is over at the site")

        ce.answerRedial = refuse
        self.redial(client, session, 7)
        self.assertEqual(
            self.refusals(client),
            [(b"SessionGone", "tunnel 7 of the session is over at the site")],
        )

    def test_anothers(self) -> None:
        """
        Of a session that is not this connection's nothing is passed on, be it there or
        not.
        """
        ce, client, session = self.started()
        other = self.ask()
        for asker, name in ((other, session), (client, "host:1:1:1"), (self.client(), session)):
            asker.boxes.clear()
            self.redial(asker, name)
            ((code, sentence),) = self.refusals(asker)
            self.assertEqual(code, b"SessionGone")
            self.assertIn(f"does not serve session {name}", sentence)
        self.assertEqual(ce.redials, [])

    def test_noCE(self) -> None:
        """
        A CE that is not there, or has not listed its sessions, cannot be told; the
        session goes on.
        """
        ce, client, session = self.started()
        ce.control.abort()
        self.settle()
        self.redial(client, session, 1)
        ce, _ = self.dialCE()
        ce.hello()
        self.settle()
        self.redial(client, session, 2)
        self.successResultOf(ce.list(session))
        self.redial(client, session, 3)
        sentence = "site site.example is not connected to the proxy"
        self.assertEqual(self.refusals(client), [(b"NoSuchSite", sentence)] * 2)
        self.assertEqual([redial["stream"] for redial in ce.redials], [3])

    def test_noAnswer(self) -> None:
        """
        A CE that goes meanwhile, gives no answer, or one that is not understood, is none
        that is there; and that is no bug of ours.
        """
        with capturedLogs() as logs:
            ce, client, session = self.started()
            ce.answerRedial = Deferred
            self.redial(client, session, 1)
            self.spend(limits.CALL_TIMEOUT + 1)
            self.redial(client, session, 2)
            ce.control.abort()
            self.settle()
            client.read()
        ((code, first), (code2, second)) = self.refusals(client)
        self.assertEqual((code, code2), (b"NoSuchSite", b"NoSuchSite"))
        self.assertIn("gave no answer (no answer within 10 s)", first)
        self.assertIn("gave no answer", second)
        self.assertEqual([event for event in logs if "log_failure" in event], [])

    def test_bound(self) -> None:
        """
        A client that asks for more than it can have streams has so many on their way, and
        no more; when they are answered others may go.
        """
        ce, client, session = self.started()
        answers: list[Deferred[dict[str, int]]] = []

        def later() -> Deferred[dict[str, int]]:
            answers.append(Deferred())
            return answers[-1]

        ce.answerRedial = later
        for stream in range(MOST_WAITING + 3):
            self.redial(client, session, stream)
        self.assertEqual(len(ce.redials), MOST_WAITING)
        self.assertEqual([code for code, _ in self.refusals(client)], [b"Busy"] * 3)
        for answer in answers:
            answer.callback({})
        self.settle()
        self.redial(client, session, 99)
        self.assertEqual(ce.redials[-1]["stream"], 99)
