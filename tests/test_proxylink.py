"""
Tests of L{rvgahp.proxylink}.
"""

from __future__ import annotations

import array
import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.errors import ProtocolError, SessionGone
from rvgahp.proxylink import ProxyLink
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair

Box = dict[bytes, bytes]

CHANNEL: Box = {b"_command": b"Channel", b"_ask": b"7", b"session": b"a:1:1:1", b"stream": b"0"}


class Client:
    """
    Keeps what it is told.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.connections: list[socket.socket] = []
        self.closing: ProxyLink | None = None
        self.problem: Exception | None = None

    def _note(self, name: str, what: object) -> None:
        self.told.append((name, what))
        if self.closing is not None:
            self.closing.close()

    def answered(self, box: Box) -> None:
        self._note("answered", box)

    def refused(self, sentence: str) -> None:
        self._note("refused", sentence)

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        self.connections.append(connection)
        self._note("channel", stream)

    def renewKey(self, box: Box) -> None:
        self._note("key", box)
        if self.problem is not None:
            raise self.problem

    def sessionLost(self, reason: str) -> None:
        self._note("session lost", reason)

    def linkLost(self, reason: str, closed: bool) -> None:
        self._note("link lost" if closed else "link broken", reason)


class ProxyLinkTests(SynchronousTestCase):
    """
    Tests of L{ProxyLink}, the proxy being the test.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self.connect()

    def connect(self) -> None:
        """
        Begin anew.
        """
        self.loop = SteppedLoop()
        self.client = Client()
        ours, self.proxy = socketPair()
        self.link = ProxyLink(self.loop, ours, self.client)
        self.reader = BoxReader(16384)

    def disconnect(self) -> None:
        """
        Nothing may be left.
        """
        for connection in self.client.connections:
            connection.close()
        self.link.close()
        self.proxy.close()
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))
        self.assertEqual(descriptorCount(), self.before)

    def tearDown(self) -> None:
        self.disconnect()

    def say(self, data: bytes, descriptors: list[int] | None = None) -> None:
        """
        The proxy sends bytes, with descriptors beside the first.
        """
        rights = array.array("i", descriptors or [])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights.tobytes())] if rights else []
        sent = self.proxy.sendmsg([data], ancillary)
        self.assertEqual(sent, len(data))
        self.loop.settle()

    def heard(self) -> list[Box]:
        """
        The boxes that the proxy has got.
        """
        try:
            return self.reader.read(self.proxy.recv(65536))
        except BlockingIOError:
            return []

    def handed(self, text: bytes) -> tuple[socket.socket, socket.socket]:
        """
        A connection to be handed over, and its other end, which has said C{text}.
        """
        near, far = socketPair()
        far.send(text)
        return near, far

    # -- the request --------------------------------------------------------

    def test_request(self) -> None:
        """
        The request is one box.
        """
        self.link.request("site.example.edu", "blahpd", "alice", tunnel=True, tunnelPort=40123)
        (box,) = self.heard()
        self.assertEqual(
            box,
            {
                b"_command": b"RequestGAHP",
                b"_ask": b"1",
                b"versions": b"\0\x011",
                b"site": b"site.example.edu",
                b"gahp": b"blahpd",
                b"account": b"alice",
                b"tunnel": b"True",
                b"tunnelPort": b"40123",
            },
        )

    def test_answer(self) -> None:
        """
        The answer to the request is passed on as it is.
        """
        self.request()
        box = {b"_answer": b"1", b"session": b"a:1:1:1", b"key": bytes(32)}
        self.say(encodeBox(box))
        self.assertEqual(self.client.told, [("answered", box)])

    def test_refusal(self) -> None:
        """
        A refusal is passed on as its sentence, badly encoded or not.
        """
        for sentence, shown in ((b"no such site", "no such site"), (b"n\xff", "n\ufffd")):
            self.client.told.clear()
            tag = self.request()
            box = {b"_error": tag, b"_error_code": b"NoSuchSite", b"_error_description": sentence}
            self.say(encodeBox(box))
            self.assertEqual(self.client.told, [("refused", shown)])

    def request(self) -> bytes:
        """
        Ask for a GAHP.

        @return: the tag of the question.
        """
        self.link.request("site", "blahpd")
        (box,) = self.heard()
        self.assertEqual(box[b"_command"], b"RequestGAHP")
        return box[b"_ask"]

    def test_several(self) -> None:
        """
        Each of several questions gets its own answer or refusal, in whatever order these
        come, and once.
        """
        told: list[object] = []
        for name in (b"one", b"two", b"three"):

            def answered(box: Box, name: bytes = name) -> None:
                told.append((name, box))

            def refused(code: bytes, sentence: str, name: bytes = name) -> None:
                told.append((name, code, sentence))

            self.link.ask({b"_command": name}, answered, refused)
        tags = {box[b"_command"]: box[b"_ask"] for box in self.heard()}
        self.assertEqual(len(set(tags.values())), 3)
        refusal = {b"_error_code": b"NotYet", b"_error_description": b"so"}
        three, one = {b"_answer": tags[b"three"]}, {b"_error": tags[b"one"], **refusal}
        for box in (three, one, three, one):
            self.say(encodeBox(box))
        self.assertEqual(told, [(b"three", three), (b"one", b"NotYet", "so")])
        self.assertEqual(self.client.told, [])

    def test_strangeAnswer(self) -> None:
        """
        What is not understood of an answer costs the link.
        """
        for error in (KeyError("nonce"), ValueError("no number"), ProtocolError("no such key")):

            def refuse(box: Box, error: Exception = error) -> None:
                raise error

            self.link.ask({b"_command": b"x"}, refuse, lambda code, sentence: None)
            self.say(encodeBox({b"_answer": self.heard()[0][b"_ask"]}))
            self.assertEqual([name for name, _ in self.client.told], ["link broken"])
            self.disconnect()
            self.connect()

    def test_redial(self) -> None:
        """
        The proxy is told which channel of which stream is lost; only that the CE knows
        the stream no more is worth a word.
        """
        gone: list[str] = []
        for code in (b"SessionGone", b"NoSuchSite", b"Busy", b"InternalError", b""):
            self.link.redial("a:1:1:1", 7, 3, gone.append)
            (box,) = self.heard()
            tag = box.pop(b"_ask")
            self.assertEqual(
                box,
                {
                    b"_command": b"Redial",
                    b"session": b"a:1:1:1",
                    b"stream": b"7",
                    b"generation": b"3",
                },
            )
            refusal = {b"_error": tag, b"_error_code": code, b"_error_description": code}
            self.say(encodeBox(refusal if code else {b"_answer": tag}))
        self.assertEqual((gone, self.client.told), (["SessionGone"], []))

    def test_answersToOthers(self) -> None:
        """
        An answer to what was never asked is ignored.
        """
        self.say(encodeBox({b"_answer": b"9"}) + encodeBox({b"_error": b"9"}))
        self.say(encodeBox({b"nothing": b"known"}))
        self.assertEqual(self.client.told, [])
        self.assertFalse(self.link.isClosed)

    def test_sessionLost(self) -> None:
        """
        The end of the session is passed on with its reason.
        """
        self.say(encodeBox({b"_command": b"SessionLost", b"session": b"x", b"reason": b"so"}))
        self.assertEqual(self.client.told, [("session lost", "so")])

    def test_renewKey(self) -> None:
        """
        A key is passed on as it came, and answered when it was taken.
        """
        box = {b"_command": b"RenewKey", b"_ask": b"6", b"key": bytes(32)}
        self.say(encodeBox(box))
        self.assertEqual(self.client.told, [("key", box)])
        self.assertEqual(self.heard(), [{b"_answer": b"6"}])
        del box[b"_ask"]
        self.say(encodeBox(box))
        self.assertEqual(self.client.told[1:], [("key", box)])
        self.assertEqual(self.heard(), [])

    def test_renewKeyRefused(self) -> None:
        """
        One that is not taken is refused by a sentence that has nothing of it; the link
        stays.
        """
        box = {b"_command": b"RenewKey", b"_ask": b"6", b"key": b"secret words"}
        for problem, code, sentence in (
            (SessionGone("another"), b"SessionGone", b"another"),
            (ProtocolError("a key too many"), b"InternalError", b"a key too many"),
            (KeyError("secret words"), b"InternalError", b"a RenewKey of unknown form came"),
            (ValueError("secret words"), b"InternalError", b"a RenewKey of unknown form came"),
        ):
            self.client.problem = problem
            self.say(encodeBox(box))
            self.assertEqual(
                self.heard(),
                [{b"_error": b"6", b"_error_code": code, b"_error_description": sentence}],
            )
        self.assertFalse(self.link.isClosed)

    def test_unknownCommand(self) -> None:
        """
        An unknown command is answered so, if it wants an answer, and else ignored.
        """
        self.say(encodeBox({b"_command": b"Dance", b"_ask": b"5"}))
        (box,) = self.heard()
        self.assertEqual((box[b"_error"], box[b"_error_code"]), (b"5", b"UNHANDLED"))
        self.say(encodeBox({b"_command": b"Dance"}))
        self.assertEqual(self.heard(), [])
        self.assertEqual(self.client.told, [])

    # -- connections --------------------------------------------------------

    def test_channel(self) -> None:
        """
        A connection is passed on, open, non-blocking, not inherited, with not a byte
        read of it; and that is answered.
        """
        near, far = self.handed(b"first bytes")
        self.say(encodeBox(CHANNEL), [near.fileno()])
        near.close()
        self.assertEqual(self.client.told, [("channel", 0)])
        (connection,) = self.client.connections
        self.assertFalse(connection.getblocking())
        self.assertFalse(connection.get_inheritable())
        self.assertEqual(connection.recv(100), b"first bytes")
        self.assertEqual(self.heard(), [{b"_answer": b"7"}])
        far.close()

    def test_channelCutAnywhere(self) -> None:
        """
        Cut at any byte, with the descriptor beside the first, the box and its
        connection come together.
        """
        wire = encodeBox(CHANNEL)
        for cut in range(1, len(wire)):
            near, far = self.handed(b"%d" % cut)
            self.say(wire[:cut], [near.fileno()])
            near.close()
            self.assertEqual(self.client.connections, [])
            self.say(wire[cut:])
            (connection,) = self.client.connections
            self.assertEqual(connection.recv(100), b"%d" % cut)
            far.close()
            self.disconnect()
            self.connect()

    def test_everyByteApart(self) -> None:
        """
        A box that comes byte by byte is one as well.
        """
        near, far = self.handed(b"slowly")
        wire = encodeBox(CHANNEL)
        self.say(wire[:1], [near.fileno()])
        near.close()
        for index in range(1, len(wire)):
            self.say(wire[index : index + 1])
        self.assertEqual(self.client.connections[0].recv(100), b"slowly")
        far.close()

    def test_severalChannels(self) -> None:
        """
        Of several connections, in one message or in several that are read at once,
        each goes with its own box, in order.
        """
        pairs = [self.handed(b"%d" % number) for number in range(4)]
        boxes = [encodeBox({**CHANNEL, b"stream": b"%d" % number}) for number in range(4)]
        first, second, third, fourth = (near.fileno() for near, _ in pairs)
        rights = array.array("i", [first, second])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights.tobytes())]
        self.proxy.sendmsg([boxes[0] + boxes[1]], ancillary)
        for box, fd in ((boxes[2], third), (boxes[3], fourth)):
            rights = array.array("i", [fd])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights.tobytes())]
            self.proxy.sendmsg([box], ancillary)
        self.loop.settle()
        self.assertEqual(self.client.told, [("channel", number) for number in range(4)])
        said = [connection.recv(10) for connection in self.client.connections]
        self.assertEqual(said, [b"0", b"1", b"2", b"3"])
        for near, far in pairs:
            near.close()
            far.close()

    def test_channelWithoutConnection(self) -> None:
        """
        A Channel without its connection is a lost link, and is not answered as taken.
        """
        self.say(encodeBox(CHANNEL))
        self.assertEqual([name for name, _ in self.client.told], ["link broken"])
        self.assertIn("without its connection", str(self.client.told[0][1]))
        self.assertEqual(self.heard(), [])

    def test_malformedChannel(self) -> None:
        """
        A Channel that lacks a value, or has an impossible one, is a lost link, and its
        connection is closed.
        """
        malformed = [
            {key: value for key, value in CHANNEL.items() if key != b"_ask"},
            {key: value for key, value in CHANNEL.items() if key != b"stream"},
            {**CHANNEL, b"stream": b"one"},
        ]
        for box in malformed:
            near, far = self.handed(b"")
            self.say(encodeBox(box), [near.fileno()])
            near.close()
            self.assertEqual([name for name, _ in self.client.told], ["link broken"])
            self.assertEqual(self.client.connections, [])
            self.assertEqual(far.recv(10), b"")
            far.close()
            self.disconnect()
            self.connect()

    def test_noSocket(self) -> None:
        """
        A descriptor that is no socket is closed, and the Channel is without one.
        """
        null = os.open(os.devnull, os.O_RDONLY)
        self.say(encodeBox(CHANNEL), [null])
        os.close(null)
        self.assertEqual([name for name, _ in self.client.told], ["link broken"])

    def test_moreConnectionsThanBoxes(self) -> None:
        """
        Connections without boxes do not pile up.
        """
        near, far = self.handed(b"")
        lost = encodeBox({b"_answer": b"9"})
        for _ in range(20):
            if not self.link.isClosed:
                self.say(lost, [near.fileno()] * 3)
        self.assertEqual([name for name, _ in self.client.told], ["link broken"])
        near.close()
        far.close()

    def test_tooManyAtOnce(self) -> None:
        """
        More descriptors in one message than are expected are cut off by the kernel and
        not left open.
        """
        near, far = self.handed(b"")
        self.say(encodeBox({b"_answer": b"9"}), [near.fileno()] * 50)
        near.close()
        self.link.close()
        self.assertEqual(far.recv(10), b"")
        far.close()

    def test_closedWithConnectionsInHand(self) -> None:
        """
        Connections whose boxes have not come are closed with the link.
        """
        near, far = self.handed(b"")
        self.say(encodeBox(CHANNEL)[:10], [near.fileno()])
        near.close()
        self.link.close()
        self.assertEqual(far.recv(10), b"")
        far.close()

    def test_userCloses(self) -> None:
        """
        A user that closes the link on the first box is told nothing of the others.
        """
        self.client.closing = self.link
        self.request()
        near, far = self.handed(b"")
        answer = encodeBox({b"_answer": b"1"})
        self.say(answer + encodeBox(CHANNEL) + answer, [near.fileno()])
        near.close()
        self.assertEqual([name for name, _ in self.client.told], ["answered"])
        self.assertEqual(self.client.connections, [])
        self.assertEqual(far.recv(10), b"")
        far.close()

    # -- its end ------------------------------------------------------------

    def test_proxyGoes(self) -> None:
        """
        That the proxy goes away is told once.
        """
        self.proxy.close()
        self.loop.settle()
        self.assertEqual(self.client.told, [("link lost", "it closed the connection")])

    def test_lastWords(self) -> None:
        """
        What the proxy said before it went is told before that.
        """
        self.proxy.send(encodeBox({b"_command": b"SessionLost", b"reason": b"too many"}))
        self.proxy.close()
        self.loop.settle()
        self.assertEqual([name for name, _ in self.client.told], ["session lost", "link lost"])

    def test_goneWhileAsking(self) -> None:
        """
        A request to a proxy that is gone is a lost link, told once.
        """
        self.proxy.close()
        self.link.request("site", "blahpd")
        self.loop.settle()
        self.assertEqual([name for name, _ in self.client.told], ["link lost"])

    def test_garbage(self) -> None:
        """
        Garbage is a lost link with a sentence, and no error in the loop.
        """
        for garbage in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\0\0",
            b"\0\x01k\xff\xff" + bytes(65535),
            encodeBox({b"_command": b"SessionLost"}),
            encodeBox({b"_error": b"1"}),
            encodeBox({b"_error": b"1", b"_error_description": b"so"}),
        ):
            self.request()
            self.say(garbage)
            self.assertEqual([name for name, _ in self.client.told], ["link broken"], garbage[:30])
            self.assertIn("not understood", str(self.client.told[0][1]))
            self.disconnect()
            self.connect()
