"""
Tests of L{rvgahp.channel}.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.channel import AnsweringChannel, DialingChannel, unacknowledged
from rvgahp.errors import ChannelLost, ProtocolError
from rvgahp.frames import END_STDIN, EXIT, STDERR, STDIN, STDOUT, encodeFrame
from rvgahp.handshake import ChannelKeys, Dialer, refusal
from rvgahp.handshakemessages import GAHP_STREAM, NO_STREAM, TUNNEL_STREAM, Dial, takeMessage
from rvgahp.policy import Outcome
from rvgahp.records import ACK, DATA, HEADER, LIMIT, PING, Opener, Sealer, encodeHeader
from rvgahp.session import SecuritySession, SessionKeys
from tests.channelends import TICKET, Ends
from tests.sessions import KEY, POLICIES, SESSION_ID, makeSession
from tests.steppedloop import descriptorCount, socketPair
from tests.tcpends import connectionPair

NEW_KEY = bytes(range(100, 132))


class ChannelTestCase(SynchronousTestCase):
    """
    Two ends, and no descriptor left behind.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self.ends = Ends()
        self.loop = self.ends.loop
        self.ceUser, self.clientUser = self.ends.users

    def tearDown(self) -> None:
        self.ends.close()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(descriptorCount(), self.before)
        for budget in self.ends.budgets:
            self.assertEqual(budget.held, 0)


class HandshakeTests(ChannelTestCase):
    """
    Tests of a channel's beginning.
    """

    def test_preamble(self) -> None:
        """
        The CE sends the preamble and its Dial at once, and not a byte more.
        """
        ours, theirs = socketPair()
        self.ends.dial(ours)
        self.assertEqual(self.ends.eatPreamble(theirs), b"RVGAHP\0\1" + TICKET)
        data = theirs.recv(4096)
        _, taken = takeMessage(data)
        self.assertEqual(taken, len(data))
        theirs.close()

    def test_opens(self) -> None:
        """
        In all outcomes the channel opens at both ends, with its generation.
        """
        for outcome in POLICIES:
            ends = Ends(outcome=outcome)
            dialing, answering = ends.connect(generation=7)
            self.assertFalse(dialing.isOpen or answering.isOpen)
            ends.loop.settle()
            self.assertTrue(dialing.isOpen and answering.isOpen)
            self.assertEqual((ends.ce.generation, ends.client.generation), (7, 7))
            self.assertEqual([user.opened for user in ends.users], [1, 1])
            ends.close()

    def test_everyByteApart(self) -> None:
        """
        A handshake whose bytes come one by one ends as well.
        """
        ceSocket, nearCE = socketPair()
        nearClient, clientSocket = socketPair()
        dialing = self.ends.dial(ceSocket)
        self.ends.eatPreamble(nearCE)
        answering = self.ends.answer(clientSocket)
        self.ends.ce.send(STDOUT, b"early")
        self.ends.client.send(STDIN, b"early too")
        for _ in range(2000):
            self.loop.settle()
            for source, sink in ((nearCE, nearClient), (nearClient, nearCE)):
                try:
                    sink.send(source.recv(1))
                except BlockingIOError:
                    pass
        self.assertTrue(dialing.isOpen and answering.isOpen)
        self.assertEqual(self.clientUser.frames(), [(STDOUT, b"early")])
        self.assertEqual(self.ceUser.frames(), [(STDIN, b"early too")])
        nearCE.close()
        nearClient.close()

    def test_tooLate(self) -> None:
        """
        An end that hears nothing gives up when the handshake's time is over, and says
        so.
        """
        ours, theirs = socketPair()
        dialing = self.ends.dial(ours)
        other, silent = socketPair()
        answering = self.ends.answer(other)
        self.loop.spend(limits.HANDSHAKE_TIMEOUT - 0.1)
        self.assertFalse(dialing.isClosed or answering.isClosed)
        self.loop.spend(0.2)
        self.assertTrue(dialing.isClosed and answering.isClosed)
        for user in self.ends.users:
            self.assertEqual(len(user.lost), 1)
            self.assertIn("handshake was not complete", user.lost[0])
        for connection in (theirs, silent):
            connection.close()

    def test_confirmTooLate(self) -> None:
        """
        The time runs until the handshake is complete, not until it has begun.
        """
        _, answering, toClient, _ = self.ends.relayed()
        toClient.cutAt = 10_000
        self.loop.turn()
        self.loop.turn()
        toClient.hold()
        self.loop.settle()
        self.loop.spend(limits.HANDSHAKE_TIMEOUT + 0.1)
        self.assertTrue(answering.isClosed)
        toClient.resume()

    def test_closedInTheMiddle(self) -> None:
        """
        A connection that ends in the handshake is a lost channel at once.
        """
        ours, theirs = socketPair()
        self.ends.dial(ours)
        theirs.recv(4096)
        theirs.close()
        self.loop.settle()
        self.assertEqual(self.ceUser.lost, ["the other end closed the connection"])

    def test_garbage(self) -> None:
        """
        Garbage in place of a handshake is a lost channel with a sentence, at either
        end.
        """
        for garbage in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0", bytes(500), b"\xff" * 40):
            for make, user in ((self.ends.dial, self.ceUser), (self.ends.answer, self.clientUser)):
                user.lost.clear()
                ours, theirs = socketPair()
                channel = make(ours)
                theirs.send(garbage + bytes(2000))
                self.loop.settle()
                self.assertTrue(channel.isClosed)
                self.assertEqual(len(user.lost), 1)
                theirs.close()

    def test_carrierClosedMeanwhile(self) -> None:
        """
        A channel that still shakes hands when its session ends is closed with it.
        """
        dialing, answering = self.ends.connect()
        self.ends.close()
        self.assertTrue(dialing.isClosed and answering.isClosed)
        self.loop.settle()
        self.assertEqual([user.opened for user in self.ends.users], [0, 0])

    def test_madeAfterTheEnd(self) -> None:
        """
        A channel that is made when its session is over already does not live.
        """
        self.ends.close()
        dialing, answering = self._made()
        self.loop.settle()
        self.assertTrue(dialing.isClosed and answering.isClosed)
        self.assertEqual([user.lost for user in self.ends.users], [[], []])

    def _made(self) -> tuple[Any, Any]:
        ours, theirs = socketPair()
        return self.ends.dial(ours), self.ends.answer(theirs)


class RenewalTests(ChannelTestCase):
    """
    Tests of channels about the time when their session has another key.
    """

    def renew(self, number: int) -> None:
        """
        Both ends have another key.
        """
        self.ends.keys.renew(bytes([number]) * 32, number, 86400, self.loop.seconds())

    def test_newKey(self) -> None:
        """
        A stream goes on, whole, over channels with one key after the other.
        """
        for number in range(1, 6):
            if number > 1:
                self.renew(number)
            dialing, answering = self.ends.connect()
            self.loop.settle()
            self.assertTrue(dialing.isOpen and answering.isOpen, number)
            self.ends.ce.send(STDOUT, b"from %d " % number)
            self.ends.client.send(STDIN, b"to %d " % number)
            self.loop.spend(1)
        self.assertEqual(
            self.clientUser.frames(), [(STDOUT, b"from 1 from 2 from 3 from 4 from 5 ")]
        )
        self.assertEqual(self.ceUser.frames(), [(STDIN, b"to 1 to 2 to 3 to 4 to 5 ")])
        self.assertEqual([user.lost for user in self.ends.users], [[], []])

    def test_onItsWay(self) -> None:
        """
        A Dial that was sent before the new key came opens its channel, also if one with
        the new key has opened; and a handshake is not disturbed by a new key in its
        middle.
        """
        ours, theirs = socketPair()
        late = self.ends.dial(ours, generation=3)
        self.ends.eatPreamble(theirs)
        dialing, answering, toClient, _ = self.ends.relayed(generation=1)
        self.loop.turn()
        toClient.hold()
        self.loop.settle()
        self.renew(2)
        toClient.resume()
        self.loop.settle()
        self.assertTrue(dialing.isOpen and answering.isOpen)
        dialing, answering = self.ends.connect(generation=2)
        self.loop.settle()
        self.assertTrue(dialing.isOpen and answering.isOpen)
        answering = self.ends.answer(theirs)
        self.loop.settle()
        self.assertTrue(late.isOpen and answering.isOpen)

    def test_runs(self) -> None:
        """
        A channel goes on after the duration of its key.
        """
        dialing, answering = self.ends.connect()
        self.loop.settle()
        self.loop.spend(86400 + 100)
        self.ends.ce.send(STDOUT, b"still here")
        self.loop.settle()
        self.assertTrue(dialing.isOpen and answering.isOpen)
        self.assertEqual(self.clientUser.frames(), [(STDOUT, b"still here")])


class RefusalTests(ChannelTestCase):
    """
    Tests of a client that refuses, against Dials made by hand.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socketPair()

    def tearDown(self) -> None:
        self.theirs.close()
        super().tearDown()

    def _answers(self, dialer: Dialer, lastGeneration: int = 0) -> bytes:
        """
        What a client says to a Dial.
        """
        channel = AnsweringChannel(
            self.loop,
            self.ours,
            self.ends.client,
            self.ends.keys,
            0,
            GAHP_STREAM,
            lastGeneration,
        )
        self.theirs.send(dialer.dial())
        self.loop.settle()
        self.assertTrue(channel.isClosed)
        self.assertEqual(len(self.clientUser.lost), 1)
        return self.theirs.recv(4096)

    def _reason(self, dialer: Dialer, lastGeneration: int = 0) -> str:
        """
        The reason that the CE learns.
        """
        body, _ = takeMessage(self._answers(dialer, lastGeneration))
        assert body is not None
        with self.assertRaises(ChannelLost) as caught:
            dialer.answered(body)
        return str(caught.exception)

    def test_generation(self) -> None:
        """
        A generation that is not higher than the last is refused, provably.
        """
        self.assertIn("(reason 1)", self._reason(Dialer(makeSession(), 0, GAHP_STREAM, 4, 0, 0), 4))

    def test_generationOfTheCarrier(self) -> None:
        """
        What counts is the last confirmed generation when the Dial comes, not the one
        when the connection was handed over.
        """
        self.ends.client.generation = 4
        self.assertIn("(reason 1)", self._reason(Dialer(makeSession(), 0, GAHP_STREAM, 4, 0, 0)))

    def test_isRefused(self) -> None:
        """
        Only a refusal that means that the stream is over there, and proves to come from who
        knows the key, is taken for that.
        """
        for handed, key, isOver in (
            ((7, TUNNEL_STREAM, 0), KEY, True),
            ((0, 255, 0), KEY, True),
            ((0, GAHP_STREAM, 9), KEY, False),  # a generation that has been
            ((7, TUNNEL_STREAM, 0), bytes(32), False),
        ):
            ends = Ends()
            ours, theirs = socketPair()
            ends.dial(ours)
            ends.eatPreamble(theirs)
            keys = SessionKeys(makeSession(key=key), 0)
            AnsweringChannel(ends.loop, theirs, ends.client, keys, *handed)
            ends.loop.settle()
            self.assertEqual(len(ends.users[0].lost), 1)
            self.assertEqual((ends.ce.isRefused, ends.client.isRefused), (isOver, False))
            ends.close()
        ours, theirs = socketPair()
        self.ends.dial(ours)
        dial, _ = takeMessage(memoryview(theirs.recv(4096))[limits.PREAMBLE_BYTES :])
        assert dial is not None
        forged = refusal(makeSession(key=bytes(32)), Dial(dial), NO_STREAM, "it is over")
        theirs.sendall(forged)
        self.loop.settle()
        self.assertIn("proves no knowledge", self.ceUser.lost[0])
        self.assertFalse(self.ends.ce.isRefused)
        theirs.close()
        self.ours.close()

    def test_stream(self) -> None:
        """
        A Dial of another stream than was announced is refused.
        """
        self.assertIn("(reason 2)", self._reason(Dialer(makeSession(), 1, GAHP_STREAM, 1, 0, 0)))

    def test_kind(self) -> None:
        """
        A Dial of another kind of stream is refused.
        """
        self.assertIn("(reason 2)", self._reason(Dialer(makeSession(), 0, TUNNEL_STREAM, 1, 0, 0)))

    def test_policy(self) -> None:
        """
        A policy that gives another result is refused.
        """
        weak = SecuritySession(
            SESSION_ID, KEY, POLICIES[Outcome.INTEGRITY], POLICIES[Outcome.INTEGRITY], 1, 1
        )
        self.assertIn("(reason 3)", self._reason(Dialer(weak, 0, GAHP_STREAM, 1, 0, 0)))

    def test_version(self) -> None:
        """
        A version that is not spoken is refused.
        """
        self.patch(limits, "CHANNEL_VERSION", 2)
        dialer = Dialer(makeSession(), 0, GAHP_STREAM, 1, 0, 0)
        self.patch(limits, "CHANNEL_VERSION", 1)
        self.assertIn("(reason 4)", self._reason(dialer))

    def test_newerRelease(self) -> None:
        """
        A CE that speaks a newer version with newer proxies, too, dials no other channels: the
        client may be of an older release.
        """
        self.patch(limits, "PROTOCOL_VERSIONS", (1, 2))
        body, _ = takeMessage(Dialer(makeSession(), 0, GAHP_STREAM, 1, 0, 0).dial())
        assert body is not None
        self.assertEqual(Dial(body).version, 1)
        self.ends.dial(self.ours)
        self.assertEqual(self.ends.eatPreamble(self.theirs), b"RVGAHP\0\1" + TICKET)

    def test_keyOver(self) -> None:
        """
        A key whose duration is over is refused, whether another has come or not.
        """
        first = self.ends.keys.present
        self.loop.advance(86400)
        reason = self._reason(Dialer(first, 0, GAHP_STREAM, 1, 0, 0))
        self.assertIn("(reason 5)", reason)
        self.assertIn("key 1 of the session was good for 86400 s", reason)
        self.ends.keys.renew(NEW_KEY, 2, 10, self.loop.seconds())
        for session, advance in ((first, 0), (self.ends.keys.present, 10)):
            self.clientUser.lost.clear()
            self.theirs.close()
            self.ours, self.theirs = socketPair()
            self.loop.advance(advance)
            self.assertIn("(reason 5)", self._reason(Dialer(session, 0, GAHP_STREAM, 1, 0, 0)))

    def test_keyNumber(self) -> None:
        """
        A Dial with a key that is not known here gets no answer, nor does one with the
        number of another key.
        """
        self.ends.keys.renew(NEW_KEY, 2, 86400, self.loop.seconds())
        for key, number in ((KEY, 3), (bytes(32), 3), (KEY, 2), (NEW_KEY, 1)):
            dialer = Dialer(makeSession(key=key, keyNumber=number), 0, GAHP_STREAM, 1, 0, 0)
            self.assertEqual(self._answers(dialer), b"")
            self.clientUser.lost.clear()
            self.theirs.close()
            self.ours, self.theirs = socketPair()
        self.ours.close()

    def test_notProven(self) -> None:
        """
        A Dial of another session, or of one who has not its key, gets no answer at
        all.
        """
        for session in (makeSession(key=bytes(32)), makeSession(sessionId="another:1:1:1")):
            self.assertEqual(self._answers(Dialer(session, 0, GAHP_STREAM, 1, 0, 0)), b"")
            self.clientUser.lost.clear()
            self.theirs.close()
            self.ours, self.theirs = socketPair()
        self.ours.close()

    def test_toldAtTheCE(self) -> None:
        """
        The CE's channel is lost with the client's sentence.
        """
        self.ends.client.generation = 9
        self.ends.connect(generation=5)
        self.loop.settle()
        self.assertEqual(len(self.ceUser.lost), 1)
        self.assertIn("generation 5 has been before", self.ceUser.lost[0])
        self.ours.close()


class RecordTests(ChannelTestCase):
    """
    Tests of an open channel.
    """

    def test_bothWays(self) -> None:
        """
        Frames of all kinds go both ways and are acknowledged.
        """
        self.ends.connect()
        self.loop.settle()
        self.ends.ce.send(STDOUT, b"banner\r\n")
        self.ends.client.send(STDIN, b"COMMANDS\r\n")
        self.ends.ce.send(STDERR, b"warning\n")
        self.ends.client.send(END_STDIN)
        self.loop.spend(1)
        self.assertEqual(
            self.clientUser.frames(), [(STDOUT, b"banner\r\n"), (STDERR, b"warning\n")]
        )
        self.assertEqual(self.ceUser.frames(), [(STDIN, b"COMMANDS\r\n"), (END_STDIN, b"")])
        for carrier in self.ends.carriers:
            self.assertTrue(carrier.stream.isAcknowledged())

    def test_flippedBytes(self) -> None:
        """
        Wherever a byte is flipped on its way, in either direction, the channel is lost
        at the end that gets it; the frames of the records before it are delivered and
        nothing of it or after it.
        """
        frames = [b"first", b"second", b"third"]
        records = [HEADER.size + 4 + len(text) + 16 for text in frames]
        for direction in (0, 1):
            for outcome in (Outcome.ENCRYPT, Outcome.INTEGRITY):
                for offset in range(sum(records)):
                    whole = [n for n in range(3) if sum(records[: n + 1]) <= offset]
                    self._flip(direction, outcome, offset, frames, frames[: len(whole)])

    def _flip(
        self,
        direction: int,
        outcome: Outcome,
        offset: int,
        frames: list[bytes],
        expected: list[bytes],
    ) -> None:
        ends = Ends(outcome=outcome)
        *_, toClient, toCE = ends.relayed()
        ends.loop.settle()
        way = (toClient, toCE)[direction]
        way.flipAt = way.carried + offset
        kind = (STDOUT, STDIN)[direction]
        for text in frames:
            ends.carriers[direction].send(kind, text)
        ends.loop.settle()
        user = ends.users[1 - direction]
        heard = b"".join(bytes(frame.payload) for frame in user.heard)
        self.assertEqual(heard, b"".join(expected))
        self.assertEqual(len(user.lost), 1)
        ends.close()

    def test_nonsenseInTheStream(self) -> None:
        """
        Frames that make no sense are no fault of the channel: no other is of use then.  A
        record that was altered on its way is, and the next one may do.
        """
        for nonsense in (
            bytes.fromhex("0affffff"),  # of no kind, and too long
            encodeFrame(EXIT, b"??"),
            encodeFrame(END_STDIN, b"")[:3] + b"\x07" + bytes(7),
        ):
            ends = Ends()
            channels = ends.connect()
            ends.loop.settle()
            ends.ce.stream._unsent.append(nonsense)
            ends.ce.stream._chunks.append(nonsense)
            channels[0].pump()
            ends.loop.settle()
            self.assertEqual(len(ends.users[1].lost), 1, nonsense)
            self.assertEqual([one.isRefused for one in (ends.ce, ends.client)], [False, True])
            ends.close()
        *_, toClient, _ = self.ends.relayed()
        self.loop.settle()
        toClient.flipAt = toClient.carried + 20
        self.ends.ce.send(STDOUT, b"will be altered")
        self.loop.settle()
        self.assertEqual([one.isRefused for one in self.ends.carriers], [False, False])

    def test_flippedByteIsTold(self) -> None:
        """
        An altered record is called so.
        """
        *_, toClient, _ = self.ends.relayed()
        self.loop.settle()
        toClient.flipAt = toClient.carried + 20
        self.ends.ce.send(STDOUT, b"will be altered")
        self.loop.settle()
        self.assertEqual(len(self.clientUser.lost), 1)
        self.assertIn("altered on its way", self.clientUser.lost[0])
        self.assertEqual(self.ceUser.lost, ["the other end closed the connection"])

    def test_connectionEnds(self) -> None:
        """
        When the connection ends, all that came before is delivered, and both ends
        hear of it once.
        """
        *_, toClient, _ = self.ends.relayed()
        self.loop.settle()
        self.ends.ce.send(STDOUT, b"last words")
        self.loop.settle()
        toClient.end()
        self.loop.settle()
        self.assertEqual(self.clientUser.frames(), [(STDOUT, b"last words")])
        for user in self.ends.users:
            self.assertEqual(len(user.lost), 1)

    def test_userCloses(self) -> None:
        """
        A user that closes everything on the first frame, or when there is room, hears
        nothing afterwards, though more has come in the same read.
        """
        for event in ("framesReceived", "roomMade", "channelOpened"):
            ends = Ends()
            user = ends.users[0]
            original = getattr(user, event)

            def closing(*arguments: Any, original: Any = original, ends: Ends = ends) -> None:
                original(*arguments)
                ends.ce.close()

            self.patch(user, event, closing)
            _, answering = ends.connect()
            ends.loop.settle()
            for _ in range(3):
                ends.client.send(STDIN, b"more")
                answering.acknowledge()
            ends.loop.spend(1)
            self.assertLessEqual(len(user.heard), 3)
            self.assertEqual((user.lost, ends.budgets[0].held), ([], 0))
            ends.close()

    def test_userRefuses(self) -> None:
        """
        A user that finds frames wrong makes the channel lost, not the loop fail.
        """
        user = self.ends.users[0]

        def refuse(frames: object) -> None:
            raise ProtocolError("a frame of kind 0 is not for this test")

        self.patch(user, "framesReceived", refuse)
        self.ends.connect()
        self.loop.settle()
        self.ends.client.send(STDIN, b"wrong")
        self.loop.settle()
        self.assertEqual(user.lost, ["a frame of kind 0 is not for this test"])

    def test_noKeysLeft(self) -> None:
        """
        A channel that has had all the records its keys allow is lost with a sentence,
        whoever made it send; the stream is not harmed.
        """
        self.ends.connect()
        self.loop.settle()
        self.patch(limits, "CHANNEL_RECORDS", 3)
        for number in range(5):
            self.ends.ce.send(STDOUT, b"%d" % number)
        self.loop.settle()
        self.assertEqual(len(self.ceUser.lost), 1)
        self.assertIn("all the records", self.ceUser.lost[0])
        self.patch(limits, "CHANNEL_RECORDS", 2**40)
        self.ends.connect()
        self.loop.settle()
        self.assertEqual(self.clientUser.frames(), [(STDOUT, b"01234")])

    def test_manySmallFramesWaiting(self) -> None:
        """
        Tens of thousands of small frames that wait for a full connection go out one
        after the other when it has room, and not each from inside the one before.
        """
        dialing, answering = self.ends.connect()
        self.loop.settle()
        answering.pauseReading()
        while not dialing._writing:
            self.ends.ce.send(STDOUT, bytes(50_000))
        count = 20_000
        for _ in range(count):
            self.ends.ce.send(STDERR, b"x")
        answering.resumeReading()
        self.loop.spend(1)
        self.assertEqual(self.clientUser.frames()[-1], (STDERR, b"x" * count))
        self.assertEqual([user.lost for user in self.ends.users], [[], []])

    def test_writingFails(self) -> None:
        """
        When the connection takes nothing any more while much waits for it, the channel
        is lost once, and the stream has it all for the next one.
        """
        dialing, answering = self.ends.connect(buffer=4096)
        self.loop.settle()
        answering.pauseReading()
        for number in range(6):
            self.ends.ce.send(STDOUT, bytes([number]) * 100_000)
        self.loop.settle()
        self.assertGreater(dialing.unsent, 0)
        answering.close()
        self.ends.client.channelLost(answering, "closed by the test")
        self.loop.settle()
        self.assertEqual(len(self.ceUser.lost), 1)
        self.ends.connect()
        self.loop.settle()
        expected = b"".join(bytes([number]) * 100_000 for number in range(6))
        self.assertEqual(self.clientUser.frames(), [(STDOUT, expected)])


class SignTests(ChannelTestCase):
    """
    Signs of life, over TCP.
    """

    def open(self, buffer: int = 0) -> tuple[DialingChannel, AnsweringChannel]:
        """
        @return: both ends of a channel.
        """
        ours, theirs = connectionPair(buffer)
        dialing = self.ends.dial(ours)
        self.ends.eatPreamble(theirs)
        answering = self.ends.answer(theirs)
        end = time.monotonic() + 10
        while not answering.isOpen and time.monotonic() < end:
            self.loop.settle()
        return dialing, answering

    def awaitSign(self, channel: DialingChannel, former: object) -> None:
        """
        Wait until its signs are not as they were: the kernel takes its time.
        """
        end = time.monotonic() + 10
        while channel.signs() == former:
            self.assertLess(time.monotonic(), end, "there was no sign")
            time.sleep(0.005)

    def stuck(self) -> tuple[DialingChannel, AnsweringChannel]:
        """
        @return: a channel whose peer does not read, and whose kernels take no more.
        """
        dialing, answering = self.open(8192)
        answering.pauseReading()
        for _ in range(8):
            self.ends.ce.send(STDOUT, bytes(limits.READ_BYTES))
        former: object = None
        while former != dialing.signs():
            former = dialing.signs()
            self.loop.settle()
            time.sleep(0.1)
        self.assertGreater(dialing.unsent, 0)
        return dialing, answering

    def test_idle(self) -> None:
        """
        Where nothing happens, and nothing waits, there is none; what comes is one.
        """
        dialing, _ = self.open()
        self.loop.settle()
        former = dialing.signs()
        for _ in range(10):
            self.loop.settle()
            self.assertEqual(dialing.signs(), former)
        self.ends.client.send(STDIN, b"x")
        self.loop.settle()
        self.assertNotEqual(dialing.signs(), former)

    def test_takenByThePeersKernel(self) -> None:
        """
        While ours can take no more, what the peer's kernel takes is one, though nobody
        reads there, and though ours takes nothing; when that has no more room there is
        none.
        """
        dialing, answering = self.stuck()
        former, written = dialing.signs(), dialing._taken
        self.assertEqual(dialing.signs(), former)
        connection = socket.socket(fileno=os.dup(answering.fileno()))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.awaitSign(dialing, former)  # without a turn of the loop
        self.assertEqual(dialing._taken, written)
        connection.close()

    def test_takenByOurs(self) -> None:
        """
        So is what ours takes then.
        """
        dialing, answering = self.stuck()
        former = dialing.signs()
        answering.doRead()
        end = time.monotonic() + 10
        while dialing.signs() == former and time.monotonic() < end:
            self.loop.turn()
        self.assertNotEqual(dialing.signs(), former)

    def test_slowIsNotSilent(self) -> None:
        """
        A peer of whom nothing is heard is not taken for dead while its kernel takes what
        waits for it; and when it takes no more, it is.
        """
        dialing, answering = self.stuck()
        far = os.dup(answering.fileno())
        self.ends.client.close()
        for _ in range(10):
            former = dialing.signs()
            end = time.monotonic() + 10
            while dialing.signs() == former and time.monotonic() < end:
                try:
                    os.read(far, 4096)
                except BlockingIOError:
                    time.sleep(0.005)
                self.loop.turn()
            self.loop.advance(limits.PING_INTERVAL)
        self.assertEqual(self.ceUser.lost, [])
        self.assertGreater(self.ceUser.silences[-1], 2 * limits.SILENCE_LIMIT)
        for _ in range(3):
            time.sleep(0.1)  # for what is still on its way
            self.loop.advance(limits.PING_INTERVAL)
        self.assertEqual(len(self.ceUser.lost), 1)
        self.assertIn("nothing was heard for", self.ceUser.lost[0])
        os.close(far)

    def test_noTCP(self) -> None:
        """
        Another kind of socket is one whose peer has taken all.
        """
        ours, theirs = os.pipe()
        for fd in (ours, theirs):
            self.assertEqual(unacknowledged(fd), 0)
            os.close(fd)
        self.assertEqual(unacknowledged(ours), 0)


class Peer:
    """
    A client made by hand, which says what it likes.
    """

    def __init__(self, test: SynchronousTestCase, ends: Ends) -> None:
        from rvgahp.handshake import Answerer
        from rvgahp.handshakemessages import Dial

        self._test = test
        self._ends = ends
        ours, self.connection = socketPair()
        self.channel = ends.dial(ours)
        ends.eatPreamble(self.connection)
        body, _ = takeMessage(self.connection.recv(4096))
        assert body is not None
        answerer = Answerer(ends.session, Dial(body), 0, 1000)
        self.connection.send(answerer.accept())
        ends.loop.settle()
        data = self.connection.recv(4096)
        body, taken = takeMessage(data)
        assert body is not None
        self.keys: ChannelKeys = answerer.confirmed(body)
        self._sealer = Sealer(self.keys.outcome, self.keys.sending)
        self._opener = Opener(self.keys.outcome, self.keys.receiving)
        self._data = data[taken:]

    def say(self, kind: int, position: int, body: bytes = b"") -> None:
        """
        Send a record.
        """
        self.connection.send(b"".join(map(bytes, self._sealer.seal(kind, position, body))))
        self._ends.loop.settle()

    def hear(self) -> list[tuple[int, int, bytes]]:
        """
        The records that have come.
        """
        try:
            while part := self.connection.recv(1 << 20):
                self._data += part
        except BlockingIOError:
            pass
        records = list(self._opener.read(memoryview(self._data)))
        self._data = self._data[self._opener.consumed :]
        return records


class NonsenseTests(ChannelTestCase):
    """
    Tests of a CE whose authentic peer says what makes no sense.
    """

    def _lostBy(self, kind: int, position: int, body: bytes) -> str:
        """
        Why the channel was lost by one record.
        """
        ends = Ends(window=5000)
        peer = Peer(self, ends)
        ends.ce.send(STDOUT, b"hello")
        ends.loop.settle()
        peer.say(kind, position, body)
        lost = list(ends.users[0].lost)
        self.assertEqual(len(lost), 1)
        self.assertTrue(peer.channel.isClosed)
        peer.connection.close()
        ends.close()
        return lost[0]

    def test_acknowledgements(self) -> None:
        """
        An acknowledgement of what was never sent, or of another form, ends it.
        """
        self.assertIn("never sent", self._lostBy(ACK, 10, LIMIT.pack(1000)))
        self.assertIn("unknown form", self._lostBy(ACK, 5, b""))
        self.assertIn("unknown form", self._lostBy(ACK, 5, bytes(9)))

    def test_data(self) -> None:
        """
        Data with a gap before it, beyond the window, or that is no frame, ends it.
        """
        self.assertIn("missing", self._lostBy(DATA, 1, b"x"))
        self.assertIn("beyond the window", self._lostBy(DATA, 0, bytes(5001)))
        self.assertIn("kind 77", self._lostBy(DATA, 0, b"\x4d\0\0\0"))

    def test_ping(self) -> None:
        """
        A ping says nothing.
        """
        self.assertIn("ping", self._lostBy(PING, 0, b"x"))

    def test_limitRespected(self) -> None:
        """
        Not a byte goes beyond the limit that the peer has named, however much is
        written, and it is used up to its last byte.
        """
        peer = Peer(self, self.ends)
        for _ in range(5):
            self.ends.ce.send(STDOUT, bytes(700))
        self.loop.settle()
        sent = sum(len(body) for kind, _, body in peer.hear() if kind == DATA)
        self.assertEqual(sent, 1000)
        self.assertEqual(self.ends.ce.room(), 0)
        peer.say(ACK, 1000, LIMIT.pack(1001))
        sent += sum(len(body) for kind, _, body in peer.hear() if kind == DATA)
        self.assertEqual(sent, 1001)
        peer.say(ACK, 1001, LIMIT.pack(500))
        self.assertEqual(peer.hear(), [])
        peer.say(ACK, 1001, LIMIT.pack(10_000))
        sent += sum(len(body) for kind, _, body in peer.hear() if kind == DATA)
        self.assertEqual(sent, 5 * 704)
        peer.connection.close()

    def test_acknowledgedInPortions(self) -> None:
        """
        Delivered bytes are acknowledged at once when there are many, else after a
        while, and the limit rises with them.
        """
        peer = Peer(self, self.ends)
        peer.say(DATA, 0, encodeFrame(STDIN, bytes(96)))
        self.assertEqual(peer.hear(), [])
        self.loop.spend(limits.ACK_DELAY)
        self.assertEqual(peer.hear(), [(ACK, 100, LIMIT.pack((1 << 20) + 100))])
        big = encodeFrame(STDIN, bytes(limits.FRAME_PAYLOAD_BYTES))
        for offset in range(0, len(big), 100_000):
            peer.say(DATA, 100 + offset, big[offset : offset + 100_000])
        end = 100 + len(big)
        self.assertEqual(peer.hear(), [(ACK, end, LIMIT.pack((1 << 20) + end))])
        peer.connection.close()

    def test_manySmallRecords(self) -> None:
        """
        A peer that sends byte by byte is heard without more being kept than comes.
        """
        peer = Peer(self, self.ends)
        wire = encodeFrame(STDIN, b"slowly, but it comes")
        for offset in range(len(wire)):
            peer.say(DATA, offset, wire[offset : offset + 1])
        self.assertEqual(self.ceUser.frames(), [(STDIN, b"slowly, but it comes")])
        peer.connection.close()


class HeaderTests(SynchronousTestCase):
    """
    Without protection, what can be wrong is found all the same.
    """

    def test_garbageWithoutProtection(self) -> None:
        """
        Garbage on an unprotected channel loses it.
        """
        ends = Ends(outcome=Outcome.NONE)
        peer = Peer(self, ends)
        peer.connection.send(encodeHeader(9, 0, 0))
        ends.loop.settle()
        self.assertEqual(len(ends.users[0].lost), 1)
        peer.connection.close()
        ends.close()
